//! `/v1/templates`.

use shared::http::{Call, Reply};
use shared::model::template::{RenderInput, Template, TemplateId, TemplateInput};
use shared::model::views::Page;
use shared::model::{Code, FieldError, Problem};
use shared::ops::{Tools, templates};

/// Creates or replaces a template; what could not be rendered later is refused now.
pub(crate) async fn put(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let name = TemplateId::new(call.path.get("template").cloned().unwrap_or_default())
        .map_err(|rule| Problem::invalid(vec![FieldError::new("{template}", "invalid_name", rule)]))?;
    let input: TemplateInput = call.json()?;
    let errors = templates::check(&input);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let before = tools.store.templates.get(call.tenant(), &name).await?;
    let created_at = before.as_ref().map_or(call.now, |before| before.created_at);
    let template = Template { template: name, input, created_at, updated_at: call.now };
    tools.store.templates.put(call.tenant(), &template).await?;
    match before {
        Some(_) => Reply::ok(&template),
        None => Reply::created(&template, &format!("/v1/templates/{}", template.template.as_str())),
    }
}

/// A page of templates.
pub(crate) async fn list(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&["limit", "cursor"])?;
    let limit = call.number("limit", 50, 1, 100)?;
    let page = tools.store.templates.list(call.tenant(), limit, call.query.get("cursor").map(String::as_str)).await?;
    Reply::ok(&Page { items: page.items, next_cursor: page.next_cursor })
}

/// One template.
pub(crate) async fn get(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    Reply::ok(&find(&tools, &call).await?)
}

/// Deletes a template. Messages that were accepted with it hold their texts themselves.
pub(crate) async fn delete(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let template = find(&tools, &call).await?;
    tools.store.templates.delete(call.tenant(), &template.template).await?;
    Ok(Reply::no_content())
}

/// What a message with this template would say.
pub(crate) async fn render(tools: Tools, call: Call) -> Result<Reply, Problem> {
    call.only(&[])?;
    let template = find(&tools, &call).await?;
    let input: RenderInput = call.json_or_default()?;
    Reply::ok(&templates::render(&template.input, &input.params, "/params")?)
}

async fn find(tools: &Tools, call: &Call) -> Result<Template, Problem> {
    let missing = || Problem::new(Code::NotFound, "there is no such template");
    let name = call.path.get("template").and_then(|name| TemplateId::new(name.clone()).ok()).ok_or_else(missing)?;
    tools.store.templates.get(call.tenant(), &name).await?.ok_or_else(missing)
}
