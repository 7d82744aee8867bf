//! The beginnings and ends that texts are looked up by.

use super::screen::{Screen, few, hashed};

/// The prefixes, or the suffixes, that are looked up.
#[derive(Debug, Clone)]
pub(super) struct Edges {
    side: Side,
    /// Bytes that each of them has, at most eight.
    common: usize,
    /// What the outermost bytes of a text, so many, may belong to: one bit for each length below sixty-four.
    short: Vec<u64>,
    /// How many of the upper bits of the hash of these bytes are taken.
    shift: u32,
    /// All other lengths.
    long: Vec<u32>,
    /// The innermost bytes of each, up to eight, with its length.
    screen: Screen,
}

/// Where in texts they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Start,
    End,
}

impl Edges {
    pub(super) fn new(side: Side, edges: &[&str]) -> Self {
        let shortest = edges.iter().map(|edge| edge.len()).min();
        let mut new = Self {
            side,
            common: shortest.unwrap_or(1).clamp(1, 8),
            short: Vec::new(),
            shift: 0,
            long: Vec::new(),
            screen: Screen::with_room(edges.len(), 8),
        };
        let outer = |edge: &str| new.outer(edge.len(), edge.as_bytes());
        let mut outers: Vec<u64> = edges.iter().map(|edge| outer(edge)).collect();
        outers.sort_unstable();
        outers.dedup();
        let room = (4 * outers.len()).next_power_of_two().min(1024);
        new.shift = 64 - room.ilog2();
        new.short = vec![0; room];
        for edge in edges {
            let (length, bytes) = (edge.len(), edge.as_bytes());
            if length < 64 {
                let outer = new.outer(length, bytes);
                new.short[hashed(outer, new.shift)] |= 1 << length;
            } else {
                new.long.push(length as u32);
            }
            new.screen.add(new.inner(length, length, bytes));
        }
        new.long.sort_unstable();
        new.long.dedup();
        new.long.shrink_to_fit();
        new
    }

    /// Bytes in all.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + 8 * self.short.len() + 4 * self.long.capacity() + self.screen.bytes()
    }

    /// Where the part of some length begins in a text of so many bytes.
    #[inline(always)]
    pub(super) fn start(&self, text: usize, length: usize) -> usize {
        match self.side {
            Side::Start => 0,
            Side::End => text - length,
        }
    }

    /// The outermost bytes of a text, given its length.
    #[inline(always)]
    fn outer(&self, text: usize, bytes: &[u8]) -> u64 {
        few(&bytes[self.start(text, self.common)..]) & u64::MAX >> (64 - 8 * self.common)
    }

    /// What the part of some length is screened by.
    #[inline(always)]
    fn inner(&self, text: usize, length: usize, bytes: &[u8]) -> u64 {
        let at = match self.side {
            Side::Start => length.saturating_sub(8),
            Side::End => text - length,
        };
        let kept = u64::MAX >> (64 - 8 * length.clamp(1, 8));
        few(&bytes[at..]) & kept ^ (length as u64) << 32
    }

    /// Notes which lengths below sixty-four the parts of a text have that pass; says how many. The text begins the bytes.
    #[inline(always)]
    pub(super) fn short_lengths(
        &self,
        text: usize,
        bytes: &[u8],
        places: &mut [u32; Screen::STRETCH],
    ) -> usize {
        if text < self.common {
            return 0;
        }
        let fit = u64::MAX >> (63 - text.min(63));
        let mut lengths = self.short[hashed(self.outer(text, bytes), self.shift)] & fit;
        let mut count = 0;
        while lengths != 0 {
            let length = lengths.trailing_zeros();
            lengths &= lengths - 1;
            places[count % Screen::STRETCH] = length;
            count += self.screen.passes(self.inner(text, length as usize, bytes));
        }
        count
    }

    /// All other lengths that the parts of a text may have.
    #[inline(always)]
    pub(super) fn long_lengths(&self, text: usize) -> &[u32] {
        &self.long[..self.long.partition_point(|length| *length as usize <= text)]
    }

    /// As [`Edges::short_lengths`], of some of the others.
    pub(super) fn passing(
        &self,
        lengths: &[u32],
        text: usize,
        bytes: &[u8],
        places: &mut [u32; Screen::STRETCH],
    ) -> usize {
        let mut count = 0;
        for length in lengths {
            places[count % Screen::STRETCH] = *length;
            count += self
                .screen
                .passes(self.inner(text, *length as usize, bytes));
        }
        count
    }
}
