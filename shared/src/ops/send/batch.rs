//! Many mails in one call: the mails of one account share one or two connections, and few accounts are served at once.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use super::accept::{self, Accepted, Begun, IdempotencyKey, Wait};
use super::attempt::Courier;
use super::pace::Pacer;
use super::queue;
use crate::mail::Deadline;
use crate::model::send::SendRequest;
use crate::model::{AccountId, Problem, SendState, Tenant, Timestamp};
use crate::ops::Tools;
use crate::store::AccountRow;

/// Connections of one call at once: a tenant with many accounts does not take all there is.
const CONNECTIONS: usize = 4;

/// From so many mails on an account gets a second connection.
const SECOND_CONNECTION: usize = 20;

/// One mail of a batch.
#[derive(Debug)]
pub struct Post<'a> {
    /// Its place in the batch.
    pub place: usize,
    /// The account it leaves through.
    pub account: &'a AccountRow,
    /// The mail.
    pub request: SendRequest,
    /// The batch's key, with the place.
    pub key: Option<IdempotencyKey>,
}

/// What became of one, by its place.
pub type Posted = (usize, Result<Accepted, Problem>);

/// Accepts all, and delivers what the time allows; what is left is queued. The results are in order.
pub async fn batch(
    tools: &Tools,
    tenant: &Tenant,
    posts: Vec<Post<'_>>,
    until: Deadline,
    now: Timestamp,
) -> Vec<Posted> {
    let mut accounts: BTreeMap<AccountId, Vec<Post<'_>>> = BTreeMap::new();
    for post in posts {
        accounts.entry(post.account.account.account.clone()).or_default().push(post);
    }
    let lines: Vec<_> = accounts
        .into_values()
        .flat_map(in_lines)
        .map(|line| Box::pin(carry(tools, tenant, line, until, now)))
        .collect();
    let mut posted: Vec<Posted> = stream::iter(lines).buffer_unordered(CONNECTIONS).concat().await;
    posted.sort_by_key(|(place, _)| *place);
    posted
}

/// The mails of one account, one list for each connection.
fn in_lines(posts: Vec<Post<'_>>) -> Vec<Vec<Post<'_>>> {
    if posts.len() < SECOND_CONNECTION {
        return vec![posts];
    }
    let (even, odd): (Vec<_>, Vec<_>) = posts.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let plain = |line: Vec<(usize, _)>| line.into_iter().map(|(_, post)| post).collect();
    vec![plain(even), plain(odd)]
}

/// Mails of one account over one connection. Each is durable before it is tried, and tried before the next one is
/// looked at; once the time is up they are only made durable.
async fn carry(tools: &Tools, tenant: &Tenant, posts: Vec<Post<'_>>, until: Deadline, now: Timestamp) -> Vec<Posted> {
    let Some(account) = posts.first().map(|post| post.account) else {
        return Vec::new();
    };
    let mut courier = Courier::new(tools, tenant, account, true);
    let mut pacer = Pacer::of(tools, tenant, account).await;
    let (mut posted, mut waiting) = (Vec::new(), Vec::new());
    for Post { place, request, key, .. } in posts {
        let may_begin = !until.left().is_zero() && pacer.rest(Timestamp::now()).is_none();
        let wait = if may_begin { Wait::Until(until) } else { Wait::No };
        let result = match accept::begin(tools, tenant, account.into(), &request, key.as_ref(), wait, now).await {
            Ok(Begun::Ours(row)) => {
                let row = if row.state == SendState::Sending {
                    let row = accept::attempt_now(&mut courier, row, until).await;
                    pacer.note(tools, tenant, account, &row, 0).await;
                    row
                } else {
                    row
                };
                let outgoing = row.outgoing();
                waiting.extend(accept::goes_on(&row).then_some(row));
                Ok(Accepted { outgoing, replayed: false })
            }
            Ok(Begun::Replayed(accepted)) => Ok(accepted),
            Err(problem) => Err(problem),
        };
        posted.push((place, result));
    }
    queue::hand_on(tools, tenant, &waiting, Timestamp::now()).await;
    pacer.end(tools, tenant, account).await;
    courier.leave().await;
    posted
}
