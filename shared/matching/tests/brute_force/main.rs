//! The matcher against a second, naive reading of the same semantics, over generated rules and documents.

mod reference;

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use quench_matching::workload::{self, Mix};
use quench_matching::{Condition, Document, Operator, Rule, Scratch, ValueType, compile};
use serde_json::{Map, Value, json};

/// Texts chosen so that they meet: case variants, parts of each other, numbers and booleans as text, letters that fold.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "", "a", "A", "ab", "AB", "aB", "abc", "b", "bc", "C", "K", "k", "\u{212A}", "ſ", "s", "S", "ß", "ẞ", "ss",
            "İ", "i", "ı", "I", "Σ", "σ", "ς", "οδος", "ΟΔΟΣ", "5", "5.0", "05", " 5 ", "-5", "1e1", "10", "true", "FALSE",
            "High", "critical", "LOW", "medium", "informational", "none", "10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1",
            "192.0.2.7", "9007199254740993", "9007199254740992", "18446744073709551615", "18446744073709551616", "null",
            "0.1", "1e400", "$", "a.b", "é", "e\u{301}", "\"", "\\", "\u{1}", "😀", "a😀",
        ]).prop_map(str::to_owned),
        1 => "[aAbBkKſsσς.]{0,5}",
        1 => "\\PC{0,3}",
    ]
}

fn numbers() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-6i64..12).prop_map(|whole| json!(whole)),
        1 => prop::sample::select(vec![
            json!(5.0), json!(0.1), json!(-0.0), json!(2.5), json!(9_007_199_254_740_993u64), json!(9_007_199_254_740_992u64),
            json!(u64::MAX), json!(i64::MIN), json!(1e19), json!(1e300), json!(-1e300), json!(9_007_199_254_740_992.0),
            json!(18_446_744_073_709_551_616.0), json!(-9_223_372_036_854_775_808.0), json!(1e-7), json!(100_000.5),
        ]),
        1 => any::<f64>().prop_filter_map("finite", |float| serde_json::Number::from_f64(float).map(Value::Number)),
    ]
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        3 => numbers(),
        6 => texts().prop_map(Value::String),
    ]
}

const NAMES: [&str; 14] = [
    "a", "A", "b", "B", "c", "k", "\u{212A}", "0", "1", "a.b", "", "x y", "σ", "ς",
];

fn documents() -> impl Strategy<Value = Value> {
    let leaf = scalars();
    let inner = leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            members(inner).prop_map(Value::Object),
        ]
    });
    prop_oneof![9 => members(inner.clone()).prop_map(Value::Object), 1 => inner]
}

fn members(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((prop::sample::select(NAMES.to_vec()), inner), 0..5).prop_map(|members| {
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}

fn fields() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        ".a",
        ".A",
        ".b",
        ".B",
        ".c",
        ".k",
        ".\u{212A}",
        ".0",
        ".1",
        "[0]",
        "[1]",
        "[*]",
        "['0']",
        "['a.b']",
        "['']",
        ".'x y'",
        ".x y",
        ".σ",
        ".ς",
    ]);
    (any::<bool>(), prop::collection::vec(segment, 1..4)).prop_map(|(dollar, segments)| {
        let path = segments.concat();
        if dollar {
            format!("${path}")
        } else {
            path.trim_start_matches('.').to_owned()
        }
    })
}

fn types() -> impl Strategy<Value = Option<ValueType>> {
    prop_oneof![
        4 => Just(None),
        1 => prop::sample::select(vec![ValueType::String, ValueType::Integer, ValueType::Number, ValueType::Boolean]).prop_map(Some),
    ]
}

fn networks() -> impl Strategy<Value = Value> {
    let network = prop::sample::select(vec![
        "10.0.0.0/8",
        "10.1.2.3",
        "0.0.0.0/0",
        "::/0",
        "2001:db8::/32",
        "192.0.2.0/24",
        "::ffff:10.0.0.0/104",
        "192.0.2.6/31",
    ]);
    prop_oneof![
        network.clone().prop_map(|network| json!(network)),
        prop::collection::vec(network, 1..3).prop_map(|networks| json!(networks)),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    let list = prop_oneof![
        prop::collection::vec(texts(), 1..4).prop_map(|texts| json!(texts)),
        prop::collection::vec(numbers(), 1..4).prop_map(Value::Array),
        prop::collection::vec(any::<bool>(), 1..3).prop_map(|booleans| json!(booleans)),
    ];
    let asked = prop_oneof![
        4 => (prop::sample::select(vec![Operator::Equals, Operator::NotEquals]), scalars(), types()),
        2 => (prop::sample::select(vec![Operator::In, Operator::NotIn]), list, types()),
        4 => (
            prop::sample::select(vec![Operator::Contains, Operator::StartsWith, Operator::EndsWith]),
            texts().prop_map(Value::String),
            Just(None),
        ),
        3 => (
            prop::sample::select(vec![
                Operator::GreaterThan, Operator::GreaterThanOrEqual, Operator::LessThan, Operator::LessThanOrEqual,
            ]),
            prop_oneof![numbers(), prop::sample::select(vec!["5", "5.0", "-1e0"]).prop_map(|text| json!(text))],
            prop::sample::select(vec![None, Some(ValueType::Integer), Some(ValueType::Number)]),
        ),
        1 => (Just(Operator::Exists), any::<bool>().prop_map(Value::Bool), Just(None)),
        1 => (
            Just(Operator::AtLeast),
            prop::sample::select(vec!["low", "HIGH", "Critical", "informational"]).prop_map(|text| json!(text)),
            Just(None),
        ),
        1 => (Just(Operator::Cidr), networks(), Just(None)),
        1 => (
            Just(Operator::Matches),
            prop::sample::select(vec!["^a", "b$", "a|5", "", "σ", "^[a-k]+$", "(?-i)K", "true"]).prop_map(|text| json!(text)),
            Just(None),
        ),
    ];
    (fields(), asked).prop_map(|(field, (operator, value, value_type))| Condition {
        field,
        operator,
        value,
        value_type,
    })
}

/// Rules whose conditions all compile; those that do not are left out.
fn rules() -> impl Strategy<Value = Vec<Rule>> {
    rules_of(3)
}

/// As [`rules`], with so many conditions in a set at most.
fn rules_of(conditions_of_set: usize) -> impl Strategy<Value = Vec<Rule>> {
    let set = prop::collection::vec(conditions(), 1..=conditions_of_set);
    let sets = prop::collection::vec(set, 0..3);
    prop::collection::vec(sets, 0..12).prop_map(|rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(index, sets)| Rule {
                name: format!("rule-{index}"),
                sets: sets
                    .into_iter()
                    .map(|set| {
                        set.into_iter()
                            .filter(|one| quench_matching::check(one).is_ok())
                            .collect::<Vec<_>>()
                    })
                    .filter(|set| !set.is_empty())
                    .collect(),
            })
            .collect()
    })
}

/// Harmless behind a document.
const BLANKS: &str = "                                        ";

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn the_matcher_finds_what_a_naive_reading_finds(rules in rules(), documents in prop::collection::vec(documents(), 1..6)) {
        let matcher = compile(&rules).expect("only checked conditions are left");
        let mut scratch = Scratch::default();
        for document in &documents {
            let expected: Vec<usize> =
                (0..rules.len()).filter(|rule| reference::rule_matches(&rules[*rule], document)).collect();
            prop_assert_eq!(&matcher.matches(document), &expected, "{}", document);
            prop_assert_eq!(matcher.matches_value(document, &mut scratch), &expected, "{}", document);
            // Names that came before are read in another way, if there is enough behind them.
            for text in [document.to_string(), format!("{document:#}"), format!("{document}{BLANKS}"), format!("{document}{BLANKS}")] {
                prop_assert_eq!(matcher.matches_bytes(text.as_bytes(), &mut scratch), Ok(&expected[..]), "{}", text);
            }
            let members: Option<Vec<_>> = document
                .as_object()
                .map(|members| members.iter().map(|(name, member)| (&**name, member)).collect());
            if let Some(members) = members {
                let pieces = Document::Members(&members);
                prop_assert_eq!(matcher.matches_value(pieces, &mut scratch), &expected, "{}", document);
                for rule in 0..rules.len() {
                    prop_assert_eq!(matcher.explain(rule, pieces), matcher.explain(rule, document));
                }
            }
            for (index, rule) in rules.iter().enumerate() {
                prop_assert_eq!(matcher.matches_rule(index, document), reference::rule_matches(rule, document));
                let explanation = matcher.explain(index, document);
                prop_assert_eq!(explanation.matched, reference::rule_matches(rule, document));
                for (set, explained) in rule.sets.iter().zip(&explanation.sets) {
                    for (condition, explained) in set.iter().zip(&explained.conditions) {
                        prop_assert_eq!(explained.held, reference::holds(condition, document), "{:?} {}", condition, document);
                    }
                }
            }
        }
    }
}

/// Objects with long texts and long arrays.
fn long_documents() -> impl Strategy<Value = Value> {
    let text = || prop::collection::vec(texts(), 20..200).prop_map(|texts| json!(texts.concat()));
    let array = prop::collection::vec(prop_oneof![40 => scalars(), 1 => text()], 50..400);
    let value = prop_oneof![1 => text(), 1 => array.prop_map(Value::Array), 1 => scalars()];
    members(value).prop_map(Value::Object)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases().div_ceil(8), ..ProptestConfig::default() })]

    #[test]
    fn the_matcher_finds_in_long_values_what_a_naive_reading_finds(
        rules in rules_of(5), documents in prop::collection::vec(long_documents(), 1..4),
    ) {
        let matcher = compile(&rules).expect("only checked conditions are left");
        let mut scratch = Scratch::default();
        for document in &documents {
            let expected: Vec<usize> =
                (0..rules.len()).filter(|rule| reference::rule_matches(&rules[*rule], document)).collect();
            prop_assert_eq!(matcher.matches_value(document, &mut scratch), &expected, "{}", document);
            for text in [document.to_string(), format!("{document:#}"), document.to_string()] {
                prop_assert_eq!(matcher.matches_bytes(text.as_bytes(), &mut scratch), Ok(&expected[..]), "{}", text);
            }
        }
    }
}

/// Texts of one alphabet, made of few letters, so that they have parts in common.
fn pieces() -> impl Strategy<Value = String> {
    let of = |letters: &'static str| {
        prop::collection::vec(
            prop::sample::select(letters.chars().collect::<Vec<_>>()),
            0..30,
        )
    };
    prop_oneof![
        4 => of("abcdE -/"),
        2 => of("ab"),
        1 => of("aäÖß-"),
        1 => of("дЖя "),
        1 => of("漢字a\u{1F600}"),
    ]
    .prop_map(|letters| letters.into_iter().collect())
}

/// A condition that asks for parts of a text.
fn searches() -> impl Strategy<Value = Condition> {
    let pattern = prop::collection::vec(pieces(), 1..4).prop_map(|pieces| {
        pieces
            .iter()
            .map(|piece| regex::escape(piece))
            .collect::<Vec<_>>()
            .join(".*")
    });
    let asked = prop_oneof![
        8 => (Just(Operator::Contains), pieces()),
        2 => (Just(Operator::Matches), pattern),
        1 => (Just(Operator::StartsWith), pieces()),
        1 => (Just(Operator::EndsWith), pieces()),
        1 => (Just(Operator::Equals), pieces()),
    ];
    (prop::sample::select(vec!["a", "b"]), asked).prop_map(|(field, (operator, value))| Condition {
        field: field.to_owned(),
        operator,
        value: value.into(),
        value_type: None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases().div_ceil(8), ..ProptestConfig::default() })]

    #[test]
    fn many_needles_are_found_as_a_naive_reading_finds_them(
        sets in prop::collection::vec(prop::collection::vec(searches(), 1..3), 3..200),
        fillers in prop::collection::vec(pieces(), 0..4),
        taken in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let rules: Vec<Rule> = (0..)
            .zip(sets)
            .map(|(number, set)| Rule { name: format!("rule {number}"), sets: vec![set] })
            .filter(|rule| compile(std::slice::from_ref(rule)).is_ok())
            .collect();
        let matcher = compile(&rules).expect("only checked rules are left");
        let conditions: Vec<&Condition> = rules.iter().flat_map(|rule| &rule.sets[0]).collect();
        let mut scratch = Scratch::default();
        for taken in taken.iter().filter(|_| !conditions.is_empty()) {
            // What two rules ask for, with something else between and around.
            let at = taken.index(conditions.len());
            let wanted = |at: usize| conditions[at % conditions.len()].value.as_str().unwrap_or_default();
            let text = format!("{}{}{}{}", fillers.concat(), wanted(at), fillers.first().map_or("", String::as_str), wanted(at + 1));
            let document = json!({"a": text, "b": [wanted(at + 2), text.to_uppercase()]});
            let expected: Vec<usize> =
                (0..rules.len()).filter(|rule| reference::rule_matches(&rules[*rule], &document)).collect();
            prop_assert_eq!(matcher.matches_value(&document, &mut scratch), &expected, "{}", document);
            let text = document.to_string();
            prop_assert_eq!(matcher.matches_bytes(text.as_bytes(), &mut scratch), Ok(&expected[..]), "{}", text);
        }
    }
}

/// Values of which hundreds differ, some of them equal in one type and not in another.
fn many() -> impl Strategy<Value = Value> {
    (0..400i32, 0..8).prop_map(|(number, form)| match form {
        0 | 1 => json!(format!("V{number}")),
        2 => json!(format!("v{number}")),
        3 => json!(number.to_string()),
        4 => json!(f64::from(number)),
        5 => json!(f64::from(number) / 2.0),
        _ => json!(number),
    })
}

/// A condition that asks for whole values of one place, where several of them may be.
fn equalities() -> impl Strategy<Value = Condition> {
    let lists = (many(), prop::collection::vec(0..400i32, 0..3)).prop_map(|(first, others)| {
        let others = others.into_iter().map(|number| match first {
            Value::String(_) => json!(format!("v{number}")),
            _ => json!(number),
        });
        std::iter::once(first.clone()).chain(others).collect()
    });
    let asked = prop_oneof![
        4 => (Just(Operator::Equals), many(), types()),
        2 => (Just(Operator::In), lists, types()),
        1 => (Just(Operator::NotEquals), many(), types()),
    ];
    (prop::sample::select(vec!["a", "A", "a[*]"]), asked).prop_map(
        |(field, (operator, value, value_type))| Condition {
            field: field.to_owned(),
            operator,
            value,
            value_type,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases().div_ceil(32), ..ProptestConfig::default() })]

    #[test]
    fn much_that_is_asked_of_many_values_holds_as_a_naive_reading_says(
        sets in prop::collection::vec(prop::collection::vec(equalities(), 2..4), 60..120),
        arrays in prop::collection::vec(prop::collection::vec(many(), 60..500), 1..3),
    ) {
        let rules: Vec<Rule> = sets
            .into_iter()
            .map(|set| set.into_iter().filter(|one| quench_matching::check(one).is_ok()).collect::<Vec<_>>())
            .filter(|set| !set.is_empty())
            .map(|set| Rule { name: "many".to_owned(), sets: vec![set] })
            .collect();
        let matcher = compile(&rules).expect("only checked conditions are left");
        let mut scratch = Scratch::default();
        for array in &arrays {
            let document = json!({"a": array});
            let expected: Vec<usize> =
                (0..rules.len()).filter(|rule| reference::rule_matches(&rules[*rule], &document)).collect();
            prop_assert_eq!(matcher.matches_value(&document, &mut scratch), &expected, "{}", document);
            let text = document.to_string();
            prop_assert_eq!(matcher.matches_bytes(text.as_bytes(), &mut scratch), Ok(&expected[..]), "{}", text);
        }
    }
}

/// JSON as somebody might have typed it: names several times, needless escapes, blanks, numbers in odd forms.
fn typed() -> impl Strategy<Value = String> {
    let blank = || prop::sample::select(vec!["", "", "", " ", "\n\t "]);
    let number = prop_oneof![
        "-?(0|[1-9][0-9]{0,2})(\\.[0-9]{1,3})?([eE][+-]?[0-9])?",
        "-?[1-9][0-9]{15,25}",
        Just("-0".to_owned()),
    ];
    let word = prop::sample::select(vec!["true", "false", "null"]).prop_map(str::to_owned);
    let leaf = prop_oneof![4 => typed_text(texts()), 2 => number, 1 => word];
    let name = || typed_text(prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned));
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let member = (name(), blank(), blank(), inner.clone(), blank())
            .prop_map(|(name, before, after, value, end)| format!("{name}{before}:{after}{value}{end}"));
        let element = (blank(), inner, blank()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        prop_oneof![
            2 => prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => prop::collection::vec(element, 0..4).prop_map(|elements| format!("[{}]", elements.join(", "))),
        ]
    })
}

/// A text in quotes, some of its characters escaped without need.
fn typed_text(texts: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (texts, any::<u32>()).prop_map(|(text, choice)| {
        let mut typed = String::from("\"");
        for (position, c) in text.chars().enumerate() {
            if choice >> (position % 32) & 7 == 0 || c < ' ' {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    typed.push_str(&format!("\\u{unit:04X}"));
                }
            } else if c == '"' || c == '\\' {
                typed.extend(['\\', c]);
            } else {
                typed.push(c);
            }
        }
        typed + "\""
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn what_was_typed_matches_as_what_was_parsed(rules in rules(), documents in prop::collection::vec(typed(), 1..6)) {
        let matcher = compile(&rules).expect("only checked conditions are left");
        let mut scratch = Scratch::default();
        for document in &documents {
            let Ok(parsed) = serde_json::from_str::<Value>(document) else {
                // A number out of range; where it is not looked at, nobody minds.
                let _ = matcher.matches_bytes(document.as_bytes(), &mut scratch);
                continue;
            };
            let expected: Vec<usize> =
                (0..rules.len()).filter(|rule| reference::rule_matches(&rules[*rule], &parsed)).collect();
            for text in [document.clone(), format!("{document}{BLANKS}"), format!("{document}{BLANKS}")] {
                prop_assert_eq!(matcher.matches_bytes(text.as_bytes(), &mut scratch), Ok(&expected[..]), "{}", text);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(rules in rules(), mut document in typed().prop_map(String::into_bytes), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), end in any::<prop::sample::Index>()) {
        let matcher = compile(&rules).expect("only checked conditions are left");
        let mut scratch = Scratch::default();
        for (at, byte) in changes {
            if !document.is_empty() {
                let at = at.index(document.len());
                document[at] = byte;
            }
        }
        let _ = matcher.matches_bytes(&document, &mut scratch);
        document.truncate(end.index(document.len() + 1));
        let _ = matcher.matches_bytes(&document, &mut scratch);
    }
}

#[test]
fn made_up_findings_match_as_asked_one_by_one() {
    let findings = workload::findings(20, 11);
    let mut scratch = Scratch::default();
    for mix in Mix::ALL {
        let matcher = compile(&workload::rules(2_000, *mix, 5)).expect("valid rules");
        for text in &findings {
            let parsed: Value = serde_json::from_str(text).expect("JSON");
            let expected: Vec<usize> = (0..matcher.len())
                .filter(|rule| matcher.matches_rule(*rule, &parsed))
                .collect();
            assert_eq!(matcher.matches_value(&parsed, &mut scratch), expected);
            assert_eq!(
                matcher.matches_bytes(text.as_bytes(), &mut scratch),
                Ok(&expected[..])
            );
        }
    }
}

/// `QUENCH_CASES` asks for more than the usual number of generated rule sets.
fn cases() -> u32 {
    std::env::var("QUENCH_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(512)
}

/// The JSON in a folder, with its text, in the order of the texts; a relative path counts from the root of the workspace,
/// wherever the test runs.
///
/// # Errors
/// There is no such folder, or no JSON in it.
fn payloads_in(folder: &OsStr) -> Result<Vec<(String, Value)>, String> {
    let shown = folder.to_string_lossy();
    if folder.is_empty() {
        return Err("the folder has no name".to_owned());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut payloads = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| format!("folder `{}`: {error}", folder.display()))?;
        for entry in entries.flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if let Ok(text) = std::fs::read_to_string(entry.path())
                && let Ok(parsed) = serde_json::from_str(&text)
            {
                payloads.push((text, parsed));
            }
        }
    }
    if payloads.is_empty() {
        return Err(format!("folder `{shown}` holds no JSON"));
    }
    payloads.sort_by(|left: &(String, Value), right| left.0.cmp(&right.0));
    Ok(payloads)
}

#[test]
fn a_folder_without_payloads_is_told() {
    assert!(payloads_in(OsStr::new("")).is_err());
    let missing = payloads_in(OsStr::new("shared/matching/no-such-folder"));
    assert!(missing.is_err_and(|error| error.contains("no-such-folder")));
    // There is code in it, but no JSON.
    let none = payloads_in(OsStr::new("shared/matching/src"));
    assert!(none.is_err_and(|error| error.ends_with("holds no JSON")));
}

/// Rules made of what one real payload holds, asked of that payload and of others; `QUENCH_CORPUS` names the folder.
#[test]
fn real_payloads_match_as_a_naive_reading_says() {
    let Some(folder) = std::env::var_os("QUENCH_CORPUS") else {
        // Written past the harness, which keeps to itself what a test prints that passes.
        let _ = writeln!(
            std::io::stderr(),
            "QUENCH_CORPUS is not set: no real payload was looked at"
        );
        return;
    };
    let payloads = payloads_in(&folder).expect("QUENCH_CORPUS names a folder of payloads");
    let mut scratch = Scratch::default();
    for (number, (_, payload)) in payloads.iter().enumerate() {
        let mut conditions = Vec::new();
        ask(payload, &mut String::from("$"), &mut conditions);
        conditions.truncate(200);
        let rules: Vec<Rule> = conditions
            .chunks(2)
            .enumerate()
            .map(|(rule, pair)| Rule {
                name: format!("rule-{rule}"),
                sets: vec![pair.to_vec()],
            })
            .collect();
        let matcher = compile(&rules).expect("valid rules");
        for (text, parsed) in payloads.iter().cycle().skip(number).take(8) {
            let expected: Vec<usize> = (0..rules.len())
                .filter(|rule| reference::rule_matches(&rules[*rule], parsed))
                .collect();
            assert_eq!(
                matcher.matches_bytes(text.as_bytes(), &mut scratch),
                Ok(&expected[..]),
                "{text}"
            );
            assert_eq!(
                matcher.matches_value(parsed, &mut scratch),
                &expected,
                "{text}"
            );
        }
    }
}

/// Conditions that a value fulfils, one for each scalar in it, of changing operators.
fn ask(value: &Value, path: &mut String, conditions: &mut Vec<Condition>) {
    let length = path.len();
    match value {
        Value::Object(members) => {
            for (name, member) in members
                .iter()
                .filter(|(name, _)| !name.contains(['\'', ']', '\\']))
            {
                path.push_str(&format!("['{name}']"));
                ask(member, path, conditions);
                path.truncate(length);
            }
        }
        Value::Array(elements) => elements
            .iter()
            .take(3)
            .for_each(|element| ask(element, path, conditions)),
        _ if length > 1 => {
            let (operator, value) = match (value, conditions.len() % 4) {
                (Value::String(text), 1) => (
                    Operator::Contains,
                    json!(text.chars().skip(2).take(9).collect::<String>()),
                ),
                (Value::String(text), 2) => (
                    Operator::StartsWith,
                    json!(text.to_uppercase().chars().take(6).collect::<String>()),
                ),
                (Value::Number(_), 1 | 2) => (Operator::GreaterThanOrEqual, value.clone()),
                (_, 3) => (Operator::Exists, json!(true)),
                _ => (Operator::Equals, value.clone()),
            };
            let condition = Condition {
                field: path.clone(),
                operator,
                value,
                value_type: None,
            };
            if quench_matching::check(&condition).is_ok() {
                conditions.push(condition);
            }
        }
        _ => {}
    }
}
