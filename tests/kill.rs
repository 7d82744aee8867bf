//! The process is killed, for real and at any moment; nothing may be lost and nothing done twice unseen.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quench_tests::{Quench, guardduty, mail_on};
use serde_json::Value;

const EVENTS: usize = 500;
const KILLS: usize = 25;

/// A small generator (xorshift64*); its seed is printed so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn thrown() -> Self {
        let seed = std::env::var("KILL_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| {
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(1, |since| since.subsec_nanos().into())
            });
        println!("KILL_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

#[test]
fn five_hundred_ingests_survive_kills_at_random_moments() {
    let quench = Quench::new();
    let rules = quench.write("rules/all.yaml", mail_on("alert", ""));
    quench.ok(["apply".as_ref(), rules.as_os_str()]);
    for number in 0..EVENTS {
        quench.write(
            &format!("events/{number:04}.json"),
            guardduty(number).to_string(),
        );
    }
    let mut dice = Dice::thrown();
    let mut killed = 0;
    for _ in 0..KILLS {
        let mut child = quench
            .command(["--json", "ingest", "events"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(15 + dice.below(600)));
        child.kill().unwrap();
        if child.wait().unwrap().code().is_none() {
            killed += 1;
        }
    }
    assert!(killed > 0, "no process was hit");
    // What was killed in the midst of a step waits a moment before it is tried again, and the command waits for its own runs
    // only.
    let mut runs = Vec::new();
    for _ in 0..20 {
        quench.json(["ingest", "events"]);
        runs = quench.json(["runs", "list", "--limit", "10000"]);
        if runs.iter().all(|run| run["state"]["is"] != "waiting") {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(runs.len(), EVENTS, "one run for each match");
    let mut of_findings = BTreeSet::new();
    for run in &runs {
        assert_eq!(run["state"]["is"], "succeeded", "{run}");
        assert!(of_findings.insert(run["finding"]["id"].to_string()));
    }
    let mut subjects = BTreeMap::<String, usize>::new();
    for mail in quench.mails() {
        *subjects.entry(mail.subject).or_default() += 1;
    }
    assert_eq!(subjects.len(), EVENTS, "a mail for each");
    for run in &runs {
        let title = run["finding"]["title"].as_str().unwrap();
        if subjects[title] > 1 {
            let shown = quench.json(["runs", "show", run["id"].as_str().unwrap()]);
            assert!(
                tells_a_doubt(&shown[0]),
                "mailed {} times without a doubt in the journal: {}",
                subjects[title],
                shown[0]
            );
        }
    }
}

/// Whether a run's journal says that some effect may have happened before.
fn tells_a_doubt(run: &Value) -> bool {
    run["journal"]
        .as_array()
        .unwrap()
        .iter()
        .any(|entry| entry["event"]["is"] == "unknown")
}
