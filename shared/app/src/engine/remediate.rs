//! What a worker does for steps that change things: it finds out what would be done, has guards and people asked, does it
//! and reads it back. What comes next is always the walker's to say, by the journal.

use super::consent;
use super::deed::{self, Phase, Question};
use super::guards::{self, Moment, Outcome, Subject, Told};
use super::intent::{Intent, intent};
use super::perform::{Called, guarded};
use super::propose::Proposal;
use super::read_back::Reading;
use super::walk::{Task, Walker};
use super::{EngineError, Worker, verdict};
use crate::metrics::Count;
use crate::run::Event;
use jiff::Timestamp;
use quench_actions::remediate::{self, Effect, Entry, Fault, Plan, Tags, Target};
use quench_actions::{Aws, Outside};
use quench_automations::templates::{self, Escape};
use quench_automations::{ApproveStep, Mode, RemediateStep, StepKind};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Why a run waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) until: Timestamp,
    pub(super) reason: String,
}

impl Worker<'_> {
    /// Takes a step further; what it is to wait for is told, and nothing else is written down then.
    pub(super) async fn deed(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        phase: Phase<'_>,
        limit: Duration,
    ) -> Result<Option<Pause>, EngineError> {
        let outside = self.app.outside().await?;
        self.redact(&outside).await;
        match phase {
            Phase::Draft => self.draft(walker, task, &outside, limit).await?,
            Phase::Ask {
                draft,
                approval,
                asks,
            } => {
                let ask = consent::Ask {
                    draft,
                    approval,
                    asks,
                };
                self.consult(walker, task, &outside, ask, limit).await?;
            }
            Phase::Answer(question) => return self.hear(walker, task, &question).await,
            Phase::Apply {
                plan,
                entry,
                mode,
                replans,
                question,
            } => {
                let doing = Doing {
                    plan,
                    entry,
                    mode,
                    replans,
                    question,
                };
                self.apply(walker, task, &outside, doing, limit).await?;
            }
            Phase::Verify { plan, done, answer } => {
                let reading = Reading { plan, done, answer };
                return self.read_back(walker, task, &outside, reading, limit).await;
            }
            Phase::Attempt {
                hash,
                again,
                pending,
                mode,
                question,
            } => {
                let proposal = Proposal {
                    hash,
                    again,
                    pending,
                    mode,
                    question,
                };
                self.act(walker, task, proposal, limit).await?;
            }
        }
        Ok(None)
    }

    /// Finds out what would be done, and writes it down.
    async fn draft(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        outside: &Outside,
        limit: Duration,
    ) -> Result<(), EngineError> {
        match &task.step.kind {
            StepKind::Remediate(step) => self.plan(walker, task, step, outside, limit).await,
            StepKind::Approve(ApproveStep {
                remediate: Some(step),
                ..
            }) => self.plan(walker, task, step, outside, limit).await,
            StepKind::Approve(step) => {
                let message = step.approval.message.as_deref().unwrap_or_default();
                let message = templates::render(message, &walker.context().all, Escape::None);
                let event = match message {
                    Ok(message) => self.proposed(task, json!({"approve": {"message": message}})),
                    Err(error) => Event::Failed {
                        reason: format!("`message`: {error}"),
                    },
                };
                self.tell(walker, task, event).await
            }
            _ => self.propose(walker, task).await,
        }
    }

    pub(super) fn mode(&self) -> Mode {
        self.run.mode.unwrap_or(Mode::Observe)
    }

    /// Plans a remediation, unless its resource is left alone.
    async fn plan(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        step: &RemediateStep,
        outside: &Outside,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let intent = match intent(step, &self.run.finding, &walker.context().all) {
            Ok(intent) => intent,
            Err(reason) => return self.tell(walker, task, Event::Failed { reason }).await,
        };
        let Intent {
            remediation,
            target,
            parameters,
        } = intent;
        let aws = match self.open(outside, &target, remediation, limit).await? {
            Ok(aws) => aws,
            Err(fault) => return self.fault(walker, task, fault, "").await,
        };
        let tags = match self.tags(&aws, &target, limit).await? {
            Err(fault) if passes(&fault) => return self.fault(walker, task, fault, "").await,
            Err(fault @ Fault::Missing { .. }) => {
                return self.fault(walker, task, fault, "").await;
            }
            tags => tags,
        };
        let subject = Subject::Resource(&target, tags.as_ref());
        let asked = (Moment::Drafting, self.mode());
        let Some(told) = self.ask_guards(walker, task, subject, asked).await? else {
            return Ok(());
        };
        let about = (target.arn.as_str(), remediation.name());
        if self.is_against(walker, task, &told, about).await? {
            return Ok(());
        }
        let now = self.app.clock.now();
        let planning =
            async move { remediate::plan(&aws, remediation, &target, &parameters, now).await };
        match self.call(limit, planning).await? {
            Err(fault) => self.fault(walker, task, fault, "").await,
            Ok(plan) => {
                let changes = usize::from(!plan.changes.is_empty());
                let event = Event::Planned {
                    plan: Box::new(plan),
                    mode: told.mode,
                };
                self.tell(walker, task, event).await?;
                self.app.metrics.count(Count::RemediationsPlanned, changes);
                Ok(())
            }
        }
    }

    /// Applies a plan, if no guard objects.
    async fn apply(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        outside: &Outside,
        doing: Doing,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let Doing {
            plan, entry, mode, ..
        } = &doing;
        let (entry, mode) = (*entry, *mode);
        let half = half_done(entry);
        let opened = self
            .open(outside, &plan.target, plan.remediation, limit)
            .await?;
        let aws = match opened {
            Ok(aws) => aws,
            Err(fault) => return self.fault(walker, task, fault, half).await,
        };
        let tags = match self.tags(&aws, &plan.target, limit).await? {
            Err(fault) if passes(&fault) => return self.fault(walker, task, fault, half).await,
            tags => tags,
        };
        let moment = match entry {
            Entry::First => Moment::Doing,
            Entry::Again => Moment::Resuming,
        };
        let subject = Subject::Resource(&plan.target, tags.as_ref());
        let Some(told) = self
            .ask_guards(walker, task, subject, (moment, mode))
            .await?
        else {
            return Ok(());
        };
        if self.is_stopped(walker, task, &told, &doing).await? {
            return Ok(());
        }
        if entry == Entry::First {
            let hash = plan.hash.clone();
            self.tell(walker, task, Event::Applying { hash }).await?;
        }
        let (shared, now) = (Arc::clone(plan), self.app.clock.now());
        let applying = async move { remediate::apply(&aws, &shared, entry, now).await };
        match self.call(limit, applying).await? {
            Ok(effect) => {
                let resumed = entry == Entry::Again;
                let event = Event::Applied { effect, resumed };
                self.tell(walker, task, event).await?;
                let changes = usize::from(effect == Effect::Done || resumed);
                self.app.metrics.count(Count::RemediationsApplied, changes);
                Ok(())
            }
            Err(fault @ Fault::Changed { .. }) => self.outdated(walker, task, &doing, &fault).await,
            // It may be that a call before the one that failed took effect.
            Err(fault) => self.fault(walker, task, fault, HALF_DONE).await,
        }
    }

    /// Plans anew what was planned upon another state.
    async fn outdated(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        doing: &Doing,
        fault: &Fault,
    ) -> Result<(), EngineError> {
        let begun = doing.entry == Entry::Again;
        if doing.replans == Some(0) {
            let reason = format!("{fault}; it was planned anew too often, so nothing is changed");
            return self.tell(walker, task, Event::Failed { reason }).await;
        }
        if let Some(question) = &doing.question {
            consent::supersede(self.app, question).await?;
        }
        let reason = fault.to_string();
        self.tell(walker, task, Event::Outdated { reason, begun })
            .await
    }

    /// What guards say, written down; none if they could not be asked now, which is written down as well.
    pub(super) async fn ask_guards(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        subject: Subject<'_>,
        (moment, mode): (Moment, Mode),
    ) -> Result<Option<Told>, EngineError> {
        let ask = guards::Ask {
            run: self.run,
            path: &task.path,
            subject,
            moment,
            mode,
            touched: walker.touched(),
        };
        match guards::ask(self.app, ask).await {
            Ok(told) => {
                self.tell(walker, task, told.event()).await?;
                Ok(Some(told))
            }
            Err(error) => {
                let reason = format!("guards cannot be asked, so nothing is changed: {error}");
                let now = self.app.clock.now();
                let event = verdict::again(&self.run.id, task, reason, None, now);
                self.tell(walker, task, event).await?;
                Ok(None)
            }
        }
    }

    /// Whether guards are against planning, which is written down.
    pub(super) async fn is_against(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        told: &Told,
        (resource, remediation): (&str, &str),
    ) -> Result<bool, EngineError> {
        let is_gate = matches!(task.step.kind, StepKind::Approve(_));
        match &told.outcome {
            Outcome::Passes | Outcome::Waits { .. } => Ok(false),
            Outcome::Exempt { reason } => {
                let event = deed::exempt(resource, remediation, reason);
                self.tell(walker, task, event).await?;
                Ok(true)
            }
            // Planning changes nothing, and shows what would keep it from being done.
            Outcome::Stops { .. } if told.mode == Mode::Observe && !is_gate => Ok(false),
            Outcome::Stops { reason } => {
                self.failed(walker, task, reason.clone()).await?;
                Ok(true)
            }
        }
    }

    /// Whether guards keep a plan from being applied, which is written down.
    async fn is_stopped(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        told: &Told,
        doing: &Doing,
    ) -> Result<bool, EngineError> {
        let (plan, half) = (&doing.plan, half_done(doing.entry));
        let event = match &told.outcome {
            Outcome::Passes if told.mode == doing.mode => return Ok(false),
            // The walker goes by the lower mode.
            Outcome::Passes => return Ok(true),
            Outcome::Exempt { reason } if doing.entry == Entry::First => {
                deed::exempt(&plan.target.arn, plan.remediation.name(), reason)
            }
            Outcome::Waits { reason, until } => Event::Held {
                reason: reason.clone(),
                until: *until,
            },
            Outcome::Exempt { reason } | Outcome::Stops { reason } => {
                self.failed(walker, task, format!("{reason}{half}")).await?;
                return Ok(true);
            }
        };
        self.tell(walker, task, event).await?;
        Ok(true)
    }

    /// A client for a target.
    pub(super) async fn open(
        &mut self,
        outside: &Outside,
        target: &Target,
        remediation: remediate::Remediation,
        limit: Duration,
    ) -> Result<Result<Aws, Fault>, EngineError> {
        let cloud = match outside.cloud() {
            Ok(cloud) => cloud.clone(),
            Err(no_way) => return Ok(Err(no_way.into())),
        };
        let (target, run) = (target.clone(), self.run.id.clone());
        let opening = async move { cloud.open(&target, remediation, &run).await };
        self.call(limit, opening).await
    }

    async fn tags(
        &mut self,
        aws: &Aws,
        target: &Target,
        limit: Duration,
    ) -> Result<Result<Tags, Fault>, EngineError> {
        let (aws, target) = (aws.clone(), target.clone());
        let reading = async move { remediate::tags(&aws, &target).await };
        self.call(limit, reading).await
    }

    /// Does some work, the run in hand meanwhile; what breaks down or takes too long is a fault like others.
    pub(super) fn call<T: Send + 'static>(
        &mut self,
        limit: Duration,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> impl Future<Output = Result<Result<T, Fault>, EngineError>> {
        let called = guarded(limit, work);
        async move {
            Ok(match self.hold.during(called).await? {
                Called::Told(told) => told,
                Called::TimedOut => Err(Fault::Unknown {
                    reason: format!("no outcome within {} s", limit.as_secs_f64()),
                }),
                Called::Panicked => {
                    tracing::error!("a remediation broke down");
                    let reason = "the remediation broke down; the log has the details";
                    Err(Fault::Refused(reason.to_owned()))
                }
            })
        }
    }

    /// Writes down what a fault leads to.
    pub(super) async fn fault(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        fault: Fault,
        addition: &str,
    ) -> Result<(), EngineError> {
        let now = self.app.clock.now();
        let reason = fault.to_string();
        let asked = match fault {
            Fault::Transient { retry_after, .. } => retry_after,
            Fault::Unknown { .. } => None,
            _ => {
                return self
                    .failed(walker, task, format!("{reason}{addition}"))
                    .await;
            }
        };
        let event = match verdict::again(&self.run.id, task, reason, asked, now) {
            Event::Failed { reason } => {
                return self
                    .failed(walker, task, format!("{reason}{addition}"))
                    .await;
            }
            event => event,
        };
        self.tell(walker, task, event).await
    }

    pub(super) async fn failed(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        reason: String,
    ) -> Result<(), EngineError> {
        self.tell(walker, task, Event::Failed { reason }).await?;
        self.app.metrics.count(Count::RemediationsFailed, 1);
        Ok(())
    }
}

/// A plan that is to be applied.
struct Doing {
    plan: Arc<Plan>,
    entry: Entry,
    mode: Mode,
    replans: Option<u32>,
    question: Option<Question>,
}

const HALF_DONE: &str =
    "; some of it may have been done; `quench runs undo` restores what was there before";
fn half_done(entry: Entry) -> &'static str {
    match entry {
        Entry::First => "",
        Entry::Again => HALF_DONE,
    }
}

/// Whether it may go better later, so that it is tried again.
fn passes(fault: &Fault) -> bool {
    matches!(fault, Fault::Transient { .. } | Fault::Unknown { .. })
}
