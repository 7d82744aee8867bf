//! Conditions over JSON documents: compiled once, where every fault is found; matched without fail; explained on demand.
//!
//! A [`Rule`] is sets of [`Condition`]s, each `field operator value`. [`compile`] checks rules and makes a [`Matcher`];
//! [`Matcher::matches`] says which rules a document matches, [`Matcher::explain`] says why.
//!
//! ```
//! use quench_matching::{Condition, Operator, Rule, Scratch, compile};
//! use serde_json::json;
//!
//! let condition = |field: &str, operator, value| Condition {
//!     field: field.to_owned(),
//!     operator,
//!     value,
//!     value_type: None,
//! };
//! let production = Rule {
//!     name: "production".to_owned(),
//!     sets: vec![vec![
//!         condition("resources.tags.env", Operator::StartsWith, json!("prod")),
//!         condition("severity", Operator::AtLeast, json!("high")),
//!     ]],
//! };
//! let outside = Rule {
//!     name: "outside".to_owned(),
//!     sets: vec![vec![condition("source.ip", Operator::Cidr, json!("203.0.113.0/24"))]],
//! };
//! let matcher = compile(&[production, outside]).expect("valid rules");
//!
//! let event = r#"{"severity": "CRITICAL", "resources": [{"tags": {"Env": "Production"}}]}"#;
//! let mut scratch = Scratch::default();
//! assert_eq!(matcher.matches_bytes(event.as_bytes(), &mut scratch), Ok(&[0][..]));
//!
//! let event = json!({"severity": "low", "source": {"ip": "198.51.100.7"}});
//! assert!(matcher.matches(&event).is_empty());
//! let explanation = matcher.explain(1, &event);
//! assert_eq!(explanation.sets[0].conditions[0].seen, [json!("198.51.100.7")]);
//! ```
//!
//! # Where a condition looks
//! A field is a path: names with dots between, `resources.tags.tier`. A leading `$.` is dropped. A name with special
//! characters goes in quotes, `tags['kubernetes.io/name']` or `tags."kubernetes.io/name"`; within quotes a backslash takes
//! the next character as it is. A name is looked up exactly; where an object has no member of exactly that name, all
//! members are taken whose name is the same but for case.
//!
//! Arrays are entered element by element, at every level: `resources.tags.tier` is asked of every resource. A segment that
//! is a number, `resources[0].id` or `resources.0.id`, picks that element of an array, and is a name in an object. Of the
//! values found, **one that passes is enough**.
//!
//! # What the operators ask
//! A value that is not there, or that cannot be read as the type of the condition, fails every operator, `not_equals` and
//! `not_in` included; only `exists: false` holds of what is not there.
//!
//! | operator | holds if a value found |
//! |---|---|
//! | `equals` | is the expected one; `null` equals `null` only |
//! | `not_equals` | can be read as the type of the expected one and is another; any value but `null` differs from `null` |
//! | `in`, `not_in` | is one of a list, can be read as the type of the list and is none of it |
//! | `contains`, `starts_with`, `ends_with` | is, as text, so related to the expected text |
//! | `greater_than`, `greater_than_or_equal`, `less_than`, `less_than_or_equal` | is, as a number, so related to the expected number |
//! | `at_least` | is, on the scale informational, low, medium, high, critical, the expected severity or worse |
//! | `cidr` | is an IP address in the expected network, or in one of several; an IPv4-mapped IPv6 address counts as IPv4 |
//! | `matches` | has, as text, a part that matches the regular expression ([`regex`] syntax, regardless of case unless it says `(?-i)`) |
//! | `exists` | `true`: there is a value, be it `null`, an object or an empty list; `false`: there is none |
//!
//! # How values are read
//! A condition compares as the type it declares, else as the type of its own JSON value: a text as [`ValueType::String`], a
//! number as [`ValueType::Number`], a boolean as [`ValueType::Boolean`].
//!
//! - **String**: texts; numbers in their shortest decimal form (`5.0` is `5`); booleans as `true` and `false`. Compared
//!   regardless of case, character by character, as [`fold_char`] defines.
//! - **Number**: numbers, and texts that are a decimal number (sign, fraction, exponent allowed; blanks around it ignored).
//!   **Integer**: of these only the whole ones. Whole numbers from -2⁶³ to 2⁶⁴-1 are compared exactly, other numbers as
//!   64-bit floats. An expected number that cannot be held so is refused when compiled.
//! - **Boolean**: booleans, and the texts `true` and `false` in any case.
//!
//! `null` and objects are none of these; they can only be compared with `null`, or asked whether they exist.
//!
//! # How matching is fast
//! What an event costs depends on the values it holds and on the rules that it nearly matches, hardly on how many rules
//! there are.
//!
//! 1. **Survey.** A look at the bytes finds, sixty-four at a time, the quotes and brackets outside strings (Langdale and
//!    Lemire, "Parsing gigabytes of JSON per second", VLDB Journal 2019), with the widest registers that the processor has.
//!    It also notes how many brackets are open, so that the end of a value is found by one comparison a block. It goes on by
//!    a kilobyte whenever the reading asks for more. The first eight are asked of memory before anything else is done, since
//!    waiting for a document takes up to a third as long as all that is done with it.
//! 2. **Reading.** A second pass follows the paths that rules name, as a tree with shared beginnings, notes the values they
//!    lead to, and leaps over all else. Names are expected in the order in which they came in earlier documents, and looked
//!    up only where another one comes. Texts are folded and hashed sixty-four bytes at once, whatever their length, because
//!    that costs less than a wrong guess at it.
//! 3. **Pivots.** Of every set of conditions, the one by which it costs least to look at is its *pivot*, and the set
//!    is filed under it: mostly the one that a document is least likely to fulfil, unless what is left would then be much to
//!    ask. This is the ranked-key method of Yan and Garcia-Molina ("Index structures for selective
//!    dissemination of information under the Boolean model", ACM TODS 1994); Fabret et al. call it the access predicate
//!    ("Filtering algorithms and implementation for very fast publish/subscribe systems", SIGMOD 2001). Beside it, the
//!    counting algorithm of the same authors touches every condition that holds, in our measure a hundred times as many. How
//!    likely a condition is, is judged by the rules alone, by taking what they ask for at a place for a sample of what
//!    documents have there: by how many ask for the same text, for one that begins, ends or is in part so, for a number on
//!    this side of it.
//! 4. **Lookup.** All pivots are keys of one hash table: whole texts, numbers, booleans, severities, network blocks,
//!    beginnings and ends of each length in use, and for `contains` (and the text that a regular expression requires) the
//!    rarest run of eight or four bytes: the screening by fragments of Wu and Manber ("A fast algorithm for multi-pattern
//!    searching", 1994) in place of the automaton of Aho and Corasick, which takes memory for every byte of every needle. Of
//!    runs about as rare, one is taken that has one of few bytes in its middle, if there are such that are rare: then texts
//!    are searched for what the runs have in their middle, three bytes of them at sixty-four places at once (Qiu et al.,
//!    "Teddy", ICPP 2021), and only looked at where that is. The outermost bytes of a text tell which
//!    lengths of beginnings and ends it may have; and one bit says no of nearly all beginnings, ends and runs that are not
//!    wanted. Comparisons lie in order. Conditions that hold of most values, such as `not_equals`, are keys for "there is a
//!    value here"; sets of nothing but `exists: false` are asked of every document.
//! 5. **The rest of a set** lies beside its pivot. It is first judged by traits of the document, one line of memory for each
//!    field: the hash of its text, the first and the last four bytes, and the places of its lowest and its highest number
//!    among all that rules compare with. Every condition becomes a range of numbers in which one trait must lie. What the
//!    first two conditions of each set come to lies side by side for all sets of a pivot, and is judged without a branch, since
//!    a processor cannot foresee which sets fail. What passes is asked: equality by hash and, once for each field and
//!    document, by the text itself; `contains` by its rarest four bytes, then the whole needle; others by their
//!    expectation, once for each condition and document. Where a place has many values and several sets ask what they are
//!    equal to, the values are filed by hash, so that they are not all gone through for each. Sets of which the pivot is a
//!    comparison lie in the order of what they compare with, so those that a document reaches are the first so many.
//!
//! What always holds:
//! - a pivot is a condition that only a value can fulfil;
//! - whatever a hash or a fragment finds is confirmed against the expectation itself before a rule counts as matched;
//! - a name is expected byte by byte: what is not spelled the same takes the slow way, so habits change no result;
//! - a document with an object in which two names lead to the same place (because a name is repeated, or there in several
//!   cases) is parsed, so that the last of equal names counts, and walked with the spelling of the rules in mind; where rules
//!   spell a name in several ways, everything found is confirmed on the parsed document;
//! - the result is sorted, and the same for the same rules and document, by whichever entry.
//!
//! The tests compare with a naive second implementation; `QUENCH_CASES=60000 cargo test --release -p quench-matching --test
//! brute_force` does so for a million pairs of a random rule and a random document.
//!
//! ## Limits
//! An expression is limited to 256 KiB, a document to 128 entered levels and 4 GiB. One in which the texts that rules ask
//! about, with their foldings, come to more than 4 GiB is asked rule by rule. Once a [`Scratch`] has seen documents
//! alike, matching allocates nothing, but for an object with ambiguous names, and for a value parsed before that nests deeper
//! than 128. A matcher does not change: other rules are compiled anew, 100,000 in
//! a tenth to half a second.
//!
//! ## Figures
//! Events a second, reading included, of made-up findings of 5.4 KB on one of two cores of 2.8 GHz, and how often that is what
//! `sonic-rs` does that merely parses, in the same run (`cargo run --release -p quench-matching --example speed`; each goes
//! through 2,000 findings before the next does, the best of 25 rounds counts).
//! `quench bench match` measures beside `serde_json` and beside asking every rule.
//!
//! | rules | 10 | 1,000 | 10,000 | 100,000 |
//! |---|---|---|---|---|
//! | mixed, a hundred matches of 100,000 | 657,000 = 2.1 × | 376,000 = 1.18 × | 241,000 = 0.77 × | 97,000 = 0.31 × |
//! | typical, most with something rare, eight matches | 698,000 = 2.2 × | 429,000 = 1.36 × | 304,000 = 0.98 × | 172,000 = 0.55 × |
//! | selective, each with something rare | 670,000 = 2.1 × | 494,000 = 1.58 × | 339,000 = 1.09 × | 213,000 = 0.69 × |
//! | wide, on every field, texts in arrays too, 170 matches | 298,000 = 0.97 × | 112,000 = 0.39 × | 68,000 = 0.23 × | 23,000 = 0.07 × |
//! | an account each | 824,000 = 2.6 × | 821,000 = 2.6 × | 756,000 = 2.4 × | 641,000 = 2.0 × |
//!
//! Of findings parsed before, 69,000 to 314,000, and 17,000 to 76,000 of the wide mix. At 100,000 rules the index takes 116 to
//! 168 bytes a rule. How fast it is depends on the rules: on how much of a document they have read, and on how many pivots hold
//! of it. Rules as people write them ask for few fields and have conditions in common; those of the wide mix ask for every field
//! that varies and have next to nothing in common.
//!
//! Worst cases, on one of two cores of 2.6 GHz, and how many times as long as `sonic-rs` takes that merely parses the same
//! document, in the same run (`cargo run --release -p quench-matching --example worst`; the best of 25 rounds in turn counts):
//!
//! | case | one document | of parsing it |
//! |---|---|---|
//! | 10,000 rules whose only condition is the same and holds: all are visited | 78 µs | 600 × |
//! | 100,000 rules that share the condition that looks rarest, and each compares a number, in vain | 196 µs | 780 × |
//! | the same, each with a list that the value must not be in, and is | 4.0 ms | 1,800 × |
//! | the same, each with a text that the value must not be, and is not: all match | 2.6 ms | 1,400 × |
//! | 100,000 needles on one path, a text of 220 bytes that has two of them | 1.2 µs | 8 × |
//! | 100,000 needles of 14 letters a and b (16,384 differ), a text of 220 such | 213 µs | 850 × |
//! | 100,000 needles of 24 letters a and b, a text of 220 such | 940 µs | 3,600 × |
//! | 100,000 needles that are runs of a, b and a, a text of 220 letters in such runs | 2.0 ms | 1,000 × |
//! | 1,000 regular expressions on one path, each with some text of its own | 0.4 µs | 3 × |
//! | 1,000 regular expressions that require no text, a text of 25 bytes | 91 µs | 410 × |
//! | the same, a text of 2 KB | 190 µs | 350 × |
//! | 5 MB, most of it 120,000 elements that rules ask about | 6 ms | 0.7 × |
//! | 5 MB of the same that no rule asks about | 1.2 ms | 0.14 × |
//! | 5 MB of the same that rules ask about, and a name that is there twice | 149 ms | 20 × |
//! | 5 MB, 120,000 texts, their name there twice or in two cases, 1,000 rules that match | 18 ms | 6.5 × |
//! | 120,000 texts, 10,000 rules that ask for two of them each | 8.5 ms | 3 × |
//! | 120,000 numbers, 10,000 rules that ask for two of them each | 21 ms | 18 × |
//! | 120,000 texts, 100 rules that ask for one and for parts of others | 14 ms | 5 × |
//! | one text of 5 MB, 100,000 needles, of which it has 68,000 | 36 ms | 32 × |
//! | one text of 5 MB, 100,000 needles of 14 letters a and b (16,384 differ), such a text | 2.2 s | 1,750 × |
//! | one text of 5 MB, 1,000 rules that ask for its beginning, its end, a whole text or another one | 1.0 ms | 1.5 × |
//! | one text of 5 MB, 100 regular expressions that require no text | 10 ms | 13 × |
//! | 100 levels that rules ask about, and 100,000 that none does | 14 µs | `sonic-rs` runs out of stack |
//! | 100 names and as many texts of 40 characters, each character escaped: 28 KB | 102 µs | 6 × |
//! | 4 KB in which a name that rules ask for is there three times | 1.9 µs | 3 × |
//!
//! What costs more the more rules there are:
//! - regular expressions that require no text, such as `a|b`: all are tried on every value at their path;
//! - needles that have no run of eight bytes to themselves: each place of a text where such a run lies leads to all that share
//!   it;
//! - a second condition that is asked of a place with many values and is about a part of a text, an order, a network or a
//!   regular expression: it goes through the values, some 0.1 ms for 120,000 texts, once for each such condition and document.
//!   Only equality is looked up;
//! - a document that has a name in several cases, if rules themselves spell it in several ways: each condition that holds is
//!   asked of the parsed document once more.
#![warn(missing_docs)]

mod condition;
mod conditions;
mod document;
mod expectation;
mod explanation;
mod fold;
mod four;
mod index;
mod invalid;
mod literal;
mod matcher;
mod matches;
mod near;
mod network;
mod number;
mod path;
mod rule;
mod scratch;
mod severity;
mod test;
pub mod workload;

pub use condition::{Condition, Operator, ValueType};
pub use document::{Document, NotJson};
pub use explanation::{ConditionExplanation, Explanation, SetExplanation};
pub use fold::{fold, fold_char};
pub use invalid::{ConditionFault, InvalidCondition, InvalidRule, RuleFault};
pub use matcher::Matcher;
pub use path::InvalidPath;
pub use rule::{Rule, check, compile};
pub use scratch::Scratch;

/// The examples of the readme hold, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
