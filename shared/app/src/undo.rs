//! Runs whose changes somebody wants restored.

use crate::app::App;
use crate::engine::Ledger;
use crate::intake::enqueue;
use crate::run::Run;
use crate::store::{RunStage, StoreError};
use quench_actions::remediate::Change;
use quench_automations::nearest;
use serde::{Deserialize, Serialize};

/// A run that is set going to restore what it has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// The run, queued.
    pub run: Run,
    /// What is restored, in this order: the last change first.
    pub restores: Vec<Restored>,
    /// Paths of steps that did something which Quench cannot undo, such as calling a function.
    pub beyond: Vec<String>,
}

/// Something that is restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// Path of the step that changed it.
    pub step: String,
    /// Name of the remediation.
    pub remediation: String,
    /// ARN of the resource.
    pub resource: String,
    /// What was changed; undoing it is the other way round.
    pub changes: Vec<Change>,
}

/// Why nothing is undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// No run has that id.
    #[error("there is no run `{0}`")]
    UnknownRun(String),
    /// The run may still change something.
    #[error(
        "run `{id}` is {}; only a run that is over can be undone: disable its automation to keep it from changing more, or deny what it asks for, and undo it when it has ended",
        .stage.name()
    )]
    StillGoing {
        /// Id of the run.
        id: String,
        /// Where it stands.
        stage: RunStage,
    },
    /// The run has changed nothing that could be restored.
    #[error("run `{id}` has changed nothing that can be undone{}", others(.beyond))]
    NothingChanged {
        /// Id of the run.
        id: String,
        /// Paths of steps that did something which only others can undo.
        beyond: Vec<String>,
    },
    /// The step has changed nothing that could be restored.
    #[error("step `{step}` of run `{id}` has changed nothing that can be undone{}", meant(.near.as_deref()))]
    UnknownStep {
        /// Id of the run.
        id: String,
        /// The step given.
        step: String,
        /// The step that was probably meant.
        near: Option<String>,
    },
    /// All of it was restored before.
    #[error("{} was undone before", match .step { Some(step) => format!("step `{step}` of run `{id}`"), None => format!("run `{id}`") })]
    AlreadyUndone {
        /// Id of the run.
        id: String,
        /// The step, where one was named.
        step: Option<String>,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn others(beyond: &[String]) -> String {
    match beyond {
        [] => String::new(),
        steps => format!(
            "; what these steps did is for others to undo: `{}`",
            steps.join("`, `")
        ),
    }
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

impl UndoError {
    /// What went wrong, in one word, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnknownRun(_) => "UnknownRun",
            Self::StillGoing { .. } => "StillGoing",
            Self::NothingChanged { .. } => "NothingChanged",
            Self::UnknownStep { .. } => "UnknownStep",
            Self::AlreadyUndone { .. } => "AlreadyUndone",
            Self::Store(error) => match error.is_transient() {
                true => "Unavailable",
                false => "Internal",
            },
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// Sets a finished run going to restore what it has changed, or what one step of it has, for `by`.
///
/// Each change is restored from its before-image, the last one first. What is not as the run left it is not touched,
/// and told; the others are restored nevertheless. A step is named by its path, or by its id where that is enough.
///
/// # Errors
/// There is no such run, it is not over, it has changed nothing, all was restored before, or the store fails.
pub async fn undo(app: &App, run: &str, step: Option<&str>, by: &str) -> Result<Undo, UndoError> {
    let Some(found) = app.store.run(run).await? else {
        return Err(UndoError::UnknownRun(run.to_owned()));
    };
    let going = |run: Run| UndoError::StillGoing {
        stage: RunStage::of(&run.state),
        id: run.id,
    };
    if !RunStage::of(&found.state).is_finished() {
        return Err(going(found));
    }
    let ledger = Ledger::of(&app.store.journal(run).await?);
    let step = step.map(|step| path(&ledger, run, step)).transpose()?;
    let step = step.as_deref();
    let beyond: Vec<String> = ledger.beyond().map(str::to_owned).collect();
    let id = || run.to_owned();
    if ledger.of_step(step).next().is_none() {
        return Err(UndoError::NothingChanged { id: id(), beyond });
    }
    let restores: Vec<Restored> = ledger
        .left(step)
        .into_iter()
        .map(|item| Restored {
            step: item.path.clone(),
            remediation: item.plan.remediation.name().to_owned(),
            resource: item.plan.target.arn.clone(),
            changes: item.plan.changes.clone(),
        })
        .collect();
    if restores.is_empty() {
        let step = step.map(str::to_owned);
        return Err(UndoError::AlreadyUndone { id: id(), step });
    }
    let now = app.clock.now();
    let Some(reopened) = app.store.undo_run(run, by, step, now).await? else {
        // Somebody else was faster.
        return Err(going(app.store.run(run).await?.unwrap_or(found)));
    };
    enqueue(app, run, now).await?;
    tracing::info!(
        run.id = run,
        run.playbook = reopened.playbook,
        changes = restores.len(),
        "a run is undone"
    );
    Ok(Undo {
        run: reopened,
        restores,
        beyond,
    })
}

/// The path of the step that is meant.
fn path(ledger: &Ledger, run: &str, step: &str) -> Result<String, UndoError> {
    let mut paths: Vec<&str> = ledger
        .of_step(None)
        .map(|item| item.path.as_str())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    if paths.contains(&step) {
        return Ok(step.to_owned());
    }
    let mut ends = paths
        .iter()
        .filter(|path| path.rsplit('/').next() == Some(step));
    match (ends.next(), ends.next()) {
        (Some(path), None) => Ok((*path).to_owned()),
        (first, _) => Err(UndoError::UnknownStep {
            id: run.to_owned(),
            step: step.to_owned(),
            near: first
                .copied()
                .or_else(|| nearest(step, paths.iter().copied()))
                .map(str::to_owned),
        }),
    }
}
