use super::*;
use crate::engine::trial::*;
use quench_automations::{Parameter, ParameterType, Playbook};
use std::sync::Arc;

fn failed(reason: &str) -> RunState {
    RunState::Failed {
        reason: reason.to_owned(),
    }
}

fn reopen(world: &mut World) {
    world.journal.push(Entry {
        path: RUN_PATH.to_owned(),
        attempt: 0,
        at: world.now,
        event: Event::Reopened,
    });
}

#[test]
fn steps_are_done_in_order_and_each_is_journalled_before_and_after() {
    let mut world = World::new(true, &[]);
    let end = complete(&mut world, vec![act("one"), act("two")]);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(
        world.told(),
        [
            " 0 succeeded",
            "one 1 started",
            "one 1 succeeded",
            "two 1 started",
            "two 1 succeeded"
        ]
    );
}

#[test]
fn later_steps_see_the_outcomes_of_earlier_ones() {
    let mut world = World::new(true, &[("bad", Fate::Refused)]);
    let steps = vec![
        act("good"),
        carry_on(act("bad")),
        choice(
            "check",
            "steps.good.ok and not steps.bad.ok and steps.bad.error == 'refused'",
            vec![act("yes")],
            vec![act("no")],
        ),
    ];
    assert_eq!(complete(&mut world, steps), RunState::Succeeded);
    assert_eq!(world.paths(), ["good", "check/yes"]);
    let (_, seen) = world.effects.last().unwrap();
    assert_eq!(
        seen["steps"]["good"],
        json!({"receipt": "good", "ok": true, "error": null})
    );
    assert_eq!(seen["steps"]["check"]["taken"], "then");
}

#[test]
fn a_step_that_fails_for_good_fails_the_run() {
    let mut world = World::new(true, &[("bad", Fate::Refused)]);
    let end = complete(&mut world, vec![act("bad"), act("never")]);
    assert_eq!(end, failed("step `bad`: refused"));
    assert!(world.effects.is_empty());
}

#[test]
fn a_transient_failure_waits_and_is_tried_again() {
    let mut world = World::new(true, &[("mail", Fate::Busy(2))]);
    assert_eq!(complete(&mut world, vec![act("mail")]), RunState::Succeeded);
    assert_eq!(
        world.told()[1..],
        [
            "mail 1 started",
            "mail 1 retrying",
            "mail 2 started",
            "mail 2 retrying",
            "mail 3 started",
            "mail 3 succeeded"
        ]
    );
    assert!(world.now > Timestamp::UNIX_EPOCH);
}

#[test]
fn retries_end_with_the_window() {
    let mut world = World::new(true, &[("mail", Fate::Busy(usize::MAX))]);
    let end = complete(&mut world, vec![act("mail")]);
    let RunState::Failed { reason } = end else {
        panic!("{end:?}")
    };
    assert!(
        reason.starts_with("step `mail`: busy; given up after "),
        "{reason}"
    );
    assert!(world.now.as_second() <= 24 * 60 * 60);
    assert!(world.now.as_second() > 23 * 60 * 60);
}

#[test]
fn a_decision_stands_even_if_it_would_be_taken_otherwise_later() {
    let steps = |condition| vec![choice("way", condition, vec![act("a")], vec![act("b")])];
    let mut world = World::new(true, &[]);
    let (run, first) = script(vec![playbook("main", steps("true"))]);
    let (_, second) = script(vec![playbook("main", steps("false"))]);
    // Points 1 and 2 are around the parameters, 3 and 4 around the decision.
    assert_eq!(world.work(&first, &run, Some(4)), None);
    assert_eq!(world.work(&second, &run, None), Some(RunState::Succeeded));
    assert_eq!(world.paths(), ["way/a"]);
}

#[test]
fn truth_of_a_condition_is_that_of_its_value() {
    for (condition, way) in [
        ("true", "a"),
        ("{{ finding.severity == 'high' }}", "a"),
        ("finding.resources", "b"),
        ("finding.status", "b"),
        ("0", "b"),
        ("''", "b"),
        ("1", "a"),
    ] {
        let mut world = World::new(true, &[]);
        complete(
            &mut world,
            vec![choice("way", condition, vec![act("a")], vec![act("b")])],
        );
        assert_eq!(world.paths(), [format!("way/{way}")], "{condition}");
    }
}

#[test]
fn a_loop_takes_each_item_in_turn_and_forgets_its_names_after() {
    let mut world = World::new(true, &[]);
    let steps = vec![
        each(
            "hosts",
            "{{ raw.detail.hosts }}",
            3,
            vec![
                act("ping"),
                set("note", "last", "{{ item }}{{ loop_index }}"),
            ],
        ),
        act("after"),
    ];
    assert_eq!(complete(&mut world, steps), RunState::Succeeded);
    assert_eq!(
        world.paths(),
        ["hosts[0]/ping", "hosts[1]/ping", "hosts[2]/ping", "after"]
    );
    assert_eq!(world.effects[1].1["item"], "b");
    assert_eq!(world.effects[1].1["loop_index"], 1);
    let after = &world.effects[3].1;
    assert_eq!(after["vars"], json!({"last": "c2"}));
    assert_eq!(after["steps"]["hosts"]["count"], 3);
    assert!(after.get("item").is_none() && after.get("loop_index").is_none());
}

#[test]
fn a_loop_within_a_loop_gives_the_outer_names_back() {
    let mut world = World::new(true, &[]);
    let inner = each("inner", "[10, 20]", 2, vec![act("in")]);
    complete(
        &mut world,
        vec![each("outer", "[1, 2]", 2, vec![inner, act("out")])],
    );
    assert_eq!(
        world.paths(),
        [
            "outer[0]/inner[0]/in",
            "outer[0]/inner[1]/in",
            "outer[0]/out",
            "outer[1]/inner[0]/in",
            "outer[1]/inner[1]/in",
            "outer[1]/out"
        ]
    );
    assert_eq!(world.effects[4].1["item"], 20);
    assert_eq!(world.effects[5].1["item"], 2);
    assert_eq!(world.effects[5].1["loop_index"], 1);
}

#[test]
fn a_loop_over_more_than_its_bound_does_nothing_and_fails() {
    let mut world = World::new(true, &[]);
    let end = complete(
        &mut world,
        vec![each("hosts", "raw.detail.hosts", 2, vec![act("ping")])],
    );
    let reason = "step `hosts`: `raw.detail.hosts` yields 3 items, more than the 2 allowed; raise `max` or narrow the list";
    assert_eq!(end, failed(reason));
    assert!(world.effects.is_empty());
}

#[test]
fn a_loop_over_no_list_fails_and_over_an_empty_one_is_done() {
    let mut world = World::new(true, &[]);
    let end = complete(
        &mut world,
        vec![each("hosts", "finding.title", 2, vec![act("ping")])],
    );
    assert_eq!(
        end,
        failed("step `hosts`: `finding.title` yields text, not a list")
    );
    let mut world = World::new(true, &[]);
    let end = complete(
        &mut world,
        vec![
            each("hosts", "finding.resources", 2, vec![act("ping")]),
            act("after"),
        ],
    );
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(world.paths(), ["after"]);
}

#[test]
fn a_pause_holds_the_run_until_it_is_due() {
    let (run, script) = script(vec![playbook(
        "main",
        vec![wait("nap", "15m"), act("after")],
    )]);
    let mut world = World::new(true, &[]);
    let end = world.work(&script, &run, None);
    assert_eq!(end, Some(RunState::Succeeded));
    assert_eq!(world.now.as_second(), 900);
    let waiting = world
        .told()
        .iter()
        .position(|line| line == "nap 1 waiting")
        .unwrap();
    let journal = &world.journal[..=waiting];
    let early =
        Walker::new(&script, &run, journal, None).next(Timestamp::from_second(899).unwrap());
    assert!(matches!(early, Next::Wait { until, .. } if until.as_second() == 900));
    let due = Walker::new(&script, &run, journal, None).next(Timestamp::from_second(900).unwrap());
    assert!(matches!(due, Next::Record(entry) if entry.path == "nap"));
}

#[test]
fn a_pause_until_a_time_reads_it_from_a_template() {
    let until = step(
        "nap",
        StepKind::Wait(quench_automations::WaitStep::Until(
            "{{ vars.when }}".to_owned(),
        )),
    );
    let mut world = World::new(true, &[]);
    let steps = vec![set("plan", "when", "1970-01-01T01:00:00Z"), until.clone()];
    assert_eq!(complete(&mut world, steps), RunState::Succeeded);
    assert_eq!(world.now.as_second(), 3600);
    let mut world = World::new(true, &[]);
    let end = complete(&mut world, vec![set("plan", "when", "soon"), until]);
    assert_eq!(
        end,
        failed("step `nap`: `soon` is not an RFC 3339 time such as `2027-01-31T08:00:00Z`")
    );
}

#[test]
fn stop_ends_the_run_wherever_it_stands() {
    let mut world = World::new(true, &[]);
    let steps = |bad| {
        let inner = vec![each("hosts", "[1, 2]", 2, vec![stop("halt", bad)])];
        vec![
            carry_on(choice("way", "true", inner, Vec::new())),
            act("never"),
        ]
    };
    let reason = "enough".to_owned();
    assert_eq!(
        complete(&mut world, steps(false)),
        RunState::Stopped {
            reason: reason.clone()
        }
    );
    let mut world = World::new(true, &[]);
    assert_eq!(
        complete(&mut world, steps(true)),
        RunState::Failed { reason }
    );
    assert!(world.effects.is_empty());
}

#[test]
fn a_failure_inside_is_held_by_the_step_around_it_that_lets_the_run_go_on() {
    let mut world = World::new(true, &[("bad", Fate::Refused)]);
    let inner = choice("way", "true", vec![act("bad"), act("never")], Vec::new());
    let steps = vec![
        carry_on(each("hosts", "[1, 2]", 2, vec![inner])),
        choice("check", "steps.hosts.ok", Vec::new(), vec![act("told")]),
    ];
    assert_eq!(complete(&mut world, steps), RunState::Succeeded);
    assert_eq!(world.paths(), ["check/told"]);
    let seen = &world.effects[0].1;
    assert_eq!(
        seen["steps"]["hosts"]["error"],
        "step `hosts[0]/way/bad`: refused"
    );
    assert!(seen.get("item").is_none());
}

#[test]
fn of_two_steps_around_a_failure_the_inner_one_holds_it() {
    let mut world = World::new(true, &[("bad", Fate::Refused)]);
    let inner = carry_on(each("inner", "[1]", 1, vec![act("bad")]));
    let outer = carry_on(each("outer", "[1]", 1, vec![inner, act("next")]));
    assert_eq!(complete(&mut world, vec![outer]), RunState::Succeeded);
    assert_eq!(world.paths(), ["outer[0]/next"]);
}

fn notify() -> Playbook {
    let mut notify = playbook(
        "notify",
        vec![
            act("mail"),
            set("note", "told", "{{ params.to }}: {{ params.title }}"),
        ],
    );
    let parameter = |required, default| Parameter {
        parameter_type: ParameterType::String,
        description: None,
        required,
        default,
        allowed: Vec::new(),
    };
    notify
        .parameters
        .insert("to".to_owned(), parameter(true, None));
    let default = Some(json!("about {{ finding.title }}"));
    notify
        .parameters
        .insert("title".to_owned(), parameter(false, default));
    notify
}

#[test]
fn a_called_playbook_has_parameters_steps_and_variables_of_its_own() {
    let steps = vec![
        set("name", "who", "anna@example.com"),
        call("tell", "notify", &json!({"to": "{{ vars.who }}"})),
        act("after"),
    ];
    let (run, script) = script(vec![playbook("main", steps), notify()]);
    let mut world = World::new(true, &[]);
    assert_eq!(world.work(&script, &run, None), Some(RunState::Succeeded));
    assert_eq!(world.paths(), ["tell/mail", "after"]);
    let inside = &world.effects[0].1;
    let params = json!({"to": "anna@example.com", "title": "about Somebody guessed SQL passwords"});
    assert_eq!(inside["params"], params);
    assert_eq!(inside["vars"], json!({}));
    assert_eq!(inside["steps"], json!({}));
    let after = &world.effects[1].1;
    assert_eq!(after["params"], json!({}));
    assert_eq!(after["vars"], json!({"who": "anna@example.com"}));
    let told = "anna@example.com: about Somebody guessed SQL passwords";
    assert_eq!(after["steps"]["tell"]["vars"], json!({"told": told}));
    assert!(after["steps"].get("mail").is_none());
}

#[test]
fn parameters_are_checked_and_what_they_render_to_is_not_rendered_again() {
    let (mut run, script) = script(vec![notify()]);
    let mut world = World::new(true, &[]);
    let end = world.work(&script, &run, None);
    assert_eq!(
        end,
        Some(failed("parameter `to`: is required by playbook `notify`"))
    );

    Arc::make_mut(&mut run.finding).title = "{{ 7 * 7 }}".to_owned();
    run.with = Map::from_iter([("to".to_owned(), json!("{{ finding.title }}"))]);
    let mut world = World::new(true, &[]);
    assert_eq!(world.work(&script, &run, None), Some(RunState::Succeeded));
    let params = json!({"to": "{{ 7 * 7 }}", "title": "about {{ 7 * 7 }}"});
    assert_eq!(world.effects[0].1["params"], params);
}

#[test]
fn a_template_error_names_step_and_expression() {
    let mut world = World::new(true, &[]);
    let end = complete(&mut world, vec![set("note", "x", "{{ vars.missing }}")]);
    let RunState::Failed { reason } = end else {
        panic!("{end:?}")
    };
    assert!(
        reason.starts_with("step `note`: variable `x`: "),
        "{reason}"
    );
    assert!(reason.contains("{{ vars.missing }}"), "{reason}");
}

#[test]
fn calls_without_end_are_refused() {
    let run = run_of("main", &[]);
    let main = playbook("main", vec![call("again", "main", &json!({}))]);
    let refused = Script::compile(&run, [("main".to_owned(), main)].into()).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("playbooks call one another more than 5 deep: `main` → `main`")
    );
    let main = playbook("main", vec![call("gone", "lost", &json!({}))]);
    let refused = Script::compile(
        &run_of("main", &["lost"]),
        [("main".to_owned(), main)].into(),
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        "playbook `lost` is not in the store in version `v1`"
    );
}

#[test]
fn an_attempt_left_open_is_repeated_where_that_does_no_harm() {
    let (run, script) = script(vec![playbook("main", vec![act("mail")])]);
    let mut world = World::new(true, &[]);
    // The effect has happened and its ending is about to be written.
    assert_eq!(world.work(&script, &run, Some(5)), None);
    assert_eq!(world.paths(), ["mail"]);
    assert_eq!(world.work(&script, &run, None), Some(RunState::Succeeded));
    assert_eq!(world.paths(), ["mail"]);
    assert_eq!(
        world.told()[1..],
        [
            "mail 1 started",
            "mail 1 retrying",
            "mail 2 started",
            "mail 2 succeeded"
        ]
    );
}

#[test]
fn a_doubt_that_must_not_be_repeated_follows_on_unknown() {
    let trial = |on_unknown, on_error| {
        let mut doubtful = act("order");
        doubtful.on_unknown = on_unknown;
        doubtful.on_error = on_error;
        let (run, script) = script(vec![playbook("main", vec![doubtful, act("after")])]);
        let mut world = World::new(false, &[]);
        assert_eq!(world.work(&script, &run, Some(5)), None);
        let end = world.work(&script, &run, None).unwrap();
        (end, world)
    };
    let (end, world) = trial(Some(OnUnknown::Fail), OnError::Continue);
    assert_eq!(
        end,
        failed("step `order`: the worker stopped before the outcome was known")
    );
    assert_eq!(world.told()[1..], ["order 1 started", "order 1 unknown"]);

    let (end, world) = trial(Some(OnUnknown::Continue), OnError::Fail);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(world.paths(), ["order", "after"]);
    assert_eq!(world.effects[1].1["steps"]["order"]["ok"], false);

    let (end, world) = trial(Some(OnUnknown::Repeat), OnError::Fail);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(world.paths(), ["order", "order", "after"]);
    assert_eq!(
        world.told()[1..5],
        [
            "order 1 started",
            "order 1 unknown",
            "order 1 retrying",
            "order 2 started"
        ]
    );

    // Where nothing is said, the action's own way holds, which here is to fail.
    let (end, world) = trial(None, OnError::Continue);
    assert_eq!(end, RunState::Succeeded);
    assert_eq!(
        world.told()[1..4],
        ["order 1 started", "order 1 unknown", "order 1 failed"]
    );
    let (end, _) = trial(None, OnError::Fail);
    assert!(matches!(end, RunState::Failed { .. }));
}

#[test]
fn a_failed_run_set_going_again_goes_on_at_the_failed_step_with_fresh_attempts() {
    let mut once = act("mail");
    once.retry = Some(quench_automations::Retry {
        attempts: Some(2),
        ..crate::engine::retry::DEFAULT_RETRY
    });
    let steps = vec![
        carry_on(act("bad")),
        act("one"),
        each("hosts", "[1]", 1, vec![once]),
        act("two"),
    ];
    let (run, script) = script(vec![playbook("main", steps)]);
    let mut world = World::new(true, &[("bad", Fate::Refused), ("mail", Fate::Busy(3))]);
    let end = failed("step `hosts[0]/mail`: busy; given up after 2 attempts");
    assert_eq!(world.work(&script, &run, None), Some(end.clone()));
    // Looked at again, it is still failed.
    assert_eq!(world.work(&script, &run, None), Some(end));
    reopen(&mut world);
    assert_eq!(world.work(&script, &run, None), Some(RunState::Succeeded));
    assert_eq!(world.paths(), ["one", "hosts[0]/mail", "two"]);
    let told = world.told();
    assert_eq!(
        told.iter().filter(|line| *line == "bad 1 failed").count(),
        1
    );
    assert!(
        told.contains(&"hosts[0]/mail 4 succeeded".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_run_set_going_again_that_fails_again_is_failed_again() {
    let (run, script) = script(vec![playbook("main", vec![act("bad")])]);
    let mut world = World::new(true, &[("bad", Fate::Refused)]);
    let end = Some(failed("step `bad`: refused"));
    assert_eq!(world.work(&script, &run, None), end);
    reopen(&mut world);
    assert_eq!(world.work(&script, &run, None), end);
    assert_eq!(world.work(&script, &run, None), end);
    assert_eq!(
        world.told()[3..],
        [" 0 reopened", "bad 2 started", "bad 2 failed"]
    );
}

#[test]
fn a_run_that_writes_too_much_is_ended() {
    let mut world = World::new(true, &[]);
    let turn = vec![act("a"), act("b")];
    let end = complete(&mut world, vec![each("many", "range(5000)", 5000, turn)]);
    assert_eq!(
        end,
        failed("the journal reached its limit of 10000 entries")
    );
    assert!(world.journal.len() <= MOST_ENTRIES + 1);
}

#[test]
fn what_the_finding_says_is_told_apart_however_it_is_handed_on() {
    let mut callee = playbook(
        "inner",
        vec![
            set("copied", "mixed", "{{ params.theirs }} {{ params.ours }}"),
            set("named", "plain", "{{ params.ours }}"),
            act("deep"),
        ],
    );
    for name in ["ours", "theirs"] {
        callee.parameters.insert(
            name.to_owned(),
            Parameter {
                parameter_type: ParameterType::String,
                description: None,
                required: false,
                default: Some(json!("{{ finding.title }}")),
                allowed: vec![],
            },
        );
    }
    let with = json!({ "ours": "{{ vars.fixed }}", "theirs": "{{ vars.title }}" });
    let steps = vec![
        set("one", "fixed", "team"),
        set("two", "title", "{{ finding.title }}"),
        each("loop", "finding.resources", 10, vec![act("theirs")]),
        each("list", "['a', 'b']", 10, vec![act("ours")]),
        call("called", "inner", &with),
        set("three", "fixed", "{{ steps.called.vars.mixed }}"),
        act("last"),
    ];
    let (mut run, script) = script(vec![playbook("main", steps), callee]);
    let resource = json!({ "id": "r", "name": "n" });
    Arc::make_mut(&mut run.finding).resources = vec![serde_json::from_value(resource).unwrap()];
    let mut world = World::new(true, &[]);
    assert_eq!(world.work(&script, &run, None), Some(RunState::Succeeded));
    let trusted = &world.trusted;
    assert_eq!(trusted["loop[0]/theirs"].get("item"), None);
    assert_eq!(trusted["loop[0]/theirs"]["loop_index"], 0);
    assert_eq!(
        trusted["loop[0]/theirs"]["vars"],
        json!({ "fixed": "team" })
    );
    assert_eq!(trusted["list[1]/ours"]["item"], "b");
    assert_eq!(trusted["called/deep"]["params"], json!({ "ours": "team" }));
    assert_eq!(trusted["called/deep"]["vars"], json!({ "plain": "team" }));
    assert_eq!(trusted["last"]["vars"], json!({}));
    let (_, seen) = world.effects.last().unwrap();
    assert_eq!(
        seen["vars"]["fixed"],
        seen["steps"]["called"]["vars"]["mixed"]
    );
    for (path, own) in trusted {
        assert_eq!(own.get("finding"), None, "{path}");
        assert_eq!(own.get("raw"), None, "{path}");
    }
}
