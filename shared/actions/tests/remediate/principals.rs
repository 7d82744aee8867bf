use crate::contract::{Case, keeps, now, told};
use crate::world::{ACCOUNT, Peer, World, whole};
use jiff::ToSpan;
use quench_actions::aws::{Element, Service};
use quench_actions::remediate::{Effect, Entry, Fault, Goal, plan, verify};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

static NAMES: AtomicU32 = AtomicU32::new(0);

async fn iam(world: &World, operation: &str, form: &[(&str, &str)]) -> Element {
    world.query(Service::Iam, operation, form).await
}

async fn user(world: &World) -> String {
    let name = format!("eve-{}", NAMES.fetch_add(1, Ordering::Relaxed));
    iam(
        world,
        "CreateUser",
        &[("UserName", &name), ("Path", "/teams/red/")],
    )
    .await;
    name
}

async fn key(world: &World) -> (String, String) {
    let user = user(world).await;
    let made = iam(world, "CreateAccessKey", &[("UserName", &user)]).await;
    let key = made
        .text_at("CreateAccessKeyResult/AccessKey/AccessKeyId")
        .unwrap();
    (user, key.to_owned())
}

async fn look_at_key(world: &World, key: &str) -> String {
    let user = iam(world, "GetAccessKeyLastUsed", &[("AccessKeyId", key)]).await;
    let user = user
        .text_at("GetAccessKeyLastUsedResult/UserName")
        .unwrap()
        .to_owned();
    whole(&iam(world, "ListAccessKeys", &[("UserName", &user)]).await)
}

#[tokio::test]
async fn an_access_key_is_deactivated() {
    let world = World::new(Peer::Moto).await;
    let case = Case {
        applies: &["iam:UpdateAccessKey"],
        undoes: &["iam:UpdateAccessKey"],
        missing: Some("AKIANOWHERETOBEFOUND"),
        ..Case::new(&world, "deactivate-access-key")
    };
    let look = async |key: &str| look_at_key(&world, key).await;
    let (planned, key) = keeps(&case, async || key(&world).await.1, look).await;
    let user = planned.before["user"].as_str().unwrap();
    insta::assert_snapshot!(
        "active_key",
        told(&planned, &[(&key, "AKIA1"), (user, "eve")])
    );
}

#[tokio::test]
async fn the_old_and_unused_keys_of_a_user_are_deactivated() {
    let world = World::new(Peer::Moto).await;
    let (user, key) = key(&world).await;
    iam(&world, "CreateAccessKey", &[("UserName", &user)]).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/teams/red/{user}");
    let mut case = Case::new(&world, "deactivate-access-key");
    let unsaid = case.plan(&arn).await;
    assert!(matches!(unsaid, Err(Fault::Parameters(_))), "{unsaid:?}");
    case.parameters = json!({ "older_than_days": 90, "unused_days": 45 });
    assert!(case.plan(&arn).await.unwrap().nothing_to_do.is_some());
    let later = now() + (90 * 24).hours();
    let (target, given) = (case.target(&arn), case.given());
    let planned = plan(&world.aws, case.remediation(), &target, &given, later)
        .await
        .unwrap();
    assert_eq!(planned.changes.len(), 2);
    // Between two calls: one key is inactive, the other not yet.
    let form = [
        ("UserName", user.as_str()),
        ("AccessKeyId", &key),
        ("Status", "Inactive"),
    ];
    iam(&world, "UpdateAccessKey", &form).await;
    let first = case.apply(&planned, Entry::First).await;
    assert!(matches!(first, Err(Fault::Changed { .. })), "{first:?}");
    world.proxy.calls();
    assert_eq!(case.apply(&planned, Entry::Again).await, Ok(Effect::Done));
    assert_eq!(world.proxy.writes(), ["iam:UpdateAccessKey"]);
    assert_eq!(case.undo(&planned).await, Ok(Effect::Done));
    assert_eq!(world.proxy.writes(), ["iam:UpdateAccessKey"; 2]);
    let until = tokio::time::Instant::now();
    let verified = verify(&world.aws, &planned, Goal::After, until)
        .await
        .unwrap();
    let told = format!("{verified:?}");
    assert!(
        told.starts_with("NotYet") && told.contains("was \\\"Inactive\\\" and is \\\"Active\\\""),
        "{told}"
    );
    iam(
        &world,
        "DeleteAccessKey",
        &[("UserName", &user), ("AccessKeyId", &key)],
    )
    .await;
    let changed = case.undo(&planned).await;
    assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
}

async fn look_at_policies(world: &World, kind: &str, name: &str) -> String {
    let (name_is, list, get) = (
        format!("{kind}Name"),
        format!("List{kind}Policies"),
        format!("Get{kind}Policy"),
    );
    let listed = iam(world, &list, &[(&name_is, name)]).await;
    let mut seen = whole(&listed);
    for policy in listed.items(&format!("{list}Result/PolicyNames")) {
        let form = [(name_is.as_str(), name), ("PolicyName", &policy.text)];
        seen.push_str(&whole(&iam(world, &get, &form).await));
    }
    seen
}

#[tokio::test]
async fn a_user_and_a_role_are_contained() {
    for peer in [Peer::Moto, Peer::Emulator] {
        let world = World::new(peer).await;
        let arn =
            |kind: &str, name: &str| format!("arn:aws:iam::{ACCOUNT}:{kind}/teams/red/{name}");
        let missing = arn("user", "nobody");
        let case = Case {
            applies: &["iam:PutUserPolicy"],
            undoes: &["iam:DeleteUserPolicy"],
            missing: Some(&missing),
            ..Case::new(&world, "contain-iam-principal")
        };
        let user = async || arn("user", &user(&world).await);
        let name = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();
        let look = async |arn: &str| look_at_policies(&world, "User", &name(arn)).await;
        let (planned, user) = keeps(&case, user, look).await;
        let time = planned.after["policy"]
            .as_str()
            .unwrap()
            .split("TokenIssueTime\":\"")
            .nth(1)
            .unwrap();
        let time = time.split('"').next().unwrap();
        let told = told(&planned, &[(&name(&user), "eve"), (time, "<now>")]);
        insta::allow_duplicates! { insta::assert_snapshot!("user_to_contain", told) };

        let missing = arn("role", "nobody");
        let case = Case {
            applies: &["iam:PutRolePolicy"],
            undoes: &["iam:DeleteRolePolicy"],
            missing: Some(&missing),
            parameters: json!({ "only_sessions": true }),
            ..Case::new(&world, "contain-iam-principal")
        };
        let role = async || {
            let name = format!("mallory-{}", NAMES.fetch_add(1, Ordering::Relaxed));
            let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
            let form = [
                ("RoleName", name.as_str()),
                ("Path", "/teams/red/"),
                ("AssumeRolePolicyDocument", trust),
            ];
            iam(&world, "CreateRole", &form).await;
            arn("role", &name)
        };
        let look = async |arn: &str| look_at_policies(&world, "Role", &name(arn)).await;
        let (planned, role) = keeps(&case, role, look).await;
        assert_eq!(case.apply(&planned, Entry::First).await, Ok(Effect::Done));
        let other = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#;
        let form = [
            ("RoleName", name(&role)),
            ("PolicyName", "QuenchContainment".to_owned()),
            ("PolicyDocument", other.to_owned()),
        ];
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        iam(&world, "PutRolePolicy", &form).await;
        let changed = case.undo(&planned).await;
        assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
    }
}

#[tokio::test]
async fn the_password_policy_becomes_stricter_only() {
    // The emulator keeps what is left out; AWS, and moto, set it back.
    let world = World::new(Peer::Moto).await;
    let look = async |_: &str| match world
        .owner
        .query(Service::Iam, "GetAccountPasswordPolicy", &[])
        .await
    {
        Ok(answer) => whole(&answer),
        Err(error) => error.code().unwrap().to_owned(),
    };
    let mut case = Case {
        applies: &["iam:UpdateAccountPasswordPolicy"],
        undoes: &["iam:DeleteAccountPasswordPolicy"],
        ..Case::new(&world, "iam-password-policy")
    };
    let resource = format!("arn:aws:iam::{ACCOUNT}:root");
    let none = async || {
        let _ = world
            .owner
            .query(Service::Iam, "DeleteAccountPasswordPolicy", &[])
            .await;
        resource.clone()
    };
    let (planned, _) = keeps(&case, none, look).await;
    insta::assert_snapshot!("account_without_a_password_policy", told(&planned, &[]));

    case.parameters = json!({ "minimum_length": 10, "maximum_age_days": 365 });
    let form = [
        ("MinimumPasswordLength", "20"),
        ("RequireSymbols", "true"),
        ("AllowUsersToChangePassword", "true"),
        ("MaxPasswordAge", "700"),
        ("HardExpiry", "true"),
    ];
    iam(&world, "UpdateAccountPasswordPolicy", &form).await;
    let before = look("").await;
    let planned = case.plan(&resource).await.unwrap();
    insta::assert_snapshot!("account_with_a_password_policy", told(&planned, &[]));
    assert_eq!(case.apply(&planned, Entry::First).await, Ok(Effect::Done));
    assert!(case.plan(&resource).await.unwrap().nothing_to_do.is_some());
    assert_eq!(case.undo(&planned).await, Ok(Effect::Done));
    assert_eq!(look("").await, before);
    let planned = case.plan(&resource).await.unwrap();
    iam(
        &world,
        "UpdateAccountPasswordPolicy",
        &[("MinimumPasswordLength", "7")],
    )
    .await;
    for changed in [
        case.apply(&planned, Entry::First).await,
        case.undo(&planned).await,
    ] {
        assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
    }
}
