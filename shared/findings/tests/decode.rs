//! Decodes every fixture of Defender, Security Command Center and OCSF, and keeps what came out as a snapshot.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

#[test]
fn fixtures_decode_as_their_snapshots_say() {
    for folder in ["defender", "scc", "ocsf"] {
        let files = fixtures(folder);
        assert!(files.len() > 5, "{folder} has its fixtures");
        for file in files {
            let stem = file.file_stem().unwrap().to_string_lossy();
            let decoded = quench_findings::decode(&std::fs::read(&file).unwrap());
            assert_eq!(decoded.refused, [], "{}", file.display());
            let mut shown = serde_json::to_value(&decoded).unwrap();
            for finding in shown["findings"].as_array_mut().unwrap() {
                // The payload is in the fixture already.
                finding.as_object_mut().unwrap().remove("raw");
            }
            insta::assert_json_snapshot!(format!("{folder}-{stem}"), shown);
        }
    }
}

#[test]
fn the_match_document_holds_all_three_views() {
    for name in [
        "defender/alert-export",
        "defender/alert-arm",
        "scc/notification",
        "ocsf/findings-imported-v2-several",
    ] {
        let payload = std::fs::read(data().join(format!("{name}.json"))).unwrap();
        let mut finding = quench_findings::decode(&payload).findings.pop().unwrap();
        // Shown on its own: it is long, and the same as the fixture.
        if name != "ocsf/findings-imported-v2-several"
            && finding.source != quench_findings::Source::Defender
        {
            finding.raw = json!("as it came").into();
        }
        let document = finding.document();
        insta::assert_json_snapshot!(format!("document-{}", name.replace('/', "-")), document);
    }
}

#[test]
fn raw_is_the_payload_as_it_came() {
    for name in [
        "defender/alert-export",
        "scc/notification",
        "ocsf/findings-imported-v2",
    ] {
        let payload = std::fs::read(data().join(format!("{name}.json"))).unwrap();
        let value: Value = serde_json::from_slice(&payload).unwrap();
        let decoded = quench_findings::decode(&payload);
        assert_eq!(*decoded.findings[0].raw, value);
        assert_eq!(decoded.findings[0].item, None);
    }
}

#[test]
fn each_of_several_findings_sees_its_own_part_only() {
    let payload = std::fs::read(data().join("ocsf/findings-imported-v2-several.json")).unwrap();
    let value: Value = serde_json::from_slice(&payload).unwrap();
    let decoded = quench_findings::decode(&payload);
    for (index, finding) in decoded.findings.iter().enumerate() {
        assert_eq!(finding.item, Some(index));
        assert_eq!(*finding.raw, value, "raw is the whole event");
        let document = finding.document();
        assert_eq!(
            document["raw"]["detail"]["findings"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            document["raw"]["detail"]["findings"][0],
            value["detail"]["findings"][index]
        );
        assert_eq!(
            document["raw"]["account"], "444455556666",
            "the envelope stays"
        );
    }
}

#[test]
fn a_bad_finding_does_not_spoil_the_one_beside_it() {
    let payload = std::fs::read(data().join("ocsf/findings-imported-v2-several.json")).unwrap();
    let mut value: Value = serde_json::from_slice(&payload).unwrap();
    value["detail"]["findings"][0]["severity_id"] = json!("high");
    let decoded = quench_findings::decode(value.to_string().as_bytes());
    assert_eq!(decoded.findings.len(), 1);
    assert_eq!(decoded.findings[0].item, Some(1));
    assert_eq!(
        serde_json::to_value(&decoded.refused).unwrap(),
        json!([{
            "source": "ocsf",
            "path": "detail.findings[0].severity_id",
            "reason": "expected a number, found the text `high`",
            "item": 0,
        }])
    );
}

#[test]
fn a_custom_action_is_told_with_the_findings_it_was_chosen_for() {
    let payload = std::fs::read(data().join("ocsf/findings-imported-v2-several.json")).unwrap();
    let mut event: Value = serde_json::from_slice(&payload).unwrap();
    event["detail-type"] = json!("Security Hub Findings - Custom Action");
    event["resources"] =
        json!(["arn:aws:securityhub:eu-west-1:111122223333:action/custom/isolate"]);
    event["detail"]["actionName"] = json!("Isolate");
    event["detail"]["actionDescription"] = json!("Take the machine off the network");
    let decoded = quench_findings::decode(event.to_string().as_bytes());
    assert_eq!(decoded.findings.len(), 2);
    assert_eq!(
        serde_json::to_value(&decoded.action).unwrap(),
        json!({
            "id": "isolate",
            "name": "Isolate",
            "description": "Take the machine off the network",
            "event": event["id"],
        })
    );
}

#[test]
fn the_account_is_the_findings_own_and_not_the_one_that_forwards_it() {
    let payload = std::fs::read(data().join("ocsf/findings-imported-v2.json")).unwrap();
    let finding = quench_findings::decode(&payload).findings.remove(0);
    assert_eq!(finding.raw["account"], "444455556666");
    assert_eq!(finding.account.as_deref(), Some("111122223333"));
}

#[test]
fn what_is_no_finding_is_refused_with_its_reason() {
    for (payload, path, reason) in [
        ("", "$", "is empty"),
        ("[]", "$", "holds no finding"),
        (
            "42",
            "$",
            "expected an event or a finding, found the number `42`",
        ),
        (
            "{\"a\":",
            "$",
            "is no JSON: EOF while parsing a value at line 1 column 5",
        ),
        (
            "{\"hello\":\"world\"}",
            "$",
            "is neither an event nor a finding of a source that is known",
        ),
        (
            "{\"Records\":[{\"body\":\"hello\"}]}",
            "Records[0].body",
            "is no JSON: expected value at line 1 column 1",
        ),
        (
            "{\"message\":{\"data\":\"!!\"}}",
            "message.data",
            "is no base64: invalid symbol 33, offset 0.",
        ),
        (
            "{\"source\":\"aws.s3\",\"detail-type\":\"Object Created\",\"detail\":{}}",
            "detail-type",
            "an event `Object Created` of `aws.s3` is no finding that is known",
        ),
        (
            "{\"source\":\"aws.securityhub\",\"detail-type\":\"Findings Imported V2\",\"detail\":{\"findings\":[]}}",
            "detail",
            "holds no finding",
        ),
        (
            "{\"class_uid\":9999}",
            "class_uid",
            "`9999` is no class of findings that is known",
        ),
        (
            "{\"SystemAlertId\":\"1\",\"AlertType\":\"x\",\"Severity\":\"hgih\"}",
            "Severity",
            "`hgih` is not known; expected one of `Informational`, `Low`, `Medium`, `High`, `Critical`",
        ),
    ] {
        let decoded = quench_findings::decode(payload.as_bytes());
        assert!(decoded.findings.is_empty(), "{payload}");
        assert_eq!(decoded.refused.len(), 1, "{payload}");
        assert_eq!(decoded.refused[0].path, path, "{payload}");
        assert_eq!(decoded.refused[0].reason, reason, "{payload}");
    }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(data().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}
