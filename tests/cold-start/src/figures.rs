//! What was measured, brought to medians, and the goals it is held against.

use std::time::Duration;

use crate::launch::Span;
use crate::process::Memory;

/// How many times the init CPU of the function that does nothing a function may take.
pub(crate) const INIT_FACTOR: f64 = 3.0;
/// How large a zip may be, in bytes.
pub(crate) const ZIP: u64 = 3_000_000;
/// Memory after the first invocation, in KiB.
pub(crate) const RESIDENT: u64 = 9 * 1024;
/// Memory at most, in KiB: three quarters of what the functions have.
pub(crate) const FLOOD: u64 = 96 * 1024;
/// CPU of a batch besides its calls, of a function that is warm.
pub(crate) const WARM: Duration = Duration::from_millis(3);

/// One life of a function.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Life {
    pub(crate) init: Span,
    pub(crate) first: Span,
    pub(crate) warm: Span,
    /// Calls to AWS of a warm invocation.
    pub(crate) calls: usize,
    /// CPU of those calls, made by a program that does nothing else.
    pub(crate) calls_cpu: Duration,
    /// After the first invocation.
    pub(crate) memory: Memory,
}

/// All lives of a function.
pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) exe: Option<u64>,
    pub(crate) zip: Option<u64>,
    pub(crate) lives: Vec<Life>,
    /// KiB that were resident at most while it worked on the largest batch there can be.
    pub(crate) flood: Option<u64>,
}

/// Whether a goal is met; nothing where there is none.
type Verdict = Option<bool>;

impl Figures {
    fn duration(&self, of: impl Fn(&Life) -> Duration) -> Duration {
        median(self.lives.iter().map(of).collect())
    }

    fn init_cpu(&self) -> Duration {
        self.duration(|life| life.init.cpu)
    }

    /// CPU of a warm invocation besides its calls.
    fn own(&self) -> Duration {
        self.duration(|life| life.warm.cpu.saturating_sub(life.calls_cpu))
    }

    /// Each cell with whether its goal is met, in the order of [`HEAD`].
    fn cells(&self, nothing: Duration, held: Held) -> Vec<(String, Verdict)> {
        let factor = self.init_cpu().as_secs_f64() / nothing.as_secs_f64();
        let memory = |of: fn(&Memory) -> u64| {
            median(self.lives.iter().map(|life| of(&life.memory)).collect())
        };
        let resident = memory(|memory| memory.resident);
        let calls = median(self.lives.iter().map(|life| life.calls).collect());
        let own = self.own();
        let span = |of: fn(&Life) -> Span| {
            let wall = self.duration(|life| of(life).wall);
            let cpu = self.duration(|life| of(life).cpu);
            (format!("{} / {}", ms(wall), ms(cpu)), None)
        };
        vec![
            (self.name.clone(), None),
            (mb(self.exe), None),
            (
                mb(self.zip),
                self.zip.filter(|_| held.function).map(|zip| zip <= ZIP),
            ),
            span(|life| life.init),
            (
                format!("{factor:.1}×"),
                held.init.then_some(factor <= INIT_FACTOR),
            ),
            span(|life| life.first),
            span(|life| life.warm),
            (calls.to_string(), None),
            (ms(own), held.batch.then_some(own <= WARM)),
            (mib(resident), held.function.then_some(resident <= RESIDENT)),
            (mib(memory(|memory| memory.anonymous)), None),
            (mib(memory(|memory| memory.highest)), None),
            (
                self.flood.map_or_else(|| "–".to_owned(), mib),
                self.flood.map(|flood| flood <= FLOOD),
            ),
        ]
    }
}

/// Which goals hold for a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Those of every function of the product.
    pub(crate) function: bool,
    /// That of a quick start.
    pub(crate) init: bool,
    /// That of batches.
    pub(crate) batch: bool,
}

const HEAD: [&str; 13] = [
    "function",
    "exe MB",
    "zip MB",
    "init ms wall / CPU",
    "CPU × nothing",
    "first ms wall / CPU",
    "warm ms wall / CPU",
    "calls",
    "CPU ms besides them",
    "RSS MiB",
    "of no file",
    "peak MiB",
    "6 MB batch MiB",
];

/// Renders the table, floors first; tells whether every goal is met. Where figures meet or miss their goal it is said beside them.
pub(crate) fn table(all: &[(Figures, Held)]) -> (String, bool) {
    let nothing = all
        .first()
        .map_or(Duration::ZERO, |(figures, _)| figures.init_cpu());
    let mut met = true;
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    for (figures, held) in all {
        let cells = figures.cells(nothing, *held).into_iter();
        rows.push(
            cells
                .map(|(cell, verdict)| match verdict {
                    Some(true) => format!("{cell} ok"),
                    Some(false) => {
                        met = false;
                        format!("{cell} MISS")
                    }
                    None => cell,
                })
                .collect(),
        );
    }
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let padded = cells.map(|(column, (cell, width))| {
            let space = " ".repeat(width - cell.chars().count());
            if column == 0 {
                format!("{cell}{space}")
            } else {
                format!("{space}{cell}")
            }
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| {
            if column == 0 {
                format!(":{}", "-".repeat(width + 1))
            } else {
                format!("{}:", "-".repeat(width + 1))
            }
        })
        .collect();
    let mut text = line(&rows[0]);
    text.push_str(&format!("|{}|\n", rule.join("|")));
    for row in &rows[1..] {
        text.push_str(&line(row));
    }
    (text, met)
}

fn median<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn ms(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

fn mb(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "–".to_owned(),
        |bytes| format!("{:.2}", bytes as f64 / 1e6),
    )
}

fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(name: &str, init: u64, warm: u64, zip: u64) -> Figures {
        let span = |ms| Span {
            wall: Duration::from_millis(2 * ms),
            cpu: Duration::from_millis(ms),
        };
        let life = Life {
            init: span(init),
            warm: span(warm),
            calls: 12,
            calls_cpu: Duration::from_millis(4),
            memory: Memory {
                resident: 9 * 1024,
                anonymous: 4 * 1024,
                highest: 10 * 1024,
            },
            ..Life::default()
        };
        Figures {
            name: name.to_owned(),
            exe: None,
            zip: Some(zip),
            lives: vec![life; 3],
            flood: None,
        }
    }

    fn rendered(init: u64, warm: u64, zip: u64) -> (String, bool) {
        let held = |all| Held {
            function: all,
            init: all,
            batch: all,
        };
        table(&[
            (figures("nothing", 1, 0, 400_000), held(false)),
            (figures("alert", init, warm, zip), held(true)),
        ])
    }

    #[test]
    fn every_goal_met_is_said_beside_its_figure() {
        let (text, met) = rendered(3, 7, 3_000_000);
        assert!(met, "{text}");
        let alert = text.lines().last().unwrap();
        for cell in ["3.00 ok", "3.0× ok", "9.0 ok"] {
            assert!(alert.contains(cell), "{alert}");
        }
    }

    #[test]
    fn any_goal_missed_is_said_beside_its_figure() {
        for (init, warm, zip, cell) in [
            (4, 7, 1, "4.0× MISS"),
            (3, 8, 1, "4.00 MISS"),
            (3, 7, 3_010_000, "3.01 MISS"),
        ] {
            let (text, met) = rendered(init, warm, zip);
            assert!(!met, "{text}");
            assert!(text.lines().last().unwrap().contains(cell), "{text}");
        }
    }

    #[test]
    fn a_median_is_a_value_that_was_seen() {
        assert_eq!(median(vec![3, 1, 100]), 3);
        assert_eq!(median(Vec::<u64>::new()), 0);
    }
}
