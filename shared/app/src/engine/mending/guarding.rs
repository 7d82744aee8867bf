//! What keeps automations from doing too much.

use super::house::{AUTOMATION, named};
use super::*;
use crate::clock::after;
use quench_world::proxy::Trouble;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// What a guard said last.
async fn said(house: &House<'_>, run: &str, guard: Guard) -> Option<(Ruling, String)> {
    let checks = house.checks(run).await;
    let check = checks.into_iter().find(|check| check.guard == guard)?;
    Some((check.ruling, check.about))
}

fn reason(state: RunState) -> String {
    match state {
        RunState::Failed { reason } => reason,
        state => panic!("the run has not failed: {state:?}"),
    }
}

#[tokio::test]
async fn an_automation_that_is_in_force_has_every_guard_asked() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let guards = json!({ "max_resources": 3, "max_per_hour": 9 });
    house.automate(json!({ "guards": guards })).await;
    let bucket = fixtures::bucket(&world).await;
    let run = house
        .start_automated(vec![remediate(S3, &bucket)], Mode::Enforce)
        .await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    let told: Vec<_> = house
        .checks(&run)
        .await
        .into_iter()
        .map(|check| (check.guard, check.ruling, check.about))
        .collect();
    let passes = |guard, about: &str| (guard, Ruling::Passes, about.to_owned());
    assert_eq!(
        told,
        [
            passes(Guard::Automation, "in force"),
            passes(Guard::Mode, "enforce"),
            passes(Guard::Exempt, "not exempt"),
            passes(Guard::Blackout, "no blackout"),
            passes(Guard::MaxResources, "0 of 3 so far"),
            passes(Guard::MaxPerHour, "one of 9 within an hour"),
        ]
    );
}

#[tokio::test]
async fn an_automation_that_was_disabled_deleted_or_expired_changes_nothing() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let steps = vec![remediate(S3, &bucket)];
    world.proxy.calls();
    for (how, told) in [
        (json!({ "enabled": false }), "is disabled"),
        (json!({ "expires": "2020-01-01T00:00:00Z" }), "expired at"),
    ] {
        house.automate(json!({ "mode": "approve" })).await;
        // Somebody has approved it by then.
        let run = house.start_automated(steps.clone(), Mode::Approve).await;
        let asked = house.question(&run).await;
        house.decide(&asked.id, &asked.plan_hash, true).await;
        house.automate(how.clone()).await;
        let reason = reason(house.finish(&run).await);
        assert!(reason.contains(told), "{reason}");
        let check = said(&house, &run, Guard::Automation).await;
        assert!(matches!(check, Some((Ruling::Stops, _))), "{check:?}");
        // It is not even planned, as nobody is to be asked for it.
        let run = house.start_automated(steps.clone(), Mode::Approve).await;
        assert!(matches!(house.finish(&run).await, RunState::Failed { .. }));
        assert_eq!(
            house.told(&run).await[1..],
            ["mend 1 guarded", "mend 1 failed"]
        );
    }
    house.app.store.delete_automation(AUTOMATION).await.unwrap();
    let run = house.start_automated(steps, Mode::Enforce).await;
    let reason = reason(house.finish(&run).await);
    assert!(reason.contains("was deleted"), "{reason}");
    assert_eq!(world.proxy.writes(), [""; 0]);
}

#[tokio::test]
async fn the_lower_of_two_modes_holds() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let steps = vec![remediate(S3, &bucket)];
    world.proxy.calls();
    house.automate(json!({ "mode": "observe" })).await;
    let run = house.start_automated(steps.clone(), Mode::Enforce).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    assert_eq!(house.output(&run, "mend").await["outcome"], "planned");

    house.automate(json!({ "mode": "approve" })).await;
    let run = house.start_automated(steps, Mode::Enforce).await;
    let asked = house.question(&run).await;
    house.automate(json!({ "mode": "observe" })).await;
    house.decide(&asked.id, &asked.plan_hash, true).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    assert_eq!(house.output(&run, "mend").await["outcome"], "planned");
    assert_eq!(world.proxy.writes(), [""; 0]);
}

#[tokio::test]
async fn what_is_exempt_is_left_alone_before_anybody_is_asked() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let tagged = fixtures::bucket(&world).await;
    fixtures::tag_bucket(&world, &tagged, "Env", "prod-1").await;
    let glass = fixtures::bucket(&world).await;
    fixtures::tag_bucket(&world, &glass, "quench:exempt", "").await;
    let named = fixtures::bucket(&world).await;
    world.proxy.calls();
    for (bucket, exempt, told) in [
        (&tagged, json!({ "tags": ["Env=prod*"] }), "`Env=prod*`"),
        (&glass, json!({}), "`quench:exempt`"),
        (
            &named,
            json!({ "resources": ["arn:aws:s3:::mended-*"] }),
            "`arn:aws:s3:::mended-*`",
        ),
        (
            &named,
            json!({ "accounts": [quench_world::world::ACCOUNT] }),
            "account",
        ),
    ] {
        house
            .automate(json!({ "guards": { "exempt": exempt } }))
            .await;
        for mode in [Mode::Observe, Mode::Approve, Mode::Enforce] {
            let run = house
                .start_automated(vec![remediate(S3, bucket)], mode)
                .await;
            assert_eq!(house.finish(&run).await, RunState::Succeeded);
            let output = house.output(&run, "mend").await;
            assert_eq!(output["outcome"], "exempt", "{output}");
            let reason = output["reason"].as_str().unwrap();
            assert!(reason.contains(told), "{reason}");
            let told = house.told(&run).await;
            assert_eq!(told[1..], ["mend 1 guarded", "mend 1 succeeded"]);
        }
    }
    // Who starts it by hand cannot go past the glass either.
    let run = house
        .start(vec![remediate(S3, &glass)], Some(Mode::Enforce))
        .await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    assert_eq!(house.output(&run, "mend").await["outcome"], "exempt");
    assert_eq!(world.proxy.writes(), [""; 0]);
}

#[tokio::test]
async fn a_guard_that_cannot_be_evaluated_stops_the_step() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let before = fixtures::look(&world, S3, &bucket).await;
    world.proxy.calls();
    // Tags that cannot be read, when it is planned and when it is to be applied.
    world.proxy.fail_all(Trouble::Denied);
    let steps = vec![remediate(S3, &bucket)];
    let run = house.start(steps.clone(), Some(Mode::Enforce)).await;
    let told = reason(house.finish(&run).await);
    assert!(told.contains("tags of bucket"), "{told}");
    assert!(told.contains("nothing is changed"), "{told}");
    world.proxy.mend();

    let run = house.start(steps.clone(), Some(Mode::Approve)).await;
    let asked = house.question(&run).await;
    world.proxy.fail_all(Trouble::Denied);
    house.decide(&asked.id, &asked.plan_hash, true).await;
    let told = reason(house.finish(&run).await);
    assert!(told.contains("nothing is changed"), "{told}");
    let check = said(&house, &run, Guard::Exempt).await;
    assert!(matches!(check, Some((Ruling::Stops, _))), "{check:?}");
    world.proxy.mend();

    // A zone that this machine does not know.
    let nowhere = json!([{ "weekly": {
        "days": ["monday"], "from": "08:00:00", "until": "20:00:00", "zone": "Nowhere/Atlantis",
    } }]);
    house
        .automate(json!({ "guards": { "blackout": nowhere } }))
        .await;
    let run = house.start_automated(steps, Mode::Enforce).await;
    let told = reason(house.finish(&run).await);
    assert!(told.contains("`Nowhere/Atlantis`"), "{told}");
    assert_eq!(world.proxy.writes(), [""; 0]);
    assert_eq!(fixtures::look(&world, S3, &bucket).await, before);
}

#[tokio::test]
async fn trouble_that_may_pass_is_waited_out() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let run = house
        .start(vec![remediate(S3, &bucket)], Some(Mode::Enforce))
        .await;
    world.proxy.fail_all(Trouble::Throttled);
    let Outcome::Waiting { until } = house.work(&run).await else {
        panic!("it does not wait")
    };
    house.move_to(until);
    world.proxy.fail(Trouble::Throttled, 0);
    let Outcome::Waiting { until } = house.work(&run).await else {
        panic!("it does not wait")
    };
    house.move_to(until);
    world.proxy.mend();
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    assert_eq!(
        house.told(&run).await[1..],
        [
            "mend 1 retrying",
            "mend 2 guarded",
            "mend 2 planned",
            "mend 2 guarded",
            "mend 2 applying",
            "mend 2 retrying",
            "mend 3 guarded",
            "mend 3 applied",
            "mend 3 succeeded"
        ]
    );
}

#[tokio::test]
async fn a_blackout_is_waited_for() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let now = house.clock.now();
    let end = after(now, HOUR);
    let once = json!([{ "once": { "from": now, "until": end } }]);
    house
        .automate(json!({ "guards": { "blackout": once } }))
        .await;
    world.proxy.calls();
    let run = house
        .start_automated(vec![remediate(S3, &bucket)], Mode::Enforce)
        .await;
    let Outcome::Waiting { until } = house.work(&run).await else {
        panic!("it does not wait")
    };
    assert!(until >= end && until <= after(end, Duration::from_secs(60)));
    assert_eq!(world.proxy.writes(), [""; 0]);
    let check = said(&house, &run, Guard::Blackout).await;
    assert!(matches!(check, Some((Ruling::Waits, _))), "{check:?}");
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    assert_eq!(house.output(&run, "mend").await["outcome"], "applied");
}

#[tokio::test]
async fn a_run_changes_no_more_resources_than_it_may() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    house
        .automate(json!({ "guards": { "max_resources": 1 } }))
        .await;
    let (one, two) = (
        fixtures::bucket(&world).await,
        fixtures::bucket(&world).await,
    );
    let steps = vec![
        named(remediate(S3, &one), "one"),
        // The same resource again is no other one.
        named(remediate(Remediation::S3TlsOnly, &one), "again"),
        named(remediate(S3, &two), "two"),
    ];
    world.proxy.calls();
    let run = house.start_automated(steps.clone(), Mode::Enforce).await;
    let told = reason(house.finish(&run).await);
    assert!(
        told.starts_with("step `two`: the run has changed 1 resources"),
        "{told}"
    );
    assert_eq!(
        world.proxy.writes(),
        ["s3:PutBucketPublicAccessBlock", "s3:PutBucketPolicy"]
    );
    // Who only looks is told the same.
    house.undo(&run).await.unwrap();
    house.finish(&run).await;
    house
        .automate(json!({ "mode": "observe", "guards": { "max_resources": 1 } }))
        .await;
    let run = house.start_automated(steps, Mode::Observe).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    let check = said(&house, &run, Guard::MaxResources).await;
    assert!(matches!(check, Some((Ruling::Stops, _))), "{check:?}");
}

#[tokio::test]
async fn what_is_more_than_an_hour_allows_waits() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    house
        .automate(json!({ "guards": { "max_per_hour": 1 } }))
        .await;
    let (one, two) = (
        fixtures::bucket(&world).await,
        fixtures::bucket(&world).await,
    );
    let begun = house.clock.now();
    let first = house
        .start_automated(vec![remediate(S3, &one)], Mode::Enforce)
        .await;
    assert_eq!(house.finish(&first).await, RunState::Succeeded);
    let second = house
        .start_automated(vec![remediate(S3, &two)], Mode::Enforce)
        .await;
    world.proxy.calls();
    let Outcome::Waiting { until } = house.work(&second).await else {
        panic!("it does not wait")
    };
    assert!(until >= after(begun, HOUR), "{until}");
    assert_eq!(world.proxy.writes(), [""; 0]);
    let check = said(&house, &second, Guard::MaxPerHour).await;
    assert!(matches!(check, Some((Ruling::Waits, _))), "{check:?}");
    assert_eq!(house.finish(&second).await, RunState::Succeeded);
    assert_eq!(world.proxy.writes(), ["s3:PutBucketPublicAccessBlock"]);
}

#[tokio::test]
async fn steps_of_other_kinds_are_guarded_as_well() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let call = || vec![crate::engine::trial::invoke("call")];
    world.proxy.calls();
    house.automate(json!({ "mode": "observe" })).await;
    let run = house.start_automated(call(), Mode::Enforce).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    assert_eq!(house.output(&run, "call").await["outcome"], "planned");

    house.automate(json!({ "enabled": false })).await;
    let run = house.start_automated(call(), Mode::Enforce).await;
    assert!(reason(house.finish(&run).await).contains("is disabled"));

    let accounts = json!({ "accounts": [quench_world::world::ACCOUNT] });
    house
        .automate(json!({ "guards": { "exempt": accounts } }))
        .await;
    let run = house.start_automated(call(), Mode::Enforce).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    assert_eq!(house.output(&run, "call").await["outcome"], "exempt");

    // What was approved is not done in the name of an automation that is gone.
    house.automate(json!({})).await;
    let run = house.start_automated(call(), Mode::Approve).await;
    let asked = house.question(&run).await;
    assert_eq!(asked.risk, None);
    house.app.store.delete_automation(AUTOMATION).await.unwrap();
    house.decide(&asked.id, &asked.plan_hash, true).await;
    assert!(reason(house.finish(&run).await).contains("was deleted"));
    assert_eq!(world.proxy.writes(), [""; 0]);
}

#[tokio::test]
async fn a_gate_waits_in_every_mode_and_its_yes_is_enough() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    let mut gate = crate::engine::trial::gate("ask", Some("x"));
    if let (StepKind::Approve(gate), StepKind::Remediate(about)) =
        (&mut gate.kind, remediate(S3, &bucket).kind)
    {
        gate.remediate = Some(about);
    }
    world.proxy.calls();
    let steps = vec![gate, remediate(S3, &bucket)];
    let run = house.start(steps, Some(Mode::Enforce)).await;
    let asked = house.question(&run).await;
    assert_eq!(asked.path, "ask");
    assert_eq!(world.proxy.writes(), [""; 0]);
    house.decide(&asked.id, &asked.plan_hash, true).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    assert_eq!(world.proxy.writes(), ["s3:PutBucketPublicAccessBlock"]);
    let decided = house.told(&run).await;
    let decided = decided.iter().filter(|line| line.ends_with("decided"));
    assert_eq!(decided.count(), 1);
    let journal = house.app.store.journal(&run).await.unwrap();
    let yes = journal.iter().any(|entry| {
        let Event::Decided { decision, .. } = &entry.event else {
            return false;
        };
        *decision == Decision::Approved
    });
    assert!(yes);
}
