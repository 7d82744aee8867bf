use serde_json::{Map, Value, json};
use std::sync::Arc;

use crate::{Finding, Kind, Resource, Severity, Source, Status, fields::member};

/// The version that Defender's own alert policy asks for (`Version` contains `3.`), and that exported alerts leave out.
const ALERT_VERSION: &str = "3.0";

impl Finding {
    /// The document that conditions are matched against: the canonical fields, `raw` and `defender`.
    ///
    /// `raw` is narrowed to this finding where it holds several. `defender` is the payload in the shape of Defender for Cloud:
    /// as it came if Defender sent it (with `Version`, and for the ARM form the names of the export form, added to alerts), else
    /// projected from the canonical fields.
    pub fn document(&self) -> Value {
        let raw = self.own_raw();
        let defender = match self.source {
            Source::Defender => as_defender_sent_it(&raw),
            _ => projected(self),
        };
        // What is put in its place below is not to be written out first.
        let bare = Finding {
            raw: Arc::default(),
            ..self.clone()
        };
        let Ok(Value::Object(mut document)) = serde_json::to_value(&bare) else {
            // A struct with a map of texts for every member is always an object.
            return Value::Null;
        };
        document.insert("raw".to_owned(), raw);
        document.insert("defender".to_owned(), defender);
        Value::Object(document)
    }

    /// `raw`, with the other findings of the same event left out.
    fn own_raw(&self) -> Value {
        let Some(item) = self.item else {
            return Value::clone(&self.raw);
        };
        let mut raw = Value::clone(&self.raw);
        let holder = if member(&raw, "detail").is_some() {
            member_mut(&mut raw, "detail")
        } else {
            Some(&mut raw)
        };
        if let Some(Value::Array(findings)) =
            holder.and_then(|holder| member_mut(holder, "findings"))
            && item < findings.len()
        {
            findings.swap(0, item);
            findings.truncate(1);
        }
        raw
    }
}

fn member_mut<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    value
        .as_object_mut()?
        .iter_mut()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A payload of Defender, with what its own policies match on and its exports leave out.
fn as_defender_sent_it(raw: &Value) -> Value {
    let mut document = raw.clone();
    let Value::Object(members) = &mut document else {
        return document;
    };
    let is_alert = member(raw, "SystemAlertId").is_some()
        || member(raw, "properties")
            .is_some_and(|properties| member(properties, "alertType").is_some());
    if !is_alert {
        return document;
    }
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
    document
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
