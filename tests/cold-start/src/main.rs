//! Starts every function as Lambda would, beside two floors, and prints how long it takes to start and to work, and what
//! it weighs.

mod figures;
mod launch;
mod process;
mod runtime_api;
mod scene;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use figures::{Figures, Held, Life, table};
use launch::{Function, Running};
use quench_tests::aws::python;
use quench_tests::hub::{FUNCTIONS, zip};
use quench_tests::proxy::Call;
use quench_tests::root;
use scene::Scene;
use serde_json::{Value, json};

const HELP: &str = "usage: quench-cold-start [--rounds N] [--check]

  --rounds N   how often each function is started, in turn with the others (default 15)
  --check      end with 1 if a goal is missed

Needs the zips of infra/package and what tests/tools/install installs.";

/// Functions whose start is held to the goal: people, or a flood of events, wait for them.
const QUICK: [&str; 5] = ["alert", "recommendation", "compliance", "runner", "manual"];
/// Functions that take batches in and match them.
const MATCHING: [&str; 3] = ["alert", "recommendation", "compliance"];
/// Invocations of a function that is warm, of which the median counts.
const WARM: usize = 3;

#[allow(clippy::print_stdout, reason = "the table is what this is run for")]
fn main() -> ExitCode {
    let (rounds, check) = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("quench-cold-start: {fault}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match measure(rounds) {
        Ok((text, met)) => {
            print!("{text}");
            ExitCode::from(u8::from(check && !met))
        }
        Err(fault) => {
            eprintln!("quench-cold-start: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<(usize, bool), String> {
    let (mut rounds, mut check) = (15, false);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => {
                rounds = words
                    .next()
                    .and_then(|number| number.parse().ok())
                    .filter(|rounds| *rounds > 0)
                    .ok_or("`--rounds` takes a number from 1")?;
            }
            "--check" => check = true,
            other => return Err(format!("`{other}` is not an option")),
        }
    }
    Ok((rounds, check))
}

/// A program and what is known of it.
struct Subject {
    function: Function,
    figures: Figures,
    held: Held,
    ours: bool,
}

/// Gives the table, and whether all goals are met.
fn measure(rounds: usize) -> Result<(String, bool), String> {
    let (nothing, calls) = floors()?;
    let mut scene = Scene::set()?;
    let calls = Function {
        environment: scene.environment(),
        ..program("calls", calls)
    };
    let python = Function {
        arguments: vec![root().join("tests/cold-start/src/floor.py")],
        ..program("python + boto3", python())
    };
    let mut subjects = vec![
        subject(program("nothing", nothing), None),
        subject(python, None),
    ];
    for name in FUNCTIONS {
        subjects.push(subject(scene.function(name), Some(&zip(name))));
    }
    for round in 0..=rounds {
        for subject in &mut subjects {
            let life = if subject.ours {
                live(&subject.function, &mut scene, &calls)
            } else {
                idle(&subject.function)
            };
            let life = life.map_err(|fault| format!("`{}`: {fault}", subject.function.name))?;
            // The first round brings the files into memory.
            if round > 0 {
                subject.figures.lives.push(life);
            }
        }
    }
    let all: Vec<(Figures, Held)> = subjects
        .into_iter()
        .map(|subject| (subject.figures, subject.held))
        .collect();
    let (table, met) = table(&all);
    let head = format!(
        "{rounds} starts each, in turn; medians. {} automations in force; batches are of 10 new findings, each of which starts a run, \
         or of 10 runs that mail.\n\n",
        scene::AUTOMATIONS
    );
    Ok((head + &table, met))
}

fn program(name: &str, program: PathBuf) -> Function {
    Function {
        name: name.to_owned(),
        program,
        arguments: Vec::new(),
        environment: Vec::new(),
    }
}

fn subject(function: Function, zip: Option<&Path>) -> Subject {
    let size = |path: &Path| std::fs::metadata(path).ok().map(|file| file.len());
    let name = function.name.clone();
    let held = Held {
        function: zip.is_some(),
        init: QUICK.contains(&name.as_str()),
        batch: MATCHING.contains(&name.as_str()),
    };
    let figures = Figures {
        exe: size(&function.program),
        zip: zip.and_then(size),
        name,
        lives: Vec::new(),
    };
    Subject {
        function,
        figures,
        held,
        ours: zip.is_some(),
    }
}

/// The life of a floor.
fn idle(function: &Function) -> Result<Life, String> {
    let mut running = Running::start(function)?;
    let (first, _) = running.invoke(b"{}")?;
    let resident = running.resident();
    let (warm, _) = running.invoke(b"{}")?;
    Ok(Life {
        init: running.init,
        first,
        warm,
        resident,
        ..Life::default()
    })
}

/// The life of a function of the product.
fn live(function: &Function, scene: &mut Scene, calls: &Function) -> Result<Life, String> {
    let mut running = Running::start(function)?;
    let (first, answer) = running.invoke(&payload(function, scene)?)?;
    well(&answer)?;
    let resident = running.resident();
    let mut warm = Vec::new();
    let mut made = Vec::new();
    for _ in 0..WARM {
        let payload = payload(function, scene)?;
        scene.calls();
        let (span, answer) = running.invoke(&payload)?;
        well(&answer)?;
        made = scene.calls();
        warm.push(span);
    }
    let init = running.init;
    drop(running);
    warm.sort_by_key(|span| span.cpu);
    Ok(Life {
        init,
        first,
        warm: warm[WARM / 2],
        calls: made.len(),
        calls_cpu: cost(calls, &made)?,
        resident,
    })
}

fn payload(function: &Function, scene: &mut Scene) -> Result<Vec<u8>, String> {
    Ok(scene.payload(&function.name)?.to_string().into_bytes())
}

/// Whether an invocation did what it should: a batch that is delivered again, or an error page, measures nothing.
fn well(answer: &[u8]) -> Result<(), String> {
    let answer: Value = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let failed = answer["batchItemFailures"]
        .as_array()
        .is_some_and(|failed| !failed.is_empty());
    let refused = answer["statusCode"]
        .as_u64()
        .is_some_and(|status| status >= 300);
    match failed || refused {
        true => Err(format!("it answers {answer}")),
        false => Ok(()),
    }
}

/// CPU of calls when a program makes them that does nothing else: what it takes with them less what it takes without.
fn cost(function: &Function, calls: &[Call]) -> Result<Duration, String> {
    if calls.is_empty() {
        return Ok(Duration::ZERO);
    }
    let calls: Vec<Value> = calls
        .iter()
        .map(|call| {
            let body = serde_json::from_slice(&call.request.body).unwrap_or(Value::Null);
            json!({"operation": call.operation, "body": body})
        })
        .collect();
    let with = |make| {
        json!({"make": make, "calls": calls})
            .to_string()
            .into_bytes()
    };
    let mut running = Running::start(function)?;
    // The first time makes the connections, which functions that are warm have.
    running.invoke(&with(true))?;
    let (without, _) = running.invoke(&with(false))?;
    let (all, _) = running.invoke(&with(true))?;
    Ok(all.cpu.saturating_sub(without.cpu))
}

/// Builds the function that does nothing and the one that only calls, as the others are built.
fn floors() -> Result<(PathBuf, PathBuf), String> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--profile", "function"])
        .args(["--package", "quench-cold-start"])
        .args(["--bin", "nothing", "--bin", "calls"])
        .current_dir(root())
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !built.success() {
        return Err("the functions to compare with do not build".to_owned());
    }
    let folder = root().join("target/function");
    Ok((folder.join("nothing"), folder.join("calls")))
}
