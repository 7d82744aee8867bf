//! Mail that asks somebody whether what was planned may be done, and what people are shown of it.

use super::email::{Email, SUBJECT_LIMIT};
use crate::action::unrendered;
use crate::remediate::{Change, Risk};
use crate::{ActionError, neutral};
use jiff::Timestamp;
use quench_automations::templates::{self, Escape};
use quench_findings::Severity;
use serde_json::{Value, json};

const TEXT: &str = include_str!("approval/request.txt");
const HTML: &str = include_str!("approval/request.html");

/// What people are asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// Id of the approval.
    pub id: &'a str,
    /// What would be done, in one line.
    pub title: &'a str,
    /// How much harm it may do, where that is known.
    pub risk: Option<Risk>,
    /// What the people who are asked ought to know besides.
    pub message: Option<&'a str>,
    /// Name of the remediation, if it is one.
    pub remediation: Option<&'a str>,
    /// ARN of the resource.
    pub resource: Option<&'a str>,
    /// Account of the resource.
    pub account: Option<&'a str>,
    /// Region of the resource.
    pub region: Option<&'a str>,
    /// What was said to the remediation, as JSON.
    pub parameters: Option<&'a Value>,
    /// What changes.
    pub changes: &'a [Change],
    /// What would be done where it is no remediation.
    pub content: Option<&'a Value>,
    /// What people ought to know before they agree.
    pub warnings: &'a [String],
    /// Id of the finding.
    pub finding: &'a str,
    /// Title of the finding.
    pub finding_title: &'a str,
    /// How bad the finding is.
    pub severity: Severity,
    /// Name of the playbook.
    pub playbook: &'a str,
    /// Path of the step.
    pub step: &'a str,
    /// Name of the automation that started the run, if one did.
    pub automation: Option<&'a str>,
    /// Who started the run by hand, if somebody did.
    pub requester: Option<&'a str>,
    /// Id of the run.
    pub run: &'a str,
    /// When it can be decided no more.
    pub expires: Timestamp,
}

/// How much of long values is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Characters of one value.
    pub value: usize,
    /// Characters of all values together.
    pub all: usize,
    /// Changes.
    pub changes: usize,
}

/// The room of a mail.
pub const MAIL: Room = Room {
    value: 600,
    all: 12_000,
    changes: 40,
};
/// The room of a page.
pub const PAGE: Room = Room {
    value: 4_000,
    all: 30_000,
    changes: 200,
};

/// Characters of names and of single lines.
const LINE: usize = 300;
/// Characters of the message.
const MESSAGE: usize = 4_000;
/// Warnings that are shown, and characters of one.
const WARNINGS: usize = 20;
const WARNING: usize = 500;

impl Request<'_> {
    /// What templates show of it: texts for people, neutralised, long ones cut. Nothing in it is HTML.
    pub fn view(&self, room: Room) -> Value {
        let line = |text: &str| neutral::line(text, LINE);
        let mut cut = Cut {
            left: room.all,
            any: false,
        };
        let changes: Vec<Value> = self
            .changes
            .iter()
            .take(room.changes)
            .map(|change| {
                json!({
                    "path": line(&change.path),
                    "before": cut.value(&change.before, room.value),
                    "after": cut.value(&change.after, room.value),
                })
            })
            .collect();
        let content = self.content.map(|content| cut.value(content, room.all));
        let message = self.message.map(|text| cut.text(text, MESSAGE));
        let warnings = self.warnings.iter().take(WARNINGS);
        let warnings: Vec<String> = warnings.map(|text| neutral::line(text, WARNING)).collect();
        let parameters = self
            .parameters
            .filter(|given| given.as_object().is_none_or(|given| !given.is_empty()))
            .map(|given| line(&given.to_string()));
        let started = match (self.automation, self.requester) {
            (Some(automation), _) => Some(("Asked by", format!("automation {}", line(automation)))),
            (None, Some(requester)) => Some(("Asked by", line(requester))),
            (None, None) => None,
        };
        let fact = |label: &'static str, value: Option<&str>| Some((label, line(value?)));
        let facts = [
            fact("Remediation", self.remediation),
            fact("Resource", self.resource),
            fact("Account", self.account),
            fact("Region", self.region),
            parameters.map(|given| ("Parameters", given)),
            self.risk.map(|risk| ("Risk", risk.to_string())),
            started,
            Some((
                "Finding",
                format!("{} ({})", line(self.finding_title), severity(self.severity)),
            )),
            fact("Finding id", Some(self.finding)),
            Some((
                "Playbook",
                format!("{}, step {}", line(self.playbook), line(self.step)),
            )),
            fact("Run", Some(self.run)),
            fact("Approval", Some(self.id)),
            Some((
                "Expires",
                self.expires.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            )),
        ];
        let facts: Vec<Value> = facts
            .into_iter()
            .flatten()
            .map(|(label, value)| json!({"label": label, "value": value}))
            .collect();
        json!({
            "id": line(self.id),
            "title": line(self.title),
            "risk": self.risk,
            "message": message,
            "facts": facts,
            "changes": changes,
            "more_changes": self.changes.len().saturating_sub(room.changes),
            "content": content,
            "warnings": warnings,
            "more_warnings": self.warnings.len().saturating_sub(WARNINGS),
            "cut": cut.any,
            "expires": self.expires.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        })
    }
}

/// Cuts values, each and all together.
struct Cut {
    left: usize,
    any: bool,
}

impl Cut {
    fn value(&mut self, value: &Value, limit: usize) -> String {
        let text = match value {
            Value::Null => return "nothing".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(_) | Value::Object(_) => {
                let short = value.to_string();
                match short.chars().count() {
                    0..=72 => short,
                    _ => serde_json::to_string_pretty(value).unwrap_or(short),
                }
            }
            other => other.to_string(),
        };
        self.text(&text, limit)
    }

    fn text(&mut self, text: &str, limit: usize) -> String {
        let text = neutral::text(text);
        let limit = limit.min(self.left);
        let count = text.chars().count();
        self.left -= count.min(limit);
        if count <= limit {
            return text;
        }
        self.any = true;
        let kept: String = text.chars().take(limit).collect();
        format!("{kept}… (and {} more characters)", count - limit)
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "informational",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// Writes the mail to one of those who are asked; `link` is that person's own, absent where no address leads here.
///
/// # Errors
/// It cannot be rendered.
pub fn compose(
    request: &Request<'_>,
    to: &str,
    recipients_from_finding: bool,
    link: Option<&str>,
) -> Result<Email, ActionError> {
    let mut view = request.view(MAIL);
    view["link"] = json!(link);
    view["login"] = json!(request.risk == Some(Risk::High));
    let text = templates::render(TEXT, &view, Escape::None).map_err(unrendered("text"))?;
    let html = templates::render(HTML, &view, Escape::Html).map_err(unrendered("html"))?;
    let risk = match request.risk {
        Some(risk) => format!(" ({risk} risk)"),
        None => String::new(),
    };
    let subject = format!(
        "Approve? {}{risk}",
        neutral::line(request.title, SUBJECT_LIMIT - 40)
    );
    Ok(Email {
        to: vec![to.to_owned()],
        cc: Vec::new(),
        recipients_from_finding,
        subject: neutral::line(&subject, SUBJECT_LIMIT),
        text: neutral::text(&text),
        html: Some(neutral::text(&html)),
        run: Some(neutral::line(request.run, 1000)),
        finding: Some(neutral::line(request.finding, 1000)).filter(|id| !id.is_empty()),
    })
}

#[cfg(test)]
mod tests;
