//! What a worker does for steps that change things and are no remediations: what they would do is written down, and done
//! as it was written down.

use super::consent;
use super::deed::{self, Question, lower};
use super::guards::{Moment, Outcome, Subject};
use super::perform::Prepared;
use super::walk::{Task, Walker};
use super::{EngineError, Worker};
use crate::run::Event;
use quench_automations::{Mode, StepKind};
use std::time::Duration;

/// What a step means to do that is no remediation.
pub(super) struct Proposal {
    pub(super) hash: String,
    pub(super) again: bool,
    pub(super) pending: bool,
    pub(super) mode: Mode,
    pub(super) question: Option<Question>,
}

impl Worker<'_> {
    pub(super) fn proposed(&self, task: &Task<'_>, content: serde_json::Value) -> Event {
        Event::Proposed {
            hash: deed::hash(&self.run.id, &task.path, &content),
            content,
            mode: self.mode(),
        }
    }

    /// Writes down what a step would do that is no remediation.
    pub(super) async fn propose(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
    ) -> Result<(), EngineError> {
        let prepared = match Prepared::new(task, walker.context()) {
            Ok(prepared) => prepared,
            Err(reason) => return self.tell(walker, task, Event::Failed { reason }).await,
        };
        let subject = subject(&task.step.kind, &prepared.content);
        let asked = (Moment::Drafting, self.mode());
        let Some(told) = self.ask_guards(walker, task, subject, asked).await? else {
            return Ok(());
        };
        let resources = &self.run.finding.resources;
        let resource = resources.first().map_or("", |resource| &resource.id);
        if self.is_against(walker, task, &told, (resource, "")).await? {
            return Ok(());
        }
        let mut event = self.proposed(task, prepared.content);
        if let Event::Proposed { mode, .. } = &mut event {
            *mode = lower(*mode, told.mode);
        }
        self.tell(walker, task, event).await
    }

    /// Does what was proposed, if no guard objects.
    pub(super) async fn act(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        proposal: Proposal,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let Proposal {
            hash,
            again,
            pending,
            mode,
            question,
        } = proposal;
        if pending {
            return self.attempt(walker, task.clone(), limit).await;
        }
        let prepared = match Prepared::new(task, walker.context()) {
            Ok(prepared) => prepared,
            Err(reason) => return self.tell(walker, task, Event::Failed { reason }).await,
        };
        if deed::hash(&self.run.id, &task.path, &prepared.content) != hash {
            if let Some(question) = &question {
                consent::supersede(self.app, question).await?;
            }
            let reason = "what the step would do is not what was written down".to_owned();
            let begun = again;
            return self
                .tell(walker, task, Event::Outdated { reason, begun })
                .await;
        }
        let moment = match again {
            false => Moment::Doing,
            true => Moment::Resuming,
        };
        let subject = subject(&task.step.kind, &prepared.content);
        let Some(told) = self
            .ask_guards(walker, task, subject, (moment, mode))
            .await?
        else {
            return Ok(());
        };
        match &told.outcome {
            Outcome::Passes if told.mode == mode => self.attempt(walker, task.clone(), limit).await,
            Outcome::Passes => Ok(()),
            Outcome::Exempt { reason } if !again => {
                let event = deed::exempt(&self.run.finding.id, "", reason);
                self.tell(walker, task, event).await
            }
            Outcome::Waits { reason, until } => {
                let (reason, until) = (reason.clone(), *until);
                self.tell(walker, task, Event::Held { reason, until }).await
            }
            Outcome::Exempt { reason } | Outcome::Stops { reason } => {
                self.failed(walker, task, reason.clone()).await
            }
        }
    }
}

fn subject<'a>(kind: &StepKind, content: &'a serde_json::Value) -> Subject<'a> {
    match kind {
        StepKind::Finding(_) => Subject::Note,
        _ => Subject::Finding(content["ssm"]["account"].as_str()),
    }
}
