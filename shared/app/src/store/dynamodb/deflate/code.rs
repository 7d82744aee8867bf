/// A prefix code: for each symbol how many bits it takes, and which.
pub(super) struct Code {
    lengths: Vec<u8>,
    /// The bits, and above sixteen of them their number.
    words: Vec<u32>,
}

impl Code {
    /// The code that fits symbols that occur so often, with no more than `most` bits for any.
    pub(super) fn fit(counts: &[u32], most: u8) -> Self {
        let mut counts = counts.to_vec();
        // A code of fewer than two symbols is not complete, which not everybody reads.
        for symbol in [0, 1] {
            if counts.iter().filter(|&&count| count > 0).count() < 2 {
                counts[symbol] = counts[symbol].max(1);
            }
        }
        let mut lengths = lengths(&counts);
        while lengths.iter().any(|&length| length > most) {
            for count in &mut counts {
                *count = count.div_ceil(2);
            }
            lengths = self::lengths(&counts);
        }
        let words = bits(&lengths).into_iter().zip(&lengths);
        let words = words.map(|(bits, length)| u32::from(bits) | u32::from(*length) << 16);
        Self {
            words: words.collect(),
            lengths,
        }
    }

    /// Number and value of the bits of a symbol.
    #[inline(always)]
    pub(super) fn of(&self, symbol: usize) -> (u32, u32) {
        let word = self.words[symbol];
        (word >> 16, word & 0xffff)
    }

    /// The lengths of all, without those at the end that do not occur; of so many symbols at least.
    pub(super) fn lengths(&self, least: usize) -> &[u8] {
        let last = self.lengths.iter().rposition(|&length| length > 0);
        let count = last.map_or(0, |last| last + 1);
        &self.lengths[..count.max(least)]
    }
}

/// How deep each symbol is in the tree of Huffman; those that do not occur are nowhere.
fn lengths(counts: &[u32]) -> Vec<u8> {
    let symbols = counts.iter().enumerate();
    let mut leaves: Vec<(u32, usize)> = symbols
        .filter(|(_, count)| **count > 0)
        .map(|(symbol, count)| (*count, symbol))
        .collect();
    leaves.sort_unstable();
    let mut lengths = vec![0; counts.len()];
    let Some(nodes) = leaves.len().checked_sub(1) else {
        return lengths;
    };
    // Leaves first, then inner nodes as they are made: both come in the order of their weights.
    let mut weights: Vec<u32> = leaves.iter().map(|(count, _)| *count).collect();
    let mut parents = vec![0; leaves.len() + nodes];
    let (mut leaf, mut node) = (0, leaves.len());
    for parent in leaves.len()..leaves.len() + nodes {
        let mut weight = 0;
        for _ in 0..2 {
            let is_leaf = leaf < leaves.len() && (node == parent || weights[leaf] <= weights[node]);
            let lightest = if is_leaf { &mut leaf } else { &mut node };
            weight += weights[*lightest];
            parents[*lightest] = parent;
            *lightest += 1;
        }
        weights.push(weight);
    }
    let mut depths = vec![0; parents.len()];
    for child in (0..parents.len() - 1).rev() {
        depths[child] = depths[parents[child]] + 1;
    }
    for ((_, symbol), depth) in leaves.into_iter().zip(depths) {
        lengths[symbol] = depth;
    }
    lengths
}

/// The codes that lengths stand for (section 3.2.2), their first bit the lowest.
fn bits(lengths: &[u8]) -> Vec<u16> {
    let mut counts = [0; 16];
    for length in lengths {
        counts[usize::from(*length)] += 1;
    }
    counts[0] = 0;
    let (mut code, mut next) = (0, [0; 16]);
    for length in 1..16 {
        code = (code + counts[length - 1]) << 1;
        next[length] = code;
    }
    let code = |length: &u8| {
        let next = &mut next[usize::from(*length)];
        let code: u16 = *next;
        *next = next.wrapping_add(1);
        match length {
            0 => 0,
            _ => code.reverse_bits() >> (16 - length),
        }
    };
    lengths.iter().map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_has_its_codes() {
        let bits = bits(&[3, 3, 3, 3, 3, 2, 4, 4]);
        let read = |(bits, length): (u16, u32)| bits.reverse_bits() >> (16 - length);
        let read: Vec<u16> = bits
            .into_iter()
            .zip([3, 3, 3, 3, 3, 2, 4, 4])
            .map(read)
            .collect();
        assert_eq!(
            read,
            [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]
        );
    }

    #[test]
    fn codes_are_whole_and_no_longer_than_they_may_be() {
        // Weights of Fibonacci make the deepest tree there is.
        let mut counts = vec![1, 1];
        for _ in 2..30 {
            counts.push(counts[counts.len() - 1] + counts[counts.len() - 2]);
        }
        for (counts, most) in [(&counts[..], 15), (&counts[..19], 7), (&[0, 5][..], 7)] {
            let code = Code::fit(counts, most);
            let lengths = code.lengths(0).iter().filter(|length| **length > 0);
            let filled: u32 = lengths.map(|length| 1 << (15 - length)).sum();
            assert_eq!(filled, 1 << 15);
            assert!(code.lengths.iter().all(|length| *length <= most));
        }
    }

    #[test]
    fn what_occurs_more_often_takes_fewer_bits() {
        let code = Code::fit(&[10, 1, 0, 3, 1], 15);
        assert_eq!(code.lengths, [1, 3, 0, 2, 3]);
    }
}
