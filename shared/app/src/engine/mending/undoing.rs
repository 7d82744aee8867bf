//! What a run has changed, restored.

use super::house::named;
use super::*;
use crate::undo::{UndoError, undo};
use quench_world::proxy::Trouble;

#[tokio::test]
async fn changes_are_restored_the_last_first_and_what_changed_since_is_told() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let buckets = [
        fixtures::bucket(&world).await,
        fixtures::bucket(&world).await,
        fixtures::bucket(&world).await,
    ];
    let steps = ["one", "two", "three"].into_iter().zip(&buckets);
    let steps = steps.map(|(id, bucket)| named(remediate(S3, bucket), id));
    let mut before = Vec::new();
    for bucket in &buckets {
        before.push(fixtures::look(&world, S3, bucket).await);
    }
    let run = house.start(steps.collect(), Some(Mode::Enforce)).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    // Somebody has changed one of them since.
    fixtures::block_half(&world, &buckets[1]).await;
    let theirs = fixtures::look(&world, S3, &buckets[1]).await;
    world.proxy.calls();
    let asked = house.undo(&run).await.unwrap();
    let restored: Vec<_> = asked.restores.iter().map(|one| one.step.as_str()).collect();
    assert_eq!(restored, ["three", "two", "one"]);
    let RunState::Failed { reason } = house.finish(&run).await else {
        panic!("what others changed was overwritten")
    };
    assert!(
        reason.starts_with("2 of 3 undone; step `two`: the resource changed since: `block"),
        "{reason}"
    );
    assert_eq!(world.proxy.writes(), ["s3:PutBucketPublicAccessBlock"; 2]);
    assert_eq!(fixtures::look(&world, S3, &buckets[0]).await, before[0]);
    assert_eq!(fixtures::look(&world, S3, &buckets[1]).await, theirs);
    assert_eq!(fixtures::look(&world, S3, &buckets[2]).await, before[2]);
    assert_eq!(left(&house, &run).await, 1);
    // Retried, it is tried again: the run does not go forward any more.
    let now = house.clock.now();
    house
        .app
        .store
        .requeue_run(&run, now)
        .await
        .unwrap()
        .unwrap();
    let again = house.finish(&run).await;
    assert!(matches!(again, RunState::Failed { .. }), "{again:?}");
    assert_eq!(world.proxy.writes(), [""; 0]);
}

#[tokio::test]
async fn one_step_alone_can_be_undone() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let (one, two) = (
        fixtures::bucket(&world).await,
        fixtures::bucket(&world).await,
    );
    let before = fixtures::look(&world, S3, &two).await;
    let inner = vec![named(remediate(S3, &two), "two")];
    let steps = vec![
        named(remediate(S3, &one), "one"),
        trial::choice("way", "true", inner, vec![]),
    ];
    let run = house.start(steps, Some(Mode::Enforce)).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    let after = fixtures::look(&world, S3, &one).await;

    let unknown = undo(&house.app, &run, Some("tow"), "somebody").await;
    let Err(UndoError::UnknownStep { near, .. }) = unknown else {
        panic!("there is no such step: {unknown:?}")
    };
    assert_eq!(near.as_deref(), None);
    let asked = undo(&house.app, &run, Some("two"), "somebody")
        .await
        .unwrap();
    assert_eq!(asked.restores.len(), 1);
    assert_eq!(asked.restores[0].step, "way/two");
    let in_part = RunState::Undone {
        by: "somebody".to_owned(),
        left: vec!["one".to_owned()],
    };
    assert_eq!(house.finish(&run).await, in_part);
    assert_eq!(fixtures::look(&world, S3, &two).await, before);
    assert_eq!(fixtures::look(&world, S3, &one).await, after);
    let again = undo(&house.app, &run, Some("way/two"), "somebody").await;
    assert!(matches!(again, Err(UndoError::AlreadyUndone { .. })));
    // The rest may follow.
    house.undo(&run).await.unwrap();
    assert!(matches!(house.finish(&run).await, RunState::Undone { .. }));
    assert_eq!(
        house.undo(&run).await.unwrap_err().to_string(),
        format!("run `{run}` was undone before")
    );
}

#[tokio::test]
async fn a_run_that_is_going_or_unknown_is_not_undone() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let run = house
        .start(vec![remediate(S3, &bucket)], Some(Mode::Approve))
        .await;
    house.question(&run).await;
    let going = house.undo(&run).await.unwrap_err();
    assert_eq!(going.name(), "StillGoing");
    assert!(going.to_string().contains("is waiting"), "{going}");
    let unknown = house.undo("nothing").await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no run `nothing`");
}

#[tokio::test]
async fn trouble_that_may_pass_is_waited_out_and_what_is_refused_is_told() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let before = fixtures::look(&world, S3, &bucket).await;
    let run = house
        .start(vec![remediate(S3, &bucket)], Some(Mode::Enforce))
        .await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    house.undo(&run).await.unwrap();
    world.proxy.fail(Trouble::Throttled, 0);
    let Outcome::Waiting { until } = house.work(&run).await else {
        panic!("it does not wait")
    };
    house.move_to(until);
    world.proxy.fail(Trouble::Denied, 0);
    let RunState::Failed { reason } = house.finish(&run).await else {
        panic!("it was denied")
    };
    assert!(
        reason.contains("`s3:PutBucketPublicAccessBlock`"),
        "{reason}"
    );
    world.proxy.mend();
    house.undo(&run).await.unwrap();
    assert!(matches!(house.finish(&run).await, RunState::Undone { .. }));
    assert_eq!(fixtures::look(&world, S3, &bucket).await, before);
}
