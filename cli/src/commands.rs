//! One file for each command.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use quench_app::{App, Config, Host, Page};
use quench_automations::nearest;

use crate::arguments::{self, Arguments, Command};
use crate::output::Output;

mod apply;
mod approvals;
mod automations;
mod bench;
mod connections;
mod dead_letters;
mod decode;
mod demo;
mod findings;
mod ingest;
mod organization;
mod playbooks;
mod remediate;
mod remediations;
mod runs;
mod samples;
mod serve;
mod trigger;

/// Whether all went well; what did not was said already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad,
}

impl Verdict {
    pub(crate) fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

/// A fault of the command line that only shows once it is understood.
#[derive(Debug)]
pub(crate) struct Misuse(pub(crate) String);

impl std::fmt::Display for Misuse {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) output: Output,
    /// Whether text on standard error is coloured.
    pub(crate) color_errors: bool,
    data: Option<PathBuf>,
}

impl Scene {
    /// The store's folder.
    pub(crate) fn data(&self) -> &Path {
        self.data
            .as_deref()
            .unwrap_or_else(|| Path::new("quench-data"))
    }

    /// Opens the application where the environment says it is: over the store's folder, or on AWS.
    pub(crate) async fn open(&self) -> anyhow::Result<App> {
        let config = Config::from_env()?;
        let config = match (&self.data, &config.host) {
            (None, Host::Aws { .. }) => config,
            _ => config.in_folder(self.data()),
        };
        open(config).await
    }

    /// Whether there is a store to open.
    pub(crate) fn has_store(&self) -> bool {
        let on_aws = self.data.is_none() && std::env::var_os("QUENCH_TABLE").is_some();
        on_aws
            || Config::local(self.data())
                .database()
                .is_some_and(|file| file.exists())
    }

    /// Says what went wrong while the command goes on.
    pub(crate) fn complain(&self, message: &str) {
        self.remark("error", "31", message);
    }

    /// Says what is doubtful.
    pub(crate) fn warn(&self, message: &str) {
        self.remark("warning", "33", message);
    }

    fn remark(&self, label: &str, color: &str, message: &str) {
        let message = crate::output::clean(message);
        if self.color_errors {
            eprintln!("\u{1b}[{color}m{label}\u{1b}[0m: {message}");
        } else {
            eprintln!("{label}: {message}");
        }
    }
}

/// Opens the application over a folder, with the settings of the environment.
async fn open_in(data: &Path) -> anyhow::Result<App> {
    open(Config::from_env()?.in_folder(data)).await
}

async fn open(config: Config) -> anyhow::Result<App> {
    let place = match &config.host {
        Host::Machine { data } => format!("the store in `{}`", data.display()),
        Host::Aws { table, .. } => format!("the store in the table `{table}`"),
    };
    App::open(config)
        .await
        .with_context(|| format!("cannot open {place}"))
}

impl From<arguments::Page> for Page {
    fn from(page: arguments::Page) -> Self {
        Self {
            limit: page.limit,
            skip: page.skip,
        }
    }
}

/// Does what the command line asks.
pub(crate) async fn perform(arguments: Arguments) -> anyhow::Result<Verdict> {
    let scene = Scene {
        output: Output {
            json: arguments.json,
            color: arguments.color.on_stdout(),
            goes_on: !arguments.command.only_shows(),
        },
        color_errors: arguments.color.on_stderr(),
        data: arguments.data,
    };
    match arguments.command {
        Command::Demo => demo::perform(&scene).await,
        Command::Serve(arguments) => serve::perform(&scene, arguments).await,
        Command::Decode(arguments) => decode::perform(&scene, &arguments.files),
        Command::Ingest(arguments) => ingest::perform(&scene, &arguments).await,
        Command::Apply(arguments) => apply::perform(&scene, &arguments).await,
        Command::Automations(command) => automations::perform(&scene, command).await,
        Command::Playbooks(command) => playbooks::perform(&scene, command).await,
        Command::Connections(command) => connections::perform(&scene, command).await,
        Command::Organization => organization::perform(&scene).await,
        Command::Findings(command) => findings::perform(&scene, command).await,
        Command::Runs(command) => runs::perform(&scene, command).await,
        Command::Trigger(arguments) => trigger::perform(&scene, &arguments).await,
        Command::Remediations(command) => remediations::perform(&scene, &command),
        Command::Remediate(arguments) => remediate::perform(&scene, &arguments).await,
        Command::Samples(command) => samples::perform(&scene, command).await,
        Command::Approvals(command) => approvals::perform(&scene, command).await,
        Command::DeadLetters(command) => dead_letters::perform(&scene, command).await,
        Command::Bench(command) => bench::perform(&scene, &command),
    }
}

/// Names the closest of some words, as the end of a message.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known)
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}
