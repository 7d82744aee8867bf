use super::seen::Seen;

/// Finds values of slots by hash where there are many and much is asked of them: made of a slot once that was gone through a
/// few times, in room that is used again.
///
/// It is filled by a document, which could be made so that all hashes are the same. Then each look goes through the values as
/// if there were no directory.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// For each slot, one of each [`Form`].
    parts: Vec<Part>,
    /// Parts that are not as they were at first.
    used: Vec<usize>,
    /// One above the entry that comes first of those whose hashes end alike; zero if there is none.
    heads: Vec<u32>,
    entries: Vec<Entry>,
}

/// What values are looked up as.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// By the hash of the folded text.
    Text,
    /// By the key of the number.
    Number,
}

/// How many forms there are.
const FORMS: usize = 2;

/// What is known of a slot.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// How often it was gone through.
    walks: u32,
    /// Where its heads begin, and how many there are, a power of two; none if it is not filled.
    first: u32,
    heads: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    /// Position of the value among all that were seen.
    value: u32,
    /// As in the heads.
    next: u32,
}

/// Values that are gone through in no time.
const FEW: usize = 64;

/// How often as many values are gone through in the time that it takes to fill them in.
const WALKS: u32 = 8;

impl Directory {
    /// Begins a document, for so many slots.
    pub(crate) fn clear(&mut self, slots: usize) {
        for part in self.used.drain(..) {
            self.parts[part] = Part::default();
        }
        self.heads.clear();
        self.entries.clear();
        if self.parts.len() < FORMS * slots {
            self.parts.resize(FORMS * slots, Part::default());
        }
    }

    /// Takes notice that so many values of a slot were gone through.
    #[inline]
    pub(crate) fn went_through(&mut self, slot: u32, form: Form, values: usize) {
        if values > FEW {
            let at = at(slot, form);
            let part = &mut self.parts[at];
            part.walks += 1;
            if part.walks == 1 {
                self.used.push(at);
            }
        }
    }

    /// Whether values of a slot are better looked up than gone through; then they can be.
    #[inline]
    pub(crate) fn looks_up(
        &mut self,
        slot: u32,
        form: Form,
        seen: &Seen,
        hash: impl Fn(u32) -> Option<u64>,
    ) -> bool {
        // Mostly nothing was gone through that has many.
        if self.used.is_empty() {
            return false;
        }
        let part = self.parts[at(slot, form)];
        if part.walks >= WALKS && part.heads == 0 {
            self.fill(slot, form, seen, hash);
        }
        part.walks >= WALKS
    }

    /// Whether values of a slot can be looked up.
    #[cfg(test)]
    pub(crate) fn is_filled(&self, slot: u32, form: Form) -> bool {
        self.parts[at(slot, form)].heads != 0
    }

    #[inline(never)]
    fn fill(&mut self, slot: u32, form: Form, seen: &Seen, hash: impl Fn(u32) -> Option<u64>) {
        let from = self.entries.len();
        let entries = seen.positions_of(slot).filter_map(|value| {
            hash(value).map(|hash| Entry {
                hash: hash as u32,
                value,
                next: 0,
            })
        });
        self.entries.extend(entries);
        let count = (self.entries.len() - from).next_power_of_two();
        let first = self.heads.len();
        self.heads.resize(first + count, 0);
        let heads = &mut self.heads[first..];
        for (above, entry) in (from as u32 + 1..).zip(&mut self.entries[from..]) {
            let head = &mut heads[entry.hash as usize & (count - 1)];
            entry.next = std::mem::replace(head, above);
        }
        let part = &mut self.parts[at(slot, form)];
        (part.first, part.heads) = (first as u32, count as u32);
    }

    /// Positions of the values of a slot that have a hash, or share its lower half. They can be looked up.
    pub(crate) fn alike(&self, slot: u32, form: Form, hash: u32) -> impl Iterator<Item = u32> {
        let part = self.parts[at(slot, form)];
        let head = part.first + (hash & part.heads.wrapping_sub(1));
        let mut next = self.heads.get(head as usize).copied().unwrap_or(0);
        std::iter::from_fn(move || {
            let entry = self.entries[next.checked_sub(1)? as usize];
            next = entry.next;
            Some(entry)
        })
        .filter(move |entry| entry.hash == hash)
        .map(|entry| entry.value)
    }
}

#[inline]
fn at(slot: u32, form: Form) -> usize {
    FORMS * slot as usize + form as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::seen::Kind;

    /// Two slots, of which the first has so many values, with hashes that go round.
    fn filled(values: u32, hash: impl Fn(u32) -> u64) -> Directory {
        let (mut seen, mut directory) = (Seen::default(), Directory::default());
        seen.clear(2);
        directory.clear(2);
        for value in 0..2 * values {
            seen.note(value % 2, Kind::Null);
        }
        for _ in 0..WALKS {
            assert!(!directory.looks_up(0, Form::Text, &seen, |_| None));
            directory.went_through(0, Form::Text, FEW + 1);
        }
        assert!(directory.looks_up(0, Form::Text, &seen, |value| Some(hash(value))));
        assert!(!directory.looks_up(0, Form::Number, &seen, |_| None));
        assert!(!directory.looks_up(1, Form::Text, &seen, |_| None));
        directory
    }

    #[test]
    fn values_are_found_by_their_hash_and_no_others_are() {
        let directory = filled(300, |value| {
            u64::from(value % 100) << 40 | u64::from(value % 100)
        });
        for hash in 0..100 {
            let mut found: Vec<u32> = directory.alike(0, Form::Text, hash).collect();
            found.sort_unstable();
            // The other slot has the odd ones.
            let expected: Vec<u32> = (0..600)
                .step_by(2)
                .filter(|value| value % 100 == hash)
                .collect();
            assert_eq!(found, expected, "{hash}");
        }
        assert_eq!(directory.alike(0, Form::Text, 256).count(), 0);
    }

    #[test]
    fn a_slot_without_any_such_value_has_nothing_to_find() {
        let (mut seen, mut directory) = (Seen::default(), Directory::default());
        seen.clear(1);
        directory.clear(1);
        seen.note(0, Kind::Null);
        for _ in 0..WALKS {
            directory.went_through(0, Form::Number, FEW + 1);
        }
        assert!(directory.looks_up(0, Form::Number, &seen, |_| None));
        assert!(directory.is_filled(0, Form::Number));
        assert_eq!(directory.alike(0, Form::Number, 0).count(), 0);
    }

    #[test]
    fn few_values_are_gone_through_however_often() {
        let (mut seen, mut directory) = (Seen::default(), Directory::default());
        seen.clear(1);
        directory.clear(1);
        for _ in 0..10 * WALKS {
            directory.went_through(0, Form::Text, FEW);
        }
        assert!(!directory.looks_up(0, Form::Text, &seen, |_| None));
    }

    #[test]
    fn another_document_begins_anew() {
        let mut directory = filled(200, |_| 7);
        assert_eq!(directory.alike(0, Form::Text, 7).count(), 200);
        directory.clear(2);
        assert!(!directory.looks_up(0, Form::Text, &Seen::default(), |_| None));
        assert!(
            directory.used.is_empty() && directory.entries.is_empty() && directory.heads.is_empty()
        );
    }
}
