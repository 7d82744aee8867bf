//! The way of a finding from a payload to the runs it starts.
//!
//! Every step is safe to repeat, so a payload that is delivered again after a crash anywhere ends in exactly the runs
//! that one delivery would have made.

use crate::app::App;
use crate::catalog::{Catalog, CatalogError};
use crate::clock::before;
use crate::delivery;
use crate::manual::{PressError, Pressed, press};
use crate::run::{Run, RunState, StartedBy};
use crate::store::{FindingRecord, StoreError, word};
use jiff::Timestamp;
use quench_automations::{Automation, Match};
use quench_findings::{
    CustomAction, Finding, Refusal, Transition, decode, is_own_write, transition,
};
use quench_matching::Explanation;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

/// How often an event is tried when others keep changing its finding at the same time.
const ATTEMPTS: usize = 16;
/// Pending findings that a sweep takes up at once: they have to find room in the memory of a function.
const SWEEP: u32 = 100;
/// Pending findings that one call passes over because they failed: a sweep reads them again, with those behind them.
const MOST_FAILED: usize = 400;

/// Room for the payloads that this process works on at once, in kilobytes of them: with all that is made of one it takes
/// some hundred times its size while it is worked on, and a batch may hold ten large ones.
static ROOM: Semaphore = Semaphore::const_new(MOST_ROOM as usize);
const MOST_ROOM: u32 = 512;

/// What came of a payload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Intake {
    /// Its findings, in its order.
    pub findings: Vec<Arrival>,
    /// What was not understood, and why.
    pub refused: Vec<Refusal>,
    /// The button a person pressed to send the findings, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<CustomAction>,
    /// What that button started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressed: Option<Pressed>,
}

/// What came of a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// The finding as the payload tells it.
    pub finding: Finding,
    /// What the event did to it.
    pub transition: Transition,
    /// The automations that started runs for it, in their order.
    pub matched: Vec<Matched>,
}

/// An automation that a finding set off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// Its name.
    pub automation: String,
    /// Why its conditions hold.
    pub explanation: Explanation,
    /// One for each of its playbooks, in their order.
    pub runs: Vec<Started>,
}

/// A run that an automation started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Id of the run.
    pub run: String,
    /// Name of its playbook.
    pub playbook: String,
    /// Whether it was made now; false if an earlier delivery had made it.
    pub made: bool,
}

impl Arrival {
    /// Ids of the runs it started.
    pub fn runs(&self) -> impl Iterator<Item = &str> {
        let started = self.matched.iter().flat_map(|matched| &matched.runs);
        started.map(|started| started.run.as_str())
    }
}

/// Why a payload was not taken in, or not all of it; delivering it again does no harm.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntakeError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in force cannot be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Others keep changing the finding.
    #[error("finding `{0}` is being changed by others all the time")]
    Contended(String),
    /// What a button stands for could not be started now.
    #[error("{0}")]
    Button(String),
    /// The work on one finding broke off.
    #[error("the work on a finding broke off: {0}")]
    Interrupted(String),
}

impl IntakeError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            IntakeError::Store(error) => error.is_transient(),
            IntakeError::Catalog(error) => error.is_transient(),
            IntakeError::Contended(_) | IntakeError::Button(_) => true,
            IntakeError::Interrupted(_) => false,
        }
    }
}

/// Takes a payload in: stores its findings, and makes and queues the runs that automations start for them.
///
/// # Errors
/// The store or the definitions in it fail. What was taken in until then stays so; deliver the payload again.
pub async fn intake(app: &App, payload: &[u8]) -> Result<Intake, IntakeError> {
    intake_sent(app, payload, None).await
}

/// As [`intake`], of a payload that was sent then: one that is delivered again, or late, tells nothing new where its
/// findings do not tell themselves which of two events is the later one. Security Hub's do not when somebody changes
/// their workflow, nor do regulatory compliance assessments of Defender.
///
/// # Errors
/// As those of [`intake`].
pub async fn intake_sent(
    app: &App,
    payload: &[u8],
    sent: Option<Timestamp>,
) -> Result<Intake, IntakeError> {
    let kilobytes = u32::try_from(payload.len() / 1024 + 1).unwrap_or(MOST_ROOM);
    // It is never closed; and a payload larger than all the room has it alone.
    let _room = ROOM.acquire_many(kilobytes.min(MOST_ROOM)).await;
    let decoded = decode(payload);
    let catalog = app.catalog().await?;
    let mut taken = Intake {
        findings: take_all(app, &catalog, decoded.findings, sent).await?,
        refused: decoded.refused,
        action: decoded.action,
        pressed: None,
    };
    // Results of an insight are a finding of their own, and none that a playbook could be started for by hand.
    if let Some(action) = taken.action.as_ref().filter(|action| !action.insight) {
        let (pressed, faults) = press(app, &catalog, action, &taken.findings).await;
        taken.pressed = pressed;
        if faults.iter().any(PressError::is_transient) {
            return Err(IntakeError::Button(list(&faults)));
        }
        taken.refused.extend(faults.iter().map(PressError::refusal));
    }
    Ok(taken)
}

fn list(faults: &[PressError]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

/// Takes findings in several at a time, those of one id in their order.
pub(crate) async fn take_all(
    app: &App,
    catalog: &Arc<Catalog>,
    findings: Vec<Finding>,
    sent: Option<Timestamp>,
) -> Result<Vec<Arrival>, IntakeError> {
    // Nearly every payload has one.
    let findings = match <[Finding; 1]>::try_from(findings) {
        Ok([finding]) => {
            let span = span_of(&finding.id);
            let taking = Box::pin(take(app, catalog, finding, sent)).instrument(span);
            return Ok(vec![taking.await?]);
        }
        Err(findings) => findings,
    };
    let mut by_id: BTreeMap<String, Vec<(usize, Finding)>> = BTreeMap::new();
    for (position, finding) in findings.into_iter().enumerate() {
        let same = by_id.entry(finding.id.clone()).or_default();
        same.push((position, finding));
    }
    let slots = Arc::new(Semaphore::new(app.config.concurrency.max(1) as usize));
    let mut tasks = JoinSet::new();
    for (id, same) in by_id {
        let (app, catalog, slots) = (app.clone(), Arc::clone(catalog), Arc::clone(&slots));
        let span = span(Some(&id));
        let work = async move {
            let _slot = slots.acquire_owned().await;
            let mut arrivals = Vec::with_capacity(same.len());
            for (position, finding) in same {
                match take(&app, &catalog, finding, sent).await {
                    Ok(arrival) => arrivals.push((position, arrival)),
                    Err(error) => return Err((id, error)),
                }
            }
            Ok(arrivals)
        };
        tasks.spawn(Box::pin(work).instrument(span));
    }
    let mut arrivals = Vec::new();
    let mut failed = None;
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(Ok(done)) => arrivals.extend(done),
            Ok(Err((id, error))) if failed.is_none() => {
                // Whoever logs the failure of the payload tells on which of its findings it was.
                Span::current().record("finding.id", id);
                failed = Some(error);
            }
            Ok(Err(_)) => {}
            Err(error) => {
                failed.get_or_insert(IntakeError::Interrupted(error.to_string()));
            }
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    arrivals.sort_by_key(|(position, _)| *position);
    Ok(arrivals.into_iter().map(|(_, arrival)| arrival).collect())
}

/// The span to take a payload or a finding in: whatever is logged within tells the finding's id, once it is known.
///
/// It is there at every level of the log.
pub(crate) fn span(finding: Option<&str>) -> Span {
    tracing::error_span!("intake", finding.id = finding)
}

/// The span for a payload's only finding: that of the payload, if it has one.
fn span_of(finding: &str) -> Span {
    let around = Span::current();
    if around.has_field("finding.id") {
        around.record("finding.id", finding);
        return around;
    }
    span(Some(finding))
}

async fn take(
    app: &App,
    catalog: &Catalog,
    finding: Finding,
    sent: Option<Timestamp>,
) -> Result<Arrival, IntakeError> {
    // What an earlier event left undone, and this one has done instead.
    let mut matched = Vec::new();
    for _ in 0..ATTEMPTS {
        let known = app.store.finding(&finding.id).await?;
        if let Some(known) = known.as_ref().filter(|known| known.pending) {
            let found = evaluate(app, catalog, known)?;
            matched.extend(dispatch(app, catalog, known, found).await?);
            continue;
        }
        let now = app.clock.now();
        let before = known.as_ref().map(|known| &*known.finding);
        let late = known
            .as_ref()
            .is_some_and(|known| is_late(known, &finding, sent));
        let transition = match late {
            true => Transition::Repeated,
            false => transition(before, &finding),
        };
        // What Quench itself wrote to the finding is known, but starts nothing: it would come round again.
        let own = before.is_some_and(|before| is_own_write(before, &finding));
        let next = match late {
            true => None,
            false => next_record(known, &finding, transition, sent, now),
        };
        let Some(mut record) = next else {
            return Ok(Arrival {
                finding,
                transition,
                matched,
            });
        };
        let found = match record.pending && !own {
            true => evaluate(app, catalog, &record)?,
            false => Vec::new(),
        };
        // Where nothing matches there is nothing to come back for.
        record.pending = !found.is_empty();
        if !app.store.put_finding(&record).await? {
            continue;
        }
        if record.pending {
            matched.extend(dispatch(app, catalog, &record, found).await?);
        }
        tracing::info!(
            finding.transition = %word(transition),
            automations = matched.len(),
            "took a finding in"
        );
        return Ok(Arrival {
            finding,
            transition,
            matched,
        });
    }
    Err(IntakeError::Contended(finding.id))
}

/// Whether an event was sent before one that is known, where the finding itself does not tell which is the later one.
fn is_late(known: &FindingRecord, finding: &Finding, sent: Option<Timestamp>) -> bool {
    let told_apart = matches!(
        (known.finding.updated, finding.updated),
        (Some(known), Some(told)) if known != told
    );
    !told_apart && matches!((known.sent, sent), (Some(known), Some(sent)) if sent < known)
}

/// What is to be stored after an event; `None` if it tells nothing new.
fn next_record(
    known: Option<FindingRecord>,
    finding: &Finding,
    transition: Transition,
    sent: Option<Timestamp>,
    now: Timestamp,
) -> Option<FindingRecord> {
    let Some(known) = known else {
        return Some(FindingRecord {
            finding: finding.clone().into(),
            version: 1,
            sequence: 1,
            transition,
            pending: true,
            created: now,
            stored: now,
            sent,
        });
    };
    let mut finding = finding.clone();
    let repeated = transition == Transition::Repeated;
    if repeated {
        let older = matches!(
            (finding.updated, known.finding.updated),
            (Some(told), Some(known)) if told < known
        );
        // An event that leaves the status unsaid does not make it unknown.
        finding.status = finding.status.or(known.finding.status);
        if older || finding == *known.finding {
            return None;
        }
    }
    Some(FindingRecord {
        finding: finding.into(),
        version: known.version + 1,
        sequence: known.sequence + u64::from(!repeated),
        transition: if repeated {
            known.transition
        } else {
            transition
        },
        pending: !repeated,
        created: known.created,
        stored: now,
        sent: sent.max(known.sent),
    })
}

/// The automations that a finding's last transition sets off.
fn evaluate<'a>(
    app: &App,
    catalog: &'a Catalog,
    record: &FindingRecord,
) -> Result<Vec<Match<'a>>, CatalogError> {
    let now = app.clock.now();
    let rulebook = &catalog.rules(record.finding.kind)?.rulebook;
    Ok(rulebook.evaluate(&record.finding, record.transition, now))
}

/// Makes and queues the runs of a finding's last transition, then takes its mark away.
async fn dispatch(
    app: &App,
    catalog: &Catalog,
    record: &FindingRecord,
    found: Vec<Match<'_>>,
) -> Result<Vec<Matched>, IntakeError> {
    let now = app.clock.now();
    let mut matched = Vec::with_capacity(found.len());
    for one in found {
        matched.push(start(app, catalog, record, one, now).await?);
    }
    app.store
        .clear_pending(&record.finding.id, record.sequence)
        .await?;
    Ok(matched)
}

async fn start(
    app: &App,
    catalog: &Catalog,
    record: &FindingRecord,
    found: Match<'_>,
    now: Timestamp,
) -> Result<Matched, IntakeError> {
    let automation = found.automation;
    let explanation = serde_json::to_value(&found.explanation).unwrap_or_default();
    let mut runs = Vec::with_capacity(automation.run.len());
    for (position, call) in automation.run.iter().enumerate() {
        let run = Run {
            id: run_id(record, &automation.name, position, &call.playbook),
            finding: record.finding.clone(),
            transition: record.transition,
            started_by: StartedBy::Automation {
                name: automation.name.clone(),
                version: version(catalog, automation),
                explanation: explanation.clone(),
            },
            playbook: call.playbook.clone(),
            versions: catalog.versions(&call.playbook)?,
            with: call.with.clone(),
            mode: automation.mode,
            state: RunState::Queued,
            created: now,
            updated: now,
        };
        let made = app.store.create_run(&run).await?;
        enqueue(app, &run.id, now).await?;
        tracing::info!(
            run.id = %run.id,
            automation = %automation.name,
            playbook = %call.playbook,
            made,
            "started a run"
        );
        runs.push(Started {
            run: run.id,
            playbook: run.playbook,
            made,
        });
    }
    Ok(Matched {
        automation: automation.name.clone(),
        explanation: found.explanation,
        runs,
    })
}

/// Queues a run to be executed as soon as may be.
///
/// # Errors
/// The store fails.
pub(crate) async fn enqueue(app: &App, run: &str, now: Timestamp) -> Result<(), StoreError> {
    delivery::enqueue(app, run, Duration::ZERO, now).await
}

fn version(catalog: &Catalog, automation: &Automation) -> String {
    let rules = catalog.rules(automation.trigger).ok();
    let version = rules.and_then(|rules| rules.version(&automation.name));
    version.unwrap_or_default().to_owned()
}

/// The id of the run that this cause makes, however often it is heard of.
///
/// The time of the finding's first storing is part of it: a finding that was removed and comes again is a new one.
fn run_id(record: &FindingRecord, automation: &str, position: usize, playbook: &str) -> String {
    Run::id_of(&[
        record.finding.id.as_bytes(),
        record.created.as_microsecond().to_string().as_bytes(),
        record.sequence.to_string().as_bytes(),
        automation.as_bytes(),
        position.to_string().as_bytes(),
        playbook.as_bytes(),
    ])
}

/// Makes the runs of findings whose intake broke off at least `grace` ago; tells how many were seen to.
///
/// One that fails does not stand in the way of those behind it, which are seen to nevertheless; the next call tries it
/// again.
///
/// # Errors
/// The store or the definitions in it fail, for one of them at least; the first such error.
pub async fn dispatch_pending(app: &App, grace: Duration) -> Result<usize, IntakeError> {
    let stored = before(app.clock.now(), grace);
    let (mut seen_to, mut failed, mut error) = (0, HashSet::new(), None);
    while failed.len() < MOST_FAILED {
        // Those that failed are the oldest still, and so are told again, before those that are wanted.
        let told_again = u32::try_from(failed.len()).unwrap_or(u32::MAX - SWEEP);
        let pending = app
            .store
            .pending_findings(stored, SWEEP + told_again)
            .await?;
        let left: Vec<FindingRecord> = pending
            .into_iter()
            .filter(|record| !failed.contains(&record.finding.id))
            .collect();
        if left.is_empty() {
            break;
        }
        let faults = dispatch_each(app, &left).await?;
        seen_to += left.len() - faults.len();
        for (finding, fault) in faults {
            failed.insert(finding);
            error.get_or_insert(fault);
        }
    }
    match error {
        Some(error) => Err(error),
        None => Ok(seen_to),
    }
}

/// Tells which of them failed, by their ids, and how.
async fn dispatch_each(
    app: &App,
    pending: &[FindingRecord],
) -> Result<Vec<(String, IntakeError)>, IntakeError> {
    let catalog = app.catalog().await?;
    let mut faults = Vec::new();
    for record in pending {
        let span = span(Some(&record.finding.id));
        let dispatching = Box::pin(async {
            let found = evaluate(app, &catalog, record)?;
            dispatch(app, &catalog, record, found).await
        });
        match dispatching.instrument(span.clone()).await {
            Ok(matched) => span.in_scope(|| {
                tracing::info!(
                    automations = matched.len(),
                    "finished the intake of a finding that had broken off"
                );
            }),
            Err(error) => {
                span.in_scope(|| {
                    tracing::warn!(
                        error = %error,
                        "the intake of a finding that had broken off could not be finished"
                    );
                });
                faults.push((record.finding.id.clone(), error));
            }
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests;
