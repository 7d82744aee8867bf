//! Runs without I/O: a script is walked in a made-up world that can be stopped at any point.

mod deeds;

pub(crate) use deeds::{gate, invoke, mend};

use super::script::Script;
use super::verdict::{self, Ending};
use super::walk::{Next, Task, Walker};
use crate::run::{Decision, Entry, Event, Run, RunState, StartedBy};
use jiff::Timestamp;
use quench_actions::{ActionError, Context, Performed};
use quench_automations::{
    ForEachStep, HttpStep, IfStep, Mode, OnError, OnUnknown, Playbook, PlaybookStep, Step,
    StepKind, StopStep, WaitStep,
};
use quench_findings::{Finding, Kind, Severity, Source, Transition};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) fn finding() -> Finding {
    Finding {
        id: "finding-1".to_owned(),
        kind: Kind::Alert,
        source: Source::Guardduty,
        finding_type: None,
        title: "Somebody guessed SQL passwords".to_owned(),
        description: None,
        severity: Severity::High,
        status: None,
        account: Some("111122223333".to_owned()),
        region: Some("eu-west-1".to_owned()),
        scope: None,
        resources: Vec::new(),
        compliance: None,
        first_seen: None,
        last_seen: None,
        updated: None,
        remediation: None,
        links: Vec::new(),
        parent: None,
        sample: false,
        item: None,
        raw: json!({"detail": {"id": "finding-1", "hosts": ["a", "b", "c"]}}).into(),
    }
}

pub(crate) fn playbook(name: &str, steps: Vec<Step>) -> Playbook {
    Playbook {
        name: name.to_owned(),
        description: None,
        triggers: vec![Kind::Alert],
        requires: quench_automations::Requirements::default(),
        parameters: BTreeMap::new(),
        steps,
    }
}

pub(crate) fn run_of(playbook: &str, others: &[&str]) -> Run {
    let versions = std::iter::once(&playbook).chain(others);
    Run {
        id: "run-1".to_owned(),
        finding: finding().into(),
        transition: Transition::Created,
        started_by: StartedBy::Manual {
            by: "somebody".to_owned(),
        },
        playbook: playbook.to_owned(),
        versions: versions
            .map(|name| ((*name).to_owned(), "v1".to_owned()))
            .collect(),
        with: Map::new(),
        mode: None,
        state: RunState::Queued,
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn step(id: &str, kind: StepKind) -> Step {
    Step {
        id: id.to_owned(),
        kind,
        timeout: None,
        retry: None,
        on_error: OnError::Fail,
        on_unknown: None,
    }
}

pub(crate) fn act(id: &str) -> Step {
    let request = HttpStep {
        connection: None,
        method: "POST".to_owned(),
        url: "https://example.com/".to_owned(),
        headers: BTreeMap::new(),
        query: BTreeMap::new(),
        json: None,
        body: None,
        expect: Vec::new(),
        idempotency_header: None,
    };
    step(id, StepKind::Http(request))
}

pub(crate) fn choice(id: &str, condition: &str, then: Vec<Step>, otherwise: Vec<Step>) -> Step {
    let condition = condition.to_owned();
    step(
        id,
        StepKind::If(IfStep {
            condition,
            then,
            otherwise,
        }),
    )
}

pub(crate) fn each(id: &str, items: &str, max: usize, steps: Vec<Step>) -> Step {
    let (items, name) = (items.to_owned(), "item".to_owned());
    step(
        id,
        StepKind::ForEach(ForEachStep {
            items,
            name,
            max,
            steps,
        }),
    )
}

pub(crate) fn set(id: &str, name: &str, value: &str) -> Step {
    step(
        id,
        StepKind::Set(Map::from_iter([(name.to_owned(), json!(value))])),
    )
}

pub(crate) fn wait(id: &str, length: &str) -> Step {
    step(id, StepKind::Wait(WaitStep::For(length.to_owned())))
}

pub(crate) fn stop(id: &str, failed: bool) -> Step {
    let reason = "enough".to_owned();
    step(id, StepKind::Stop(StopStep { reason, failed }))
}

pub(crate) fn call(id: &str, playbook: &str, with: &Value) -> Step {
    let with = with.as_object().cloned().unwrap_or_default();
    let playbook = playbook.to_owned();
    step(id, StepKind::Playbook(PlaybookStep { playbook, with }))
}

pub(crate) fn carry_on(mut step: Step) -> Step {
    step.on_error = OnError::Continue;
    step
}

/// What the world makes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Success,
    /// Refused so many times, then done.
    Busy(usize),
    Refused,
    /// Done, but nobody hears of it, so many times.
    Silence(usize),
    /// The resource is changed by others between planning and applying, so many times.
    Moved(usize),
}

/// Everything outside of a run, which outlives its workers.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) journal: Vec<Entry>,
    /// What took effect, in order: path and what the step could see.
    pub(crate) effects: Vec<(String, Value)>,
    /// What of it does not depend on the finding, by path.
    pub(crate) trusted: BTreeMap<String, Value>,
    /// Whether steps may be repeated without harm.
    pub(crate) idempotent: bool,
    /// What people say to a question of a step, by its id; the others are answered by a yes.
    pub(crate) answers: BTreeMap<String, Decision>,
    /// How far the automation may go by now, where that is less than when the run was made.
    pub(crate) mode: Mode,
    fates: BTreeMap<String, Fate>,
    attempts: BTreeMap<String, usize>,
    /// How often the resource of a step was changed by others.
    moves: BTreeMap<String, usize>,
    /// Plans that were applied, by the step and their hash.
    applied: BTreeSet<(String, String)>,
}

/// Writes an entry; none if the worker is stopped before or after.
type Write<'w> = &'w mut dyn FnMut(&mut World, &mut Walker<'_>, Entry) -> Option<()>;

impl World {
    /// `fates` by step id; everything else succeeds.
    pub(crate) fn new(idempotent: bool, fates: &[(&str, Fate)]) -> Self {
        Self {
            now: Timestamp::UNIX_EPOCH,
            journal: Vec::new(),
            effects: Vec::new(),
            trusted: BTreeMap::new(),
            idempotent,
            fates: fates
                .iter()
                .map(|(id, fate)| ((*id).to_owned(), *fate))
                .collect(),
            answers: BTreeMap::new(),
            mode: Mode::Enforce,
            attempts: BTreeMap::new(),
            moves: BTreeMap::new(),
            applied: BTreeSet::new(),
        }
    }

    /// Works on a run until it ends, or until the `crash`th point at which a worker may be stopped.
    pub(crate) fn work(
        &mut self,
        script: &Script,
        run: &Run,
        crash: Option<usize>,
    ) -> Option<RunState> {
        let mut points = 0;
        let mut stopped = || {
            points += 1;
            Some(points) == crash
        };
        let journal = self.journal.clone();
        let mut walker = Walker::new(script, run, &journal, None);
        let mut write = |world: &mut Self, walker: &mut Walker<'_>, entry: Entry| {
            if stopped() {
                return None;
            }
            world.journal.push(entry.clone());
            walker.record(&entry);
            (!stopped()).then_some(())
        };
        loop {
            match walker.next(self.now) {
                Next::Record(entry) => write(self, &mut walker, entry)?,
                Next::Attempt(task) => self.attempt(run, &mut walker, task, &mut write)?,
                Next::Deed { task, phase } => {
                    let waits = self.deed(run, &mut walker, &task, phase, &mut write)?;
                    if let Some(until) = waits {
                        assert!(until > self.now);
                        self.now = until;
                    }
                }
                Next::Doubt {
                    task,
                    reason,
                    journalled,
                } => {
                    let event = if journalled {
                        verdict::after_doubt(
                            &run.id,
                            &task,
                            reason,
                            self.idempotent,
                            OnUnknown::Fail,
                            self.now,
                        )
                    } else {
                        verdict::of_doubt(&run.id, &task, reason, self.idempotent, self.now)
                    };
                    let entry = self.entry(&task, event);
                    write(self, &mut walker, entry)?;
                }
                Next::Wait { until, .. } => {
                    assert!(until > self.now);
                    self.now = until;
                }
                Next::End(state) => return Some(state),
            }
        }
    }

    fn attempt(
        &mut self,
        run: &Run,
        walker: &mut Walker<'_>,
        mut task: Task<'_>,
        write: Write<'_>,
    ) -> Option<()> {
        let content = json!({"step": task.step.id});
        let entry = self.entry(&task, Event::Started { content });
        write(self, walker, entry)?;
        let ending = self.perform(&task, walker.context());
        task.since.get_or_insert(self.now);
        let event = verdict::of_attempt(
            &run.id,
            &task,
            ending,
            self.idempotent,
            Duration::ZERO,
            self.now,
        );
        let entry = self.entry(&task, event);
        write(self, walker, entry)
    }

    fn entry(&self, task: &Task<'_>, event: Event) -> Entry {
        Entry {
            path: task.path.clone(),
            attempt: task.attempt,
            at: self.now,
            event,
        }
    }

    fn perform(&mut self, task: &Task<'_>, context: &Context) -> Ending {
        let attempt = self.attempts.entry(task.path.clone()).or_default();
        *attempt += 1;
        let fate = self
            .fates
            .get(&task.step.id)
            .copied()
            .unwrap_or(Fate::Success);
        let silent = match fate {
            Fate::Busy(times) if *attempt <= times => {
                return Ending::Told(Err(ActionError::Transient {
                    reason: "busy".to_owned(),
                    retry_after: None,
                }));
            }
            Fate::Refused => {
                return Ending::Told(Err(ActionError::Permanent {
                    reason: "refused".to_owned(),
                }));
            }
            Fate::Silence(times) => *attempt <= times,
            Fate::Busy(_) | Fate::Moved(_) | Fate::Success => false,
        };
        self.trusted.insert(task.path.clone(), context.own.clone());
        let seen = (task.path.clone(), visible(&context.all));
        if !self.idempotent || !self.effects.contains(&seen) {
            self.effects.push(seen);
        }
        if silent {
            return Ending::TimedOut(Duration::from_secs(30));
        }
        Ending::Told(Ok(Performed {
            summary: "done".to_owned(),
            output: json!({"receipt": task.path}),
        }))
    }

    /// The lines of the journal, in short.
    pub(crate) fn told(&self) -> Vec<String> {
        self.journal
            .iter()
            .map(|entry| {
                let event = match &entry.event {
                    Event::Started { .. } => "started",
                    Event::Succeeded { .. } => "succeeded",
                    Event::Retrying { .. } => "retrying",
                    Event::Failed { .. } => "failed",
                    Event::Unknown { .. } => "unknown",
                    Event::Waiting { .. } => "waiting",
                    Event::Reopened => "reopened",
                    Event::Pending { .. } => "pending",
                    Event::Planned { .. } => "planned",
                    Event::Proposed { .. } => "proposed",
                    Event::Guarded { .. } => "guarded",
                    Event::Held { .. } => "held",
                    Event::Asked { .. } => "asked",
                    Event::Decided { .. } => "decided",
                    Event::Outdated { .. } => "outdated",
                    Event::Applying { .. } => "applying",
                    Event::Applied { .. } => "applied",
                    Event::UndoAsked { .. } => "undo asked",
                    Event::Undoing { .. } => "undoing",
                    Event::Undone { .. } => "undone",
                    Event::UndoFailed { .. } => "undo failed",
                };
                format!("{} {} {event}", entry.path, entry.attempt)
            })
            .collect()
    }

    /// The paths that took effect, in order.
    pub(crate) fn paths(&self) -> Vec<&str> {
        self.effects.iter().map(|(path, _)| path.as_str()).collect()
    }
}

/// What a step's templates can see, without times, which differ after a crash.
fn visible(context: &Value) -> Value {
    let mut context = context.clone();
    for outcome in context["steps"]
        .as_object_mut()
        .expect("`steps` is an object")
        .values_mut()
    {
        outcome
            .as_object_mut()
            .expect("an outcome is an object")
            .remove("until");
    }
    context
}

/// Compiles playbooks, of which the first is the run's own.
pub(crate) fn script(playbooks: Vec<Playbook>) -> (Run, Script) {
    let names: Vec<_> = playbooks
        .iter()
        .map(|playbook| playbook.name.clone())
        .collect();
    let others: Vec<_> = names[1..].iter().map(String::as_str).collect();
    let run = run_of(&names[0], &others);
    let playbooks = names.iter().cloned().zip(playbooks).collect();
    let script = Script::compile(&run, playbooks).unwrap();
    (run, script)
}

/// Walks a playbook in a world to its end.
pub(crate) fn complete(world: &mut World, steps: Vec<Step>) -> RunState {
    let (run, script) = script(vec![playbook("main", steps)]);
    world
        .work(&script, &run, None)
        .expect("nothing stops the worker")
}
