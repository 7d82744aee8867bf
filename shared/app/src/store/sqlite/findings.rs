use super::{Fault, Sqlite, count, integer, like, micros, time};
use crate::store::encoding::{from_json, from_word, to_json, word};
use crate::store::{FindingFilter, FindingRecord, Page, StoreError};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params, params_from_iter};

const COLUMNS: &str = "body, version, sequence, transition, pending, created, stored, sent";

impl Sqlite {
    pub(crate) async fn finding(&self, id: &str) -> Result<Option<FindingRecord>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| {
            let columns = connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM findings WHERE id = ?1"))?
                .query_row([&id], Columns::read)
                .optional()?;
            Ok(columns.map(Columns::record).transpose()?)
        })
        .await
    }

    pub(crate) async fn findings(
        &self,
        filter: &FindingFilter,
        page: Page,
    ) -> Result<Vec<FindingRecord>, StoreError> {
        let mut conditions = vec!["1 = 1".to_owned()];
        let mut values: Vec<Value> = Vec::new();
        let mut ask = |condition: &str, value: Value| {
            values.push(value);
            conditions.push(condition.replace("??", &format!("?{}", values.len())));
        };
        if let Some(kind) = filter.kind {
            ask("kind = ??", word(kind).into());
        }
        if let Some(source) = filter.source {
            ask("source = ??", word(source).into());
        }
        if let Some(severity) = filter.severity {
            ask("severity >= ??", (severity as i64).into());
        }
        if let Some(status) = filter.status {
            ask("status = ??", word(status).into());
        }
        if let Some(account) = &filter.account {
            ask("account = ??", account.clone().into());
        }
        if let Some(text) = &filter.text {
            ask(
                r"(title LIKE ?? ESCAPE '\' OR id LIKE ?? ESCAPE '\')",
                like(text).into(),
            );
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM findings WHERE {} ORDER BY stored DESC, rowid DESC LIMIT {} OFFSET {}",
            conditions.join(" AND "),
            page.limit,
            page.skip
        );
        self.read(move |connection| list(connection, &sql, values))
            .await
    }

    pub(crate) async fn put_finding(&self, record: &FindingRecord) -> Result<bool, StoreError> {
        let record = record.clone();
        self.write(move |connection| {
            let finding = &record.finding;
            let sql = if record.version == 1 {
                "INSERT INTO findings (id, kind, source, severity, status, account, title, version, sequence,
                     transition, pending, created, stored, sent, body)
                 VALUES (:id, :kind, :source, :severity, :status, :account, :title, :version, :sequence,
                     :transition, :pending, :created, :stored, :sent, :body)
                 ON CONFLICT (id) DO NOTHING"
            } else {
                "UPDATE findings SET kind = :kind, source = :source, severity = :severity, status = :status,
                     account = :account, title = :title, version = :version, sequence = :sequence,
                     transition = :transition, pending = :pending, created = :created, stored = :stored,
                     sent = :sent, body = :body
                 WHERE id = :id AND version = :version - 1"
            };
            let written = connection.prepare_cached(sql)?.execute(named_params! {
                ":id": finding.id,
                ":kind": word(finding.kind),
                ":source": word(finding.source),
                ":severity": finding.severity as i64,
                ":status": finding.status.map(word),
                ":account": finding.account,
                ":title": finding.title,
                ":version": integer(record.version),
                ":sequence": integer(record.sequence),
                ":transition": word(record.transition),
                ":pending": record.pending,
                ":created": micros(record.created),
                ":stored": micros(record.stored),
                ":sent": record.sent.map(micros),
                ":body": to_json(finding),
            })?;
            Ok(written == 1)
        })
        .await
    }

    pub(crate) async fn clear_pending(&self, id: &str, sequence: u64) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE findings SET pending = 0, version = version + 1
                     WHERE id = ?1 AND sequence = ?2 AND pending = 1",
                )?
                .execute(params![id, integer(sequence)])?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn pending_findings(
        &self,
        stored: Timestamp,
        limit: u32,
    ) -> Result<Vec<FindingRecord>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM findings WHERE pending = 1 AND stored <= ?1 ORDER BY stored LIMIT {limit}"
        );
        let values = vec![micros(stored).into()];
        self.read(move |connection| list(connection, &sql, values))
            .await
    }

    pub(crate) async fn delete_finding(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            Ok(connection.execute("DELETE FROM findings WHERE id = ?1", [&id])? == 1)
        })
        .await
    }
}

fn list(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<FindingRecord>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut records = Vec::new();
    for columns in statement.query_map(params_from_iter(values), Columns::read)? {
        records.push(columns?.record()?);
    }
    Ok(records)
}

struct Columns {
    body: String,
    version: i64,
    sequence: i64,
    transition: String,
    pending: bool,
    created: i64,
    stored: i64,
    sent: Option<i64>,
}

impl Columns {
    fn read(row: &Row<'_>) -> rusqlite::Result<Columns> {
        Ok(Columns {
            body: row.get(0)?,
            version: row.get(1)?,
            sequence: row.get(2)?,
            transition: row.get(3)?,
            pending: row.get(4)?,
            created: row.get(5)?,
            stored: row.get(6)?,
            sent: row.get(7)?,
        })
    }

    fn record(self) -> Result<FindingRecord, StoreError> {
        Ok(FindingRecord {
            finding: from_json("finding", &self.body)?,
            version: count(self.version),
            sequence: count(self.sequence),
            transition: from_word("transition", self.transition)?,
            pending: self.pending,
            created: time(self.created),
            stored: time(self.stored),
            sent: self.sent.map(time),
        })
    }
}
