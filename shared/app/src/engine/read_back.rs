//! Reading back what was applied.

use super::deed::{self, Answer, Done};
use super::remediate::Pause;
use super::walk::{Task, Walker};
use super::{EngineError, Worker};
use crate::clock::{after, until};
use crate::run::Event;
use quench_actions::Outside;
use quench_actions::remediate::{self, Fault, Goal, Plan, Verified};
use quench_automations::StepKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a resource is read back where the step does not say.
const VERIFY: Duration = Duration::from_secs(2 * 60);
/// How long it is looked at without letting go of the run, and the pause until the next look.
pub(super) const LOOK: Duration = Duration::from_secs(20);
pub(super) const PAUSE: Duration = Duration::from_secs(15);

const UNDO: &str = "; `quench runs undo` restores what was there before";
const UNREAD: &str =
    "; it was applied, but is not read back; `quench runs undo` restores what was there before";

/// A plan that was applied and is to be read back.
pub(super) struct Reading {
    pub(super) plan: Arc<Plan>,
    pub(super) done: Done,
    pub(super) answer: Option<Answer>,
}

impl Worker<'_> {
    /// Reads back what was applied, for as long as the step says, but holding the run for a short time only.
    pub(super) async fn read_back(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        outside: &Outside,
        reading: Reading,
        limit: Duration,
    ) -> Result<Option<Pause>, EngineError> {
        let Reading { plan, done, answer } = reading;
        let window = match &task.step.kind {
            StepKind::Remediate(step) => step.verify.unwrap_or(VERIFY),
            _ => VERIFY,
        };
        let end = after(done.at, window);
        let opened = self
            .open(outside, &plan.target, plan.remediation, limit)
            .await?;
        let aws = match opened {
            Ok(aws) => aws,
            Err(fault) => {
                self.fault(walker, task, fault, UNREAD).await?;
                return Ok(None);
            }
        };
        let now = self.app.clock.now();
        let look = until(now, end).min(LOOK).min(limit);
        let shared = Arc::clone(&plan);
        let looking = async move {
            remediate::verify(&aws, &shared, Goal::After, Instant::now() + look).await
        };
        let found = self.call(limit.max(look), looking).await?;
        let now = self.app.clock.now();
        let reason = match found {
            Ok(Verified::Holds { .. }) => {
                let (summary, output) = deed::applied(&plan, done, answer.as_ref());
                let event = Event::Succeeded {
                    summary,
                    output,
                    took: until(done.at, now),
                };
                self.tell(walker, task, event).await?;
                return Ok(None);
            }
            Ok(Verified::NotYet { reason, .. }) => reason,
            Err(fault @ Fault::Unknown { .. }) => fault.to_string(),
            Err(fault) => {
                self.fault(walker, task, fault, UNREAD).await?;
                return Ok(None);
            }
        };
        if now < end {
            let until = after(now, PAUSE).min(end);
            let path = &task.path;
            let reason = format!("step `{path}` was applied and is read back: {reason}");
            return Ok(Some(Pause { until, reason }));
        }
        let reason = format!(
            "it was applied, but {} is not as planned after {} s: {reason}{UNDO}",
            plan.target,
            window.as_secs()
        );
        self.failed(walker, task, reason).await?;
        Ok(None)
    }
}
