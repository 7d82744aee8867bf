//! What is known of the values of each slot at a glance, as numbers that rules ask to lie in a range.
//!
//! A set of conditions mostly fails, and one cannot foresee by which of them. So before they are asked, each is judged by a
//! trait, without branching.

/// What a document is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trait {
    value: u32,
    /// What of the difference to an expected value counts: everything, or nothing if there are several values.
    counts: u32,
}

impl Trait {
    /// Zero if the trait may lie in a range, given where that begins and how many bits its numbers differ in at most.
    #[inline(always)]
    pub(crate) fn beside(self, from: u32, bits: u32) -> u32 {
        self.value.wrapping_sub(from) >> bits & self.counts
    }
}

/// Nothing has the trait, and zero is in hardly any range.
const ABSENT: Trait = Trait {
    value: 0,
    counts: u32::MAX,
};

/// Anything may have the trait.
const SEVERAL: Trait = Trait {
    value: 0,
    counts: 0,
};

/// The lower half of the hash of a text.
pub(crate) const HASH: u32 = 0;
/// What a text begins with.
pub(crate) const FIRST: u32 = 1;
/// What a text ends with.
pub(crate) const LAST: u32 = 2;
/// Whether there is a text.
pub(crate) const TEXT: u32 = 3;
/// Where the highest number lies on the scale of the slot.
pub(crate) const HIGHEST: u32 = 4;
/// Where the lowest one lies, [`flipped`].
pub(crate) const LOWEST: u32 = 5;
/// Nothing is known.
pub(crate) const UNKNOWN: u32 = 6;
/// Whether the others are noted.
const NOTED: u32 = 7;
/// How many kinds there are.
const KINDS: u32 = 8;

/// The trait that every document has.
pub(crate) const ALWAYS: u32 = UNKNOWN;

/// Slots have numbers below.
pub(crate) const MOST_SLOTS: usize = 1 << 22;

/// A place on a scale, counted from the other end, so that what must not be higher must be at least that.
#[inline(always)]
pub(crate) fn flipped(place: u32) -> u32 {
    (u32::MAX >> 1) - place
}

/// The position of a trait.
#[inline(always)]
pub(crate) fn of(slot: u32, kind: u32) -> u32 {
    // Of no slot is what is not known.
    if kind == UNKNOWN {
        ALWAYS
    } else {
        (slot + 1) * KINDS + kind
    }
}

/// The slot of a trait that has one.
#[inline(always)]
pub(crate) fn slot(position: u32) -> u32 {
    position / KINDS - 1
}

/// The slot of a trait, if it has one.
#[inline(always)]
pub(crate) fn slot_of(position: u32) -> Option<u32> {
    (position / KINDS).checked_sub(1)
}

/// The first four bytes, the first of them uppermost.
#[inline(always)]
pub(crate) fn first(text: &[u8]) -> u32 {
    match text.first_chunk() {
        Some(four) => u32::from_be_bytes(*four),
        None => text
            .iter()
            .zip([24, 16, 8])
            .fold(0, |word, (byte, shift)| word | u32::from(*byte) << shift),
    }
}

/// The last four bytes, the last of them uppermost.
#[inline(always)]
pub(crate) fn last(text: &[u8]) -> u32 {
    match text.last_chunk() {
        Some(four) => u32::from_le_bytes(*four),
        None => text
            .iter()
            .rev()
            .zip([24, 16, 8])
            .fold(0, |word, (byte, shift)| word | u32::from(*byte) << shift),
    }
}

/// The traits of one document.
#[derive(Debug, Default)]
pub(crate) struct Traits {
    all: Vec<Trait>,
    /// Slots of which they are noted; most documents nearly match little if there are few rules.
    noted: Vec<u32>,
    /// Whether they are noted of all slots that have values.
    pub(crate) all_noted: bool,
}

impl Traits {
    /// Begins a document, for so many slots; forgets the last one.
    pub(crate) fn clear(&mut self, count: usize) {
        self.all_noted = false;
        let mut noted = std::mem::take(&mut self.noted);
        for slot in noted.drain(..) {
            if let Some(traits) = self.line(slot) {
                *traits = [ABSENT; KINDS as usize];
            }
        }
        self.noted = noted;
        let room = (count + 1) * KINDS as usize;
        if self.all.len() < room {
            self.all.resize(room, ABSENT);
        }
        self.all[ALWAYS as usize] = SEVERAL;
    }

    #[inline(always)]
    fn line(&mut self, slot: u32) -> Option<&mut [Trait; KINDS as usize]> {
        let (lines, _) = self.all.as_chunks_mut();
        lines.get_mut(slot as usize + 1)
    }

    /// Begins to note the traits of a slot; says no if that was done before.
    #[inline(always)]
    pub(crate) fn begin(&mut self, slot: u32) -> bool {
        let Some(traits) = self.line(slot) else {
            return false;
        };
        if traits[NOTED as usize] == SEVERAL {
            return false;
        }
        traits[NOTED as usize] = SEVERAL;
        self.noted.push(slot);
        true
    }

    /// Takes notice of a folded text and its hash.
    #[inline(always)]
    pub(crate) fn add_text(&mut self, slot: u32, text: &[u8], hash: u64) {
        let Some(traits) = self.line(slot) else {
            return;
        };
        let counts = if traits[TEXT as usize] == SEVERAL {
            0
        } else {
            u32::MAX
        };
        for (kind, value) in [
            (HASH, hash as u32),
            (FIRST, first(text)),
            (LAST, last(text)),
        ] {
            traits[kind as usize] = Trait { value, counts };
        }
        traits[TEXT as usize] = SEVERAL;
    }

    /// Takes notice of where the numbers of a slot lie.
    pub(crate) fn set_reach(&mut self, slot: u32, reach: Option<(u32, u32)>) {
        // Nothing that is compared with lies at either end.
        let (lowest, highest) =
            reach.map_or((0, 0), |(lowest, highest)| (flipped(lowest), highest));
        if let Some(traits) = self.line(slot) {
            for (kind, value) in [(LOWEST, lowest), (HIGHEST, highest)] {
                traits[kind as usize] = Trait {
                    value,
                    counts: u32::MAX,
                };
            }
        }
    }

    /// What the lowest number of a slot comes to, and the highest; zero where there are none.
    pub(crate) fn reach(&self, slot: u32) -> (u32, u32) {
        let [lowest, highest] = [LOWEST, HIGHEST].map(|kind| self.all.get(of(slot, kind) as usize));
        let value = |found: Option<&Trait>| found.map_or(0, |found| found.value);
        (value(lowest), value(highest))
    }

    /// All of them, by position.
    #[inline(always)]
    pub(crate) fn all(&self) -> &[Trait] {
        &self.all
    }

    /// Whether a trait that may lie in a range of no zero is known to lie there.
    #[inline(always)]
    pub(crate) fn is_known(&self, position: u32) -> bool {
        self.all[position as usize].counts != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_lie(traits: &Traits, position: u32, from: u32, bits: u32) -> bool {
        traits.all()[position as usize].beside(from, bits) == 0
    }

    #[test]
    fn a_trait_is_absent_known_or_one_of_several() {
        let mut traits = Traits::default();
        traits.clear(2);
        assert_eq!(
            [0, 1, 1].map(|slot| traits.begin(slot)),
            [true, true, false]
        );
        let may = |traits: &Traits, from| may_lie(traits, of(1, FIRST), from, 8);
        assert!(!may(&traits, first(b"abc")));
        assert!(may_lie(&traits, ALWAYS, 1, 0));
        traits.add_text(1, b"abcd", 7);
        assert!(may(&traits, first(b"abc")));
        assert!(!may(&traits, first(b"abd")));
        assert!(may_lie(&traits, of(1, HASH), 7, 0));
        assert!(may_lie(&traits, of(1, LAST), last(b"d"), 24));
        traits.add_text(1, b"x", 8);
        assert!(may(&traits, first(b"abd")));
        assert!(!traits.is_known(of(1, HASH)));
        assert_eq!(traits.reach(0), (0, 0));
        traits.set_reach(0, Some((3, 5)));
        assert_eq!(traits.reach(0), (flipped(3), 5));
        assert!(may_lie(&traits, of(0, HIGHEST), 5, 31));
        assert!(!may_lie(&traits, of(0, HIGHEST), 6, 31));
        assert!(may_lie(&traits, of(0, LOWEST), flipped(3), 31));
        assert!(!may_lie(&traits, of(0, LOWEST), flipped(2), 31));
        traits.set_reach(0, None);
        assert_eq!(traits.reach(0), (0, 0));
        assert_eq!(slot(of(1, LAST)), 1);
        assert_eq!([of(1, LAST), ALWAYS].map(slot_of), [Some(1), None]);
        traits.clear(2);
        assert!(!may(&traits, first(b"abd")));
    }

    #[test]
    fn short_texts_are_filled_up() {
        assert_eq!(first(b"ab"), first(b"ab\0\0"));
        assert_eq!(last(b"ab"), last(b"\0\0ab"));
        assert_eq!(first(b""), 0);
        assert!(first(b"abc") < first(b"abcd"));
    }
}
