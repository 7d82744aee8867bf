//! What became of each remediation of a run: plan, guards, approval, effect, reading back, undoing.

use std::io;

use jiff::Timestamp;
use quench_actions::remediate::{Effect, Plan};
use quench_app::{Check, Decision, Entry, Event, Ruling};
use quench_automations::Mode;
use serde_json::Value;

use super::change::{self, Fold, short};
use super::{time, word};
use crate::output::{Look, Output, one_line};

/// What a journal tells of one step that changes something, or would.
#[derive(Debug, Default)]
pub(crate) struct Told<'a> {
    pub(crate) path: &'a str,
    /// The last of its plans: that is the one that counts.
    pub(crate) plan: Option<&'a Plan>,
    /// What it would do where it is no remediation.
    proposed: Option<&'a Value>,
    mode: Option<Mode>,
    outdated: Vec<&'a str>,
    checks: &'a [Check],
    held: Option<(&'a str, Timestamp)>,
    asked: Option<Asked<'a>>,
    decided: Option<Decided<'a>>,
    /// Whether it was begun, with an effect where it is known.
    begun: bool,
    applied: Option<(Effect, Timestamp)>,
    /// Whether it had been begun before, so that what is so already may be this run's doing.
    resumed: bool,
    ended: Option<Ended<'a>>,
    pub(crate) undo: Undo<'a>,
}

#[derive(Debug)]
struct Asked<'a> {
    to: &'a [String],
    until: Timestamp,
}

#[derive(Debug)]
struct Decided<'a> {
    decision: Decision,
    by: Option<&'a str>,
    reason: Option<&'a str>,
    at: Timestamp,
}

#[derive(Debug)]
enum Ended<'a> {
    Done {
        summary: &'a str,
        output: &'a Value,
        at: Timestamp,
    },
    Failed(&'a str),
}

/// How far a step was undone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Undo<'a> {
    /// Nobody asked for it.
    #[default]
    No,
    /// It was begun and nobody knows more.
    Begun,
    Done {
        effect: Effect,
        at: Timestamp,
    },
    Failed(&'a str),
}

impl Told<'_> {
    /// Whether the run has changed something here, or may have, that is not undone.
    pub(crate) fn can_be_undone(&self) -> bool {
        let others_did = matches!(self.applied, Some((Effect::Already, _))) && !self.resumed;
        self.plan.is_some_and(|plan| plan.nothing_to_do.is_none())
            && self.begun
            && !others_did
            && !matches!(self.undo, Undo::Done { .. })
    }
}

/// Reads a journal: each step that plans, proposes or asks, in the order in which they began.
pub(crate) fn told(journal: &[Entry]) -> Vec<Told<'_>> {
    let mut all: Vec<Told<'_>> = Vec::new();
    for entry in journal {
        let known = all.iter().position(|told| told.path == entry.path);
        let begins = matches!(
            entry.event,
            Event::Planned { .. }
                | Event::Proposed { .. }
                | Event::Asked { .. }
                | Event::Guarded { .. }
        );
        let told = match known {
            Some(known) => &mut all[known],
            None if begins => {
                all.push(Told {
                    path: &entry.path,
                    ..Told::default()
                });
                let last = all.len() - 1;
                &mut all[last]
            }
            None => continue,
        };
        note(told, entry);
    }
    all
}

fn note<'a>(told: &mut Told<'a>, entry: &'a Entry) {
    match &entry.event {
        Event::Planned { plan, mode } => {
            told.plan = Some(plan);
            told.mode = Some(*mode);
            (told.asked, told.decided, told.held) = (None, None, None);
            (told.begun, told.applied) = (false, None);
        }
        Event::Proposed { content, mode, .. } => {
            told.proposed = Some(content);
            told.mode = Some(*mode);
        }
        Event::Guarded { mode, checks } => {
            told.mode = Some(*mode);
            told.checks = checks;
            told.held = None;
        }
        Event::Held { reason, until } => told.held = Some((reason, *until)),
        Event::Asked { to, until, .. } => {
            told.asked = Some(Asked { to, until: *until });
            told.decided = None;
        }
        Event::Decided {
            decision,
            by,
            reason,
            ..
        } => {
            told.decided = Some(Decided {
                decision: *decision,
                by: by.as_deref(),
                reason: reason.as_deref(),
                at: entry.at,
            });
        }
        Event::Outdated { reason, .. } => told.outdated.push(reason),
        Event::Applying { .. } => (told.begun, told.held) = (true, None),
        Event::Applied { effect, resumed } => {
            told.applied = Some((*effect, entry.at));
            told.resumed = *resumed;
        }
        Event::Succeeded {
            summary, output, ..
        } => {
            told.ended = Some(Ended::Done {
                summary,
                output,
                at: entry.at,
            });
        }
        Event::Failed { reason } => told.ended = Some(Ended::Failed(reason)),
        Event::Undoing { .. } => told.undo = Undo::Begun,
        Event::Undone { effect, .. } => {
            told.undo = Undo::Done {
                effect: *effect,
                at: entry.at,
            };
        }
        Event::UndoFailed { reason, .. } => told.undo = Undo::Failed(reason),
        _ => {}
    }
}

/// Prints what became of each remediation of a run.
pub(crate) fn all(output: Output, run: &str, journal: &[Entry], fold: Fold) -> io::Result<()> {
    for told in told(journal) {
        one(output, run, &told, fold)?;
    }
    Ok(())
}

fn one(output: Output, run: &str, told: &Told<'_>, fold: Fold) -> io::Result<()> {
    let mode = told.mode.map(word).unwrap_or_default();
    output.text(format!(
        "\n{}  {}",
        output.look(Look::Strong, one_line(told.path)),
        output.look(Look::Dim, format!("mode {mode}"))
    ))?;
    let line = |name: &str, text: String| {
        let name = output.look(Look::Dim, format!("{name:<9}"));
        output.text(format!("  {name} {text}"))
    };
    for reason in &told.outdated {
        line("replanned", one_line(reason))?;
    }
    if let Some(plan) = told.plan {
        change::plan(output, plan, fold, "  ")?;
        if plan.nothing_to_do.is_none() && fold != Fold::States {
            change::state(output, "before", &plan.before, fold, "  ")?;
            change::state(output, "after", &plan.after, fold, "  ")?;
        }
    }
    if let Some(content) = told.proposed {
        change::state(output, "would do", content, fold, "  ")?;
    }
    for check in told.checks {
        let (look, sign) = match check.ruling {
            Ruling::Passes => (Look::Good, "✓"),
            Ruling::Exempt | Ruling::Waits => (Look::Doubt, "·"),
            Ruling::Stops => (Look::Bad, "✗"),
        };
        line(
            "guard",
            format!(
                "{} {}: {}",
                output.look(look, sign),
                word(check.guard).replace('_', " "),
                one_line(&check.about)
            ),
        )?;
    }
    if let Some((reason, until)) = told.held {
        line(
            "held",
            format!("until {}: {}", time(until), one_line(reason)),
        )?;
    }
    if let Some(asked) = &told.asked {
        line("approval", approval(output, asked, told.decided.as_ref()))?;
    }
    if let Some((effect, at)) = told.applied {
        let said = match effect {
            Effect::Done => output.look(Look::Good, format!("at {}", time(at))),
            Effect::Already if told.resumed => output.look(
                Look::Good,
                format!("before {}, when it was found done", time(at)),
            ),
            Effect::Already => format!("it was so already at {}", time(at)),
        };
        line("applied", said)?;
    } else if told.begun {
        let said = "it was begun, and nobody knows yet how far it came";
        line("applied", output.look(Look::Doubt, said))?;
    }
    match &told.ended {
        Some(Ended::Done {
            summary,
            output: of_step,
            at,
        }) => {
            if told.applied.is_some() {
                line("verified", verified(output, of_step, *at))?;
            }
            line("outcome", one_line(summary))?;
        }
        Some(Ended::Failed(reason)) => {
            let said = format!("failed: {}", one_line(reason));
            line("outcome", output.look(Look::Bad, said))?;
        }
        None => {}
    }
    line("undo", undo(output, run, told))
}

fn approval(output: Output, asked: &Asked<'_>, decided: Option<&Decided<'_>>) -> String {
    let who = match asked.to {
        [] => "nobody was told; whoever may decide looks for it".to_owned(),
        to => {
            let to: Vec<String> = to.iter().map(|to| one_line(to)).collect();
            format!("asked {}", to.join(", "))
        }
    };
    let Some(decided) = decided else {
        return output.look(
            Look::Doubt,
            format!("{who}; waits until {}", time(asked.until)),
        );
    };
    let (look, said) = match decided.decision {
        Decision::Approved => (Look::Good, "approved"),
        Decision::Denied => (Look::Bad, "denied"),
        Decision::Expired => (Look::Bad, "expired"),
    };
    let mut text = format!("{who}; {}", output.look(look, said));
    if let Some(by) = decided.by {
        text.push_str(&format!(" by {}", one_line(by)));
    }
    text.push_str(&format!(" at {}", time(decided.at)));
    if let Some(reason) = decided.reason {
        text.push_str(&format!(": {}", one_line(reason)));
    }
    text
}

/// Whether the resource was found as it was to be.
fn verified(output: Output, of_step: &Value, at: Timestamp) -> String {
    match of_step["verified"].as_bool() {
        Some(true) => output.look(Look::Good, format!("read back at {}", time(at))),
        Some(false) => output.look(Look::Bad, "no: it was not so when time was up"),
        None => "it was not read back".to_owned(),
    }
}

/// What undoing came to, a line for each step that somebody wanted undone.
pub(crate) fn undone(output: Output, run: &str, journal: &[Entry]) -> Vec<String> {
    let all = told(journal).into_iter();
    let wanted = all.filter(|told| told.undo != Undo::No);
    wanted
        .map(|told| {
            let path = output.look(Look::Strong, one_line(told.path));
            format!("{path}  {}", undo(output, run, &told))
        })
        .collect()
}

/// How it is undone, or was.
fn undo(output: Output, run: &str, told: &Told<'_>) -> String {
    let how = || {
        format!(
            "quench runs undo {} --step {}",
            short(run),
            quoted(told.path)
        )
    };
    match &told.undo {
        Undo::Done { effect, at } => {
            let said = match effect {
                Effect::Done => format!("undone at {}", time(*at)),
                Effect::Already => format!("at {} it was as before already", time(*at)),
            };
            output.look(Look::Good, said)
        }
        Undo::Begun => output.look(
            Look::Doubt,
            "it was begun, and nobody knows yet how far it came",
        ),
        Undo::Failed(reason) => format!(
            "{} {}",
            output.look(Look::Bad, format!("not undone: {};", one_line(reason))),
            how()
        ),
        Undo::No if told.can_be_undone() => how(),
        Undo::No => output.look(Look::Dim, "nothing was changed"),
    }
}

/// A path as a shell takes it: brackets of loops are wildcards to it.
pub(crate) fn quoted(path: &str) -> String {
    let path = one_line(path);
    if path.contains(|letter: char| !(letter.is_ascii_alphanumeric() || "-_/.".contains(letter))) {
        format!("'{path}'")
    } else {
        path
    }
}
