//! Events a second against 10 to 100,000 rules, parsing included and excluded, beside merely parsing and beside explaining
//! every rule one by one; and rules and findings that defeat one part of the index each.

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
    for (name, mix, counts) in [
        ("mixed", Mix::Mixed, &[10, 1_000, 10_000, 100_000][..]),
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
                    BenchmarkId::new(format!("{name}, explained one by one"), count),
                    |bencher| {
                        bencher.iter(|| {
                            for finding in parsed.iter().take(FINDINGS) {
                                for rule in 0..matcher.len() {
                                    black_box(matcher.explain(rule, finding).matched);
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
