//! Matching beside merely parsing, in alternating rounds: the best rounds of each, and how they compare.
//!
//! Each goes through all findings before the next does, and they take turns in going first, so none finds the findings nearer
//! at hand than the others do.
//!
//! `cargo run --release -p quench-matching --example speed [-- MIX RULES]...`

#![allow(clippy::print_stdout, reason = "it is there to print")]
use std::hint::black_box;
use std::time::{Duration, Instant};

use quench_matching::workload::{self, Mix};
use quench_matching::{Scratch, compile};
use serde_json::Value;

const FINDINGS: usize = 2_000;
/// Findings that are timed together, few enough that some round of them is not disturbed.
const CHUNK: usize = 100;
const ROUNDS: usize = 25;

fn time(best: &mut Duration, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    *best = (*best).min(start.elapsed());
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |mix: &str, count: usize| {
        arguments.is_empty()
            || arguments
                .chunks(2)
                .any(|pair| pair[0] == mix && pair[1..].iter().all(|one| *one == count.to_string()))
    };
    let findings = workload::findings(FINDINGS, 7);
    let parsed: Vec<Value> = findings
        .iter()
        .map(|finding| serde_json::from_str(finding).expect("JSON"))
        .collect();
    let bytes: usize = findings.iter().map(String::len).sum();
    println!("{} bytes a finding", bytes / FINDINGS);
    for mix in Mix::ALL {
        let name = mix.name();
        for count in [10, 1_000, 10_000, 100_000] {
            if !wanted(name, count) {
                continue;
            }
            let rules = workload::rules(count, *mix, 3);
            let mut built = Duration::MAX;
            time(&mut built, || drop(black_box(compile(&rules))));
            let matcher = compile(&rules).expect("made-up rules are valid");
            let mut scratch = Scratch::default();
            let mut best = [[Duration::MAX; 3]; FINDINGS / CHUNK];
            let mut matches = 0;
            for round in 0..ROUNDS {
                for turn in 0..3 {
                    let kind = (round + turn) % 3;
                    if kind == 0 {
                        matches = 0;
                    }
                    let chunks = findings.chunks(CHUNK).zip(parsed.chunks(CHUNK));
                    for ((findings, parsed), best) in chunks.zip(&mut best) {
                        time(&mut best[kind], || match kind {
                            0 => {
                                for finding in findings {
                                    let matched =
                                        matcher.matches_bytes(finding.as_bytes(), &mut scratch);
                                    matches += matched.expect("JSON").len();
                                }
                            }
                            1 => {
                                for finding in parsed {
                                    black_box(matcher.matches_value(finding, &mut scratch));
                                }
                            }
                            _ => {
                                for finding in findings {
                                    black_box(
                                        sonic_rs::from_str::<sonic_rs::Value>(finding)
                                            .expect("JSON"),
                                    );
                                }
                            }
                        });
                    }
                }
            }
            let [read, walked, sonic] =
                [0, 1, 2].map(|kind| best.iter().map(|chunk| chunk[kind]).sum::<Duration>());
            let rate = |time: Duration| FINDINGS as f64 / time.as_secs_f64();
            println!(
                "{name:8} {count:6}: read {:7.0}/s = {:.2} x sonic-rs {:7.0}/s; parsed {:7.0}/s; {:.1} matches; {} B a rule, {built:.2?}",
                rate(read),
                rate(read) / rate(sonic),
                rate(sonic),
                rate(walked),
                matches as f64 / FINDINGS as f64,
                matcher.heap_size() / count,
            );
        }
    }
}
