//! `infra/deploy`, as users call it, with the AWS CLI.

use std::process::Output;

use quench_emulator::{ACCOUNT, REGION};
use quench_tests::aws::Aws;
use quench_tests::events::guardduty;
use quench_tests::hub::{Hub, Settings};
use quench_tests::root;
use serde_json::{Value, json};

use crate::MAIL_ON_ALL;

#[test]
fn the_command_shows_what_would_change_deploys_it_once_asked_and_then_finds_nothing_to_change() {
    let mut hub = Hub::undeployed(&Settings::default());
    let bucket = format!("quench-{ACCOUNT}-{REGION}");
    let automations = hub.file("automations.yaml", MAIL_ON_ALL);
    let parameters = [
        "MailFrom=Quench <quench@example.com>",
        "MailIdentity=example.com",
        "CreateMailIdentity=true",
        "DeletionProtection=false",
    ];

    // Nobody is there to be asked: what would change is shown, and nothing is changed.
    let shown = deploy(&hub, &parameters);
    assert!(!shown.status.success(), "{}", told(&shown));
    for line in [
        "+ AlertQueue  AWS::SQS::Queue",
        "+ RunnerFunction  ",
        "nobody is there to be asked",
    ] {
        assert!(told(&shown).contains(line), "{line}: {}", told(&shown));
    }
    assert_eq!(stacks(&hub), 0, "{}", told(&shown));
    is_guarded(&hub.aws, &bucket);

    let named = automations.to_string_lossy();
    let mut options = vec!["--yes", "--automations", &named];
    options.extend(parameters);
    let made = deploy(&hub, &options);
    assert!(made.status.success(), "{}", told(&made));
    hub.adopt();
    let settings = String::from_utf8(made.stdout.clone()).unwrap();
    let table = format!("export QUENCH_TABLE={}\n", hub.output("Table"));
    assert!(settings.contains(&table), "{settings}");
    // What was applied holds, and what was deployed works.
    hub.put(&[guardduty(1)]);
    hub.wait_for_mails("Brute force number 1.", 1);

    // What is not said again stays as it was.
    let resources = hub.resources();
    let again = deploy(&hub, &["--yes"]);
    assert!(again.status.success(), "{}", told(&again));
    assert!(told(&again).contains("nothing changes"), "{}", told(&again));
    assert_eq!(String::from_utf8(again.stdout).unwrap(), settings);
    assert_eq!(hub.resources(), resources);

    // The template that the organisation's accounts get is the one that is here, told by its contents.
    hub.proxy.calls();
    let preview = [
        "organization",
        "--preview",
        "OrganizationalUnits=ou-abcd-12345678",
    ];
    let regions = format!("Regions={REGION},us-east-1");
    let shown = deploy(&hub, &[&preview[..], &[regions.as_str()]].concat());
    // The emulator knows no StackSets, so what it was asked is looked at instead of what it would do.
    let unknown = "Unrecognized resource types: [AWS::CloudFormation::StackSet]";
    assert!(told(&shown).contains(unknown), "{}", told(&shown));
    assert_eq!(stacks(&hub), 1, "a preview makes no stack");
    let calls = hub.proxy.calls().into_iter();
    let mut calls = calls.map(|call| decoded(&call.request.body));
    let asked = calls
        .rfind(|body| body.contains("Action=CreateChangeSet"))
        .unwrap();
    for (name, output) in [
        ("HubBusArn", "BusArn"),
        ("HubRunnerRoleArn", "RunnerRoleArn"),
    ] {
        let pair = format!("ParameterKey={name}&");
        let value = format!("ParameterValue={}&", hub.output(output));
        assert!(
            asked.contains(&pair) && asked.contains(&value),
            "{name}: {asked}"
        );
    }
    let objects = hub.aws.ok(
        "s3",
        "list_objects_v2",
        &json!({"Bucket": bucket, "Prefix": "templates/"}),
    );
    let objects = objects["Contents"].as_array().unwrap();
    let keys: Vec<&str> = objects
        .iter()
        .filter_map(|object| object["Key"].as_str())
        .collect();
    let member = keys
        .iter()
        .find(|key| key.ends_with("/member.yaml"))
        .unwrap();
    assert!(
        asked.contains(&format!("/{bucket}/{member}&")),
        "{member}: {asked}"
    );
    let object = hub.aws.ok(
        "s3",
        "get_object",
        &json!({"Bucket": bucket, "Key": member}),
    );
    let here = std::fs::read_to_string(root().join("infra/member.yaml")).unwrap();
    assert!(
        object["Body"] == Value::String(here),
        "{member} is another template"
    );
}

fn deploy(hub: &Hub, options: &[&str]) -> Output {
    let mut command = hub.shell("infra/deploy");
    let (what, options) = match options.split_first() {
        Some((&"organization", rest)) => (&options[..1], rest),
        _ => (&[][..], options),
    };
    command.args(what).arg("--no-package").args(options);
    command.output().unwrap()
}

/// What a command said to people.
fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stacks(hub: &Hub) -> usize {
    let seen = hub.aws.ok("cloudformation", "describe_stacks", &json!({}));
    seen["Stacks"].as_array().map_or(0, Vec::len)
}

/// That nobody but the account reaches a bucket, nobody without TLS, and that what is overwritten can be had back.
fn is_guarded(aws: &Aws, bucket: &str) {
    let asked = json!({"Bucket": bucket});
    let block = aws.ok("s3", "get_public_access_block", &asked);
    let block = block["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert!(
        block.len() == 4 && block.values().all(|on| on == true),
        "{block:?}"
    );
    let policy = aws.ok("s3", "get_bucket_policy", &asked);
    let policy: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(
        policy["Statement"],
        json!([{
            "Sid": "OnlyOverTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }])
    );
    let versions = aws.ok("s3", "get_bucket_versioning", &asked);
    assert_eq!(versions["Status"], "Enabled");
    let rules = aws.ok("s3", "get_bucket_lifecycle_configuration", &asked);
    let rule = &rules["Rules"][0];
    assert_eq!(rule["NoncurrentVersionExpiration"]["NoncurrentDays"], 90);
    assert_eq!(
        rule["Expiration"],
        Value::Null,
        "what a stack was made from is kept"
    );
}

/// A form as text, with what was escaped in it.
fn decoded(body: &[u8]) -> String {
    let mut decoded = Vec::new();
    let mut rest = body;
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned() + "&"
}
