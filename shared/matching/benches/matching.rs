//! Events a second against 10 to 100,000 rules, parsing included and excluded, beside merely parsing and beside asking every
//! rule one by one. What is worst is in the example `worst`.

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
    for mix in Mix::ALL {
        let name = mix.name();
        for count in [10, 1_000, 10_000, 100_000] {
            let rules = workload::rules(count, *mix, 3);
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
            if count <= 1_000 {
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

criterion_group!(benches, matching);
criterion_main!(benches);
