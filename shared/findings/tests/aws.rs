//! Decodes every fixture of AWS, keeps what came out as a snapshot, and holds the routes of one finding to agree.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its fixture should panic"
)]

use std::path::{Path, PathBuf};

use quench_findings::{
    Decoded, Finding, Kind, Severity, Source, Status, Transition, decode, transition,
};
use serde_json::{Value, json};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/aws")
}

fn payload(name: &str) -> Value {
    let bytes = std::fs::read(data().join(format!("{name}.json"))).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn read(value: &Value) -> Decoded {
    decode(value.to_string().as_bytes())
}

fn findings(name: &str) -> Vec<Finding> {
    let decoded = read(&payload(name));
    assert_eq!(decoded.refused, [], "{name}");
    decoded.findings
}

fn one(name: &str) -> Finding {
    let mut findings = findings(name);
    assert_eq!(findings.len(), 1, "{name}");
    findings.remove(0)
}

/// A fixture with one value put in another's place.
fn changed(name: &str, pointer: &str, value: Value) -> Decoded {
    let mut payload = payload(name);
    *payload.pointer_mut(pointer).unwrap() = value;
    read(&payload)
}

#[test]
fn fixtures_decode_as_their_snapshots_say() {
    let mut names: Vec<String> = std::fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() > 50);
    for name in names {
        let decoded = read(&payload(&name));
        assert_eq!(decoded.refused, [], "{name}");
        let mut shown = serde_json::to_value(&decoded).unwrap();
        for finding in shown["findings"].as_array_mut().unwrap() {
            // The payload is in the fixture already.
            finding.as_object_mut().unwrap().remove("raw");
        }
        insta::assert_json_snapshot!(format!("aws-{name}"), shown);
    }
}

#[test]
fn one_finding_by_two_routes_is_one_finding() {
    for (direct, by_hub) in [
        ("guardduty-event", "security-hub-guardduty"),
        ("guardduty-bare", "security-hub-guardduty"),
        ("macie-event", "security-hub-macie"),
        ("inspector-event", "security-hub-inspector"),
        ("access-analyzer-external", "security-hub-access-analyzer"),
        (
            "access-analyzer-unused",
            "security-hub-access-analyzer-unused",
        ),
    ] {
        let direct = one(direct);
        let by_hub = one(by_hub);
        let key = |finding: &Finding| {
            (
                finding.id.clone(),
                finding.kind,
                finding.source,
                finding.finding_type.clone(),
                finding.severity,
                finding.status,
                finding.account.clone(),
                finding.scope.clone(),
                finding.updated,
            )
        };
        assert_eq!(key(&direct), key(&by_hub));
        assert_eq!(direct.region.as_deref(), Some("eu-west-1"));
        assert_eq!(by_hub.region, direct.region, "{}", direct.source);
        for (first, second) in [(&direct, &by_hub), (&by_hub, &direct)] {
            assert_eq!(transition(None, first), Transition::Created);
            assert_eq!(transition(Some(first), second), Transition::Repeated);
        }
    }
}

#[test]
fn an_archived_finding_is_dismissed_by_either_route() {
    let open = one("guardduty-event");
    let direct = changed("guardduty-event", "/detail/service/archived", json!(true));
    let by_hub = changed(
        "security-hub-guardduty",
        "/detail/findings/0/RecordState",
        json!("ARCHIVED"),
    );
    for decoded in [direct, by_hub] {
        let finding = &decoded.findings[0];
        assert_eq!(finding.status, Some(Status::Dismissed));
        assert_eq!(transition(Some(&open), finding), Transition::Resolved);
    }
}

#[test]
fn guardduty_numbers_and_security_hub_labels_are_the_same_severities() {
    for (number, label, expected) in [
        (json!(1), "LOW", Severity::Low),
        (json!(3.9), "LOW", Severity::Low),
        (json!(4), "MEDIUM", Severity::Medium),
        (json!("6.9"), "MEDIUM", Severity::Medium),
        (json!(7.0), "HIGH", Severity::High),
        (json!(8.9), "HIGH", Severity::High),
        (json!(9), "CRITICAL", Severity::Critical),
        (json!("High"), "HIGH", Severity::High),
    ] {
        let direct = changed("guardduty-event", "/detail/severity", number);
        let by_hub = changed(
            "security-hub-guardduty",
            "/detail/findings/0/Severity",
            json!({"Label": label}),
        );
        assert_eq!(direct.findings[0].severity, expected);
        assert_eq!(by_hub.findings[0].severity, expected);
    }
    let unlabelled = changed(
        "security-hub-guardduty",
        "/detail/findings/0/Severity",
        json!({"Product": 9.1}),
    );
    assert_eq!(unlabelled.findings[0].severity, Severity::Critical);
}

#[test]
fn a_custom_action_tells_its_button_and_each_finding() {
    let decoded = read(&payload("security-hub-custom-action"));
    let action = decoded.action.unwrap();
    assert_eq!(action.id, "MendNow");
    assert_eq!(action.name.as_deref(), Some("Mend"));
    let items: Vec<_> = decoded
        .findings
        .iter()
        .map(|finding| finding.item)
        .collect();
    assert_eq!(items, [Some(0), Some(1)]);
    for (index, finding) in decoded.findings.iter().enumerate() {
        let document = finding.document();
        assert_eq!(
            document["raw"]["detail"]["findings"],
            json!([payload("security-hub-custom-action")["detail"]["findings"][index]])
        );
    }
}

#[test]
fn a_bad_finding_does_not_spoil_its_siblings() {
    let decoded = changed(
        "security-hub-custom-action",
        "/detail/findings/0/Severity/Normalized",
        json!({"high": true}),
    );
    assert_eq!(decoded.findings.len(), 1);
    assert_eq!(decoded.findings[0].item, Some(1));
    let refusal = &decoded.refused[0];
    assert_eq!(refusal.path, "detail.findings[0].Severity.Normalized");
    assert_eq!(refusal.item, Some(0));
}

#[test]
fn a_control_is_found_by_each_generation_of_names() {
    for (fields, expected) in [
        (
            json!({"Compliance": {"Status": "FAILED", "SecurityControlId": "S3.8"}, "ProductFields": {"ControlId": "S3.1"}}),
            "S3.8",
        ),
        (
            json!({"ProductFields": {"ControlId": "S3.1", "RuleId": "1.1"}}),
            "S3.1",
        ),
        (json!({"ProductFields": {"RuleId": "1.1"}}), "1.1"),
        (json!({"ProductFields": {}}), "generator"),
        (json!({"ProductFields": {}, "GeneratorId": null}), "finding"),
    ] {
        let mut finding = json!({
            "SchemaVersion": "2018-10-08", "Id": "finding", "GeneratorId": "generator", "AwsAccountId": "111122223333",
            "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/securityhub", "Title": "t", "Types": [], "Resources": [],
            "Compliance": {"Status": "FAILED"}, "Severity": {"Label": "LOW"},
        });
        for (name, value) in fields.as_object().unwrap() {
            finding[name] = value.clone();
        }
        let decoded = read(&finding);
        assert_eq!(decoded.refused, []);
        let finding = &decoded.findings[0];
        assert_eq!(finding.kind, Kind::Compliance);
        assert_eq!(
            finding.compliance.as_ref().unwrap().control.as_deref(),
            Some(expected)
        );
        assert_eq!(finding.finding_type.as_deref(), Some(expected));
    }
}

#[test]
fn account_and_region_are_the_findings_own_and_not_the_envelopes() {
    let finding = one("security-hub-control");
    assert_eq!(finding.account.as_deref(), Some("444455556666"));
    assert_eq!(finding.region.as_deref(), Some("eu-west-1"));
    let finding = one("health-event");
    assert_eq!(finding.account.as_deref(), Some("444455556666"));
    assert_eq!(finding.region.as_deref(), Some("eu-west-1"));
}

#[test]
fn a_wrong_type_where_a_value_is_needed_is_refused_with_its_path() {
    for (name, pointer, value, path) in [
        (
            "guardduty-event",
            "/detail/severity",
            json!([8]),
            "detail.severity",
        ),
        (
            "guardduty-event",
            "/detail/severity",
            json!(11),
            "detail.severity",
        ),
        ("guardduty-event", "/detail/id", json!({}), "detail.id"),
        (
            "guardduty-event",
            "/detail/service/archived",
            json!("perhaps"),
            "detail.service.archived",
        ),
        ("guardduty-event", "/detail", json!([]), "detail"),
        (
            "guardduty-get-findings",
            "/Findings/1/Type",
            json!(7),
            "Findings[1].Type",
        ),
        (
            "guardduty-runtime-unhealthy",
            "/detail/resourceDetails",
            json!(1),
            "detail.resourceDetails",
        ),
        (
            "security-hub-control",
            "/detail/findings/0/Id",
            Value::Null,
            "detail.findings[0].Id",
        ),
        (
            "security-hub-control",
            "/detail/findings/0/Severity",
            json!({"Label": "hgih"}),
            "detail.findings[0].Severity.Label",
        ),
        (
            "security-hub-control",
            "/detail/findings/0",
            json!("x"),
            "detail.findings[0]",
        ),
        (
            "macie-event",
            "/detail/severity",
            json!({"score": 9}),
            "detail.severity.score",
        ),
        (
            "inspector-event",
            "/detail/severity",
            json!("Grave"),
            "detail.severity",
        ),
        (
            "inspector-event",
            "/detail/status",
            json!("OPEN"),
            "detail.status",
        ),
        (
            "inspector-event",
            "/detail/resources",
            json!({}),
            "detail.resources",
        ),
        (
            "inspector-event",
            "/detail/updatedAt",
            json!(true),
            "detail.updatedAt",
        ),
        (
            "config-first-evaluation",
            "/detail/newEvaluationResult/complianceType",
            json!(false),
            "detail.newEvaluationResult.complianceType",
        ),
        (
            "config-first-evaluation",
            "/detail/newEvaluationResult",
            Value::Null,
            "detail.newEvaluationResult.complianceType",
        ),
        (
            "access-analyzer-external",
            "/detail/resource",
            json!(""),
            "detail.resource",
        ),
        (
            "access-analyzer-unused",
            "/detail/findingId",
            json!(null),
            "detail.id",
        ),
        (
            "trusted-advisor-event",
            "/detail/status",
            json!("BLUE"),
            "detail.status",
        ),
        (
            "health-event",
            "/detail/eventTypeCode",
            json!(4),
            "detail.eventTypeCode",
        ),
        (
            "cloudtrail-api-call",
            "/detail/eventName",
            json!([]),
            "detail.eventName",
        ),
        (
            "ecr-scan",
            "/detail/finding-severity-counts",
            json!(3),
            "detail.finding-severity-counts",
        ),
        (
            "ecr-scan",
            "/detail/finding-severity-counts/CRITICAL",
            json!("many"),
            "detail.finding-severity-counts.CRITICAL",
        ),
    ] {
        let decoded = changed(name, pointer, value);
        assert_eq!(decoded.refused.len(), 1, "{name} {pointer}: {decoded:?}");
        assert_eq!(decoded.refused[0].path, path, "{name}");
    }
}

#[test]
fn what_an_event_does_not_say_is_absent() {
    let bare = json!({
        "source": "aws.guardduty", "detail-type": "GuardDuty Finding",
        "detail": {"id": "1", "type": "Recon:EC2/Portscan", "severity": 5},
    });
    let decoded = read(&bare);
    assert_eq!(decoded.refused, []);
    let finding = &decoded.findings[0];
    assert_eq!(finding.title, "Recon:EC2/Portscan");
    assert_eq!(
        (&finding.account, &finding.region, &finding.scope),
        (&None, &None, &None)
    );
    assert_eq!((finding.status, finding.updated), (None, None));
    assert!(finding.resources.is_empty() && !finding.sample);
}

#[test]
fn events_that_are_no_findings_are_refused_with_the_reason() {
    let envelope = |source: &str, detail_type: &str, detail: Value| json!({"source": source, "detail-type": detail_type, "account": "111122223333", "region": "eu-west-1", "time": "2026-03-02T10:20:30Z", "detail": detail});
    for (event, path, reason) in [
        (
            envelope(
                "aws.config",
                "Config Configuration Item Change",
                json!({"configurationItem": {}, "messageType": "ConfigurationItemChangeNotification"}),
            ),
            "detail",
            "carries no verdict",
        ),
        (
            envelope(
                "aws.inspector2",
                "Inspector2 Coverage",
                json!({"scanType": "PACKAGE"}),
            ),
            "detail",
            "tells which resources are scanned",
        ),
        (
            envelope(
                "aws.ecr",
                "ECR Image Scan",
                json!({"scan-status": "FAILED", "repository-name": "cart"}),
            ),
            "detail.scan-status",
            "the scan did not complete (`FAILED`)",
        ),
        (
            envelope(
                "aws.guardduty",
                "GuardDuty Malware Protection Object Scan Result",
                json!({"s3ObjectDetails": {}, "scanResultDetails": {"scanResultStatus": "NO_THREATS_FOUND"}}),
            ),
            "detail.scanResultDetails.scanResultStatus",
            "the scan found no threat",
        ),
        (
            envelope(
                "aws.access-analyzer",
                "Access Preview State Change",
                json!({}),
            ),
            "detail-type",
            "is no finding that is known",
        ),
        (
            envelope(
                "aws.securityhub",
                "Security Hub Findings - Custom Action",
                json!({"findings": []}),
            ),
            "detail",
            "holds no finding",
        ),
    ] {
        let decoded = read(&event);
        assert!(decoded.findings.is_empty(), "{event}");
        assert_eq!(decoded.refused[0].path, path);
        assert!(
            decoded.refused[0].reason.contains(reason),
            "{}",
            decoded.refused[0].reason
        );
    }
}

#[test]
fn notifications_of_other_services_are_no_records_of_cloudtrail() {
    for record in [
        json!({"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventTime": "2026-03-02T10:20:30Z", "s3": {}}),
        json!({"eventID": "1", "eventSource": "aws:dynamodb", "eventName": "INSERT", "eventVersion": "1.1", "dynamodb": {}}),
    ] {
        assert!(read(&json!({"Records": [record]})).findings.is_empty());
    }
}

#[test]
fn an_event_that_somebody_replays_keeps_its_envelope() {
    let mut event = payload("health-event");
    event["source"] = json!("awshealth.mock");
    let decoded = read(&event);
    assert_eq!(decoded.refused, []);
    assert_eq!(*decoded.findings[0].raw, event);
    assert_eq!(decoded.findings[0].source, Source::Health);
}

#[test]
fn raw_is_the_event_with_its_envelope_or_the_bare_finding() {
    for name in [
        "guardduty-event",
        "guardduty-bare",
        "config-first-evaluation",
        "security-hub-custom-action",
    ] {
        assert_eq!(*findings(name)[0].raw, payload(name), "{name}");
    }
    let listed = findings("guardduty-get-findings");
    assert_eq!(
        *listed[1].raw,
        payload("guardduty-get-findings")["Findings"][1]
    );
}

#[test]
fn a_control_that_fails_passes_and_fails_again_is_told_each_time() {
    let at = |status: &str, time: &str| {
        let mut event = payload("security-hub-control");
        event["detail"]["findings"][0]["Compliance"]["Status"] = json!(status);
        event["detail"]["findings"][0]["UpdatedAt"] = json!(time);
        read(&event).findings.remove(0)
    };
    let failed = at("FAILED", "2026-03-02T10:00:00Z");
    let passed = at("PASSED", "2026-03-03T10:00:00Z");
    let again = at("FAILED", "2026-03-04T10:00:00Z");
    assert_eq!(transition(None, &failed), Transition::Created);
    assert_eq!(transition(Some(&failed), &passed), Transition::Resolved);
    assert_eq!(transition(Some(&passed), &again), Transition::Changed);
    assert_eq!(
        transition(Some(&again), &passed),
        Transition::Repeated,
        "late"
    );
}
