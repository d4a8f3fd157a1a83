//! Lists of stored mail and conversations.
//!
//! A page costs what it shows, however much is stored. Where a filter lets few through, rows are looked at in growing
//! strides, each a unit of DynamoDB, until the page is full or its budget is spent: then the cursor leads on behind the
//! last row that was looked at. So nobody walks through a chain of empty pages, and no call costs more than
//! [`SCANNED`] units. Words and conversations are asked of the index ([`shared::ops::search`]): of those no row is looked
//! at in vain, but where messages have changed since.

use shared::http::{Call, Reply};
use shared::model::views::MessagePage;
use shared::model::{AccountId, Code, Message, Problem};
use shared::ops::search::{Hits, Query};
use shared::ops::{Tools, search, sign_in};
use shared::store::{Page, Range, StoredMessage};

use crate::fields::{Fields, LISTED};
use crate::filter::Filter;
use crate::handler::summary;

/// Rows that are looked at for one page, whatever the filter lets through: about a second.
const SCANNED: u32 = 2_000;

/// Rows that are read at a time: a few requests at once.
const STRIDE: u32 = 500;

/// A page of messages, newest first.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    let mut filter = Filter::read(&call)?;
    let fields = Fields::read(&call, &[&LISTED])?;
    let account = call.account()?;
    let limit = call.number("limit", 50, 1, 100)?;
    let range = Range { since: call.time("since")?, before: call.time("before")? };
    let hits = match filter.asked() {
        Some(query) => Some(search::find(&tools.store, call.tenant(), &account, query, range).await?),
        None => None,
    };
    let rows = Rows { tools: &tools, call: &call, account: &account, range, hits };
    let page = rows.scan(limit, &filter).await?;
    if page.items.is_empty() && page.next_cursor.is_none() {
        // Mail outlives its account; only where there is neither is the path wrong.
        sign_in::account(&tools, call.tenant(), &account).await?;
    }
    rows.answer(&fields, page)
}

/// A conversation, oldest first: the answer to "what came before this?" is on the page that one has.
pub(crate) async fn thread(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["limit", "cursor", "fields"])?;
    let fields = Fields::read(&call, &[&LISTED])?;
    let account = call.account()?;
    let limit = call.number("limit", 50, 1, 100)?;
    let thread = call.path.get("thread").cloned().unwrap_or_default();
    let (range, query) = (Range::default(), Query::thread(&thread));
    let hits = search::find(&tools.store, call.tenant(), &account, query, range).await?;
    let rows = Rows { tools: &tools, call: &call, account: &account, range, hits: Some(hits) };
    let mut page = rows.scan(limit, &Filter::of_thread(thread)).await?;
    if page.items.is_empty() && page.next_cursor.is_none() && !call.query.contains_key("cursor") {
        sign_in::account(&tools, call.tenant(), &account).await?;
        return Err(Problem::new(Code::NotFound, "there is no such conversation in this account"));
    }
    page.items.reverse();
    rows.answer(&fields, page)
}

/// Where messages are looked for: in a stretch of a mailbox, or among what a search has found.
struct Rows<'r> {
    tools: &'r Tools,
    call: &'r Call,
    account: &'r AccountId,
    range: Range,
    hits: Option<Hits>,
}

impl Rows<'_> {
    fn answer(&self, fields: &Fields, page: Page<Message>) -> Result<Reply, Problem> {
        let items = page.items.iter().map(|message| fields.project(message)).collect::<Result<Vec<_>, _>>()?;
        let not_searched_since = self.hits.as_ref().and_then(Hits::not_searched_since);
        Reply::ok(&MessagePage { items, next_cursor: page.next_cursor, not_searched_since })
    }

    /// Up to `limit` messages that pass, newest first, and the cursor behind them.
    async fn scan(&self, limit: u32, filter: &Filter) -> Result<Page<Message>, Problem> {
        let most = self.hits.as_ref().map_or(SCANNED, |hits| hits.most(SCANNED));
        let mut cursor = self.call.query.get("cursor").cloned();
        let mut items: Vec<Message> = Vec::new();
        let (mut scanned, mut stride) = (0, limit);
        loop {
            let room = limit - u32::try_from(items.len()).unwrap_or(limit);
            let rows = if filter.passes_all() { room } else { stride }.min(most - scanned);
            let page = self.next(rows, cursor.as_deref()).await?;
            scanned += rows;
            cursor = page.next_cursor;
            for message in page.items.into_iter().map(summary).filter(|message| filter.passes(message)) {
                if items.len() == limit as usize {
                    // One more than fits: the next page begins with it.
                    let messages = &self.tools.store.messages;
                    let cursor = items.last().map(|last| messages.cursor_behind(self.call.tenant(), last));
                    return Ok(Page { items, next_cursor: cursor });
                }
                items.push(message);
            }
            if cursor.is_none() || items.len() == limit as usize || scanned >= most {
                return Ok(Page { items, next_cursor: cursor });
            }
            stride = (stride * 2).clamp(50, STRIDE);
        }
    }

    async fn next(&self, rows: u32, cursor: Option<&str>) -> Result<Page<StoredMessage>, Problem> {
        let (store, tenant) = (&self.tools.store, self.call.tenant());
        match &self.hits {
            Some(hits) => Ok(hits.page(store, tenant, self.account, rows, cursor).await?),
            None => Ok(store.messages.list(tenant, self.account, self.range, rows, cursor).await?),
        }
    }
}
