use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use serde_json::Value;

use super::{Index, LINK, NOWHERE, PIVOT, Screen, gram, hash, key, look, mark};
use crate::conditions::{Asked, Code, Conditions};
use crate::document::seen::{Seen, SeenValue};
use crate::network::Network;
use crate::number::Number;
use crate::test::{Found, Reading, Test, TextOperator};

/// What costly conditions were found to be in one document.
pub(crate) type Memo = HashMap<u32, bool, BuildHasherDefault<Spread>>;

/// Spreads codes, which are small numbers, over the table.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = hash::fold_multiply(
            self.0 ^ u64::from(number) ^ 0x9E37_79B9_7F4A_7C15,
            0xD6E8_FEB8_6659_FD93,
        );
    }
}

/// What the values of a document are looked up by, and what was found; room that is used again.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    probes: Vec<Probe>,
    /// Where a pivot or a link lies, and the probe that found it.
    hits: Vec<(u32, u32)>,
    due: Vec<Due>,
}

/// One look into the table.
#[derive(Debug, Clone, Copy)]
struct Probe {
    hash: u64,
    /// Position of the value among all that were seen.
    value: u32,
    /// Where in the text the gram lies; or one of the two below.
    at: u32,
}

/// The value itself was looked up.
const VALUE: u32 = u32::MAX;

/// That there is a value was looked up.
const PRESENCE: u32 = u32::MAX - 1;

/// Probes that are made before it is time to follow them up.
const BATCH: usize = 1024;

/// A pivot that was found.
#[derive(Debug, Clone, Copy)]
struct Due {
    pivot: u32,
    value: u32,
    at: u32,
}

/// Finds the rules that the values of one document match.
///
/// The table, the links, the pivots and the sets of many rules are too large for the nearer caches. So each of them is
/// visited for many values at a time: then the processor waits for several of them at once.
pub(crate) struct Search<'a> {
    pub(crate) index: &'a Index,
    pub(crate) conditions: &'a Conditions,
    pub(crate) document: &'a [u8],
    /// The document parsed, if names in it are ambiguous. Then `seen` holds more values than the paths lead to, and
    /// whatever holds of it is asked of this once more.
    pub(crate) exact: Option<&'a Value>,
    pub(crate) seen: &'a Seen,
    pub(crate) batch: &'a mut Batch,
    /// Pivots that need not be looked at again.
    pub(crate) done: &'a mut Memo,
    pub(crate) memo: &'a mut Memo,
    pub(crate) buffer: &'a mut String,
    pub(crate) matched: &'a mut Vec<usize>,
}

impl<'a> Search<'a> {
    pub(crate) fn run(&mut self) {
        let seen = self.seen;
        self.sets(0, self.index.always as usize, None);
        for (position, value) in (0..).zip(&seen.values) {
            let looks = self.index.slots[value.slot as usize].looks;
            if looks != 0 {
                self.value(position, value, looks);
            }
        }
        self.follow_up();
    }

    #[inline]
    fn value(&mut self, position: u32, value: &SeenValue, looks: u16) {
        let slot = value.slot;
        if looks & look::PRESENT != 0 {
            self.probe(slot, 0, key::PRESENT, position, PRESENCE);
        }
        if looks & look::TEXT != 0 && value.has_text() {
            self.probe(slot, value.hash, key::TEXT, position, VALUE);
        }
        if looks & !(look::TEXT | look::PRESENT) != 0
            && let Some(found) = self.seen.found(value, self.document)
        {
            self.further(position, slot, found, looks);
        }
    }

    /// All that is looked up less often than whole texts.
    fn further(&mut self, value: u32, slot: u32, found: Found<'a>, looks: u16) {
        if looks & (look::NUMBER | look::THRESHOLDS) != 0
            && let Some(number) = found.number(Reading::Any)
        {
            if looks & look::NUMBER != 0 {
                self.probe(slot, key::of_number(number), key::NUMBER, value, VALUE);
            }
            if looks & look::THRESHOLDS != 0 {
                self.thresholds(value, slot, number);
            }
        }
        if looks & look::BOOLEAN != 0
            && let Some(boolean) = found.boolean()
        {
            self.probe(slot, u64::from(boolean), key::BOOLEAN, value, VALUE);
        }
        if looks & look::NULL != 0 {
            self.probe(slot, 0, key::NULL, value, VALUE);
        }
        if looks & look::RANK != 0
            && let Some(rank) = found.severity()
        {
            for least in 0..=rank {
                self.probe(slot, u64::from(least), key::RANK, value, VALUE);
            }
        }
        if looks & look::NETWORKS != 0
            && let Some(address) = found.address()
        {
            self.networks(value, slot, address);
        }
        if looks & (look::PREFIXES | look::SUFFIXES | look::GRAMS) != 0
            && let Some(text) = found.folded
        {
            self.parts(value, slot, text.as_bytes());
        }
    }

    fn thresholds(&mut self, value: u32, slot: u32, number: Number) {
        let index = self.index;
        let Some(details) = &index.slots[slot as usize].details else {
            return;
        };
        let below = details
            .rising
            .iter()
            .take_while(|(bound, _)| bound.compare(number).is_le());
        let above = details
            .falling
            .iter()
            .take_while(|(bound, _)| bound.compare(number).is_ge());
        let due = below.chain(above).map(|(_, pivot)| Due {
            pivot: *pivot,
            value,
            at: VALUE,
        });
        self.batch.due.extend(due);
    }

    fn networks(&mut self, value: u32, slot: u32, address: IpAddr) {
        let index = self.index;
        if let Some(details) = &index.slots[slot as usize].details {
            for (v6, prefix) in &details.networks {
                if let Some(hash) = Network::block_hash_around(address, *v6, *prefix) {
                    self.probe(slot, hash, key::NETWORK, value, VALUE);
                }
            }
        }
    }

    /// Looks up the beginnings, the ends and the grams of a text.
    fn parts(&mut self, value: u32, slot: u32, text: &[u8]) {
        let index = self.index;
        let Some(details) = &index.slots[slot as usize].details else {
            return;
        };
        for length in &details.prefixes {
            let Some(prefix) = text.get(..*length as usize) else {
                break;
            };
            self.probe(slot, hash::text(prefix), key::PREFIX, value, VALUE);
        }
        for length in &details.suffixes {
            let Some(start) = text.len().checked_sub(*length as usize) else {
                break;
            };
            self.probe(slot, hash::text(&text[start..]), key::SUFFIX, value, VALUE);
        }
        let short = details.screens.partition_point(|screen| screen.length < 4);
        let (short, long) = details.screens.split_at(short);
        for screen in short {
            for (at, bytes) in (0..).zip(text.windows(usize::from(screen.length))) {
                self.gram(value, slot, screen, bytes, at);
            }
        }
        if let Some(starts) = &details.starts {
            for (at, bytes) in (0..).zip(text.windows(4)) {
                if starts.passes(gram(bytes)) {
                    for screen in long {
                        let start = at as usize;
                        if let Some(bytes) = text.get(start..start + usize::from(screen.length)) {
                            self.gram(value, slot, screen, bytes, at);
                        }
                    }
                }
            }
        }
    }

    #[inline]
    fn gram(&mut self, value: u32, slot: u32, screen: &Screen, bytes: &[u8], at: u32) {
        let gram = gram(bytes);
        if screen.passes(gram) {
            self.probe(slot, gram, key::gram(screen.length), value, at);
        }
    }

    #[inline]
    fn probe(&mut self, slot: u32, hash: u64, purpose: u32, value: u32, at: u32) {
        self.batch.probes.push(Probe {
            hash: hash::bind(hash, slot, purpose),
            value,
            at,
        });
        if self.batch.probes.len() == BATCH {
            self.follow_up();
        }
    }

    /// Finds the pivots of all probes, and asks what is left of their sets.
    fn follow_up(&mut self) {
        let index = self.index;
        let Batch { probes, hits, due } = &mut *self.batch;
        for (position, probe) in (0..).zip(probes.iter()) {
            if let Some(found) = index.table.get(probe.hash) {
                hits.push((found, position));
            }
        }
        for (mut found, position) in hits.drain(..) {
            let Probe { value, at, .. } = probes[position as usize];
            while let [LINK, next, pivot] = index.records[found as usize..found as usize + PIVOT] {
                due.push(Due { pivot, value, at });
                found = next;
                if next == NOWHERE {
                    break;
                }
            }
            if found != NOWHERE {
                due.push(Due {
                    pivot: found,
                    value,
                    at,
                });
            }
        }
        probes.clear();
        for position in 0..self.batch.due.len() {
            let due = self.batch.due[position];
            self.pivot(due);
        }
        self.batch.due.clear();
    }

    /// Asks what is left of the sets of a pivot, if it holds and was not done with before.
    fn pivot(&mut self, due: Due) {
        let start = due.pivot as usize;
        let [code, end, needle_at] = self.index.records[start..start + PIVOT] else {
            return;
        };
        let code = Code(code);
        // Only a slot with several values, or a text with several places, leads to a pivot twice.
        let repeats = due.at != VALUE
            || self
                .seen
                .has_several(self.seen.values[due.value as usize].slot);
        if repeats && self.done.contains_key(&due.pivot) {
            return;
        }
        // What was found by hash or by gram is seldom wrong, so it is confirmed when it matters.
        let asked_all = due.at == PRESENCE || (due.at != VALUE && needle_at == NOWHERE);
        let confirmed = !asked_all || self.confirm(code, due, needle_at);
        let lazily = (!asked_all || self.exact.is_some()).then_some((code, due, needle_at));
        let right = confirmed && self.sets(start + PIVOT, end as usize, lazily);
        // Another value, or another place in this one, may yet confirm what was wrong, unless all were asked.
        if repeats && (right || asked_all) {
            self.done.insert(due.pivot, true);
        }
    }

    /// Whether a pivot that was looked up holds.
    ///
    /// The table keeps half of a hash, so what it finds may even belong to another slot or purpose.
    fn confirm(&mut self, code: Code, due: Due, needle_at: u32) -> bool {
        let seen = self.seen;
        let value = &seen.values[due.value as usize];
        if self.conditions.slot(code) != value.slot {
            return false;
        }
        match (due.at, needle_at) {
            (VALUE, _) => self.passes(code, value),
            (PRESENCE, _) | (_, NOWHERE) => self.any_passes(code),
            (at, needle_at) => {
                let text = seen
                    .found(value, self.document)
                    .and_then(|found| found.folded);
                text.is_some_and(|text| self.has_needle(code, text, at as usize, needle_at))
            }
        }
    }

    fn passes(&mut self, code: Code, value: &SeenValue) -> bool {
        self.seen
            .found(value, self.document)
            .is_some_and(|found| self.conditions.passes(code, found, self.buffer))
    }

    /// Whether a text has the needle of a condition such that the byte `needle_at` of it lies at `at`.
    fn has_needle(&mut self, code: Code, text: &str, at: usize, needle_at: u32) -> bool {
        let Asked::Text(TextOperator::Contains, needle) = self.conditions.asked(code) else {
            return false;
        };
        let Some(start) = at.checked_sub(needle_at as usize) else {
            return false;
        };
        let rest = &text.as_bytes()[start..];
        if needle.is_ascii() {
            return rest
                .get(..needle.len())
                .is_some_and(|part| part.eq_ignore_ascii_case(needle.as_bytes()));
        }
        self.buffer.clear();
        crate::fold::fold_into(needle, self.buffer);
        rest.starts_with(self.buffer.as_bytes())
    }

    /// Goes through sets whose pivot holds, or is yet to be confirmed; says no if it was wrong.
    fn sets(&mut self, first: usize, end: usize, mut confirm: Option<(Code, Due, u32)>) -> bool {
        let index = self.index;
        let mut records = &index.records[first..end];
        while let [rule, words, behind @ ..] = records {
            let (left, rest) = behind.split_at(*words as usize);
            if self.all_hold(left) {
                if let Some((code, due, needle_at)) = confirm.take()
                    && !(self.confirm(code, due, needle_at)
                        && (self.exact.is_none() || self.holds_exactly(code)))
                {
                    return false;
                }
                self.matched.push(*rule as usize);
            }
            records = rest;
        }
        true
    }

    fn all_hold(&mut self, mut left: &[u32]) -> bool {
        while let [word, behind @ ..] = left {
            let code = Code(*word & !mark::ANY);
            let holds;
            // The codes of conditions on no text have their upper bit set and no mark.
            let marked = *word & mark::ANY;
            if marked == 0 {
                holds = self.holds(code);
                left = behind;
            } else {
                let [slot, word, behind @ ..] = behind else {
                    return false;
                };
                holds = match marked {
                    mark::EQUALS => self.equals(code, *slot, *word),
                    _ => self.may_hold(marked, *slot, *word) && self.holds(code),
                };
                left = behind;
            }
            if !holds {
                return false;
            }
        }
        true
    }

    /// Whether any value of a slot has the four bytes that a condition on its text needs.
    #[inline]
    fn may_hold(&self, marked: u32, slot: u32, word: u32) -> bool {
        let seen = self.seen;
        seen.of(slot).any(|value| {
            let text = seen.folded(value);
            match marked {
                mark::STARTS => text
                    .first_chunk()
                    .is_some_and(|four| u32::from_le_bytes(*four) == word),
                mark::ENDS => text
                    .last_chunk()
                    .is_some_and(|four| u32::from_le_bytes(*four) == word),
                _ => seen.may_have(value, word),
            }
        })
    }

    /// Whether any value of a slot is the text of a condition, given the lower half of its hash.
    #[inline]
    fn equals(&mut self, code: Code, slot: u32, hash: u32) -> bool {
        let seen = self.seen;
        let mut alike = seen.of(slot).filter(|value| value.hash as u32 == hash);
        let holds = alike.any(|value| {
            let known = value.equals.get() == code.0;
            let holds = known || self.passes(code, value);
            if holds {
                value.equals.set(code.0);
            }
            holds
        });
        holds && (self.exact.is_none() || self.holds_exactly(code))
    }

    fn holds(&mut self, code: Code) -> bool {
        if self.exact.is_some() {
            return self.holds_exactly(code);
        }
        if let Some(holds) = self.memo.get(&code.0) {
            return *holds;
        }
        let holds = self.any_passes(code);
        self.memo.insert(code.0, holds);
        holds
    }

    /// Whether any value that was seen passes.
    fn any_passes(&mut self, code: Code) -> bool {
        let seen = self.seen;
        let slot = self.conditions.slot(code);
        if let Asked::Other(Test::Exists(expected)) = self.conditions.asked(code) {
            return seen.has(slot) == *expected;
        }
        seen.of(slot).any(|value| self.passes(code, value))
    }

    fn holds_exactly(&mut self, code: Code) -> bool {
        let Some(document) = self.exact else {
            return false;
        };
        if let Some(holds) = self.memo.get(&code.0) {
            return *holds;
        }
        let holds = self.conditions.holds_in(code, document);
        self.memo.insert(code.0, holds);
        holds
    }
}
