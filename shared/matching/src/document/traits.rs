//! What is known of the values of each slot at a glance, as numbers that rules ask to lie in a range.
//!
//! A set of conditions mostly fails, and one cannot foresee by which of them. So before they are asked, each is judged by a
//! trait, without branching.

/// What a document is judged by.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trait {
    value: u32,
    /// One of the three below.
    state: u32,
}

/// Nothing has the trait, so no condition on it can hold.
const ABSENT: u32 = 0;
/// The value is known.
const KNOWN: u32 = 1;
/// There are several, so a condition may hold.
const SEVERAL: u32 = 3;

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
/// Where the lowest one lies.
pub(crate) const LOWEST: u32 = 5;
/// Nothing is known.
pub(crate) const UNKNOWN: u32 = 6;
/// How many kinds there are, and some room.
const KINDS: u32 = 8;

/// The trait that every document has.
pub(crate) const ALWAYS: u32 = UNKNOWN;

/// Slots have numbers below.
pub(crate) const MOST_SLOTS: usize = 1 << 24;

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
    /// Whether those of the document at hand are noted; most documents nearly match nothing if there are few rules.
    pub(crate) noted: bool,
}

impl Traits {
    /// Begins a document, for so many slots; forgets the last one, which had values of `slots`.
    pub(crate) fn clear(&mut self, slots: impl Iterator<Item = u32>, count: usize) {
        if std::mem::take(&mut self.noted) {
            for slot in slots {
                if let Some(traits) = self.line(slot) {
                    *traits = [Trait::default(); KINDS as usize];
                }
            }
        }
        let room = (count + 1) * KINDS as usize;
        if self.all.len() < room {
            self.all.resize(room, Trait::default());
        }
        self.all[ALWAYS as usize].state = SEVERAL;
    }

    #[inline(always)]
    fn line(&mut self, slot: u32) -> Option<&mut [Trait; KINDS as usize]> {
        let (lines, _) = self.all.as_chunks_mut();
        lines.get_mut(slot as usize + 1)
    }

    /// Takes notice of a folded text and its hash.
    #[inline(always)]
    pub(crate) fn add_text(&mut self, slot: u32, text: &[u8], hash: u64) {
        let Some(traits) = self.line(slot) else {
            return;
        };
        let state = if traits[TEXT as usize].state == ABSENT {
            KNOWN
        } else {
            SEVERAL
        };
        for (kind, value) in [
            (HASH, hash as u32),
            (FIRST, first(text)),
            (LAST, last(text)),
        ] {
            traits[kind as usize] = Trait { value, state };
        }
        traits[TEXT as usize] = Trait {
            value: 0,
            state: SEVERAL,
        };
    }

    /// Takes notice of where the numbers of a slot lie.
    pub(crate) fn set_reach(&mut self, slot: u32, (lowest, highest): (u32, u32)) {
        if let Some(traits) = self.line(slot) {
            for (kind, value) in [(LOWEST, lowest), (HIGHEST, highest)] {
                traits[kind as usize] = Trait {
                    value,
                    state: KNOWN,
                };
            }
        }
    }

    /// From the lowest number of a slot to the highest, if any was noticed.
    pub(crate) fn reach(&self, slot: u32) -> Option<(u32, u32)> {
        let [lowest, highest] = [LOWEST, HIGHEST].map(|kind| self.all.get(of(slot, kind) as usize));
        let (lowest, highest) = (lowest?, highest?);
        (highest.state == KNOWN).then_some((lowest.value, highest.value))
    }

    /// Whether a trait may lie in a range, given where that begins and how many more numbers it has.
    #[inline(always)]
    pub(crate) fn may_lie(&self, position: u32, from: u32, span: u32) -> bool {
        let Trait { value, state } = self.all[position as usize];
        let within = u32::from(value.wrapping_sub(from) <= span);
        state & (within | state >> 1) & 1 == 1
    }

    /// Whether a trait is known for sure.
    #[inline(always)]
    pub(crate) fn is_known(&self, position: u32) -> bool {
        self.all[position as usize].state == KNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trait_is_absent_known_or_one_of_several() {
        let mut traits = Traits::default();
        traits.clear(std::iter::empty(), 2);
        traits.noted = true;
        let may = |traits: &Traits, from| traits.may_lie(of(1, FIRST), from, 0xFF);
        assert!(!may(&traits, first(b"abc")));
        assert!(traits.may_lie(ALWAYS, 1, 0));
        traits.add_text(1, b"abcd", 7);
        assert!(may(&traits, first(b"abc")));
        assert!(!may(&traits, first(b"abd")));
        assert!(traits.may_lie(of(1, HASH), 7, 0));
        assert!(traits.may_lie(of(1, LAST), last(b"d"), 0xFF_FFFF));
        traits.add_text(1, b"x", 8);
        assert!(may(&traits, first(b"abd")));
        assert!(!traits.is_known(of(1, HASH)));
        traits.set_reach(0, (3, 5));
        assert_eq!(traits.reach(0), Some((3, 5)));
        assert!(traits.may_lie(of(0, HIGHEST), 5, u32::MAX - 5));
        assert!(!traits.may_lie(of(0, HIGHEST), 6, u32::MAX - 6));
        assert!(!traits.may_lie(of(0, LOWEST), 0, 2));
        assert_eq!(slot(of(1, LAST)), 1);
        traits.clear([0, 1].into_iter(), 2);
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
