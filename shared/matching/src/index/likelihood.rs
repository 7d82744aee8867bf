//! How likely a document fulfils each condition, judged by the rules alone: what rules ask for at a place is taken for a
//! sample of what documents have there.

use std::cmp::Ordering;

use memchr::memmem;

use super::build::Set;
use crate::conditions::{Asked, Code, Conditions};
use crate::fold::fold;
use crate::number::Number;
use crate::test::{Comparison, List, Test, TextOperator};

/// For each condition, by its position among all, how likely it is fulfilled: below one, but for what holds of what is not
/// there.
pub(super) fn likelihoods(conditions: &Conditions, slots: usize, sets: &[Set<'_>]) -> Vec<f32> {
    let mut uses = vec![0; conditions.len()];
    for code in sets.iter().flat_map(|set| set.conditions) {
        uses[conditions.ordinal(*code)] += 1;
    }
    let mut samples = vec![Sample::default(); slots];
    let all = || conditions.codes().zip(uses.iter().copied());
    for (code, uses) in all() {
        samples[conditions.slot(code) as usize].count(conditions.asked(code), uses);
    }
    for (code, uses) in all() {
        samples[conditions.slot(code) as usize].add(conditions.asked(code), uses);
    }
    for sample in &mut samples {
        sample.numbers.settle();
    }
    let likely = |(code, uses): (Code, u32)| {
        let sample = &samples[conditions.slot(code) as usize];
        sample.likely(conditions.asked(code), uses)
    };
    all().map(likely).collect()
}

/// Counts as if so many more uses were seen of each place, which ask for something else: of few uses little can be told.
const DOUBT: u32 = 16;

/// What rules ask for at one place.
#[derive(Debug, Clone, Default)]
struct Sample {
    /// How often rules ask for anything.
    uses: u32,
    texts: Texts,
    numbers: Numbers,
}

impl Sample {
    /// Counts what is asked so often; before any of it is added.
    fn count(&mut self, asked: Asked<'_>, uses: u32) {
        self.uses += uses;
        let texts = match asked {
            Asked::Text(operator, _) => {
                self.texts.needles += usize::from(operator == TextOperator::Contains);
                1
            }
            Asked::Other(Test::In(List::Texts(texts))) => texts.len() as u64,
            Asked::Other(_) => 0,
        };
        self.texts.total += u64::from(uses) * texts;
    }

    /// Takes notice of what is asked so often.
    fn add(&mut self, asked: Asked<'_>, uses: u32) {
        match asked {
            Asked::Text(_, text) => self.texts.add(&fold(text), uses),
            Asked::Other(Test::In(List::Texts(texts))) => {
                for text in texts {
                    self.texts.add(text, uses);
                }
            }
            Asked::Other(Test::Compare(_, number, _)) => self.numbers.all.push((*number, uses)),
            Asked::Other(Test::In(List::Numbers(numbers, _))) => {
                let numbers = numbers.iter().map(|number| (*number, uses));
                self.numbers.all.extend(numbers);
            }
            Asked::Other(_) => {}
        }
    }

    /// How likely a condition that is used so often is fulfilled.
    fn likely(&self, asked: Asked<'_>, uses: u32) -> f32 {
        /// By how many bytes a text has that need only be somewhere.
        const ANYWHERE: [f32; 4] = [0.9, 0.6, 0.3, 0.1];
        /// The same of a text at the beginning or the end.
        const AT_END: [f32; 4] = [0.9, 0.3, 0.1, 0.03];
        let share = uses as f32 / (self.uses + DOUBT) as f32;
        let at_least = |least: &[f32], text: &str, likely: f32| {
            likely.max(least.get(text.len()).copied().unwrap_or(0.0))
        };
        let likely = match asked {
            Asked::Text(TextOperator::Equals, _) => share,
            // Of what rules ask for, much is only a part of what documents have.
            Asked::Text(TextOperator::Contains, text) => {
                let within = self.texts.share(TextOperator::Contains, &fold(text));
                at_least(&ANYWHERE, text, 6.0 * within.max(share))
            }
            Asked::Text(operator, text) => {
                let within = self.texts.share(operator, &fold(text));
                at_least(&AT_END, text, 3.0 * within.max(share))
            }
            Asked::Other(test) => match test {
                Test::In(List::Texts(texts)) => share * texts.len() as f32,
                Test::In(List::Numbers(numbers, _)) => share * numbers.len() as f32,
                Test::In(List::Null) => 0.3,
                Test::In(List::Booleans(_)) => 0.5,
                Test::Compare(comparison, number, _) => self.numbers.share(*comparison, *number),
                Test::AtLeast(rank) => [0.95, 0.9, 0.6, 0.35, 0.15]
                    .get(usize::from(*rank))
                    .copied()
                    .unwrap_or(0.95),
                Test::Cidr(networks) => 0.05 * networks.len() as f32,
                Test::Matches(pattern) => {
                    let likely = |text: &str| {
                        let within = self.texts.share(TextOperator::Contains, text);
                        // It costs more to be sure of it than of others.
                        at_least(&ANYWHERE, text, f32::max(0.1, 6.0 * within))
                    };
                    let all = pattern.literals.iter().map(|text| likely(text));
                    all.fold(0.9, f32::min)
                }
                Test::Exists(true) => 0.7,
                Test::NotIn(_) => 0.9,
                Test::Exists(false) => return 1.0,
            },
        };
        likely.min(0.95)
    }
}

/// Some of the texts that rules ask for at one place, drawn at even distances from all their uses.
#[derive(Debug, Clone, Default)]
struct Texts {
    /// Folded, one behind the other, with a zero behind each.
    all: Vec<u8>,
    /// Behind each text, and how often it was drawn.
    ends: Vec<(usize, u32)>,
    /// How often texts are asked for in all, and how often those were that were added so far.
    total: u64,
    uses: u64,
    /// Texts that others are asked to have.
    needles: usize,
    /// How often any text was drawn, and how often one that is kept.
    drawn: u64,
    kept: u32,
}

impl Texts {
    /// Texts that are drawn.
    const MOST: u64 = 256;
    /// Bytes of them that are kept in all.
    const MOST_BYTES: usize = 1 << 13;
    /// Bytes that are gone through for all needles together: of many, each is looked for in fewer texts.
    const MOST_WORK: usize = 1 << 28;
    /// Bytes that are kept of the beginning of a text, and of its end, if it is longer than both together.
    const PART: usize = 48;

    /// Takes notice of a folded text that is asked for so often.
    fn add(&mut self, text: &str, uses: u32) {
        self.uses += u64::from(uses);
        let drawn = self.uses * Self::MOST / self.total.max(Self::MOST);
        let times = (drawn - self.drawn) as u32;
        self.drawn = drawn;
        let bytes = text.as_bytes();
        let (start, end) = match bytes.len() {
            length if length > 2 * Self::PART => {
                (&bytes[..Self::PART], &bytes[length - Self::PART..])
            }
            _ => (bytes, &[][..]),
        };
        let room = (Self::MOST_WORK / self.needles.max(1)).min(Self::MOST_BYTES);
        if times > 0 && self.all.len() + start.len() + end.len() < room {
            self.all.extend_from_slice(start);
            self.all.extend_from_slice(end);
            self.all.push(0);
            self.ends.push((self.all.len(), times));
            self.kept += times;
        }
    }

    /// Which share of them is so related to a folded text.
    fn share(&self, operator: TextOperator, expected: &str) -> f32 {
        let expected = expected.as_bytes();
        let related = match operator {
            TextOperator::Contains => self.containing(expected),
            TextOperator::StartsWith => self.those(|text| text.starts_with(expected)),
            TextOperator::EndsWith => self.those(|text| text.ends_with(expected)),
            TextOperator::Equals => self.those(|text| text == expected),
        };
        related as f32 / (self.kept + DOUBT) as f32
    }

    fn those(&self, are: impl Fn(&[u8]) -> bool) -> u32 {
        let mut start = 0;
        let mut related = 0;
        for (end, drawn) in &self.ends {
            if are(&self.all[start..end - 1]) {
                related += drawn;
            }
            start = *end;
        }
        related
    }

    fn containing(&self, expected: &[u8]) -> u32 {
        let finder = memmem::Finder::new(expected);
        let (mut at, mut related) = (0, 0);
        while let Some(found) = finder.find(&self.all[at..]) {
            let text = self.ends.partition_point(|(end, _)| *end <= at + found);
            let Some((end, drawn)) = self.ends.get(text) else {
                break;
            };
            related += drawn;
            at = *end;
        }
        related
    }
}

/// The numbers that rules compare with at one place, and how often.
#[derive(Debug, Clone, Default)]
struct Numbers {
    /// In order once settled, each with the uses of all up to it.
    all: Vec<(Number, u32)>,
}

impl Numbers {
    fn settle(&mut self) {
        self.all
            .sort_unstable_by(|(left, _), (right, _)| left.compare(*right));
        let mut sum = 0;
        for (_, uses) in &mut self.all {
            sum += *uses;
            *uses = sum;
        }
    }

    /// Which share of them is so related to one of them.
    fn share(&self, comparison: Comparison, number: Number) -> f32 {
        // What is the same counts half.
        let uses = |at: usize| at.checked_sub(1).map_or(0, |last| self.all[last].1) as f32;
        let below = self
            .all
            .partition_point(|(other, _)| other.compare(number) == Ordering::Less);
        let up_to = self
            .all
            .partition_point(|(other, _)| other.compare(number) != Ordering::Greater);
        let less = f32::midpoint(uses(below), uses(up_to));
        let all = uses(self.all.len());
        let related = match comparison {
            Comparison::Greater | Comparison::GreaterOrEqual => all - less,
            Comparison::Less | Comparison::LessOrEqual => less,
        };
        let doubt = DOUBT as f32;
        (related + doubt / 2.0) / (all + doubt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Condition, Operator};
    use crate::conditions::Gatherer;
    use serde_json::{Value, json};

    /// How likely each condition is, if a rule asks for nothing else.
    fn of(all: &[(Operator, Value)]) -> Vec<f32> {
        let asked: Vec<Condition> = all
            .iter()
            .map(|(operator, value)| Condition {
                field: "field".to_owned(),
                operator: *operator,
                value: value.clone(),
                value_type: None,
            })
            .collect();
        let mut gatherer = Gatherer::new();
        let codes: Vec<Code> = asked
            .iter()
            .map(|condition| gatherer.add(condition).unwrap())
            .collect();
        let (conditions, trie) = gatherer.finish();
        let (_, slots) = trie.finish();
        let sets: Vec<Set<'_>> = (0..)
            .zip(codes.chunks(1))
            .map(|(rule, conditions)| Set { rule, conditions })
            .collect();
        let likely = likelihoods(&conditions, slots as usize, &sets);
        codes
            .iter()
            .map(|code| likely[conditions.ordinal(*code)])
            .collect()
    }

    fn buckets(count: usize) -> impl Iterator<Item = (Operator, Value)> {
        (0..count).map(|bucket| {
            (
                Operator::Equals,
                json!(format!("arn:aws:s3:::bucket-{bucket}")),
            )
        })
    }

    #[test]
    fn what_is_part_of_most_that_rules_ask_for_is_likely() {
        let parts = [
            (Operator::StartsWith, json!("ARN:aws:")),
            (Operator::StartsWith, json!("arn:aws:iam")),
            (Operator::Contains, json!("Bucket")),
            (Operator::Contains, json!("basket")),
            (Operator::EndsWith, json!("7")),
            (Operator::EndsWith, json!("tennant")),
        ];
        let all: Vec<_> = parts.into_iter().chain(buckets(1_000)).collect();
        let likely = of(&all);
        let [arn, iam, bucket, basket, seven, tennant, one, ..] = likely[..] else {
            panic!("all have a likelihood");
        };
        assert_eq!([arn, bucket], [0.95; 2]);
        assert!(
            [iam, basket, tennant, one].iter().all(|rare| *rare < 0.03),
            "{iam} {basket} {tennant} {one}"
        );
        assert!((0.2..0.5).contains(&seven), "{seven}");
    }

    #[test]
    fn a_number_is_as_likely_as_those_that_rules_compare_with() {
        let above = |number: i64| (Operator::GreaterThan, json!(number));
        let all: Vec<_> = (1..=1_000)
            .map(above)
            .chain([(Operator::LessThanOrEqual, json!(100))])
            .collect();
        let likely = of(&all);
        assert!(
            likely[0] > 0.94 && likely[999] < 0.02,
            "{} {}",
            likely[0],
            likely[999]
        );
        assert!((0.45..0.55).contains(&likely[499]), "{}", likely[499]);
        assert!((0.08..0.12).contains(&likely[1_000]), "{}", likely[1_000]);
    }

    #[test]
    fn little_is_concluded_from_few_rules() {
        let likely = of(&[
            (Operator::Equals, json!("prod")),
            (Operator::Contains, json!("production")),
            (Operator::GreaterThan, json!(7)),
            (Operator::Exists, json!(false)),
        ]);
        let [equals, contains, greater, exists] = likely[..] else {
            panic!("all have a likelihood");
        };
        assert!(
            equals < contains && contains < greater && greater < exists,
            "{likely:?}"
        );
        assert_eq!(exists, 1.0);
    }

    #[test]
    fn of_long_texts_the_beginning_and_the_end_are_known() {
        let texts = (0..300).map(|number| {
            let text = format!("begin{}{number}end", "long".repeat(10_000));
            (Operator::Equals, json!(text))
        });
        let parts = [
            (Operator::StartsWith, json!("beginlong")),
            (Operator::EndsWith, json!("end")),
            (Operator::Contains, json!("longlong")),
        ];
        let likely = of(&parts.into_iter().chain(texts).collect::<Vec<_>>());
        assert_eq!(likely[..3], [0.95; 3]);
    }

    #[test]
    fn every_text_of_a_list_counts() {
        let lists = (0..10).map(|list| {
            let texts: Vec<String> = (0..1_000)
                .map(|text| format!("bucket-{list}-{text}"))
                .collect();
            (Operator::In, json!(texts))
        });
        let parts = [
            (Operator::StartsWith, json!("bucket-")),
            (Operator::StartsWith, json!("bucket-9-")),
        ];
        let likely = of(&parts.into_iter().chain(lists).collect::<Vec<_>>());
        assert_eq!(likely[0], 0.95);
        assert!((0.2..0.35).contains(&likely[1]), "{}", likely[1]);
    }
}
