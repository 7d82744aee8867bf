use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use serde_json::Value;

use super::{EQUALS, Index, NOWHERE, Screen, gram, hash, key, look};
use crate::conditions::{Asked, Code, Conditions};
use crate::document::seen::{Seen, SeenValue};
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

/// Finds the rules that the values of one document match.
pub(crate) struct Search<'a> {
    pub(crate) index: &'a Index,
    pub(crate) conditions: &'a Conditions,
    pub(crate) document: &'a [u8],
    /// The document parsed, if names in it are ambiguous. Then `seen` holds more values than the paths lead to, and
    /// whatever holds of it is asked of this once more.
    pub(crate) exact: Option<&'a Value>,
    pub(crate) seen: &'a Seen,
    /// For each pivot the last document in which it was done with.
    pub(crate) done: &'a mut [u32],
    pub(crate) generation: u32,
    pub(crate) memo: &'a mut Memo,
    pub(crate) buffer: &'a mut String,
    pub(crate) matched: &'a mut Vec<usize>,
}

/// How a pivot that was looked up is confirmed.
#[derive(Clone, Copy)]
enum Confirm<'a> {
    /// By the value for which it was looked up.
    Value(Found<'a>),
    /// By this folded text having the needle with its gram here.
    Gram(&'a str, usize),
    /// By any value of the slot.
    Any,
}

impl<'a> Search<'a> {
    pub(crate) fn run(&mut self) {
        let seen = self.seen;
        self.sets(0, self.index.always as usize);
        for value in &seen.values {
            let looks = self.index.slots[value.slot as usize].looks;
            if looks != 0 {
                self.value(value, looks);
            }
        }
    }

    #[inline]
    fn value(&mut self, value: &SeenValue, looks: u16) {
        let slot = value.slot;
        if looks & look::PRESENT != 0 {
            self.probe(slot, 0, key::PRESENT, Confirm::Any);
        }
        let Some(found) = self.seen.found(value, self.document) else {
            return;
        };
        if looks & look::TEXT != 0 && found.text.is_some() {
            self.probe(slot, value.hash, key::TEXT, Confirm::Value(found));
        }
        if looks & !(look::TEXT | look::PRESENT) != 0 {
            self.further(slot, found, looks);
        }
    }

    /// All that is looked up less often than whole texts.
    fn further(&mut self, slot: u32, found: Found<'a>, looks: u16) {
        if looks & (look::NUMBER | look::THRESHOLDS) != 0
            && let Some(number) = found.number(Reading::Any)
        {
            if looks & look::NUMBER != 0 {
                self.probe(
                    slot,
                    key::of_number(number),
                    key::NUMBER,
                    Confirm::Value(found),
                );
            }
            if looks & look::THRESHOLDS != 0 {
                self.thresholds(slot, found);
            }
        }
        if looks & look::BOOLEAN != 0
            && let Some(boolean) = found.boolean()
        {
            self.probe(
                slot,
                u64::from(boolean),
                key::BOOLEAN,
                Confirm::Value(found),
            );
        }
        if looks & look::NULL != 0 {
            self.probe(slot, 0, key::NULL, Confirm::Value(found));
        }
        if looks & look::RANK != 0
            && let Some(rank) = found.severity()
        {
            for least in 0..=rank {
                self.probe(slot, u64::from(least), key::RANK, Confirm::Value(found));
            }
        }
        if looks & look::NETWORKS != 0
            && let Some(address) = found.address()
        {
            self.networks(slot, found, address);
        }
        if looks & (look::PREFIXES | look::SUFFIXES | look::GRAMS) != 0
            && let Some(text) = found.folded
        {
            self.parts(slot, found, text);
        }
    }

    fn thresholds(&mut self, slot: u32, found: Found<'a>) {
        let Some(number) = found.number(Reading::Any) else {
            return;
        };
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
        for (_, pivot) in below.chain(above) {
            self.pivot(*pivot, slot, NOWHERE, Confirm::Value(found));
        }
    }

    fn networks(&mut self, slot: u32, found: Found<'a>, address: IpAddr) {
        let index = self.index;
        if let Some(details) = &index.slots[slot as usize].details {
            for (v6, prefix) in &details.networks {
                if let Some(hash) =
                    crate::network::Network::block_hash_around(address, *v6, *prefix)
                {
                    self.probe(slot, hash, key::NETWORK, Confirm::Value(found));
                }
            }
        }
    }

    /// Looks up the beginnings, the ends and the grams of a text.
    fn parts(&mut self, slot: u32, found: Found<'a>, text: &'a str) {
        let index = self.index;
        let Some(details) = &index.slots[slot as usize].details else {
            return;
        };
        let bytes = text.as_bytes();
        for length in &details.prefixes {
            let Some(prefix) = bytes.get(..*length as usize) else {
                break;
            };
            self.probe(slot, hash::text(prefix), key::PREFIX, Confirm::Value(found));
        }
        for length in &details.suffixes {
            let Some(start) = bytes.len().checked_sub(*length as usize) else {
                break;
            };
            self.probe(
                slot,
                hash::text(&bytes[start..]),
                key::SUFFIX,
                Confirm::Value(found),
            );
        }
        for screen in &details.screens {
            self.grams(slot, text, screen);
        }
    }

    fn grams(&mut self, slot: u32, text: &'a str, screen: &Screen) {
        let purpose = key::gram(screen.length);
        for (at, bytes) in text
            .as_bytes()
            .windows(usize::from(screen.length))
            .enumerate()
        {
            let gram = gram(bytes);
            if screen.passes(gram) {
                self.probe(slot, u64::from(gram), purpose, Confirm::Gram(text, at));
            }
        }
    }

    /// Looks up a key and goes on with the pivots found.
    #[inline]
    fn probe(&mut self, slot: u32, hash: u64, purpose: u32, confirm: Confirm<'a>) {
        let mut next = self.index.table.get(hash::bind(hash, slot, purpose));
        while let Some(link) = next {
            let link = self.index.links[link as usize];
            self.pivot(link.pivot, slot, link.at, confirm);
            next = (link.next != NOWHERE).then_some(link.next);
        }
    }

    /// Asks what is left of the sets of a pivot, if it holds and was not done with before.
    fn pivot(&mut self, pivot: u32, slot: u32, needle_at: u32, confirm: Confirm<'a>) {
        if self.done[pivot as usize] == self.generation {
            return;
        }
        let entry = self.index.pivots[pivot as usize];
        // The table keeps half of a hash, so what it finds may belong to another slot or purpose.
        if self.conditions.slot(entry.code) != slot {
            return;
        }
        let holds = match confirm {
            Confirm::Value(found) => self.conditions.passes(entry.code, found, self.buffer),
            Confirm::Gram(text, at) if needle_at != NOWHERE => {
                self.has_needle(entry.code, text, at, needle_at)
            }
            Confirm::Gram(..) | Confirm::Any => {
                self.done[pivot as usize] = self.generation;
                self.any_passes(entry.code)
            }
        };
        if !holds {
            return;
        }
        self.done[pivot as usize] = self.generation;
        if self.exact.is_none() || self.holds_exactly(entry.code) {
            let end = self.index.pivots[pivot as usize + 1].first;
            self.sets(entry.first as usize, end as usize);
        }
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

    /// Goes through sets of which the pivot holds.
    fn sets(&mut self, first: usize, end: usize) {
        let index = self.index;
        let mut records = &index.records[first..end];
        while let [rule, words, behind @ ..] = records {
            let (left, rest) = behind.split_at(*words as usize);
            if self.all_hold(left) {
                self.matched.push(*rule as usize);
            }
            records = rest;
        }
    }

    fn all_hold(&mut self, mut left: &[u32]) -> bool {
        while let [word, behind @ ..] = left {
            let code = Code(*word & !EQUALS);
            let holds;
            if *word & EQUALS == 0 {
                holds = self.holds(code);
                left = behind;
            } else {
                let [slot, hash, behind @ ..] = behind else {
                    return false;
                };
                holds = self.equals(code, *slot, *hash);
                left = behind;
            }
            if !holds {
                return false;
            }
        }
        true
    }

    /// Whether any value of a slot is the text of a condition, given the lower half of its hash.
    #[inline]
    fn equals(&mut self, code: Code, slot: u32, hash: u32) -> bool {
        let seen = self.seen;
        let mut alike = seen.of(slot).filter(|value| value.hash as u32 == hash);
        let holds = alike.any(|value| {
            seen.found(value, self.document)
                .is_some_and(|found| self.conditions.passes(code, found, self.buffer))
        });
        holds && (self.exact.is_none() || self.holds_exactly(code))
    }

    fn holds(&mut self, code: Code) -> bool {
        if self.exact.is_some() {
            return self.holds_exactly(code);
        }
        match self.conditions.asked(code) {
            Asked::Text(TextOperator::Contains, _) | Asked::Other(Test::Matches(_)) => {
                if !self.seen.has(self.conditions.slot(code)) {
                    return false;
                }
                if let Some(holds) = self.memo.get(&code.0) {
                    return *holds;
                }
                let holds = self.any_passes(code);
                self.memo.insert(code.0, holds);
                holds
            }
            _ => self.any_passes(code),
        }
    }

    /// Whether any value that was seen passes.
    fn any_passes(&mut self, code: Code) -> bool {
        let seen = self.seen;
        let slot = self.conditions.slot(code);
        if let Asked::Other(Test::Exists(expected)) = self.conditions.asked(code) {
            return seen.has(slot) == *expected;
        }
        seen.of(slot).any(|value| {
            seen.found(value, self.document)
                .is_some_and(|found| self.conditions.passes(code, found, self.buffer))
        })
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
