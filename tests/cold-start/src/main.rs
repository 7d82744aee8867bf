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

const HELP: &str = "usage: quench-cold-start [--rounds N] [--only NAMES] [--check]

  --rounds N     how often each function is started, in turn with the others (default 15)
  --only NAMES   which functions, such as alert,runner (default all); the floors are always there
  --check        end with 1 if a goal is missed

Needs the zips of infra/package and what tests/tools/install installs.";

/// Functions whose start is held to the goal: people, or a flood of events, wait for them.
const QUICK: [&str; 5] = ["alert", "recommendation", "compliance", "runner", "manual"];
/// Functions that take batches in and match them.
const MATCHING: [&str; 3] = ["alert", "recommendation", "compliance"];
/// What is answered to a link to an approval that nobody was sent.
const NOBODY_S_LINK: (&str, u64) = ("approve", 404);
/// Invocations of a function that is warm, of which the median counts: the first few still find memory as the start left it.
const WARM: usize = 9;

#[allow(clippy::print_stdout, reason = "the table is what this is run for")]
fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("quench-cold-start: {fault}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match measure(&options) {
        Ok((text, met)) => {
            print!("{text}");
            ExitCode::from(u8::from(options.check && !met))
        }
        Err(fault) => {
            eprintln!("quench-cold-start: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// What is asked for.
struct Options {
    rounds: usize,
    only: Vec<String>,
    check: bool,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            rounds: 15,
            only: FUNCTIONS.map(str::to_owned).to_vec(),
            check: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => {
                    options.rounds = words
                        .next()
                        .and_then(|number| number.parse().ok())
                        .filter(|rounds| *rounds > 0)
                        .ok_or("`--rounds` takes a number from 1")?;
                }
                "--only" => {
                    let names = words.next().ok_or("`--only` takes names of functions")?;
                    options.only = names.split(',').map(str::to_owned).collect();
                    let known = |name: &String| FUNCTIONS.contains(&name.as_str());
                    if let Some(other) = options.only.iter().find(|name| !known(name)) {
                        return Err(format!("`{other}` is not a function"));
                    }
                }
                "--check" => options.check = true,
                other => return Err(format!("`{other}` is not an option")),
            }
        }
        Ok(options)
    }
}

/// A program and what is known of it.
struct Subject {
    function: Function,
    figures: Figures,
    held: Held,
    ours: bool,
}

/// Gives the table, and whether all goals are met.
fn measure(options: &Options) -> Result<(String, bool), String> {
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
    for name in &options.only {
        subjects.push(subject(scene.function(name), Some(&zip(name))));
    }
    for round in 0..=options.rounds {
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
    for subject in subjects.iter_mut().filter(|subject| subject.held.batch) {
        let flood = scene.flood().to_string().into_bytes();
        let mut running = Running::start(&subject.function)?;
        let (_, answer) = running.invoke(&flood)?;
        well(&subject.function, &answer)?;
        subject.figures.flood = Some(running.memory().highest);
    }
    let all: Vec<(Figures, Held)> = subjects
        .into_iter()
        .map(|subject| (subject.figures, subject.held))
        .collect();
    let (table, met) = table(&all);
    let head = format!(
        "{} starts each, in turn; medians. {} automations in force; batches are of 10 new findings, each of which starts a run, \
         or of 10 runs that mail.\n\n",
        options.rounds,
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
        flood: None,
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
    let memory = running.memory();
    let (warm, _) = running.invoke(b"{}")?;
    Ok(Life {
        init: running.init,
        first,
        warm,
        memory,
        ..Life::default()
    })
}

/// The life of a function of the product.
fn live(function: &Function, scene: &mut Scene, calls: &Function) -> Result<Life, String> {
    let mut running = Running::start(function)?;
    let (first, answer) = running.invoke(&payload(function, scene)?)?;
    well(function, &answer)?;
    let memory = running.memory();
    let mut warm = Vec::new();
    let mut made = Vec::new();
    for _ in 0..WARM {
        let payload = payload(function, scene)?;
        scene.calls();
        let (span, answer) = running.invoke(&payload)?;
        well(function, &answer)?;
        made = scene.calls();
        warm.push(span);
    }
    let init = running.init;
    drop(running);
    let calls = alike(calls, function);
    warm.sort_by_key(|span| span.cpu);
    Ok(Life {
        init,
        first,
        warm: warm[WARM / 2],
        calls: made.len(),
        calls_cpu: cost(&calls, scene, &made)?,
        memory,
    })
}

/// The program that only calls, with its allocator set as that of a function: calls allocate more than anything.
fn alike(calls: &Function, function: &Function) -> Function {
    let settings = function.environment.iter();
    let settings = settings.filter(|(name, _)| name.starts_with("MALLOC_"));
    let environment = calls.environment.iter().chain(settings).cloned().collect();
    Function {
        environment,
        ..calls.clone()
    }
}

fn payload(function: &Function, scene: &mut Scene) -> Result<Vec<u8>, String> {
    Ok(scene.payload(&function.name)?.to_string().into_bytes())
}

/// Whether an invocation did what it should: a batch that is delivered again, or an error page, measures nothing.
fn well(function: &Function, answer: &[u8]) -> Result<(), String> {
    let answer: Value = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let failed = answer["batchItemFailures"]
        .as_array()
        .is_some_and(|failed| !failed.is_empty());
    let refused = answer["statusCode"]
        .as_u64()
        .is_some_and(|status| status >= 300 && (&*function.name, status) != NOBODY_S_LINK);
    match failed || refused {
        true => Err(format!("it answers {answer}")),
        false => Ok(()),
    }
}

/// CPU of calls when a program makes them that does nothing else, and has the same answers: what it takes with them less
/// what it takes without.
fn cost(function: &Function, scene: &Scene, made: &[Call]) -> Result<Duration, String> {
    if made.is_empty() {
        return Ok(Duration::ZERO);
    }
    let calls: Vec<Value> = made
        .iter()
        .map(|call| {
            let body = serde_json::from_slice(&call.request.body).unwrap_or(Value::Null);
            json!({"operation": call.operation, "body": body})
        })
        .collect();
    let payload = |make| {
        json!({"make": make, "calls": calls})
            .to_string()
            .into_bytes()
    };
    let (with, without) = (payload(true), payload(false));
    scene.replay(made);
    let mut running = Running::start(function)?;
    // The first time makes the connections, which functions that are warm have.
    running.invoke(&with)?;
    let mut costs = Vec::new();
    for _ in 0..WARM {
        let (without, _) = running.invoke(&without)?;
        let (with, answer) = running.invoke(&with)?;
        well(function, &answer)?;
        costs.push(with.cpu.saturating_sub(without.cpu));
    }
    scene.recover()?;
    costs.sort_unstable();
    Ok(costs[WARM / 2])
}

/// Builds the function that does nothing and the one that only calls, with the profile of the others.
///
/// What `infra/package` does besides is left out: they are built for the machine's own target without naming it, where
/// sources lie is not taken out of them, and the same instructions may be there twice.
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
    // Cargo, which was started in the root, takes it from there if it is not absolute.
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = root().join(target).join("function");
    Ok((folder.join("nothing"), folder.join("calls")))
}
