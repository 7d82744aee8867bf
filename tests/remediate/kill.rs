//! The process is killed when AWS has done what it was told and before the journal says so.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use quench_tests::objects;
use serde_json::Value;

use crate::patients::{ALL, BUCKET, DEFAULT_GROUP, Patient};
use crate::world::World;

/// How often each of several writes is waited for at most.
const MOST: usize = 12;

fn events<'a>(run: &'a Value, kind: &str) -> Vec<&'a Value> {
    let journal = run["journal"].as_array().unwrap().iter();
    journal
        .map(|entry| &entry["event"])
        .filter(|event| event["is"] == kind)
        .collect()
}

fn enforce<'a>(patient: &'a Patient, resource: &'a str) -> [&'a str; 9] {
    let name = patient.remediation;
    [
        "remediate",
        name,
        "--resource",
        resource,
        "--mode",
        "enforce",
        "--yes",
        "--wait",
        "60",
    ]
}

fn only_run(world: &World) -> Value {
    let runs = world.json(&["runs", "list", "--state", "running"]);
    assert_eq!(runs.len(), 1, "{runs:?}");
    world.shown(runs[0]["id"].as_str().unwrap())
}

/// Kills after each write in turn; whoever goes on brings it to the same end, with no write more than without a kill.
fn survives(patient: Patient) {
    let Patient {
        remediation: name,
        make,
        look,
        ..
    } = patient;
    let world = World::new(patient.peer);
    let whole = make(&world.aws);
    let run = world.run(&enforce(&patient, &whole));
    assert_eq!(run["state"]["is"], "succeeded", "{name}: {run}");
    let writes = world.between.writes();
    assert!(!writes.is_empty(), "{name}");
    world.ok(&["runs", "undo", run["id"].as_str().unwrap(), "--wait", "60"]);
    world.between.writes();
    for nth in 1..=writes.len().min(MOST) {
        let resource = make(&world.aws);
        let before = look(&world.aws, &resource);
        assert!(
            world.is_killed(&enforce(&patient, &resource), nth),
            "{name}: write {nth}"
        );
        let run = only_run(&world);
        assert_eq!(events(&run, "applying").len(), 1, "{name}: {run}");
        assert_eq!(events(&run, "applied").len(), 0, "{name}: {run}");
        let id = run["id"].as_str().unwrap();

        world.resume();
        let run = world.shown(id);
        assert_eq!(
            run["state"]["is"], "succeeded",
            "{name} after write {nth}: {run}"
        );
        let applied = events(&run, "applied");
        assert_eq!(applied.len(), 1, "{name}: {run}");
        assert_eq!(applied[0]["resumed"], true, "{name}: {run}");
        let mut all = world.between.writes();
        let mut expected = writes.clone();
        all.sort();
        expected.sort();
        assert_eq!(all, expected, "{name} killed after write {nth}");
        let after = look(&world.aws, &resource);
        assert_ne!(after, before, "{name}");

        world.ok(&["runs", "undo", id, "--wait", "60"]);
        assert_eq!(world.shown(id)["state"]["is"], "undone", "{name}");
        assert_eq!(look(&world.aws, &resource), before, "{name}");
        world.between.writes();
    }
}

#[test]
fn each_remediation_is_finished_once_whichever_of_its_writes_it_was_killed_after() {
    // A few at a time: each has a store, a proxy and a process of the SDK.
    for patients in ALL.chunks(4) {
        let threads: Vec<_> = patients
            .iter()
            .map(|patient| {
                let patient = *patient;
                std::thread::spawn(move || survives(patient))
            })
            .collect();
        for (thread, patient) in threads.into_iter().zip(patients) {
            if let Err(panic) = thread.join() {
                eprintln!("{} does not survive", patient.remediation);
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn undoing_is_finished_once_whichever_of_its_writes_it_was_killed_after() {
    for patient in [BUCKET, DEFAULT_GROUP] {
        let world = World::new(patient.peer);
        let mut killed = 0;
        for nth in 1..=MOST {
            let resource = (patient.make)(&world.aws);
            let before = (patient.look)(&world.aws, &resource);
            let run = world.run(&enforce(&patient, &resource));
            let id = run["id"].as_str().unwrap();
            world.between.writes();
            if !world.is_killed(&["runs", "undo", id, "--wait", "60"], nth) {
                break;
            }
            killed += 1;
            let run = only_run(&world);
            assert_eq!(events(&run, "undoing").len(), 1, "{run}");
            assert_eq!(events(&run, "undone").len(), 0, "{run}");
            world.resume();
            let run = world.shown(id);
            assert_eq!(run["state"]["is"], "undone", "{run}");
            assert_eq!(events(&run, "undone").len(), 1, "{run}");
            assert_eq!((patient.look)(&world.aws, &resource), before);
        }
        assert!(killed > 0, "{}", patient.remediation);
    }
}

#[test]
fn a_server_goes_on_with_what_a_killed_command_began() {
    let world = World::new(BUCKET.peer);
    let resource = (BUCKET.make)(&world.aws);
    assert!(world.is_killed(&enforce(&BUCKET, &resource), 1));
    let id = only_run(&world)["id"].as_str().unwrap().to_owned();
    let mut server = world
        .command(&["--json", "serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut said = BufReader::new(server.stdout.take().unwrap());
    said.read_line(&mut first).unwrap();
    assert!(objects(&first)[0]["address"].is_string(), "{first}");
    // As long as it takes: a test that hangs is killed from outside.
    let run = loop {
        let run = world.shown(&id);
        if !["queued", "running", "waiting"].contains(&run["state"]["is"].as_str().unwrap()) {
            break run;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(run["state"]["is"], "succeeded", "{run}");
    assert_eq!(world.between.writes().len(), 1);
}

#[test]
fn the_same_command_again_does_no_harm() {
    let world = World::new(BUCKET.peer);
    let resource = (BUCKET.make)(&world.aws);
    let before = (BUCKET.look)(&world.aws, &resource);
    assert!(world.is_killed(&enforce(&BUCKET, &resource), 1));
    let first = only_run(&world)["id"].as_str().unwrap().to_owned();
    let second = world.run(&enforce(&BUCKET, &resource));
    assert_eq!(second["state"]["is"], "succeeded", "{second}");
    assert_eq!(world.between.writes().len(), 1);
    world.resume();
    assert_eq!(world.shown(&first)["state"]["is"], "succeeded");
    // What the second one found done is not its to undo.
    let refused = world.fails(1, &["runs", "undo", second["id"].as_str().unwrap()]);
    assert!(
        refused.contains("has changed nothing that can be undone"),
        "{refused}"
    );
    world.ok(&["runs", "undo", &first, "--wait", "60"]);
    assert_eq!((BUCKET.look)(&world.aws, &resource), before);
}
