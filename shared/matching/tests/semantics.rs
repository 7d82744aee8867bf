//! What the documentation promises, one fact a test.

#![expect(clippy::unwrap_used, reason = "a test may fail there")]
#![expect(clippy::needless_pass_by_value, reason = "the facts read better so")]

use quench_matching::{
    Condition, ConditionFault, Operator, Rule, RuleFault, ValueType, check, compile,
};
use serde_json::{Value, json};

fn condition(field: &str, operator: Operator, value: Value) -> Condition {
    Condition {
        field: field.to_owned(),
        operator,
        value,
        value_type: None,
    }
}

fn rule(name: &str, sets: Vec<Vec<Condition>>) -> Rule {
    Rule {
        name: name.to_owned(),
        sets,
    }
}

/// Whether `{"v": found}` passes `v operator expected`.
fn holds(found: Value, operator: Operator, expected: Value) -> bool {
    let rules = [rule("r", vec![vec![condition("v", operator, expected)]])];
    !compile(&rules)
        .unwrap()
        .matches(&json!({ "v": found }))
        .is_empty()
}

fn holds_as(value_type: ValueType, found: Value, operator: Operator, expected: Value) -> bool {
    let mut condition = condition("v", operator, expected);
    condition.value_type = Some(value_type);
    !compile(&[rule("r", vec![vec![condition]])])
        .unwrap()
        .matches(&json!({ "v": found }))
        .is_empty()
}

fn faults(field: &str, operator: Operator, value: Value) -> Vec<ConditionFault> {
    check(&condition(field, operator, value))
        .expect_err("a wrong condition")
        .faults
}

#[test]
fn texts_are_compared_regardless_of_case() {
    assert!(holds(json!("HIGH"), Operator::Equals, json!("high")));
    assert!(holds(json!("ΟΔΟΣ"), Operator::Equals, json!("οδος")));
    assert!(holds(
        json!("a MySQL server"),
        Operator::Contains,
        json!("mysql")
    ));
    assert!(holds(
        json!("Microsoft.Security/assessments"),
        Operator::StartsWith,
        json!("microsoft.security/")
    ));
    assert!(holds(json!("MAẞ"), Operator::EndsWith, json!("aß")));
    assert!(!holds(json!("MASS"), Operator::EndsWith, json!("aß")));
    assert!(holds(
        json!("Ransomware"),
        Operator::Matches,
        json!("^ransom")
    ));
    assert!(!holds(
        json!("Ransomware"),
        Operator::Matches,
        json!("(?-i)^ransom")
    ));
}

#[test]
fn what_is_missing_fails_every_operator_but_exists_false() {
    let document = json!({"a": 1});
    for (operator, value) in [
        (Operator::Equals, json!(null)),
        (Operator::NotEquals, json!("x")),
        (Operator::NotIn, json!(["x"])),
        (Operator::Contains, json!("")),
        (Operator::LessThan, json!(1)),
        (Operator::Exists, json!(true)),
        (Operator::Matches, json!("")),
    ] {
        let rules = [rule("r", vec![vec![condition("b", operator, value)]])];
        assert!(
            compile(&rules).unwrap().matches(&document).is_empty(),
            "{operator}"
        );
    }
    let rules = [rule(
        "r",
        vec![vec![condition("b", Operator::Exists, json!(false))]],
    )];
    assert_eq!(compile(&rules).unwrap().matches(&document), [0]);
}

#[test]
fn what_cannot_be_read_fails_not_equals_too() {
    assert!(!holds(json!("many"), Operator::NotEquals, json!(5)));
    assert!(!holds(json!(null), Operator::NotEquals, json!("x")));
    assert!(!holds(json!({"x": 1}), Operator::NotIn, json!(["x"])));
    assert!(!holds(json!("yes"), Operator::NotEquals, json!(true)));
    assert!(!holds_as(
        ValueType::Integer,
        json!(5.5),
        Operator::NotEquals,
        json!(5)
    ));
    assert!(holds_as(
        ValueType::Number,
        json!(5.5),
        Operator::NotEquals,
        json!(5)
    ));
}

#[test]
fn one_element_that_passes_is_enough() {
    assert!(holds(
        json!(["a", ["b", "c"]]),
        Operator::Equals,
        json!("c")
    ));
    assert!(holds(json!(["a", "b"]), Operator::NotEquals, json!("a")));
    assert!(!holds(json!(["a"]), Operator::NotEquals, json!("a")));
    assert!(!holds(json!([]), Operator::NotEquals, json!("a")));
    assert!(holds(json!([]), Operator::Exists, json!(true)));
}

#[test]
fn numbers_are_exact() {
    assert!(!holds(
        json!(9_007_199_254_740_993u64),
        Operator::Equals,
        json!(9_007_199_254_740_992u64)
    ));
    assert!(holds(
        json!(9_007_199_254_740_993u64),
        Operator::GreaterThan,
        json!(9_007_199_254_740_992u64)
    ));
    assert!(holds(
        json!("18446744073709551615"),
        Operator::Equals,
        json!(u64::MAX)
    ));
    assert!(!holds(
        json!(18_446_744_073_709_551_616.0),
        Operator::Equals,
        json!(u64::MAX)
    ));
    assert!(holds(
        json!("1e2"),
        Operator::LessThanOrEqual,
        json!("100.0")
    ));
    assert!(holds(json!(5.0), Operator::Equals, json!("5")));
    assert!(holds(
        json!(9_007_199_254_740_992.0),
        Operator::Equals,
        json!("9007199254740992")
    ));
    for number in [
        "18446744073709551616",
        "-9223372036854775809",
        "9007199254740993.0",
        "9007199254740992.0",
        "-1e19",
    ] {
        let json: Value = serde_json::from_str(number).expect("JSON");
        for (operator, expected) in [
            (Operator::Equals, json.clone()),
            (Operator::NotIn, json!([1, json])),
            (Operator::LessThan, json),
            (Operator::LessThan, json!(number)),
        ] {
            let fault = &faults("v", operator, expected)[0];
            assert!(matches!(fault, ConditionFault::Inexact { .. }), "{fault}");
        }
        // As text nothing of it is lost.
        assert!(holds(json!(number), Operator::Equals, json!(number)));
    }
    for number in [json!(i64::MIN), json!(9_007_199_254_740_991.0)] {
        assert!(holds(number.clone(), Operator::Equals, number));
    }
}

#[test]
fn types_decide_how_both_sides_are_read() {
    assert!(holds_as(
        ValueType::Integer,
        json!("0010"),
        Operator::Equals,
        json!("10")
    ));
    assert!(!holds(json!("0010"), Operator::Equals, json!("10")));
    assert!(holds_as(
        ValueType::Boolean,
        json!("True"),
        Operator::Equals,
        json!("TRUE")
    ));
    assert!(holds(json!(true), Operator::Equals, json!("True")));
    assert!(holds_as(
        ValueType::String,
        json!("7"),
        Operator::Equals,
        json!(7)
    ));
    assert!(holds(json!(null), Operator::Equals, json!(null)));
    assert!(holds(json!({}), Operator::NotEquals, json!(null)));
}

#[test]
fn severities_are_a_scale() {
    assert!(holds(json!("CRITICAL"), Operator::AtLeast, json!("High")));
    assert!(holds(json!("high"), Operator::AtLeast, json!("High")));
    assert!(!holds(json!("medium"), Operator::AtLeast, json!("high")));
    assert!(!holds(
        json!("unheard of"),
        Operator::AtLeast,
        json!("informational")
    ));
}

#[test]
fn a_rule_without_sets_matches_everything() {
    let rules = [
        rule("all", vec![]),
        rule(
            "none",
            vec![vec![condition("x", Operator::Equals, json!(1))]],
        ),
    ];
    let matcher = compile(&rules).unwrap();
    assert_eq!(matcher.matches(&json!(null)), [0]);
    assert_eq!(matcher.matches(&json!({"x": 1})), [0, 1]);
    assert!(matcher.explain(0, &json!(null)).matched);
    assert!(compile(&[]).unwrap().matches(&json!({})).is_empty());
}

#[test]
fn every_fault_is_found_and_says_where_it_is() {
    let rules = [
        rule("", vec![]),
        rule(
            "fine",
            vec![vec![condition("a", Operator::Exists, json!(true))]],
        ),
        rule(
            "wrong",
            vec![
                vec![],
                vec![
                    condition("a..b", Operator::GreaterThan, json!("ten")),
                    condition("a", Operator::Equals, json!("x")),
                    condition("ip", Operator::Cidr, json!(["10.0.0.0/8", "10.0.0.1/8"])),
                    condition("text", Operator::Matches, json!("a(b")),
                    condition("severity", Operator::AtLeast, json!("hihg")),
                    condition("text", Operator::Contains, json!(3)),
                    condition("text", Operator::In, json!([])),
                    condition("text", Operator::In, json!(["a", 1])),
                    condition("there", Operator::Exists, json!("yes")),
                    condition("text", Operator::Equals, json!({"a": 1})),
                ],
            ],
        ),
    ];
    let messages: Vec<String> = compile(&rules)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        messages,
        [
            "rule 1: the name is empty; give the rule one",
            "rule `wrong`, set 1: the set is empty and would match everything; add a condition, or drop all sets to say so",
            "rule `wrong`, set 2, condition 1: `a..b greater_than`: path `a..b` has an empty segment at character 3; drop the \
             dot, or quote the name as in `['a.b']`; `greater_than` takes a number, not a text",
            "rule `wrong`, set 2, condition 3: `ip cidr`: network `10.0.0.1/8` has bits set beyond its prefix; did you mean \
             `10.0.0.0/8`?",
            "rule `wrong`, set 2, condition 4: `text matches`: regular expression `a(b` does not parse: unclosed group; mend it",
            "rule `wrong`, set 2, condition 5: `severity at_least`: severity `hihg` is not known; did you mean `high`?",
            "rule `wrong`, set 2, condition 6: `text contains`: `contains` takes a text in quotes, not a number",
            "rule `wrong`, set 2, condition 7: `text in`: the list is empty; name at least one value",
            "rule `wrong`, set 2, condition 8: `text in`: the list mixes texts and numbers; make them all alike, or set the type",
            "rule `wrong`, set 2, condition 9: `there exists`: `exists` takes `true` or `false`, not a text",
            "rule `wrong`, set 2, condition 10: `text equals`: `equals` takes a text, a number, a boolean or null, not an object",
        ]
    );
    let positions: Vec<_> = compile(&rules)
        .unwrap_err()
        .into_iter()
        .map(|one| (one.index, one.set, one.condition))
        .collect();
    assert_eq!(
        positions[..3],
        [(0, None, None), (2, Some(0), None), (2, Some(1), Some(0))]
    );
    assert!(matches!(
        compile(&rules).unwrap_err()[0].fault,
        RuleFault::Nameless
    ));
}

#[test]
fn oversized_expressions_are_refused() {
    for pattern in [
        "a{1000}{1000}".to_owned(),
        "(".repeat(100) + &")".repeat(100),
        "a".repeat(5000),
    ] {
        assert!(matches!(
            faults("v", Operator::Matches, json!(pattern))[0],
            ConditionFault::Pattern { .. }
        ));
    }
}

#[test]
fn types_that_do_not_fit_are_refused() {
    let mut typed = condition("v", Operator::Contains, json!("3"));
    typed.value_type = Some(ValueType::Integer);
    let error = check(&typed).unwrap_err().to_string();
    assert_eq!(
        error,
        "`v contains`: `contains` does not compare as `integer`; drop the type"
    );
    let mut typed = condition("v", Operator::LessThan, json!("3"));
    typed.value_type = Some(ValueType::String);
    let error = check(&typed).unwrap_err().to_string();
    assert_eq!(
        error,
        "`v less_than`: `less_than` does not compare as `string`; use `number` or `integer`"
    );
    let mut typed = condition("v", Operator::Equals, json!("ten"));
    typed.value_type = Some(ValueType::Number);
    let error = check(&typed).unwrap_err().to_string();
    assert_eq!(
        error,
        "`v equals`: `\"ten\"` cannot be read as `number`; change the value or the type"
    );
}

#[test]
fn a_matcher_is_shared_between_threads() {
    fn shareable<T: Send + Sync>(_: &T) {}
    shareable(&compile(&[]).unwrap());
}
