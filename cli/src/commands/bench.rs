use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
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

/// Rules that an error names at most on each side.
const NAMED: usize = 10;

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
    if cfg!(debug_assertions) {
        scene.warn(
            "this build is not optimised, and slow; `cargo run --release -- bench match` measures what counts",
        );
    }
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
    for mix in arguments.mix.mixes() {
        for count in counts {
            let line = line(*mix, *count, &findings, &parsed)?;
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

fn line(mix: Mix, count: usize, findings: &[String], parsed: &[Value]) -> anyhow::Result<Line> {
    let rules = workload::rules(count, mix, 3);
    let start = Instant::now();
    let matcher = compile(&rules).map_err(|_| anyhow::anyhow!("made-up rules do not compile"))?;
    let built = start.elapsed();
    let mut scratch = Scratch::default();
    // Once while the room learns what findings look like, and once as it was when it was measured.
    let matches = agree(&matcher, findings, parsed, &mut scratch)?;
    let mut best = vec![[Duration::MAX; 3]; findings.len().div_ceil(CHUNK)];
    let start = Instant::now();
    for round in 0.. {
        if round >= ROUNDS && start.elapsed() > PATIENCE {
            break;
        }
        // Each goes through all findings before the next does, and they take turns in going first, so none finds them nearer at
        // hand than the others do.
        for turn in 0..3 {
            let kind = (round + turn) % 3;
            let chunks = findings.chunks(CHUNK).zip(parsed.chunks(CHUNK));
            for ((findings, parsed), best) in chunks.zip(&mut best) {
                time(&mut best[kind], || {
                    match kind {
                        0 => {
                            for finding in findings {
                                black_box(matcher.matches_bytes(finding.as_bytes(), &mut scratch)?);
                            }
                        }
                        1 => {
                            for finding in parsed {
                                black_box(matcher.matches_value(finding, &mut scratch));
                            }
                        }
                        _ => {
                            for finding in findings {
                                black_box(serde_json::from_str::<Value>(finding)?);
                            }
                        }
                    }
                    anyhow::Ok(())
                })?;
            }
        }
    }
    agree(&matcher, findings, parsed, &mut scratch)?;
    let rate = |kind: usize| {
        let time: Duration = best.iter().map(|chunk| chunk[kind]).sum();
        findings.len() as f64 / time.as_secs_f64()
    };
    let one_by_one = one_by_one(&matcher, parsed, &mut scratch)?;
    let (read, walked, parse) = (rate(0), rate(1), rate(2));
    Ok(Line {
        mix: mix.name(),
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
fn time<T>(best: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    *best = (*best).min(start.elapsed());
    done
}

/// How many matches all findings have, which must be the same whether they were parsed before or not.
fn agree(
    matcher: &Matcher,
    findings: &[String],
    parsed: &[Value],
    scratch: &mut Scratch,
) -> anyhow::Result<usize> {
    let mut other = Scratch::default();
    let mut matches = 0;
    for (number, (finding, parsed)) in findings.iter().zip(parsed).enumerate() {
        let read = matcher
            .matches_bytes(finding.as_bytes(), scratch)
            .with_context(|| {
                format!("`matches_bytes` cannot read finding {number}, counted from 0")
            })?;
        let walked = matcher.matches_value(parsed, &mut other);
        same(number, ("matches_bytes", read), ("matches_value", walked))?;
        matches += read.len();
    }
    Ok(matches)
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
    for (number, (found, finding)) in found.iter().zip(parsed).enumerate() {
        let walked = matcher.matches_value(finding, scratch);
        same(number, ("matches_value", walked), ("matches_rule", found))?;
    }
    Ok(rate)
}

/// Refuses two results for one finding, each with the name of what gave it, unless they are the same.
fn same(number: usize, one: (&str, &[usize]), other: (&str, &[usize])) -> anyhow::Result<()> {
    if one.1 == other.1 {
        return Ok(());
    }
    let only = |(name, found): (&str, &[usize]), (_, others): (&str, &[usize])| {
        let others: BTreeSet<_> = others.iter().collect();
        let found: BTreeSet<_> = found.iter().collect();
        let rules: Vec<_> = found.difference(&others).map(ToString::to_string).collect();
        let named = rules[..rules.len().min(NAMED)].join(", ");
        match rules.len() {
            0 => None,
            1..=NAMED => Some(format!("only `{name}` finds {named}")),
            all => Some(format!(
                "only `{name}` finds {named} and {} more",
                all - NAMED
            )),
        }
    };
    let mut differences: Vec<String> = [only(one, other), only(other, one)]
        .into_iter()
        .flatten()
        .collect();
    if differences.is_empty() {
        differences.push("one of them gives a rule twice, or not in ascending order".to_owned());
    }
    bail!(
        "`{}` and `{}` differ on finding {number}; of rules, counted like findings from 0: {}",
        one.0,
        other.0,
        differences.join("; ")
    )
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
    /// The mixes that are measured.
    fn mixes(self) -> &'static [Mix] {
        match self {
            Self::All => Mix::ALL,
            Self::Mixed => &[Mix::Mixed],
            Self::Typical => &[Mix::Typical],
            Self::Selective => &[Mix::Selective],
            Self::Wide => &[Mix::Wide],
            Self::Accounts => &[Mix::Accounts],
        }
    }
}

#[cfg(test)]
mod tests {
    use quench_matching::{Condition, Operator, Rule};
    use serde_json::json;

    use super::*;

    fn made_up(count: usize) -> (Vec<String>, Vec<Value>) {
        let findings = workload::findings(count, 1);
        let parsed = findings
            .iter()
            .map(|finding| serde_json::from_str(finding).unwrap())
            .collect();
        (findings, parsed)
    }

    #[test]
    fn a_line_tells_rates_and_ratios() {
        let (findings, parsed) = made_up(3);
        let line = line(Mix::Mixed, 20, &findings, &parsed).unwrap();
        assert_eq!(line.rules, 20);
        assert!(line.events_per_second > 0.0);
        let ratio = line.events_per_second / line.parse_only_events_per_second;
        assert!((line.over_parse_only - ratio).abs() < 1e-9);
        assert_eq!(line.row().len(), 11);
    }

    #[test]
    fn a_finding_that_cannot_be_read_is_an_error() {
        let (mut findings, parsed) = made_up(3);
        findings[1].truncate(40);
        let fault = line(Mix::Mixed, 20, &findings, &parsed).unwrap_err();
        let fault = format!("{fault:#}");
        let start = "`matches_bytes` cannot read finding 1, counted from 0: byte ";
        assert!(fault.starts_with(start), "{fault}");
    }

    /// A rule for each severity.
    fn severities() -> Matcher {
        let rules = ["high", "low", "medium"].map(|severity| Rule {
            name: severity.to_owned(),
            sets: vec![vec![Condition {
                field: "severity".to_owned(),
                operator: Operator::Equals,
                value: severity.into(),
                value_type: None,
            }]],
        });
        compile(&rules).unwrap()
    }

    #[test]
    fn matches_are_counted_where_bytes_and_values_agree() {
        let findings = ["high", "none", "low"].map(|it| json!({"severity": it}).to_string());
        let parsed = ["high", "none", "low"].map(|it| json!({"severity": it}));
        let matches = agree(&severities(), &findings, &parsed, &mut Scratch::default());
        assert_eq!(matches.unwrap(), 2);
    }

    #[test]
    fn a_finding_whose_bytes_match_other_rules_than_its_value_is_an_error() {
        let findings = ["high", "none", "low"].map(|it| json!({"severity": it}).to_string());
        let parsed = ["high", "none", "medium"].map(|it| json!({"severity": it}));
        let fault = agree(&severities(), &findings, &parsed, &mut Scratch::default()).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "`matches_bytes` and `matches_value` differ on finding 2; of rules, counted like findings from 0: only \
             `matches_bytes` finds 1; only `matches_value` finds 2"
        );
    }

    #[test]
    fn the_same_results_do_not_differ() {
        same(0, ("one", &[]), ("other", &[])).unwrap();
        same(0, ("one", &[3, 5]), ("other", &[3, 5])).unwrap();
    }

    #[test]
    fn a_difference_names_the_finding_and_the_rules_on_either_side() {
        let fault = same(7, ("one", &[1, 3, 5, 8]), ("other", &[3, 4, 8])).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "`one` and `other` differ on finding 7; of rules, counted like findings from 0: only `one` finds 1, 5; only `other` \
             finds 4"
        );
        let fault = same(7, ("one", &[3]), ("other", &[3, 4])).unwrap_err();
        assert!(fault.to_string().ends_with(": only `other` finds 4"));
    }

    #[test]
    fn of_many_rules_that_differ_the_first_are_named() {
        let found: Vec<usize> = (0..25).collect();
        let fault = same(0, ("one", &found), ("other", &[])).unwrap_err();
        let end = "only `one` finds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 15 more";
        assert!(fault.to_string().ends_with(end), "{fault}");
    }

    #[test]
    fn the_same_rules_in_another_order_or_twice_differ() {
        for found in [&[5, 3][..], &[3, 3, 5]] {
            let fault = same(0, ("one", found), ("other", &[3, 5])).unwrap_err();
            let end = "gives a rule twice, or not in ascending order";
            assert!(fault.to_string().ends_with(end), "{fault}");
        }
    }
}
