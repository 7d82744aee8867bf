use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use quench_matching::workload::{self, Mix};
use quench_matching::{Matcher, Scratch, compile};
use serde::Serialize;
use serde_json::Value;

use super::{Scene, Verdict};
use crate::arguments::{Bench, BenchMatch, BenchMix};

/// Findings that are timed together: few enough that some round of them is not disturbed.
const CHUNK: usize = 100;

/// How often each chunk is timed at least.
const ROUNDS: usize = 5;

/// How long one line of the table is worked on, if its rounds are short.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Rules that are asked one by one in all, to know what that costs.
const ONE_BY_ONE: usize = 200_000;

pub(crate) fn perform(scene: &Scene, command: &Bench) -> anyhow::Result<Verdict> {
    match command {
        Bench::Match(arguments) => matching(scene, arguments),
    }
}

/// One line of the table; rates are events a second.
#[derive(Debug, Serialize)]
struct Line {
    mix: &'static str,
    rules: usize,
    /// Reading included.
    events_per_second: f64,
    /// Of findings parsed before.
    parsed_events_per_second: f64,
    /// Merely parsing with `serde_json`.
    parse_only_events_per_second: f64,
    /// Asking every rule in turn, of findings parsed before.
    one_by_one_events_per_second: f64,
    over_parse_only: f64,
    over_one_by_one: f64,
    matches_per_event: f64,
    bytes_per_rule: usize,
    build_ms: f64,
}

fn matching(scene: &Scene, arguments: &BenchMatch) -> anyhow::Result<Verdict> {
    let findings = workload::findings(arguments.findings, 7);
    let parsed: Vec<Value> = findings
        .iter()
        .map(|finding| serde_json::from_str(finding))
        .collect::<Result<_, _>>()
        .context("a made-up finding is no JSON")?;
    let counts: &[usize] = match &arguments.rules[..] {
        [] => &[10, 1_000, 10_000, 100_000],
        counts => counts,
    };
    let mut rows = Vec::new();
    for (name, mix) in arguments.mix.mixes() {
        for count in counts {
            let line = line(name, *mix, *count, &findings, &parsed)?;
            scene.output.object(&line)?;
            rows.push(line.row());
        }
    }
    let headings = [
        "MIX",
        "RULES",
        "EVENTS/S",
        "PARSED BEFORE",
        "ONLY PARSING",
        "ONE BY ONE",
        "X PARSING",
        "X ONE BY ONE",
        "MATCHES",
        "BYTES/RULE",
        "BUILT",
    ];
    scene.output.table(&headings, &rows)?;
    Ok(Verdict::Good)
}

fn line(
    name: &'static str,
    mix: Mix,
    count: usize,
    findings: &[String],
    parsed: &[Value],
) -> anyhow::Result<Line> {
    let rules = workload::rules(count, mix, 3);
    let start = Instant::now();
    let matcher = compile(&rules).map_err(|_| anyhow::anyhow!("made-up rules do not compile"))?;
    let built = start.elapsed();
    let mut scratch = Scratch::default();
    let mut best = vec![[Duration::MAX; 3]; findings.len().div_ceil(CHUNK)];
    let start = Instant::now();
    let mut matches = 0;
    for round in 0.. {
        if round >= ROUNDS && start.elapsed() > PATIENCE {
            break;
        }
        // Each goes through all findings before the next does, and they take turns in going first, so none finds them nearer at
        // hand than the others do.
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
                            let matched = matcher.matches_bytes(finding.as_bytes(), &mut scratch);
                            matches += matched.map_or(0, <[usize]>::len);
                        }
                    }
                    1 => {
                        for finding in parsed {
                            black_box(matcher.matches_value(finding, &mut scratch));
                        }
                    }
                    _ => {
                        for finding in findings {
                            let _ = black_box(serde_json::from_str::<Value>(finding));
                        }
                    }
                });
            }
        }
    }
    let rate = |kind: usize| {
        let time: Duration = best.iter().map(|chunk| chunk[kind]).sum();
        findings.len() as f64 / time.as_secs_f64()
    };
    let one_by_one = one_by_one(&matcher, parsed, &mut scratch)?;
    let (read, walked, parse) = (rate(0), rate(1), rate(2));
    Ok(Line {
        mix: name,
        rules: count,
        events_per_second: read,
        parsed_events_per_second: walked,
        parse_only_events_per_second: parse,
        one_by_one_events_per_second: one_by_one,
        over_parse_only: read / parse,
        over_one_by_one: walked / one_by_one,
        matches_per_event: matches as f64 / findings.len() as f64,
        bytes_per_rule: matcher.heap_size() / count.max(1),
        build_ms: built.as_secs_f64() * 1e3,
    })
}

/// Keeps the shortest time that some work took.
fn time(best: &mut Duration, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    *best = (*best).min(start.elapsed());
}

/// Events a second when every rule is asked in turn, of as many findings as there is time for; and whether that gives the
/// same.
fn one_by_one(matcher: &Matcher, parsed: &[Value], scratch: &mut Scratch) -> anyhow::Result<f64> {
    let sample = (ONE_BY_ONE / matcher.len().max(1)).clamp(1, parsed.len());
    let start = Instant::now();
    let found: Vec<Vec<usize>> = parsed[..sample]
        .iter()
        .map(|finding| {
            (0..matcher.len())
                .filter(|rule| matcher.matches_rule(*rule, finding))
                .collect()
        })
        .collect();
    let rate = sample as f64 / start.elapsed().as_secs_f64();
    for (found, finding) in found.iter().zip(parsed) {
        ensure!(
            matcher.matches_value(finding, scratch) == found,
            "the index differs from asking every rule, for {finding}"
        );
    }
    Ok(rate)
}

impl Line {
    fn row(&self) -> Vec<String> {
        vec![
            self.mix.to_owned(),
            self.rules.to_string(),
            format!("{:.0}", self.events_per_second),
            format!("{:.0}", self.parsed_events_per_second),
            format!("{:.0}", self.parse_only_events_per_second),
            format!("{:.0}", self.one_by_one_events_per_second),
            format!("{:.2}", self.over_parse_only),
            format!("{:.1}", self.over_one_by_one),
            format!("{:.1}", self.matches_per_event),
            self.bytes_per_rule.to_string(),
            format!("{:.1} ms", self.build_ms),
        ]
    }
}

impl BenchMix {
    /// The mixes that are measured, with their names.
    fn mixes(self) -> &'static [(&'static str, Mix)] {
        const ALL: [(&str, Mix); 4] = [
            ("mixed", Mix::Mixed),
            ("typical", Mix::Typical),
            ("selective", Mix::Selective),
            ("accounts", Mix::Accounts),
        ];
        match self {
            Self::All => &ALL,
            Self::Mixed => &ALL[..1],
            Self::Typical => &ALL[1..2],
            Self::Selective => &ALL[2..3],
            Self::Accounts => &ALL[3..],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rates_and_ratios() {
        let findings = workload::findings(3, 1);
        let parsed: Vec<Value> = findings
            .iter()
            .map(|finding| serde_json::from_str(finding).unwrap())
            .collect();
        let line = line("mixed", Mix::Mixed, 20, &findings, &parsed).unwrap();
        assert_eq!(line.rules, 20);
        assert!(line.events_per_second > 0.0);
        let ratio = line.events_per_second / line.parse_only_events_per_second;
        assert!((line.over_parse_only - ratio).abs() < 1e-9);
        assert_eq!(line.row().len(), 11);
    }
}
