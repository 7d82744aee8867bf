use super::{Fault, Sqlite, integer, micros, time};
use crate::clock::after;
use crate::run::{Entry, Event, Run, RunState, StartedBy};
use crate::store::encoding::{from_json, to_json};
use crate::store::{Claim, Expired, Lease, Page, RunFilter, RunStage, Standing, StoreError};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params, params_from_iter};
use std::time::Duration;

const COLUMNS: &str = "body, state, updated";

impl Sqlite {
    pub(crate) async fn create_run(&self, run: &Run) -> Result<bool, StoreError> {
        let run = run.clone();
        self.write(move |connection| {
            let automation = match &run.started_by {
                StartedBy::Automation { name, .. } => Some(name),
                StartedBy::Manual { .. } => None,
            };
            let created = connection
                .prepare_cached(
                    "INSERT INTO runs (id, finding, automation, playbook, stage, state, due, created, updated, body)
                     VALUES (:id, :finding, :automation, :playbook, :stage, :state, :due, :created, :updated, :body)
                     ON CONFLICT (id) DO NOTHING",
                )?
                .execute(named_params! {
                    ":id": run.id,
                    ":finding": run.finding.id,
                    ":automation": automation,
                    ":playbook": run.playbook,
                    ":stage": RunStage::of(&run.state).name(),
                    ":state": to_json(&run.state),
                    ":due": due(&run.state, run.created),
                    ":created": micros(run.created),
                    ":updated": micros(run.updated),
                    ":body": to_json(&run),
                })?;
            Ok(created == 1)
        })
        .await
    }

    pub(crate) async fn run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| find(connection, &id)).await
    }

    pub(crate) async fn runs_by_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        if prefix.is_empty() || !prefix.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let first = prefix.to_ascii_lowercase();
        // `g` comes after every hex digit, so the index yields just those that begin so.
        let last = format!("{first}g");
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM runs WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3"
            ))?;
            let mut runs = Vec::new();
            for columns in statement.query_map(params![first, last, limit], Columns::read)? {
                runs.push(columns?.run()?);
            }
            Ok(runs)
        })
        .await
    }

    pub(crate) async fn runs(
        &self,
        filter: &RunFilter,
        page: Page,
    ) -> Result<Vec<Run>, StoreError> {
        let stage = filter.stage.map(|stage| stage.name().to_owned());
        let (conditions, values) = super::equal(&[
            ("finding", &filter.finding),
            ("automation", &filter.automation),
            ("playbook", &filter.playbook),
            ("stage", &stage),
        ]);
        let sql = format!(
            "SELECT {COLUMNS} FROM runs WHERE {} ORDER BY created DESC, rowid DESC LIMIT {} OFFSET {}",
            conditions, page.limit, page.skip
        );
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut runs = Vec::new();
            for columns in statement.query_map(params_from_iter(values), Columns::read)? {
                runs.push(columns?.run()?);
            }
            Ok(runs)
        })
        .await
    }

    pub(crate) async fn claim_run(
        &self,
        id: &str,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        let (id, owner) = (id.to_owned(), owner.to_owned());
        self.write(move |connection| claim(connection, &id, &owner, now, after(now, lease)))
            .await
    }

    pub(crate) async fn extend_lease(
        &self,
        lease: &Lease,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write(move |connection| {
            let held = connection
                .prepare_cached(
                    "UPDATE runs SET leased_until = ?3, due = ?3
                     WHERE id = ?1 AND fence = ?2 AND owner IS NOT NULL",
                )?
                .execute(params![lease.run_id, integer(lease.fence), micros(until)])?;
            still_held(held == 1, &lease)
        })
        .await
    }

    pub(crate) async fn append(&self, lease: &Lease, entry: &Entry) -> Result<(), StoreError> {
        let (lease, body) = (lease.clone(), to_json(entry));
        self.write(move |connection| {
            let held = connection
                .prepare_cached(
                    "INSERT INTO journal (run, number, body)
                     SELECT id, 1 + (SELECT coalesce(max(number), 0) FROM journal WHERE run = ?1), ?3
                     FROM runs WHERE id = ?1 AND fence = ?2 AND owner IS NOT NULL",
                )?
                .execute(params![lease.run_id, integer(lease.fence), body])?;
            still_held(held == 1, &lease)
        })
        .await
    }

    pub(crate) async fn settle(
        &self,
        lease: &Lease,
        state: &RunState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (lease, state) = (lease.clone(), state.clone());
        self.write(move |connection| {
            let woken = connection
                .prepare_cached("SELECT woken FROM runs WHERE id = ?1")?
                .query_row([&lease.run_id], |row| row.get(0))
                .optional()?;
            let state = match woken {
                Some(true) => state.woken(now),
                _ => state,
            };
            let held = connection
                .prepare_cached(
                    "UPDATE runs SET stage = ?3, state = ?4, due = ?5, updated = ?6, owner = NULL, leased_until = NULL
                     WHERE id = ?1 AND fence = ?2 AND owner IS NOT NULL",
                )?
                .execute(params![
                    lease.run_id,
                    integer(lease.fence),
                    RunStage::of(&state).name(),
                    to_json(&state),
                    due(&state, now),
                    micros(now),
                ])?;
            still_held(held == 1, &lease)
        })
        .await
    }

    /// Makes a run queued again that stands so, with this line in its journal.
    pub(crate) async fn reopen_run(
        &self,
        id: &str,
        stages: &'static [RunStage],
        event: Event,
        now: Timestamp,
    ) -> Result<Option<Run>, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            let stages: Vec<_> = stages
                .iter()
                .map(|stage| format!("'{}'", stage.name()))
                .collect();
            let sql = format!(
                "UPDATE runs SET stage = 'queued', state = ?2, due = ?3, updated = ?3
                 WHERE id = ?1 AND stage IN ({})",
                stages.join(", ")
            );
            let requeued =
                connection.execute(&sql, params![id, to_json(&RunState::Queued), micros(now)])?;
            if requeued == 0 {
                return Ok(None);
            }
            let reopened = Entry {
                path: String::new(),
                attempt: 0,
                at: now,
                event: event.clone(),
            };
            connection.execute(
                "INSERT INTO journal (run, number, body)
                 SELECT ?1, 1 + coalesce(max(number), 0), ?2 FROM journal WHERE run = ?1",
                params![id, to_json(&reopened)],
            )?;
            find(connection, &id)
        })
        .await
    }

    pub(crate) async fn journal(&self, id: &str) -> Result<Vec<Entry>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| journal(connection, &id)).await
    }

    pub(crate) async fn due_runs(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT id FROM runs WHERE due <= ?1 ORDER BY due LIMIT ?2")?;
            let ids = statement.query_map(params![micros(now), limit], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    pub(crate) async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |connection| {
            let due: Option<i64> = connection
                .prepare_cached("SELECT min(due) FROM runs WHERE due IS NOT NULL")?
                .query_row([], |row| row.get(0))?;
            Ok(due.map(time))
        })
        .await
    }

    pub(crate) async fn unfinished(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let unfinished = connection
                .prepare_cached("SELECT count(*) FROM runs WHERE due IS NOT NULL")?
                .query_row([], |row| row.get(0))?;
            Ok(super::count(unfinished))
        })
        .await
    }

    pub(crate) async fn standing(
        &self,
        runs: &[String],
        now: Timestamp,
    ) -> Result<Standing, StoreError> {
        let runs = to_json(&runs);
        self.read(move |connection| {
            let sql = "SELECT count(*), coalesce(sum(coalesce(leased_until, 0) > ?2), 0), min(due) FROM runs
                 WHERE due IS NOT NULL AND id IN (SELECT value FROM json_each(?1))";
            Ok(connection
                .prepare_cached(sql)?
                .query_row(params![runs, micros(now)], |row| {
                    Ok(Standing {
                        unfinished: super::count(row.get(0)?),
                        held: super::count(row.get(1)?),
                        next: row.get::<_, Option<i64>>(2)?.map(time),
                    })
                })?)
        })
        .await
    }

    pub(crate) async fn expire(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Expired, StoreError> {
        self.write(move |connection| {
            let before = micros(before);
            let findings = connection.execute(
                "DELETE FROM findings WHERE rowid IN
                   (SELECT rowid FROM findings WHERE stored < ?1 AND pending = 0 LIMIT ?2)",
                params![before, limit],
            )?;
            let old = "SELECT id FROM runs WHERE due IS NULL AND updated < ?1 ORDER BY updated, rowid LIMIT ?2";
            connection.execute(
                &format!("DELETE FROM journal WHERE run IN ({old})"),
                params![before, limit],
            )?;
            let runs = connection.execute(
                &format!("DELETE FROM runs WHERE id IN ({old})"),
                params![before, limit],
            )?;
            let approvals = super::approvals::expire(connection, before, limit)?;
            Ok(Expired {
                findings,
                runs,
                approvals,
            })
        })
        .await
    }
}

/// When somebody should take up a run in this state, which it came to at `since`.
fn due(state: &RunState, since: Timestamp) -> Option<i64> {
    match state {
        RunState::Queued | RunState::Running => Some(micros(since)),
        RunState::Waiting { until, .. } => Some(micros(*until)),
        RunState::Succeeded
        | RunState::Stopped { .. }
        | RunState::Failed { .. }
        | RunState::Undone { .. } => None,
    }
}

fn still_held(held: bool, lease: &Lease) -> Result<(), Fault> {
    if held {
        return Ok(());
    }
    Err(Fault::Store(StoreError::LeaseLost {
        run: lease.run_id.clone(),
    }))
}

fn claim(
    connection: &Connection,
    id: &str,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Claim, Fault> {
    let Some(run) = find(connection, id)? else {
        return Ok(Claim::Missing);
    };
    if RunStage::of(&run.state).is_finished() {
        return Ok(Claim::Finished(run));
    }
    let (leased_until, fence): (Option<i64>, i64) = connection
        .prepare_cached("SELECT leased_until, fence FROM runs WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if let Some(leased_until) = leased_until.map(time)
        && leased_until > now
    {
        return Ok(Claim::Busy {
            until: leased_until,
        });
    }
    if let RunState::Waiting { until, .. } = run.state
        && until > now
    {
        return Ok(Claim::Waiting { until });
    }
    let fence = fence + 1;
    connection
        .prepare_cached(
            "UPDATE runs SET stage = 'running', state = ?2, owner = ?3, fence = ?4, leased_until = ?5, due = ?5,
                 updated = ?6, woken = 0
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            to_json(&RunState::Running),
            owner,
            fence,
            micros(until),
            micros(now)
        ])?;
    Ok(Claim::Held {
        lease: Lease {
            run_id: id.to_owned(),
            fence: super::count(fence),
            until,
        },
        run: Run {
            state: RunState::Running,
            updated: now,
            ..run
        },
        journal: journal(connection, id)?,
    })
}

fn find(connection: &Connection, id: &str) -> Result<Option<Run>, Fault> {
    let columns = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE id = ?1"))?
        .query_row([id], Columns::read)
        .optional()?;
    Ok(columns.map(Columns::run).transpose()?)
}

fn journal(connection: &Connection, id: &str) -> Result<Vec<Entry>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM journal WHERE run = ?1 ORDER BY number")?;
    let mut entries = Vec::new();
    for body in statement.query_map([id], |row| row.get::<_, String>(0))? {
        entries.push(from_json("journal line", &body?)?);
    }
    Ok(entries)
}

struct Columns {
    body: String,
    state: String,
    updated: i64,
}

impl Columns {
    fn read(row: &Row<'_>) -> rusqlite::Result<Columns> {
        Ok(Columns {
            body: row.get(0)?,
            state: row.get(1)?,
            updated: row.get(2)?,
        })
    }

    fn run(self) -> Result<Run, StoreError> {
        let mut run: Run = from_json("run", &self.body)?;
        run.state = from_json("run's state", &self.state)?;
        run.updated = time(self.updated);
        Ok(run)
    }
}
