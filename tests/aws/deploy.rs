//! `infra/deploy`, as users call it, with the AWS CLI.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use quench_emulator::{ACCOUNT, REGION, STACK_SET_MADE, STACK_SET_REMOVED};
use quench_tests::aws::Aws;
use quench_tests::events::{custom_action, guardduty};
use quench_tests::http::Response;
use quench_tests::hub::{Hub, STACK, Settings, wait_for};
use quench_tests::stack::{self, Template};
use quench_tests::{binary, root};
use serde_json::{Value, json};

use crate::members::{self, MEMBER};
use crate::sources::succeeded;
use crate::stack::{delete, everything};

const BUTTON: &str = "TellTheTeam";
const ORGANIZATION: &str = "quench-members";

#[test]
fn the_command_shows_what_would_change_deploys_it_once_asked_and_then_finds_nothing_to_change() {
    let mut hub = Hub::undeployed(&Settings::default());
    let bucket = format!("quench-{ACCOUNT}-{REGION}");
    let automations = hub.file("threats.yaml", &of_the_gallery("notify-email-on-threat"));
    let with = json!({"to": ["team@example.com"]});
    let actions = json!({BUTTON: {"playbook": "notify-email", "with": with}});
    let actions = format!("CustomActions={actions}");
    let parameters = [
        "MailFrom=Quench <quench@example.com>",
        "MailIdentity=example.com",
        "CreateMailIdentity=true",
        "DeletionProtection=false",
        &actions,
    ];
    let buttons = security_hub_of(&hub);

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
    assert_eq!(*buttons.lock().unwrap(), [OF_ANOTHER]);
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
    // What reports in one region alone can be heard from there.
    let (bus, runner) = (hub.output("BusArn"), hub.output("RunnerRoleArn"));
    let elsewhere = format!(
        "  infra/deploy member --region us-east-1 HubBusArn={bus} HubRunnerRoleArn={runner}\n"
    );
    assert!(told(&made).contains(&elsewhere), "{}", told(&made));
    // What was applied holds, and what was deployed works.
    hub.put(&[guardduty(1)]);
    hub.wait_for_mails("[HIGH] Brute force number 1.", 1);
    assert_eq!(*buttons.lock().unwrap(), [OF_ANOTHER, BUTTON]);
    hub.put(&[custom_action(1, BUTTON)]);
    let run = wait_for("the run of the button", || {
        hub.runs("Public bucket number 1.").pop()
    });
    let run = succeeded(&hub, run["id"].as_str().unwrap());
    assert_eq!(run["playbook"], "notify-email");

    // What is not said again stays as it was, and a button is made once.
    let resources = hub.resources();
    let again = deploy(&hub, &["--yes"]);
    assert!(again.status.success(), "{}", told(&again));
    assert!(told(&again).contains("nothing changes"), "{}", told(&again));
    assert!(!told(&again).contains(BUTTON), "{}", told(&again));
    assert_eq!(String::from_utf8(again.stdout).unwrap(), settings);
    assert_eq!(hub.resources(), resources);
    assert_eq!(*buttons.lock().unwrap(), [OF_ANOTHER, BUTTON]);

    // Members forward to the hub of this account and region, if nothing else is said.
    let preview = ["organization", "--preview", UNIT];
    let regions = format!("Regions={REGION},us-east-1");
    hub.proxy.calls();
    let shown = deploy(&hub, &[&preview[..], &[regions.as_str()]].concat());
    assert!(shown.status.success(), "{}", told(&shown));
    let line = "+ Members  AWS::CloudFormation::StackSet";
    assert!(told(&shown).contains(line), "{}", told(&shown));
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
}

#[test]
fn what_a_first_deployment_that_fails_leaves_is_told_and_can_be_removed_as_told() {
    let hub = Hub::undeployed(&Settings::default());
    let before = everything(&hub.aws);
    // Lambda takes code from buckets of its own region alone.
    let abroad = hub.in_region("us-east-1");
    abroad.ok("s3", "create_bucket", &json!({"Bucket": "abroad"}));
    let failed = deploy(&hub, &["--yes", "--bucket", "abroad"]);
    assert!(!failed.status.success(), "{}", told(&failed));
    let told = told(&failed);
    assert!(told.contains("ROLLBACK_COMPLETE"), "{told}");
    let commands: Vec<&str> = told
        .lines()
        .filter_map(|line| line.strip_prefix("    aws "))
        .collect();
    assert_eq!(commands.len(), 3, "{told}");
    delete(&hub.aws, STACK);
    assert_eq!(everything(&hub.aws).len(), before.len() + 2, "{told}");
    for command in commands {
        let mut aws = hub.shell("target/tools/infra/bin/aws");
        let done = aws.args(command.split(' ')).output().unwrap();
        assert!(done.status.success(), "{command}: {done:?}");
    }
    let keys = hub.aws.ok("kms", "list_keys", &json!({}));
    for key in keys["Keys"].as_array().unwrap() {
        let asked = json!({"KeyId": key["KeyId"]});
        let seen = hub.aws.ok("kms", "describe_key", &asked);
        assert_eq!(seen["KeyMetadata"]["KeyState"], "PendingDeletion");
    }
    let mut left = everything(&hub.aws);
    left.retain(|one| !one.starts_with("key "));
    assert_eq!(left, before);
}

#[test]
fn the_command_refuses_what_cannot_be_meant_before_it_changes_anything() {
    let hub = Hub::undeployed(&Settings::default());
    let file = hub.file("parameters.txt", "# For tests.\nArchitecture=x86_64\n");
    let file = file.to_string_lossy();
    for (options, expected) in [
        (&["--arch", "arm64", "--parameters", &*file][..], "`x86_64`"),
        (&["--arch", "mips"], "`mips` is no architecture of Lambda"),
        (&["Architecture=mips"], "`mips` is no architecture"),
        (&["--automations", "nowhere.yaml"], "no `nowhere.yaml`"),
        (&["--stack", "Quench"], "`Quench` is no name"),
        (&["member", "--automations", &*file], "is for the hub"),
    ] {
        let refused = deploy(&hub, options);
        assert!(!refused.status.success(), "{options:?}");
        assert!(told(&refused).contains(expected), "{}", told(&refused));
    }
    for (options, expected) in [
        (
            &["CustomActions={Tell}"][..],
            "`CustomActions` must be JSON",
        ),
        (&["Senders=[]"], "`Senders` must be JSON, an object: []"),
        (&["MailForm=a"], "did you mean `MailFrom`?"),
        (
            &["member", "--yes"],
            "infra/member.yaml needs `HubBusArn=…`, `HubRunnerRoleArn=…`",
        ),
    ] {
        let refused = deploy(&hub, options);
        assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
        assert!(told(&refused).contains(expected), "{}", told(&refused));
    }
    let buckets = hub.aws.ok("s3", "list_buckets", &json!({}));
    assert_eq!(buckets["Buckets"], json!([]));
    assert_eq!(stacks(&hub), 0);
}

#[test]
fn the_command_makes_a_member_changes_it_and_what_it_made_goes_with_the_stack() {
    let hub = Hub::undeployed(&Settings::default());
    let member = hub.in_account(MEMBER);
    let before = everything(&member);
    let parameters = format!(
        "# What this account lets the hub do.\n{BUS}\n{RUNNER}\n\nRemediate=true\n\
         ExternalId=an-external-id-of-tests\nAllowStorage=true\nAllowNetwork=true\n"
    );
    let parameters = hub.file("member.txt", &parameters);
    let named = parameters.to_string_lossy();
    // The command line has the last word.
    let options = [
        "member",
        "--yes",
        "--parameters",
        &named,
        "AllowNetwork=false",
    ];
    let made = deploy_in(&hub, MEMBER, &options);
    assert!(made.status.success(), "{}", told(&made));
    assert_eq!(made.stdout, b"", "a member has no settings");
    is_guarded(&member, &format!("quench-{MEMBER}-{REGION}"));
    let first = stack::resources(&member, members::STACK);
    for name in ["FindingsRule", "RemediationRole", "StoragePolicy"] {
        assert!(first.contains_key(name), "{name}: {first:?}");
    }
    assert!(!first.contains_key("NetworkPolicy"), "{first:?}");
    assert_eq!(stacks(&hub), 0, "it is in the other account");

    let again = deploy_in(&hub, MEMBER, &["member", "--yes"]);
    assert!(again.status.success(), "{}", told(&again));
    assert!(told(&again).contains("nothing changes"), "{}", told(&again));
    assert_eq!(stack::resources(&member, members::STACK), first);
    let changed = deploy_in(&hub, MEMBER, &["member", "--yes", "AllowStorage=false"]);
    assert!(changed.status.success(), "{}", told(&changed));
    let line = "  - StoragePolicy  AWS::IAM::ManagedPolicy\n";
    assert!(told(&changed).contains(line), "{}", told(&changed));
    let mut rest = first;
    rest.remove("StoragePolicy");
    assert_eq!(stack::resources(&member, members::STACK), rest);

    delete(&member, members::STACK);
    assert_eq!(everything(&member), before);
}

#[test]
fn an_organisation_is_switched_on_and_off_again_and_leaves_nothing() {
    let hub = Hub::undeployed(&Settings::default());
    let before = everything(&hub.aws);
    let regions = format!("Regions={REGION},us-east-1");
    let options = ["organization", "--yes", "RollOut=false", UNIT, BUS, RUNNER];
    let off = deploy(&hub, &[&options[..], &[&regions]].concat());
    assert!(off.status.success(), "{}", told(&off));
    let resources = || stack::resources(&hub.aws, ORGANIZATION);
    assert_eq!(resources().keys().collect::<Vec<_>>(), ["Presence"]);
    assert_eq!(stack_sets(&hub), (Vec::new(), 0));

    let template = std::fs::read_to_string(root().join("infra/organization.yaml")).unwrap();
    let template = Template::Body(template);
    let url = format!("https://example.com/{ORGANIZATION}/member.yaml");
    let all = |more: &[(&str, &str)]| -> Vec<(String, String)> {
        let all = [UNIT, BUS, RUNNER, &regions].map(|pair| pair.split_once('=').unwrap());
        let all = [&all[..], &[("MemberTemplateUrl", &*url)], more].concat();
        let all = all.into_iter();
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let deployed = |set: &str, more: &[(&str, &str)]| -> BTreeSet<String> {
        let deployed = stack::deploy(&hub.aws, ORGANIZATION, &template, &all(more), set);
        let changes = deployed.changes.iter().map(|change| {
            let change = &change["ResourceChange"];
            let text = |part: &str| change[part].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("Action"), text("LogicalResourceId"))
        });
        changes.collect()
    };
    let is = |change: &str| BTreeSet::from([change.to_owned()]);
    let accounts = ("ExceptAccounts", MEMBER);
    assert_eq!(deployed("on", &[accounts]), is("Add Members"));
    assert_eq!(deployed("again", &[accounts]), BTreeSet::new());
    // A role has one name in all regions, so it is made in one of them, which is one that the members are in.
    let secret = ("ExternalId", "an-external-id-of-tests");
    let on = [accounts, ("Remediate", "true"), ("AllowStorage", "true")];
    let refused =
        |more: &[(&str, &str)]| stack::refusal(&hub.aws, ORGANIZATION, &template, &all(more));
    let elsewhere = [&on[..], &[secret, ("HomeRegion", "us-west-2")]].concat();
    for refused in [refused(&[&on[..], &[secret]].concat()), refused(&elsewhere)] {
        assert!(
            refused.contains("needs HomeRegion, one of Regions"),
            "{refused}"
        );
    }
    let refused = refused(&[&on[..], &[("HomeRegion", REGION)]].concat());
    assert!(refused.contains("needs ExternalId"), "{refused}");
    let switched = [&on[..], &[secret, ("HomeRegion", REGION)]].concat();
    assert_eq!(deployed("change", &switched), is("Modify Members"));
    let (made, removed) = stack_sets(&hub);
    assert_eq!((made.len(), removed), (2, 0), "{made:?}");
    let [first, second] = &made[..] else {
        unreachable!()
    };
    assert_eq!(first["TemplateURL"], url);
    assert_eq!(
        first["StackInstancesGroup"],
        json!([{
            "DeploymentTargets": {
                "OrganizationalUnitIds": ["ou-abcd-12345678"],
                "AccountFilterType": "DIFFERENCE",
                "Accounts": [MEMBER],
            },
            "Regions": [REGION, "us-east-1"],
        }])
    );
    let handed = |set: &Value, name: &str| -> Value {
        let parameters = set["Parameters"].as_array().unwrap();
        let mut of_name = parameters.iter().filter(|one| one["ParameterKey"] == name);
        of_name.next().unwrap()["ParameterValue"].clone()
    };
    assert_eq!(handed(first, "HubBusArn"), BUS.split_once('=').unwrap().1);
    assert_eq!(handed(first, "AllowStorage"), "false");
    assert_eq!(handed(second, "AllowStorage"), "true");

    assert_eq!(
        deployed("off", &[("RollOut", "false")]),
        is("Remove Members")
    );
    assert_eq!(deployed("still", &[("RollOut", "false")]), BTreeSet::new());
    assert_eq!(resources().keys().collect::<Vec<_>>(), ["Presence"]);
    assert_eq!(stack_sets(&hub).1, 1);
    delete(&hub.aws, ORGANIZATION);
    assert_eq!(everything(&hub.aws), before);
}

const UNIT: &str = "OrganizationalUnits=ou-abcd-12345678";
const BUS: &str = "HubBusArn=arn:aws:events:eu-central-1:444455556666:event-bus/quench";
const RUNNER: &str = "HubRunnerRoleArn=arn:aws:iam::444455556666:role/quench-RunnerRole";
/// A button that is in Security Hub already, whose id ends as another's.
const OF_ANOTHER: &str = "DoNotTellTheTeam";

/// The stack sets that the emulator was asked to make or change, and how many it was asked to remove.
fn stack_sets(hub: &Hub) -> (Vec<Value>, usize) {
    let log = hub.emulator.log();
    let lines = |begin: &'static str| log.lines().filter_map(move |line| line.strip_prefix(begin));
    let made = lines(STACK_SET_MADE).map(|set| serde_json::from_str(set).unwrap());
    (made.collect(), lines(STACK_SET_REMOVED).count())
}

/// Stands for the two calls of Security Hub that the emulator lacks, and tells the ids of the buttons that there are (AWS
/// Security Hub API Reference, `DescribeActionTargets` and `CreateActionTarget`).
fn security_hub_of(hub: &Hub) -> Arc<Mutex<Vec<String>>> {
    let buttons = Arc::new(Mutex::new(vec![OF_ANOTHER.to_owned()]));
    let of_proxy = Arc::clone(&buttons);
    let arn = |id: &str| format!("arn:aws:securityhub:{REGION}:{ACCOUNT}:action/custom/{id}");
    hub.proxy.refuse(move |call| {
        let mut buttons = of_proxy.lock().unwrap();
        match call.operation.as_str() {
            "POST /actionTargets/get" => {
                let targets = buttons.iter().map(
                    |id| json!({"ActionTargetArn": arn(id), "Name": id, "Description": "A button"}),
                );
                let targets: Vec<Value> = targets.collect();
                Some(Response::json(200, &json!({"ActionTargets": targets})))
            }
            "POST /actionTargets" => {
                let asked: Value = serde_json::from_slice(&call.request.body).unwrap();
                let id = asked["Id"].as_str().unwrap().to_owned();
                let name = asked["Name"].as_str().unwrap();
                let is_right = (1..=20).contains(&name.len()) && asked["Description"].is_string();
                if !is_right || buttons.contains(&id) {
                    return Some(Response::json(409, &json!({"Code": "ResourceConflict"})));
                }
                let answer = json!({"ActionTargetArn": arn(&id)});
                buttons.push(id);
                Some(Response::json(200, &answer))
            }
            _ => None,
        }
    });
    buttons
}

/// A template of the gallery as its user would have it, with an address of their own.
fn of_the_gallery(name: &str) -> String {
    let mut printed = Command::new(binary());
    let printed = printed
        .args(["playbooks", "gallery", name])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{}", told(&printed));
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains("security@example.com"), "{printed}");
    printed.replace("security@example.com", "team@example.com")
}

fn deploy(hub: &Hub, options: &[&str]) -> Output {
    command(hub, options).output().unwrap()
}

/// Deploys with the credentials of another account, whose number the emulator takes for its access key.
fn deploy_in(hub: &Hub, account: &str, options: &[&str]) -> Output {
    let mut command = command(hub, options);
    command.env("AWS_ACCESS_KEY_ID", account).output().unwrap()
}

fn command(hub: &Hub, options: &[&str]) -> Command {
    let mut command = hub.shell("infra/deploy");
    let (what, options) = match options.split_first() {
        Some((&("organization" | "member"), rest)) => (&options[..1], rest),
        _ => (&[][..], options),
    };
    command.args(what).arg("--no-package").args(options);
    command
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
