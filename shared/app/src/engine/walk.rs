mod frame;
mod touched;

pub(crate) use touched::Touched;

use super::decide;
use super::deed::{self, Answer, Gate, OWN_FIELDS, Phase, Then};
use super::progress::{Progress, Stage};
use super::scope::{Scope, outcome};
use super::script::Script;
use crate::run::{Decision, Entry, Event, Run, RunState};
use frame::{Frame, FrameKind, Turn};
use jiff::Timestamp;
use quench_actions::Context;
use quench_automations::{OnError, OnUnknown, Step, StepKind};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Entries that a run may write, since it began or was last set going again.
pub(crate) const MOST_ENTRIES: usize = 10_000;

/// Path of the entries that speak of the run itself and not of a step.
pub(crate) const RUN_PATH: &str = "";

const LEFT_OPEN: &str = "the worker stopped before the outcome was known";

/// What has to be done next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next<'a> {
    /// This has been decided and is to be journalled before anything follows from it.
    Record(Entry),
    /// A step's effect is to be brought about.
    Attempt(Task<'a>),
    /// A step that changes things, or asks about it, is to be taken further.
    Deed { task: Task<'a>, phase: Phase<'a> },
    /// An attempt ended in doubt and it is to be decided what follows.
    Doubt {
        task: Task<'a>,
        reason: String,
        /// Whether the journal has the doubt already.
        journalled: bool,
    },
    /// Nothing, until then.
    Wait { until: Timestamp, reason: String },
    /// Nothing, ever.
    End(RunState),
}

/// A step that acts on the outside world, and which attempt at it is concerned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task<'a> {
    pub(crate) step: &'a Step,
    pub(crate) path: String,
    /// The attempt to make, or the one in doubt.
    pub(crate) attempt: u32,
    /// Its place in the present series of attempts.
    pub(crate) series: u32,
    /// When that series began, if it has.
    pub(crate) since: Option<Timestamp>,
    /// How often the step was set going again after it had failed.
    pub(crate) round: u32,
    /// What the last attempt left for this one.
    pub(crate) mark: Option<String>,
}

/// Walks a script along a journal: the same script and journal always lead to the same place.
///
/// It does no I/O and reads no clock. Whoever drives it writes what [`Next`] asks for and hands each entry written to
/// [`Walker::record`].
#[derive(Debug)]
pub(crate) struct Walker<'a> {
    script: &'a Script,
    run: &'a Run,
    frames: Vec<Frame<'a>>,
    scopes: Vec<Scope>,
    progress: HashMap<String, Progress>,
    gates: Vec<Gate<'a>>,
    touched: Touched,
    lines: usize,
    reopened: Option<usize>,
    end: Option<RunState>,
}

impl<'a> Walker<'a> {
    /// Stands at the beginning of the script, with the journal in hand; `url` is where people read about the run.
    pub(crate) fn new(
        script: &'a Script,
        run: &'a Run,
        journal: &[Entry],
        url: Option<&str>,
    ) -> Self {
        let mut walker = Self {
            script,
            run,
            frames: Vec::new(),
            scopes: vec![Scope::outermost(run, url)],
            progress: HashMap::new(),
            gates: Vec::new(),
            touched: Touched::default(),
            lines: 0,
            reopened: None,
            end: None,
        };
        for entry in journal {
            walker.record(entry);
        }
        walker
    }

    /// Takes in an entry that is in the journal now.
    pub(crate) fn record(&mut self, entry: &Entry) {
        self.lines += 1;
        if matches!(entry.event, Event::Reopened) {
            self.reopened = Some(self.lines);
        } else {
            let line = self.lines;
            let progress = self.progress.entry(entry.path.clone()).or_default();
            progress.record(entry, line);
            self.touched.record(entry, progress.deed.draft.as_ref());
        }
    }

    /// What the run has to do with so far.
    pub(crate) fn touched(&self) -> &Touched {
        &self.touched
    }

    /// What templates may speak of where the walker stands.
    pub(crate) fn context(&self) -> &Context {
        self.scope().context()
    }

    /// Goes as far as the journal reaches and says what follows.
    pub(crate) fn next(&mut self, now: Timestamp) -> Next<'a> {
        loop {
            if let Some(end) = &self.end {
                return Next::End(end.clone());
            }
            let next = if self.frames.is_empty() {
                self.begin(now)
            } else {
                self.advance(now)
            };
            match next {
                None => {}
                Some(Next::End(end)) => self.end = Some(end),
                Some(next @ Next::Wait { .. }) => return next,
                Some(next) => {
                    if self.lines - self.reopened.unwrap_or(0) < MOST_ENTRIES {
                        return next;
                    }
                    self.end = Some(RunState::Failed {
                        reason: format!("the journal reached its limit of {MOST_ENTRIES} entries"),
                    });
                }
            }
        }
    }

    /// Binds the parameters and enters the playbook.
    fn begin(&mut self, now: Timestamp) -> Option<Next<'a>> {
        let progress = self.progress.entry(RUN_PATH.to_owned()).or_default();
        match std::mem::take(&mut progress.stage) {
            Stage::Done { output } => {
                let params = bound(output);
                let root = self.script.root();
                let scope = self.scope();
                let own = decide::own_parameters(root, &self.run.with, scope, scope, &params);
                self.scope_mut().enter(params, own);
                self.frames.push(Frame {
                    steps: &self.script.root().steps,
                    at: 0,
                    prefix: String::new(),
                    kind: FrameKind::Root,
                });
                None
            }
            Stage::Failed { reason, line } => {
                let fresh = self.reopened.is_some_and(|reopened| reopened > line);
                (!fresh).then_some(Next::End(RunState::Failed { reason }))
            }
            _ => {
                let root = self.script.root();
                let scope = self.scope().all();
                let event = match decide::parameters(root, &self.run.with, scope, scope) {
                    Ok(params) => decided("parameters bound".to_owned(), json!({"params": params})),
                    Err(reason) => Event::Failed { reason },
                };
                Some(record(RUN_PATH.to_owned(), 0, now, event))
            }
        }
    }

    /// Looks at one step or the end of a sequence; nothing means that the walker has moved on.
    fn advance(&mut self, now: Timestamp) -> Option<Next<'a>> {
        let frame = self
            .frames
            .last()
            .expect("advance is called inside a playbook");
        let Some(step) = frame.steps.get(frame.at) else {
            return self.leave();
        };
        let path = format!("{}{}", frame.prefix, step.id);
        let progress = self.progress.entry(path.clone()).or_default();
        match std::mem::take(&mut progress.stage) {
            Stage::Done { output } => self.pass(step, path, output),
            Stage::Failed { reason, line } => {
                progress.stage = Stage::Failed {
                    reason: reason.clone(),
                    line,
                };
                self.fail(step, &path, &reason, line)
            }
            Stage::Doubtful { reason, line } => {
                progress.stage = Stage::Doubtful {
                    reason: reason.clone(),
                    line,
                };
                match step.on_unknown {
                    Some(OnUnknown::Continue) => {
                        self.scope_mut()
                            .set_step(step, outcome(Some(&reason), Value::Null));
                        self.step_over();
                        None
                    }
                    Some(OnUnknown::Fail) => self.end_failed(&path, &reason, line),
                    Some(OnUnknown::Repeat) | None => Some(Next::Doubt {
                        task: self.task(step, path, 0),
                        reason,
                        journalled: true,
                    }),
                }
            }
            Stage::Open => {
                progress.stage = Stage::Open;
                Some(Next::Doubt {
                    task: self.task(step, path, 0),
                    reason: LEFT_OPEN.to_owned(),
                    journalled: false,
                })
            }
            Stage::Due { at, reason } if at > now => {
                progress.stage = Stage::Due {
                    at,
                    reason: reason.clone(),
                };
                Some(Next::Wait {
                    until: at,
                    reason: format!("step `{path}` is tried again: {reason}"),
                })
            }
            Stage::Paused { until } if until > now => {
                progress.stage = Stage::Paused { until };
                Some(Next::Wait {
                    until,
                    reason: format!("step `{path}` pauses the run"),
                })
            }
            Stage::Pending { at, reason } if at > now => {
                progress.stage = Stage::Pending {
                    at,
                    reason: reason.clone(),
                };
                Some(Next::Wait {
                    until: at,
                    reason: format!("step `{path}` goes on by itself: {reason}"),
                })
            }
            Stage::Held { until, reason } if until > now => {
                progress.stage = Stage::Held {
                    until,
                    reason: reason.clone(),
                };
                Some(Next::Wait {
                    until,
                    reason: format!("step `{path}` is held: {reason}"),
                })
            }
            Stage::Denied => {
                progress.stage = Stage::Denied;
                self.deny(step, &path)
            }
            Stage::Paused { until } => {
                progress.stage = Stage::Paused { until };
                let event = decided(format!("waited until {until}"), json!({"until": until}));
                Some(record(path, 1, now, event))
            }
            stage @ (Stage::Fresh
            | Stage::Due { .. }
            | Stage::Pending { .. }
            | Stage::Held { .. }
            | Stage::Underway) => {
                progress.stage = stage;
                let attempt = progress.attempt + 1;
                if deed::is_deed(&step.kind) {
                    return Some(match deed::then(step, &progress.deed, &self.gates) {
                        Then::Tell(event) => record(path, attempt, now, event),
                        Then::Do(phase) => Next::Deed {
                            task: self.task(step, path, 1),
                            phase,
                        },
                    });
                }
                Some(match decide::decide(step, self.script, self.scope(), now) {
                    Some(Ok(event)) => record(path, attempt, now, event),
                    Some(Err(reason)) => record(path, attempt, now, Event::Failed { reason }),
                    None => Next::Attempt(self.task(step, path, 1)),
                })
            }
        }
    }

    /// Moves past a step that is done, or into the steps that it holds.
    fn pass(&mut self, step: &'a Step, path: String, mut output: Value) -> Option<Next<'a>> {
        self.remember(step, &path);
        match &step.kind {
            kind @ (StepKind::Remediate(_) | StepKind::Approve(_)) => {
                let own = OWN_FIELDS.iter().filter_map(|field| {
                    let value = output.get(*field)?;
                    Some(((*field).to_owned(), value.clone()))
                });
                let own = match kind {
                    StepKind::Remediate(_) => Value::Object(own.collect()),
                    _ => output.clone(),
                };
                let [all, own] = [output, own].map(|output| outcome(None, output));
                self.scope_mut().set_step_of(step, all, own);
                self.step_over();
            }
            StepKind::If(choice) => {
                let first = output["taken"] == decide::FIRST_WAY;
                self.scope_mut().set_step(step, outcome(None, output));
                self.frames.push(Frame {
                    steps: if first {
                        &choice.then
                    } else {
                        &choice.otherwise
                    },
                    at: 0,
                    prefix: format!("{path}/"),
                    kind: FrameKind::Branch { owner: step },
                });
            }
            StepKind::ForEach(each) => {
                let items = match output["items"].take() {
                    Value::Array(items) => items,
                    _ => Vec::new(),
                };
                let summary = json!({"count": items.len()});
                self.scope_mut().set_step(step, outcome(None, summary));
                if items.is_empty() {
                    self.step_over();
                    return None;
                }
                let own = decide::own_items(&each.items, self.scope());
                let shadowed = [&each.name, decide::LOOP_INDEX].map(|name| self.scope().name(name));
                let turn = Turn {
                    name: &each.name,
                    path,
                    items,
                    index: 0,
                    own,
                    shadowed,
                };
                self.scope_mut().turn(turn.name, &turn.items, own, 0);
                self.frames.push(Frame {
                    steps: &each.steps,
                    at: 0,
                    prefix: format!("{}[0]/", turn.path),
                    kind: FrameKind::Loop {
                        owner: step,
                        turn: Box::new(turn),
                    },
                });
            }
            StepKind::Set(templates) => {
                if let Value::Object(vars) = output {
                    self.scope_mut().set_vars(templates, vars);
                }
                self.scope_mut().set_step(step, outcome(None, Value::Null));
                self.step_over();
            }
            StepKind::Stop(_) => {
                let reason = output["reason"].as_str().unwrap_or_default().to_owned();
                let failed = output["failed"] == true;
                return Some(Next::End(if failed {
                    RunState::Failed { reason }
                } else {
                    RunState::Stopped { reason }
                }));
            }
            StepKind::Playbook(call) => {
                let params = bound(output);
                let playbook = self.script.playbook(&call.playbook);
                let scope = self.scope();
                let callee = scope.inner(Map::new(), Map::new());
                let own = decide::own_parameters(playbook, &call.with, scope, &callee, &params);
                let inner = self.scope().inner(params, own);
                self.scopes.push(inner);
                self.frames.push(Frame {
                    steps: &playbook.steps,
                    at: 0,
                    prefix: format!("{path}/"),
                    kind: FrameKind::Call { owner: step },
                });
            }
            _ => {
                self.scope_mut().set_step(step, outcome(None, output));
                self.step_over();
            }
        }
        None
    }

    /// Comes to the end of a sequence: another turn, or out of it.
    fn leave(&mut self) -> Option<Next<'a>> {
        let mut frame = self
            .frames
            .pop()
            .expect("there was a sequence to come to the end of");
        match &mut frame.kind {
            FrameKind::Root => return Some(Next::End(RunState::Succeeded)),
            FrameKind::Branch { .. } => self.step_over(),
            FrameKind::Loop { turn, .. } => {
                turn.index += 1;
                if turn.index < turn.items.len() {
                    let scope = self.scopes.last_mut().expect("there is always a scope");
                    scope.turn(turn.name, &turn.items, turn.own, turn.index);
                    frame.prefix = format!("{}[{}]/", turn.path, turn.index);
                    frame.at = 0;
                    self.frames.push(frame);
                } else {
                    self.unwind(frame);
                    self.step_over();
                }
            }
            FrameKind::Call { owner } => {
                let owner = *owner;
                let (vars, own) = self.scope_mut().take_vars();
                self.unwind(frame);
                let [all, own] = [vars, own].map(|vars| outcome(None, json!({"vars": vars})));
                self.scope_mut().set_step_of(owner, all, own);
                self.step_over();
            }
        }
        None
    }

    /// Remembers what was decided about a remediation that a later step may do.
    fn remember(&mut self, step: &'a Step, path: &str) {
        let StepKind::Approve(gate) = &step.kind else {
            return;
        };
        let Some(remediate) = &gate.remediate else {
            return;
        };
        let deed = self.progress.get(path).map(|progress| &progress.deed);
        let answer = deed.and_then(|deed| deed.answer.as_ref());
        self.gates.push(Gate {
            name: &remediate.name,
            plan: deed.and_then(|deed| deed.plan()).map(Arc::clone),
            approved: answer.is_some_and(|answer| answer.decision == Decision::Approved),
            approval: &gate.approval,
        });
    }

    fn fail(&mut self, step: &'a Step, path: &str, reason: &str, line: usize) -> Option<Next<'a>> {
        let output = match deed::is_deed(&step.kind) {
            true => json!({"outcome": "failed"}),
            false => Value::Null,
        };
        match self.is_caught(step, path, reason, output) {
            true => None,
            false => self.end_failed(path, reason, line),
        }
    }

    /// Follows a word against the step where the walker stands.
    fn deny(&mut self, step: &'a Step, path: &str) -> Option<Next<'a>> {
        let progress = self.progress.get(path);
        let answer = progress.and_then(|progress| progress.deed.answer.clone());
        let reason = answer.as_ref().map(Answer::refusal).unwrap_or_default();
        let output = json!({
            "outcome": "denied",
            "by": answer.as_ref().and_then(|answer| answer.by.as_ref()),
            "reason": answer.as_ref().and_then(|answer| answer.reason.as_ref()),
        });
        match self.is_caught(step, path, &reason, output) {
            true => None,
            false => Some(Next::End(RunState::Stopped {
                reason: format!("step `{path}`: {reason}"),
            })),
        }
    }

    /// Goes on after the failure of the step where the walker stands, if the step itself or one around it says so.
    fn is_caught(&mut self, step: &'a Step, path: &str, reason: &str, output: Value) -> bool {
        if step.on_error == OnError::Continue {
            self.remember(step, path);
            self.scope_mut()
                .set_step(step, outcome(Some(reason), output));
            self.step_over();
            return true;
        }
        let caught = self.frames.iter().rposition(|frame| {
            frame
                .kind
                .owner()
                .is_some_and(|owner| owner.on_error == OnError::Continue)
        });
        let Some(caught) = caught else {
            return false;
        };
        self.remember(step, path);
        let mut owner = None;
        for frame in self.frames.split_off(caught).into_iter().rev() {
            owner = frame.kind.owner();
            self.unwind(frame);
        }
        let owner = owner.expect("only a frame with an owner catches a failure");
        let reason = format!("step `{path}`: {reason}");
        self.scope_mut()
            .set_step(owner, outcome(Some(&reason), Value::Null));
        self.step_over();
        true
    }

    /// Ends the run, unless it was set going again after this failure.
    fn end_failed(&mut self, path: &str, reason: &str, line: usize) -> Option<Next<'a>> {
        if self.reopened.is_some_and(|reopened| reopened > line) {
            self.progress.entry(path.to_owned()).or_default().reopen();
            return None;
        }
        Some(Next::End(RunState::Failed {
            reason: format!("step `{path}`: {reason}"),
        }))
    }

    /// Takes down what entering a frame had set up.
    fn unwind(&mut self, frame: Frame<'a>) {
        match frame.kind {
            FrameKind::Root | FrameKind::Branch { .. } => {}
            FrameKind::Loop { turn, .. } => {
                let [item, index] = turn.shadowed;
                self.scope_mut().set_name(turn.name, item);
                self.scope_mut().set_name(decide::LOOP_INDEX, index);
            }
            FrameKind::Call { .. } => {
                self.scopes.pop();
            }
        }
    }

    fn step_over(&mut self) {
        let frame = self.frames.last_mut().expect("a step lies in a sequence");
        frame.at += 1;
    }

    fn task(&self, step: &'a Step, path: String, ahead: u32) -> Task<'a> {
        let fresh = Progress::default();
        let progress = self.progress.get(&path).unwrap_or(&fresh);
        Task {
            step,
            attempt: progress.attempt + ahead,
            series: progress.series + ahead,
            since: progress.since,
            round: progress.round,
            mark: progress.mark.clone(),
            path,
        }
    }

    fn scope(&self) -> &Scope {
        self.scopes.last().expect("there is always a scope")
    }

    fn scope_mut(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("there is always a scope")
    }
}

/// A decision, which takes no time.
pub(crate) fn decided(summary: String, output: Value) -> Event {
    Event::Succeeded {
        summary,
        output,
        took: std::time::Duration::ZERO,
    }
}

fn record<'a>(path: String, attempt: u32, at: Timestamp, event: Event) -> Next<'a> {
    Next::Record(Entry {
        path,
        attempt,
        at,
        event,
    })
}

/// The parameters out of the entry that bound them.
fn bound(mut output: Value) -> Map<String, Value> {
    match output["params"].take() {
        Value::Object(params) => params,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod deeds;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
