use quench_findings::Finding;
use serde_json::{Map, Value, json};

/// Builds the value of `finding` in templates: every canonical field, null where the finding has none.
///
/// `resource` is the first resource. `raw` is a name of its own in templates and is not repeated here.
#[must_use]
pub fn finding_context(finding: &Finding) -> Value {
    let resources: Vec<Value> = finding
        .resources
        .iter()
        .map(|resource| {
            json!({
                "id": resource.id,
                "type": resource.resource_type,
                "name": resource.name,
                "account": resource.account,
                "region": resource.region,
                "tags": resource.tags,
            })
        })
        .collect();
    let resource = resources.first().cloned().unwrap_or_else(|| {
        json!({
            "id": null, "type": null, "name": null, "account": null, "region": null, "tags": {},
        })
    });
    let compliance = finding.compliance.clone().unwrap_or_default();
    let remediation = finding.remediation.clone().unwrap_or_default();
    json!({
        "id": finding.id,
        "kind": finding.kind,
        "source": finding.source,
        "type": finding.finding_type,
        "title": finding.title,
        "description": finding.description,
        "severity": finding.severity,
        "status": finding.status,
        "account": finding.account,
        "region": finding.region,
        "scope": finding.scope,
        "resources": resources,
        "resource": resource,
        "compliance": { "standard": compliance.standard, "control": compliance.control },
        "first_seen": finding.first_seen,
        "last_seen": finding.last_seen,
        "updated": finding.updated,
        "remediation": { "text": remediation.text, "url": remediation.url },
        "links": finding.links,
        "parent": finding.parent,
        "sample": finding.sample,
        "item": finding.item,
    })
}

/// Builds the names that templates know of a finding: `finding`, `raw` and `defender`.
///
/// `document` is the finding's match document, from which `raw` and `defender` are taken.
#[must_use]
pub fn context(finding: &Finding, document: &Value) -> Map<String, Value> {
    let part = |name: &str| document.get(name).cloned().unwrap_or(Value::Null);
    Map::from_iter([
        ("finding".to_owned(), finding_context(finding)),
        ("raw".to_owned(), part("raw")),
        ("defender".to_owned(), part("defender")),
    ])
}
