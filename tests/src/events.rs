//! Events as AWS puts them on its bus, as large as real ones, each with ids of its own.

use serde_json::{Value, json};

use crate::root;

/// A GuardDuty finding: an alert.
pub fn guardduty(number: usize) -> Value {
    let mut event = sample("guardduty-ssh-brute-force");
    let id = format!("{number:032x}");
    let detector = "arn:aws:guardduty:eu-west-1:111122223333:detector";
    event["detail"]["arn"] = json!(format!("{detector}/{:032x}/finding/{id}", 1));
    event["detail"]["id"] = json!(id);
    event["detail"]["severity"] = json!(8);
    event["detail"]["title"] = json!(format!("Brute force number {number}."));
    event
}

/// An Inspector finding: a recommendation. It is `ACTIVE` or `CLOSED`, and was updated so many minutes after ten.
pub fn inspector(number: usize, status: &str, minute: usize) -> Value {
    let mut event = sample("inspector-openssl");
    let id = format!("arn:aws:inspector2:eu-west-1:111122223333:finding/{number:032x}");
    event["detail"]["findingArn"] = json!(id);
    event["detail"]["title"] = json!(format!("Vulnerability number {number}."));
    event["detail"]["status"] = json!(status);
    let time = format!("Mon Nov 02 10:{minute:02}:00.000 UTC 2026");
    event["detail"]["updatedAt"] = json!(time);
    event["detail"]["lastObservedAt"] = json!(time);
    event
}

/// A Security Hub finding of a control that failed: a compliance change.
pub fn security_hub(number: usize) -> Value {
    let mut event = sample("security-hub-bucket-public");
    let control = "arn:aws:securityhub:eu-west-1:111122223333:security-control/S3.8";
    let id = format!("{control}/finding/00000000-0000-4000-8000-{number:012}");
    let product = "arn:aws:securityhub:eu-west-1::product/aws/securityhub";
    event["resources"] = json!([format!("{product}/{id}")]);
    let finding = &mut event["detail"]["findings"][0];
    finding["Id"] = json!(id);
    finding["Title"] = json!(format!("Public bucket number {number}."));
    finding["Resources"][0]["Id"] = json!(format!("arn:aws:s3:::bucket-{number}"));
    event
}

/// A change of a Config rule's verdict: a compliance change.
pub fn config(number: usize) -> Value {
    let mut event = sample("config-bucket-public-read");
    let detail = &mut event["detail"];
    let rule = json!(format!("bucket-rule-number-{number}."));
    let result = &mut detail["newEvaluationResult"]["evaluationResultIdentifier"];
    result["evaluationResultQualifier"]["configRuleName"] = rule.clone();
    detail["configRuleName"] = rule;
    detail["configRuleARN"] = json!(format!(
        "arn:aws:config:eu-west-1:111122223333:config-rule/config-rule-{number:06}"
    ));
    event
}

/// A payload by which the product's decoding is tested: `aws/macie-event`, say.
pub fn fixture(name: &str) -> Value {
    read(&format!("shared/findings/tests/data/{name}.json"))
}

/// A sample of the product.
pub fn sample(name: &str) -> Value {
    read(&format!("shared/automations/samples/{name}.json"))
}

fn read(path: &str) -> Value {
    let path = root().join(path);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("it is JSON")
}

/// An alert of Defender for Cloud, as a workflow automation of Azure sends it.
pub fn defender(number: usize) -> Value {
    let mut alert = sample("defender-sql-brute-force");
    alert["SystemAlertId"] = json!(format!("2517000000000000001_{number:032x}"));
    alert["AlertDisplayName"] = json!(format!("Attack on SQL number {number}."));
    alert
}

/// Somebody chose this Security Hub finding and pressed a button.
pub fn custom_action(number: usize, button: &str) -> Value {
    let mut event = security_hub(number);
    let action = format!("arn:aws:securityhub:eu-west-1:111122223333:action/custom/{button}");
    event["detail-type"] = json!("Security Hub Findings - Custom Action");
    event["resources"] = json!([action]);
    event["detail"]["actionName"] = json!(button);
    event["detail"]["actionDescription"] = json!("Tells the team");
    event
}

/// An event of each kind that rules of the hub put on a queue, each about a finding of its own, with that finding's kind and
/// source.
pub fn of_each_kind() -> Vec<(Value, &'static str, &'static str)> {
    let fixtures = [
        (
            "access-analyzer-external",
            "recommendation",
            "access_analyzer",
        ),
        (
            "access-analyzer-internal",
            "recommendation",
            "access_analyzer",
        ),
        (
            "access-analyzer-unused",
            "recommendation",
            "access_analyzer",
        ),
        ("cloudtrail-api-call", "alert", "cloudtrail"),
        ("cloudtrail-sign-in", "alert", "cloudtrail"),
        ("config-first-evaluation", "compliance", "config"),
        ("guardduty-event", "alert", "guardduty"),
        (
            "guardduty-malware-plan-warning",
            "recommendation",
            "guardduty",
        ),
        ("guardduty-malware-scan", "alert", "guardduty"),
        ("guardduty-runtime-unhealthy", "recommendation", "guardduty"),
        ("health-abuse", "alert", "health"),
        ("health-event", "alert", "health"),
        ("inspector-event", "recommendation", "inspector"),
        ("inspector-scan", "recommendation", "inspector"),
        ("macie-event", "alert", "macie"),
        ("security-hub-control", "compliance", "security_hub"),
        ("security-hub-partner-threat", "alert", "security_hub"),
        ("trusted-advisor-event", "recommendation", "trusted_advisor"),
    ];
    let mut events: Vec<(Value, &str, &str)> = fixtures
        .map(|(name, kind, source)| (fixture(&format!("aws/{name}")), kind, source))
        .to_vec();

    // A scan of the image that the fixture of Inspector is about would be of the same finding.
    events.push((sample("ecr-image-critical"), "recommendation", "ecr"));

    // What is neither a threat nor about compliance.
    let mut weakness = fixture("aws/security-hub-inspector");
    let finding = &mut weakness["detail"]["findings"][0];
    finding["Id"] = json!(format!(
        "arn:aws:inspector2:eu-west-1:111122223333:finding/{:032x}",
        0xb
    ));
    finding["Title"] = json!("CVE-2026-0001 - openssl, by Security Hub");
    events.push((weakness, "recommendation", "inspector"));

    // The second version of Security Hub tells them apart by their class.
    let imported = |findings: Value| {
        let mut event = sample("ocsf-reverse-shell");
        event["detail"]["findings"] = findings;
        event
    };
    let vulnerability = imported(json!([sample("ocsf-log4j-vulnerability")]));
    events.push((vulnerability, "recommendation", "ocsf"));
    events.push((sample("ocsf-config-recorder"), "compliance", "security_hub"));
    events.push((sample("ocsf-reverse-shell"), "alert", "ocsf"));
    events
}
