use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;

use crate::{Finding, Kind, Resource, Severity, Source, Status, fields::member};

/// The version that Defender's own alert policy asks for (`Version` contains `3.`), and that exported alerts leave out.
const ALERT_VERSION: &str = "3.0";

/// The document that conditions are matched against, in its pieces: what is large is not copied.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    canonical: Map<String, Value>,
    raw: Cow<'a, Value>,
    defender: Option<Cow<'a, Value>>,
}

impl Pieces<'_> {
    /// The members of the document, each name once.
    pub fn members(&self) -> Vec<(&str, &Value)> {
        let canonical = self.canonical.iter();
        let canonical = canonical.map(|(name, value)| (&**name, value));
        let others = [
            ("raw", Some(&self.raw)),
            ("defender", self.defender.as_ref()),
        ];
        let others = others
            .into_iter()
            .filter_map(|(name, value)| Some((name, &**value?)));
        canonical.chain(others).collect()
    }
}

impl From<Pieces<'_>> for Value {
    fn from(pieces: Pieces<'_>) -> Value {
        let mut document = pieces.canonical;
        document.insert("raw".to_owned(), pieces.raw.into_owned());
        if let Some(defender) = pieces.defender {
            document.insert("defender".to_owned(), defender.into_owned());
        }
        Value::Object(document)
    }
}

impl Finding {
    /// The document that conditions are matched against: the canonical fields, `raw` and `defender`.
    ///
    /// `raw` is narrowed to this finding where it holds several. `defender` is the payload in the shape of Defender for Cloud:
    /// as it came if Defender sent it (with `Version`, and for the ARM form the names of the export form, added to alerts), else
    /// projected from the canonical fields.
    pub fn document(&self) -> Value {
        self.pieces(true).into()
    }

    /// As [`Finding::document`], without copying the payload, and with `defender` only if that is wanted.
    pub fn pieces(&self, defender: bool) -> Pieces<'_> {
        let raw = self.own_raw();
        let defender = defender.then(|| match (self.source, &raw) {
            (Source::Defender, Cow::Borrowed(raw)) => as_defender_sent_it(raw),
            (Source::Defender, Cow::Owned(raw)) => {
                Cow::Owned(as_defender_sent_it(raw).into_owned())
            }
            _ => Cow::Owned(projected(self)),
        });
        // The payload lies beside the others: it is not to be written out.
        let bare = Finding {
            raw: Arc::default(),
            ..self.clone()
        };
        let Ok(Value::Object(mut canonical)) = serde_json::to_value(&bare) else {
            unreachable!("a struct whose maps have text keys is written as an object")
        };
        canonical.shift_remove("raw");
        Pieces {
            canonical,
            raw,
            defender,
        }
    }

    /// `raw`, with the other findings of the same event left out.
    fn own_raw(&self) -> Cow<'_, Value> {
        let Some(item) = self.item else {
            return Cow::Borrowed(&self.raw);
        };
        let path: &[&str] = match member(&self.raw, "detail") {
            Some(_) => &["detail", "findings"],
            None => &["findings"],
        };
        Cow::Owned(narrowed(&self.raw, path, item))
    }
}

/// A copy of a value in which the array at the end of `path` has only one of its elements, if it has that.
fn narrowed(value: &Value, path: &[&str], item: usize) -> Value {
    match (value, path) {
        (Value::Object(members), [name, path @ ..]) => {
            let mut below = Some(path);
            let members = members.iter().map(|(key, value)| {
                let path = key.eq_ignore_ascii_case(name).then(|| below.take());
                let copy = match path.flatten() {
                    Some(path) => narrowed(value, path, item),
                    None => value.clone(),
                };
                (key.clone(), copy)
            });
            Value::Object(members.collect())
        }
        (Value::Array(elements), []) if item < elements.len() => {
            Value::Array(vec![elements[item].clone()])
        }
        _ => value.clone(),
    }
}

/// A payload of Defender, with what its own policies match on and its exports leave out.
fn as_defender_sent_it(raw: &Value) -> Cow<'_, Value> {
    let is_alert = member(raw, "SystemAlertId").is_some()
        || member(raw, "properties")
            .is_some_and(|properties| member(properties, "alertType").is_some());
    let Some(members) = raw.as_object().filter(|_| is_alert) else {
        return Cow::Borrowed(raw);
    };
    let mut members = members.clone();
    if let Some(Value::Object(properties)) = member(raw, "properties") {
        for (name, value) in properties {
            // `version` below `properties` is the schema's date, another thing than the alert's `Version`.
            if name.eq_ignore_ascii_case("version") {
                continue;
            }
            let name = export_name(name);
            if member(raw, &name).is_none() {
                members.insert(name, value.clone());
            }
        }
    }
    if !members
        .keys()
        .any(|name| name.eq_ignore_ascii_case("version"))
    {
        members.insert("Version".to_owned(), ALERT_VERSION.into());
    }
    Cow::Owned(Value::Object(members))
}

/// The export form's name for one of the ARM form: `alertDisplayName` is `AlertDisplayName`.
fn export_name(name: &str) -> String {
    match name {
        "timeGeneratedUtc" => return "TimeGenerated".to_owned(),
        "processingEndTimeUtc" => return "ProcessingEndTime".to_owned(),
        _ => {}
    }
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + chars.as_str()
    })
}

/// A finding of another source in the shape that Defender gives to the same kind.
fn projected(finding: &Finding) -> Value {
    let document = match finding.kind {
        Kind::Alert => alert(finding),
        Kind::Recommendation => assessment(finding),
        Kind::Compliance => regulatory_compliance(finding),
    };
    without_nulls(document)
}

fn alert(finding: &Finding) -> Value {
    let resource = finding.resources.first();
    let product = finding.source.product();
    let status = finding.status.map(|status| match status {
        Status::InProgress => "InProgress",
        Status::Resolved => "Resolved",
        Status::Dismissed | Status::Suppressed => "Dismissed",
        _ => "New",
    });
    json!({
        "Version": ALERT_VERSION,
        "VendorName": vendor(finding.source),
        "ProductName": product,
        "ProductComponentName": product,
        "AlertType": finding.finding_type,
        "AlertDisplayName": finding.title,
        "Description": finding.description,
        "Severity": severity(finding.severity),
        "Status": status,
        "SystemAlertId": finding.id,
        "StartTimeUtc": finding.first_seen,
        "EndTimeUtc": finding.last_seen,
        "TimeGenerated": finding.updated,
        "AzureResourceId": resource.map(|resource| &resource.id),
        "CompromisedEntity": resource.map(display_name),
        "RemediationSteps": finding.remediation.as_ref().and_then(|advice| advice.text.as_ref()).map(|text| vec![text]),
        "ResourceIdentifiers": finding
            .resources
            .iter()
            .map(|resource| json!({"Type": "AzureResource", "AzureResourceId": resource.id}))
            .collect::<Vec<_>>(),
        "ExtendedProperties": {
            "resourceType": resource.and_then(|resource| resource.resource_type.as_ref()),
            "accountId": finding.account,
            "region": finding.region,
        },
        "AlertUri": finding.links.first().map(|link| &link.url),
    })
}

fn assessment(finding: &Finding) -> Value {
    let resource = finding.resources.first();
    let code = finding.status.map(|status| match status {
        Status::Healthy => "Healthy",
        Status::NotApplicable | Status::Suppressed => "NotApplicable",
        _ => "Unhealthy",
    });
    let advice = finding.remediation.as_ref();
    let sub = finding.parent.is_some();
    json!({
        "type": if sub { "Microsoft.Security/assessments/subAssessments" } else { "Microsoft.Security/assessments" },
        "id": finding.id,
        "name": finding.finding_type.as_ref().unwrap_or(&finding.id),
        "properties": {
            "displayName": finding.title,
            "resourceDetails": {
                "source": cloud(finding.source),
                "id": resource.map(|resource| &resource.id),
                "resourceName": resource.map(display_name),
                "resourceType": resource.and_then(|resource| resource.resource_type.as_ref()),
                "nativeResourceId": resource.map(|resource| &resource.id),
            },
            "status": {
                "code": code,
                "firstEvaluationDate": finding.first_seen,
                "statusChangeDate": finding.updated,
            },
            "metadata": {
                "displayName": finding.title,
                "description": finding.description,
                "remediationDescription": advice.and_then(|advice| advice.text.as_ref()),
                "severity": severity(finding.severity),
            },
            "links": {
                "azurePortal": finding.links.first().map(|link| &link.url),
            },
        },
    })
}

fn regulatory_compliance(finding: &Finding) -> Value {
    let compliance = finding.compliance.as_ref();
    let standard = compliance.and_then(|compliance| compliance.standard.as_ref());
    let control = compliance
        .and_then(|compliance| compliance.control.as_ref())
        .or(finding.finding_type.as_ref());
    let name = finding.finding_type.as_ref().unwrap_or(&finding.id);
    let id = match (standard, control) {
        (Some(standard), Some(control)) => format!(
            "/providers/Microsoft.Security/regulatoryComplianceStandards/{standard}/regulatoryComplianceControls/{control}/regulatoryComplianceAssessments/{name}"
        ),
        (Some(standard), None) => format!(
            "/providers/Microsoft.Security/regulatoryComplianceStandards/{standard}/regulatoryComplianceAssessments/{name}"
        ),
        _ => finding.id.clone(),
    };
    let state = finding.status.map(|status| match status {
        Status::Passed => "Passed",
        Status::Skipped | Status::Suppressed => "Skipped",
        Status::Unsupported => "Unsupported",
        _ => "Failed",
    });
    json!({
        "type": "Microsoft.Security/regulatoryComplianceStandards/regulatoryComplianceControls/regulatoryComplianceAssessments",
        "id": id,
        "name": name,
        "properties": {
            "description": finding.title,
            "state": state,
            "scope": finding.scope,
            "assessmentDetailsLink": finding.links.first().map(|link| &link.url),
        },
    })
}

fn display_name(resource: &Resource) -> &str {
    resource
        .name
        .as_deref()
        .unwrap_or_else(|| crate::resource_id::last_part(&resource.id))
}

/// Defender's words; it knows none above `High`.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "Informational",
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High | Severity::Critical => "High",
    }
}

fn vendor(source: Source) -> Option<&'static str> {
    match source {
        Source::Ocsf | Source::Quench => None,
        Source::Scc => Some("Google"),
        Source::Defender => Some("Microsoft"),
        _ => Some("AWS"),
    }
}

/// As `properties.resourceDetails.source` spells the clouds.
fn cloud(source: Source) -> Option<&'static str> {
    match source {
        Source::Ocsf => None,
        Source::Scc => Some("Gcp"),
        Source::Defender => Some("Azure"),
        _ => Some("Aws"),
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect::<Map<_, _>>(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    fn only(payload: &Value) -> Finding {
        let mut decoded = decode(payload.to_string().as_bytes());
        assert_eq!(decoded.refused, []);
        assert_eq!(decoded.findings.len(), 1);
        decoded.findings.remove(0)
    }

    #[test]
    fn an_alert_of_defender_gets_the_version_its_exports_leave_out() {
        let alert = json!({
            "SystemAlertId": "251_1", "AlertType": "SQL.DB_BruteForce", "AlertDisplayName": "Brute force", "Severity": "High",
            "Status": "New", "ProductName": "Microsoft Defender for Cloud",
        });
        let document = only(&alert).document();
        assert_eq!(document["defender"]["Version"], "3.0");
        assert_eq!(document["raw"], alert, "raw stays as it came");
        let mut versioned = alert;
        versioned["Version"] = "3.1".into();
        assert_eq!(only(&versioned).document()["defender"]["Version"], "3.1");
    }

    #[test]
    fn an_alert_in_arm_form_has_the_export_names_beside_its_own() {
        let alert = json!({
            "id": "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Security/locations/westeurope/alerts/251_1",
            "name": "251_1", "type": "Microsoft.Security/Locations/alerts",
            "properties": {"version": "2022-01-01", "alertType": "VM_EICAR", "systemAlertId": "251_1",
                "alertDisplayName": "Test", "severity": "High", "status": "Active", "timeGeneratedUtc": "2026-01-02T03:04:05Z"},
        });
        let defender = only(&alert).document()["defender"].clone();
        assert_eq!(defender["Version"], "3.0");
        assert_eq!(defender["AlertDisplayName"], "Test");
        assert_eq!(defender["TimeGenerated"], "2026-01-02T03:04:05Z");
        assert_eq!(defender["properties"], alert["properties"]);
    }

    #[test]
    fn other_kinds_of_defender_are_left_as_they_came() {
        let control = json!({
            "id": "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Security/secureScores/ascScore/secureScoreControls/c",
            "name": "c", "type": "Microsoft.Security/secureScores/secureScoreControls",
            "properties": {"displayName": "Apply system updates", "unhealthyResourceCount": 3},
        });
        assert_eq!(only(&control).document()["defender"], control);
    }
}
