//! The stack as a whole: made, deployed once more, taken away.

use std::collections::BTreeSet;

use quench_tests::aws::Aws;
use quench_tests::events::guardduty;
use quench_tests::hub::{FUNCTIONS, Hub, STACK, Settings, capital, wait_for};
use serde_json::{Value, json};

use crate::mailing;

#[test]
fn a_second_deployment_changes_nothing_and_a_deletion_keeps_what_is_to_be_kept() {
    let mut hub = mailing(&Settings::default());
    hub.put(&[guardduty(1)]);
    hub.wait_for_mails("Brute force number 1.", 1);
    let made = hub.resources();
    for queue in ["AlertQueue", "RecommendationQueue", "ComplianceQueue"] {
        assert_eq!(
            deliveries(&hub, &made[queue]),
            "20",
            "{queue}: an hour's fault"
        );
    }
    let changes = hub.deploy_again(&[]);
    assert_eq!(changes, Vec::<Value>::new());
    assert_eq!(hub.resources(), made);
    // A parameter is a change, and one that touches nothing but functions keeps what is stored.
    let changes = hub.deploy_again(&[("MailRate".to_owned(), "20".to_owned())]);
    let changed: BTreeSet<&str> = changes
        .iter()
        .map(|change| {
            change["ResourceChange"]["LogicalResourceId"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(changed, BTreeSet::from(["RunnerFunction"]));
    assert_eq!(hub.resources(), made);
    assert_eq!(hub.runs("Brute force number 1.").len(), 1);

    // An alarm on several metrics is one that AWS takes, with all of them.
    let named = json!({"AlarmNames": [made["TableThrottlesAlarm"]]});
    let alarm = hub.aws.ok("cloudwatch", "describe_alarms", &named);
    let metrics = alarm["MetricAlarms"][0]["Metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 7, "{metrics:?}");

    let before = everything(&hub.aws);
    for name in FUNCTIONS {
        assert!(
            before
                .iter()
                .any(|one| one.contains(&format!("{}Function", capital(name)))),
            "{name}: {before:?}"
        );
    }
    delete(&hub.aws, STACK);
    let left = everything(&hub.aws);
    let kept = BTreeSet::from([
        format!("table {}", made["Table"]),
        format!("key {}", made["Key"]),
    ]);
    assert_eq!(left, kept);
}

/// How often a queue delivers a message before it gives it up.
fn deliveries(hub: &Hub, queue: &str) -> String {
    let asked = json!({"QueueUrl": queue, "AttributeNames": ["RedrivePolicy"]});
    let seen = hub.aws.ok("sqs", "get_queue_attributes", &asked);
    let policy = seen["Attributes"]["RedrivePolicy"].as_str().unwrap();
    let policy: Value = serde_json::from_str(policy).unwrap();
    match &policy["maxReceiveCount"] {
        Value::String(text) => text.clone(),
        number => number.to_string(),
    }
}

/// Deletes a stack, and waits until it is gone.
pub(crate) fn delete(aws: &Aws, stack: &str) {
    let stack = json!({"StackName": stack});
    aws.ok("cloudformation", "delete_stack", &stack);
    wait_for("the end of the stack", || {
        aws.call("cloudformation", "describe_stacks", &stack).err()
    });
}

/// What stacks may have made in an account and region, by kind and name.
pub(crate) fn everything(aws: &Aws) -> BTreeSet<String> {
    let lists = [
        (
            "function",
            "lambda",
            "list_functions",
            "Functions",
            "FunctionName",
        ),
        (
            "mapping",
            "lambda",
            "list_event_source_mappings",
            "EventSourceMappings",
            "UUID",
        ),
        ("queue", "sqs", "list_queues", "QueueUrls", ""),
        ("table", "dynamodb", "list_tables", "TableNames", ""),
        ("rule", "events", "list_rules", "Rules", "Name"),
        ("bus", "events", "list_event_buses", "EventBuses", "Name"),
        ("role", "iam", "list_roles", "Roles", "RoleName"),
        ("policy", "iam", "list_policies", "Policies", "PolicyName"),
        (
            "log",
            "logs",
            "describe_log_groups",
            "logGroups",
            "logGroupName",
        ),
        (
            "alarm",
            "cloudwatch",
            "describe_alarms",
            "MetricAlarms",
            "AlarmName",
        ),
        (
            "dashboard",
            "cloudwatch",
            "list_dashboards",
            "DashboardEntries",
            "DashboardName",
        ),
        ("api", "apigatewayv2", "get_apis", "Items", "ApiId"),
        ("key", "kms", "list_keys", "Keys", "KeyId"),
        ("alias", "kms", "list_aliases", "Aliases", "AliasName"),
        (
            "identity",
            "sesv2",
            "list_email_identities",
            "EmailIdentities",
            "IdentityName",
        ),
        (
            "configuration",
            "sesv2",
            "list_configuration_sets",
            "ConfigurationSets",
            "",
        ),
        ("topic", "sns", "list_topics", "Topics", "TopicArn"),
    ];
    let mut all = BTreeSet::new();
    for (kind, service, operation, list, name) in lists {
        let ours = match kind {
            "policy" => json!({"Scope": "Local"}),
            _ => json!({}),
        };
        let seen = aws.ok(service, operation, &ours);
        for one in seen[list].as_array().into_iter().flatten() {
            let name = if name.is_empty() { one } else { &one[name] };
            let name = name.as_str().unwrap_or_default();
            let of_aws = name == "default" || name.starts_with("alias/aws/");
            if !of_aws {
                all.insert(format!("{kind} {name}"));
            }
        }
    }
    all
}
