use crate::contract::{Case, keeps, told};
use crate::world::{ACCOUNT, Peer, World};
use quench_actions::aws::Service;
use quench_actions::remediate::{Effect, Entry, Fault};
use quench_emulator::REGION;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

static TRAILS: AtomicU32 = AtomicU32::new(0);

/// An answer without what changes by itself.
fn steady(mut answer: Value, changing: &[&str]) -> String {
    if let Some(fields) = answer.as_object_mut() {
        for name in changing {
            fields.remove(*name);
        }
    }
    answer.to_string()
}

async fn trail(world: &World) -> String {
    let name = format!("trail-{}", TRAILS.fetch_add(1, Ordering::Relaxed));
    let place = format!(
        "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
    );
    world.s3(Method::PUT, &name, "", &place).await.unwrap();
    let body = json!({ "Name": name, "S3BucketName": name });
    let made = world.json(Service::CloudTrail, "CreateTrail", &body).await;
    // AWS makes trails that do not log yet.
    world
        .json(Service::CloudTrail, "StopLogging", &json!({ "Name": name }))
        .await;
    made["TrailARN"].as_str().unwrap().to_owned()
}

async fn look_at_trail(world: &World, arn: &str) -> String {
    let name = json!({ "Name": arn });
    let trail = world.json(Service::CloudTrail, "GetTrail", &name).await;
    let status = world
        .json(Service::CloudTrail, "GetTrailStatus", &name)
        .await;
    format!("{trail} {}", status["IsLogging"])
}

#[tokio::test]
async fn a_trail_logs_and_is_validated() {
    let world = World::new(Peer::Emulator).await;
    let missing = format!("arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/nowhere");
    let mut case = Case {
        applies: &["cloudtrail:UpdateTrail", "cloudtrail:StartLogging"],
        undoes: &["cloudtrail:UpdateTrail", "cloudtrail:StopLogging"],
        missing: Some(&missing),
        ..Case::new(&world, "cloudtrail-logging")
    };
    let look = async |arn: &str| look_at_trail(&world, arn).await;
    let (planned, arn) = keeps(&case, async || trail(&world).await, look).await;
    let name = arn.rsplit('/').next().unwrap();
    insta::assert_snapshot!(
        "trail_that_does_not_log",
        told(&planned, &[(name, "trail")])
    );

    case.parameters = json!({ "multi_region": true });
    let before = look(&arn).await;
    let planned = case.plan(&arn).await.unwrap();
    assert_eq!(case.apply(&planned, Entry::First).await, Ok(Effect::Done));
    assert!(look(&arn).await.contains("\"IsMultiRegionTrail\":true"));
    assert_eq!(case.undo(&planned).await, Ok(Effect::Done));
    assert_eq!(look(&arn).await, before);

    let planned = case.plan(&arn).await.unwrap();
    let body = json!({ "Name": arn, "IncludeGlobalServiceEvents": false });
    world.json(Service::CloudTrail, "UpdateTrail", &body).await;
    let changed = case.apply(&planned, Entry::First).await;
    assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
}

async fn key(world: &World) -> String {
    let made = world.json(Service::Kms, "CreateKey", &json!({})).await;
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

async fn look_at_key(world: &World, arn: &str) -> String {
    let id = json!({ "KeyId": arn });
    let key = world.json(Service::Kms, "DescribeKey", &id).await;
    let rotation = world.json(Service::Kms, "GetKeyRotationStatus", &id).await;
    // The emulator tells a period of a key that is not rotated; AWS tells none.
    let rotation = match rotation["KeyRotationEnabled"] == true {
        true => rotation.to_string(),
        false => "none".to_owned(),
    };
    format!(
        "{} {rotation}",
        steady(key["KeyMetadata"].clone(), &["DeletionDate"])
    )
}

#[tokio::test]
async fn a_key_is_rotated() {
    let world = World::new(Peer::Emulator).await;
    let missing =
        format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555");
    let case = Case {
        applies: &["kms:EnableKeyRotation"],
        undoes: &["kms:DisableKeyRotation"],
        missing: Some(&missing),
        ..Case::new(&world, "kms-key-rotation")
    };
    let look = async |arn: &str| look_at_key(&world, arn).await;
    let (planned, arn) = keeps(&case, async || key(&world).await, look).await;
    let id = arn.rsplit('/').next().unwrap();
    insta::assert_snapshot!("key_that_is_not_rotated", told(&planned, &[(id, "key")]));

    let planned = case.plan(&arn).await.unwrap();
    let body = json!({ "KeyId": arn, "RotationPeriodInDays": 100 });
    world.json(Service::Kms, "EnableKeyRotation", &body).await;
    for changed in [
        case.apply(&planned, Entry::First).await,
        case.undo(&planned).await,
    ] {
        assert!(matches!(changed, Err(Fault::Changed { .. })), "{changed:?}");
    }
    let spec = json!({ "KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY" });
    let made = world.json(Service::Kms, "CreateKey", &spec).await;
    let unfit = case
        .plan(made["KeyMetadata"]["Arn"].as_str().unwrap())
        .await;
    assert!(matches!(unfit, Err(Fault::Unsupported(_))), "{unfit:?}");
}

#[tokio::test]
async fn a_key_is_kept_from_deletion() {
    let world = World::new(Peer::Emulator).await;
    let missing =
        format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555");
    let case = Case {
        applies: &["kms:CancelKeyDeletion", "kms:EnableKey"],
        undoes: &["kms:ScheduleKeyDeletion"],
        missing: Some(&missing),
        ..Case::new(&world, "kms-cancel-key-deletion")
    };
    let make = async || {
        let arn = key(&world).await;
        let body = json!({ "KeyId": arn, "PendingWindowInDays": 10 });
        world.json(Service::Kms, "ScheduleKeyDeletion", &body).await;
        arn
    };
    let (planned, arn) = keeps(&case, make, async |arn: &str| {
        look_at_key(&world, arn).await
    })
    .await;
    let id = arn.rsplit('/').next().unwrap();
    let deletion = planned.before["deletion"].as_str().unwrap();
    insta::assert_snapshot!(
        "key_to_be_deleted",
        told(&planned, &[(id, "key"), (deletion, "<then>")])
    );
    let key = world
        .json(Service::Kms, "DescribeKey", &json!({ "KeyId": arn }))
        .await;
    let again = key["KeyMetadata"]["DeletionDate"].as_f64().unwrap();
    let first = deletion.parse::<jiff::Timestamp>().unwrap().as_second() as f64;
    assert!(
        (again - first).abs() < 300.0,
        "it is deleted {again}, not {first}"
    );
}
