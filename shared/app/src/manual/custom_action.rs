//! Buttons of Security Hub: somebody chose findings and pressed one.
//!
//! Which playbook a button starts: what `QUENCH_ACTIONS` says of the action's id; else the playbook whose name is the
//! action's id, else its name, where only letters and digits count and case does not. An id has no more than letters and
//! digits: `MailTheTeam` starts `mail-the-team`.

use super::Button;
use crate::app::App;
use crate::catalog::{Catalog, CatalogError};
use crate::intake::{Arrival, IntakeError, Started, take_all};
use crate::trigger::{Ask, Key, TriggerError, ask};
use quench_findings::{CustomAction, Refusal, decode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a button started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressed {
    /// Name of the playbook.
    pub playbook: String,
    /// One run for each finding, in their order.
    pub runs: Vec<Started>,
}

/// Why a button did not start what it should.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PressError {
    /// The event tells of no button.
    #[error("the event is of no custom action of Security Hub")]
    NoAction,
    /// It was pressed for counts.
    #[error(
        "custom action `{0}` was sent with results of an insight, which hold counts and no findings; choose findings and send those"
    )]
    Insight(String),
    /// Nobody could tell a second delivery from a second press.
    #[error("the event of custom action `{0}` has no `id`")]
    NoEvent(String),
    /// No playbook belongs to it.
    #[error(
        "custom action `{id}` starts no playbook: give it the name of one, letters and digits of which count, or name one for `{id}` in `QUENCH_ACTIONS`"
    )]
    NoPlaybook {
        /// Id of the action.
        id: String,
    },
    /// Several playbooks have its name.
    #[error(
        "custom action `{id}` may mean any of `{}`; name one for `{id}` in `QUENCH_ACTIONS`",
        .playbooks.join("`, `")
    )]
    Ambiguous {
        /// Id of the action.
        id: String,
        /// Names of the playbooks.
        playbooks: Vec<String>,
    },
    /// The playbook cannot be started for a finding.
    #[error("custom action `{id}`: {fault}")]
    Trigger {
        /// Id of the action.
        id: String,
        /// Which of the findings it is, from zero.
        item: usize,
        /// Why.
        fault: TriggerError,
    },
    /// A finding of the event was not understood.
    #[error("payload is refused: {0}")]
    Refused(Refusal),
    /// The findings could not be taken in.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl PressError {
    /// What went wrong, in one word, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            PressError::NoAction => "InvalidRequest",
            PressError::Insight(_) => "InsightResults",
            PressError::NoEvent(_) => "NoEventId",
            PressError::NoPlaybook { .. } => "UnknownPlaybook",
            PressError::Ambiguous { .. } => "AmbiguousPlaybook",
            PressError::Trigger { fault, .. } => fault.name(),
            PressError::Refused(_) => "RefusedFinding",
            PressError::Intake(error) if error.is_transient() => "Unavailable",
            PressError::Intake(_) => "Internal",
        }
    }

    /// Whether the same event may do better later.
    pub fn is_transient(&self) -> bool {
        match self {
            PressError::Trigger { fault, .. } => fault.is_transient(),
            PressError::Intake(error) => error.is_transient(),
            _ => false,
        }
    }

    /// The same as a part of a payload that is refused.
    pub(crate) fn refusal(&self) -> Refusal {
        let (path, item) = match self {
            PressError::Trigger { item, .. } => ("detail.findings", Some(*item)),
            _ => ("resources", None),
        };
        Refusal {
            source: Some("security_hub".to_owned()),
            path: path.to_owned(),
            reason: self.to_string(),
            item,
        }
    }
}

/// Does what the event of a custom action asks for: takes its findings in and starts the playbook for each.
///
/// Delivered again, the event starts nothing more.
///
/// # Errors
/// The first thing that failed; what could be started nevertheless was.
pub async fn custom_action(app: &App, payload: &[u8]) -> Result<Pressed, PressError> {
    let decoded = decode(payload);
    let action = decoded.action.ok_or(PressError::NoAction)?;
    if action.insight {
        return Err(PressError::Insight(action.id));
    }
    let catalog = app.catalog().await.map_err(IntakeError::from)?;
    let arrivals = take_all(app, &catalog, decoded.findings, None).await?;
    let (pressed, faults) = press(app, &catalog, &action, &arrivals).await;
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault);
    }
    match decoded.refused.into_iter().next() {
        Some(refusal) => Err(PressError::Refused(refusal)),
        None => Ok(pressed.unwrap_or_else(|| Pressed {
            playbook: String::new(),
            runs: Vec::new(),
        })),
    }
}

/// Starts what a button is for, for each of these findings; tells what was started and what could not be.
pub(crate) async fn press(
    app: &App,
    catalog: &Catalog,
    action: &CustomAction,
    arrivals: &[Arrival],
) -> (Option<Pressed>, Vec<PressError>) {
    let id = &action.id;
    let Some(event) = &action.event else {
        return (None, vec![PressError::NoEvent(id.clone())]);
    };
    let button = match button(app, catalog, action) {
        Ok(button) => button,
        Err(fault) => return (None, vec![fault]),
    };
    let by = match &action.name {
        Some(name) => format!("custom action `{id}` ({})", super::one_line(name)),
        None => format!("custom action `{id}`"),
    };
    let (mut runs, mut faults) = (Vec::with_capacity(arrivals.len()), Vec::new());
    // A payload may hold other events besides that of the button.
    let pressed = |arrival: &&Arrival| {
        let told = arrival.finding.raw.get("id").and_then(Value::as_str);
        told.is_none_or(|told| told == event)
    };
    for (item, arrival) in arrivals.iter().filter(pressed).enumerate() {
        let finding = &arrival.finding.id;
        let key = format!("{event} {} {finding}", button.playbook);
        let asked = Ask {
            playbook: &button.playbook,
            finding,
            with: &button.with,
            mode: None,
            by: &by,
            key: Some(Key {
                of: "custom action",
                key: &key,
            }),
        };
        match ask(app, asked).await {
            Ok(triggered) => runs.push(Started {
                run: triggered.run.id,
                playbook: triggered.run.playbook,
                made: triggered.made,
            }),
            Err(fault) => faults.push(PressError::Trigger {
                id: id.clone(),
                item,
                fault,
            }),
        }
    }
    let playbook = button.playbook;
    (Some(Pressed { playbook, runs }), faults)
}

/// What a button is for.
fn button(app: &App, catalog: &Catalog, action: &CustomAction) -> Result<Button, PressError> {
    if let Some(button) = app.config.actions.get(&action.id) {
        return Ok(button.clone());
    }
    for name in [Some(&action.id), action.name.as_ref()]
        .into_iter()
        .flatten()
    {
        let wanted = letters(name);
        let playbooks = catalog.playbooks.keys();
        let mut named: Vec<String> = playbooks
            .filter(|playbook| !wanted.is_empty() && letters(playbook) == wanted)
            .cloned()
            .collect();
        match (named.pop(), named.is_empty()) {
            (None, _) => {}
            (Some(playbook), true) => {
                let with = Map::new();
                return Ok(Button { playbook, with });
            }
            (Some(last), false) => {
                named.push(last);
                return Err(PressError::Ambiguous {
                    id: action.id.clone(),
                    playbooks: named,
                });
            }
        }
    }
    Err(PressError::NoPlaybook {
        id: action.id.clone(),
    })
}

/// The letters and digits of a name, in lower case.
fn letters(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

impl From<CatalogError> for PressError {
    fn from(error: CatalogError) -> PressError {
        PressError::Intake(error.into())
    }
}
