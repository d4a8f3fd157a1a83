//! `/v1/pii-tokens` and `/v1/pii-resolver`. No answer ever shows what a token stands for.

use shared::http::{Call, Reply};
use shared::model::pii::{PiiResolver, PiiResolverInput, PiiToken, PiiTokenInput, is_token};
use shared::model::{Code, Problem};
use shared::ops::Tools;
use shared::store::Resolver;

/// Keeps a value and names it.
pub(crate) async fn create(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let input: PiiTokenInput = call.json()?;
    let errors = input.check(call.now);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let token = tools.store.pii.create(call.tenant(), &input.value, input.expires_at, call.now).await?;
    Reply::created(&token, &format!("/v1/pii-tokens/{}", token.token))
}

/// Whether a token is known.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    Reply::ok(&find(&tools, &call).await?)
}

/// Forgets a value: messages that wait and name it fail.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let token = find(&tools, &call).await?;
    tools.store.pii.delete(call.tenant(), &token.token).await?;
    Ok(Reply::no_content())
}

async fn find(tools: &Tools, call: &Call) -> Result<PiiToken, Problem> {
    let missing = || Problem::new(Code::NotFound, "there is no such token here; a resolver may know it");
    let token = call.path.get("token").filter(|token| is_token(token)).ok_or_else(missing)?;
    tools.store.pii.get(call.tenant(), token, call.now).await?.ok_or_else(missing)
}

/// Settles who knows the other tokens.
pub(crate) async fn put_resolver(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let input: PiiResolverInput = call.json()?;
    let errors = input.check();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    // A secret goes where it was given for, and nowhere else.
    let kept = match input.secret {
        Some(secret) => Some(secret),
        None => {
            let before = tools.store.pii.resolver(call.tenant(), call.now).await?;
            before.filter(|before| before.url == input.url).and_then(|before| before.secret)
        }
    };
    let resolver = Resolver { url: input.url, secret: kept, updated_at: call.now };
    tools.store.pii.put_resolver(call.tenant(), &resolver, call.now).await?;
    Reply::ok(&view(resolver))
}

/// Who knows the other tokens.
pub(crate) async fn get_resolver(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let resolver = tools.store.pii.resolver(call.tenant(), call.now).await?;
    Reply::ok(&view(resolver.ok_or_else(no_resolver)?))
}

/// Nobody knows the other tokens any more.
pub(crate) async fn delete_resolver(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    match tools.store.pii.delete_resolver(call.tenant()).await? {
        true => Ok(Reply::no_content()),
        false => Err(no_resolver()),
    }
}

fn no_resolver() -> Problem {
    Problem::new(Code::NotFound, "there is no PII resolver; PUT one")
}

fn view(resolver: Resolver) -> PiiResolver {
    PiiResolver { url: resolver.url, has_secret: resolver.secret.is_some(), updated_at: resolver.updated_at }
}
