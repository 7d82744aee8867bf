//! Member accounts: what they forward, and what the hub may do in them.

use std::collections::BTreeSet;

use quench_actions::remediate::{Kind, Remediation, Target, session_policy};
use quench_emulator::{ACCOUNT, REGION};
use quench_tests::aws::Aws;
use quench_tests::events::{guardduty, of_each_kind, security_hub};
use quench_tests::hub::{Hub, Settings, put_events, wait_for};
use quench_tests::root;
use quench_tests::stack::{self, Template};
use serde_json::{Value, json};

use crate::sources::{hear_calls, taken_in};
use crate::{CLOUDTRAIL_EVENTS, hub, mailing};

pub(crate) const MEMBER: &str = "111122223333";
pub(crate) const STRANGER: &str = "444455556666";
pub(crate) const STACK: &str = "quench-member";
const EXTERNAL_ID: &str = "an-external-id-of-tests";
/// What a member allows, one by one.
pub(crate) const SWITCHES: [&str; 10] = [
    "AllowFindings",
    "AllowStorage",
    "AllowNetwork",
    "AllowInstances",
    "AllowIdentity",
    "AllowDatabases",
    "AllowEncryption",
    "AllowSharing",
    "AllowAudit",
    "AllowContainment",
];

#[test]
fn what_a_member_hears_reaches_the_hub_through_its_bus() {
    let listed = ("CloudTrailEvents", CLOUDTRAIL_EVENTS);
    let parameters = [("MemberAccounts", MEMBER), listed];
    let hub = mailing(&Settings {
        parameters: parameters
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..Settings::default()
    });
    let member = hub.in_account(MEMBER);
    join_with(&hub, &member, &[], &[listed]);
    hear_calls(&member, &stack::resources(&member, STACK));
    hear_calls(&hub.aws, &hub.resources());
    let events = of_each_kind();
    let put: Vec<Value> = events.iter().map(|(event, ..)| event.clone()).collect();
    put_events(&member, "default", &put);
    taken_in(&hub, &events);
    put_events(&member, "default", &[guardduty(1)]);
    hub.wait_for_mails("Brute force number 1.", 1);
    // Events that did not reach the hub are kept, and an alarm of the region's topic tells.
    let alarm = &stack::resources(&member, STACK)["UndeliveredAlarm"];
    let seen = member.ok(
        "cloudwatch",
        "describe_alarms",
        &json!({"AlarmNames": [alarm]}),
    );
    let topic = format!("arn:aws:sns:{REGION}:{MEMBER}:alarms");
    assert_eq!(seen["MetricAlarms"][0]["AlarmActions"], json!([topic]));
    assert_eq!(seen["MetricAlarms"][0]["OKActions"], json!([topic]));
}

#[test]
fn what_the_hub_hears_by_itself_is_not_forwarded_to_it_too() {
    let hub = hub();
    let bus = json!({"TargetArn": hub.output("BusArn")});
    let forwarding =
        |aws: &Aws| aws.ok("events", "list_rule_names_by_target", &bus)["RuleNames"].clone();
    join(&hub, &hub.aws, &[]);
    assert_eq!(forwarding(&hub.aws), json!([]));
    let resources = stack::resources(&hub.aws, STACK);
    assert_eq!(resources.keys().collect::<Vec<_>>(), ["Presence"]);

    // In its other regions it is a member as any other.
    let abroad = hub.in_region("us-east-1");
    join(&hub, &abroad, &[]);
    let rule = &stack::resources(&abroad, STACK)["FindingsRule"];
    assert_eq!(forwarding(&abroad), json!([rule]));
    put_events(&abroad, "default", &[guardduty(400)]);
    hub.wait_for_mails("Brute force number 400.", 1);
}

#[test]
fn runner_alone_takes_the_roles_of_members_and_only_with_the_external_id() {
    let hub = hub_that_remediates();
    let (member, stranger) = (hub.in_account(MEMBER), hub.in_account(STRANGER));
    for account in [&member, &stranger] {
        join(&hub, account, &SWITCHES);
    }
    let runner = session_of(&hub, "RunnerRole");
    let take = |aws: &Aws, account: &str, with: &Value| {
        let mut asked = json!({
            "RoleArn": format!("arn:aws:iam::{account}:role/quench/QuenchRemediation"),
            "RoleSessionName": "test",
        });
        for (name, value) in with.as_object().unwrap() {
            asked[name] = value.clone();
        }
        aws.call("sts", "assume_role", &asked)
    };
    let right = json!({"ExternalId": EXTERNAL_ID});
    take(&runner, MEMBER, &right).unwrap();
    let refused = [
        take(&runner, MEMBER, &json!({})),
        take(
            &runner,
            MEMBER,
            &json!({"ExternalId": "another-external-id"}),
        ),
        take(&runner, STRANGER, &right),
        take(&session_of(&hub, "ManualRole"), MEMBER, &right),
        take(&session_of(&hub, "ScheduleRole"), MEMBER, &right),
    ];
    for answer in refused {
        assert_eq!(answer.unwrap_err().code, "AccessDenied");
    }

    // A session is cut down to what one remediation of one resource needs.
    for bucket in ["logs", "others"] {
        let place = json!({"LocationConstraint": REGION});
        let made = json!({"Bucket": bucket, "CreateBucketConfiguration": place});
        member.ok("s3", "create_bucket", &made);
    }
    let target = Target::read("arn:aws:s3:::logs", &[Kind::Bucket], MEMBER, REGION).unwrap();
    let policy = session_policy(Remediation::S3BlockPublicAccess, &target).to_string();
    let cut = json!({"ExternalId": EXTERNAL_ID, "Policy": policy});
    let session = hub.with_session(&take(&runner, MEMBER, &cut).unwrap());
    let block = |bucket: &str| {
        let all = json!({
            "BlockPublicAcls": true,
            "IgnorePublicAcls": true,
            "BlockPublicPolicy": true,
            "RestrictPublicBuckets": true,
        });
        let asked = json!({"Bucket": bucket, "PublicAccessBlockConfiguration": all});
        session.call("s3", "put_public_access_block", &asked)
    };
    block("logs").unwrap();
    assert_eq!(block("others").unwrap_err().code, "AccessDenied");
    let read = session.call("s3", "get_bucket_policy", &json!({"Bucket": "logs"}));
    assert_eq!(read.unwrap_err().code, "AccessDenied");

    // Switched off, it takes none.
    let mut hub = hub;
    hub.deploy_again(&[]);
    let runner = session_of(&hub, "RunnerRole");
    assert_eq!(
        take(&runner, MEMBER, &right).unwrap_err().code,
        "AccessDenied"
    );
}

const MEND: &str = r#"
playbook: close-bucket
description: Closes a bucket.
triggers: [compliance]
steps:
  - remediate: { name: s3-block-public-access, region: eu-central-1 }
---
playbook: rotate-key
description: Has a key rotated.
triggers: [alert]
steps:
  - remediate:
      name: kms-key-rotation
      resource: arn:aws:kms:eu-central-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef
---
automation: close-buckets
trigger: compliance
run: [{ playbook: close-bucket }]
mode: enforce
---
automation: rotate-keys
trigger: alert
run: [{ playbook: rotate-key }]
mode: enforce
"#;

#[test]
fn runner_mends_in_a_member_what_that_allows_and_nothing_else() {
    let hub = hub_that_remediates();
    let member = hub.in_account(MEMBER);
    join(&hub, &member, &["AllowStorage"]);
    let place = json!({"LocationConstraint": REGION});
    let bucket = json!({"Bucket": "bucket-1", "CreateBucketConfiguration": place});
    member.ok("s3", "create_bucket", &bucket);
    hub.apply(MEND);
    hub.put(&[security_hub(1), guardduty(1)]);

    let ended = |title: &str| {
        wait_for(&format!("the end of the run for `{title}`"), || {
            let run = hub.runs(title).into_iter().next()?;
            let run = hub.run(run["id"].as_str()?);
            let state = run["state"]["is"].as_str()?;
            ["succeeded", "stopped", "failed"]
                .contains(&state)
                .then_some(run)
        })
    };
    let mended = ended("Public bucket number 1.");
    assert_eq!(mended["state"]["is"], "succeeded", "{mended}");
    let asked = json!({"Bucket": "bucket-1"});
    let block = member.ok("s3", "get_public_access_block", &asked);
    let block = block["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert!(
        block.len() == 4 && block.values().all(|on| on == true),
        "{block:?}"
    );

    let refused = ended("Brute force number 1.");
    assert_eq!(refused["state"]["is"], "failed", "{refused}");
    let told = refused.to_string();
    assert!(told.contains("AccessDenied"), "{told}");
}

#[test]
fn only_runner_is_told_how_to_remediate_and_only_where_it_may() {
    let mut hub = hub_that_remediates();
    let told = |hub: &Hub| -> BTreeSet<String> {
        let functions = hub.aws.ok("lambda", "list_functions", &json!({}));
        let functions = functions["Functions"].as_array().unwrap();
        let variables = functions.iter().flat_map(|function| {
            let name = function["FunctionName"].as_str().unwrap_or_default();
            let name = name.trim_start_matches("quench-");
            let function_name = name.split('-').next().unwrap_or_default().to_owned();
            let variables = function["Environment"]["Variables"].as_object();
            variables
                .into_iter()
                .flatten()
                .map(move |(name, value)| (function_name.clone(), name.clone(), value.clone()))
        });
        variables
            .filter(|(_, name, _)| name.contains("REMEDIATION") || name.contains("EXTERNAL"))
            .map(|(function, name, value)| {
                format!("{function} {name} {}", value.as_str().unwrap_or_default())
            })
            .collect()
    };
    let expected = [
        "RunnerFunction QUENCH_REMEDIATION_ROLE quench/QuenchRemediation".to_owned(),
        format!("RunnerFunction QUENCH_EXTERNAL_ID {EXTERNAL_ID}"),
    ];
    assert_eq!(told(&hub), BTreeSet::from(expected));
    hub.deploy_again(&[]);
    assert_eq!(told(&hub), BTreeSet::new());
}

/// A hub that may take roles in one account besides its own.
pub(crate) fn hub_that_remediates() -> Hub {
    let parameters = [
        ("MemberAccounts", MEMBER),
        ("Remediate", "true"),
        ("ExternalId", EXTERNAL_ID),
    ];
    Hub::deploy(&Settings {
        authorize: true,
        parameters: parameters
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..Settings::default()
    })
}

/// Makes an account a member that allows these; without any, it only forwards.
pub(crate) fn join(hub: &Hub, account: &Aws, switches: &[&str]) {
    join_with(hub, account, switches, &[]);
}

/// The same, with more parameters.
pub(crate) fn join_with(hub: &Hub, account: &Aws, switches: &[&str], more: &[(&str, &str)]) {
    let template = std::fs::read_to_string(root().join("infra/member.yaml")).unwrap();
    let topic = format!("arn:aws:sns:us-east-1:{MEMBER}:alarms");
    let mut parameters = vec![
        ("HubBusArn", hub.output("BusArn")),
        ("HubRunnerRoleArn", hub.output("RunnerRoleArn")),
        ("AlarmTopicArn", &topic),
    ];
    if !switches.is_empty() {
        parameters.push(("Remediate", "true"));
        parameters.push(("ExternalId", EXTERNAL_ID));
    }
    parameters.extend(more);
    parameters.extend(switches.iter().map(|switch| (*switch, "true")));
    let parameters: Vec<(String, String)> = parameters
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let template = Template::Body(template);
    stack::deploy(account, STACK, &template, &parameters, "first");
}

/// A session of a role of the hub's stack, which Lambda alone may take: so the test has the role trust its own account too.
fn session_of(hub: &Hub, role: &str) -> Aws {
    let role = &hub.resources()[role];
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")},
        "Action": "sts:AssumeRole",
    }]});
    let asked = json!({"RoleName": role, "PolicyDocument": trust.to_string()});
    hub.aws.ok("iam", "update_assume_role_policy", &asked);
    let asked = json!({
        "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"),
        "RoleSessionName": "test",
    });
    hub.with_session(&hub.aws.ok("sts", "assume_role", &asked))
}
