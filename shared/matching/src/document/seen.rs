use std::cell::{Cell, RefCell};

use crate::fold::fold_into;
use crate::index::hash;
use crate::number::Number;
use crate::test::{Found, Scalar};

/// What is to be kept of the values of a slot, one bit each.
pub(crate) mod wants {
    /// The text form of numbers and booleans.
    pub(crate) const TEXT: u8 = 1;
    /// The folded text.
    pub(crate) const FOLDED: u8 = 2;
    /// The hash of the folded text.
    pub(crate) const HASH: u8 = 4;
}

/// The values of one document that rules ask about.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) values: Vec<SeenValue>,
    /// For each slot one above the position of its latest value; zero if there is none.
    heads: Vec<u32>,
    /// Texts that are not in the document as such: unescaped, folded, or written out.
    texts: String,
    /// Which grams of four bytes a text has: bits of their hashes.
    sketches: RefCell<Vec<Sketch>>,
}

type Sketch = [u64; 16];

/// Longer texts fill their sketch, so they get none.
const SKETCHED: usize = 1000;

/// Where a gram has its bit in a sketch.
#[inline]
fn bit(gram: u32) -> (usize, u64) {
    let hash = gram.wrapping_mul(0x9E37_79B1) >> 22;
    (hash as usize / 64, 1 << (hash % 64))
}

#[derive(Debug, Clone)]
pub(crate) struct SeenValue {
    pub(crate) slot: u32,
    /// One above the position of the value before it in the slot; zero if there is none.
    previous: u32,
    pub(crate) kind: Kind,
    text: Span,
    folded: Span,
    /// Of the folded text.
    pub(crate) hash: u64,
    /// A condition that asks for this very text, once one was found to.
    pub(crate) equals: Cell<u32>,
    /// One above the position of its sketch; zero while it has none.
    sketch: Cell<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Null,
    Boolean(bool),
    Number(Number),
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
            self.heads[value.slot as usize] = 0;
        }
        self.values.clear();
        self.texts.clear();
        self.sketches.get_mut().clear();
        if self.heads.len() < slots {
            self.heads.resize(slots, 0);
        }
    }

    /// Whether the slot has a value, of whatever kind.
    #[inline]
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.heads[slot as usize] != 0
    }

    /// Whether the slot has more than one value.
    #[inline]
    pub(crate) fn has_several(&self, slot: u32) -> bool {
        let latest = self.heads[slot as usize].checked_sub(1);
        latest.is_some_and(|latest| self.values[latest as usize].previous != 0)
    }

    /// The values of a slot, latest first.
    #[inline]
    pub(crate) fn of(&self, slot: u32) -> impl Iterator<Item = &SeenValue> {
        let mut next = self.heads[slot as usize];
        std::iter::from_fn(move || {
            let value = &self.values[next.checked_sub(1)? as usize];
            next = value.previous;
            Some(value)
        })
    }

    /// A value in the forms it is compared in; nothing for an array.
    #[inline]
    pub(crate) fn found<'a>(&'a self, value: &SeenValue, document: &'a [u8]) -> Option<Found<'a>> {
        let text = self.text(value.text, document);
        let scalar = match value.kind {
            Kind::Null => Scalar::Null,
            Kind::Boolean(boolean) => Scalar::Boolean(boolean),
            Kind::Number(number) => Scalar::Number(number),
            Kind::Text => Scalar::Text(text?),
            Kind::Object => Scalar::Object,
            Kind::Array => return None,
        };
        Some(Found {
            scalar,
            text,
            folded: self.text(value.folded, document),
        })
    }

    /// The bytes of the folded text of a value; none if it has no such text.
    #[inline]
    pub(crate) fn folded(&self, value: &SeenValue) -> &[u8] {
        match value.folded {
            Span::Texts(start, end) => &self.texts.as_bytes()[start as usize..end as usize],
            // Foldings are never in the document.
            Span::Nowhere | Span::Document(..) => &[],
        }
    }

    /// Whether the folded text of a value may have these four bytes somewhere.
    pub(crate) fn may_have(&self, value: &SeenValue, gram: u32) -> bool {
        let text = self.folded(value);
        if text.len() > SKETCHED {
            return true;
        }
        let mut sketches = self.sketches.borrow_mut();
        if value.sketch.get() == 0 {
            let mut sketch = Sketch::default();
            for four in text.windows(4) {
                let (word, bit) = bit(u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
                sketch[word] |= bit;
            }
            sketches.push(sketch);
            value.sketch.set(sketches.len() as u32);
        }
        let (word, bit) = bit(gram);
        sketches[value.sketch.get() as usize - 1][word] & bit != 0
    }

    #[inline]
    fn text<'a>(&'a self, span: Span, document: &'a [u8]) -> Option<&'a str> {
        match span {
            Span::Nowhere => None,
            Span::Document(start, end) => {
                let bytes = &document[start as usize..end as usize];
                Some(std::str::from_utf8(bytes).expect("the document was checked to be UTF-8"))
            }
            Span::Texts(start, end) => Some(&self.texts[start as usize..end as usize]),
        }
    }

    /// Notes a value that has no text.
    #[inline]
    pub(crate) fn note(&mut self, slot: u32, kind: Kind) {
        self.push(slot, kind, Span::Nowhere, Span::Nowhere, 0);
    }

    /// Notes a number or a boolean.
    pub(crate) fn note_scalar(&mut self, slot: u32, wanted: u8, kind: Kind) {
        let scalar = match kind {
            Kind::Number(number) => Scalar::Number(number),
            Kind::Boolean(boolean) => Scalar::Boolean(boolean),
            _ => return self.note(slot, kind),
        };
        if wanted == 0 {
            return self.note(slot, kind);
        }
        let start = self.texts.len();
        scalar.write_text(&mut self.texts);
        // Numbers may have an `E` for the exponent; they write it small, so the text is its own folding.
        let span = Span::Texts(start as u32, self.texts.len() as u32);
        let hash = hash::text(&self.texts.as_bytes()[start..]);
        self.push(slot, kind, span, span, hash);
    }

    /// Notes a text that lies in the document from `start` to `end`, ASCII only.
    #[inline]
    pub(crate) fn note_ascii(
        &mut self,
        slot: u32,
        wanted: u8,
        document: &[u8],
        start: usize,
        end: usize,
    ) {
        let bytes = &document[start..end];
        let hash = if wanted & wants::HASH == 0 {
            0
        } else {
            hash::text(bytes)
        };
        let mut folded = Span::Nowhere;
        if wanted & wants::FOLDED != 0 {
            let from = self.texts.len();
            self.texts
                .push_str(std::str::from_utf8(bytes).expect("ASCII is UTF-8"));
            self.texts[from..].make_ascii_lowercase();
            folded = Span::Texts(from as u32, self.texts.len() as u32);
        }
        self.push(
            slot,
            Kind::Text,
            Span::Document(start as u32, end as u32),
            folded,
            hash,
        );
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
        self.fold(slot, wanted, span, |texts| fold_into(text, texts));
    }

    /// Notes a text that is not to be found in the document.
    pub(crate) fn note_text(&mut self, slot: u32, wanted: u8, text: &str) {
        let start = self.texts.len();
        self.texts.push_str(text);
        let span = Span::Texts(start as u32, self.texts.len() as u32);
        self.fold(slot, wanted, span, |texts| fold_into(text, texts));
    }

    fn fold(&mut self, slot: u32, wanted: u8, text: Span, fold: impl FnOnce(&mut String)) {
        let (mut folded, mut hash) = (Span::Nowhere, 0);
        if wanted & (wants::HASH | wants::FOLDED) != 0 {
            let start = self.texts.len();
            fold(&mut self.texts);
            hash = hash::text(&self.texts.as_bytes()[start..]);
            folded = Span::Texts(start as u32, self.texts.len() as u32);
        }
        self.push(slot, Kind::Text, text, folded, hash);
    }

    #[inline]
    fn push(&mut self, slot: u32, kind: Kind, text: Span, folded: Span, hash: u64) {
        let head = &mut self.heads[slot as usize];
        self.values.push(SeenValue {
            slot,
            previous: *head,
            kind,
            text,
            folded,
            hash,
            equals: Cell::new(u32::MAX),
            sketch: Cell::new(0),
        });
        *head = self.values.len() as u32;
    }
}
