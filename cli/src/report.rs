//! How findings, runs and journals look.

pub(crate) mod change;
pub(crate) mod remedy;

use std::io;

use jiff::Timestamp;
use quench_app::{Decision, Entry, Event, Run, RunState, StartedBy};
use quench_findings::{Finding, Severity, Status};
use serde::Serialize;
use serde_json::{Value, json};

use crate::output::{Look, Output, clean, one_line};

/// The word that JSON uses for a unit-like value of the model.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// A time to the second.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The looks of a severity.
pub(crate) fn severity(output: Output, severity: Severity) -> String {
    let look = match severity {
        Severity::Critical | Severity::High => Look::Bad,
        Severity::Medium => Look::Doubt,
        Severity::Low | Severity::Informational => Look::Dim,
    };
    output.look(look, word(severity))
}

/// Where a finding stands, as a word; nothing if its source has no such notion.
pub(crate) fn status(status: Option<Status>) -> String {
    status.map(word).unwrap_or_default()
}

/// One line that names a finding.
pub(crate) fn finding_line(output: Output, finding: &Finding) -> String {
    let mut line = format!(
        "{} {}  {}",
        severity(output, finding.severity),
        word(finding.kind),
        output.look(Look::Strong, one_line(&finding.title))
    );
    let place = [
        Some(word(finding.source)),
        finding.account.as_deref().map(one_line),
        finding.region.as_deref().map(one_line),
    ];
    let place: Vec<String> = place.into_iter().flatten().collect();
    line.push_str(&output.look(Look::Dim, format!("  ({})", place.join(" · "))));
    line
}

/// A finding as JSON, without the payload it was decoded from.
pub(crate) fn finding_json(finding: &Finding) -> Value {
    let mut value = json!(finding);
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("raw");
    }
    value
}

/// A run as JSON, without the payload of its finding.
pub(crate) fn run_json(run: &Run) -> Value {
    let mut value = json!(run);
    value["finding"] = finding_json(&run.finding);
    value
}

/// The same with its journal.
pub(crate) fn run_with(run: &Run, journal: &[Entry]) -> Value {
    let mut value = run_json(run);
    value["journal"] = json!(journal);
    value
}

/// Where a run stands, in words.
pub(crate) fn state(output: Output, state: &RunState) -> String {
    match state {
        RunState::Queued => "queued".to_owned(),
        RunState::Running => "running".to_owned(),
        RunState::Waiting { until, reason } => output.look(
            Look::Doubt,
            format!("waiting until {}: {}", time(*until), one_line(reason)),
        ),
        RunState::Succeeded => output.look(Look::Good, "succeeded"),
        RunState::Stopped { reason } => {
            output.look(Look::Good, format!("stopped: {}", one_line(reason)))
        }
        RunState::Failed { reason } => {
            output.look(Look::Bad, format!("failed: {}", one_line(reason)))
        }
        RunState::Undone { by, left } if left.is_empty() => {
            output.look(Look::Good, format!("undone, by {}", one_line(by)))
        }
        RunState::Undone { by, left } => {
            let left: Vec<String> = left.iter().map(|path| one_line(path)).collect();
            let (by, left) = (one_line(by), left.join(", "));
            output.look(
                Look::Doubt,
                format!("undone in part, by {by}; what `{left}` changed stands"),
            )
        }
    }
}

/// What started a run, in words.
pub(crate) fn started_by(started_by: &StartedBy) -> String {
    match started_by {
        StartedBy::Automation { name, .. } => format!("automation {name}"),
        StartedBy::Manual { by } => format!("by hand, {}", one_line(by)),
    }
}

/// Prints the condition sets of an explanation: which held, and what was seen.
pub(crate) fn explanation(output: Output, explanation: &Value, indent: &str) -> io::Result<()> {
    let sets = explanation["sets"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if sets.is_empty() {
        return output.text(format!(
            "{indent}no conditions: every finding of its kind matches"
        ));
    }
    for set in sets {
        let held = set["held"] == true;
        output.text(format!("{indent}{} all of:", mark(output, held)))?;
        for condition in set["conditions"].as_array().map_or(&[][..], Vec::as_slice) {
            let held = condition["held"] == true;
            let seen: Vec<String> = condition["seen"]
                .as_array()
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .map(|value| shorten(&value.to_string(), 80))
                .collect();
            let seen = if seen.is_empty() {
                "nothing there".to_owned()
            } else {
                format!("saw {}", seen.join(", "))
            };
            output.text(format!(
                "{indent}  {} {} {} {}  {}",
                mark(output, held),
                one_line(condition["field"].as_str().unwrap_or_default()),
                condition["operator"].as_str().unwrap_or_default(),
                one_line(&condition["expected"].to_string()),
                output.look(Look::Dim, format!("({})", one_line(&seen)))
            ))?;
        }
    }
    Ok(())
}

/// A tick or a cross.
pub(crate) fn mark(output: Output, held: bool) -> String {
    if held {
        output.look(Look::Good, "✓")
    } else {
        output.look(Look::Bad, "✗")
    }
}

/// Prints lines, each after the same space.
pub(crate) fn indented(output: Output, lines: &[String], indent: &str) -> io::Result<()> {
    for line in lines {
        output.text(format!("{indent}{line}"))?;
    }
    Ok(())
}

/// Cuts text that is too long for its place.
pub(crate) fn shorten(text: &str, characters: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= characters {
        return text;
    }
    let mut short: String = text.chars().take(characters.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Prints a journal, a line an entry.
pub(crate) fn journal(output: Output, journal: &[Entry], indent: &str) -> io::Result<()> {
    for entry in journal {
        output.text(format!(
            "{indent}{}  {}  {}",
            output.look(Look::Dim, time(entry.at)),
            match entry.path.as_str() {
                "" => "start".to_owned(),
                path => one_line(path),
            },
            event(output, entry)
        ))?;
    }
    Ok(())
}

/// What an action is about to do, in a few words: its kind, then its telling fields.
fn gist(content: &Value) -> String {
    let Some((kind, fields)) = content
        .as_object()
        .filter(|object| object.len() == 1)
        .and_then(|object| object.iter().next())
    else {
        return content.to_string();
    };
    let mut words = vec![kind.clone()];
    for name in [
        "method",
        "connection",
        "url",
        "channel",
        "to",
        "subject",
        "title",
        "event",
    ] {
        match &fields[name] {
            Value::String(text) => words.push(text.clone()),
            Value::Array(items) => {
                words.push(
                    items
                        .iter()
                        .filter_map(Value::as_str)
                        .collect::<Vec<_>>()
                        .join(", "),
                );
            }
            _ => {}
        }
    }
    words.join(" · ")
}

fn event(output: Output, entry: &Entry) -> String {
    let again = if entry.attempt > 1 {
        format!(" (attempt {})", entry.attempt)
    } else {
        String::new()
    };
    match &entry.event {
        Event::Started { content } => format!(
            "begun{again} {}",
            output.look(Look::Dim, shorten(&one_line(&gist(content)), 200))
        ),
        Event::Succeeded { summary, took, .. } => format!(
            "{}{again}: {} {}",
            output.look(Look::Good, "done"),
            one_line(summary),
            output.look(Look::Dim, format!("({} ms)", took.as_millis()))
        ),
        Event::Retrying { reason, due } => format!(
            "{}{again}, again at {}: {}",
            output.look(Look::Doubt, "failed for now"),
            time(*due),
            one_line(reason)
        ),
        Event::Pending { reason, due, .. } => format!(
            "{}, looked at again at {}: {}",
            output.look(Look::Doubt, "goes on by itself"),
            time(*due),
            one_line(reason)
        ),
        Event::Failed { reason } => {
            format!(
                "{}{again}: {}",
                output.look(Look::Bad, "failed"),
                one_line(reason)
            )
        }
        Event::Unknown { reason } => format!(
            "{}{again}: {}",
            output.look(Look::Doubt, "may or may not have taken effect"),
            one_line(reason)
        ),
        Event::Waiting { until } => format!("pauses until {}", time(*until)),
        Event::Reopened => "taken up again".to_owned(),
        Event::Planned { plan, mode } => {
            let planned = format!(
                "planned{again} ({}): {} for {}",
                word(mode),
                plan.remediation,
                one_line(&plan.target.to_string())
            );
            match &plan.nothing_to_do {
                Some(why) => format!("{planned}: nothing to do: {}", one_line(why)),
                None => format!("{planned}: {}", counted(plan.changes.len(), "change")),
            }
        }
        Event::Proposed { content, mode, .. } => format!(
            "written down{again} ({}) {}",
            word(mode),
            output.look(Look::Dim, shorten(&one_line(&gist(content)), 200))
        ),
        Event::Guarded { checks, .. } => {
            let told: Vec<String> = checks
                .iter()
                .map(|check| {
                    let (guard, ruling) = (word(check.guard), word(check.ruling));
                    format!("{guard} {ruling}: {}", one_line(&check.about))
                })
                .collect();
            format!("guards: {}", told.join("; "))
        }
        Event::Held { reason, until } => format!(
            "{} until {}: {}",
            output.look(Look::Doubt, "held"),
            time(*until),
            one_line(reason)
        ),
        Event::Asked {
            approval,
            to,
            until,
            ..
        } => format!(
            "asked for approval {approval} until {}{}",
            time(*until),
            match to.len() {
                0 => String::new(),
                _ => format!(": {}", one_line(&to.join(", "))),
            }
        ),
        Event::Decided {
            decision,
            by,
            reason,
            ..
        } => {
            let look = match decision {
                Decision::Approved => Look::Good,
                Decision::Denied | Decision::Expired => Look::Bad,
            };
            let mut told = output.look(look, word(decision));
            for (before, text) in [(" by ", by), (": ", reason)] {
                if let Some(text) = text {
                    told.push_str(before);
                    told.push_str(&one_line(text));
                }
            }
            told
        }
        Event::Outdated { reason, .. } => format!(
            "{}: {}",
            output.look(Look::Doubt, "planned anew"),
            one_line(reason)
        ),
        Event::Applying { .. } => format!("applying{again}"),
        Event::Applied { effect, .. } => format!("applied: {}", word(effect)),
        Event::UndoAsked { by, step } => match step {
            Some(step) => format!(
                "undo of step {} asked for by {}",
                one_line(step),
                one_line(by)
            ),
            None => format!("undo asked for by {}", one_line(by)),
        },
        Event::Undoing { .. } => "undoing".to_owned(),
        Event::Undone { effect, .. } => {
            format!("{}: {}", output.look(Look::Good, "undone"), word(effect))
        }
        Event::UndoFailed { reason, .. } => format!(
            "{}: {}",
            output.look(Look::Bad, "not undone"),
            one_line(reason)
        ),
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
