//! The journals of runs.
//!
//! The lines that came last are in the run's own item, so that one conditional write adds a line and refuses a worker
//! that is late. Earlier ones are on pages beside it, and lines that are long have parts of their own.

use super::body::Packed;
use super::call::{Key, Request};
use super::item::{Attribute, Fields, Item, number};
use super::parts::{Place, assemble, is_apart};
use super::{DynamoDb, index, later, token};
use crate::run::Entry;
use crate::store::StoreError;
use crate::store::encoding::{from_json, to_json};
use jiff::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// Bytes of lines in a run's item from which the next line begins a new page: each write pays for all of them.
pub(super) const ROOM: usize = 8 << 10;
/// Most bytes of a line that is kept with the others.
const INLINE: usize = 32 << 10;
/// About how many bytes a line takes whose parts are elsewhere.
const ELSEWHERE: usize = 50;
/// How long beyond its retention what lies beside an unfinished run is kept: twice the longest wait of a playbook.
const UNFINISHED: Duration = Duration::from_secs(800 * 24 * 60 * 60);
/// When less than this is left, a claim has it kept for longer.
const RENEWED: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// How much longer than a finished run what lies beside it is kept, which DynamoDB removes in no order.
const LONGER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const LINE: &str = "journal line";

/// A line of a journal, ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    value: Attribute,
    length: usize,
}

impl Line {
    /// A line that is short.
    pub(super) fn of(entry: &Entry) -> Line {
        let packed = Packed::of(to_json(entry));
        let length = packed.len();
        Line {
            value: packed.into_attribute(),
            length,
        }
    }

    /// It as a list of its own.
    pub(super) fn list(&self) -> Attribute {
        Attribute::List(vec![self.value.clone()])
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_apart(&self) -> bool {
        is_apart(&self.value)
    }
}

impl DynamoDb {
    /// When what lies beside a run goes that is not finished.
    pub(super) fn far(&self, now: Timestamp) -> i64 {
        later(self.expiry(now), UNFINISHED)
    }

    /// When what lies beside a run goes that is finished and goes at `expiry`.
    pub(super) fn beyond(&self, expiry: i64) -> i64 {
        later(expiry, LONGER)
    }

    /// Makes a line for a run's journal, its parts written if it is long.
    pub(super) async fn line(&self, run: &str, entry: &Entry) -> Result<Line, StoreError> {
        let packed = Packed::of(to_json(entry));
        let length = packed.len();
        let value = self
            .keep(packed, Some(INLINE), &lines(run), self.far(entry.at))
            .await?;
        let length = if is_apart(&value) { ELSEWHERE } else { length };
        Ok(Line { value, length })
    }

    /// Removes what was written for a line that did not come into the journal.
    pub(super) async fn discard_line(&self, run: &str, line: &Line) {
        self.discard(&line.value, &lines(run)).await;
    }

    /// Writes a page of a run's journal; yields its name.
    pub(super) async fn page(
        &self,
        run: &str,
        lines: &[Attribute],
        expires: i64,
    ) -> Result<String, StoreError> {
        let token = token()?;
        let mut page = Key::new(beside(run), format!("page#{token}")).attributes();
        page.insert("journal".into(), Attribute::List(lines.to_vec()));
        page.insert("expires".into(), number(expires));
        self.plain(Request::put(page)).await?;
        Ok(token)
    }

    /// The journal of a run's item, with its pages; what lies beside the run is kept for longer if `claimed` and needed.
    pub(super) async fn lines(
        &self,
        run: &str,
        item: &Item,
        claimed: Option<Timestamp>,
    ) -> Result<Vec<Entry>, StoreError> {
        let fields = Fields::of("run", item);
        let last = fields.list("journal");
        if !fields.flag("apart") {
            return last.iter().map(|line| read(line, &[])).collect();
        }
        let beside = self.beside(run, None).await?;
        if let Some(now) = claimed {
            let expiries = beside.iter();
            let first = expiries.filter_map(|item| Fields::of(LINE, item).maybe_number("expires"));
            if first
                .min()
                .is_some_and(|first| first < later(now.as_second(), RENEWED))
            {
                self.keep_apart(run, self.far(now)).await?;
            }
        }
        let mut pages: HashMap<&str, &[Attribute]> = HashMap::new();
        for item in &beside {
            let fields = Fields::of(LINE, item);
            if let Some(name) = fields.text("sk")?.strip_prefix("page#") {
                pages.insert(name, fields.list("journal"));
            }
        }
        let mut entries = Vec::new();
        for page in fields.list("pages") {
            let name = page.as_text().unwrap_or_default();
            let Some(lines) = pages.get(name) else {
                return Err(gone(run));
            };
            for line in *lines {
                entries.push(read(line, &beside)?);
            }
        }
        for line in last {
            entries.push(read(line, &beside)?);
        }
        Ok(entries)
    }

    /// Has what lies beside a run go at `expires`.
    pub(super) async fn keep_apart(&self, run: &str, expires: i64) -> Result<(), StoreError> {
        for item in self.beside(run, Some("#pk, #sk")).await? {
            let Some(key) = Key::of(&item) else {
                continue;
            };
            let keep = Request::update(&key)
                .change("SET #expires = :expires")
                .value(":expires", number(expires));
            self.plain(keep).await?;
        }
        Ok(())
    }

    async fn beside(
        &self,
        run: &str,
        attributes: Option<&'static str>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut request = Request::query("#pk = :pk")
            .with("ConsistentRead", true)
            .value(":pk", super::item::text(beside(run)));
        if let Some(attributes) = attributes {
            request = request.project(attributes);
        }
        let mut found = Vec::new();
        let mut next = Some(request);
        while let Some(request) = next {
            let mut answer = self.plain(request.clone()).await?;
            found.append(&mut answer.items);
            next = index::following(request, answer);
        }
        Ok(found)
    }
}

fn beside(run: &str) -> String {
    format!("parts#run#{run}")
}

fn lines(run: &str) -> Place {
    Place {
        pk: beside(run),
        role: "line".into(),
    }
}

fn read(line: &Attribute, beside: &[Item]) -> Result<Entry, StoreError> {
    let text = assemble(LINE, line, beside)?.ok_or_else(|| gone("of a journal"))?;
    from_json(LINE, &text)
}

fn gone(run: &str) -> StoreError {
    StoreError::Permanent {
        reason: format!("a part of the journal of run `{run}` is not there"),
    }
}
