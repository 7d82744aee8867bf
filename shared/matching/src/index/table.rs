/// A hash table from 64-bit hashes to numbers, built once: open addressing, eight bytes an entry.
///
/// It keeps half of the hash, so what it finds is to be confirmed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    entries: Vec<Entry>,
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
        // Half of it stays free: most lookups find nothing, and end at the first free entry.
        Self {
            entries: vec![Entry::default(); 2 * hashes + 1],
        }
    }

    /// Enters a number, unless one is found already where this hash is looked up: then returns that one.
    ///
    /// The other may have been entered under another hash of which the kept half is the same.
    pub(crate) fn insert(&mut self, hash: u64, value: u32) -> Option<u32> {
        let mut at = self.start(hash);
        while self.entries[at].value != 0 {
            if self.entries[at].tag == hash as u32 {
                return Some(self.entries[at].value - 1);
            }
            at = self.after(at);
        }
        self.entries[at] = Entry {
            tag: hash as u32,
            value: value + 1,
        };
        None
    }

    /// Puts others in the place of all numbers.
    pub(crate) fn replace(&mut self, other: impl Fn(u32) -> u32) {
        for entry in self.entries.iter_mut().filter(|entry| entry.value != 0) {
            entry.value = other(entry.value - 1) + 1;
        }
    }

    #[inline]
    pub(crate) fn get(&self, hash: u64) -> Option<u32> {
        if self.entries.is_empty() {
            return None;
        }
        let mut at = self.start(hash);
        loop {
            let entry = self.entries[at];
            if entry.value == 0 {
                return None;
            }
            if entry.tag == hash as u32 {
                return Some(entry.value - 1);
            }
            at = self.after(at);
        }
    }

    /// Spreads the upper half of the hash evenly over the entries.
    #[inline]
    fn start(&self, hash: u64) -> usize {
        (((hash >> 32) * self.entries.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() {
            0
        } else {
            at + 1
        }
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
    fn hashes_with_the_same_half_do_not_hide_each_other() {
        let mut table = Table::with_room(8);
        assert_eq!(table.insert(0x0000_0001_0000_0007, 3), None);
        assert_eq!(table.insert(0x0000_0002_0000_0007, 4), Some(3));
        assert_eq!(table.get(0x0000_0002_0000_0007), Some(3));
        table.replace(|value| value + 2);
        assert_eq!(table.get(0x0000_0001_0000_0007), Some(5));
    }
}
