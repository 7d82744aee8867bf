//! Events a second against 10 to 100,000 rules, parsing included and excluded, beside merely parsing and beside asking every
//! rule one by one; and rules and findings that defeat one part of the index each.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quench_matching::workload::{self, Mix};
use quench_matching::{Matcher, Rule, Scratch, compile};
use serde_json::Value;

const FINDINGS: usize = 500;

fn compiled(rules: &[Rule]) -> Matcher {
    compile(rules).expect("made-up rules are valid")
}

fn matching(criterion: &mut Criterion) {
    let findings = workload::findings(FINDINGS, 7);
    let parsed: Vec<Value> = findings
        .iter()
        .map(|finding| serde_json::from_str(finding).expect("JSON"))
        .collect();
    let mut group = criterion.benchmark_group("matching");
    group
        .throughput(Throughput::Elements(FINDINGS as u64))
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    group.bench_function("parse only", |bencher| {
        bencher.iter(|| {
            for finding in &findings {
                black_box(serde_json::from_str::<Value>(finding).expect("JSON"));
            }
        });
    });
    group.bench_function("parse only, sonic-rs", |bencher| {
        bencher.iter(|| {
            for finding in &findings {
                black_box(sonic_rs::from_str::<sonic_rs::Value>(finding).expect("JSON"));
            }
        });
    });
    for (name, mix, counts) in [
        ("mixed", Mix::Mixed, &[10, 1_000, 10_000, 100_000][..]),
        ("typical", Mix::Typical, &[1_000, 10_000, 100_000]),
        ("selective", Mix::Selective, &[1_000, 10_000, 100_000]),
        ("accounts", Mix::Accounts, &[1_000, 10_000, 100_000]),
    ] {
        for count in counts {
            let rules = workload::rules(*count, mix, 3);
            let start = Instant::now();
            let matcher = compiled(&rules);
            let built = start.elapsed();
            eprintln!(
                "{name}/{count}: {} bytes a rule, built in {built:?}",
                matcher.heap_size() / count
            );
            let mut scratch = Scratch::default();
            group.bench_function(
                BenchmarkId::new(format!("{name}, bytes"), count),
                |bencher| {
                    bencher.iter(|| {
                        for finding in &findings {
                            black_box(
                                matcher
                                    .matches_bytes(finding.as_bytes(), &mut scratch)
                                    .expect("JSON"),
                            );
                        }
                    });
                },
            );
            group.bench_function(
                BenchmarkId::new(format!("{name}, parsed"), count),
                |bencher| {
                    bencher.iter(|| {
                        for finding in &parsed {
                            black_box(matcher.matches_value(finding, &mut scratch));
                        }
                    });
                },
            );
            // Beyond, it takes seconds a round and teaches nothing new.
            if *count <= 1_000 {
                group.bench_function(
                    BenchmarkId::new(format!("{name}, one by one"), count),
                    |bencher| {
                        bencher.iter(|| {
                            for finding in parsed.iter().take(FINDINGS) {
                                for rule in 0..matcher.len() {
                                    black_box(matcher.matches_rule(rule, finding));
                                }
                            }
                        });
                    },
                );
            }
        }
    }
    group.finish();
}

/// Rules and findings that defeat one part of the index each.
fn worst_cases(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("worst cases");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(2));
    let mut measure = |name: &str, rules: String, finding: String| {
        let rules: Vec<Rule> = serde_json::from_str(&rules).expect("rules");
        let matcher = compiled(&rules);
        let mut scratch = Scratch::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                black_box(
                    matcher
                        .matches_bytes(finding.as_bytes(), &mut scratch)
                        .expect("JSON")
                        .len(),
                )
            });
        });
    };
    let rule = |number: usize, conditions: String| {
        format!(r#"{{"name": "{number}", "sets": [[{conditions}]]}}"#)
    };
    let all = |count: usize, conditions: &dyn Fn(usize) -> String| {
        let rules: Vec<String> = (0..count)
            .map(|number| rule(number, conditions(number)))
            .collect();
        format!("[{}]", rules.join(","))
    };
    measure(
        "10,000 rules that share their only condition",
        all(10_000, &|_| {
            r#"{"field": "a", "operator": "equals", "value": "x"}"#.to_owned()
        }),
        r#"{"a": "x"}"#.to_owned(),
    );
    measure(
        "100,000 needles on one path, one text",
        all(100_000, &|number| {
            format!(
                r#"{{"field": "a", "operator": "contains", "value": "threat {}"}}"#,
                number * 7919 % 100_000
            )
        }),
        format!(
            r#"{{"a": "{}"}}"#,
            "this threat 12345 was seen with threat 54321 ".repeat(5)
        ),
    );
    measure(
        "1,000 regular expressions on one path",
        all(1_000, &|number| {
            format!(
                r#"{{"field": "a", "operator": "matches", "value": "^user-{number}@[a-z]+\\.example\\.com$"}}"#
            )
        }),
        r#"{"a": "user-77@mail.example.com"}"#.to_owned(),
    );
    measure(
        "5 MB of elements on one path",
        all(1_000, &|number| {
            format!(r#"{{"field": "a.b", "operator": "equals", "value": "{number}"}}"#)
        }),
        format!(
            r#"{{"a": [{}]}}"#,
            vec![r#"{"b": "1000000", "c": [1, 2, {"d": "e"}]}"#; 120_000].join(",")
        ),
    );
    measure(
        "5 MB that no rule asks about",
        all(1_000, &|number| {
            format!(r#"{{"field": "a", "operator": "equals", "value": "{number}"}}"#)
        }),
        format!(
            r#"{{"a": "1", "b": [{}]}}"#,
            vec![r#"{"b": "1000000", "c": [1, 2, {"d": "e"}]}"#; 120_000].join(",")
        ),
    );
    measure(
        "100 levels that rules ask about, and 100,000 that none does",
        all(1_000, &|number| {
            let path = vec!["a"; 100].join(".");
            format!(r#"{{"field": "{path}", "operator": "equals", "value": "{number}"}}"#)
        }),
        format!(
            r#"{{"b": {}{}, "a": {}"7"{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000),
            r#"{"a": "#.repeat(99),
            "}".repeat(99),
        ),
    );
    measure(
        "100 names and texts of 40 characters, all escaped",
        all(1_000, &|number| {
            format!(r#"{{"field": "name-{number}", "operator": "contains", "value": "{number}"}}"#)
        }),
        {
            let escaped = |text: &str| -> String {
                let units = text.encode_utf16();
                units.map(|unit| format!("\\u{unit:04x}")).collect()
            };
            let members: Vec<String> = (0..100)
                .map(|number| {
                    let name = escaped(&format!("name-{number}"));
                    let text = escaped(&"é".repeat(40));
                    format!(r#""{name}": "{text}""#)
                })
                .collect();
            format!("{{{}}}", members.join(","))
        },
    );
    measure(
        "names that are there twice",
        all(10_000, &|number| {
            format!(r#"{{"field": "a", "operator": "equals", "value": "{number}"}}"#)
        }),
        format!(
            r#"{{"a": "1", "A": "2", "a": "3", "rest": "{}"}}"#,
            "x".repeat(4_000)
        ),
    );
    group.finish();
}

criterion_group!(benches, matching, worst_cases);
criterion_main!(benches);
