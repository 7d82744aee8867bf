//! A store on disk whose runs call emulated AWS.

use crate::app::App;
use crate::approval::{Approval, Choice};
use crate::clock::{Clock, until};
use crate::config::Config;
use crate::engine::trial::{self, playbook, run_of, step};
use crate::engine::{Ledger, Outcome, execute};
use crate::run::{Check, Event, Run, RunState, StartedBy};
use crate::store::{ApprovalFilter, Change, Deciding, Page};
use crate::undo::{Undo, UndoError, undo};
use jiff::Timestamp;
use quench_actions::remediate::{Plan, Remediation};
use quench_automations::{Automation, Mode, RemediateStep, Step, StepKind};
use quench_world::fixtures;
use quench_world::world::{ACCOUNT, World};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

static RUNS: AtomicU32 = AtomicU32::new(0);

/// Name of the automation that starts runs.
pub(super) const AUTOMATION: &str = "mender";

pub(super) struct House<'w> {
    world: &'w World,
    _folder: TempDir,
    config: Config,
    pub(super) clock: Clock,
    pub(super) app: App,
}

impl<'w> House<'w> {
    pub(super) async fn new(world: &'w World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::local(folder.path());
        let clock = Clock::manual(Timestamp::now());
        let app = open(world, &config, &clock).await;
        Self {
            world,
            _folder: folder,
            config,
            clock,
            app,
        }
    }

    /// The process ends and another begins on the same folder.
    pub(super) async fn restart(&mut self) {
        self.app = open(self.world, &self.config, &self.clock).await;
    }

    pub(super) fn move_to(&self, time: Timestamp) {
        self.clock.advance(until(self.clock.now(), time));
    }

    async fn apply(&self, change: Change) {
        let now = self.clock.now();
        self.app
            .store
            .put_definitions(vec![change], now)
            .await
            .unwrap();
    }

    /// Puts an automation in force, or changes it.
    pub(super) async fn automate(&self, more: Value) {
        let mut said = json!({
            "name": AUTOMATION,
            "trigger": "alert",
            "run": [],
            "mode": "enforce",
        });
        for (name, value) in more.as_object().unwrap() {
            said[name] = value.clone();
        }
        let definition: Automation = serde_json::from_value(said).unwrap();
        let text = serde_json::to_string(&definition).unwrap();
        self.apply(Change::Automation {
            version: quench_automations::version(&text),
            definition,
            text,
        })
        .await;
    }

    async fn make(&self, steps: Vec<Step>, change: impl FnOnce(&mut Run)) -> String {
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let name = format!("mend-{number}");
        self.apply(Change::Playbook {
            definition: playbook(&name, steps),
            version: "v1".to_owned(),
            text: String::new(),
        })
        .await;
        let mut run = run_of(&name, &[]);
        run.id = Run::id_of(&[name.as_bytes()]);
        Arc::make_mut(&mut run.finding).account = Some(ACCOUNT.to_owned());
        Arc::make_mut(&mut run.finding).region = Some(quench_emulator::REGION.to_owned());
        (run.created, run.updated) = (self.clock.now(), self.clock.now());
        change(&mut run);
        assert!(self.app.store.create_run(&run).await.unwrap());
        run.id
    }

    /// Makes a run that somebody started by hand.
    pub(super) async fn start(&self, steps: Vec<Step>, mode: Option<Mode>) -> String {
        self.make(steps, |run| run.mode = mode).await
    }

    /// Makes a run that the automation started.
    pub(super) async fn start_automated(&self, steps: Vec<Step>, mode: Mode) -> String {
        self.make(steps, |run| {
            run.mode = Some(mode);
            run.started_by = StartedBy::Automation {
                name: AUTOMATION.to_owned(),
                version: "v1".to_owned(),
                explanation: Value::Null,
            };
        })
        .await
    }

    pub(super) async fn work(&self, run: &str) -> Outcome {
        execute(&self.app, run).await.unwrap()
    }

    /// Works on a run until it ends, however long it has to wait.
    pub(super) async fn finish(&self, run: &str) -> RunState {
        for _ in 0..1000 {
            match self.work(run).await {
                Outcome::Finished(state) => return state,
                Outcome::Waiting { until } | Outcome::Busy { until } => self.move_to(until),
                Outcome::Missing => panic!("run `{run}` is missing"),
            }
        }
        panic!("run `{run}` does not end")
    }

    /// Works on a run until it waits for somebody; yields the question.
    pub(super) async fn question(&self, run: &str) -> Approval {
        for _ in 0..100 {
            let outcome = self.work(run).await;
            let page = Page::default();
            let filter = ApprovalFilter::default();
            let asked = self.app.store.approvals(&filter, page).await.unwrap();
            let now = self.clock.now();
            let open = |asked: &Approval| asked.run == run && asked.is_open(now);
            if let Some(asked) = asked.into_iter().find(open) {
                return asked;
            }
            match outcome {
                Outcome::Waiting { until } | Outcome::Busy { until } => self.move_to(until),
                outcome => panic!("nobody is asked: {outcome:?}"),
            }
        }
        panic!("nobody is asked")
    }

    pub(super) async fn try_decide(&self, id: &str, hash: &str) -> Deciding {
        self.say(id, hash, Choice::Approve).await
    }

    async fn say(&self, id: &str, hash: &str, choice: Choice) -> Deciding {
        let (by, now) = ("owner@example.com", self.clock.now());
        let reason = (choice == Choice::Deny).then_some("not now");
        let store = &self.app.store;
        store
            .decide_approval(id, hash, choice, by, reason, now)
            .await
            .unwrap()
    }

    /// Has somebody answer, and the run hear of it.
    pub(super) async fn decide(&self, id: &str, hash: &str, yes: bool) {
        let choice = match yes {
            true => Choice::Approve,
            false => Choice::Deny,
        };
        let Deciding::Decided(decided) = self.say(id, hash, choice).await else {
            panic!("it cannot be decided")
        };
        let now = self.clock.now();
        self.app.store.wake_run(&decided.run, now).await.unwrap();
    }

    /// Has a run be undone.
    pub(super) async fn undo(&self, run: &str) -> Result<Undo, UndoError> {
        undo(&self.app, run, None, "somebody").await
    }

    /// The lines of a run's journal, in short.
    pub(super) async fn told(&self, run: &str) -> Vec<String> {
        let mut world = trial::World::new(true, &[]);
        world.journal = self.app.store.journal(run).await.unwrap();
        world.told()
    }

    /// What the guards said last.
    pub(super) async fn checks(&self, run: &str) -> Vec<Check> {
        let journal = self.app.store.journal(run).await.unwrap();
        let mut told = journal.into_iter().rev();
        let checks = told.find_map(|entry| match entry.event {
            Event::Guarded { checks, .. } => Some(checks),
            _ => None,
        });
        checks.unwrap_or_default()
    }

    /// What a step yielded.
    pub(super) async fn output(&self, run: &str, path: &str) -> Value {
        let journal = self.app.store.journal(run).await.unwrap();
        let mut told = journal.into_iter().rev();
        let output = told.find_map(|entry| match entry.event {
            Event::Succeeded { output, .. } if entry.path == path => Some(output),
            _ => None,
        });
        output.expect("the step succeeded")
    }
}

async fn open(world: &World, config: &Config, clock: &Clock) -> App {
    let variables = |name: &str| world.variable(name);
    App::open_from(config.clone(), clock.clone(), variables)
        .await
        .unwrap()
}

/// The last plan of a run.
pub(super) async fn planned(house: &House<'_>, run: &str) -> Plan {
    let journal = house.app.store.journal(run).await.unwrap();
    let mut told = journal.into_iter().rev();
    let plan = told.find_map(|entry| match entry.event {
        Event::Planned { plan, .. } => Some(*plan),
        _ => None,
    });
    plan.expect("something was planned")
}

/// What a run has changed and not undone.
pub(super) async fn left(house: &House<'_>, run: &str) -> usize {
    let journal = house.app.store.journal(run).await.unwrap();
    Ledger::of(&journal).left(None).len()
}

/// A step `mend` that remediates a resource.
pub(super) fn remediate(remediation: Remediation, resource: &str) -> Step {
    let with = fixtures::parameters(remediation);
    let said = RemediateStep {
        name: remediation.name().to_owned(),
        resource: Some(resource.to_owned()),
        account: None,
        region: None,
        with: with.as_object().cloned().unwrap(),
        approval: None,
        verify: None,
    };
    step("mend", StepKind::Remediate(said))
}

/// Says more in such a step.
pub(super) fn with(step: &mut Step, say: impl FnOnce(&mut RemediateStep)) {
    if let StepKind::Remediate(step) = &mut step.kind {
        say(step);
    }
}

/// The same step under another id.
pub(super) fn named(mut step: Step, id: &str) -> Step {
    step.id = id.to_owned();
    step
}
