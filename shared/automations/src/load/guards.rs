//! What keeps the remediations of an automation from doing too much.

use super::reader::{Fields, Reader};
use crate::bind::holds_template;
use crate::yaml::{Content, Node};
use crate::{Blackout, Day, Exempt, Guards};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};

const KEYS: [&str; 4] = ["max_resources", "max_per_hour", "exempt", "blackout"];

const DAYS: [(&str, Day); 7] = [
    ("monday", Day::Monday),
    ("tuesday", Day::Tuesday),
    ("wednesday", Day::Wednesday),
    ("thursday", Day::Thursday),
    ("friday", Day::Friday),
    ("saturday", Day::Saturday),
    ("sunday", Day::Sunday),
];

/// Most resources that a limit may name: more is no limit.
const MOST: i64 = 1_000_000;

pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Guards {
    let Some(fields) = reader.fields(node, "`guards`", &KEYS) else {
        return Guards::default();
    };
    if matches!(&node.content, Content::Mapping(entries) if entries.is_empty()) {
        reader.fault_with_help(
            &node.span,
            "`guards` is empty",
            "remove it, or write such as `guards: { max_resources: 5 }`",
        );
    }
    let blackout = fields.get("blackout").map(|node| {
        let items = reader.one_or_more(node);
        if items.is_empty() && !matches!(node.content, Content::Broken) {
            reader.fault_with_help(
                &node.span,
                "`blackout` is empty",
                "remove it, or write from when until when nothing is changed",
            );
        }
        items
            .into_iter()
            .filter_map(|item| blackout(reader, item))
            .collect()
    });
    Guards {
        max_resources: limit(reader, &fields, "max_resources"),
        max_per_hour: limit(reader, &fields, "max_per_hour"),
        exempt: fields
            .get("exempt")
            .map(|node| exempt(reader, node))
            .unwrap_or_default(),
        blackout: blackout.unwrap_or_default(),
    }
}

fn limit(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<u32> {
    let node = fields.get(name)?;
    if matches!(&node.content, Content::Number(number) if number.as_i64() == Some(0)) {
        reader.fault_with_help(
            &node.span,
            format!("`{name}: 0` lets nothing be changed"),
            "to change nothing write `mode: observe`",
        );
        return None;
    }
    let number = reader.whole_number(node, &format!("`{name}`"), 1..=MOST)?;
    u32::try_from(number).ok()
}

fn exempt(reader: &mut Reader<'_>, node: &Node) -> Exempt {
    let mut exempt = Exempt::default();
    let keys = ["tags", "resources", "accounts", "break_glass"];
    let Some(fields) = reader.fields(node, "`exempt`", &keys) else {
        return exempt;
    };
    for (name, set) in [
        ("tags", set_tags as fn(&mut Exempt, String)),
        ("resources", |exempt, text| exempt.resources.push(text)),
        ("accounts", |exempt, text| exempt.accounts.push(text)),
        ("break_glass", |exempt, text| exempt.break_glass = text),
    ] {
        let Some(node) = fields.get(name) else {
            continue;
        };
        if let (Content::Mapping(entries), "tags") = (&node.content, name) {
            let help = match entries.first() {
                Some((key, value)) => {
                    format!("write `- {}={}`", key.text, value.text().unwrap_or("…"))
                }
                None => "write `- key=value`".to_owned(),
            };
            reader.misfit(node, "`tags`", "a list", help);
            continue;
        }
        let items = match name {
            "break_glass" => vec![node],
            _ => reader.one_or_more(node),
        };
        for item in items {
            let Some(text) = reader.text(item, &format!("`{name}`")) else {
                continue;
            };
            if holds_template(text) {
                reader.fault_with_help(
                    &item.span,
                    "guards hold for every finding and cannot be templates",
                    "write the value itself, or a `*` for any letters of a value",
                );
                continue;
            }
            let mut alone = Exempt::default();
            set(&mut alone, text.to_owned());
            for fault in alone.check().err().unwrap_or_default() {
                let message = format!("exemption `{}` {}", fault.text, fault.reason);
                reader.fault_with_help(&item.span, message, fault.help);
            }
            set(&mut exempt, text.to_owned());
        }
    }
    exempt
}

fn set_tags(exempt: &mut Exempt, text: String) {
    exempt.tags.push(text);
}

/// Reads a time in which nothing is changed: one of every week where it has days, a zone, or times of a day.
fn blackout(reader: &mut Reader<'_>, node: &Node) -> Option<Blackout> {
    let fields = reader.fields(node, "a blackout", &["days", "from", "until", "zone"])?;
    let of_day = |name| {
        let text = fields.get(name).and_then(Node::text);
        text.is_some_and(|text| !text.contains('-') && text.contains(':'))
    };
    let weekly = fields.key("days").is_some()
        || fields.key("zone").is_some()
        || of_day("from")
        || of_day("until");
    if weekly {
        every_week(reader, &fields)
    } else {
        once(reader, &fields)
    }
}

fn once(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Blackout> {
    let from = reader.require(fields, "from", "such as `from: 2026-12-20T00:00:00Z`");
    let until = reader.require(fields, "until", "such as `until: 2027-01-04T00:00:00Z`");
    let from = from.and_then(|node| moment(reader, node, "from"));
    let last = until.and_then(|node| moment(reader, node, "until"));
    let (from, until, node) = (from?, last?, until?);
    if until <= from {
        reader.fault_with_help(
            &node.span,
            "the blackout ends before it begins",
            "`until` must be later than `from`",
        );
        return None;
    }
    Some(Blackout::Once { from, until })
}

fn moment(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Timestamp> {
    const HOW: &str = "such as `2026-12-20T00:00:00Z`";
    let Some(text) = node.text() else {
        reader.misfit(node, &format!("`{what}`"), "a time", HOW);
        return None;
    };
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    let help = if text.parse::<Date>().is_ok() && text.len() == 10 {
        format!("for midnight in UTC write `{text}T00:00:00Z`")
    } else if text.parse::<DateTime>().is_ok() {
        format!("for UTC write `{text}Z`")
    } else {
        HOW.to_owned()
    };
    reader.fault_with_help(
        &node.span,
        format!("`{text}` is not a time with its offset"),
        help,
    );
    None
}

fn every_week(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Blackout> {
    let days = reader
        .require(fields, "days", "such as `days: [saturday, sunday]`")
        .map(|node| days(reader, node));
    let from = reader.require(fields, "from", "such as `from: \"08:00\"`");
    let until = reader.require(fields, "until", "such as `until: \"20:00\"`");
    let zone = reader
        .require(
            fields,
            "zone",
            "such as `zone: Europe/Vienna`, or `zone: UTC`",
        )
        .and_then(|node| zone(reader, node));
    let from = from.and_then(|node| time(reader, node, "from"));
    let last = until.and_then(|node| time(reader, node, "until"));
    let (days, from, until, zone, node) = (days?, from?, last?, zone?, until?);
    if from == until && from != Time::midnight() {
        reader.fault_with_help(
            &node.span,
            "the blackout ends when it begins",
            "for whole days write `\"00:00\"` for both",
        );
        return None;
    }
    if from == until && days.len() == DAYS.len() {
        reader.doubt(
            &node.span,
            "the blackout never ends, so that nothing is ever changed",
            "to change nothing write `mode: observe`",
        );
    }
    Some(Blackout::Weekly {
        days,
        from,
        until,
        zone,
    })
}

fn days(reader: &mut Reader<'_>, node: &Node) -> Vec<Day> {
    let items = reader.one_or_more(node);
    if items.is_empty() && !matches!(node.content, Content::Broken) {
        reader.fault_with_help(
            &node.span,
            "`days` is empty",
            "such as `days: [saturday, sunday]`",
        );
    }
    let mut days = Vec::new();
    for item in items {
        // `sat` is too far from its day to be told as near.
        let short = item.text().map(str::to_lowercase).and_then(|text| {
            let day = DAYS
                .iter()
                .find(|(day, _)| day.starts_with(text.trim_end_matches('s')))?;
            (text.trim_end_matches('s').len() >= 2 && !DAYS.iter().any(|(day, _)| *day == text))
                .then_some(day.0)
        });
        if let (Some(day), Some(text)) = (short, item.text()) {
            reader.fault_with_help(
                &item.span,
                format!("day `{text}` is not known"),
                format!("did you mean `{day}`?"),
            );
            continue;
        }
        let Some(day) = reader.word(item, "day", &DAYS) else {
            continue;
        };
        if days.contains(&day) {
            let message = format!("`{}` is named twice", item.text().unwrap_or_default());
            reader.fault_with_help(&item.span, message, "remove one of the two");
        } else {
            days.push(day);
        }
    }
    days
}

/// Reads a time of the day in hours and minutes.
fn time(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Time> {
    let Some(text) = node.text() else {
        reader.misfit(
            node,
            &format!("`{what}`"),
            "a time of the day",
            "such as `\"08:00\"`, in quotes",
        );
        return None;
    };
    let parts: Vec<&str> = text.split(':').collect();
    let numbers: Vec<Option<i8>> = parts
        .iter()
        .map(|part| {
            let digits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        })
        .collect();
    let time = match numbers[..] {
        [Some(hour), Some(minute)] => Time::new(hour, minute, 0, 0).ok(),
        [Some(hour), Some(minute), Some(second)] => Time::new(hour, minute, second, 0).ok(),
        _ => None,
    };
    if time.is_none() {
        let help = match text {
            "24:00" | "24:00:00" => "the end of a day is `\"00:00\"`",
            _ => "such as `\"08:00\"`",
        };
        reader.fault_with_help(
            &node.span,
            format!("`{text}` is not a time of the day"),
            help,
        );
    }
    time
}

/// Reads the name of a zone by its form: which zones there are, the machine knows that evaluates the guard.
fn zone(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "`zone`")?;
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    if text.len() > 64 || !text.split('/').all(is_part) {
        reader.fault_with_help(
            &node.span,
            format!("`{text}` is not the name of a zone"),
            "such as `Europe/Vienna`, or `UTC`",
        );
        return None;
    }
    Some(text.to_owned())
}
