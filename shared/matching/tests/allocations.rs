//! Once warm, matching allocates nothing. A test of its own, because it counts what the whole thread allocates.

use quench_matching::workload::{self, Mix};
use quench_matching::{Condition, Operator, Rule, Scratch, compile};
use serde_json::{Value, json};

/// A rule of every operator, beside the usual ones.
fn rules() -> Vec<Rule> {
    let mut rules = workload::rules(2_000, Mix::Mixed, 1);
    for (field, operator, value) in [
        ("detail.title", Operator::Matches, json!("^the .*host")),
        ("detail.description", Operator::NotEquals, json!("nothing")),
        ("detail.service.count", Operator::In, json!([1, 2, 3])),
        (
            "detail.resource.tags.team",
            Operator::NotIn,
            json!(["search-1"]),
        ),
        (
            "detail.service.action.remote.ip",
            Operator::Cidr,
            json!(["10.0.0.0/8", "64.0.0.0/4"]),
        ),
        (
            "detail.resource.instanceDetails.platform",
            Operator::Equals,
            json!(null),
        ),
        (
            "detail.service.action.blocked",
            Operator::Equals,
            json!("true"),
        ),
        ("detail.severity", Operator::Contains, json!("5")),
        ("detail.none", Operator::Exists, json!(false)),
        ("detail.level", Operator::AtLeast, json!("low")),
        ("resources[0]", Operator::EndsWith, json!("0")),
    ] {
        let condition = Condition {
            field: field.to_owned(),
            operator,
            value,
            value_type: None,
        };
        rules.push(Rule {
            name: format!("{field} {operator}"),
            sets: vec![vec![condition]],
        });
    }
    for number in 0..40 {
        let equals = |value: Value| Condition {
            field: "many".to_owned(),
            operator: Operator::Equals,
            value,
            value_type: None,
        };
        let texts = [number, 2 * number].map(|number| equals(json!(number.to_string())));
        let numbers = [number, 2 * number].map(|number| equals(json!(number)));
        rules.push(Rule {
            name: format!("many {number}"),
            sets: vec![texts.to_vec(), numbers.to_vec()],
        });
    }
    rules
}

#[test]
fn nothing_is_allocated_once_warm() {
    let matcher = compile(&rules()).expect("valid rules");
    let mut findings = workload::findings(200, 2);
    // Escapes and letters beyond ASCII take another way.
    findings.push(
        findings[0]
            .replace("The", "Thé \\u00DF \\\"")
            .replace("\"region\"", "\"reg\\u0069on\""),
    );
    // Of many values much is asked.
    let many: Vec<usize> = (0..500).collect();
    findings.push(json!({"many": many}).to_string());
    let parsed: Vec<Value> = findings
        .iter()
        .map(|finding| serde_json::from_str(finding).expect("JSON"))
        .collect();
    let mut scratch = Scratch::default();
    let mut pass = || {
        let mut matched = 0;
        for (finding, parsed) in findings.iter().zip(&parsed) {
            matched += matcher
                .matches_bytes(finding.as_bytes(), &mut scratch)
                .expect("JSON")
                .len();
            matched += matcher.matches_value(parsed, &mut scratch).len();
        }
        matched
    };
    let warm = pass();
    assert!(warm > 1_000, "{warm}");
    let allocated = allocation_counter::measure(|| assert_eq!(pass(), warm));
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
}
