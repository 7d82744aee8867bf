//! Whole runs that change things, against emulated AWS.

mod crashes;
mod gallery;
mod guarding;
mod house;
mod undoing;

use super::*;
use crate::approval::ApprovalState;
use crate::run::{Decision, Guard, Ruling};
use crate::store::Deciding;
use house::{House, left, planned, remediate, with};
use quench_actions::remediate::Remediation;
use quench_automations::{Approval, Mode, OnError};
use quench_world::fixtures;
use quench_world::world::{Peer, World};
use serde_json::json;
use std::time::Duration;

const S3: Remediation = Remediation::S3BlockPublicAccess;

#[tokio::test]
async fn who_observes_is_told_and_nothing_is_changed() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let before = fixtures::look(&world, S3, &bucket).await;
    world.proxy.calls();
    for mode in [None, Some(Mode::Observe)] {
        let run = house.start(vec![remediate(S3, &bucket)], mode).await;
        assert_eq!(house.finish(&run).await, RunState::Succeeded);
        let output = house.output(&run, "mend").await;
        assert_eq!(output["outcome"], "planned");
        assert_eq!(output["resource"], bucket);
        assert_eq!(output["changes"].as_array().unwrap().len(), 1, "{output}");
        assert_eq!(
            house.told(&run).await[1..],
            ["mend 1 guarded", "mend 1 planned", "mend 1 succeeded"]
        );
        assert_eq!(house.undo(&run).await.unwrap_err().name(), "NothingChanged");
    }
    assert_eq!(world.proxy.writes(), [""; 0]);
    assert_eq!(fixtures::look(&world, S3, &bucket).await, before);
}

#[tokio::test]
async fn what_is_well_is_left_alone_in_every_mode_and_nobody_is_asked() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let steps = vec![remediate(S3, &bucket)];
    let run = house.start(steps.clone(), Some(Mode::Enforce)).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    world.proxy.calls();
    for mode in [Mode::Observe, Mode::Approve, Mode::Enforce] {
        let run = house.start(steps.clone(), Some(mode)).await;
        assert_eq!(house.finish(&run).await, RunState::Succeeded);
        let output = house.output(&run, "mend").await;
        assert_eq!(output["outcome"], "nothing_to_do", "{output}");
        assert!(output["reason"].is_string());
    }
    assert_eq!(world.proxy.writes(), [""; 0]);
}

#[tokio::test]
async fn what_is_not_there_fails_with_its_name() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let steps = vec![remediate(S3, "arn:aws:s3:::nowhere-to-be-found")];
    let run = house.start(steps, Some(Mode::Enforce)).await;
    let RunState::Failed { reason } = house.finish(&run).await else {
        panic!("the bucket is not there")
    };
    assert!(reason.contains("nowhere-to-be-found"), "{reason}");
}

#[tokio::test]
async fn what_people_approved_is_applied_and_only_then() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    world.proxy.calls();
    let mut step = remediate(S3, &bucket);
    with(&mut step, |step| {
        step.approval = Some(Approval {
            to: Some(json!("owner@example.com")),
            message: Some("For {{ finding.title }}".to_owned()),
            expires: None,
        });
    });
    let run = house.start(vec![step], Some(Mode::Approve)).await;
    let asked = house.question(&run).await;
    assert_eq!(asked.asked[0].to, "owner@example.com");
    assert_eq!(asked.plan_hash, planned(&house, &run).await.hash);
    assert!(asked.message.is_some_and(|told| told.starts_with("For ")));
    // Nobody has answered, however often one looks.
    for _ in 0..3 {
        assert!(matches!(house.work(&run).await, Outcome::Waiting { .. }));
    }
    assert_eq!(world.proxy.writes(), [""; 0]);
    house.decide(&asked.id, &asked.plan_hash, true).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    assert_eq!(world.proxy.writes(), ["s3:PutBucketPublicAccessBlock"]);
    let output = house.output(&run, "mend").await;
    assert_eq!(output["outcome"], "applied");
    assert_eq!(output["approved_by"], "owner@example.com");
    assert_eq!(output["verified"], true);
}

#[tokio::test]
async fn a_no_and_no_answer_change_nothing() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    world.proxy.calls();
    let steps = vec![remediate(S3, &bucket)];
    let run = house.start(steps.clone(), Some(Mode::Approve)).await;
    let asked = house.question(&run).await;
    house.decide(&asked.id, &asked.plan_hash, false).await;
    assert_eq!(
        house.finish(&run).await,
        RunState::Stopped {
            reason: "step `mend`: denied by owner@example.com: not now".to_owned()
        }
    );
    let mut step = remediate(S3, &bucket);
    step.on_error = OnError::Continue;
    let run = house.start(vec![step], Some(Mode::Approve)).await;
    let asked = house.question(&run).await;
    house.decide(&asked.id, &asked.plan_hash, false).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);

    let run = house.start(steps, Some(Mode::Approve)).await;
    let asked = house.question(&run).await;
    house.move_to(asked.expires);
    let end = house.finish(&run).await;
    let reason = "step `mend`: nobody answered in time".to_owned();
    assert_eq!(end, RunState::Failed { reason });
    let stored = house.app.store.approval(&asked.id).await.unwrap().unwrap();
    assert!(matches!(stored.state, ApprovalState::Expired { .. }));
    let late = house.try_decide(&asked.id, &asked.plan_hash).await;
    assert!(!matches!(late, Deciding::Decided(_)), "{late:?}");
    assert_eq!(world.proxy.writes(), [""; 0]);
}

#[tokio::test]
async fn what_changed_since_it_was_approved_is_asked_anew() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let run = house
        .start(vec![remediate(S3, &bucket)], Some(Mode::Approve))
        .await;
    let first = house.question(&run).await;
    fixtures::block_half(&world, &bucket).await;
    world.proxy.calls();
    house.decide(&first.id, &first.plan_hash, true).await;
    let second = house.question(&run).await;
    assert_ne!(
        (&first.id, &first.plan_hash),
        (&second.id, &second.plan_hash)
    );
    assert_eq!(world.proxy.writes(), [""; 0], "the old plan was applied");
    let told = house.told(&run).await;
    assert!(told.contains(&"mend 1 outdated".to_owned()), "{told:?}");
    // An answer to the old question is none to the new one.
    let old = house.try_decide(&second.id, &first.plan_hash).await;
    assert_eq!(old, Deciding::OtherPlan);
    house.decide(&second.id, &second.plan_hash, true).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    // It can be undone to what the others had made of it.
    house.undo(&run).await.unwrap();
    assert!(matches!(house.finish(&run).await, RunState::Undone { .. }));
    let seen = fixtures::look(&world, S3, &bucket).await;
    assert!(seen.contains("<BlockPublicAcls>true</BlockPublicAcls>"));
    assert!(seen.contains("<BlockPublicPolicy>false</BlockPublicPolicy>"));
}

#[tokio::test]
async fn what_does_not_hold_when_read_back_fails_the_step_and_says_what_was_found() {
    let world = World::new(Peer::Emulator).await;
    let mut write = 0;
    loop {
        write += 1;
        let mut house = House::new(&world).await;
        let bucket = fixtures::bucket(&world).await;
        let mut step = remediate(S3, &bucket);
        with(&mut step, |step| step.verify = Some(Duration::from_secs(1)));
        let run = house.start(vec![step], Some(Mode::Enforce)).await;
        house.app.store.sqlite().crash().arm_after(write);
        let died = execute(&house.app, &run).await.is_err();
        assert!(died, "nothing was applied");
        house.restart().await;
        let told = house.told(&run).await;
        if told.last().is_none_or(|line| line != "mend 1 applied") {
            continue;
        }
        // Somebody takes it back before it is read.
        fixtures::block_half(&world, &bucket).await;
        let RunState::Failed { reason } = house.finish(&run).await else {
            panic!("it does not hold")
        };
        assert!(reason.contains("is not as planned after 1 s"), "{reason}");
        assert!(reason.contains("`block"), "{reason}");
        let told = house.told(&run).await;
        assert_eq!(told.last().map(String::as_str), Some("mend 1 failed"));
        // What others made of it is not undone.
        house.undo(&run).await.unwrap();
        let RunState::Failed { reason } = house.finish(&run).await else {
            panic!("it was overwritten")
        };
        assert!(reason.contains("changed since"), "{reason}");
        break;
    }
}
