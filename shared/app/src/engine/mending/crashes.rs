//! Workers that die: before and after each write of the store, and of AWS.

use super::*;
use crate::run::Event;
use quench_world::proxy::Halt;
use std::future::Future;

/// What came of a worker that is stopped when a call is held.
async fn until_halted<T>(world: &World, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = world.proxy.halted() => None,
    }
}

/// Lets a worker die before and after each write to AWS in turn, while it applies and while it undoes: the next one ends
/// it, no write is made twice that took effect, and the resource is as it was in the end.
async fn dies_at_every_write(remediation: Remediation) {
    let world = World::new(fixtures::peer(remediation)).await;
    let name = remediation.name();
    let mut house = House::new(&world).await;
    let resource = fixtures::make(&world, remediation).await;
    let before = fixtures::look(&world, remediation, &resource).await;
    world.proxy.calls();
    let steps = vec![remediate(remediation, &resource)];
    let run = house.start(steps, Some(Mode::Enforce)).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded, "{name}");
    assert_eq!(house.output(&run, "mend").await["outcome"], "applied");
    let applies = world.proxy.writes();
    let after = fixtures::look(&world, remediation, &resource).await;
    assert_ne!(after, before, "{name} changed nothing");
    house.undo(&run).await.unwrap();
    assert!(matches!(house.finish(&run).await, RunState::Undone { .. }));
    let undoes = world.proxy.writes();
    let restored = fixtures::look(&world, remediation, &resource).await;
    assert_eq!(restored, before, "{name} was not restored");
    let again = house.undo(&run).await.unwrap_err();
    assert_eq!(again.name(), "AlreadyUndone", "{name}");

    for halt in [Halt::Before, Halt::After] {
        for place in 0..applies.len().max(undoes.len()) {
            let resource = fixtures::make(&world, remediation).await;
            let before = fixtures::look(&world, remediation, &resource).await;
            let steps = vec![remediate(remediation, &resource)];
            let run = house.start(steps, Some(Mode::Enforce)).await;
            world.proxy.calls();
            if place < applies.len() {
                world.proxy.halt(halt, place);
                let done = until_halted(&world, execute(&house.app, &run)).await;
                assert!(done.is_none(), "{name} made no write {place}: {done:?}");
                house.restart().await;
            }
            assert_eq!(house.finish(&run).await, RunState::Succeeded, "{name}");
            let told = house.told(&run).await;
            assert_eq!(world.proxy.writes(), applies, "{name}, {place}: {told:?}");
            assert_eq!(left(&house, &run).await, 1, "{told:?}");
            house.undo(&run).await.unwrap();
            if place < undoes.len() {
                world.proxy.halt(halt, place);
                let done = until_halted(&world, execute(&house.app, &run)).await;
                assert!(done.is_none(), "{name} made no write {place}: {done:?}");
                house.restart().await;
            }
            let end = house.finish(&run).await;
            assert!(matches!(end, RunState::Undone { .. }), "{name}: {end:?}");
            let told = house.told(&run).await;
            assert_eq!(world.proxy.writes(), undoes, "{name}, {place}: {told:?}");
            let restored = fixtures::look(&world, remediation, &resource).await;
            assert_eq!(restored, before, "{name} was not restored");
        }
    }
}

macro_rules! each {
    ($($fact:ident => $remediation:ident,)*) => {
        $(
            #[tokio::test]
            async fn $fact() {
                dies_at_every_write(Remediation::$remediation).await;
            }
        )*

        #[test]
        fn every_remediation_is_tried() {
            assert_eq!([$(Remediation::$remediation,)*].as_slice(), Remediation::ALL);
        }
    };
}

each! {
    blocking_a_bucket_outlives_its_workers => S3BlockPublicAccess,
    revoking_ingress_outlives_its_workers => RevokeOpenIngress,
    deactivating_a_key_outlives_its_workers => DeactivateAccessKey,
    hiding_a_database_outlives_its_workers => RdsNotPublic,
    requiring_tls_outlives_its_workers => S3TlsOnly,
    logging_a_trail_outlives_its_workers => CloudtrailLogging,
    rotating_a_key_outlives_its_workers => KmsKeyRotation,
    keeping_a_key_outlives_its_workers => KmsCancelDeletion,
    hiding_a_snapshot_outlives_its_workers => MakePrivate,
    emptying_a_group_outlives_its_workers => EmptyDefaultGroup,
    requiring_tokens_outlives_its_workers => Imdsv2,
    isolating_an_instance_outlives_its_workers => QuarantineInstance,
    stopping_an_instance_outlives_its_workers => StopInstance,
    encrypting_volumes_outlives_its_workers => EbsEncryption,
    containing_a_user_outlives_its_workers => ContainPrincipal,
    tightening_a_policy_outlives_its_workers => PasswordPolicy,
}

/// A trail is mended by two calls, and undone by two.
#[tokio::test]
async fn a_worker_that_dies_at_any_line_of_the_journal_does_no_harm() {
    let trail = Remediation::CloudtrailLogging;
    let world = World::new(fixtures::peer(trail)).await;
    for mode in [Mode::Approve, Mode::Enforce] {
        let mut deaths = 0;
        for after in [false, true] {
            for write in 1.. {
                let mut house = House::new(&world).await;
                let resource = fixtures::make(&world, trail).await;
                let before = fixtures::look(&world, trail, &resource).await;
                world.proxy.calls();
                let steps = vec![remediate(trail, &resource)];
                let run = house.start(steps, Some(mode)).await;
                let crash = house.app.store.sqlite().crash();
                match after {
                    true => crash.arm_after(write),
                    false => crash.arm_before(write),
                }
                let died = !ends(&house, &run).await;
                house.restart().await;
                if died {
                    deaths += 1;
                    assert!(ends(&house, &run).await, "it died once more");
                }
                let state = house.app.store.run(&run).await.unwrap().unwrap().state;
                let told = house.told(&run).await;
                assert_eq!(state, RunState::Succeeded, "{told:?}");
                let writes = ["cloudtrail:UpdateTrail", "cloudtrail:StartLogging"];
                assert_eq!(world.proxy.writes(), writes, "{told:?}");
                let undone = house.undo(&run).await.unwrap();
                assert_eq!(undone.restores.len(), 1);
                house.finish(&run).await;
                let restored = fixtures::look(&world, trail, &resource).await;
                assert_eq!(restored, before, "{told:?}");
                if !died {
                    break;
                }
            }
        }
        assert!(deaths > 16, "only {deaths} deaths");
    }
}

/// Works on a run until it ends, saying yes to whatever it asks; false if the worker dies.
async fn ends(house: &House<'_>, run: &str) -> bool {
    for _ in 0..100 {
        let Ok(outcome) = execute(&house.app, run).await else {
            return false;
        };
        let until = match outcome {
            Outcome::Finished(_) => return true,
            Outcome::Waiting { until } | Outcome::Busy { until } => until,
            Outcome::Missing => panic!("the run is missing"),
        };
        let Ok(journal) = house.app.store.journal(run).await else {
            return false;
        };
        let asked = journal.iter().rev().find_map(|entry| match &entry.event {
            Event::Asked { approval, hash, .. } => Some((approval.clone(), hash.clone())),
            _ => None,
        });
        match asked {
            Some((id, hash)) => {
                // It may have been said before the worker died.
                let store = &house.app.store;
                let now = house.clock.now();
                let choice = crate::approval::Choice::Approve;
                let said = store.decide_approval(&id, &hash, choice, "owner", None, now);
                if said.await.is_err() || store.wake_run(run, now).await.is_err() {
                    return false;
                }
                if matches!(outcome, Outcome::Busy { .. }) {
                    house.move_to(until);
                }
            }
            None => house.move_to(until),
        }
    }
    panic!("the run does not end")
}

/// What is undone may be died at as well.
#[tokio::test]
async fn a_worker_that_dies_at_any_line_while_it_undoes_restores_all_the_same() {
    let trail = Remediation::CloudtrailLogging;
    let world = World::new(fixtures::peer(trail)).await;
    let mut deaths = 0;
    for after in [false, true] {
        for write in 1.. {
            let mut house = House::new(&world).await;
            let resource = fixtures::make(&world, trail).await;
            let before = fixtures::look(&world, trail, &resource).await;
            let steps = vec![remediate(trail, &resource)];
            let run = house.start(steps, Some(Mode::Enforce)).await;
            assert_eq!(house.finish(&run).await, RunState::Succeeded);
            house.undo(&run).await.unwrap();
            world.proxy.calls();
            let crash = house.app.store.sqlite().crash();
            match after {
                true => crash.arm_after(write),
                false => crash.arm_before(write),
            }
            let died = !ends(&house, &run).await;
            if died {
                deaths += 1;
                house.restart().await;
                assert!(ends(&house, &run).await, "it died once more");
            }
            let told = house.told(&run).await;
            let writes = ["cloudtrail:UpdateTrail", "cloudtrail:StopLogging"];
            assert_eq!(world.proxy.writes(), writes, "{told:?}");
            let restored = fixtures::look(&world, trail, &resource).await;
            assert_eq!(restored, before, "{told:?}");
            if !died {
                break;
            }
        }
    }
    assert!(deaths > 6, "only {deaths} deaths");
}
