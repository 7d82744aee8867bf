//! Undoing after applying leaves a resource as it was, whatever it was.

use crate::contract::{Case, now};
use crate::world::{ACCOUNT, Peer, World, whole};
use crate::{groups, s3};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use quench_actions::aws::Service;
use quench_actions::remediate::{Effect, Entry, Plan};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;

const SAMPLES: usize = 24;

fn samples<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    let mut sample = || strategy.new_tree(&mut runner).unwrap().current();
    (0..SAMPLES).map(|_| sample()).collect()
}

/// Applies and undoes; says whether there was anything to do.
async fn there_and_back(
    case: &Case<'_>,
    resource: &str,
    look: impl AsyncFn(&str) -> String,
) -> (Plan, bool) {
    let before = look(resource).await;
    let planned = case.plan(resource).await.unwrap();
    let effect = case.apply(&planned, Entry::First).await;
    let expected = match planned.changes.len() {
        0 => Effect::Already,
        _ => Effect::Done,
    };
    assert_eq!(effect, Ok(expected), "{planned:?}");
    assert_eq!(
        look(resource).await == before,
        expected == Effect::Already,
        "{planned:?}"
    );
    let again = case.plan(resource).await.unwrap();
    assert_eq!(again.changes, [], "{planned:?}");
    assert_eq!(case.undo(&planned).await, Ok(expected), "{planned:?}");
    assert_eq!(look(resource).await, before, "{planned:?}");
    (planned, expected == Effect::Done)
}

#[tokio::test]
async fn it_holds_for_any_rules() {
    let world = World::new(Peer::Emulator).await;
    let networks = select(vec![
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/8",
        "198.51.100.7/32",
        "2001:db8::/32",
    ]);
    let port = select(vec![0u16, 21, 22, 80, 443, 3306, 3389, 8080, 9000, 65535]);
    let rule = (networks, port.clone(), port.clone(), "[a-z ]{1,12}[a-z]");
    let case = (vec(rule, 0..12), vec(port, 0..2));
    let mut done = 0;
    for (rules, exempt) in samples(&case) {
        let group = groups::group(&world).await;
        let mut taken = BTreeSet::new();
        for (network, one, other, description) in &rules {
            let (first, last) = (one.min(other), one.max(other));
            if taken.insert((network, first, last)) {
                let ports = (first.to_string(), last.to_string());
                groups::allow(&world, &group, (&ports.0, &ports.1), network, description).await;
            }
        }
        let case = Case {
            parameters: json!({ "exempt_ports": exempt }),
            ..Case::new(&world, "revoke-open-ingress")
        };
        let look = async |group: &str| groups::look(&world, group).await;
        let (planned, any) = there_and_back(&case, &group, look).await;
        done += usize::from(any);
        for change in &planned.changes {
            assert!(
                change.path.ends_with("/0") && change.after.is_null(),
                "{change:?}"
            );
            let (first, last) = (change.before["from"].as_u64(), change.before["to"].as_u64());
            let covered = first.unwrap()..=last.unwrap();
            assert!(
                !exempt
                    .iter()
                    .any(|&port| covered.contains(&u64::from(port))),
                "{change:?}"
            );
        }
    }
    assert!(
        (1..SAMPLES).contains(&done),
        "{done} of {SAMPLES} had anything to do"
    );
}

#[tokio::test]
async fn it_holds_for_any_password_policy() {
    // In an account of its own; it keeps what is left out, so that all that is set is set in each.
    let account = "444455556666";
    let world = World::of_account(Peer::Emulator, account).await;
    let numbers = (6u64..=128, 1u64..=24, option::of(1u64..=1095));
    let policy = (numbers, any::<[bool; 5]>());
    let wish = (
        6u64..=128,
        1u64..=24,
        option::of(1u64..=1095),
        any::<bool>(),
    );
    let resource = format!("arn:aws:iam::{account}:root");
    let mut done = 0;
    for (((length, reuse, age), flags), wish) in samples(&(policy, wish)) {
        let _ = world
            .owner
            .query(Service::Iam, "DeleteAccountPasswordPolicy", &[])
            .await;
        let names = [
            "RequireLowercaseCharacters",
            "RequireUppercaseCharacters",
            "RequireNumbers",
            "RequireSymbols",
            "AllowUsersToChangePassword",
        ];
        let mut form: Vec<(&str, String)> = names
            .into_iter()
            .zip(flags.map(|on| on.to_string()))
            .collect();
        form.push(("MinimumPasswordLength", length.to_string()));
        form.push(("PasswordReusePrevention", reuse.to_string()));
        form.extend(age.map(|age| ("MaxPasswordAge", age.to_string())));
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        world
            .query(Service::Iam, "UpdateAccountPasswordPolicy", &form)
            .await;
        let case = Case {
            account,
            parameters: json!({
                "minimum_length": wish.0, "reuse_prevention": wish.1,
                "maximum_age_days": wish.2.filter(|_| age.is_some()), "all_kinds": wish.3,
            }),
            ..Case::new(&world, "iam-password-policy")
        };
        let look = async |_: &str| {
            whole(
                &world
                    .query(Service::Iam, "GetAccountPasswordPolicy", &[])
                    .await,
            )
        };
        done += usize::from(there_and_back(&case, &resource, look).await.1);
    }
    assert!(done > 0, "none of {SAMPLES} had anything to do");
}

#[tokio::test]
async fn it_holds_for_any_bucket_policy() {
    let world = World::new(Peer::Emulator).await;
    let statement = (
        option::of("[A-Za-z]{1,8}"),
        any::<bool>(),
        select(vec!["s3:*", "s3:GetObject", "*"]),
        any::<bool>(),
        any::<bool>(),
    );
    let policy = (option::of(vec(statement, 1..4)), any::<bool>());
    let mut done = 0;
    for (number, (statements, is_pretty)) in samples(&policy).into_iter().enumerate() {
        let name = format!("law-{number}-{}", now().as_nanosecond());
        s3::make(&world, &name).await;
        let arn = format!("arn:aws:s3:::{name}");
        if let Some(statements) = statements {
            let statements: Vec<_> = statements
                .into_iter()
                .enumerate()
                .map(|(place, (id, deny, action, whole_bucket, tls))| {
                    let mut statement = json!({
                        "Effect": if deny { "Deny" } else { "Allow" },
                        "Principal": if deny { json!("*") } else { json!({ "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }) },
                        "Action": action,
                        "Resource": if whole_bucket { json!([arn, format!("{arn}/*")]) } else { json!(format!("{arn}/*")) },
                    });
                    if tls {
                        statement["Condition"] = json!({ "Bool": { "aws:SecureTransport": !deny } });
                    }
                    if let Some(id) = id {
                        statement["Sid"] = format!("{id}{place}").into();
                    }
                    statement
                })
                .collect();
            let policy = json!({ "Version": "2012-10-17", "Statement": statements });
            let text = match is_pretty {
                true => serde_json::to_string_pretty(&policy).unwrap(),
                false => policy.to_string(),
            };
            world.s3(Method::PUT, &name, "policy", &text).await.unwrap();
        }
        let case = Case::new(&world, "s3-tls-only");
        let look =
            async |_: &str| format!("{:?}", world.s3(Method::GET, &name, "policy", "").await);
        done += usize::from(there_and_back(&case, &arn, look).await.1);
    }
    assert!(
        (1..SAMPLES).contains(&done),
        "{done} of {SAMPLES} had anything to do"
    );
}
