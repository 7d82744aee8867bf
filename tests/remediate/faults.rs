//! What goes wrong at three in the morning, and what people are told of it.

use serde_json::json;

use crate::patients::{BUCKET, GROUP};
use crate::world::{ACCOUNT, Peer, World, refused};

#[test]
fn remediations_are_told_without_store_or_account() {
    let world = World::new(BUCKET.peer);
    let listed = world.json(&["remediations", "list"]);
    assert_eq!(listed.len(), 16);
    let shown = world.ok(&["remediations", "show", "revoke-open-ingress"]);
    for word in [
        "risk medium",
        "security group",
        "exempt_networks",
        "EC2.19",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupIngress",
    ] {
        assert!(shown.contains(word), "`{word}` is not in:\n{shown}");
    }
    let unknown = world.fails(1, &["remediations", "show", "revoke-open-ingres"]);
    assert!(
        unknown.contains("did you mean `revoke-open-ingress`?"),
        "{unknown}"
    );
    assert!(!world.quench.data().exists());
}

#[test]
fn wrong_words_are_told_before_anything_is_made() {
    let world = World::new(GROUP.peer);
    let arn = format!("arn:aws:ec2:eu-central-1:{ACCOUNT}:security-group/sg-1");
    let revoke = ["remediate", "revoke-open-ingress", "--resource", &arn];
    for (code, arguments, words) in [
        (
            1,
            vec!["remediate", "revoke-open-ingres", "--resource", &arn],
            "did you mean",
        ),
        (
            2,
            vec!["remediate", "revoke-open-ingress"],
            "--resource <ARN>",
        ),
        (2, vec!["--mode", "enforced"], "possible values"),
        (1, vec!["--with", "port=22"], "did you mean `ports`?"),
        (1, vec!["--with", "ports=99999"], "is no port"),
        (2, vec!["--with", "ports"], "NAME=VALUE"),
        (
            2,
            vec!["--with", "ports=1", "--with", "ports=2"],
            "given twice",
        ),
        (2, vec!["--approver", "anna@example.com"], "--mode approve"),
        (
            1,
            vec!["--mode", "approve", "--approver", "anna"],
            "not an e-mail address",
        ),
        (
            1,
            vec!["--account", "444455556666"],
            "is not in account 444455556666",
        ),
        (
            1,
            vec!["--region", "us-east-1"],
            "is in region `eu-central-1`",
        ),
        (1, vec!["--finding", "f-1"], "there is no finding `f-1`"),
        (
            1,
            vec!["remediate", "s3-tls-only", "--resource", &arn],
            "is none of these: bucket; name it by its ARN",
        ),
        (
            2,
            vec![
                "remediate",
                "stop-ec2-instance",
                "--resource",
                "i-1",
                "--mode",
                "enforce",
            ],
            "is of high risk",
        ),
    ] {
        let all: Vec<&str> = match arguments[0] {
            "remediate" => arguments,
            _ => revoke.iter().copied().chain(arguments).collect(),
        };
        let said = world.fails(code, &all);
        assert!(said.contains(words), "{all:?}: {said}");
    }
    assert!(world.json(&["runs", "list"]).is_empty());
    assert_eq!(world.between.writes(), Vec::<String>::new());
    let none = world.fails(1, &["runs", "undo", "0123"]);
    assert!(none.contains("no run has the id `0123`"), "{none}");
}

#[test]
fn what_is_missing_or_elsewhere_is_told() {
    let world = World::new(Peer::Moto);
    let group = (GROUP.make)(&world.aws);
    let id = group.rsplit('/').next().unwrap();
    let said = world.fails(
        1,
        &[
            "remediate",
            "revoke-open-ingress",
            "--resource",
            id,
            "--account",
            ACCOUNT,
            "--region",
            "us-east-1",
        ],
    );
    for word in ["there is no security group", id, "us-east-1"] {
        assert!(said.contains(word), "{said}");
    }
    let world = World::new(Peer::Emulator);
    let said = world.fails(
        1,
        &[
            "remediate",
            "s3-block-public-access",
            "--resource",
            "arn:aws:s3:::nowhere-to-be-found",
        ],
    );
    assert!(
        said.contains("there is no bucket `nowhere-to-be-found`"),
        "{said}"
    );
}

#[test]
fn the_action_that_is_not_allowed_is_named() {
    let world = World::new(BUCKET.peer);
    let arn = (BUCKET.make)(&world.aws);
    let before = (BUCKET.look)(&world.aws, &arn);
    let deny = |call: &str| {
        call.starts_with("s3:Put")
            .then(|| refused(403, "AccessDenied", call))
    };
    world.between.refuse(deny);
    let enforce = [
        "remediate",
        "s3-block-public-access",
        "--resource",
        &arn,
        "--mode",
        "enforce",
        "--wait",
        "60",
    ];
    let said = world.fails(1, &enforce);
    assert!(
        said.contains("`s3:PutBucketPublicAccessBlock` is not allowed"),
        "{said}"
    );
    assert_eq!((BUCKET.look)(&world.aws, &arn), before);
    world.between.recover();
    // What failed is taken up again where it failed.
    let run = world.json(&["runs", "list"]).remove(0);
    let id = run["id"].as_str().unwrap();
    world.ok(&["runs", "retry", id, "--wait", "60"]);
    assert_ne!((BUCKET.look)(&world.aws, &arn), before);
}

#[test]
fn without_credentials_it_says_what_to_set() {
    let world = World::new(BUCKET.peer);
    let arn = (BUCKET.make)(&world.aws);
    let bare = |variables: &[&str], arguments: &[&str]| {
        let mut command = world.command(arguments);
        for name in variables {
            command.env_remove(name);
        }
        // No AWS CLI is there to be asked, and nobody's home.
        command.env("PATH", "/nowhere").env("HOME", "/nowhere");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    };
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let by_hand = ["remediate", "s3-block-public-access", "--resource", &arn];
    let said = bare(&keys, &by_hand);
    assert!(said.contains("AWS_ACCESS_KEY_ID"), "{said}");
    assert!(said.contains("or name the account"), "{said}");
    let named = [&by_hand[..], &["--account", ACCOUNT]].concat();
    let said = bare(&keys, &named);
    assert!(
        said.contains("AWS_ACCESS_KEY_ID") && said.contains("failed"),
        "{said}"
    );
    let said = bare(&["AWS_REGION", "AWS_DEFAULT_REGION"], &named);
    assert!(said.contains("AWS_REGION"), "{said}");
    assert_eq!(world.between.writes(), Vec::<String>::new());
}

#[test]
fn what_somebody_changed_since_is_not_overwritten_by_undoing() {
    let world = World::new(BUCKET.peer);
    let arn = (BUCKET.make)(&world.aws);
    let name = arn.rsplit(':').next().unwrap();
    let run = world.run(&[
        "remediate",
        "s3-block-public-access",
        "--resource",
        &arn,
        "--mode",
        "enforce",
        "--wait",
        "60",
    ]);
    let id = run["id"].as_str().unwrap();
    let half = json!({
        "Bucket": name,
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": true, "IgnorePublicAcls": false, "BlockPublicPolicy": true,
            "RestrictPublicBuckets": false,
        },
    });
    world.aws.ok("s3", "put_public_access_block", &half);
    let changed = (BUCKET.look)(&world.aws, &arn);
    world.between.writes();
    let said = world.fails(1, &["runs", "undo", id, "--wait", "60"]);
    for word in ["not undone", "changed since", "true", "false"] {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
    assert_eq!((BUCKET.look)(&world.aws, &arn), changed);
    assert_eq!(world.between.writes(), Vec::<String>::new());
}
