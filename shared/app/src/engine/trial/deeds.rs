//! Steps that change things in the made-up world: each has a resource of its own, which others may change as well.

use super::{Fate, World, Write, step};
use crate::engine::deed::{self, Phase, lower};
use crate::engine::verdict;
use crate::engine::walk::{Task, Walker};
use crate::run::{Decision, Event, Run};
use jiff::Timestamp;
use quench_actions::remediate::{
    Change, Effect, Entry, Kind, Parameters, Plan, Remediation, Risk, Target,
};
use quench_automations::{Approval, ApproveStep, LambdaStep, Mode, RemediateStep, Step, StepKind};
use serde_json::{Map, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn remediation(resource: &str) -> RemediateStep {
    RemediateStep {
        name: "s3-block-public-access".to_owned(),
        resource: Some(format!("arn:aws:s3:::{resource}")),
        account: None,
        region: None,
        with: Map::new(),
        approval: None,
        verify: None,
    }
}

/// A step that remediates a bucket.
pub(crate) fn mend(id: &str, resource: &str) -> Step {
    step(id, StepKind::Remediate(remediation(resource)))
}

/// A step that asks, about a bucket if one is named.
pub(crate) fn gate(id: &str, resource: Option<&str>) -> Step {
    let gate = ApproveStep {
        approval: Approval::default(),
        remediate: resource.map(remediation),
    };
    step(id, StepKind::Approve(gate))
}

/// A step that calls a function.
pub(crate) fn invoke(id: &str) -> Step {
    let call = LambdaStep {
        function: "function".to_owned(),
        qualifier: None,
        payload: None,
        detached: false,
        approval: None,
    };
    step(id, StepKind::Lambda(call))
}

impl World {
    /// Does what a worker does; tells until when the run waits, if it does.
    pub(super) fn deed(
        &mut self,
        run: &Run,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        phase: Phase<'_>,
        write: Write<'_>,
    ) -> Option<Option<Timestamp>> {
        let mode = lower(run.mode.unwrap_or(Mode::Observe), self.mode);
        let guarded = Event::Guarded {
            mode,
            checks: Vec::new(),
        };
        match phase {
            Phase::Draft => {
                self.note(walker, task, guarded, write)?;
                let is_refused = matches!(task.step.kind, StepKind::Approve(_))
                    && self.fates.get(&task.step.id) == Some(&Fate::Refused);
                let event = match resource(task.step) {
                    _ if is_refused => Event::Failed {
                        reason: "refused".to_owned(),
                    },
                    Some(resource) => Event::Planned {
                        plan: Box::new(self.plan(&resource)),
                        mode,
                    },
                    None => {
                        let content = json!({"step": task.step.id});
                        Event::Proposed {
                            hash: deed::hash(&run.id, &task.path, &content),
                            content,
                            mode,
                        }
                    }
                };
                self.note(walker, task, event, write)?;
            }
            Phase::Ask { draft, asks, .. } => {
                let event = Event::Asked {
                    approval: format!("{}-{asks}", task.path),
                    hash: draft.hash().to_owned(),
                    to: Vec::new(),
                    untold: Vec::new(),
                    until: crate::clock::after(self.now, HOUR),
                };
                self.note(walker, task, event, write)?;
            }
            Phase::Answer(question) => {
                let answers = &self.answers;
                let decision = answers.get(&task.step.id).copied();
                let decision = decision.unwrap_or(Decision::Approved);
                if decision == Decision::Expired && self.now < question.until {
                    return Some(Some(question.until));
                }
                let event = Event::Decided {
                    approval: question.approval,
                    decision,
                    by: (decision != Decision::Expired).then(|| "somebody".to_owned()),
                    reason: None,
                };
                self.note(walker, task, event, write)?;
            }
            Phase::Apply {
                plan,
                entry,
                mode: own,
                replans,
                ..
            } => {
                self.note(walker, task, guarded, write)?;
                if mode != own && lower(mode, own) == mode {
                    return Some(None);
                }
                if entry == Entry::First {
                    let hash = plan.hash.clone();
                    self.note(walker, task, Event::Applying { hash }, write)?;
                }
                let event = self.apply(run, task, &plan, entry, replans);
                self.note(walker, task, event, write)?;
            }
            Phase::Verify { plan, done, answer } => {
                assert_eq!(plan.hash, self.plan(&plan.target.id).hash);
                let (summary, output) = deed::applied(&plan, done, answer.as_ref());
                let took = Duration::ZERO;
                let event = Event::Succeeded {
                    summary,
                    output,
                    took,
                };
                self.note(walker, task, event, write)?;
            }
            Phase::Attempt { mode: own, .. } => {
                self.note(walker, task, guarded, write)?;
                if mode != own && lower(mode, own) == mode {
                    return Some(None);
                }
                self.attempt(run, walker, task.clone(), write)?;
            }
        }
        Some(None)
    }

    fn note(
        &mut self,
        walker: &mut Walker<'_>,
        task: &Task<'_>,
        event: Event,
        write: Write<'_>,
    ) -> Option<()> {
        let entry = self.entry(task, event);
        write(self, walker, entry)
    }

    /// A plan upon the resource as others have left it.
    pub(crate) fn plan(&self, resource: &str) -> Plan {
        let moves = self.moves.get(resource).copied().unwrap_or_default();
        let (before, after) = (json!([moves, "bad"]), json!([moves, "good"]));
        let arn = format!("arn:aws:s3:::{resource}");
        let read = Target::read(&arn, &[Kind::Bucket], "111122223333", "eu-west-1");
        let hash = format!("{resource} {moves}");
        let is_done = self.applied.contains(&(resource.to_owned(), hash.clone()));
        let change = Change {
            path: "block".to_owned(),
            before: before.clone(),
            after: after.clone(),
        };
        Plan {
            remediation: Remediation::S3BlockPublicAccess,
            target: read.expect("it is a bucket"),
            parameters: Parameters::new(),
            risk: Risk::Medium,
            changes: match is_done {
                true => Vec::new(),
                false => vec![change],
            },
            nothing_to_do: is_done.then(|| "it is so".to_owned()),
            warnings: Vec::new(),
            hash,
            before,
            after,
        }
    }

    fn apply(
        &mut self,
        run: &Run,
        task: &Task<'_>,
        plan: &Plan,
        entry: Entry,
        replans: Option<u32>,
    ) -> Event {
        let id = &plan.target.id;
        let fate = self.fates.get(&task.step.id).copied();
        let fate = fate.unwrap_or(Fate::Success);
        let moves = self.moves.entry(id.clone()).or_default();
        if let Fate::Moved(most) = fate
            && *moves < most
        {
            *moves += 1;
        }
        let resumed = entry == Entry::Again;
        let key = (id.clone(), plan.hash.clone());
        if self.plan(id).hash != plan.hash {
            let reason = "the resource changed since".to_owned();
            return match replans {
                Some(0) => Event::Failed { reason },
                _ => Event::Outdated {
                    reason,
                    begun: resumed,
                },
            };
        }
        let attempt = self.attempts.entry(task.path.clone()).or_default();
        *attempt += 1;
        let again = |reason: &str| {
            let reason = reason.to_owned();
            verdict::again(&run.id, task, reason, None, self.now)
        };
        match fate {
            Fate::Busy(times) if *attempt <= times => return again("busy"),
            Fate::Refused => {
                let reason = "refused".to_owned();
                return Event::Failed { reason };
            }
            _ => {}
        }
        let silent = matches!(fate, Fate::Silence(times) if *attempt <= times);
        let is_new = self.applied.insert(key);
        let event = match silent {
            true => again("no outcome"),
            false => Event::Applied {
                effect: match is_new {
                    true => Effect::Done,
                    false => Effect::Already,
                },
                resumed,
            },
        };
        if is_new {
            let seen = json!({"resource": id, "plan": plan.hash});
            self.effects.push((task.path.clone(), seen));
        }
        event
    }
}

fn resource(step: &Step) -> Option<String> {
    let arn = match &step.kind {
        StepKind::Remediate(step) => step.resource.as_ref(),
        StepKind::Approve(step) => step.remediate.as_ref()?.resource.as_ref(),
        _ => None,
    };
    arn?.strip_prefix("arn:aws:s3:::").map(str::to_owned)
}
