use std::cell::Cell;

use fearless_simd::{Level, Simd, dispatch};

use super::traits::Traits;
use crate::fold::fold_into;
use crate::index::hash;
use crate::number::Number;
use crate::test::{Found, Scalar};

/// Bytes that lie behind all folded texts: enough for a whole chunk, and a little more, even at the end of the last one.
pub(crate) const BEHIND: usize = hash::CHUNK + 2;

/// What is to be kept of the values of a slot, one bit each.
pub(crate) mod wants {
    /// The text form of numbers and booleans.
    pub(crate) const TEXT: u8 = 1;
    /// The folded text.
    pub(crate) const FOLDED: u8 = 2;
    /// The hash of the folded text.
    pub(crate) const HASH: u8 = 4;
    /// The text in its own case.
    pub(crate) const RAW: u8 = 8;
}

/// Bytes of texts that can be told apart: where they lie is kept in thirty-two bits.
const MOST_TEXT: usize = if cfg!(test) {
    1 << 20
} else {
    u32::MAX as usize
};

/// The values of one document that rules ask about.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) values: Vec<SeenValue>,
    numbers: Vec<Number>,
    slots: Vec<SlotSeen>,
    /// How many of the values are digested.
    digested: usize,
    /// Texts that are not in the document as such: unescaped, folded, or written out. Each is UTF-8.
    texts: Vec<u8>,
    /// Room to write a number out.
    written: String,
}

/// What was seen of one slot.
#[derive(Debug, Clone)]
pub(crate) struct SlotSeen {
    /// One above the position of its latest value; zero if there is none.
    latest: u32,
    /// Whether there is more than one.
    several: bool,
    /// A condition that asks for the very text of one of its values, once one was found to.
    equals: Cell<u32>,
}

impl Default for SlotSeen {
    fn default() -> Self {
        Self {
            latest: 0,
            several: false,
            equals: Cell::new(u32::MAX),
        }
    }
}

impl SlotSeen {
    /// Whether a condition was found to ask for the very text of a value.
    #[inline]
    pub(crate) fn is_known_to_equal(&self, code: u32) -> bool {
        self.equals.get() == code
    }
}

#[derive(Debug, Clone)]
pub(crate) struct SeenValue {
    pub(crate) slot: u32,
    /// One above the position of the value before it in the slot; zero if there is none.
    previous: u32,
    kind: Kind,
    text: Span,
    folded: Span,
    /// Of the folded text, if rules ask for whole texts.
    pub(crate) hash: u64,
}

/// What a value is, but for its text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Null,
    Boolean(bool),
    /// By position among all numbers seen.
    Number(u32),
    Text,
    Object,
    /// Says that there is something; its elements are values of their own.
    Array,
}

/// Where a text lies.
#[derive(Debug, Clone, Copy)]
enum Span {
    Nowhere,
    Document(u32, u32),
    Texts(u32, u32),
}

impl SeenValue {
    /// Whether the value can be compared as text.
    #[inline]
    pub(crate) fn has_text(&self) -> bool {
        !matches!(self.text, Span::Nowhere)
    }
}

impl Seen {
    /// Forgets everything and makes room for so many slots.
    pub(crate) fn clear(&mut self, slots: usize) {
        for value in &self.values {
            self.slots[value.slot as usize] = SlotSeen::default();
        }
        self.values.clear();
        self.digested = 0;
        self.numbers.clear();
        self.texts.clear();
        if self.slots.len() < slots {
            self.slots.resize(slots, SlotSeen::default());
        }
    }

    /// Whether the slot has a value, of whatever kind.
    #[inline]
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.slots[slot as usize].latest != 0
    }

    /// Whether the slot has more than one value.
    #[inline]
    pub(crate) fn has_several(&self, slot: u32) -> bool {
        self.slots[slot as usize].several
    }

    #[inline]
    pub(crate) fn slot(&self, slot: u32) -> &SlotSeen {
        &self.slots[slot as usize]
    }

    /// Keeps that a condition asks for the very text of a value of the slot.
    pub(crate) fn set_known_to_equal(&self, slot: u32, code: u32) {
        self.slots[slot as usize].equals.set(code);
    }

    /// Whether no later value has the same slot.
    #[inline]
    pub(crate) fn is_latest(&self, value: u32, slot: u32) -> bool {
        self.slots[slot as usize].latest == value + 1
    }

    /// Values of one slot, latest first.
    #[inline]
    pub(crate) fn of(&self, slot: u32) -> impl Iterator<Item = &SeenValue> {
        let mut next = self.slots[slot as usize].latest;
        std::iter::from_fn(move || {
            let value = &self.values[next.checked_sub(1)? as usize];
            next = value.previous;
            Some(value)
        })
    }

    /// Where these are among all values.
    pub(crate) fn positions_of(&self, slot: u32) -> impl Iterator<Item = u32> {
        let mut next = self.slots[slot as usize].latest;
        std::iter::from_fn(move || {
            let position = next.checked_sub(1)?;
            next = self.values[position as usize].previous;
            Some(position)
        })
    }

    /// Where the lowest and the highest number of a slot lie, if it has any; `place` says where one does.
    pub(crate) fn reach(
        &self,
        slot: u32,
        document: &[u8],
        place: impl Fn(Number) -> u32,
    ) -> Option<(u32, u32)> {
        let places = self.of(slot).filter_map(|value| {
            let number = match value.kind {
                Kind::Number(number) => Some(self.numbers[number as usize]),
                Kind::Text => self.text(value.text, document).and_then(Number::of_text),
                _ => None,
            };
            number.map(&place)
        });
        places.fold(None, |reach, at| match reach {
            None => Some((at, at)),
            Some((lowest, highest)) => Some((at.min(lowest), at.max(highest))),
        })
    }

    /// A value in the forms it is compared in; nothing for an array.
    pub(crate) fn found<'a>(&'a self, value: &SeenValue, document: &'a [u8]) -> Option<Found<'a>> {
        let text = self.text(value.text, document);
        let scalar = match value.kind {
            Kind::Null => Scalar::Null,
            Kind::Boolean(boolean) => Scalar::Boolean(boolean),
            Kind::Number(number) => Scalar::Number(self.numbers[number as usize]),
            Kind::Text => Scalar::Text(text?),
            Kind::Object => Scalar::Object,
            Kind::Array => return None,
        };
        Some(Found {
            scalar,
            text,
            folded: self.folded_text(value),
        })
    }

    /// The bytes of the folded text of a value, if it has such a text.
    #[inline]
    pub(crate) fn folded_text(&self, value: &SeenValue) -> Option<&[u8]> {
        match value.folded {
            Span::Texts(start, end) => Some(&self.texts[start as usize..end as usize]),
            // Foldings are never in the document.
            Span::Nowhere | Span::Document(..) => None,
        }
    }

    /// The bytes of the folded text of a value; none if it has no such text.
    #[inline]
    pub(crate) fn folded(&self, value: &SeenValue) -> &[u8] {
        self.folded_text(value).unwrap_or_default()
    }

    /// The bytes of the text of a value, folded but perhaps for the case of ASCII letters; nothing if it has no text.
    ///
    /// It must be of a slot whose texts are folded or hashed.
    #[inline]
    pub(crate) fn plain<'a>(&'a self, value: &SeenValue, document: &'a [u8]) -> Option<&'a [u8]> {
        match (value.folded, value.text) {
            (Span::Texts(start, end), _) | (_, Span::Texts(start, end)) => {
                Some(&self.texts[start as usize..end as usize])
            }
            (_, Span::Document(start, end)) => Some(&document[start as usize..end as usize]),
            _ => None,
        }
    }

    #[inline]
    fn text<'a>(&'a self, span: Span, document: &'a [u8]) -> Option<&'a str> {
        let bytes = match span {
            Span::Nowhere => return None,
            Span::Document(start, end) => &document[start as usize..end as usize],
            Span::Texts(start, end) => &self.texts[start as usize..end as usize],
        };
        Some(std::str::from_utf8(bytes).expect("only UTF-8 is noted"))
    }

    /// The hash of the folded text of a value, given its position; nothing if it has no text.
    pub(crate) fn text_hash(&self, value: u32) -> Option<u64> {
        let value = &self.values[value as usize];
        value.has_text().then_some(value.hash)
    }

    /// Notes a value that has no text.
    #[inline(always)]
    pub(crate) fn note(&mut self, slot: u32, kind: Kind) {
        self.push(slot, kind, Span::Nowhere, Span::Nowhere, 0);
    }

    /// Notes a number.
    pub(crate) fn note_number(&mut self, slot: u32, wanted: u8, number: Number) {
        let kind = Kind::Number(self.numbers.len() as u32);
        self.numbers.push(number);
        self.note_written(slot, wanted, kind, Scalar::Number(number));
    }

    /// Notes a boolean.
    pub(crate) fn note_boolean(&mut self, slot: u32, wanted: u8, boolean: bool) {
        self.note_written(
            slot,
            wanted,
            Kind::Boolean(boolean),
            Scalar::Boolean(boolean),
        );
    }

    fn note_written(&mut self, slot: u32, wanted: u8, kind: Kind, scalar: Scalar<'_>) {
        if wanted == 0 {
            return self.note(slot, kind);
        }
        self.written.clear();
        scalar.write_text(&mut self.written);
        let start = self.texts.len();
        self.texts.extend_from_slice(self.written.as_bytes());
        // Numbers may have an `E` for the exponent; they write it small, so the text is its own folding.
        let span = Span::Texts(start as u32, self.texts.len() as u32);
        let hash = hash::text(&self.texts[start..]);
        self.push(slot, kind, span, span, hash);
    }

    /// Notes a text that lies in the document from `start` to `end`, ASCII only; to be digested.
    #[inline(always)]
    pub(crate) fn note_ascii(&mut self, slot: u32, start: usize, end: usize) {
        let text = Span::Document(start as u32, end as u32);
        self.push(slot, Kind::Text, text, Span::Nowhere, 0);
    }

    /// Folds and hashes the texts that were noted as they are in the document.
    pub(crate) fn digest(&mut self, wants: &[u8], document: &[u8]) {
        if self.overflows() {
            return;
        }
        // The widest registers fold sixty-four bytes at once.
        dispatch!(Level::new(), simd => self.digest_all(simd, wants, document));
        self.digested = self.values.len();
    }

    /// As [`Seen::digest`], if so many are waiting for it that they would not stay near at hand.
    #[inline]
    pub(crate) fn digest_many(&mut self, wants: &[u8], document: &[u8]) {
        if self.values.len() - self.digested >= 256 {
            self.digest(wants, document);
        }
    }

    /// Digests what is left, once all values are noted.
    pub(crate) fn seal(&mut self, wants: &[u8], document: &[u8]) {
        // All that is noted is only looked at later, so this is early enough to find that places ran out.
        self.digest(wants, document);
        // Parts are hashed, and looked through for grams, in whole chunks and a little more, even the last ones.
        self.texts.extend_from_slice(&[0; BEHIND]);
    }

    /// Whether there was too much to be kept. Then nothing that was noted may be looked at.
    #[inline]
    pub(crate) fn overflows(&self) -> bool {
        self.texts.len() > MOST_TEXT || self.values.len() >= u32::MAX as usize
    }

    /// Takes notice of the traits of the texts of a slot.
    #[inline]
    pub(crate) fn describe(&self, slot: u32, traits: &mut Traits) {
        for value in self.of(slot) {
            if let Span::Texts(start, end) = value.folded {
                let text = &self.texts[start as usize..end as usize];
                traits.add_text(slot, text, value.hash);
            }
        }
    }

    /// The folded text of a value and what lies behind; at least [`BEHIND`] bytes do once all is digested.
    #[inline]
    pub(crate) fn folded_and_behind(&self, value: &SeenValue) -> &[u8] {
        match value.folded {
            Span::Texts(start, _) => &self.texts[start as usize..],
            Span::Nowhere | Span::Document(..) => &[],
        }
    }

    /// The hash of a part of the folded text of a value.
    #[inline]
    pub(crate) fn hash_of_part(&self, value: &SeenValue, from: usize, length: usize) -> u64 {
        let Span::Texts(start, _) = value.folded else {
            return 0;
        };
        let start = start as usize + from;
        match self.texts.get(start..).and_then(<[u8]>::first_chunk) {
            Some(chunk) if length <= hash::CHUNK => hash::folded(chunk, length),
            _ => hash::text(&self.texts[start..start + length]),
        }
    }

    #[inline(always)]
    fn digest_all<S: Simd>(&mut self, _: S, wants: &[u8], document: &[u8]) {
        for value in &mut self.values[self.digested..] {
            let (Span::Document(start, end), Span::Nowhere) = (value.text, value.folded) else {
                continue;
            };
            if wants[value.slot as usize] & (wants::HASH | wants::FOLDED) == 0 {
                continue;
            }
            let (start, end, from) = (start as usize, end as usize, self.texts.len());
            let to = from + end - start;
            let mut hash = hash::seed(end - start);
            let hashed = wants[value.slot as usize] & wants::HASH != 0;
            let mut at = start;
            // What lies behind the end of a text is cut off once it is hashed.
            while let Some(bytes) = document.get(at..).and_then(<[u8]>::first_chunk) {
                if hashed {
                    let folded;
                    (folded, hash) = hash::chunk(hash, bytes, end - at);
                    self.texts.extend_from_slice(&folded);
                } else {
                    self.texts.extend_from_slice(&hash::folded_chunk(bytes));
                }
                at += hash::CHUNK;
                if at >= end {
                    break;
                }
            }
            if at < end || at == start {
                let mut last = [0; hash::CHUNK];
                last[..end - at].copy_from_slice(&document[at..end]);
                let folded;
                (folded, hash) = hash::chunk(hash, &last, end - at);
                self.texts.extend_from_slice(&folded);
            }
            self.texts.truncate(to);
            value.folded = Span::Texts(from as u32, to as u32);
            value.hash = hash;
        }
    }

    /// Notes a text that lies in the document from `start` to `end`.
    pub(crate) fn note_wide(
        &mut self,
        slot: u32,
        wanted: u8,
        text: &str,
        start: usize,
        end: usize,
    ) {
        let span = Span::Document(start as u32, end as u32);
        self.fold(slot, wanted, span, text);
    }

    /// Notes a text that is not to be found in the document.
    pub(crate) fn note_text(&mut self, slot: u32, wanted: u8, text: &str) {
        let start = self.texts.len();
        self.texts.extend_from_slice(text.as_bytes());
        let span = Span::Texts(start as u32, self.texts.len() as u32);
        // All but regular expressions read ASCII regardless of case.
        if wanted & (wants::HASH | wants::FOLDED) != 0
            && wanted & wants::RAW == 0
            && text.is_ascii()
        {
            self.texts[start..].make_ascii_lowercase();
            let hash = hash::text(&self.texts[start..]);
            return self.push(slot, Kind::Text, span, span, hash);
        }
        self.fold(slot, wanted, span, text);
    }

    fn fold(&mut self, slot: u32, wanted: u8, span: Span, text: &str) {
        let (mut folded, mut hash) = (Span::Nowhere, 0);
        if wanted & (wants::HASH | wants::FOLDED) != 0 {
            let start = self.texts.len();
            fold_into(text, &mut self.texts);
            hash = hash::text(&self.texts[start..]);
            folded = Span::Texts(start as u32, self.texts.len() as u32);
        }
        self.push(slot, Kind::Text, span, folded, hash);
    }

    #[inline(always)]
    fn push(&mut self, slot: u32, kind: Kind, text: Span, folded: Span, hash: u64) {
        let seen = &mut self.slots[slot as usize];
        self.values.push(SeenValue {
            slot,
            previous: seen.latest,
            kind,
            text,
            folded,
            hash,
        });
        seen.several = seen.latest != 0;
        seen.latest = self.values.len() as u32;
    }
}
