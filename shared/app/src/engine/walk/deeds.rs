//! How steps that change things are walked.

use super::*;
use crate::engine::trial::*;
use quench_automations::Mode;

/// Walks steps in a mode, with these answers to their questions.
fn walked(mode: Mode, steps: Vec<Step>, answers: &[(&str, Decision)]) -> (RunState, World) {
    let mut world = World::new(true, &[]);
    let end = walk(&mut world, mode, steps, answers);
    (end, world)
}

fn walk(world: &mut World, mode: Mode, steps: Vec<Step>, answers: &[(&str, Decision)]) -> RunState {
    let (mut run, script) = script(vec![playbook("main", steps)]);
    run.mode = Some(mode);
    let answers = answers
        .iter()
        .map(|(id, decision)| ((*id).to_owned(), *decision));
    world.answers = answers.collect();
    let end = world.work(&script, &run, None);
    end.expect("nothing stops the worker")
}

/// What happened, without the line that binds the parameters.
fn told(world: &World) -> Vec<String> {
    world.told().split_off(1)
}

/// What later steps see of a step.
fn seen<'w>(world: &'w World, by: &str, of: &str) -> &'w Value {
    let seen = world.effects.iter().find(|(path, _)| path == by);
    let (_, seen) = seen.expect("the step took effect");
    &seen["steps"][of]
}

#[test]
fn who_observes_plans_and_changes_nothing() {
    let steps = vec![mend("close", "logs"), invoke("call"), act("after")];
    let (end, world) = walked(Mode::Observe, steps, &[]);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(
        told(&world),
        [
            "close 1 guarded",
            "close 1 planned",
            "close 1 succeeded",
            "call 1 guarded",
            "call 1 proposed",
            "call 1 succeeded",
            "after 1 started",
            "after 1 succeeded"
        ]
    );
    assert_eq!(world.paths(), ["after"]);
    assert_eq!(seen(&world, "after", "close")["outcome"], "planned");
    assert_eq!(seen(&world, "after", "close")["verified"], false);
    assert_eq!(seen(&world, "after", "call")["outcome"], "planned");
}

#[test]
fn a_run_without_a_mode_observes() {
    let mut world = World::new(true, &[]);
    let end = complete(&mut world, vec![mend("close", "logs")]);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(world.paths(), Vec::<&str>::new());
}

#[test]
fn who_enforces_applies_and_reads_back() {
    let steps = vec![mend("close", "logs"), invoke("call"), act("after")];
    let (end, world) = walked(Mode::Enforce, steps, &[]);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(
        told(&world)[..10],
        [
            "close 1 guarded",
            "close 1 planned",
            "close 1 guarded",
            "close 1 applying",
            "close 1 applied",
            "close 1 succeeded",
            "call 1 guarded",
            "call 1 proposed",
            "call 1 guarded",
            "call 1 started",
        ]
    );
    assert_eq!(seen(&world, "after", "close")["outcome"], "applied");
    assert_eq!(seen(&world, "after", "close")["verified"], true);
    // What a resource says is not trusted more than what a finding says.
    let own = &world.trusted["after"]["steps"]["close"];
    assert_eq!(own["outcome"], "applied");
    assert_eq!(own.get("changes"), None);
}

#[test]
fn what_was_approved_is_applied() {
    let steps = vec![mend("close", "logs"), invoke("call")];
    let (end, world) = walked(Mode::Approve, steps, &[]);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(
        told(&world),
        [
            "close 1 guarded",
            "close 1 planned",
            "close 1 asked",
            "close 1 decided",
            "close 1 guarded",
            "close 1 applying",
            "close 1 applied",
            "close 1 succeeded",
            "call 1 guarded",
            "call 1 proposed",
            "call 1 asked",
            "call 1 decided",
            "call 1 guarded",
            "call 1 started",
            "call 1 succeeded"
        ]
    );
    let Event::Succeeded { output, .. } = &world.journal[8].event else {
        panic!("the step is done")
    };
    assert_eq!(output["approved_by"], "somebody");
}

#[test]
fn a_no_ends_the_run_unless_the_step_says_otherwise() {
    let no = [("close", Decision::Denied)];
    let (end, world) = walked(
        Mode::Approve,
        vec![mend("close", "logs"), act("after")],
        &no,
    );
    let reason = "step `close`: denied by somebody".to_owned();
    assert_eq!(end, RunState::Stopped { reason });
    assert_eq!(world.paths(), Vec::<&str>::new());

    let steps = vec![carry_on(mend("close", "logs")), act("after")];
    let (end, world) = walked(Mode::Approve, steps, &no);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(world.paths(), ["after"]);
    let outcome = seen(&world, "after", "close");
    assert_eq!(outcome["outcome"], "denied");
    assert_eq!(outcome["by"], "somebody");
    assert_eq!(outcome["ok"], false);

    let inner = vec![mend("close", "logs"), act("never")];
    let around = carry_on(choice("way", "true", inner, vec![]));
    let (end, world) = walked(Mode::Approve, vec![around, act("after")], &no);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(world.paths(), ["after"]);
}

#[test]
fn a_question_that_nobody_answers_fails_the_step_and_is_asked_anew_on_retry() {
    let silence = [("close", Decision::Expired)];
    let mut world = World::new(true, &[]);
    let steps = vec![mend("close", "logs")];
    let end = walk(&mut world, Mode::Approve, steps.clone(), &silence);
    let reason = "step `close`: nobody answered in time".to_owned();
    assert_eq!(end, RunState::Failed { reason });
    assert_eq!(world.paths(), Vec::<&str>::new());
    world.journal.push(Entry {
        path: String::new(),
        attempt: 0,
        at: world.now,
        event: Event::Reopened,
    });
    assert_eq!(
        walk(&mut world, Mode::Approve, steps, &[]),
        RunState::Succeeded
    );
    let asked: Vec<_> = world
        .journal
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Asked { approval, .. } => Some(approval.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(asked, ["close-0", "close-1"], "another question");
}

#[test]
fn what_changed_since_it_was_approved_is_planned_and_asked_anew() {
    let mut world = World::new(true, &[("close", Fate::Moved(2))]);
    let steps = vec![mend("close", "logs")];
    let end = walk(&mut world, Mode::Approve, steps, &[]);
    assert_eq!(end, RunState::Succeeded);
    let lines = told(&world);
    let count = |what: &str| lines.iter().filter(|line| line.ends_with(what)).count();
    assert_eq!((count("asked"), count("outdated")), (3, 2), "{lines:?}");
    assert_eq!(world.effects[0].1["plan"], "logs 2");
}

#[test]
fn what_never_stands_still_is_given_up_where_nobody_is_asked() {
    let mut world = World::new(true, &[("close", Fate::Moved(100))]);
    let end = walk(&mut world, Mode::Enforce, vec![mend("close", "logs")], &[]);
    assert!(matches!(end, RunState::Failed { .. }), "{end:?}");
    let lines = told(&world);
    let count = |what: &str| lines.iter().filter(|line| line.ends_with(what)).count();
    assert_eq!((count("planned"), count("outdated")), (4, 3), "{lines:?}");
    assert_eq!(world.paths(), Vec::<&str>::new());
}

#[test]
fn a_gate_asks_in_every_mode() {
    for mode in [Mode::Observe, Mode::Approve, Mode::Enforce] {
        let steps = vec![gate("ask", None), act("after")];
        let (end, world) = walked(mode, steps.clone(), &[]);
        assert_eq!(end, RunState::Succeeded);
        assert_eq!(seen(&world, "after", "ask")["outcome"], "approved");
        assert_eq!(seen(&world, "after", "ask")["by"], "somebody");
        let no = [("ask", Decision::Denied)];
        let (end, world) = walked(mode, steps, &no);
        assert!(matches!(end, RunState::Stopped { .. }), "{end:?}");
        assert_eq!(world.paths(), Vec::<&str>::new());
    }
}

#[test]
fn what_a_gate_was_approved_for_is_not_asked_again() {
    for mode in [Mode::Approve, Mode::Enforce] {
        let steps = vec![gate("ask", Some("logs")), mend("close", "logs")];
        let (end, world) = walked(mode, steps, &[]);
        assert_eq!(end, RunState::Succeeded);
        let lines = told(&world);
        let asked: Vec<_> = lines
            .iter()
            .filter(|line| line.ends_with("asked"))
            .collect();
        assert_eq!(asked, ["ask 1 asked"], "{mode:?}");
        assert_eq!(world.paths(), ["close"]);
    }
}

#[test]
fn what_a_gate_was_asked_about_is_asked_again_once_it_changed_or_was_denied() {
    // Another remediation is another matter.
    let steps = vec![gate("ask", Some("logs")), mend("close", "other")];
    let (_, world) = walked(Mode::Enforce, steps, &[]);
    assert!(!told(&world).contains(&"close 1 asked".to_owned()));

    let mut world = World::new(true, &[("close", Fate::Moved(1))]);
    let steps = vec![gate("ask", Some("logs")), mend("close", "logs")];
    assert_eq!(
        walk(&mut world, Mode::Enforce, steps, &[]),
        RunState::Succeeded
    );
    assert!(told(&world).contains(&"close 1 asked".to_owned()));

    // What could not even be planned was not agreed to.
    let mut world = World::new(true, &[("ask", Fate::Refused)]);
    let steps = vec![carry_on(gate("ask", Some("logs"))), mend("close", "logs")];
    let no = [("close", Decision::Denied)];
    let end = walk(&mut world, Mode::Enforce, steps, &no);
    assert!(matches!(end, RunState::Stopped { .. }), "{end:?}");
    assert!(told(&world).contains(&"ask 1 failed".to_owned()));
    assert_eq!(world.paths(), Vec::<&str>::new());

    let steps = vec![carry_on(gate("ask", Some("logs"))), mend("close", "logs")];
    let no = [("ask", Decision::Denied), ("close", Decision::Denied)];
    let (end, world) = walked(Mode::Enforce, steps, &no);
    assert!(matches!(end, RunState::Stopped { .. }), "{end:?}");
    assert_eq!(world.paths(), Vec::<&str>::new());
}

#[test]
fn the_lower_mode_holds_that_an_automation_has_by_now() {
    for (mode, paths, asks) in [
        (Mode::Observe, vec![], false),
        (Mode::Approve, vec!["close"], true),
    ] {
        let mut world = World::new(true, &[]);
        world.mode = mode;
        let end = walk(&mut world, Mode::Enforce, vec![mend("close", "logs")], &[]);
        assert_eq!(end, RunState::Succeeded);
        assert_eq!(world.paths(), paths);
        assert_eq!(told(&world).contains(&"close 1 asked".to_owned()), asks);
    }
}

#[test]
fn a_failed_application_is_retried_as_one_that_was_begun() {
    let mut world = World::new(true, &[("close", Fate::Silence(1))]);
    let end = walk(&mut world, Mode::Enforce, vec![mend("close", "logs")], &[]);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(
        told(&world),
        [
            "close 1 guarded",
            "close 1 planned",
            "close 1 guarded",
            "close 1 applying",
            "close 1 retrying",
            "close 2 guarded",
            "close 2 applied",
            "close 2 succeeded"
        ]
    );
    let Event::Applied { resumed, .. } = &world.journal[7].event else {
        panic!("it was applied")
    };
    assert!(resumed);
    assert_eq!(world.paths(), ["close"]);
}
