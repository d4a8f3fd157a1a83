//! `POST /v1/messages/batch`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use shared::http::batch::{BatchAnswer, ItemAnswer};
use shared::http::{Call, Reply, body, routes};
use shared::mail::Deadline;
use shared::model::send::{Lane, SendRequest};
use shared::model::{AccountId, Code, FieldError, Problem};
use shared::ops::send::{Accepted, Post, Wait, batch as send_all};
use shared::ops::{Tools, sign_in};
use shared::store::AccountRow;

use crate::handler::{Verdict, key, verdict, wait};

/// Most mails of one batch.
const MESSAGES: usize = 500;

/// The body. Each mail is read by itself: what is wrong with one of them is its own problem.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    messages: Vec<Value>,
}

/// An account of the batch, or why it cannot be used.
type Found = Result<AccountRow, (Code, String)>;

/// Sends many mails.
pub(crate) async fn send(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["wait"])?;
    let Batch { messages } = call.json()?;
    if messages.is_empty() || messages.len() > MESSAGES {
        let detail = format!("{} mails; the limit messages is {MESSAGES}, and 1 the least", messages.len());
        return Err(Problem::invalid(vec![FieldError::new("/messages", "out_of_range", detail)]));
    }
    let key = key(&call, routes::SEND_BATCH.operation)?;
    let until = match wait(&tools, &call)? {
        Wait::Until(until) | Wait::Once(until) => until,
        Wait::No | Wait::Held => Deadline::after(std::time::Duration::ZERO),
    };
    let read: Vec<_> = messages.into_iter().enumerate().map(|(place, mail)| read(place, mail)).collect();
    let accounts = find(&tools, &call, read.iter().flatten().map(|(account, _)| account)).await?;
    let mut results: BTreeMap<usize, Result<Accepted, Problem>> = BTreeMap::new();
    let mut posts = Vec::new();
    for (place, mail) in read.into_iter().enumerate() {
        let found = mail.and_then(|(account, request)| match accounts.get(&account) {
            Some(Ok(account)) => Ok(Post { place, account, request, key: key.as_ref().map(|key| key.item(place)) }),
            Some(Err((code, detail))) => Err(Problem::new(*code, detail.clone())),
            None => Err(Problem::internal("an account was not looked for")),
        });
        match found {
            Ok(post) => posts.push(post),
            Err(problem) => drop(results.insert(place, Err(problem))),
        }
    }
    for (place, result) in send_all(&tools, call.tenant(), posts, until, call.now).await {
        results.insert(place, result.map_err(|problem| within(place, problem)));
    }
    answer(results.into_values().collect(), &call)
}

/// One mail with the name of its account. A batch is mail to many unless it says otherwise.
fn read(place: usize, mail: Value) -> Result<(AccountId, SendRequest), Problem> {
    let Value::Object(mut mail) = mail else {
        let wrong = FieldError::new(format!("/messages/{place}"), "invalid_value", "an object: a mail and its account");
        return Err(Problem::invalid(vec![wrong]));
    };
    let missing = || FieldError::new(format!("/messages/{place}/account"), "missing", "the account it leaves through");
    let account = mail.remove("account").ok_or_else(|| Problem::invalid(vec![missing()]))?;
    let account: AccountId = body::value(account).map_err(|mut problem| {
        problem.errors.iter_mut().for_each(|error| error.pointer = "/account".to_owned());
        within(place, problem)
    })?;
    let mut request: SendRequest = body::value(mail.into()).map_err(|problem| within(place, problem))?;
    if request.lane.is_none() && account.as_str() != "system" {
        request.lane = Some(Lane::Bulk);
    }
    Ok((account, request))
}

/// The accounts that are named, each looked up once.
async fn find<'a>(
    tools: &Tools,
    call: &Call,
    names: impl Iterator<Item = &'a AccountId>,
) -> Result<BTreeMap<AccountId, Found>, Problem> {
    let mut accounts: BTreeMap<AccountId, Found> = BTreeMap::new();
    for name in names {
        if accounts.contains_key(name) {
            continue;
        }
        let found = if call.principal.reaches(name) {
            match sign_in::account(tools, call.tenant(), name).await {
                Ok(row) => Ok(row),
                Err(problem) if problem.code == Code::AccountNotFound => Err((problem.code, problem.detail)),
                Err(problem) => return Err(problem),
            }
        } else {
            Err((Code::AccountNotFound, format!("there is no account {:?}", name.as_str())))
        };
        accounts.insert(name.clone(), found);
    }
    Ok(accounts)
}

/// A problem of one mail, with its fields named as they stand in the batch.
fn within(place: usize, mut problem: Problem) -> Problem {
    for error in &mut problem.errors {
        error.pointer = format!("/messages/{place}{}", error.pointer);
    }
    problem
}

fn answer(results: Vec<Result<Accepted, Problem>>, call: &Call) -> Result<Reply, Problem> {
    let verdicts: Vec<_> = results
        .into_iter()
        .map(|result| result.map(|accepted| (verdict(&accepted.outgoing), accepted.replayed, accepted.outgoing)))
        .collect();
    let results = verdicts
        .iter()
        .map(|result| match result {
            Ok((Verdict::Refused(problem), replayed, _)) => ItemAnswer::problem(problem, *replayed, &call.request_id),
            Ok((verdict, replayed, outgoing)) => {
                ItemAnswer::message(outgoing, matches!(verdict, Verdict::Settled), *replayed)
            }
            Err(problem) => ItemAnswer::problem(problem, false, &call.request_id),
        })
        .collect();
    Reply::ok(&BatchAnswer { results })
}
