use super::{Fault, Sqlite, micros, time};
use crate::approval::{Approval, ApprovalStage, ApprovalState, Asked};
use crate::clock::{after, before};
use crate::run::RunState;
use crate::store::approvals::{HOUR, Judged, judge, room};
use crate::store::encoding::{from_json, to_json};
use crate::store::{ApprovalFilter, Deciding, Page, Reservation, StoreError, Token};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params, params_from_iter};

const COLUMNS: &str = "body, state, asked";

impl Sqlite {
    pub(crate) async fn put_approval(&self, approval: &Approval) -> Result<bool, StoreError> {
        let approval = approval.clone();
        self.write(move |connection| {
            let put = connection
                .prepare_cached(
                    "INSERT INTO approvals (id, run, finding, playbook, stage, state, asked, plan_hash, expires,
                         created, updated, body)
                     VALUES (:id, :run, :finding, :playbook, :stage, :state, :asked, :plan_hash, :expires,
                         :created, :created, :body)
                     ON CONFLICT (id) DO NOTHING",
                )?
                .execute(named_params! {
                    ":id": approval.id,
                    ":run": approval.run,
                    ":finding": approval.finding.id,
                    ":playbook": approval.playbook,
                    ":stage": ApprovalStage::of(&approval.state).name(),
                    ":state": to_json(&approval.state),
                    ":asked": to_json(&approval.asked),
                    ":plan_hash": approval.plan_hash,
                    ":expires": micros(approval.expires),
                    ":created": micros(approval.created),
                    ":body": to_json(&approval),
                })?;
            Ok(put == 1)
        })
        .await
    }

    pub(crate) async fn approval(&self, id: &str) -> Result<Option<Approval>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| find(connection, &id)).await
    }

    pub(crate) async fn approval_of_token(
        &self,
        hash: &str,
    ) -> Result<Option<Approval>, StoreError> {
        let hash = hash.to_owned();
        self.read(move |connection| {
            let id: Option<String> = connection
                .prepare_cached("SELECT approval FROM approval_tokens WHERE hash = ?1")?
                .query_row([&hash], |row| row.get(0))
                .optional()?;
            let found = match id {
                Some(id) => find(connection, &id)?,
                None => None,
            };
            Ok(found.filter(|approval| approval.has_token(&hash)))
        })
        .await
    }

    pub(crate) async fn approvals_by_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<Approval>, StoreError> {
        if prefix.is_empty() || !prefix.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let first = prefix.to_ascii_lowercase();
        // `g` comes after every hex digit, so the index yields just those that begin so.
        let last = format!("{first}g");
        let sql = format!(
            "SELECT {COLUMNS} FROM approvals WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT {limit}"
        );
        let values = vec![first.into(), last.into()];
        self.read(move |connection| list(connection, &sql, values))
            .await
    }

    pub(crate) async fn approvals(
        &self,
        filter: &ApprovalFilter,
        page: Page,
    ) -> Result<Vec<Approval>, StoreError> {
        let stage = filter.stage.map(|stage| stage.name().to_owned());
        let (conditions, values) = super::equal(&[
            ("finding", &filter.finding),
            ("playbook", &filter.playbook),
            ("stage", &stage),
        ]);
        let sql = format!(
            "SELECT {COLUMNS} FROM approvals WHERE {} ORDER BY created DESC, rowid DESC LIMIT {} OFFSET {}",
            conditions, page.limit, page.skip
        );
        self.read(move |connection| list(connection, &sql, values))
            .await
    }

    pub(crate) async fn add_tokens(&self, id: &str, tokens: &[Token]) -> Result<bool, StoreError> {
        let (id, tokens) = (id.to_owned(), tokens.to_vec());
        self.write(move |connection| {
            let Some(mut approval) = find(connection, &id)? else {
                return Ok(false);
            };
            if approval.state != ApprovalState::Pending {
                return Ok(false);
            }
            for token in &tokens {
                connection
                    .prepare_cached(
                        "INSERT INTO approval_tokens (hash, approval) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![token.hash, id])?;
                token.add_to(&mut approval.asked);
            }
            set_asked(connection, &id, &approval.asked)?;
            Ok(true)
        })
        .await
    }

    pub(crate) async fn note_told(
        &self,
        id: &str,
        to: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (id, to) = (id.to_owned(), to.to_owned());
        self.write(move |connection| {
            let Some(mut approval) = find(connection, &id)? else {
                return Ok(());
            };
            for asked in approval.asked.iter_mut().filter(|asked| asked.to == to) {
                asked.told.get_or_insert(at);
            }
            set_asked(connection, &id, &approval.asked)
        })
        .await
    }

    pub(crate) async fn decide_approval(
        &self,
        id: &str,
        plan_hash: &str,
        state: &ApprovalState,
        now: Timestamp,
    ) -> Result<Deciding, StoreError> {
        let (id, plan_hash, state) = (id.to_owned(), plan_hash.to_owned(), state.clone());
        self.write(move |connection| {
            let Some(approval) = find(connection, &id)? else {
                return Ok(Deciding::Missing);
            };
            match judge(&approval, &plan_hash, now) {
                Judged::Open => {}
                Judged::Closed(deciding) => return Ok(deciding),
            }
            set_state(connection, &id, &state, now)?;
            connection
                .prepare_cached("UPDATE approvals SET unheard = ?2 WHERE id = ?1")?
                .execute(params![id, micros(now)])?;
            Ok(Deciding::Decided(Box::new(Approval { state, ..approval })))
        })
        .await
    }

    pub(crate) async fn expire_approval(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Approval>, StoreError> {
        self.close(id, move |approval| approval.lapsed(now)).await
    }

    pub(crate) async fn supersede_approval(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Approval>, StoreError> {
        self.close(id, move |approval| approval.overtaken(now))
            .await
    }

    async fn close(
        &self,
        id: &str,
        next: impl FnOnce(&Approval) -> Option<ApprovalState> + Send + 'static,
    ) -> Result<Option<Approval>, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            let Some(approval) = find(connection, &id)? else {
                return Ok(None);
            };
            let Some(state) = next(&approval) else {
                return Ok(Some(approval));
            };
            let at = match &state {
                ApprovalState::Expired { at } | ApprovalState::Superseded { at } => *at,
                _ => approval.expires,
            };
            set_state(connection, &id, &state, at)?;
            Ok(Some(Approval { state, ..approval }))
        })
        .await
    }

    pub(crate) async fn unheard_approvals(
        &self,
        decided: Timestamp,
        limit: u32,
    ) -> Result<Vec<Approval>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM approvals WHERE unheard <= ?1 ORDER BY unheard LIMIT {limit}"
        );
        let values = vec![micros(decided).into()];
        self.read(move |connection| list(connection, &sql, values))
            .await
    }

    pub(crate) async fn note_heard(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE approvals SET unheard = NULL WHERE id = ?1")?
                .execute([id])?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn wake_run(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            let found: Option<(String, String)> = connection
                .prepare_cached("SELECT stage, state FROM runs WHERE id = ?1 AND due IS NOT NULL")?
                .query_row([&id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((stage, state)) = found else {
                return Ok(false);
            };
            match stage.as_str() {
                "waiting" => {
                    let state: RunState = from_json("run's state", &state)?;
                    connection
                        .prepare_cached("UPDATE runs SET state = ?2, due = ?3 WHERE id = ?1")?
                        .execute(params![id, to_json(&state.woken(now)), micros(now)])?;
                }
                // It may be about to wait, not having heard what it is woken for.
                "running" => {
                    connection
                        .prepare_cached("UPDATE runs SET woken = 1 WHERE id = ?1")?
                        .execute([&id])?;
                }
                _ => {}
            }
            Ok(true)
        })
        .await
    }

    pub(crate) async fn reserve(
        &self,
        automation: &str,
        key: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        let (automation, key) = (automation.to_owned(), key.to_owned());
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM reservations WHERE automation = ?1 AND at <= ?2")?
                .execute(params![automation, micros(before(now, HOUR))])?;
            let known: bool = connection
                .prepare_cached(
                    "SELECT count(*) FROM reservations WHERE automation = ?1 AND key = ?2",
                )?
                .query_row(params![automation, key], |row| row.get(0))?;
            if known {
                return Ok(Reservation::Reserved);
            }
            let mut statement = connection
                .prepare_cached("SELECT at FROM reservations WHERE automation = ?1 ORDER BY at")?;
            let taken: Vec<Timestamp> = statement
                .query_map([&automation], |row| Ok(time(row.get(0)?)))?
                .collect::<rusqlite::Result<_>>()?;
            if let Some(freed) = room(&taken, limit, now) {
                return Ok(Reservation::Full {
                    until: after(freed, HOUR),
                });
            }
            connection
                .prepare_cached(
                    "INSERT INTO reservations (automation, key, at) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![automation, key, micros(now)])?;
            Ok(Reservation::Reserved)
        })
        .await
    }
}

/// Removes some of the questions that could be decided until before `before` at the latest, and whose runs have heard.
pub(super) fn expire(connection: &Connection, before: i64, limit: u32) -> Result<usize, Fault> {
    let old = "SELECT id FROM approvals WHERE expires < ?1 AND unheard IS NULL ORDER BY expires, rowid LIMIT ?2";
    connection.execute(
        &format!("DELETE FROM approval_tokens WHERE approval IN ({old})"),
        params![before, limit],
    )?;
    Ok(connection.execute(
        &format!("DELETE FROM approvals WHERE id IN ({old})"),
        params![before, limit],
    )?)
}

fn set_asked(connection: &Connection, id: &str, asked: &[Asked]) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE approvals SET asked = ?2 WHERE id = ?1")?
        .execute(params![id, to_json(&asked)])?;
    Ok(())
}

fn set_state(
    connection: &Connection,
    id: &str,
    state: &ApprovalState,
    at: Timestamp,
) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE approvals SET stage = ?2, state = ?3, updated = ?4 WHERE id = ?1")?
        .execute(params![
            id,
            ApprovalStage::of(state).name(),
            to_json(state),
            micros(at)
        ])?;
    Ok(())
}

fn find(connection: &Connection, id: &str) -> Result<Option<Approval>, Fault> {
    let columns = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM approvals WHERE id = ?1"))?
        .query_row([id], Columns::read)
        .optional()?;
    Ok(columns.map(Columns::approval).transpose()?)
}

fn list(connection: &Connection, sql: &str, values: Vec<Value>) -> Result<Vec<Approval>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut approvals = Vec::new();
    for columns in statement.query_map(params_from_iter(values), Columns::read)? {
        approvals.push(columns?.approval()?);
    }
    Ok(approvals)
}

struct Columns {
    body: String,
    state: String,
    asked: String,
}

impl Columns {
    fn read(row: &Row<'_>) -> rusqlite::Result<Columns> {
        Ok(Columns {
            body: row.get(0)?,
            state: row.get(1)?,
            asked: row.get(2)?,
        })
    }

    fn approval(self) -> Result<Approval, StoreError> {
        let mut approval: Approval = from_json("approval", &self.body)?;
        approval.state = from_json("approval's state", &self.state)?;
        approval.asked = from_json("approval's list of people", &self.asked)?;
        Ok(approval)
    }
}
