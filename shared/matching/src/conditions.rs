use std::collections::HashMap;

use serde_json::Value;

use crate::condition::{Condition, Operator, ValueType};
use crate::document::Document;
use crate::document::seen::wants;
use crate::expectation::Expectation;
use crate::index::trie::TrieBuilder;
use crate::invalid::ConditionFault;
use crate::path::{Path, elements};
use crate::test::{Found, List, Test, TextOperator};

/// Every distinct condition of the rules, once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    fields: Vec<Field>,
    /// Expected texts as the rules spell them, one behind the other.
    spelled: String,
    texts: Vec<TextCondition>,
    others: Vec<OtherCondition>,
}

/// Names a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Code(pub(crate) u32);

/// Marks the codes of conditions that are not about a text.
const OTHER: u32 = 1 << 31;

/// Codes stay below, to leave bits for those who pack them.
const MOST: usize = 1 << 28;

#[derive(Debug, Clone)]
struct Field {
    /// As the rules spell it.
    text: Box<str>,
    path: Path,
    slot: u32,
}

#[derive(Debug, Clone, Copy)]
struct TextCondition {
    field: u32,
    start: u32,
    length: u32,
    operator: TextOperator,
}

#[derive(Debug, Clone)]
struct OtherCondition {
    field: u32,
    operator: Operator,
    /// As the rules spell it.
    expected: Value,
    test: Test,
}

/// What a condition asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked<'a> {
    Text(TextOperator, &'a str),
    Other(&'a Test),
}

impl Conditions {
    pub(crate) fn asked(&self, code: Code) -> Asked<'_> {
        if code.0 & OTHER == 0 {
            let text = &self.texts[code.0 as usize];
            Asked::Text(
                text.operator,
                &self.spelled[text.start as usize..(text.start + text.length) as usize],
            )
        } else {
            Asked::Other(&self.others[(code.0 & !OTHER) as usize].test)
        }
    }

    fn field(&self, code: Code) -> &Field {
        let field = if code.0 & OTHER == 0 {
            self.texts[code.0 as usize].field
        } else {
            self.others[(code.0 & !OTHER) as usize].field
        };
        &self.fields[field as usize]
    }

    /// The slot whose values a condition is asked of.
    pub(crate) fn slot(&self, code: Code) -> u32 {
        self.field(code).slot
    }

    /// The slot that a field leads to, as the rules spell it.
    #[cfg(test)]
    pub(crate) fn slot_of(&self, field: &str) -> Option<u32> {
        let found = self.fields.iter().find(|one| &*one.text == field);
        found.map(|found| found.slot)
    }

    /// Whether one value passes; `buffer` is room for a folded expectation.
    pub(crate) fn passes(&self, code: Code, found: Found<'_>, buffer: &mut Vec<u8>) -> bool {
        match self.asked(code) {
            Asked::Text(operator, expected) => found
                .folded
                .is_some_and(|text| operator.holds(expected, text, buffer)),
            Asked::Other(test) => test.holds(found),
        }
    }

    /// Whether a condition holds of a document, to the letter of the rules for names and without any index.
    pub(crate) fn holds_in(&self, code: Code, document: Document<'_>) -> bool {
        let path = &self.field(code).path;
        if let Asked::Other(Test::Exists(expected)) = self.asked(code) {
            return path.resolve(document, |_| true) == *expected;
        }
        let mut buffer = Vec::new();
        path.resolve(document, |place| {
            elements(place, |value| {
                Found::with(value, |found| self.passes(code, found, &mut buffer))
            })
        })
    }

    /// Calls `look` with the places the field leads to.
    pub(crate) fn resolve<'v>(
        &self,
        code: Code,
        document: Document<'v>,
        look: impl FnMut(&'v Value) -> bool,
    ) -> bool {
        self.field(code).path.resolve(document, look)
    }

    /// Field, operator and expectation as the rules spell them.
    pub(crate) fn spelled(&self, code: Code) -> (&str, Operator, Value) {
        let (operator, expected) = match self.asked(code) {
            Asked::Text(operator, expected) => {
                (operator.operator(), Value::String(expected.to_owned()))
            }
            Asked::Other(_) => {
                let other = &self.others[(code.0 & !OTHER) as usize];
                (other.operator, other.expected.clone())
            }
        };
        (&self.field(code).text, operator, expected)
    }

    /// All codes.
    pub(crate) fn codes(&self) -> impl Iterator<Item = Code> {
        let texts = 0..self.texts.len() as u32;
        let others = 0..self.others.len() as u32;
        texts
            .map(Code)
            .chain(others.map(|other| Code(other | OTHER)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len() + self.others.len()
    }

    /// The position of a code among all.
    pub(crate) fn ordinal(&self, code: Code) -> usize {
        if code.0 & OTHER == 0 {
            code.0 as usize
        } else {
            self.texts.len() + (code.0 & !OTHER) as usize
        }
    }

    /// Bytes on the heap, near enough: regular expressions count with what their text suggests.
    pub(crate) fn bytes(&self) -> usize {
        let fields: usize = self
            .fields
            .iter()
            .map(|field| field.text.len() + field.path.bytes())
            .sum();
        let others: usize = self
            .others
            .iter()
            .map(|other| other.test.bytes() + value_bytes(&other.expected))
            .sum();
        fields
            + others
            + self.fields.capacity() * size_of::<Field>()
            + self.others.capacity() * size_of::<OtherCondition>()
            + self.spelled.capacity()
            + self.texts.capacity() * size_of::<TextCondition>()
    }
}

/// Bytes of an expectation on the heap; it has no objects.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.capacity(),
        Value::Array(values) => {
            let within: usize = values.iter().map(value_bytes).sum();
            values.capacity() * size_of::<Value>() + within
        }
        _ => 0,
    }
}

/// Gathers [`Conditions`]; equal ones get the same code.
pub(crate) struct Gatherer<'a> {
    conditions: Conditions,
    trie: TrieBuilder,
    fields: HashMap<&'a str, u32>,
    texts: HashMap<(u32, TextOperator, &'a str), Code>,
    others: HashMap<(u32, Operator, Option<ValueType>, String), Code>,
}

impl<'a> Gatherer<'a> {
    pub(crate) fn new() -> Self {
        Self {
            conditions: Conditions::default(),
            trie: TrieBuilder::new(),
            fields: HashMap::new(),
            texts: HashMap::new(),
            others: HashMap::new(),
        }
    }

    /// The code of a condition.
    pub(crate) fn add(&mut self, condition: &'a Condition) -> Result<Code, ConditionFault> {
        let expectation = Expectation::of(condition)?;
        let field = self.field(&condition.field)?;
        let all = &mut self.conditions;
        assert!(
            all.texts.len() + all.others.len() < MOST,
            "rules have at most 2^28 distinct conditions"
        );
        Ok(match expectation {
            Expectation::Text(operator, text) => *self
                .texts
                .entry((field, operator, text))
                .or_insert_with(|| {
                    let start = u32::try_from(all.spelled.len())
                        .expect("the texts of all rules take less than 4 GiB");
                    all.spelled.push_str(text);
                    all.texts.push(TextCondition {
                        field,
                        start,
                        length: text.len() as u32,
                        operator,
                    });
                    Code(all.texts.len() as u32 - 1)
                }),
            Expectation::Other(test) => {
                let key = (
                    field,
                    condition.operator,
                    condition.value_type,
                    condition.value.to_string(),
                );
                *self.others.entry(key).or_insert_with(|| {
                    let expected = condition.value.clone();
                    all.others.push(OtherCondition {
                        field,
                        operator: condition.operator,
                        expected,
                        test,
                    });
                    Code((all.others.len() as u32 - 1) | OTHER)
                })
            }
        })
    }

    fn field(&mut self, text: &'a str) -> Result<u32, ConditionFault> {
        if let Some(field) = self.fields.get(text) {
            return Ok(*field);
        }
        let path = Path::parse(text)?;
        let slot = self.trie.slot(&path);
        let field = self.conditions.fields.len() as u32;
        self.conditions.fields.push(Field {
            text: text.into(),
            path,
            slot,
        });
        self.fields.insert(text, field);
        Ok(field)
    }

    pub(crate) fn finish(self) -> (Conditions, TrieBuilder) {
        let mut conditions = self.conditions;
        conditions.fields.shrink_to_fit();
        conditions.spelled.shrink_to_fit();
        conditions.texts.shrink_to_fit();
        conditions.others.shrink_to_fit();
        (conditions, self.trie)
    }
}

impl Asked<'_> {
    /// What must be kept of values so that they can be asked this.
    pub(crate) fn wants(self) -> u8 {
        match self {
            Self::Text(TextOperator::Equals, _) => wants::TEXT | wants::HASH,
            Self::Text(..) => wants::TEXT | wants::FOLDED,
            Self::Other(Test::In(List::Texts(_))) => wants::TEXT | wants::HASH | wants::FOLDED,
            Self::Other(Test::NotIn(List::Texts(_))) => wants::TEXT | wants::FOLDED,
            Self::Other(Test::Matches(pattern)) => {
                if !pattern.literals.is_empty() {
                    wants::TEXT | wants::FOLDED | wants::RAW
                } else {
                    wants::TEXT | wants::RAW
                }
            }
            Self::Other(_) => 0,
        }
    }
}
