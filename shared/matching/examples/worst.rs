//! Rules and documents that defeat one part of the index each, in alternating rounds with merely parsing the same document:
//! the best rounds of each, and how they compare.
//!
//! `cargo run --release -p quench-matching --example worst [-- PART-OF-A-NAME]...`

#![allow(clippy::print_stdout, reason = "it is there to print")]
use std::hint::black_box;
use std::time::{Duration, Instant};

use quench_matching::{Condition, Operator, Rule, Scratch, compile};
use serde_json::{Value, json};

const ROUNDS: usize = 25;
/// What no case takes more of, unless that is three rounds.
const ENOUGH: Duration = Duration::from_secs(4);

/// Rules that are asked of one document.
struct Case {
    name: &'static str,
    rules: fn() -> Vec<Rule>,
    document: fn() -> String,
    /// Not so if the document is nested deeper than the parser can go.
    parses: bool,
}

fn asked(field: &str, operator: Operator, value: impl Into<Value>) -> Condition {
    Condition {
        field: field.to_owned(),
        operator,
        value: value.into(),
        value_type: None,
    }
}

/// So many rules of one set each.
fn rules(count: usize, conditions: impl Fn(usize) -> Vec<Condition>) -> Vec<Rule> {
    let rules = (0..count).map(|number| Rule {
        name: number.to_string(),
        sets: vec![conditions(number)],
    });
    rules.collect()
}

/// So many rules of one condition each.
fn asking(count: usize, condition: impl Fn(usize) -> Condition) -> Vec<Rule> {
    rules(count, |number| vec![condition(number)])
}

/// 120,000 elements, 5 MB of them.
fn elements() -> String {
    vec![r#"{"b": "1000000", "c": [1, 2, {"d": "e"}]}"#; 120_000].join(",")
}

/// 120,000 texts, each another one.
fn texts() -> String {
    let texts: Vec<String> = (0..120_000)
        .map(|at| format!(r#""tag-{at:030}""#))
        .collect();
    texts.join(",")
}

/// A number that looks like any other.
fn mixed(number: usize) -> usize {
    let mixed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) as usize >> 16
}

/// A text of two letters, so long, and the same for the same number.
fn of_two_letters(number: usize, length: usize) -> String {
    let letters = (0..length).map(|at| {
        let bits = mixed(number * 31 + at / 32);
        char::from(b'a' + (bits >> (at % 32) & 1) as u8)
    });
    letters.collect()
}

/// So many bytes of words.
fn prose(length: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= length {
            break;
        }
        text.push_str(["threat ", "seen on ", "host ", "from "][mixed(number) % 4]);
        text.push_str(&format!("{} ", mixed(number) % 1_000_000));
    }
    text
}

fn escaped(text: &str) -> String {
    let units = text.encode_utf16();
    units.map(|unit| format!("\\u{unit:04x}")).collect()
}

const CASES: &[Case] = &[
    Case {
        name: "10,000 rules that share their only condition",
        rules: || asking(10_000, |_| asked("a", Operator::Equals, "x")),
        document: || r#"{"a": "x"}"#.to_owned(),
        parses: true,
    },
    Case {
        name: "100,000 rules that share the condition that looks rarest, and each asks one more, which fails",
        rules: || {
            rules(100_000, |number| {
                vec![
                    asked("level", Operator::AtLeast, "critical"),
                    asked("a", Operator::NotIn, json!(["x", number.to_string()])),
                ]
            })
        },
        document: || r#"{"level": "critical", "a": "x"}"#.to_owned(),
        parses: true,
    },
    Case {
        name: "100,000 rules that share the condition that looks rarest, and each asks one more, which holds",
        rules: || {
            rules(100_000, |number| {
                vec![
                    asked("level", Operator::AtLeast, "critical"),
                    asked("a", Operator::NotEquals, number.to_string()),
                ]
            })
        },
        document: || r#"{"level": "critical", "a": "x"}"#.to_owned(),
        parses: true,
    },
    Case {
        name: "100,000 rules that share the condition that looks rarest, and each compares a number, in vain",
        rules: || {
            rules(100_000, |number| {
                vec![
                    asked("level", Operator::AtLeast, "critical"),
                    asked("a", Operator::GreaterThan, number + 10),
                ]
            })
        },
        document: || r#"{"level": "critical", "a": 7}"#.to_owned(),
        parses: true,
    },
    Case {
        name: "100,000 needles on one path, a text of 220 bytes that has two of them",
        rules: || {
            asking(100_000, |number| {
                let needle = format!("threat {}", number * 7919 % 100_000);
                asked("a", Operator::Contains, needle)
            })
        },
        document: || {
            format!(
                r#"{{"a": "{}"}}"#,
                "this threat 12345 was seen with threat 54321 ".repeat(5)
            )
        },
        parses: true,
    },
    Case {
        name: "100,000 needles of 14 letters a and b, a text of 220 such",
        rules: || {
            asking(100_000, |number| {
                asked("a", Operator::Contains, of_two_letters(number, 14))
            })
        },
        document: || format!(r#"{{"a": "{}"}}"#, of_two_letters(usize::MAX / 64, 220)),
        parses: true,
    },
    Case {
        name: "100,000 needles of 24 letters a and b, a text of 220 such",
        rules: || {
            asking(100_000, |number| {
                asked("a", Operator::Contains, of_two_letters(number, 24))
            })
        },
        document: || format!(r#"{{"a": "{}"}}"#, of_two_letters(usize::MAX / 64, 220)),
        parses: true,
    },
    Case {
        name: "100,000 needles that are runs of a, b and a, a text of 220 letters in such runs",
        rules: || {
            asking(100_000, |number| {
                let [first, second, third] =
                    [number % 47, number / 47 % 47, number / 2_209].map(|length| length + 9);
                let needle = ["a".repeat(first), "b".repeat(second), "a".repeat(third)];
                asked("a", Operator::Contains, needle.concat())
            })
        },
        document: || {
            let text = ["a".repeat(40), "b".repeat(33), "a".repeat(37)].concat();
            format!(r#"{{"a": "{}"}}"#, text.repeat(2))
        },
        parses: true,
    },
    Case {
        name: "1,000 regular expressions on one path, each with some text of its own",
        rules: || {
            asking(1_000, |number| {
                let pattern = format!(r"^user-{number}@[a-z]+\.example\.com$");
                asked("a", Operator::Matches, pattern)
            })
        },
        document: || r#"{"a": "user-77@mail.example.com"}"#.to_owned(),
        parses: true,
    },
    Case {
        name: "1,000 regular expressions on one path without any text, a text of 25 bytes",
        rules: || asking(1_000, without_text),
        document: || r#"{"a": "user-77@mail.example.com"}"#.to_owned(),
        parses: true,
    },
    Case {
        name: "1,000 regular expressions on one path without any text, a text of 2 KB",
        rules: || asking(1_000, without_text),
        document: || format!(r#"{{"a": "{}"}}"#, prose(2_000)),
        parses: true,
    },
    Case {
        name: "5 MB of elements on one path",
        rules: || {
            asking(1_000, |number| {
                asked("a.b", Operator::Equals, number.to_string())
            })
        },
        document: || format!(r#"{{"a": [{}]}}"#, elements()),
        parses: true,
    },
    Case {
        name: "5 MB that no rule asks about",
        rules: || {
            asking(1_000, |number| {
                asked("a", Operator::Equals, number.to_string())
            })
        },
        document: || format!(r#"{{"a": "1", "b": [{}]}}"#, elements()),
        parses: true,
    },
    Case {
        name: "5 MB of elements on one path, and a name that is there twice",
        rules: || {
            asking(1_000, |number| {
                asked("a.b", Operator::Equals, number.to_string())
            })
        },
        document: || format!(r#"{{"a": "1", "a": [{}]}}"#, elements()),
        parses: true,
    },
    Case {
        name: "5 MB of texts, a name that is there twice, and 1,000 rules that match",
        rules: || {
            asking(1_000, |number| {
                let text = format!("tag-{:030}", 119 * number);
                asked("tags", Operator::Equals, text)
            })
        },
        document: || format!(r#"{{"tags": "1", "tags": [{}]}}"#, texts()),
        parses: true,
    },
    Case {
        name: "5 MB of texts, a name that is there in two cases, and 1,000 rules that match",
        rules: || {
            asking(1_000, |number| {
                let text = format!("tag-{:030}", 119 * number);
                asked("tags", Operator::Equals, text)
            })
        },
        document: || format!(r#"{{"TAGS": "1", "tags": [{}]}}"#, texts()),
        parses: true,
    },
    Case {
        name: "120,000 texts, and 10,000 rules that ask for two of them each",
        rules: || {
            rules(10_000, |number| {
                let text = |number: usize| format!("tag-{number:030}");
                vec![
                    asked("tags", Operator::Equals, text(2 * number)),
                    asked("tags", Operator::Equals, text(2 * number + 1)),
                ]
            })
        },
        document: || format!(r#"{{"tags": [{}]}}"#, texts()),
        parses: true,
    },
    Case {
        name: "120,000 numbers, and 10,000 rules that ask for two of them each",
        rules: || {
            rules(10_000, |number| {
                vec![
                    asked("all", Operator::Equals, 2 * number),
                    asked("all", Operator::Equals, 2 * number + 1),
                ]
            })
        },
        document: || {
            let all: Vec<usize> = (0..120_000).collect();
            format!(r#"{{"all": {}}}"#, json!(all))
        },
        parses: true,
    },
    Case {
        name: "120,000 texts, and 100 rules that ask for one and a part of another each",
        rules: || {
            rules(100, |number| {
                vec![
                    asked("tags", Operator::Equals, format!("tag-{number:030}")),
                    asked("tags", Operator::Contains, format!("0{number}")),
                    asked("tags", Operator::Contains, format!("00{number}")),
                ]
            })
        },
        document: || format!(r#"{{"tags": [{}]}}"#, texts()),
        parses: true,
    },
    Case {
        name: "one text of 5 MB, 100,000 needles",
        rules: || {
            asking(100_000, |number| {
                let needle = format!("threat {}", number * 7919 % 100_000);
                asked("a", Operator::Contains, needle)
            })
        },
        document: || format!(r#"{{"a": "{}"}}"#, prose(5 << 20)),
        parses: true,
    },
    Case {
        name: "one text of 5 MB, 100,000 needles of 14 letters a and b",
        rules: || {
            asking(100_000, |number| {
                asked("a", Operator::Contains, of_two_letters(number, 14))
            })
        },
        document: || format!(r#"{{"a": "{}"}}"#, of_two_letters(usize::MAX / 64, 5 << 20)),
        parses: true,
    },
    Case {
        name: "one text of 5 MB, 1,000 rules that ask for its beginning, its end, a whole text or another one",
        rules: || {
            asking(1_000, |number| {
                let text = format!("threat {number}");
                match number % 4 {
                    0 => asked("a", Operator::StartsWith, text),
                    1 => asked("a", Operator::EndsWith, text),
                    2 => asked("a", Operator::Equals, text),
                    _ => asked("a", Operator::NotEquals, text),
                }
            })
        },
        document: || format!(r#"{{"a": "{}"}}"#, prose(5 << 20)),
        parses: true,
    },
    Case {
        name: "one text of 5 MB, 100 regular expressions without any text",
        rules: || asking(100, without_text),
        document: || format!(r#"{{"a": "{}"}}"#, prose(5 << 20)),
        parses: true,
    },
    Case {
        name: "100 levels that rules ask about, and 100,000 that none does",
        rules: || {
            let path = vec!["a"; 100].join(".");
            asking(1_000, |number| {
                asked(&path, Operator::Equals, number.to_string())
            })
        },
        document: || {
            format!(
                r#"{{"b": {}{}, "a": {}"7"{}}}"#,
                "[".repeat(100_000),
                "]".repeat(100_000),
                r#"{"a": "#.repeat(99),
                "}".repeat(99),
            )
        },
        parses: false,
    },
    Case {
        name: "100 names and as many texts of 40 characters, each character escaped: 28 KB",
        rules: || {
            asking(1_000, |number| {
                let field = format!("name-{number}");
                asked(&field, Operator::Contains, number.to_string())
            })
        },
        document: || {
            let members: Vec<String> = (0..100)
                .map(|number| {
                    let name = escaped(&format!("name-{number}"));
                    let text = escaped(&"é".repeat(40));
                    format!(r#""{name}": "{text}""#)
                })
                .collect();
            format!("{{{}}}", members.join(","))
        },
        parses: true,
    },
    Case {
        name: "4 KB in which a name that rules ask for is there three times",
        rules: || {
            asking(10_000, |number| {
                asked("a", Operator::Equals, number.to_string())
            })
        },
        document: || {
            format!(
                r#"{{"a": "1", "A": "2", "a": "3", "rest": "{}"}}"#,
                "x".repeat(4_000)
            )
        },
        parses: true,
    },
];

/// An expression that requires no text in particular.
fn without_text(number: usize) -> Condition {
    let (least, last) = (number % 40, char::from(b'a' + (number / 40) as u8));
    let pattern = format!("^[0-9a-z]+[-@ ][{last}-z]{{{least},}}[0-9]$");
    asked("a", Operator::Matches, pattern)
}

fn time(best: &mut Duration, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    *best = (*best).min(start.elapsed());
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for case in CASES {
        if !wanted.is_empty() && !wanted.iter().any(|part| case.name.contains(part.as_str())) {
            continue;
        }
        let matcher = compile(&(case.rules)()).expect("made-up rules are valid");
        let document = (case.document)();
        let mut scratch = Scratch::default();
        let (mut matching, mut parsing) = (Duration::MAX, Duration::MAX);
        let mut matches = 0;
        let start = Instant::now();
        for round in 0..ROUNDS {
            if round > 2 && start.elapsed() > ENOUGH {
                break;
            }
            // What takes no time is done more than once, or the clock would count.
            let times = (100_000 / document.len()).clamp(1, 100);
            let mut matched = Duration::MAX;
            let mut parsed = Duration::MAX;
            for _ in 0..times {
                time(&mut matched, || {
                    let found = matcher.matches_bytes(document.as_bytes(), &mut scratch);
                    matches = found.expect("JSON").len();
                });
                if case.parses {
                    time(&mut parsed, || {
                        let parsed = sonic_rs::from_str::<sonic_rs::Value>(&document);
                        black_box(parsed.expect("JSON"));
                    });
                }
            }
            matching = matching.min(matched);
            parsing = parsing.min(parsed);
        }
        let name = case.name;
        if case.parses {
            let times = matching.as_secs_f64() / parsing.as_secs_f64();
            println!(
                "{name}: {matching:.2?} = {times:.2} x parsing, which takes {parsing:.2?}; {matches} matches"
            );
        } else {
            println!("{name}: {matching:.2?}; {matches} matches");
        }
    }
}
