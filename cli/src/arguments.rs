//! The words of the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use quench_app::RunStage;
use quench_app::approval::ApprovalStage;

use crate::output::Color;

/// Security workflow automation: a finding arrives, automations match it, playbooks run.
///
/// Exit codes: 0 all well, 1 something was refused or failed, 2 the command line was wrong.
#[derive(Debug, Parser)]
#[command(name = "quench", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// Folder of the store, made where it is missing [default: ./quench-data; for `demo` a fresh one].
    #[arg(long, global = true, value_name = "DIR", env = "QUENCH_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to colour text.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the main job: five sample alerts, one automation, five mails.
    Demo,
    /// Receive payloads over HTTP on this machine and run everything in one process.
    Serve(Serve),
    /// Decode payloads into findings, as JSON lines.
    Decode(Payloads),
    /// Take payloads in, start what matches and see it through.
    Ingest(Ingest),
    /// Check automations, playbooks and connections and put them into the store, all or none.
    Apply(Apply),
    /// Automations in the store.
    #[command(subcommand)]
    Automations(Automations),
    /// Playbooks in the store, and the gallery of ready-made ones.
    #[command(subcommand)]
    Playbooks(Playbooks),
    /// Connections in the store.
    #[command(subcommand)]
    Connections(Connections),
    /// Show the organisation in the store: which units each account belongs to.
    Organization,
    /// Findings in the store.
    #[command(subcommand)]
    Findings(Findings),
    /// Runs and their journals.
    #[command(subcommand)]
    Runs(Runs),
    /// Run a playbook for a stored finding by hand.
    Trigger(Trigger),
    /// What can be done to resources: name, risk, parameters, permissions.
    #[command(subcommand)]
    Remediations(Remediations),
    /// Plan a remediation of one resource by hand, or apply it.
    Remediate(Remediate),
    /// Made-up findings for trying things out.
    #[command(subcommand)]
    Samples(Samples),
    /// What people are asked before something is done, and their decisions.
    #[command(subcommand)]
    Approvals(Approvals),
    /// Messages that could not be handled.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Measure how fast this machine works.
    #[command(subcommand)]
    Bench(Bench),
}

impl Command {
    /// Whether it changes nothing, so that it may break off when nobody reads on.
    pub(crate) fn only_shows(&self) -> bool {
        match self {
            Self::Demo
            | Self::Serve(_)
            | Self::Ingest(_)
            | Self::Apply(_)
            | Self::Trigger(_)
            | Self::Remediate(_) => false,
            Self::Decode(_) => true,
            Self::Automations(command) => matches!(
                command,
                Automations::List | Automations::Show { .. } | Automations::Explain { .. }
            ),
            Self::Playbooks(command) => !matches!(command, Playbooks::Delete { .. }),
            Self::Connections(command) => !matches!(command, Connections::Delete { .. }),
            Self::Organization => true,
            Self::Findings(command) => !matches!(command, Findings::Delete { .. }),
            Self::Runs(command) => matches!(command, Runs::List { .. } | Runs::Show { .. }),
            Self::Remediations(_) => true,
            Self::Samples(command) => !matches!(command, Samples::Send { .. }),
            Self::Approvals(command) => {
                matches!(command, Approvals::List { .. } | Approvals::Show { .. })
            }
            Self::DeadLetters(command) => matches!(command, DeadLetters::List),
            Self::Bench(_) => true,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8640", value_parser = loopback)]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct Payloads {
    /// Files or folders of payloads; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    #[command(flatten)]
    pub(crate) payloads: Payloads,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// How long to stay for runs that pause or retry.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Patience {
    /// Longest time to wait for runs that pause or retry; they go on with the next command or `serve`.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) wait: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// YAML files, or folders of them.
    #[arg(required = true, value_name = "DIR")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only check; store nothing.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Automations {
    /// List them.
    List,
    /// Show one.
    Show { name: String },
    /// Let one fire.
    Enable { name: String },
    /// Keep one from firing.
    Disable { name: String },
    /// Remove one.
    Delete { name: String },
    /// Tell for each of its gates and conditions whether a stored finding passes.
    Explain {
        name: String,
        /// Id of a stored finding.
        #[arg(long, value_name = "ID")]
        finding: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Playbooks {
    /// List them.
    List,
    /// Show one.
    Show { name: String },
    /// Remove one that no automation uses.
    Delete { name: String },
    /// List the gallery, or print one of its templates to build on.
    Gallery { name: Option<String> },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Connections {
    /// List them.
    List,
    /// Show one, its secrets as references.
    Show { name: String },
    /// Remove one.
    Delete { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Findings {
    /// List them, last changed first.
    List {
        /// Only this kind.
        #[arg(long, value_parser = ["alert", "recommendation", "compliance"])]
        kind: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one.
    Show { id: String },
    /// Remove one; its runs stay.
    Delete { id: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// List them, newest first.
    List {
        /// Only those of this finding.
        #[arg(long, value_name = "ID")]
        finding: Option<String>,
        /// Only those in this state.
        #[arg(long, value_parser = RunStage::ALL.map(RunStage::name))]
        state: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one with its journal: for each remediation what was planned, what became of it and how to undo it.
    Show {
        id: String,
        /// Show long values whole.
        #[arg(long)]
        full: bool,
    },
    /// Take a failed run up again at the step that failed.
    Retry {
        id: String,
        #[command(flatten)]
        patience: Patience,
    },
    /// Restore what a run has changed, the last change first; what changed since is left alone and told.
    Undo {
        id: String,
        /// Path or id of a step: only what that one has changed.
        #[arg(long, value_name = "STEP")]
        step: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
}

/// How far remediations may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum How {
    /// Plan and write down; change nothing.
    Observe,
    /// Plan, ask people, and apply what they approved.
    Approve,
    /// Plan and apply.
    Enforce,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Remediations {
    /// List them.
    List,
    /// Show one.
    Show { name: String },
}

#[derive(Debug, Args)]
#[command(group(
    ArgGroup::new("what").required(true).multiple(true).args(["finding", "resource", "account"])
))]
pub(crate) struct Remediate {
    /// Name of a remediation; `quench remediations list` shows those there are.
    pub(crate) name: String,
    /// Id of the stored finding that it mends.
    #[arg(long, value_name = "ID")]
    pub(crate) finding: Option<String>,
    /// ARN or id of the resource [default: the one of the finding that the remediation takes].
    #[arg(long, value_name = "ARN")]
    pub(crate) resource: Option<String>,
    /// Account of the resource, where neither ARN nor finding says [default: that of the credentials].
    #[arg(long, value_name = "DIGITS")]
    pub(crate) account: Option<String>,
    /// Region of the resource, where neither ARN nor finding says [default: `AWS_REGION`].
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Value of a parameter, lists with commas. May be given again.
    #[arg(long = "with", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) with: Vec<(String, String)>,
    /// How far it may go.
    #[arg(long, value_enum, default_value = "observe")]
    pub(crate) mode: How,
    /// Address of somebody who is asked. May be given again.
    #[arg(long = "approver", value_name = "ADDRESS")]
    pub(crate) approvers: Vec<String>,
    /// Apply what is of high risk without asking on the terminal.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// Reads a loopback address.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "write an address and a port, such as `127.0.0.1:8640`".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(
            "not a loopback address; intake here knows no senders, so listen on 127.0.0.1 or [::1]"
                .to_owned(),
        )
    }
}

/// Reads `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write it as `NAME=VALUE`".to_owned()),
    }
}

/// Which part of a long list.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Page {
    /// How many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// How many to leave out first.
    #[arg(long, default_value_t = 0)]
    pub(crate) skip: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Trigger {
    /// Name of a playbook in the store.
    pub(crate) playbook: String,
    /// Id of a stored finding.
    #[arg(long, value_name = "ID")]
    pub(crate) finding: String,
    /// Value of a parameter; text, or JSON where it reads as such. May be given again.
    #[arg(long = "with", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) with: Vec<(String, String)>,
    /// How far its remediations may go [default: observe].
    #[arg(long, value_enum)]
    pub(crate) mode: Option<How>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Samples {
    /// List them.
    List,
    /// Print the payload of one.
    Show { name: String },
    /// Send some through intake, like real ones.
    Send {
        /// Names of samples.
        #[arg(required_unless_present = "all", value_name = "NAME")]
        names: Vec<String>,
        /// Send every one.
        #[arg(long, conflicts_with = "names")]
        all: bool,
        #[command(flatten)]
        patience: Patience,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List those that wait for a decision, newest first.
    List {
        /// Those in this state instead.
        #[arg(long, value_parser = ApprovalStage::ALL.map(ApprovalStage::name))]
        state: Option<String>,
        /// All of them instead.
        #[arg(long, conflicts_with = "state")]
        all: bool,
        #[command(flatten)]
        page: Page,
    },
    /// Show one: what would be done, who was asked, and how it stands.
    Show { id: String },
    /// Have it done. Whoever started the run by hand cannot.
    Approve {
        id: String,
        /// Why, for whoever reads the run later.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Have it not done. Whoever started the run by hand cannot.
    Deny {
        id: String,
        /// Why, for whoever reads the run later.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        patience: Patience,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them; on AWS with events that never reached their queue, if `QUENCH_QUEUE_UNDELIVERED` says where they are.
    List,
    /// Put one, or all, back on its queue, or on the one that it never reached.
    Redrive {
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Put every one back.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Match made-up findings against made-up rules: events a second with and without parsing, beside merely parsing and
    /// beside asking every rule in turn.
    ///
    /// Merely parsing is that of `serde_json`, which Quench uses. An example compares with `sonic-rs`, a parser made for speed:
    /// `cargo run --release -p quench-matching --example speed`. Before and after measuring, what is matched unparsed is
    /// compared with what is matched parsed, of every finding; and that with asking every rule, of as many findings as there
    /// is time for.
    Match(BenchMatch),
}

#[derive(Debug, Args)]
pub(crate) struct BenchMatch {
    /// How many rules; may be given again [default: 10, 1,000, 10,000 and 100,000].
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) rules: Vec<usize>,
    /// What the rules are made of.
    #[arg(long, value_enum, default_value = "all")]
    pub(crate) mix: BenchMix,
    /// How many findings, each of 3 to 8 KB.
    #[arg(long, value_name = "N", default_value = "2000", value_parser = at_least_one)]
    pub(crate) findings: usize,
}

/// What made-up rules are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BenchMix {
    All,
    /// Two to four conditions of several operators; some rules ask for nothing rare.
    Mixed,
    /// The same, but most rules ask for something that few findings have, and else for what many have.
    Typical,
    /// As mixed, but each rule asks for something that few findings have.
    Selective,
    /// As mixed, but on every field, with what other findings have there.
    Wide,
    /// An account each, and one condition more.
    Accounts,
}

/// Reads a number that is not zero.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number from 1 up".to_owned()),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
