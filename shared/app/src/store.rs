//! What is kept: definitions, findings, runs and their journals.

mod approvals;
mod dynamodb;
mod encoding;
mod error;
mod outline;
mod pin;
mod record;
#[cfg(feature = "local")]
pub(crate) mod sqlite;
mod uses;

pub(crate) use encoding::word;
pub(crate) use outline::{Outline, Unread, Versioned};
pub(crate) use uses::called;

pub use approvals::{ApprovalFilter, Deciding, Reservation, Token};
pub use dynamodb::DynamoDb;
pub use error::StoreError;
pub use record::{
    Applied, Change, Claim, Expired, FindingFilter, FindingRecord, Inventory, Lease, Page,
    RunFilter, RunStage, Standing, Stored,
};
#[cfg(feature = "local")]
pub use sqlite::Sqlite;

use crate::run::{Entry, Event, Run, RunState};
use jiff::Timestamp;
use quench_actions::aws::Aws;
use quench_automations::{Automation, Connection, Organization, Playbook};
#[cfg(feature = "local")]
use std::path::Path;
use std::time::Duration;

/// Where definitions, findings and runs are kept; cheap to clone.
#[derive(Debug, Clone)]
pub enum Store {
    /// One file on this machine, which several processes may use at once.
    #[cfg(feature = "local")]
    Sqlite(Sqlite),
    /// One table on AWS, which any number of functions use at once.
    DynamoDb(DynamoDb),
}

/// Does the same with whatever kind of store it is.
macro_rules! on {
    ($store:expr, $kept:ident => $done:expr) => {
        match $store {
            #[cfg(feature = "local")]
            Store::Sqlite($kept) => $done,
            Store::DynamoDb($kept) => $done,
        }
    };
}
use on;

impl Store {
    /// Opens the store in this file, making or migrating it as needed.
    ///
    /// # Errors
    /// The file cannot be opened, is no store, or was written by a newer version.
    #[cfg(feature = "local")]
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        Sqlite::open(path).await.map(Store::Sqlite)
    }

    /// The store in this table, which keeps findings and finished runs for `retention`; nothing is called yet.
    ///
    /// That the table is not there, or may not be used, is told by the first call that needs it.
    pub fn on_aws(aws: Aws, table: &str, retention: Duration) -> Store {
        Store::DynamoDb(DynamoDb::new(aws, table, retention))
    }

    /// The file.
    ///
    /// # Panics
    /// It is another kind of store.
    #[cfg(all(test, feature = "local"))]
    pub(crate) fn sqlite(&self) -> &Sqlite {
        match self {
            Store::Sqlite(sqlite) => sqlite,
            Store::DynamoDb(_) => panic!("this store is no file"),
        }
    }

    /// The number that grows with every change of the definitions.
    ///
    /// # Errors
    /// The store fails.
    pub async fn revision(&self) -> Result<u64, StoreError> {
        on!(self, kept => kept.revision().await)
    }

    /// Reads everything that is in force, as it stood at one moment.
    ///
    /// # Errors
    /// The store fails.
    pub async fn inventory(&self) -> Result<Inventory, StoreError> {
        on!(self, kept => kept.inventory().await)
    }

    /// Reads what is in force, as it stood at one moment, as far as it is needed to work by it.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn outline(&self) -> Result<Outline, StoreError> {
        on!(self, kept => kept.outline().await)
    }

    /// Puts definitions in force, all or none.
    ///
    /// # Errors
    /// A playbook that one of them starts is not there, or the store fails; nothing is put in force then.
    pub async fn put_definitions(
        &self,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        on!(self, kept => kept.put_definitions(changes, now).await)
    }

    /// Lists the automations by name.
    ///
    /// # Errors
    /// The store fails.
    pub async fn automations(&self) -> Result<Vec<Stored<Automation>>, StoreError> {
        on!(self, kept => kept.automations().await)
    }

    /// Finds an automation.
    ///
    /// # Errors
    /// The store fails.
    pub async fn automation(&self, name: &str) -> Result<Option<Stored<Automation>>, StoreError> {
        on!(self, kept => kept.automation(name).await)
    }

    /// Lets an automation fire or keeps it from doing so; applying a changed file decides anew.
    ///
    /// # Errors
    /// There is no such automation, or the store fails.
    pub async fn set_enabled(
        &self,
        name: &str,
        enabled: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on!(self, kept => kept.set_enabled(name, enabled, now).await)
    }

    /// Removes an automation; its runs stay.
    ///
    /// # Errors
    /// There is no such automation, or the store fails.
    pub async fn delete_automation(&self, name: &str) -> Result<(), StoreError> {
        on!(self, kept => kept.delete_automation(name).await)
    }

    /// Lists the playbooks by name, each in its current version.
    ///
    /// # Errors
    /// The store fails.
    pub async fn playbooks(&self) -> Result<Vec<Stored<Playbook>>, StoreError> {
        on!(self, kept => kept.playbooks().await)
    }

    /// Finds the current version of a playbook.
    ///
    /// # Errors
    /// The store fails.
    pub async fn playbook(&self, name: &str) -> Result<Option<Stored<Playbook>>, StoreError> {
        on!(self, kept => kept.playbook(name).await)
    }

    /// Finds any version of a playbook that was ever applied, deleted or not.
    ///
    /// # Errors
    /// The store fails.
    pub async fn playbook_version(
        &self,
        name: &str,
        version: &str,
    ) -> Result<Option<Playbook>, StoreError> {
        on!(self, kept => kept.playbook_version(name, version).await)
    }

    /// Removes a playbook; runs made with it go on.
    ///
    /// # Errors
    /// There is no such playbook, an automation or a playbook uses it, or the store fails.
    pub async fn delete_playbook(&self, name: &str) -> Result<(), StoreError> {
        on!(self, kept => kept.delete_playbook(name).await)
    }

    /// Lists the connections by name.
    ///
    /// # Errors
    /// The store fails.
    pub async fn connections(&self) -> Result<Vec<Stored<Connection>>, StoreError> {
        on!(self, kept => kept.connections().await)
    }

    /// Removes a connection.
    ///
    /// # Errors
    /// There is no such connection, or the store fails.
    pub async fn delete_connection(&self, name: &str) -> Result<(), StoreError> {
        on!(self, kept => kept.delete_connection(name).await)
    }

    /// The organisation, if one was applied.
    ///
    /// # Errors
    /// The store fails.
    pub async fn organization(&self) -> Result<Option<Stored<Organization>>, StoreError> {
        on!(self, kept => kept.organization().await)
    }

    /// Finds a finding by the provider's id.
    ///
    /// # Errors
    /// The store fails.
    pub async fn finding(&self, id: &str) -> Result<Option<FindingRecord>, StoreError> {
        on!(self, kept => kept.finding(id).await)
    }

    /// Lists findings, last stored first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn findings(
        &self,
        filter: &FindingFilter,
        page: Page,
    ) -> Result<Vec<FindingRecord>, StoreError> {
        on!(self, kept => kept.findings(filter, page).await)
    }

    /// Stores a finding if its stored version is still the one before `record.version`; false if it is not.
    ///
    /// # Errors
    /// The store fails.
    pub async fn put_finding(&self, record: &FindingRecord) -> Result<bool, StoreError> {
        on!(self, kept => kept.put_finding(record).await)
    }

    /// Notes that all runs of this transition were made; a later transition's mark is left alone.
    ///
    /// # Errors
    /// The store fails.
    pub async fn clear_pending(&self, id: &str, sequence: u64) -> Result<(), StoreError> {
        on!(self, kept => kept.clear_pending(id, sequence).await)
    }

    /// Lists findings whose runs may not all have been made, stored no later than `stored`, oldest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn pending_findings(
        &self,
        stored: Timestamp,
        limit: u32,
    ) -> Result<Vec<FindingRecord>, StoreError> {
        on!(self, kept => kept.pending_findings(stored, limit).await)
    }

    /// Removes a finding; its runs stay. False if there was none.
    ///
    /// # Errors
    /// The store fails.
    pub async fn delete_finding(&self, id: &str) -> Result<bool, StoreError> {
        on!(self, kept => kept.delete_finding(id).await)
    }

    /// Stores a new run; false, and nothing changed, if one with its id was there already.
    ///
    /// # Errors
    /// The store fails.
    pub async fn create_run(&self, run: &Run) -> Result<bool, StoreError> {
        on!(self, kept => kept.create_run(run).await)
    }

    /// Finds a run.
    ///
    /// # Errors
    /// The store fails.
    pub async fn run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        on!(self, kept => kept.run(id).await)
    }

    /// Lists the runs whose ids begin so, by id; none if that is not hex digits, of either case.
    ///
    /// # Errors
    /// The store fails.
    pub async fn runs_by_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<Run>, StoreError> {
        on!(self, kept => kept.runs_by_prefix(prefix, limit).await)
    }

    /// Lists runs, newest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Vec<Run>, StoreError> {
        on!(self, kept => kept.runs(filter, page).await)
    }

    /// Takes hold of a run that is due and that nobody holds.
    ///
    /// # Errors
    /// The store fails.
    pub async fn claim_run(
        &self,
        id: &str,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        on!(self, kept => kept.claim_run(id, owner, now, lease).await)
    }

    /// Holds a run for longer.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another worker took the run over, or the store fails.
    pub async fn extend_lease(&self, lease: &Lease, until: Timestamp) -> Result<(), StoreError> {
        on!(self, kept => kept.extend_lease(lease, until).await)
    }

    /// Adds a line to a run's journal.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another worker took the run over, or the store fails.
    pub async fn append(&self, lease: &Lease, entry: &Entry) -> Result<(), StoreError> {
        on!(self, kept => kept.append(lease, entry).await)
    }

    /// Sets where a run stands and lets go of it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another worker took the run over, or the store fails.
    pub async fn settle(
        &self,
        lease: &Lease,
        state: &RunState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on!(self, kept => kept.settle(lease, state, now).await)
    }

    /// Makes a failed run queued again, its journal kept; `None` if there is no such failed run.
    ///
    /// # Errors
    /// The store fails.
    pub async fn requeue_run(&self, id: &str, now: Timestamp) -> Result<Option<Run>, StoreError> {
        let failed = &[RunStage::Failed];
        on!(self, kept => kept.reopen_run(id, failed, Event::Reopened, now).await)
    }

    /// Makes a finished run queued again so that what it has changed, or what one step has, is restored; `None` if there
    /// is no such finished run.
    ///
    /// # Errors
    /// The store fails.
    pub async fn undo_run(
        &self,
        id: &str,
        by: &str,
        step: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Run>, StoreError> {
        let (by, step) = (by.to_owned(), step.map(str::to_owned));
        let asked = Event::UndoAsked { by, step };
        on!(self, kept => kept.reopen_run(id, &RunStage::FINISHED, asked, now).await)
    }

    /// Reads a run's journal in the order it was written.
    ///
    /// # Errors
    /// The store fails.
    pub async fn journal(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        on!(self, kept => kept.journal(id).await)
    }

    /// Lists the ids of runs that somebody should take up: queued, waited long enough, or let down by their worker.
    ///
    /// # Errors
    /// The store fails.
    pub async fn due_runs(&self, now: Timestamp, limit: u32) -> Result<Vec<String>, StoreError> {
        on!(self, kept => kept.due_runs(now, limit).await)
    }

    /// Lists the ids of runs that have been due since `before`, for a sweep that sends a message for each.
    ///
    /// On AWS each of them counts as due again only after a pause, counted from `now`, that doubles with every sweep
    /// that takes it up in vain, from two minutes to six hours: so a backlog is not multiplied and a run that brings
    /// its worker down again and again costs little. A run that is settled starts over. Send the messages after this
    /// call: what is not sent is found again after the pause. On one machine it is [`Store::due_runs`], where the
    /// queue itself keeps out messages that are there already.
    ///
    /// # Errors
    /// The store fails.
    pub async fn take_due_runs(
        &self,
        before: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        match self {
            #[cfg(feature = "local")]
            Store::Sqlite(sqlite) => sqlite.due_runs(before, limit).await,
            Store::DynamoDb(table) => table.take_due_runs(before, now, limit).await,
        }
    }

    /// When the next run that is not finished becomes due; `None` if all are finished.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        on!(self, kept => kept.next_due().await)
    }

    /// How many runs are not finished.
    ///
    /// # Errors
    /// The store fails.
    pub async fn unfinished(&self) -> Result<u64, StoreError> {
        on!(self, kept => kept.unfinished().await)
    }

    /// How far these runs are; those that are not there count as finished.
    ///
    /// # Errors
    /// The store fails.
    pub async fn standing(&self, runs: &[String], now: Timestamp) -> Result<Standing, StoreError> {
        on!(self, kept => kept.standing(runs, now).await)
    }

    /// Removes some of the findings and finished runs last touched before `before`.
    ///
    /// On AWS the table does so itself, by the time that each item carries; there nothing is removed here.
    ///
    /// # Errors
    /// The store fails.
    pub async fn expire(&self, before: Timestamp, limit: u32) -> Result<Expired, StoreError> {
        on!(self, kept => kept.expire(before, limit).await)
    }
}
