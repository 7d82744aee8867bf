use crate::contract::{Case, keeps, told};
use crate::world::{ACCOUNT, Peer, World};
use quench_actions::aws::{Request, Service};
use quench_actions::remediate::{Effect, Entry, Fault};
use quench_emulator::REGION;
use reqwest::Method;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

static BUCKETS: AtomicU32 = AtomicU32::new(0);

pub(crate) async fn make(world: &World, name: &str) {
    let place = format!("<LocationConstraint>{REGION}</LocationConstraint>");
    let place = format!("<CreateBucketConfiguration>{place}</CreateBucketConfiguration>");
    world.s3(Method::PUT, name, "", &place).await.unwrap();
}

async fn bucket(world: &World) -> String {
    let name = format!("logs-{}", BUCKETS.fetch_add(1, Ordering::Relaxed));
    make(world, &name).await;
    let _ = world
        .s3(Method::DELETE, &name, "publicAccessBlock", "")
        .await;
    format!("arn:aws:s3:::{name}")
}

fn name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap()
}

fn block(on: [bool; 4]) -> String {
    let names = [
        "BlockPublicAcls",
        "IgnorePublicAcls",
        "BlockPublicPolicy",
        "RestrictPublicBuckets",
    ];
    let flags: String = names
        .iter()
        .zip(on)
        .map(|(name, on)| format!("<{name}>{on}</{name}>"))
        .collect();
    let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
    format!(
        "<PublicAccessBlockConfiguration xmlns=\"{namespace}\">{flags}</PublicAccessBlockConfiguration>"
    )
}

async fn look(world: &World, arn: &str) -> String {
    let mut seen = String::new();
    for part in ["publicAccessBlock", "policy", "website", "acl"] {
        let answer = world.s3(Method::GET, name(arn), part, "").await;
        seen.push_str(&format!("{part}: {answer:?}\n"));
    }
    seen
}

#[tokio::test]
async fn public_access_to_a_bucket_is_blocked() {
    let world = World::new(Peer::Emulator).await;
    let case = Case {
        applies: &["s3:PutBucketPublicAccessBlock"],
        undoes: &["s3:PutBucketPublicAccessBlock"],
        missing: Some("arn:aws:s3:::nowhere-to-be-found"),
        ..Case::new(&world, "s3-block-public-access")
    };
    let (planned, arn) = keeps(
        &case,
        async || bucket(&world).await,
        async |arn: &str| look(&world, arn).await,
    )
    .await;
    insta::assert_snapshot!(
        "bucket_without_a_block",
        told(&planned, &[(name(&arn), "logs")])
    );
    let half = async || {
        let arn = bucket(&world).await;
        let half = block([true, false, true, false]);
        world
            .s3(Method::PUT, name(&arn), "publicAccessBlock", &half)
            .await
            .unwrap();
        arn
    };
    let (planned, arn) = keeps(&case, half, async |arn: &str| look(&world, arn).await).await;
    insta::assert_snapshot!(
        "bucket_with_half_a_block",
        told(&planned, &[(name(&arn), "logs")])
    );

    let planned = case.plan(&arn).await.unwrap();
    let other = block([false, false, true, true]);
    world
        .s3(Method::PUT, name(&arn), "publicAccessBlock", &other)
        .await
        .unwrap();
    for entry in [Entry::First, Entry::Again] {
        let changed = case.apply(&planned, entry).await.unwrap_err();
        let Fault::Changed { planned, found } = &changed else {
            panic!("it is not told that it changed: {changed:?}");
        };
        assert_eq!(planned["block"]["BlockPublicAcls"], true);
        assert_eq!(found["block"]["BlockPublicAcls"], false);
    }
    let changed = case.undo(&planned).await.unwrap_err();
    assert_eq!(
        changed.to_string(),
        "the resource changed since: `block.BlockPublicAcls` was true and is false; \
         `block.IgnorePublicAcls` was true and is false"
    );
}

#[tokio::test]
async fn a_website_is_closed_only_if_one_says_so() {
    let world = World::new(Peer::Emulator).await;
    let arn = bucket(&world).await;
    let site = "<WebsiteConfiguration><IndexDocument><Suffix>i.html</Suffix></IndexDocument></WebsiteConfiguration>";
    world
        .s3(Method::PUT, name(&arn), "website", site)
        .await
        .unwrap();
    let mut case = Case::new(&world, "s3-block-public-access");
    let refused = case.plan(&arn).await;
    assert!(matches!(refused, Err(Fault::Guard(_))), "{refused:?}");
    case.parameters = json!({ "even_website": true });
    let planned = case.plan(&arn).await.unwrap();
    assert_eq!(planned.warnings.len(), 1);
    assert_eq!(case.apply(&planned, Entry::First).await, Ok(Effect::Done));
}

#[tokio::test]
async fn public_access_to_an_account_is_blocked() {
    // The emulator has no such setting.
    let (account, world) = (ACCOUNT, World::new(Peer::Moto).await);
    let send = async |method, body: String| {
        let path = ["v20180820", "configuration", "publicAccessBlock"];
        let mut request = Request::new(method, &path);
        request
            .headers
            .insert("x-amz-account-id", account.parse().unwrap());
        request.body = body.into();
        let answer = world
            .owner
            .send(Service::S3Control, "PublicAccessBlock", request)
            .await;
        match answer {
            Ok(answer) => String::from_utf8(answer.body.to_vec()).unwrap(),
            Err(error) => error.code().unwrap().to_owned(),
        }
    };
    let case = Case {
        account,
        applies: &["s3:PutAccountPublicAccessBlock"],
        undoes: &["s3:PutAccountPublicAccessBlock"],
        ..Case::new(&world, "s3-block-public-access")
    };
    let make = async || {
        send(Method::DELETE, String::new()).await;
        format!("AWS::::Account:{account}")
    };
    let (planned, _) = keeps(&case, make, async |_| {
        send(Method::GET, String::new()).await
    })
    .await;
    insta::assert_snapshot!("account_without_a_block", told(&planned, &[]));

    let elsewhere = World::of_account(Peer::Emulator, "444455556666").await;
    let stranger = Case {
        world: &elsewhere,
        ..case
    };
    let refused = stranger.plan(&format!("AWS::::Account:{account}")).await;
    let Err(Fault::Guard(reason)) = refused else {
        panic!("credentials of another account are taken: {refused:?}");
    };
    assert!(
        reason.contains(ACCOUNT) && reason.contains(account),
        "{reason}"
    );
}

const POLICY: &str = r#"{ "Version": "2012-10-17",  "Id": "kept",
  "Statement": { "Sid": "read", "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::444455556666:root" },
    "Action": "s3:GetObject", "Resource": "arn:aws:s3:::BUCKET/*" } }"#;

#[tokio::test]
async fn a_bucket_is_reached_over_tls_alone() {
    let world = World::new(Peer::Emulator).await;
    let mut case = Case {
        applies: &["s3:PutBucketPolicy"],
        undoes: &["s3:DeleteBucketPolicy"],
        missing: Some("arn:aws:s3:::nowhere-to-be-found"),
        ..Case::new(&world, "s3-tls-only")
    };
    let looks = async |arn: &str| look(&world, arn).await;
    let (planned, arn) = keeps(&case, async || bucket(&world).await, looks).await;
    insta::assert_snapshot!(
        "bucket_without_a_policy",
        told(&planned, &[(name(&arn), "logs")])
    );

    case.undoes = &["s3:PutBucketPolicy"];
    let with_policy = async || {
        let arn = bucket(&world).await;
        let policy = POLICY.replace("BUCKET", name(&arn));
        world
            .s3(Method::PUT, name(&arn), "policy", &policy)
            .await
            .unwrap();
        arn
    };
    let arn = with_policy().await;
    let before = look(&world, &arn).await;
    let planned = case.plan(&arn).await.unwrap();
    insta::assert_snapshot!(
        "bucket_with_a_policy",
        told(&planned, &[(name(&arn), "logs")])
    );
    assert_eq!(case.apply(&planned, Entry::First).await, Ok(Effect::Done));
    let merged = world
        .s3(Method::GET, name(&arn), "policy", "")
        .await
        .unwrap();
    assert!(
        merged.contains("\"kept\"") && merged.contains("QuenchDenyInsecureTransport"),
        "{merged}"
    );
    assert_eq!(case.undo(&planned).await, Ok(Effect::Done));
    assert_eq!(
        look(&world, &arn).await,
        before,
        "not restored letter by letter"
    );

    let planned = case.plan(&arn).await.unwrap();
    world
        .s3(Method::DELETE, name(&arn), "policy", "")
        .await
        .unwrap();
    let changed = case.apply(&planned, Entry::First).await;
    assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
    let changed = case.undo(&planned).await;
    assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
}
