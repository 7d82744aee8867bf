//! Asking people whether a step may be done, and hearing what they say.

use super::deed::{Draft, Question};
use super::remediate::Pause;
use super::walk::{Task, Walker};
use super::{EngineError, Worker, verdict};
use crate::app::App;
use crate::approval::{self, About, Approval, ApprovalState, AskError, Asked, Proposal, requester};
use crate::clock::after;
use crate::run::{Decision, Event, Run, StartedBy};
use crate::store::StoreError;
use quench_actions::notify::email;
use quench_actions::{Context, Outside};
use quench_automations::StepKind;
use quench_automations::templates::{self, Escape};
use std::time::Duration;

/// How long an answer is waited for where the step does not say.
const EXPIRES: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// What people are asked.
pub(super) struct Ask<'a> {
    pub(super) draft: Draft,
    pub(super) approval: Option<&'a quench_automations::Approval>,
    /// Questions that the step asked before.
    pub(super) asks: u32,
}

impl Worker<'_> {
    /// Asks, and writes down that it did.
    pub(super) async fn consult(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        outside: &Outside,
        ask: Ask<'_>,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let (approval, from_finding) = match self.question(task, walker.context(), ask) {
            Ok(approval) => approval,
            Err(reason) => return self.tell(walker, task, Event::Failed { reason }).await,
        };
        // Large and rare, so no run that never asks carries it along.
        let asking = Box::pin(approval::ask(
            self.app,
            outside,
            &approval,
            from_finding,
            limit,
        ));
        let event = match self.hold.during(asking).await? {
            Ok(untold) => Event::Asked {
                to: approval.asked.into_iter().map(|asked| asked.to).collect(),
                untold: untold
                    .into_iter()
                    .map(|untold| format!("{}: {}", untold.to, untold.reason))
                    .collect(),
                approval: approval.id,
                hash: approval.plan_hash,
                until: approval.expires,
            },
            Err(AskError::Store(error)) => return Err(error.into()),
            Err(error) if error.is_transient() => {
                let (reason, asked) = (error.to_string(), error.retry_after());
                let now = self.app.clock.now();
                verdict::again(&self.run.id, task, reason, asked, now)
            }
            Err(error) => Event::Failed {
                reason: error.to_string(),
            },
        };
        self.tell(walker, task, event).await
    }

    fn question(
        &self,
        task: &Task<'_>,
        context: &Context,
        ask: Ask<'_>,
    ) -> Result<(Approval, bool), String> {
        let Ask {
            draft,
            approval,
            asks,
        } = ask;
        let none = quench_automations::Approval::default();
        let said = approval.unwrap_or(&none);
        let (to, from_finding) = match &said.to {
            Some(to) => email::recipients("to", to, context).map_err(|error| error.to_string())?,
            None => (Vec::new(), false),
        };
        let message = match &said.message {
            Some(message) => {
                let text = templates::render(message, &context.all, Escape::None);
                Some(text.map_err(|error| format!("`message`: {error}"))?)
            }
            None => None,
        };
        let message = message.map(|message| match &self.redaction {
            Some(redaction) => redaction.text(&message),
            None => message,
        });
        let now = self.app.clock.now();
        let hash = draft.hash().to_owned();
        let (title, what, risk) = match &draft {
            Draft::Plan(plan) => (
                format!("{} on {}", plan.remediation, plan.target),
                Proposal::of(plan),
                Some(plan.risk),
            ),
            Draft::Content { content, .. } => match &task.step.kind {
                StepKind::Approve(_) => (
                    format!("playbook `{}` goes on", self.run.playbook),
                    Proposal::Gate,
                    None,
                ),
                _ => (
                    format!("step `{}` of playbook `{}`", task.path, self.run.playbook),
                    Proposal::Content(content.clone()),
                    None,
                ),
            },
        };
        let asks = asks.to_be_bytes();
        let parts = [
            b"approval".as_slice(),
            self.run.id.as_bytes(),
            task.path.as_bytes(),
            hash.as_bytes(),
            &asks,
        ];
        let approval = Approval {
            id: Run::id_of(&parts),
            run: self.run.id.clone(),
            path: task.path.clone(),
            plan_hash: hash,
            risk,
            title,
            what,
            message,
            finding: About::from(&*self.run.finding),
            playbook: self.run.playbook.clone(),
            automation: match &self.run.started_by {
                StartedBy::Automation { name, .. } => Some(name.clone()),
                StartedBy::Manual { .. } => None,
            },
            asked: to.into_iter().map(Asked::new).collect(),
            requester: requester(&self.run.started_by),
            created: now,
            expires: after(now, said.expires.unwrap_or(EXPIRES)),
            state: ApprovalState::Pending,
        };
        Ok((approval, from_finding))
    }

    /// Looks whether there is an answer; waits for it if not.
    pub(super) async fn hear(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        question: &Question,
    ) -> Result<Option<Pause>, EngineError> {
        let id = &question.approval;
        let now = self.app.clock.now();
        let mut found = self.app.store.approval(id).await?;
        if found.as_ref().is_some_and(|found| !found.is_open(now)) {
            // Whoever was faster than the time has the last word.
            found = self.app.store.expire_approval(id, now).await?;
        }
        let state = found.map(|found| found.standing(now));
        let (decision, by, reason) = match state {
            Some(ApprovalState::Pending) => {
                return Ok(Some(Pause {
                    until: question.until,
                    reason: format!("step `{}` waits for approval `{id}`", task.path),
                }));
            }
            Some(ApprovalState::Approved { by, reason, .. }) => {
                (Decision::Approved, Some(by), reason)
            }
            Some(ApprovalState::Denied { by, reason, .. }) => (Decision::Denied, Some(by), reason),
            Some(ApprovalState::Expired { .. }) => (Decision::Expired, None, None),
            Some(ApprovalState::Superseded { .. }) | None => {
                let event = Event::Outdated {
                    reason: format!("approval `{id}` cannot be decided any more"),
                    begun: false,
                };
                self.tell(walker, task, event).await?;
                return Ok(None);
            }
        };
        let event = Event::Decided {
            approval: id.clone(),
            decision,
            by,
            reason,
        };
        self.tell(walker, task, event).await?;
        Ok(None)
    }
}

/// Has a question be answered no more, as what it is about is no more.
pub(super) async fn supersede(app: &App, question: &Question) -> Result<(), StoreError> {
    let now = app.clock.now();
    app.store
        .supersede_approval(&question.approval, now)
        .await?;
    Ok(())
}
