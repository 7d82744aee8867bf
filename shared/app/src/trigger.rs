//! Runs that somebody starts by hand, and failed runs set going again.

mod by_hand;

pub use by_hand::{Remedy, remediate};

use crate::app::App;
use crate::catalog::{Catalog, CatalogError};
use crate::intake::enqueue;
use crate::metrics::Count;
use crate::run::{Run, RunState, StartedBy};
use crate::store::{FindingFilter, FindingRecord, Page, RunStage, StoreError};
use jiff::Timestamp;
use quench_automations::{
    Connection, Mode, ParameterFault, ParameterType, Playbook, Verdict, nearest,
};
use quench_findings::Kind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a finding is looked for that may have been meant.
const HINT: Duration = Duration::from_secs(1);

/// A run that somebody started by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Triggered {
    /// The run, queued.
    pub run: Run,
    /// Whether it was made now; false if it was asked for under the same key before.
    pub made: bool,
    /// The automations that the finding fires as it stands, and why; none of them had a part in this run.
    pub automations: Vec<Verdict>,
}

/// Why nothing was started.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TriggerError {
    /// No playbook has that name.
    #[error("there is no playbook `{name}`{}", meant(.near.as_deref()))]
    UnknownPlaybook {
        /// The name given.
        name: String,
        /// The name that was probably meant.
        near: Option<String>,
    },
    /// No finding has that id.
    #[error("there is no finding `{id}`{}", meant(.near.as_deref()))]
    UnknownFinding {
        /// The id given.
        id: String,
        /// The id that was probably meant.
        near: Option<String>,
    },
    /// The playbook cannot work on findings of that kind.
    #[error("playbook `{playbook}` works on {}, not on {}: finding `{finding}` is one of those", kinds(.supported), plural(*.kind))]
    Unfit {
        /// Name of the playbook.
        playbook: String,
        /// Kinds that it works on.
        supported: Vec<Kind>,
        /// Id of the finding.
        finding: String,
        /// Kind of the finding.
        kind: Kind,
    },
    /// The values given do not fit the playbook's parameters.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Parameters(Vec<ParameterFault>),
    /// What is said to a remediation does not fit its parameters.
    #[error("{}", .0.join("\n"))]
    Said(Vec<String>),
    /// Nobody can tell which resource is meant, or the remediation cannot be applied to it.
    #[error("{0}")]
    Resource(String),
    /// Nobody can tell which account a resource is in.
    #[error(
        "`{resource}` does not say which account it is in, and AWS cannot be asked whose credentials these are: {reason}; or name the account"
    )]
    Account {
        /// The resource as it was named.
        resource: String,
        /// Why the account of our own credentials is not known.
        reason: String,
    },
    /// No run has that id.
    #[error("there is no run `{0}`")]
    UnknownRun(String),
    /// Only failed runs are set going again.
    #[error("run `{id}` is {}, not failed; only a failed run can be retried", .stage.name())]
    NotFailed {
        /// Id of the run.
        id: String,
        /// Where it stands.
        stage: RunStage,
    },
    /// Something else was asked for under the same key before.
    #[error("the key `{key}` was used for another run: `{run}`; take another key for every run")]
    KeyReused {
        /// The key.
        key: String,
        /// Id of the run that it made.
        run: String,
    },
    /// The machine gives no randomness, which ids are made of.
    #[error("no random number can be had from this machine: {0}")]
    Random(String),
    /// What is in force cannot be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TriggerError {
    /// What went wrong, in one word, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnknownPlaybook { .. } | Self::Catalog(CatalogError::MissingPlaybook(_)) => {
                "UnknownPlaybook"
            }
            Self::UnknownFinding { .. } => "UnknownFinding",
            Self::Unfit { .. } => "UnfitPlaybook",
            Self::Parameters(_) | Self::Said(_) => "InvalidParameters",
            Self::Resource(_) => "UnfitResource",
            Self::Account { .. } => "UnknownAccount",
            Self::UnknownRun(_) => "UnknownRun",
            Self::NotFailed { .. } => "NotFailed",
            Self::KeyReused { .. } => "KeyReused",
            Self::Catalog(CatalogError::Rulebook(_)) => "UnusableAutomations",
            Self::Random(_) | Self::Catalog(CatalogError::Store(_)) | Self::Store(_) => {
                match self.is_transient() {
                    true => "Unavailable",
                    false => "Internal",
                }
            }
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Alert => "alerts",
        Kind::Recommendation => "recommendations",
        Kind::Compliance => "compliance findings",
    }
}

fn kinds(supported: &[Kind]) -> String {
    let kinds: Vec<_> = supported.iter().map(|kind| plural(*kind)).collect();
    kinds.join(" and ")
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Name of the playbook.
    pub playbook: &'a str,
    /// Id of the finding.
    pub finding: &'a str,
    /// Values of the playbook's parameters.
    pub with: &'a Map<String, Value>,
    /// How far its remediations may go; absent means that they only observe.
    pub mode: Option<Mode>,
    /// Who asks, as far as is known.
    pub by: &'a str,
    /// Asked for again under the same key, the same run is meant; without one, every call makes a run of its own.
    pub key: Option<Key<'a>>,
}

/// What makes two calls one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Whose key it is: those of others are others.
    pub of: &'a str,
    /// The key.
    pub key: &'a str,
}

/// Starts a playbook for a stored finding, its remediations only observing; every call makes a run of its own.
///
/// `with` are values of the playbook's parameters, `by` is who asks, as far as is known.
///
/// # Errors
/// As [`ask`].
pub async fn trigger(
    app: &App,
    playbook: &str,
    finding: &str,
    with: &Map<String, Value>,
    by: &str,
) -> Result<Triggered, TriggerError> {
    let asked = Ask {
        playbook,
        finding,
        with,
        mode: None,
        by,
        key: None,
    };
    ask(app, asked).await
}

/// Starts a playbook for a stored finding, or tells of the run that the same key has made.
///
/// # Errors
/// Playbook or finding are not there, do not fit each other, the values do not fit, the key was used for something
/// else, or the store fails.
pub async fn ask(app: &App, asked: Ask<'_>) -> Result<Triggered, TriggerError> {
    let Ask {
        playbook,
        finding,
        with,
        mode,
        by,
        key,
    } = asked;
    let id = match key {
        Some(Key { of, key }) => Run::id_of(&[b"key", of.as_bytes(), key.as_bytes()]),
        None => run_id(playbook, finding)?,
    };
    // What was asked for once is not judged again: a playbook may have gone since.
    if key.is_some()
        && let Some(known) = app.store.run(&id).await?
    {
        return again(app, asked, known).await;
    }
    let catalog = app.catalog().await?;
    let Some(stored) = catalog.playbooks.get(playbook) else {
        let names = catalog.playbooks.keys().map(String::as_str);
        return Err(TriggerError::UnknownPlaybook {
            name: playbook.to_owned(),
            near: nearest(playbook, names).map(str::to_owned),
        });
    };
    let record = found(app, finding).await?;
    let definition = &stored.definition;
    if !definition.triggers.contains(&record.finding.kind) {
        return Err(TriggerError::Unfit {
            playbook: playbook.to_owned(),
            supported: definition.triggers.clone(),
            finding: record.finding.id.clone(),
            kind: record.finding.kind,
        });
    }
    let bound = definition.bind(with).map_err(TriggerError::Parameters)?;
    let faults = connection_faults(definition, &bound, &catalog.connections);
    if !faults.is_empty() {
        return Err(TriggerError::Parameters(faults));
    }
    let now = app.clock.now();
    let run = Run {
        id,
        finding: record.finding,
        transition: record.transition,
        started_by: StartedBy::Manual { by: by.to_owned() },
        playbook: playbook.to_owned(),
        versions: catalog.versions(playbook)?,
        with: with.clone(),
        mode,
        state: RunState::Queued,
        created: now,
        updated: now,
    };
    if let Some(known) = make(app, &run).await? {
        return again(app, asked, known).await;
    }
    Ok(Triggered {
        automations: firing(&catalog, &run, now)?,
        run,
        made: true,
    })
}

/// Stores a run and queues it; yields the one of the same id that was there before, and then does neither.
async fn make(app: &App, run: &Run) -> Result<Option<Run>, TriggerError> {
    if !app.store.create_run(run).await?
        && let Some(known) = app.store.run(&run.id).await?
    {
        return Ok(Some(known));
    }
    enqueue(app, &run.id, run.created).await?;
    app.metrics.count(Count::RunsByHand, 1);
    tracing::info!(
        run.id = run.id,
        run.playbook = run.playbook,
        finding.id = run.finding.id,
        "run started by hand"
    );
    Ok(None)
}

/// The stored finding of this id.
async fn found(app: &App, id: &str) -> Result<FindingRecord, TriggerError> {
    match app.store.finding(id).await? {
        Some(record) => Ok(record),
        None => Err(TriggerError::UnknownFinding {
            id: id.to_owned(),
            near: only_one_like(app, id).await,
        }),
    }
}

/// Tells of the run that a key has made.
async fn again(app: &App, asked: Ask<'_>, known: Run) -> Result<Triggered, TriggerError> {
    let same = known.playbook == asked.playbook
        && known.finding.id == asked.finding
        && known.with == *asked.with
        && known.mode == asked.mode;
    if !same {
        return Err(TriggerError::KeyReused {
            key: asked.key.map(|key| key.key.to_owned()).unwrap_or_default(),
            run: known.id,
        });
    }
    let now = app.clock.now();
    // Whoever asked before may have broken off between storing the run and queueing it.
    if known.state == RunState::Queued {
        enqueue(app, &known.id, now).await?;
    }
    let catalog = app.catalog().await?;
    Ok(Triggered {
        automations: firing(&catalog, &known, now)?,
        run: known,
        made: false,
    })
}

/// The automations that fire for the finding of a run as it was when the run was made.
fn firing(catalog: &Catalog, run: &Run, now: Timestamp) -> Result<Vec<Verdict>, CatalogError> {
    let rulebook = &catalog.rules(run.finding.kind)?.rulebook;
    let verdicts = rulebook.explain_all(&run.finding, run.transition, now);
    Ok(verdicts
        .into_iter()
        .filter(|verdict| verdict.fires)
        .collect())
}

/// What is wrong with the connections that parameters name; those that templates tell are known only in the run.
fn connection_faults(
    playbook: &Playbook,
    bound: &Map<String, Value>,
    connections: &BTreeMap<String, Connection>,
) -> Vec<ParameterFault> {
    let mut faults = Vec::new();
    for (parameter, declared) in &playbook.parameters {
        let (ParameterType::Connection, Some(Value::String(name))) =
            (declared.parameter_type, bound.get(parameter))
        else {
            continue;
        };
        if name.is_empty() || name.contains("{{") || name.contains("{%") {
            continue;
        }
        let fits = |connection: &Connection| playbook.unfit_step(parameter, connection).is_none();
        let fitting = || connections.values().filter(|connection| fits(connection));
        let known = || {
            let names: Vec<_> = fitting()
                .map(|connection| connection.name.as_str())
                .collect();
            match names.as_slice() {
                [] => "add a file for one with `quench apply`".to_owned(),
                names => format!("known are `{}`", names.join("`, `")),
            }
        };
        let (reason, help) = match connections.get(name) {
            None => {
                let names = fitting().map(|connection| connection.name.as_str());
                let help = match nearest(name, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => known(),
                };
                (format!("there is no connection `{name}`"), help)
            }
            Some(connection) => match playbook.unfit_step(parameter, connection) {
                None => continue,
                Some(step) => (
                    format!("connection `{name}` does not fit a `{step}` step"),
                    known(),
                ),
            },
        };
        faults.push(ParameterFault {
            parameter: parameter.clone(),
            reason,
            help: Some(help),
        });
    }
    faults
}

/// Sets a failed run going again: it goes on at the step that failed, with a fresh series of attempts.
///
/// # Errors
/// There is no such run, it has not failed, or the store fails.
pub async fn retry(app: &App, run: &str) -> Result<Run, TriggerError> {
    let now = app.clock.now();
    if let Some(requeued) = app.store.requeue_run(run, now).await? {
        enqueue(app, run, now).await?;
        tracing::info!(
            run.id = run,
            run.playbook = requeued.playbook,
            "failed run set going again"
        );
        return Ok(requeued);
    }
    match app.store.run(run).await? {
        Some(found) => Err(TriggerError::NotFailed {
            id: found.id,
            stage: RunStage::of(&found.state),
        }),
        None => Err(TriggerError::UnknownRun(run.to_owned())),
    }
}

/// The id of the one finding that has this text in its id or title, if there is just one and it is soon found.
///
/// On AWS every finding may have to be looked at: for a hint that is too much.
async fn only_one_like(app: &App, text: &str) -> Option<String> {
    let filter = FindingFilter {
        text: Some(text.to_owned()),
        ..FindingFilter::default()
    };
    let page = Page { limit: 2, skip: 0 };
    let found = tokio::time::timeout(HINT, app.store.findings(&filter, page)).await;
    let mut found = found.ok()?.ok()?;
    let only = if found.len() == 1 { found.pop() } else { None };
    only.map(|record| record.finding.id.clone())
}

/// An id unlike any other, of the same shape as those of runs that automations start.
fn run_id(playbook: &str, finding: &str) -> Result<String, TriggerError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| TriggerError::Random(error.to_string()))?;
    Ok(Run::id_of(&[
        &random,
        playbook.as_bytes(),
        finding.as_bytes(),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::engine::{self, Outcome};
    use crate::queue::Queue;
    use crate::{catalog, intake};
    use quench_automations::{Library, SourceFile, load};
    use serde_json::json;

    const FILES: &str = r#"
playbook: note
description: Notes what was found.
triggers: [alert]
parameters:
  to: { type: email, required: true }
steps:
  - id: mail
    email: { to: "{{ params.to }}", subject: "{{ finding.title }}", template: finding }
---
automation: note-all
trigger: alert
when:
  - severity: { at_least: low }
run:
  - playbook: note
    with: { to: team@example.com }
"#;

    const EVENT: &str = r#"{
      "version": "0", "id": "e1", "detail-type": "GuardDuty Finding", "source": "aws.guardduty",
      "account": "111122223333", "time": "2027-01-01T00:00:00Z", "region": "eu-west-1", "resources": [],
      "detail": {
        "schemaVersion": "2.0", "accountId": "111122223333", "region": "eu-west-1", "partition": "aws",
        "id": "0123456789abcdef0123456789abcdef",
        "arn": "arn:aws:guardduty:eu-west-1:111122223333:detector/d/finding/0123456789abcdef0123456789abcdef",
        "type": "UnauthorizedAccess:EC2/SSHBruteForce", "severity": 8,
        "resource": { "resourceType": "Instance", "instanceDetails": { "instanceId": "i-0123456789abcdef0" } },
        "service": { "serviceName": "guardduty", "archived": false, "count": 1 },
        "createdAt": "2027-01-01T00:00:00.000Z", "updatedAt": "2027-01-01T00:00:00.000Z",
        "title": "Somebody guesses SSH passwords", "description": "Many failed logins."
      }
    }"#;
    const FINDING: &str = "0123456789abcdef0123456789abcdef";

    async fn stocked() -> (tempfile::TempDir, App) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual("2027-01-01T00:00:00Z".parse().unwrap());
        let app = App::open_at(Config::local(folder.path()), clock)
            .await
            .unwrap();
        let file = SourceFile {
            path: "all.yaml".to_owned(),
            text: FILES.to_owned(),
        };
        let definitions = load(&[file], &Library::default()).unwrap();
        catalog::apply(&app, definitions).await.unwrap();
        let taken = intake::intake(&app, EVENT.as_bytes()).await.unwrap();
        assert_eq!(taken.findings[0].finding.id, FINDING);
        (folder, app)
    }

    fn to(address: &str) -> Map<String, Value> {
        Map::from_iter([("to".to_owned(), json!(address))])
    }

    #[tokio::test]
    async fn a_run_started_by_hand_goes_through_the_same_engine() {
        let (folder, app) = stocked().await;
        let with = to("me@example.com");
        let triggered = trigger(&app, "note", FINDING, &with, "anna").await.unwrap();
        let by = "anna".to_owned();
        assert_eq!(triggered.run.started_by, StartedBy::Manual { by });
        let names: Vec<_> = triggered
            .automations
            .iter()
            .map(|verdict| &verdict.automation)
            .collect();
        assert_eq!(names, ["note-all"]);
        let outcome = engine::execute(&app, &triggered.run.id).await.unwrap();
        assert_eq!(outcome, Outcome::Finished(RunState::Succeeded));
        let mails = std::fs::read_dir(folder.path().join("outbox")).unwrap();
        assert_eq!(mails.count(), 1);
        // Pressed twice, it is done twice.
        let second = trigger(&app, "note", FINDING, &with, "anna").await.unwrap();
        assert_ne!(second.run.id, triggered.run.id);
        let now = app.clock.now();
        let queued = app
            .queues
            .depth(crate::queue::Queue::Runs, now)
            .await
            .unwrap();
        assert_eq!(queued.ready, 3, "one by the automation, two by hand");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_with_what_would() {
        let (_folder, app) = stocked().await;
        let refused = async |playbook: &str, finding: &str, with: Map<String, Value>| {
            let refused = trigger(&app, playbook, finding, &with, "anna").await;
            refused.unwrap_err().to_string()
        };
        let good = to("me@example.com");
        assert_eq!(
            refused("notes", FINDING, good.clone()).await,
            "there is no playbook `notes`; did you mean `note`?"
        );
        assert_eq!(
            refused("note", "0123456789abcdef", good.clone()).await,
            format!("there is no finding `0123456789abcdef`; did you mean `{FINDING}`?")
        );
        assert_eq!(
            refused("note", "zzz", good).await,
            "there is no finding `zzz`"
        );
        let told = refused("note", FINDING, Map::new()).await;
        assert_eq!(told, "parameter `to`: is required by playbook `note`");
        let told = refused("note", FINDING, to("nobody")).await;
        assert!(told.starts_with("parameter `to`: "), "{told}");
        assert!(matches!(
            retry(&app, "none").await,
            Err(TriggerError::UnknownRun(_))
        ));
    }

    #[tokio::test]
    async fn a_connection_that_is_not_there_or_does_not_fit_is_refused() {
        let (_folder, app) = stocked().await;
        let text = "
playbook: tell
triggers: [alert]
parameters:
  connection: { type: connection, default: team-slack }
steps:
  - id: tell
    if: \"{{ finding.severity != 'low' }}\"
    then:
      - id: post
        slack: { connection: \"{{ params.connection }}\", text: \"{{ finding.title }}\" }
---
connection: paging
webhook: { url: secret://env/PAGING_URL, secret: secret://env/PAGING_SECRET }
---
connection: night-slack
slack_hook: { url: secret://env/SLACK_HOOK }
---
connection: team-slack
slack_hook: { url: secret://env/TEAM_HOOK }
";
        let apply = async |text: &str| {
            let file = SourceFile {
                path: "tell.yaml".to_owned(),
                text: text.to_owned(),
            };
            let library = catalog::library(&app).await.unwrap();
            let definitions =
                load(&[file], &library).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
            catalog::apply(&app, definitions).await.unwrap();
        };
        apply(text).await;
        app.store.delete_connection("team-slack").await.unwrap();
        let with = |name: &str| Map::from_iter([("connection".to_owned(), json!(name))]);
        for (given, expected) in [
            (
                with("paging"),
                "parameter `connection`: connection `paging` does not fit a `slack` step; known are `night-slack`",
            ),
            (
                with("nigth-slack"),
                "parameter `connection`: there is no connection `nigth-slack`; did you mean `night-slack`?",
            ),
            // A default counts as much.
            (
                Map::new(),
                "parameter `connection`: there is no connection `team-slack`; known are `night-slack`",
            ),
        ] {
            let refused = trigger(&app, "tell", FINDING, &given, "anna").await;
            assert_eq!(refused.unwrap_err().to_string(), expected);
        }
        let runs = app.store.runs(&Default::default(), Page::default()).await;
        assert_eq!(runs.unwrap().len(), 1, "only the automation's");
        for name in ["night-slack", "{{ vars.which }}"] {
            trigger(&app, "tell", FINDING, &with(name), "anna")
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn one_key_makes_one_run_and_another_s_key_is_another() {
        let (_folder, app) = stocked().await;
        let with = to("me@example.com");
        let asked = |of: &'static str, key: &'static str| Ask {
            playbook: "note",
            finding: FINDING,
            with: &with,
            mode: None,
            by: "anna",
            key: Some(Key { of, key }),
        };
        let first = ask(&app, asked("anna", "1")).await.unwrap();
        assert!(first.made);
        let again = ask(&app, asked("anna", "1")).await.unwrap();
        assert!(!again.made);
        assert_eq!(again.run, first.run);
        assert_eq!(again.automations, first.automations);
        // It waited already, so it waits once.
        let depth = app.queues.depth(Queue::Runs, app.clock.now()).await;
        // One for the automation that fired at intake, one for this.
        assert_eq!(depth.unwrap().ready, 2);
        for (of, key) in [("anna", "2"), ("bert", "1"), ("ann", "a1")] {
            let other = ask(&app, asked(of, key)).await.unwrap();
            assert!(other.made);
            assert_ne!(other.run.id, first.run.id);
        }
        let other = to("you@example.com");
        let reused = Ask {
            with: &other,
            ..asked("anna", "1")
        };
        let refused = ask(&app, reused).await.unwrap_err();
        assert_eq!(refused.name(), "KeyReused");
        assert_eq!(
            refused.to_string(),
            format!(
                "the key `1` was used for another run: `{}`; take another key for every run",
                first.run.id
            )
        );
    }

    #[tokio::test]
    async fn a_run_asked_for_twice_at_once_is_made_once() {
        let (_folder, app) = stocked().await;
        let with = to("me@example.com");
        let asked = Ask {
            playbook: "note",
            finding: FINDING,
            with: &with,
            mode: None,
            by: "anna",
            key: Some(Key {
                of: "anna",
                key: "1",
            }),
        };
        let (one, two) = tokio::join!(ask(&app, asked), ask(&app, asked));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.run.id, two.run.id);
        assert!(one.made != two.made, "{} {}", one.made, two.made);
    }

    #[tokio::test]
    async fn a_playbook_for_other_kinds_is_refused_with_those_it_is_for() {
        let (_folder, app) = stocked().await;
        let text = "
playbook: mend
description: Mends.
triggers: [recommendation, compliance]
steps:
  - id: halt
    stop: { reason: done }
";
        let file = SourceFile {
            path: "mend.yaml".to_owned(),
            text: text.to_owned(),
        };
        let library = catalog::library(&app).await.unwrap();
        let definitions = load(&[file], &library).unwrap();
        catalog::apply(&app, definitions).await.unwrap();
        let refused = trigger(&app, "mend", FINDING, &Map::new(), "anna")
            .await
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "playbook `mend` works on recommendations and compliance findings, not on alerts: finding `{FINDING}` is one of those"
            )
        );
    }

    #[tokio::test]
    async fn a_run_keeps_the_versions_it_was_made_with_even_of_playbooks_it_calls() {
        let (folder, app) = stocked().await;
        let apply = async |subject: &str| {
            let text = format!(
                "
playbook: inner
description: Sends.
triggers: [alert]
steps:
  - id: mail
    email: {{ to: team@example.com, subject: {subject}, template: finding }}
---
playbook: outer
description: Has it sent.
triggers: [alert]
steps:
  - id: call
    playbook: inner
"
            );
            let file = SourceFile {
                path: "nested.yaml".to_owned(),
                text,
            };
            let library = catalog::library(&app).await.unwrap();
            let definitions =
                load(&[file], &library).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
            catalog::apply(&app, definitions).await.unwrap();
        };
        apply("before").await;
        let triggered = trigger(&app, "outer", FINDING, &Map::new(), "anna")
            .await
            .unwrap();
        assert_eq!(triggered.run.versions.len(), 2);
        apply("after").await;
        let outcome = engine::execute(&app, &triggered.run.id).await.unwrap();
        assert_eq!(outcome, Outcome::Finished(RunState::Succeeded));
        let mut mails = std::fs::read_dir(folder.path().join("outbox")).unwrap();
        let mail = std::fs::read_to_string(mails.next().unwrap().unwrap().path()).unwrap();
        assert!(mail.contains("Subject: before"), "{mail}");
    }
}
