//! `quench`: author, test, operate and serve security workflow automation.

mod arguments;
mod commands;
mod input;
mod output;
mod report;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use arguments::{Arguments, Command};
use commands::{Misuse, Verdict};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("quench: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    let color = arguments.color.on_stderr();
    log(&arguments, color);
    match runtime.block_on(commands::perform(arguments)) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let label = if color {
                "\u{1b}[31merror\u{1b}[0m"
            } else {
                "error"
            };
            eprintln!("{label}: {}", output::clean(&format!("{error:#}")));
            ExitCode::from(if error.is::<Misuse>() { 2 } else { 1 })
        }
    }
}

/// Starts the log, on standard error: `QUENCH_LOG` or all that an operator of a server wants to know, else only trouble.
fn log(arguments: &Arguments, color: bool) {
    let usual = match arguments.command {
        Command::Serve(_) => "info",
        _ => "warn",
    };
    let filter = EnvFilter::try_from_env("QUENCH_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(color)
        .with_target(false);
    if arguments.json {
        // The list of spans has the innermost as well.
        log.json().with_current_span(false).init();
    } else {
        log.init();
    }
}

/// Whether whoever read our output has gone, as `| head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
