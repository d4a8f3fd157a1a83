//! What a request costs, as `ConsumedCapacity` tells it (API reference): asked for with every request, and taken out of
//! the answer again where the caller did not ask. Units are counted in halves, which is what an eventually consistent
//! read of one item costs.

use bytes::Bytes;
use serde_json::{Value, json};

/// Operations with a price, and what is paid for.
const PRICED: [(&str, &str); 9] = [
    ("BatchGetItem", READ),
    ("GetItem", READ),
    ("Query", READ),
    ("Scan", READ),
    ("BatchWriteItem", WRITTEN),
    ("DeleteItem", WRITTEN),
    ("PutItem", WRITTEN),
    ("TransactWriteItems", WRITTEN),
    ("UpdateItem", WRITTEN),
];

/// Half read units, by the name that [`crate::aws::Aws::counts`] gives them.
const READ: &str = "halfReadUnits";
/// Half write units.
const WRITTEN: &str = "halfWriteUnits";

/// A request whose price is asked for.
pub(super) struct Metered {
    kind: &'static str,
    body: Value,
    /// The caller asked by himself.
    asked: bool,
}

impl Metered {
    pub(super) fn new(operation: &str, mut body: Value) -> Option<Self> {
        let (_, kind) = PRICED.into_iter().find(|(name, _)| *name == operation)?;
        let wish = body.as_object_mut()?.entry("ReturnConsumedCapacity").or_insert_with(|| json!("NONE"));
        let asked = *wish != "NONE";
        if !asked {
            *wish = json!("TOTAL");
        }
        Some(Self { kind, body, asked })
    }

    pub(super) fn request(&self) -> Bytes {
        self.body.to_string().into()
    }

    /// The answer as the caller gets it, and what is to be counted.
    pub(super) fn answer(self, success: bool, body: Bytes) -> (Bytes, Option<(&'static str, u64)>) {
        let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else {
            return (body, None);
        };
        if !success {
            // "A failed conditional write consumes write capacity units": those of the item, of which one is certain.
            let refused =
                answer["__type"].as_str().is_some_and(|code| code.ends_with("ConditionalCheckFailedException"));
            return (body, refused.then_some((self.kind, 2)));
        }
        let units = halves(&answer["ConsumedCapacity"]);
        if self.asked {
            return (body, Some((self.kind, units)));
        }
        if let Some(members) = answer.as_object_mut() {
            members.remove("ConsumedCapacity");
        }
        (answer.to_string().into(), Some((self.kind, units)))
    }
}

/// Of one table or of several.
fn halves(consumed: &Value) -> u64 {
    match consumed {
        Value::Array(tables) => tables.iter().map(halves).sum(),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a small number of halves, never negative
        table => (table["CapacityUnits"].as_f64().unwrap_or_default() * 2.0).round() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(
        operation: &str,
        request: Value,
        success: bool,
        answer: &Value,
    ) -> (Value, Option<(&'static str, u64)>) {
        let metered = Metered::new(operation, request).unwrap();
        let (body, units) = metered.answer(success, answer.to_string().into());
        (serde_json::from_slice(&body).unwrap(), units)
    }

    #[test]
    fn units_are_counted_and_told_to_whoever_asked() {
        let answer = json!({"Items": [], "ConsumedCapacity": {"TableName": "t", "CapacityUnits": 0.5}});
        assert_eq!(answered("Query", json!({}), true, &answer), (json!({"Items": []}), Some((READ, 1))));
        let asked = json!({"ReturnConsumedCapacity": "TOTAL"});
        assert_eq!(answered("Query", asked, true, &answer), (answer, Some((READ, 1))));
        let batch = json!({"ConsumedCapacity": [{"CapacityUnits": 1.5}, {"CapacityUnits": 2.0}]});
        assert_eq!(answered("BatchGetItem", json!({}), true, &batch), (json!({}), Some((READ, 7))));
        let refused = json!({"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"});
        assert_eq!(answered("PutItem", json!({}), false, &refused), (refused, Some((WRITTEN, 2))));
        assert!(Metered::new("DescribeTable", json!({})).is_none());
        assert!(Metered::new("GetItem", json!("no object")).is_none());
    }
}
