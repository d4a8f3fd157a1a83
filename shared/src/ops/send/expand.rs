//! From a request as it was given to one that stands for itself: what it only names is fetched once, before the message
//! is claimed, and stored, so that every attempt composes the same bytes.

use super::sources;
use crate::model::send::SendRequest;
use crate::model::{FieldError, Problem, Tenant};
use crate::ops::templates;
use crate::store::Store;

/// Whether the request names what may be another thing tomorrow.
pub(super) fn is_needed(request: &SendRequest) -> bool {
    request.template.is_some() || request.reference.is_some() || sources::are_elsewhere(request)
}

/// Puts what the template says into the request.
pub(super) async fn rendered(store: &Store, tenant: &Tenant, mut request: SendRequest) -> Result<SendRequest, Problem> {
    let invalid =
        |pointer: &str, code: &str, detail: &str| Problem::invalid(vec![FieldError::new(pointer, code, detail)]);
    let Some(name) = request.template.take() else {
        return if request.params.is_empty() {
            Ok(request)
        } else {
            Err(invalid("/params", "no_template", "params belong to a template: name one in template"))
        };
    };
    let template = store.templates.get(tenant, &name).await?;
    let template = template.ok_or_else(|| invalid("/template", "not_found", "there is no such template"))?;
    let params = std::mem::take(&mut request.params);
    let rendered = templates::render(&template.input, &params, "/template")?;
    for (part, given, text) in [
        ("/subject", &mut request.subject, rendered.subject),
        ("/text", &mut request.text, rendered.text),
        ("/html", &mut request.html, rendered.html),
    ] {
        if given.is_some() && text.is_some() {
            return Err(invalid(part, "conflict", "the template gives it already: leave it out here or there"));
        }
        *given = given.take().or(text);
    }
    Ok(request)
}
