//! What a finding sets off, from payload to mail.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use quench_tests::{Quench, guardduty, mail_on};
use serde_json::{Value, json};

fn defender_alert(id: &str, title: &str, severity: &str) -> Value {
    json!({
        "VendorName": "Microsoft",
        "AlertType": "SQL.DB_BruteForce",
        "ProductName": "Microsoft Defender for Cloud",
        "StartTimeUtc": "2026-02-01T08:00:00.0000000Z",
        "EndTimeUtc": "2026-02-01T08:05:00.0000000Z",
        "TimeGenerated": "2026-02-01T08:06:00.000Z",
        "Severity": severity,
        "Status": "New",
        "IsIncident": false,
        "SystemAlertId": id,
        "AzureResourceId": "/subscriptions/00000000-0000-0000-0000-0000000000aa/resourceGroups/data/providers/Microsoft.Sql/servers/s1",
        "CompromisedEntity": "s1",
        "AlertDisplayName": title,
        "Description": "Somebody is guessing passwords.",
        "Entities": [],
        "ResourceIdentifiers": [],
        "AlertUri": "https://portal.azure.com/#blade/alert"
    })
}

fn assessment(status: &str, changed: &str) -> Value {
    let machine = "/subscriptions/00000000-0000-0000-0000-0000000000aa/resourceGroups/rg1/providers/Microsoft.Compute/virtualMachines/vm1";
    json!({
        "assessmentEventDataEnrichment": { "action": "Insert", "apiVersion": "2019-01-01", "isSnapshot": false },
        "tenantId": "00000000-0000-0000-0000-0000000000cc",
        "type": "Microsoft.Security/assessments",
        "id": format!("{machine}/providers/Microsoft.Security/assessments/1f655fb7-63ca-4980-91a3-56dbc2b715c6"),
        "name": "1f655fb7-63ca-4980-91a3-56dbc2b715c6",
        "properties": {
            "resourceDetails": { "source": "Azure", "id": machine },
            "displayName": "Disks should be encrypted",
            "status": { "code": status, "statusChangeDate": changed, "firstEvaluationDate": "2026-01-01T00:00:00Z" },
            "metadata": { "displayName": "Disks should be encrypted", "severity": "High", "description": "d", "remediationDescription": "r" },
            "links": { "azurePortal": "portal.azure.com/#blade/x" }
        }
    })
}

fn sub_assessment() -> Value {
    let parent = assessment("Unhealthy", "2026-01-02T00:00:00Z");
    json!({
        "type": "Microsoft.Security/assessments/subAssessments",
        "id": format!("{}/subassessments/s1", parent["id"].as_str().unwrap()),
        "name": "s1",
        "properties": {
            "id": "CVE-2026-0001",
            "displayName": "A vulnerable package",
            "status": { "code": "Unhealthy", "severity": "High" },
            "timeGenerated": "2026-01-02T00:00:00Z",
            "resourceDetails": { "source": "Azure", "id": parent["properties"]["resourceDetails"]["id"] },
            "additionalData": { "assessedResourceType": "GeneralVulnerability" }
        }
    })
}

fn asff_of_guardduty(number: usize) -> Value {
    let event = guardduty(number);
    json!({
        "version": "0",
        "id": "11111111-0000-0000-0000-000000000000",
        "detail-type": "Security Hub Findings - Imported",
        "source": "aws.securityhub",
        "account": "444455556666",
        "time": "2026-03-01T10:05:00Z",
        "region": "eu-west-1",
        "resources": [event["detail"]["arn"]],
        "detail": { "findings": [{
            "SchemaVersion": "2018-10-08",
            "Id": event["detail"]["arn"],
            "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/guardduty",
            "ProductName": "GuardDuty",
            "CompanyName": "Amazon",
            "GeneratorId": format!("arn:aws:guardduty:eu-west-1:111122223333:detector/{:032x}", 7),
            "AwsAccountId": "111122223333",
            "Region": "eu-west-1",
            "Types": ["TTPs/Initial Access/UnauthorizedAccess:EC2-SSHBruteForce"],
            "FirstObservedAt": "2026-03-01T09:00:00.000Z",
            "LastObservedAt": "2026-03-01T09:30:00.000Z",
            "CreatedAt": "2026-03-01T09:10:00.000Z",
            "UpdatedAt": "2026-03-01T09:40:00.000Z",
            "Severity": { "Product": 8, "Label": "HIGH", "Normalized": 70 },
            "Title": event["detail"]["title"],
            "Description": event["detail"]["description"],
            "Resources": [{ "Type": "AwsEc2Instance", "Id": "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0", "Partition": "aws", "Region": "eu-west-1" }],
            "WorkflowState": "NEW",
            "Workflow": { "Status": "NEW" },
            "RecordState": "ACTIVE"
        }]}
    })
}

fn with_rules(trigger: &str, when: &str) -> Quench {
    let quench = Quench::new();
    quench.write("rules/all.yaml", mail_on(trigger, when));
    quench.ok(["apply", "rules"]);
    quench
}

#[track_caller]
fn ingest(quench: &Quench, payload: &Value) -> Vec<Value> {
    let path = quench.write("payload.json", payload.to_string());
    quench.json(["ingest".as_ref(), path.as_os_str()])
}

#[test]
fn title_contains_sql_and_severity_high_fires_for_that_alert_alone() {
    let quench = with_rules(
        "alert",
        "when:\n  - title: { contains: SQL }\n    severity: high",
    );
    ingest(
        &quench,
        &defender_alert("a1", "Brute force on a sql server", "High"),
    );
    ingest(
        &quench,
        &defender_alert("a2", "Brute force on a SQL server", "Medium"),
    );
    ingest(
        &quench,
        &defender_alert("a3", "Brute force on a virtual machine", "High"),
    );
    ingest(&quench, &assessment("Unhealthy", "2026-01-02T00:00:00Z"));
    ingest(&quench, &guardduty(1));
    let mails = quench.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].subject, "Brute force on a sql server");
    assert_eq!(mails[0].to, "team@example.com");
}

#[test]
fn a_recommendation_that_comes_and_goes_and_comes_fires_twice() {
    for when in ["", "when:\n  - status: unhealthy"] {
        let quench = with_rules("recommendation", when);
        let steps = [
            ("Unhealthy", "2026-01-02T00:00:00Z", 1),
            ("Unhealthy", "2026-01-02T00:00:00Z", 1),
            ("Healthy", "2026-01-03T00:00:00Z", 1),
            ("Healthy", "2026-01-03T00:00:00Z", 1),
            ("Unhealthy", "2026-01-04T00:00:00Z", 2),
            ("Unhealthy", "2026-01-04T00:00:00Z", 2),
        ];
        for (status, changed, runs) in steps {
            ingest(&quench, &assessment(status, changed));
            assert_eq!(
                quench.json(["runs", "list"]).len(),
                runs,
                "{when} {status} {changed}"
            );
        }
        ingest(&quench, &sub_assessment());
        assert_eq!(
            quench.json(["runs", "list"]).len(),
            2,
            "a part of it fires nothing"
        );
        assert_eq!(quench.mails().len(), 2);
    }
}

#[test]
fn an_automation_may_ask_for_parts_of_findings() {
    let quench = with_rules("recommendation", "sub_findings: true");
    ingest(&quench, &sub_assessment());
    assert_eq!(quench.mails().len(), 1);
}

#[test]
fn the_same_finding_by_guardduty_and_by_security_hub_is_one() {
    for swapped in [false, true] {
        let quench = with_rules("alert", "");
        let mut routes = [guardduty(5), asff_of_guardduty(5)];
        if swapped {
            routes.reverse();
        }
        for route in &routes {
            ingest(&quench, route);
        }
        assert_eq!(quench.json(["findings", "list"]).len(), 1);
        assert_eq!(quench.json(["runs", "list"]).len(), 1);
        assert_eq!(quench.mails().len(), 1);
    }
}

#[test]
fn a_payload_twice_makes_one_run_and_one_mail() {
    let quench = with_rules("alert", "");
    ingest(&quench, &guardduty(1));
    ingest(&quench, &guardduty(1));
    assert_eq!(quench.json(["runs", "list"]).len(), 1);
    assert_eq!(quench.mails().len(), 1);
}

#[test]
fn a_run_tells_why_it_was_made_and_what_it_did() {
    let quench = with_rules("alert", "when:\n  - severity: { at_least: high }");
    ingest(&quench, &guardduty(1));
    let runs = quench.json(["runs", "list"]);
    let shown = quench.json(["runs", "show", runs[0]["id"].as_str().unwrap()]);
    let explanation = &shown[0]["started_by"]["automation"]["explanation"];
    let condition = &explanation["sets"][0]["conditions"][0];
    assert_eq!(condition["held"], true, "{explanation}");
    assert_eq!(condition["seen"][0], "high", "{explanation}");
    let events: Vec<&str> = shown[0]["journal"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["path"] == "mail")
        .map(|entry| entry["event"]["is"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["started", "succeeded"]);
}

#[test]
fn a_playbook_can_be_started_by_hand_for_any_stored_finding() {
    let quench = with_rules("compliance", "");
    ingest(&quench, &guardduty(1));
    assert!(quench.mails().is_empty());
    let id = format!("{:032x}", 1);
    quench.ok(["trigger", "mail", "--finding", &id]);
    assert_eq!(quench.mails().len(), 1);
    let output = quench.output(["trigger", "mial", "--finding", &id]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `mail`"));
}

#[test]
fn an_unknown_payload_is_refused_and_its_neighbours_are_not() {
    let quench = with_rules("alert", "");
    quench.write("in/1.json", guardduty(1).to_string());
    quench.write("in/2.json", r#"{"hello": "world"}"#);
    quench.write("in/3.json", "{ not json");
    quench.write("in/4.json", guardduty(4).to_string());
    let output = quench.output(["ingest", "in"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(quench.mails().len(), 2);
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("2.json") && said.contains("3.json"), "{said}");
}

#[test]
fn every_sample_goes_through_and_is_marked() {
    let quench = with_rules("alert", "");
    let samples = quench.json(["samples", "list"]);
    assert!(samples.len() >= 30);
    // One of them comes by a button, which starts what it is for.
    let sent = quench
        .command(["samples", "send", "--all"])
        .env("QUENCH_ACTIONS", r#"{"remediate": {"playbook": "mail"}}"#)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success(), "{said}");
    let findings = quench.json(["findings", "list", "--limit", "1000"]);
    assert!(findings.len() >= 30, "{}", findings.len());
    assert!(findings.iter().all(|finding| finding["sample"] == true));
    let alerts = findings
        .iter()
        .filter(|finding| finding["kind"] == "alert")
        .count();
    assert!(quench.mails().len() >= alerts / 2 && !quench.mails().is_empty());
}

#[test]
fn a_button_that_starts_nothing_is_told() {
    let quench = with_rules("alert", "");
    let sent = quench.output(["samples", "send", "security-hub-custom-action"]);
    assert_eq!(sent.status.code(), Some(1));
    let said = String::from_utf8_lossy(&sent.stderr);
    assert!(said.contains("`remediate` starts no playbook"), "{said}");
    assert!(said.contains("QUENCH_ACTIONS"), "{said}");
}

#[test]
fn a_disabled_automation_does_not_fire() {
    let quench = with_rules("alert", "");
    quench.ok(["automations", "disable", "all"]);
    ingest(&quench, &guardduty(1));
    quench.ok(["automations", "enable", "all"]);
    ingest(&quench, &guardduty(2));
    assert_eq!(quench.mails().len(), 1);
}

#[test]
fn all_is_taken_in_even_when_nobody_reads_what_is_said() {
    let quench = with_rules("alert", "");
    for number in 0..60 {
        quench.write(
            &format!("in/{number:02}.json"),
            guardduty(number).to_string(),
        );
    }
    let mut child = quench
        .command(["--json", "ingest", "in"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(quench.mails().len(), 60);
}

#[test]
fn a_wrong_command_line_is_told_apart_from_a_failure() {
    let quench = with_rules("alert", "");
    for wrong in [
        vec!["findings", "list", "--kind", "alrt"],
        vec!["runs", "list", "--state", "bogus"],
        vec!["trigger", "mail", "--finding", "x", "--with", "to"],
        vec![
            "trigger",
            "mail",
            "--finding",
            "x",
            "--with",
            "a=1",
            "--with",
            "a=2",
        ],
        vec!["nothing"],
    ] {
        assert_eq!(quench.output(&wrong).status.code(), Some(2), "{wrong:?}");
    }
    for failing in [vec!["findings", "show", "x"], vec!["ingest", "none.json"]] {
        assert_eq!(
            quench.output(&failing).status.code(),
            Some(1),
            "{failing:?}"
        );
    }
}
