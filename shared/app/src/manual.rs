//! Playbooks that somebody starts by hand: by HTTP, by invocation, or by a button of Security Hub.

mod buttons;
mod custom_action;
mod http;

pub use buttons::Button;
pub(crate) use buttons::buttons;
pub(crate) use custom_action::press;
pub use custom_action::{PressError, Pressed, custom_action};
pub use http::{Caller, Request, answer};

use crate::app::App;
use crate::run::Run;
use crate::trigger::{Ask, Key, TriggerError, Triggered, ask, retry};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The longest key, in bytes.
const LONGEST_KEY: usize = 255;

/// What may be asked for without a path: a run to be started, shown or retried.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// Start a playbook for a finding.
    Start(Start),
    /// Show this run.
    Show(String),
    /// Set this failed run going again.
    Retry(String),
}

/// A playbook to be started for a finding.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Name of the playbook.
    pub playbook: String,
    /// Id of the finding.
    pub finding: String,
    /// Values of the playbook's parameters.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// For whom it is asked.
    #[serde(default)]
    pub by: Option<String>,
    /// Asked for again under the same key, the same run is meant.
    #[serde(default)]
    pub key: Option<String>,
}

/// Why somebody did not get what they asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ManualError {
    /// It cannot be understood.
    #[error("{0}")]
    Misunderstood(String),
    /// It cannot be done.
    #[error(transparent)]
    Trigger(#[from] TriggerError),
}

impl ManualError {
    /// What went wrong, in one word, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            ManualError::Misunderstood(_) => "InvalidRequest",
            ManualError::Trigger(error) => error.name(),
        }
    }
}

impl Asked {
    /// Reads `{"playbook": …, "finding": …}`, `{"run": ID}` or `{"retry": ID}`.
    ///
    /// # Errors
    /// It is none of these.
    pub fn read(value: &Value) -> Result<Asked, ManualError> {
        let only = |name: &str| match value.as_object() {
            Some(members) if members.len() == 1 => Some(members.get(name)?.as_str()?.to_owned()),
            _ => None,
        };
        if let Some(run) = only("run") {
            return Ok(Asked::Show(run));
        }
        if let Some(run) = only("retry") {
            return Ok(Asked::Retry(run));
        }
        Start::read(value).map(Asked::Start)
    }
}

impl Start {
    fn read(value: &Value) -> Result<Start, ManualError> {
        let start = Start::deserialize(value).map_err(|error| {
            ManualError::Misunderstood(format!(
                "{error}; write `{{\"playbook\": NAME, \"finding\": ID, \"with\": {{…}}}}`"
            ))
        })?;
        if let Some(key) = &start.key {
            check_key(key)?;
        }
        Ok(start)
    }
}

fn check_key(key: &str) -> Result<(), ManualError> {
    match (1..=LONGEST_KEY).contains(&key.len()) && key.chars().all(|letter| !letter.is_control()) {
        true => Ok(()),
        false => Err(ManualError::Misunderstood(format!(
            "a key has 1 to {LONGEST_KEY} bytes and no control characters"
        ))),
    }
}

/// Does what a direct invocation asks for: answers with the run, and its journal where it is only shown.
///
/// Whoever may invoke is an operator; who that is, is not told to the function. `request` is the id of the invocation,
/// the same when Lambda repeats one that nobody waits for: then the same run is meant.
///
/// # Errors
/// It cannot be understood, or cannot be done.
pub async fn invoked(app: &App, asked: &Asked, request: &str) -> Result<Value, ManualError> {
    match asked {
        Asked::Start(asked) => {
            let key = (!request.is_empty()).then_some(Key {
                of: "request",
                key: request,
            });
            let triggered = start(app, asked, "invocation", key).await?;
            Ok(shown(&triggered))
        }
        Asked::Show(run) => Ok(show(app, run).await?),
        Asked::Retry(run) => Ok(json!(retry(app, run).await?)),
    }
}

/// `key` holds where whoever asks gives none.
async fn start(
    app: &App,
    asked: &Start,
    caller: &str,
    key: Option<Key<'_>>,
) -> Result<Triggered, TriggerError> {
    let by = match &asked.by {
        Some(by) => format!("{caller} for {}", one_line(by)),
        None => caller.to_owned(),
    };
    let given = asked.key.as_deref().map(|key| Key { of: caller, key });
    let asked = Ask {
        playbook: &asked.playbook,
        finding: &asked.finding,
        with: &asked.with,
        mode: None,
        by: &by,
        key: given.or(key),
    };
    ask(app, asked).await
}

/// A run that was just made, and the automations that would have started one as well.
fn shown(triggered: &Triggered) -> Value {
    let firing = triggered.automations.iter();
    let firing: Vec<&str> = firing.map(|verdict| verdict.automation.as_str()).collect();
    let mut value = json!(triggered.run);
    value["made"] = json!(triggered.made);
    value["automations"] = json!(firing);
    value
}

/// A run with its journal.
async fn show(app: &App, id: &str) -> Result<Value, TriggerError> {
    let Some(run) = known(app, id).await? else {
        return Err(TriggerError::UnknownRun(id.to_owned()));
    };
    let mut value = json!(run);
    value["journal"] = json!(app.store.journal(&run.id).await?);
    Ok(value)
}

async fn known(app: &App, id: &str) -> Result<Option<Run>, TriggerError> {
    // Nothing but an id is worth a question to the store.
    let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match digits {
        true => Ok(app.store.run(id).await?),
        false => Ok(None),
    }
}

/// A text that others wrote, fit for a line of a journal.
fn one_line(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().take(200).map(plain).collect()
}

#[cfg(test)]
mod tests;
