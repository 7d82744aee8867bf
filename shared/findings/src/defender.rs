//! Microsoft Defender for Cloud: what its workflow automation and continuous export send, and the ARM form of the same.

use serde_json::Value;

use crate::{
    Finding, Link, Source,
    event::{Decoder, Decodings, Event},
    fields::{Fields, clip, member},
    refusal::Refusal,
    resource_id,
};

mod alert;
mod assessment;
mod regulatory_compliance;
mod secure_score;

const PROVIDER: &str = "/providers/microsoft.security/";

/// Known by an alert's `SystemAlertId`, or by a resource type or id of `Microsoft.Security`.
pub(crate) fn for_shape(value: &Value) -> Option<Decoder> {
    let text = |name| member(value, name).and_then(Value::as_str);
    let has_alert = |value| member(value, "SystemAlertId").is_some();
    let is_ours = has_alert(value)
        || member(value, "properties").is_some_and(has_alert)
        || text("type").is_some_and(|name| starts_with(name, "Microsoft.Security/"))
        || text("id").is_some_and(|id| id.to_ascii_lowercase().contains(PROVIDER));
    is_ours.then_some(decode)
}

fn decode(event: &Event<'_>) -> Decodings {
    let decoded = event
        .fields()
        .and_then(|fields| one(event, &fields))
        .map_err(|refusal| refusal.with_source(Source::Defender.as_str()));
    vec![decoded]
}

fn one(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    if fields.has("SystemAlertId") {
        return alert::flat(event, fields);
    }
    if fields.has("properties.systemAlertId") {
        return alert::arm(event, fields);
    }
    let (named, resource_type) = match fields.text("type")? {
        Some(name) => ("type", name.to_owned()),
        None => ("id", types_of(fields.require_text("id")?)),
    };
    let last = resource_type.rsplit('/').next().unwrap_or_default();
    match last.to_ascii_lowercase().as_str() {
        "alerts" => alert::arm(event, fields),
        "assessments" => assessment::decode(event, fields),
        "subassessments" => assessment::decode_sub(event, fields),
        // Assessments, and the controls and standards that sum them up; written in the singular too.
        name if name.starts_with("regulatorycompliance") => {
            regulatory_compliance::decode(event, fields)
        }
        "securescorecontrols" | "securescores" => secure_score::decode(event, fields),
        _ => {
            let shown = clip(&resource_type);
            Err(fields.refuse(named, format!("`{shown}` is no finding that is known")))
        }
    }
}

/// The resource types of an id's last provider: `assessments/subAssessments`.
fn types_of(id: &str) -> String {
    let start = id.to_ascii_lowercase().rfind(PROVIDER);
    let tail = start.map_or("", |start| &id[start + PROVIDER.len()..]);
    let types: Vec<&str> = tail.split('/').step_by(2).collect();
    types.join("/")
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Fills in account and scope from the Azure id of the first resource that has them, else of the finding.
fn place(finding: &mut Finding, own_id: &str) {
    let ids = finding
        .resources
        .iter()
        .map(|resource| resource.id.as_str());
    let found = ids
        .chain([own_id])
        .map(resource_id::azure)
        .find_map(|id| Some((id.subscription?.to_owned(), id.scope()?)));
    if let Some((subscription, scope)) = found {
        finding.account = Some(subscription);
        finding.scope = Some(scope);
    }
}

/// A link, if it is an absolute address; the portal's come without `https://`.
fn link(title: &str, url: &str) -> Option<Link> {
    let url = if url.starts_with("portal.azure.") || url.starts_with("ms.portal.azure.") {
        format!("https://{url}")
    } else {
        url.to_owned()
    };
    (url.starts_with("https://") || url.starts_with("http://")).then(|| Link {
        title: title.to_owned(),
        url,
    })
}

/// A resource by its Azure id, which tells type and name.
fn resource(id: &str) -> crate::Resource {
    let parsed = resource_id::azure(id);
    crate::Resource {
        id: id.to_owned(),
        resource_type: parsed.resource_type.clone(),
        name: parsed.name.map(str::to_owned),
        account: parsed.subscription.map(str::to_owned),
        ..crate::Resource::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_types_of_an_id_are_every_other_part_after_the_provider() {
        let id = "/subscriptions/s/providers/Microsoft.Security/assessments/a/subAssessments/b";
        assert_eq!(types_of(id), "assessments/subAssessments");
        assert_eq!(types_of("x"), "");
    }

    #[test]
    fn an_unknown_type_is_refused_by_name() {
        let value = json!({"id": "/x", "type": "Microsoft.Security/pricings"});
        let refusal = decode(&Event::bare(&value, "")).remove(0).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "defender: `Microsoft.Security/pricings` is no finding that is known at `type`"
        );
    }

    #[test]
    fn portal_addresses_get_their_scheme_and_others_are_left() {
        assert_eq!(
            link("x", "portal.azure.com/#blade").unwrap().url,
            "https://portal.azure.com/#blade"
        );
        assert_eq!(
            link("x", "https://example.com").unwrap().url,
            "https://example.com"
        );
        assert!(link("x", "javascript:1").is_none());
    }
}
