//! What is kept: definitions, findings, runs and their journals.

mod error;
mod record;
pub(crate) mod sqlite;

pub use error::StoreError;
pub use record::{
    Applied, Change, Claim, Expired, FindingFilter, FindingRecord, Inventory, Lease, Page,
    RunFilter, RunStage, Standing, Stored,
};
pub use sqlite::Sqlite;

use crate::run::{Entry, Run, RunState};
use jiff::Timestamp;
use quench_automations::{Automation, Connection, Organization, Playbook};
use std::path::Path;
use std::time::Duration;

/// Where definitions, findings and runs are kept; cheap to clone.
#[derive(Debug, Clone)]
pub enum Store {
    /// One file on this machine, which several processes may use at once.
    Sqlite(Sqlite),
}

impl Store {
    /// Opens the store in this file, making or migrating it as needed.
    ///
    /// # Errors
    /// The file cannot be opened, is no store, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        Sqlite::open(path).await.map(Store::Sqlite)
    }

    /// The number that grows with every change of the definitions.
    ///
    /// # Errors
    /// The store fails.
    pub async fn revision(&self) -> Result<u64, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.revision().await
    }

    /// Reads everything that is in force, as it stood at one moment.
    ///
    /// # Errors
    /// The store fails.
    pub async fn inventory(&self) -> Result<Inventory, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.inventory().await
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
        let Store::Sqlite(sqlite) = self;
        sqlite.put_definitions(changes, now).await
    }

    /// Lists the automations by name.
    ///
    /// # Errors
    /// The store fails.
    pub async fn automations(&self) -> Result<Vec<Stored<Automation>>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.automations().await
    }

    /// Finds an automation.
    ///
    /// # Errors
    /// The store fails.
    pub async fn automation(&self, name: &str) -> Result<Option<Stored<Automation>>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.automation(name).await
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
        let Store::Sqlite(sqlite) = self;
        sqlite.set_enabled(name, enabled, now).await
    }

    /// Removes an automation; its runs stay.
    ///
    /// # Errors
    /// There is no such automation, or the store fails.
    pub async fn delete_automation(&self, name: &str) -> Result<(), StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.delete_automation(name).await
    }

    /// Lists the playbooks by name, each in its current version.
    ///
    /// # Errors
    /// The store fails.
    pub async fn playbooks(&self) -> Result<Vec<Stored<Playbook>>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.playbooks().await
    }

    /// Finds the current version of a playbook.
    ///
    /// # Errors
    /// The store fails.
    pub async fn playbook(&self, name: &str) -> Result<Option<Stored<Playbook>>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.playbook(name).await
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
        let Store::Sqlite(sqlite) = self;
        sqlite.playbook_version(name, version).await
    }

    /// Removes a playbook; runs made with it go on.
    ///
    /// # Errors
    /// There is no such playbook, an automation or a playbook uses it, or the store fails.
    pub async fn delete_playbook(&self, name: &str) -> Result<(), StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.delete_playbook(name).await
    }

    /// Lists the connections by name.
    ///
    /// # Errors
    /// The store fails.
    pub async fn connections(&self) -> Result<Vec<Stored<Connection>>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.connections().await
    }

    /// Removes a connection.
    ///
    /// # Errors
    /// There is no such connection, or the store fails.
    pub async fn delete_connection(&self, name: &str) -> Result<(), StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.delete_connection(name).await
    }

    /// The organisation, if one was applied.
    ///
    /// # Errors
    /// The store fails.
    pub async fn organization(&self) -> Result<Option<Stored<Organization>>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.organization().await
    }

    /// Finds a finding by the provider's id.
    ///
    /// # Errors
    /// The store fails.
    pub async fn finding(&self, id: &str) -> Result<Option<FindingRecord>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.finding(id).await
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
        let Store::Sqlite(sqlite) = self;
        sqlite.findings(filter, page).await
    }

    /// Stores a finding if its stored version is still the one before `record.version`; false if it is not.
    ///
    /// # Errors
    /// The store fails.
    pub async fn put_finding(&self, record: &FindingRecord) -> Result<bool, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.put_finding(record).await
    }

    /// Notes that all runs of this transition were made; a later transition's mark is left alone.
    ///
    /// # Errors
    /// The store fails.
    pub async fn clear_pending(&self, id: &str, sequence: u64) -> Result<(), StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.clear_pending(id, sequence).await
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
        let Store::Sqlite(sqlite) = self;
        sqlite.pending_findings(stored, limit).await
    }

    /// Removes a finding; its runs stay. False if there was none.
    ///
    /// # Errors
    /// The store fails.
    pub async fn delete_finding(&self, id: &str) -> Result<bool, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.delete_finding(id).await
    }

    /// Stores a new run; false, and nothing changed, if one with its id was there already.
    ///
    /// # Errors
    /// The store fails.
    pub async fn create_run(&self, run: &Run) -> Result<bool, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.create_run(run).await
    }

    /// Finds a run.
    ///
    /// # Errors
    /// The store fails.
    pub async fn run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.run(id).await
    }

    /// Lists the runs whose ids begin so, by id; none if that is not hex digits, of either case.
    ///
    /// # Errors
    /// The store fails.
    pub async fn runs_by_prefix(&self, prefix: &str, limit: u32) -> Result<Vec<Run>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.runs_by_prefix(prefix, limit).await
    }

    /// Lists runs, newest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Vec<Run>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.runs(filter, page).await
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
        let Store::Sqlite(sqlite) = self;
        sqlite.claim_run(id, owner, now, lease).await
    }

    /// Holds a run for longer.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another worker took the run over, or the store fails.
    pub async fn extend_lease(&self, lease: &Lease, until: Timestamp) -> Result<(), StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.extend_lease(lease, until).await
    }

    /// Adds a line to a run's journal.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another worker took the run over, or the store fails.
    pub async fn append(&self, lease: &Lease, entry: &Entry) -> Result<(), StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.append(lease, entry).await
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
        let Store::Sqlite(sqlite) = self;
        sqlite.settle(lease, state, now).await
    }

    /// Makes a failed run queued again, its journal kept; `None` if there is no such failed run.
    ///
    /// # Errors
    /// The store fails.
    pub async fn requeue_run(&self, id: &str, now: Timestamp) -> Result<Option<Run>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.requeue_run(id, now).await
    }

    /// Reads a run's journal in the order it was written.
    ///
    /// # Errors
    /// The store fails.
    pub async fn journal(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.journal(id).await
    }

    /// Lists the ids of runs that somebody should take up: queued, waited long enough, or let down by their worker.
    ///
    /// # Errors
    /// The store fails.
    pub async fn due_runs(&self, now: Timestamp, limit: u32) -> Result<Vec<String>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.due_runs(now, limit).await
    }

    /// When the next run that is not finished becomes due; `None` if all are finished.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.next_due().await
    }

    /// How many runs are not finished.
    ///
    /// # Errors
    /// The store fails.
    pub async fn unfinished(&self) -> Result<u64, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.unfinished().await
    }

    /// How far these runs are; those that are not there count as finished.
    ///
    /// # Errors
    /// The store fails.
    pub async fn standing(&self, runs: &[String], now: Timestamp) -> Result<Standing, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.standing(runs, now).await
    }

    /// Removes some of the findings and finished runs last touched before `before`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn expire(&self, before: Timestamp, limit: u32) -> Result<Expired, StoreError> {
        let Store::Sqlite(sqlite) = self;
        sqlite.expire(before, limit).await
    }
}
