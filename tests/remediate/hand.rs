//! What people do by hand, and what they are shown.

use quench_tests::guardduty;
use serde_json::json;

use crate::patients::{BUCKET, GROUP, Patient};
use crate::world::{ACCOUNT, World};

/// Plans, enforces, undoes; what is printed tells each of it.
fn through(patient: Patient, changed: &[&str]) {
    let world = World::new(patient.peer);
    let resource = (patient.make)(&world.aws);
    let before = (patient.look)(&world.aws, &resource);
    let name = patient.remediation;
    let by_hand = [
        "remediate",
        name,
        "--resource",
        &resource,
        "--account",
        ACCOUNT,
    ];

    let planned = world.ok(&by_hand);
    for word in changed.iter().chain(&[
        "nothing was changed; to apply it: quench remediate",
        "--mode enforce",
        "mode observe",
    ]) {
        assert!(planned.contains(word), "`{word}` is not in:\n{planned}");
    }
    assert_eq!(world.between.writes(), Vec::<String>::new());
    assert_eq!((patient.look)(&world.aws, &resource), before);

    let mut enforce = by_hand.to_vec();
    enforce.extend(["--mode", "enforce", "--wait", "60"]);
    let done = world.ok(&enforce);
    for word in changed
        .iter()
        .chain(&["succeeded", "applied", "verified", "quench runs undo "])
    {
        assert!(done.contains(word), "`{word}` is not in:\n{done}");
    }
    let after = (patient.look)(&world.aws, &resource);
    assert_ne!(after, before);
    // Made for its run alone.
    assert!(world.json(&["playbooks", "list"]).is_empty());
    assert!(world.json(&["findings", "list"]).is_empty());

    let again = world.ok(&enforce);
    assert!(again.contains("nothing to do"), "{again}");
    assert_eq!((patient.look)(&world.aws, &resource), after);

    let undo = done
        .lines()
        .find_map(|line| line.split("quench runs undo ").nth(1));
    let mut undo: Vec<&str> = undo.unwrap().split(' ').collect();
    let run = undo[0];
    undo.splice(0..0, ["runs", "undo"]);
    undo.extend(["--wait", "60"]);
    let undone = world.ok(&undo);
    assert!(undone.contains("undone"), "{undone}");
    assert_eq!((patient.look)(&world.aws, &resource), before);

    let shown = world.ok(&["runs", "show", run]);
    for word in ["before", "after", "guard", "undone at"] {
        assert!(shown.contains(word), "`{word}` is not in:\n{shown}");
    }
    let listed = world.ok(&["runs", "list", "--state", "undone"]);
    assert!(
        listed.contains(run) && listed.contains("undone"),
        "{listed}"
    );
    let twice = world.fails(1, &undo);
    assert!(twice.contains("was undone before"), "{twice}");
}

#[test]
fn a_bucket_is_closed_and_opened_again() {
    through(
        BUCKET,
        &["s3-block-public-access bucket", "medium risk", "true"],
    );
}

#[test]
fn two_of_twenty_rules_go_and_come_back() {
    let changed = ["- ", "left open", "left open as well"];
    through(GROUP, &changed);
    let world = World::new(GROUP.peer);
    let resource = (GROUP.make)(&world.aws);
    let kept = "exempt_networks=::/0";
    let mend = [
        "remediate",
        "revoke-open-ingress",
        "--resource",
        &resource,
        "--with",
        kept,
        "--mode",
        "enforce",
        "--wait",
        "60",
    ];
    let run = world.run(&mend);
    assert_eq!(run["state"]["is"], "succeeded", "{run}");
    let rules = (GROUP.look)(&world.aws, &resource);
    let descriptions: Vec<&str> = rules
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|rule| rule["Description"].as_str())
        .collect();
    assert!(!descriptions.contains(&"left open"), "{descriptions:?}");
    assert!(
        descriptions.contains(&"left open as well"),
        "{descriptions:?}"
    );
}

#[test]
fn the_resource_of_a_finding_is_found_and_the_run_is_its() {
    let world = World::new(BUCKET.peer);
    let arn = (BUCKET.make)(&world.aws);
    let control = json!({
        "version": "0", "id": "5c1d3d4e-0001-0001-0001-000000000001", "account": ACCOUNT,
        "detail-type": "Security Hub Findings - Imported", "source": "aws.securityhub",
        "time": "2026-03-01T10:00:00Z", "region": "eu-central-1", "resources": [],
        "detail": {"findings": [{
            "SchemaVersion": "2018-10-08", "Id": "arn:aws:securityhub:eu-central-1:111122223333:security-control/S3.8/finding/1",
            "ProductArn": "arn:aws:securityhub:eu-central-1::product/aws/securityhub", "ProductName": "Security Hub",
            "GeneratorId": "security-control/S3.8", "AwsAccountId": ACCOUNT, "Region": "eu-central-1",
            "CreatedAt": "2026-03-01T09:00:00Z", "UpdatedAt": "2026-03-01T09:00:00Z",
            "Severity": {"Label": "HIGH"}, "Title": "Block public access", "Description": "It is off.",
            "Types": ["Software and Configuration Checks"], "Workflow": {"Status": "NEW"}, "RecordState": "ACTIVE",
            "Compliance": {"Status": "FAILED", "SecurityControlId": "S3.8"},
            "Resources": [{"Type": "AwsS3Bucket", "Id": arn, "Region": "eu-central-1", "Partition": "aws"}],
        }]},
    });
    let file = world.quench.write("finding.json", control.to_string());
    world.ok(&["ingest", file.to_str().unwrap()]);
    let findings = world.json(&["findings", "list"]);
    let id = findings[0]["id"].as_str().unwrap();
    let run = world.run(&[
        "remediate",
        "s3-block-public-access",
        "--finding",
        id,
        "--mode",
        "enforce",
        "--wait",
        "60",
    ]);
    assert_eq!(run["state"]["is"], "succeeded", "{run}");
    assert_eq!(run["finding"]["id"], id);
    assert_eq!(world.between.writes().len(), 1);
    let unfit = world.fails(1, &["remediate", "rds-not-public", "--finding", id]);
    assert!(
        unfit.contains("or take what is made for it: `s3-block-public-access`"),
        "{unfit}"
    );
}

#[test]
fn what_is_approved_waits_for_people_and_changes_nothing() {
    let world = World::new(BUCKET.peer);
    let arn = (BUCKET.make)(&world.aws);
    let asked = world.ok(&[
        "remediate",
        "s3-block-public-access",
        "--resource",
        &arn,
        "--mode",
        "approve",
        "--approver",
        "anna@example.com",
        "--wait",
        "1",
    ]);
    assert!(asked.contains("asked anna@example.com"), "{asked}");
    assert_eq!(world.between.writes(), Vec::<String>::new());
    let waiting = world.ok(&["runs", "list", "--state", "waiting"]);
    assert!(waiting.contains("approval"), "{waiting}");
    let run = world.json(&["runs", "list"]).remove(0);
    let going = world.fails(1, &["runs", "undo", run["id"].as_str().unwrap()]);
    assert!(
        going.contains("only a run that is over can be undone"),
        "{going}"
    );
}

#[test]
fn a_playbook_remediates_as_far_as_the_trigger_says() {
    let world = World::new(GROUP.peer);
    let group = (GROUP.make)(&world.aws);
    let before = (GROUP.look)(&world.aws, &group);
    let playbook = "
playbook: close
triggers: [alert]
parameters:
  group: { type: string, required: true }
steps:
  - id: close
    remediate:
      name: revoke-open-ingress
      resource: \"{{ params.group }}\"
      account: \"111122223333\"
      region: eu-central-1
";
    let file = world.quench.write("close.yaml", playbook);
    world.ok(&["apply", file.to_str().unwrap()]);
    let event = world.quench.write("event.json", guardduty(7).to_string());
    world.ok(&["ingest", event.to_str().unwrap()]);
    let finding = format!("{:032x}", 7);
    let with = format!("group={group}");
    let trigger = [
        "trigger",
        "close",
        "--finding",
        &finding,
        "--with",
        &with,
        "--wait",
        "60",
    ];
    world.ok(&trigger);
    assert_eq!((GROUP.look)(&world.aws, &group), before);
    let mut enforce = trigger.to_vec();
    enforce.extend(["--mode", "enforce"]);
    let run = world.run(&enforce);
    assert_eq!(run["state"]["is"], "succeeded", "{run}");
    assert_ne!((GROUP.look)(&world.aws, &group), before);
    let id = run["id"].as_str().unwrap();
    let unknown = world.fails(1, &["runs", "undo", id, "--step", "clsoe"]);
    assert!(unknown.contains("did you mean `close`?"), "{unknown}");
    world.ok(&["runs", "undo", id, "--step", "close", "--wait", "60"]);
    assert_eq!((GROUP.look)(&world.aws, &group), before);
}
