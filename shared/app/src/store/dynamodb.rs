//! The store in one table of DynamoDB; `docs/access-patterns.md` tells what is in it and what each question costs.

mod approvals;
mod body;
mod call;
mod definitions;
mod findings;
mod index;
mod item;
mod journal;
mod parts;
mod recent;
mod reservations;
mod runs;
#[cfg(test)]
mod tests;
mod versions;

pub(super) use definitions::PackedAutomations;

use super::StoreError;
use crate::gather::Gather;
use base16ct::lower::encode_string as hex;
use call::Key;
use item::Item;
use jiff::Timestamp;
use quench_actions::aws::{Aws, Limits};
use recent::Recent;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use versions::Versions;

/// One table, which any number of processes may use at once; cheap to clone.
#[derive(Debug, Clone)]
pub struct DynamoDb {
    aws: Aws,
    table: Arc<str>,
    retention: Duration,
    /// Versions of playbooks that were read before: they never change.
    versions: Versions,
    /// Findings that were packed before.
    recent: Recent,
    /// Findings that are asked for at once.
    asked: Gather<Key, Option<Item>>,
    #[cfg(test)]
    spent: Arc<call::Spent>,
}

impl DynamoDb {
    pub(super) fn new(aws: Aws, table: &str, retention: Duration) -> DynamoDb {
        DynamoDb {
            aws,
            table: table.into(),
            retention,
            versions: Versions::default(),
            recent: Recent::default(),
            asked: Gather::default(),
            #[cfg(test)]
            spent: Arc::default(),
        }
    }

    /// What `CreateTable` takes to make the table.
    ///
    /// `UpdateTimeToLive` then names the attribute `expires`.
    pub fn definition(table: &str) -> Value {
        let key = |hash: &str, range: &str| {
            json!([
                {"AttributeName": hash, "KeyType": "HASH"},
                {"AttributeName": range, "KeyType": "RANGE"},
            ])
        };
        let index = |name: &str, hash: &str, range: &str, projected: &[&str]| {
            json!({
                "IndexName": name,
                "KeySchema": key(hash, range),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": projected},
            })
        };
        let listed = [
            "kind",
            "source",
            "severity",
            "status",
            "account",
            "search",
            "finding",
            "automation",
            "playbook",
            "stage",
        ];
        let attributes = [
            ("pk", "S"),
            ("sk", "S"),
            ("listed_in", "S"),
            ("listed_at", "N"),
            ("due_in", "S"),
            ("due_at", "N"),
        ];
        let attributes =
            attributes.map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}));
        json!({
            "TableName": table,
            "AttributeDefinitions": attributes,
            "KeySchema": key("pk", "sk"),
            "GlobalSecondaryIndexes": [
                index("listed", "listed_in", "listed_at", &listed),
                index("due", "due_in", "due_at", &["pause"]),
            ],
            "BillingMode": "PAY_PER_REQUEST",
        })
    }

    /// The same for one who holds a run and alone knows what happened: a call is tried again for as long as one may last.
    ///
    /// Were it given up after the usual tries, a step that is done would be in doubt only because the table had too much
    /// to do for a second or two. It harms nobody: once somebody else holds the run, the table refuses whatever is tried.
    fn insisting(&self) -> DynamoDb {
        let limits = Limits {
            attempts: u32::MAX,
            ..self.aws.limits()
        };
        DynamoDb {
            aws: self.aws.with_limits(limits),
            ..self.clone()
        }
    }

    /// When an item that was last touched at `since` may go, in the seconds since 1970 that the table goes by.
    fn expiry(&self, since: Timestamp) -> i64 {
        later(since.as_second(), self.retention)
    }
}

/// Seconds since 1970, some time later.
fn later(seconds: i64, by: Duration) -> i64 {
    seconds.saturating_add(i64::try_from(by.as_secs()).unwrap_or(i64::MAX))
}

/// A name that nobody else gives to anything: it tells a write of ours that was repeated from a write of others.
fn token() -> Result<String, StoreError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| StoreError::Transient {
        reason: format!("this machine has no random numbers: {error}"),
    })?;
    Ok(hex(&random))
}
