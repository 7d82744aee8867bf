/// A set of rules, by position, that is emptied in order.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// One bit for each rule.
    rules: Vec<u64>,
    /// One bit for each word of these that is not zero.
    words: Vec<u64>,
}

impl Matches {
    /// Makes room for so many rules.
    pub(crate) fn clear(&mut self, rules: usize) {
        let words = rules.div_ceil(64);
        if self.rules.len() < words {
            self.rules.resize(words, 0);
            self.words.resize(words.div_ceil(64), 0);
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, rule: u32) {
        let word = rule as usize / 64;
        self.rules[word] |= 1 << (rule % 64);
        self.words[word / 64] |= 1 << (word % 64);
    }

    /// Moves all rules to a list, in order.
    pub(crate) fn drain_into(&mut self, list: &mut Vec<usize>) {
        for (at, words) in self.words.iter_mut().enumerate() {
            let mut words = std::mem::take(words);
            while words != 0 {
                let word = 64 * at + words.trailing_zeros() as usize;
                words &= words - 1;
                let mut rules = std::mem::take(&mut self.rules[word]);
                while rules != 0 {
                    list.push(64 * word + rules.trailing_zeros() as usize);
                    rules &= rules - 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_come_out_in_order_and_once() {
        let mut matches = Matches::default();
        let mut list = Vec::new();
        matches.clear(10_000);
        for rule in [9_999, 0, 64, 63, 4_096, 64] {
            matches.add(rule);
        }
        matches.drain_into(&mut list);
        assert_eq!(list, [0, 63, 64, 4_096, 9_999]);
        matches.clear(3);
        matches.add(2);
        list.clear();
        matches.drain_into(&mut list);
        assert_eq!(list, [2]);
    }
}
