//! DynamoDB, as far as this house uses it: single items, one partition at a time, batches of reads.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    operation::{delete_item::DeleteItemError, put_item::PutItemError, update_item::UpdateItemError},
    types::{AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Serialize, de::DeserializeOwned};

use super::{StoreError, error::aws, keys::Key};

/// Attributes by name.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Values of an expression, by their placeholder (`:now`).
pub(super) type Values<'a> = Vec<(&'a str, AttributeValue)>;

/// DynamoDB takes at most this many keys in one BatchGetItem.
const BATCH: usize = 100;

/// Batches under way at once: enough to hide the way there and back, too few to be throttled.
const BATCHES_AT_ONCE: usize = 4;

/// How often what a batch left unprocessed is asked for again, at 50, 100, 200… ms.
const BATCH_TRIES: u32 = 5;

/// What came of a conditional write.
#[derive(Debug)]
pub(super) enum Write {
    /// Done: the item as it is now; for a deletion, as it was (empty where there was none).
    Done(Item),
    /// Refused: the item as it is, if there is one.
    Refused(Option<Item>),
}

/// A query of one partition of the table or of an index.
#[derive(Debug, Default)]
pub(super) struct Query<'a> {
    pub index: Option<&'static str>,
    /// Key condition; `#name` stands for an attribute, `:name` for a value.
    pub condition: &'a str,
    pub values: Values<'a>,
    pub descending: bool,
    pub start: Option<Item>,
    pub limit: Option<u32>,
    pub projection: Option<&'a str>,
    /// Read at half the price what may be a second old. An index is always read so.
    pub eventual: bool,
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    client: Client,
    name: Arc<str>,
}

impl Table {
    pub(super) fn new(client: Client, name: String) -> Self {
        Self { client, name: name.into() }
    }

    /// One item, strongly consistent.
    pub(super) async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&*self.name).set_key(Some(primary(key))).consistent_read(true);
        Ok(request.send().await.map_err(aws("GetItem"))?.item)
    }

    /// Writes a whole item, over an older one only where `condition` holds.
    pub(super) async fn put(
        &self,
        item: Item,
        condition: Option<&str>,
        values: Values<'_>,
    ) -> Result<Write, StoreError> {
        let request = self
            .client
            .put_item()
            .table_name(&*self.name)
            .set_item(Some(item.clone()))
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_names(names(&[condition.unwrap_or_default()]))
            .set_expression_attribute_values(map(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(Write::Done(item)),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => Ok(Write::Refused(failed.item.clone())),
                _ => Err(aws("PutItem")(error)),
            },
        }
    }

    /// Changes attributes of one item, where `condition` holds.
    pub(super) async fn update(
        &self,
        key: &Key,
        update: &str,
        condition: Option<&str>,
        values: Values<'_>,
    ) -> Result<Write, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&*self.name)
            .set_key(Some(primary(key)))
            .update_expression(update)
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_names(names(&[update, condition.unwrap_or_default()]))
            .set_expression_attribute_values(map(values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(answer) => Ok(Write::Done(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Write::Refused(failed.item.clone()))
                }
                _ => Err(aws("UpdateItem")(error)),
            },
        }
    }

    /// Deletes one item, where `condition` holds.
    pub(super) async fn delete(
        &self,
        key: &Key,
        condition: Option<&str>,
        values: Values<'_>,
    ) -> Result<Write, StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&*self.name)
            .set_key(Some(primary(key)))
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_names(names(&[condition.unwrap_or_default()]))
            .set_expression_attribute_values(map(values))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(answer) => Ok(Write::Done(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Write::Refused(failed.item.clone()))
                }
                _ => Err(aws("DeleteItem")(error)),
            },
        }
    }

    /// One page of a query, and whether there is more. The table itself is read strongly consistent.
    pub(super) async fn query(&self, query: Query<'_>) -> Result<(Vec<Item>, bool), StoreError> {
        let (items, last) = self.page(&query, query.start.clone()).await?;
        Ok((items, last.is_some()))
    }

    /// All pages of a query.
    pub(super) async fn query_all(&self, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        let mut all = Vec::new();
        let mut start = None;
        loop {
            let (items, last) = self.page(&query, start).await?;
            all.extend(items);
            start = last;
            if start.is_none() {
                return Ok(all);
            }
        }
    }

    async fn page(&self, query: &Query<'_>, start: Option<Item>) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let request = self
            .client
            .query()
            .table_name(&*self.name)
            .set_index_name(query.index.map(str::to_owned))
            .consistent_read(query.index.is_none() && !query.eventual)
            .key_condition_expression(query.condition)
            .set_projection_expression(query.projection.map(str::to_owned))
            .set_expression_attribute_names(names(&[query.condition, query.projection.unwrap_or_default()]))
            .set_expression_attribute_values(map(query.values.clone()))
            .scan_index_forward(!query.descending)
            .set_exclusive_start_key(start)
            .set_limit(query.limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)));
        let answer = request.send().await.map_err(aws("Query"))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key.filter(|key| !key.is_empty())))
    }

    /// Items by their keys in any number and no order, strongly consistent; missing ones are left out, and a key that
    /// is named twice is read once: DynamoDB refuses to read it twice.
    pub(super) async fn batch_get(&self, keys: &[Key], projection: Option<&str>) -> Result<Vec<Item>, StoreError> {
        self.batches(keys, projection, true).await
    }

    /// The same whole and at half the price, for what may be a second old.
    pub(super) async fn glance(&self, keys: &[Key]) -> Result<Vec<Item>, StoreError> {
        self.batches(keys, None, false).await
    }

    async fn batches(&self, keys: &[Key], projection: Option<&str>, consistent: bool) -> Result<Vec<Item>, StoreError> {
        let keys: Vec<&Key> = keys.iter().collect::<HashSet<_>>().into_iter().collect();
        let batches: Vec<Vec<Item>> =
            keys.chunks(BATCH).map(|keys| keys.iter().map(|key| primary(key)).collect()).collect();
        let reads = batches.into_iter().map(|keys| self.batch(keys, projection, consistent));
        let found: Vec<Vec<Item>> = stream::iter(reads).buffer_unordered(BATCHES_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn batch(
        &self,
        keys: Vec<Item>,
        projection: Option<&str>,
        consistent: bool,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        let wanted = KeysAndAttributes::builder()
            .consistent_read(consistent)
            .set_projection_expression(projection.map(str::to_owned))
            .set_expression_attribute_names(names(&[projection.unwrap_or_default()]));
        let mut left = keys;
        for attempt in 0..BATCH_TRIES {
            let request = wanted
                .clone()
                .set_keys(Some(left))
                .build()
                .map_err(|error| StoreError::invalid("BatchGetItem", error))?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&*self.name, request)
                .send()
                .await
                .map_err(aws("BatchGetItem"))?;
            found.extend(answer.responses.unwrap_or_default().into_values().flatten());
            left = answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|rest| rest.keys).collect();
            if left.is_empty() {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        }
        Err(StoreError::busy("BatchGetItem"))
    }
}

/// The rows of these keys by what they are asked for, as they were a moment ago. One that cannot be read must not keep
/// the others from their readers: it is told to the log and left out.
pub(super) async fn glance<'a, N, T>(
    table: &Table,
    wanted: impl Iterator<Item = (Key, &'a N)>,
) -> Result<HashMap<N, T>, StoreError>
where
    N: Clone + Eq + std::hash::Hash + 'a,
    T: DeserializeOwned,
{
    let wanted: HashMap<Key, &N> = wanted.collect();
    let keys: Vec<Key> = wanted.keys().cloned().collect();
    let mut rows = HashMap::with_capacity(keys.len());
    for item in table.glance(&keys).await? {
        let Some(name) = Key::of(&item).and_then(|key| wanted.get(&key).copied()) else { continue };
        match row(item) {
            Ok(row) => drop(rows.insert(name.clone(), row)),
            Err(error) => tracing::error!(%error, "a row cannot be read"),
        }
    }
    Ok(rows)
}

/// The item of a row: its fields as attributes, without those that are null, under its key.
pub(super) fn item(key: &Key, row: &impl Serialize) -> Result<Item, StoreError> {
    let mut item: Item =
        serde_dynamo::aws_sdk_dynamodb_1::to_item(row).map_err(|_| StoreError::Corrupt { key: key.to_string() })?;
    item.retain(|_, value| !value.is_null());
    item.extend(primary(key));
    Ok(item)
}

/// The row of an item. What does not fit is not told: serde's words would show the value.
pub(super) fn row<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let key = described(&item);
    serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|_| StoreError::Corrupt { key })
}

/// A value for an expression.
pub(super) fn value(of: &impl Serialize) -> Result<AttributeValue, StoreError> {
    serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(of).map_err(|_| StoreError::Corrupt { key: "a value".into() })
}

/// A text for an expression.
pub(super) fn text(of: impl Into<String>) -> AttributeValue {
    AttributeValue::S(of.into())
}

/// A number for an expression.
pub(super) fn number(of: impl ToString) -> AttributeValue {
    AttributeValue::N(of.to_string())
}

/// A text attribute.
pub(super) fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A number attribute.
pub(super) fn number_of<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Which item it is, for errors.
pub(super) fn described(item: &Item) -> String {
    format!("{} / {}", text_of(item, "pk").unwrap_or("?"), text_of(item, "sk").unwrap_or("?"))
}

/// An item that is nothing but its key.
pub(super) fn primary(key: &Key) -> Item {
    Item::from([("pk".to_owned(), text(key.pk())), ("sk".to_owned(), text(key.sk()))])
}

fn map(values: Values<'_>) -> Option<Item> {
    (!values.is_empty()).then(|| values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// `#name` always stands for the attribute `name`: so that no reserved word of DynamoDB's 573 can hit us.
fn names(expressions: &[&str]) -> Option<HashMap<String, String>> {
    let words = expressions.iter().flat_map(|expression| expression.split('#').skip(1));
    let names: HashMap<String, String> = words
        .map(|word| word.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
        .map(|name| (format!("#{name}"), name.to_owned()))
        .collect();
    (!names.is_empty()).then_some(names)
}
