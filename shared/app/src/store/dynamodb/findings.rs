use super::call::{Key, Reading, Refused, Request};
use super::index::Listing;
use super::item::{Fields, Item, flag, micros, number, text};
use super::parts::Place;
use super::{DynamoDb, index, later, token};
use crate::store::encoding::{from_json, from_word, word};
use crate::store::{FindingFilter, FindingRecord, Page, StoreError};
use base16ct::lower::encode_string as hex;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Most bytes of an id that is a key as it is, for which DynamoDB has 2,048, and of an account that lists are filtered by.
const LONGEST_ID: usize = 512;
/// Most characters of title and of id, each, that lists are searched in.
const SEARCHED: usize = 1000;
/// Most bytes of a finding that are kept in its item: a page of a list fits in one answer.
const INLINE: usize = 48 << 10;
/// How much longer than the finding its parts are kept, which DynamoDB removes in no order.
const PARTS_LONGER: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often a finding is read that changes meanwhile.
const ATTEMPTS: usize = 5;
/// Findings that are asked for at once.
const AT_ONCE: usize = 100;

const FINDING: &str = "finding";

impl DynamoDb {
    pub(crate) async fn finding(&self, id: &str) -> Result<Option<FindingRecord>, StoreError> {
        let key = key(id);
        for _ in 0..ATTEMPTS {
            let table = self.clone();
            let call = move |keys: Vec<Key>| {
                let table = table.clone();
                async move { table.each_item(&keys, &reading(true)).await }
            };
            let Some(item) = self.asked.ask(key.clone(), call).await? else {
                return Ok(None);
            };
            // Another event may have replaced the finding, and removed the parts of the old one, in between.
            if let Some(record) = self.record(&item).await? {
                return Ok(Some(record));
            }
        }
        Err(StoreError::Transient {
            reason: format!("a part of finding `{id}` is not there"),
        })
    }

    pub(crate) async fn findings(
        &self,
        filter: &FindingFilter,
        page: Page,
    ) -> Result<Vec<FindingRecord>, StoreError> {
        let found = self.listed(FINDING, &listing(filter), page).await?;
        // What is listed may be a moment old, and so may be what is read for it.
        let records = self.records(&found, false).await?;
        Ok(records
            .into_iter()
            .filter(|record| fits(record, filter))
            .collect())
    }

    pub(crate) async fn put_finding(&self, record: &FindingRecord) -> Result<bool, StoreError> {
        let finding = &record.finding;
        let key = key(&finding.id);
        let place = place(&key);
        let expires = self.expiry(record.stored);
        let body = self.recent.packed(finding);
        let body = self
            .keep(body, Some(INLINE), &place, later(expires, PARTS_LONGER))
            .await?;
        let token = token()?;
        let mut item = key.attributes();
        let mut set = |name: &'static str, value| item.insert(name.into(), value);
        set("version", number(record.version));
        set("sequence", number(record.sequence));
        set("transition", text(word(record.transition)));
        set("pending", flag(record.pending));
        set("created", micros(record.created));
        set("stored", micros(record.stored));
        if let Some(sent) = record.sent {
            set("sent", micros(sent));
        }
        set("body", body.clone());
        set("token", text(&token));
        set("kept_until", number(expires));
        set("listed_in", text(index::partition(FINDING, &key)));
        set("listed_at", micros(record.stored));
        set("kind", text(word(finding.kind)));
        set("source", text(word(finding.source)));
        set("severity", number(finding.severity as u8));
        set("search", text(searched(&finding.title, &finding.id)));
        if let Some(status) = finding.status {
            set("status", text(word(status)));
        }
        // One that is longer is none, and an item has no room for it.
        if let Some(account) = finding
            .account
            .as_ref()
            .filter(|account| account.len() <= LONGEST_ID)
        {
            set("account", text(account));
        }
        if record.pending {
            // A finding whose runs may not have been made is not to go.
            set("due_in", text(index::partition(FINDING, &key)));
            set("due_at", micros(record.stored));
        } else {
            set("expires", number(expires));
        }
        let put = Request::put(item).with("ReturnValues", "ALL_OLD");
        let put = match record.version {
            0 | 1 => put.only_if("attribute_not_exists(#pk)"),
            version => put
                .only_if("#version = :before")
                .value(":before", number(version - 1)),
        };
        match self.call(put).await {
            Ok(answer) => {
                let old = answer.attributes.unwrap_or_default();
                if let Some(body) = old.get("body") {
                    self.discard(body, &place).await;
                }
                Ok(true)
            }
            Err(Refused::Condition(found)) => {
                // Ours, if the answer to it was lost and it was sent again.
                let told = found
                    .as_ref()
                    .and_then(|item| Fields::of(FINDING, item).maybe_text("token"));
                if told == Some(&token) {
                    return Ok(true);
                }
                self.discard(&body, &place).await;
                Ok(false)
            }
            Err(Refused::Store(error)) => Err(error),
        }
    }

    pub(crate) async fn clear_pending(&self, id: &str, sequence: u64) -> Result<(), StoreError> {
        let clear = Request::update(&key(id))
            .change(
                "SET #pending = :no, #version = #version + :one, #expires = #kept_until REMOVE #due_in, #due_at",
            )
            .only_if("#sequence = :sequence AND #pending = :yes")
            // Whatever it is now, nobody here wants to know.
            .with("ReturnValuesOnConditionCheckFailure", "NONE")
            .value(":no", flag(false))
            .value(":yes", flag(true))
            .value(":one", number(1))
            .value(":sequence", number(sequence));
        match self.call(clear).await {
            Ok(_) | Err(Refused::Condition(_)) => Ok(()),
            Err(Refused::Store(error)) => Err(error),
        }
    }

    pub(crate) async fn pending_findings(
        &self,
        stored: Timestamp,
        limit: u32,
    ) -> Result<Vec<FindingRecord>, StoreError> {
        let due = self.due(FINDING, Some(stored), limit).await?;
        let keys: Vec<Key> = due.into_iter().map(|entry| entry.key).collect();
        // The index may be a moment behind: each finding is looked at as it is now.
        let records = self.records(&keys, true).await?;
        Ok(records
            .into_iter()
            .filter(|record| record.pending && record.stored <= stored)
            .collect())
    }

    pub(crate) async fn delete_finding(&self, id: &str) -> Result<bool, StoreError> {
        let key = key(id);
        // Asked first, as the answer to the removal may be lost, and says nothing when it is sent again.
        let Some(old) = self.item(&key).await? else {
            return Ok(false);
        };
        self.plain(Request::delete(&key)).await?;
        if let Some(body) = old.get("body") {
            self.discard(body, &place(&key)).await;
        }
        Ok(true)
    }

    /// The findings of these keys, in their order; those that are gone are left out.
    async fn records(
        &self,
        keys: &[Key],
        consistent: bool,
    ) -> Result<Vec<FindingRecord>, StoreError> {
        let mut records = Vec::with_capacity(keys.len());
        for item in self.items_in_order(keys, &reading(consistent)).await? {
            records.extend(self.record(&item).await?);
        }
        Ok(records)
    }

    /// The finding of an item; none if a part of it is gone.
    async fn record(&self, item: &Item) -> Result<Option<FindingRecord>, StoreError> {
        let fields = Fields::of(FINDING, item);
        let body = fields.attribute("body")?;
        let place = Place::of_finding(fields.text("pk")?);
        let Some(body) = self.body(FINDING, body, &place).await? else {
            return Ok(None);
        };
        Ok(Some(FindingRecord {
            finding: from_json(FINDING, &body)?,
            version: fields.count("version")?,
            sequence: fields.count("sequence")?,
            transition: from_word("transition", fields.text("transition")?.to_owned())?,
            pending: fields.flag("pending"),
            created: fields.time("created")?,
            stored: fields.time("stored")?,
            sent: fields.maybe_time("sent"),
        }))
    }
}

impl Place {
    fn of_finding(pk: &str) -> Place {
        Place {
            pk: format!("parts#{pk}"),
            role: "body".into(),
        }
    }
}

fn reading(consistent: bool) -> Reading {
    Reading {
        consistent,
        at_once: AT_ONCE,
        attributes: None,
    }
}

fn place(key: &Key) -> Place {
    Place::of_finding(&key.pk)
}

fn key(id: &str) -> Key {
    Key::new(name(id), FINDING)
}

/// What stands for a finding where keys are compared: ids of senders may be longer than a key.
pub(super) fn name(id: &str) -> String {
    if id.len() <= LONGEST_ID {
        return format!("finding#{id}");
    }
    format!("finding-digest#{}", hex(&Sha256::digest(id.as_bytes())))
}

/// What the text of a filter is looked for in.
fn searched(title: &str, id: &str) -> String {
    let start = |text: &str| {
        text.chars()
            .take(SEARCHED)
            .collect::<String>()
            .to_lowercase()
    };
    format!("{}\n{}", start(title), start(id))
}

fn listing(filter: &FindingFilter) -> Listing {
    let mut listing = Listing::default();
    if let Some(kind) = filter.kind {
        listing.ask("#kind = :kind", ":kind", text(word(kind)));
    }
    if let Some(source) = filter.source {
        listing.ask("#source = :source", ":source", text(word(source)));
    }
    if let Some(severity) = filter.severity {
        listing.ask(
            "#severity >= :severity",
            ":severity",
            number(severity as u8),
        );
    }
    if let Some(status) = filter.status {
        listing.ask("#status = :status", ":status", text(word(status)));
    }
    if let Some(account) = &filter.account {
        listing.ask("#account = :account", ":account", text(account));
    }
    if let Some(wanted) = &filter.text {
        listing.ask(
            "contains(#search, :text)",
            ":text",
            text(wanted.to_lowercase()),
        );
    }
    listing
}

/// Whether a finding still is what it was listed for.
fn fits(record: &FindingRecord, filter: &FindingFilter) -> bool {
    let finding = &record.finding;
    let text = filter.text.as_ref().map(|text| text.to_lowercase());
    filter.kind.is_none_or(|kind| finding.kind == kind)
        && filter.source.is_none_or(|source| finding.source == source)
        && filter
            .severity
            .is_none_or(|least| finding.severity >= least)
        && filter
            .status
            .is_none_or(|status| finding.status == Some(status))
        && (filter.account.is_none() || finding.account == filter.account)
        && text.is_none_or(|text| searched(&finding.title, &finding.id).contains(&text))
}
