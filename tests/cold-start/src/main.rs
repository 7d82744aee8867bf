//! Starts every function as Lambda would, beside two floors, and prints how long it takes to start and to work, and what
//! it weighs.

mod figures;
mod launch;
mod process;
mod runtime_api;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use figures::{Figures, Held, Life, table};
use launch::{Function, Running};
use quench_tests::aws::python;
use quench_tests::root;

const HELP: &str = "usage: quench-cold-start [--rounds N] [--check]

  --rounds N   how often each function is started, in turn with the others (default 15)
  --check      end with 1 if a goal is missed
";

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

/// Gives the table, and whether all goals are met.
fn measure(rounds: usize) -> Result<(String, bool), String> {
    let subjects = [
        Function {
            name: "nothing".to_owned(),
            program: floor()?,
            arguments: Vec::new(),
            environment: Vec::new(),
        },
        Function {
            name: "python + boto3".to_owned(),
            program: python(),
            arguments: vec![root().join("tests/cold-start/src/floor.py")],
            environment: Vec::new(),
        },
    ];
    let mut all: Vec<(Figures, Held)> = subjects
        .iter()
        .map(|subject| {
            (
                Figures {
                    name: subject.name.clone(),
                    exe: std::fs::metadata(&subject.program)
                        .ok()
                        .map(|file| file.len()),
                    zip: None,
                    lives: Vec::new(),
                },
                Held {
                    function: false,
                    init: false,
                    batch: false,
                },
            )
        })
        .collect();
    for round in 0..=rounds {
        for (subject, (figures, _)) in subjects.iter().zip(&mut all) {
            let life = live(subject).map_err(|fault| format!("`{}`: {fault}", subject.name))?;
            // The first round brings the files into memory.
            if round > 0 {
                figures.lives.push(life);
            }
        }
    }
    Ok(table(&all))
}

fn live(subject: &Function) -> Result<Life, String> {
    let mut running = Running::start(subject)?;
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

/// Builds the function that does nothing, as the others are built.
fn floor() -> Result<PathBuf, String> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--profile", "function"])
        .args(["--package", "quench-cold-start", "--bin", "nothing"])
        .current_dir(root())
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !built.success() {
        return Err("the function that does nothing does not build".to_owned());
    }
    Ok(root().join("target/function/nothing"))
}
