//! What a matcher says that it takes is what the allocator gave it. A test of its own, because it counts what the whole thread
//! allocates.

use quench_matching::workload::{self, Mix};
use quench_matching::{Condition, Matcher, Operator, Rule, compile};
use serde_json::{Value, json};

/// Compares the told size with what lives on the heap once rules are compiled, in hundredths of the latter.
fn told_of_a_hundred(rules: &[Rule]) -> f64 {
    let mut matcher = None;
    let allocated =
        allocation_counter::measure(|| matcher = Some(compile(rules).expect("valid rules")));
    let told = matcher.as_ref().map_or(0, Matcher::heap_size);
    100.0 * told as f64 / allocated.bytes_current as f64
}

fn asked(field: &str, operator: Operator, value: Value) -> Vec<Condition> {
    vec![Condition {
        field: field.to_owned(),
        operator,
        value,
        value_type: None,
    }]
}

/// So many rules of one operator.
fn rules(count: usize, condition: impl Fn(usize) -> Vec<Condition>) -> Vec<Rule> {
    let rules = (0..count).map(|number| Rule {
        name: number.to_string(),
        sets: vec![condition(number)],
    });
    rules.collect()
}

#[test]
fn what_the_usual_rules_take_is_told() {
    for mix in Mix::ALL {
        for count in [100, 10_000] {
            let told = told_of_a_hundred(&workload::rules(count, *mix, 3));
            assert!((90.0..110.0).contains(&told), "{mix:?} {count}: {told} %");
        }
    }
}

#[test]
fn what_each_kind_of_condition_takes_is_told() {
    use Operator::{Cidr, Equals, GreaterThan, In, NotEquals, NotIn, StartsWith};
    let texts = |number: usize| json!([format!("text {number}"), "another, and a longer one", "x"]);
    let all: [(&str, Vec<Rule>); 8] = [
        (
            "many fields",
            rules(2_000, |number| {
                asked(&format!("a.b{number}.c[3].d"), Equals, json!("x"))
            }),
        ),
        (
            "numbers",
            rules(2_000, |number| asked("a", Equals, json!(number))),
        ),
        (
            "comparisons",
            rules(2_000, |number| asked("a", GreaterThan, json!(number))),
        ),
        (
            "lists of texts",
            rules(2_000, |number| asked("a", In, texts(number))),
        ),
        (
            "lists of numbers",
            rules(2_000, |number| asked("a", NotIn, json!([number, 1, 2, 3]))),
        ),
        (
            "other texts",
            rules(2_000, |number| {
                asked("a", NotEquals, json!(format!("text {number}")))
            }),
        ),
        (
            "networks",
            rules(200, |number| {
                asked("a", Cidr, json!([format!("10.0.{number}.0/24"), "::/0"]))
            }),
        ),
        (
            "long beginnings",
            rules(100, |number| {
                asked("a", StartsWith, json!("x".repeat(100 + number)))
            }),
        ),
    ];
    for (kind, rules) in all {
        let told = told_of_a_hundred(&rules);
        assert!((90.0..110.0).contains(&told), "{kind}: {told} %");
    }
}
