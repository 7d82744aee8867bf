use fearless_simd::Level;

use crate::near;

/// A hash table from 64-bit hashes to numbers, built once: open addressing, eight bytes an entry.
///
/// It keeps half of the hash, so what it finds is to be confirmed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// Two more than are used, so that two can always be looked at.
    entries: Vec<Entry>,
    /// How many entries a search may start at.
    starts: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    tag: u32,
    /// One above the number; zero where there is none.
    value: u32,
}

impl Table {
    /// Room for so many hashes and no more.
    pub(crate) fn with_room(hashes: usize) -> Self {
        // Most of it stays free: lookups that find nothing end at the first free entry.
        let starts = 3 * hashes + 1;
        Self {
            entries: vec![Entry::default(); starts + 2],
            starts: starts as u64,
        }
    }

    /// Enters a number, unless one is found already where this hash is looked up: then returns that one.
    ///
    /// The other may have been entered under another hash of which the kept half is the same.
    pub(crate) fn insert(&mut self, hash: u64, value: u32) -> Option<u32> {
        if let Some(other) = self.get(hash) {
            return Some(other);
        }
        let start = self.start(hash);
        let free = self.entries[start..]
            .iter()
            .position(|entry| entry.value == 0);
        let at = start + free.expect("the last two entries are free");
        self.entries[at] = Entry {
            tag: hash as u32,
            value: value + 1,
        };
        if at + 2 >= self.entries.len() {
            self.entries.resize(at + 3, Entry::default());
        }
        None
    }

    /// Puts others in the place of all numbers.
    pub(crate) fn replace(&mut self, other: impl Fn(u32) -> u32) {
        self.entries.shrink_to_fit();
        for entry in self.entries.iter_mut().filter(|entry| entry.value != 0) {
            entry.value = other(entry.value - 1) + 1;
        }
    }

    /// What was entered under a hash.
    pub(crate) fn get(&self, hash: u64) -> Option<u32> {
        self.one_above(hash).checked_sub(1)
    }

    /// One above what was entered under a hash; zero if nothing was.
    #[inline(always)]
    pub(crate) fn one_above(&self, hash: u64) -> u32 {
        let start = self.start(hash);
        let two = self.entries.get(start..).and_then(<[Entry]>::first_chunk);
        let Some([first, second]) = two else {
            return 0;
        };
        let tag = hash as u32;
        // Which of the two it is cannot be foreseen, so it is found out without branching.
        let second_value = if second.tag == tag { second.value } else { 0 };
        let value = if first.tag == tag {
            first.value
        } else {
            second_value
        };
        if (value == 0) & (first.value != 0) & (second.value != 0) {
            return self.one_above_behind(start + 2, tag);
        }
        value
    }

    #[inline(never)]
    fn one_above_behind(&self, start: usize, tag: u32) -> u32 {
        let mut entries = self.entries[start..].iter();
        let found = entries.find(|entry| entry.value == 0 || entry.tag == tag);
        found.map_or(0, |entry| entry.value)
    }

    /// Has the processor bring near what [`Table::one_above`] will look at.
    #[inline(always)]
    pub(crate) fn fetch(&self, level: Level, hash: u64) {
        near::fetch(level, &self.entries, self.start(hash));
    }

    /// Spreads the upper half of the hash evenly over the entries.
    #[inline(always)]
    fn start(&self, hash: u64) -> usize {
        (((hash >> 32) * self.starts) >> 32) as usize
    }

    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_entered_is_found() {
        let hashes: Vec<u64> = (0..10_000u64)
            .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .collect();
        let mut table = Table::with_room(hashes.len());
        for (value, hash) in (0..).zip(&hashes) {
            assert_eq!(table.insert(*hash, value), None);
        }
        for (value, hash) in (0..).zip(&hashes) {
            assert_eq!(table.get(*hash), Some(value));
        }
        assert_eq!(table.get(1), None);
        assert_eq!(Table::default().get(1), None);
    }

    #[test]
    fn what_does_not_fit_goes_behind() {
        let mut table = Table::with_room(3);
        for value in 0..40 {
            let hash = u64::MAX << 32 | u64::from(value) << 8;
            assert_eq!(table.insert(hash, value), None);
        }
        for value in 0..40 {
            assert_eq!(
                table.get(u64::MAX << 32 | u64::from(value) << 8),
                Some(value)
            );
        }
        assert_eq!(table.get(u64::MAX << 32 | 7), None);
    }

    #[test]
    fn hashes_with_the_same_half_do_not_hide_each_other() {
        let mut table = Table::with_room(8);
        assert_eq!(table.insert(0x0000_0001_0000_0007, 3), None);
        assert_eq!(table.insert(0x0000_0002_0000_0007, 4), Some(3));
        assert_eq!(table.get(0x0000_0002_0000_0007), Some(3));
        table.replace(|value| value + 2);
        assert_eq!(table.get(0x0000_0001_0000_0007), Some(5));
    }
}
