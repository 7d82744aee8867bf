//! `quench`: author, test, operate and serve security workflow automation.

mod arguments;
mod commands;
mod input;
mod output;
mod report;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use commands::Verdict;

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
            ExitCode::from(1)
        }
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
