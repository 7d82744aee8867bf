use super::conditions;
use super::guards;
use super::reach::Reach;
use super::reader::Reader;
use super::references::{Call, Caller};
use crate::templates::Names;
use crate::yaml::{Content, Node};
use crate::{Automation, AutomationTest, Mode, PlaybookCall, scope};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use quench_findings::{Kind, Transition};
use quench_matching::Condition;

const KEYS: [&str; 14] = [
    "automation",
    "description",
    "trigger",
    "on",
    "sub_findings",
    "scope",
    "when",
    "run",
    "mode",
    "guards",
    "order",
    "expires",
    "enabled",
    "tests",
];

pub(super) const TRIGGERS: [(&str, Kind); 3] = [
    ("alert", Kind::Alert),
    ("recommendation", Kind::Recommendation),
    ("compliance", Kind::Compliance),
];

const TRANSITIONS: [(&str, Transition); 3] = [
    ("created", Transition::Created),
    ("changed", Transition::Changed),
    ("resolved", Transition::Resolved),
];

const MODES: [(&str, Mode); 3] = [
    ("observe", Mode::Observe),
    ("approve", Mode::Approve),
    ("enforce", Mode::Enforce),
];

/// Reads an automation; absent if it is too broken to be one.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Automation> {
    let fields = reader.fields(root, "an automation", &KEYS)?;
    let name = reader
        .require(&fields, "automation", "name it")
        .and_then(|node| reader.name(node, "the name"));
    let description = fields
        .get("description")
        .and_then(|node| reader.filled_text(node, "`description`"));
    let trigger = reader
        .require(
            &fields,
            "trigger",
            "say what it listens to: `alert`, `recommendation` or `compliance`",
        )
        .and_then(|node| trigger_word(reader, node));
    let on = fields
        .get("on")
        .map(|node| transitions(reader, node))
        .unwrap_or_default();
    let flag = |reader: &mut Reader<'_>, name: &str, default: bool| match fields.get(name) {
        Some(node) => reader
            .boolean(node, &format!("`{name}`"))
            .unwrap_or(default),
        None => default,
    };
    let sub_findings = flag(reader, "sub_findings", false);
    let enabled = flag(reader, "enabled", true);
    let scope = fields
        .get("scope")
        .map(|node| scopes(reader, node))
        .unwrap_or_default();
    let when = fields
        .get("when")
        .map(|node| conditions::sets(reader, node, trigger))
        .unwrap_or_default();
    let first_call = reader.uses.calls.len();
    let run = reader
        .require(
            &fields,
            "run",
            "add the playbooks that it starts: `run: [{ playbook: notify-email }]`",
        )
        .map(|node| calls(reader, node, trigger))
        .unwrap_or_default();
    let mode = fields
        .get("mode")
        .and_then(|node| reader.word(node, "mode", &MODES));
    let guards = fields
        .get("guards")
        .map(|node| guards::read(reader, node))
        .unwrap_or_default();
    reader.uses.reaches.push(Reach {
        source: reader.source.clone(),
        mode,
        mode_span: fields.key("mode").map(|key| key.span.clone()),
        guards_span: fields.key("guards").map(|key| key.span.clone()),
        calls: reader.uses.calls[first_call..]
            .iter()
            .map(|call| (call.playbook.clone(), call.span.clone()))
            .collect(),
    });
    let order = fields
        .get("order")
        .and_then(|node| reader.whole_number(node, "`order`", -1_000_000..=1_000_000))
        .unwrap_or(100);
    let expires = fields.get("expires").and_then(|node| expiry(reader, node));
    let tests = fields
        .get("tests")
        .map(|node| tests(reader, node))
        .unwrap_or_default();
    Some(Automation {
        name: name?,
        description,
        trigger: trigger?,
        on,
        sub_findings,
        scope,
        when,
        run,
        mode,
        guards,
        order,
        expires,
        enabled,
        tests,
    })
}

/// Reads a trigger, with the names that other products have for the kinds.
pub(super) fn trigger_word(reader: &mut Reader<'_>, node: &Node) -> Option<Kind> {
    let meant = match node.text().map(str::to_lowercase).as_deref() {
        Some("alerts" | "threat" | "threats") => "alert",
        Some("recommendations" | "assessment" | "assessments" | "vulnerability" | "posture") => {
            "recommendation"
        }
        Some("regulatory_compliance" | "regulatorycomplianceassessment" | "config") => "compliance",
        _ => return reader.word(node, "trigger", &TRIGGERS),
    };
    let given = node.text().unwrap_or_default();
    reader.fault_with_help(
        &node.span,
        format!("trigger `{given}` is not known"),
        format!("did you mean `{meant}`?"),
    );
    None
}

fn transitions(reader: &mut Reader<'_>, node: &Node) -> Vec<Transition> {
    let mut on = Vec::new();
    let items = reader.one_or_more(node);
    if items.is_empty() {
        reader.fault_with_help(
            &node.span,
            "`on` is empty",
            "remove it, or name `created`, `changed` or `resolved`",
        );
    }
    for item in items {
        if item.text() == Some("repeated") {
            reader.fault_with_help(
                &item.span,
                "an automation cannot fire on what only repeats itself",
                "known are `created`, `changed`, `resolved`",
            );
            continue;
        }
        let Some(transition) = reader.word(item, "transition", &TRANSITIONS) else {
            continue;
        };
        if on.contains(&transition) {
            let message = format!("`{}` is named twice", item.text().unwrap_or_default());
            reader.fault_with_help(&item.span, message, "remove one of the two");
        } else {
            on.push(transition);
        }
    }
    on
}

fn scopes(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let items = reader.one_or_more(node);
    let mut scopes = Vec::new();
    if matches!(&node.content, Content::List(items) if items.is_empty()) {
        reader.fault_with_help(
            &node.span,
            "`scope` is empty",
            "remove the key to mean everything",
        );
    }
    for item in items {
        let text = match &item.content {
            // An account without its cloud, which the pattern's own check explains.
            Content::Number(_) => reader.source.written(&item.span).to_owned(),
            _ => match reader.text(item, "a scope") {
                Some(text) => text.trim().to_owned(),
                None => continue,
            },
        };
        if reader.is_full() {
            break;
        }
        match scope::parse(&text) {
            Ok(_) => scopes.push(text),
            Err(fault) => {
                let help = fault
                    .help
                    .unwrap_or_else(|| "such as `aws:111122223333`".to_owned());
                reader.fault_with_help(&item.span, fault.message, help);
            }
        }
    }
    scopes
}

fn calls(reader: &mut Reader<'_>, node: &Node, trigger: Option<Kind>) -> Vec<PlaybookCall> {
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        Content::Mapping(_) => std::slice::from_ref(node),
        Content::Text(text, _) => {
            let help = format!("write `run: [{{ playbook: {text} }}]`");
            reader.misfit(node, "`run`", "a list of playbooks", help);
            return Vec::new();
        }
        _ => {
            reader.misfit(
                node,
                "`run`",
                "a list of playbooks",
                "write `run: [{ playbook: notify-email }]`",
            );
            return Vec::new();
        }
    };
    if items.is_empty() {
        reader.fault_with_help(&node.span, "`run` is empty", "name at least one playbook");
    }
    items
        .iter()
        .filter_map(|item| call(reader, item, trigger))
        .collect()
}

fn call(reader: &mut Reader<'_>, node: &Node, trigger: Option<Kind>) -> Option<PlaybookCall> {
    if let Some(text) = node.text() {
        let help = format!("write `playbook: {text}`");
        reader.misfit(node, "an entry of `run`", "a mapping", help);
        return None;
    }
    let fields = reader.fields(node, "an entry of `run`", &["playbook", "with"])?;
    let name_node = reader.require(&fields, "playbook", "name the playbook that it starts")?;
    let name = reader.filled_text(name_node, "`playbook`")?;
    let with = fields
        .get("with")
        .and_then(|node| reader.entries(node, "`with`"))
        .unwrap_or_default();
    // Only the finding is known before a run begins.
    with.iter()
        .for_each(|(_, value)| reader.templates(value, &Names::default()));
    reader.uses.calls.push(Call {
        source: reader.source.clone(),
        caller: Caller::Automation(trigger),
        playbook: name.clone(),
        span: name_node.span.clone(),
        with: with.to_vec(),
    });
    let with = with
        .iter()
        .map(|(key, value)| (key.text.clone(), value.to_json()))
        .collect();
    Some(PlaybookCall {
        playbook: name,
        with,
    })
}

/// Reads when an automation ends: a date, which ends with its day in UTC, or a time with its offset.
fn expiry(reader: &mut Reader<'_>, node: &Node) -> Option<Timestamp> {
    const HOW: &str = "write a date such as `2027-06-30`, or a time such as `2027-06-30T18:00:00Z`";
    let Some(text) = node.text() else {
        reader.misfit(node, "`expires`", "a date", HOW);
        return None;
    };
    let bare_date = text.len() == 10;
    if bare_date && let Ok(date) = text.parse::<Date>() {
        let end = date
            .checked_add(1.day())
            .and_then(|next| next.to_zoned(TimeZone::UTC));
        return match end {
            Ok(end) => Some(end.timestamp()),
            Err(_) => {
                reader.fault_with_help(&node.span, format!("`{text}` is too far away"), HOW);
                None
            }
        };
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    if !bare_date && text.parse::<DateTime>().is_ok() {
        reader.fault_with_help(
            &node.span,
            format!("`{text}` has no offset, so it could be any of a day's hours"),
            format!("for UTC write `{text}Z`"),
        );
        return None;
    }
    reader.fault_with_help(&node.span, format!("`{text}` is not a date"), HOW);
    None
}

fn tests(reader: &mut Reader<'_>, node: &Node) -> Vec<AutomationTest> {
    let help = "such as `- finding: samples/x.json` with `expect: { matches: true }` below";
    let Some(items) = reader.list(node, "`tests`", help) else {
        return Vec::new();
    };
    items.iter().filter_map(|item| test(reader, item)).collect()
}

fn test(reader: &mut Reader<'_>, node: &Node) -> Option<AutomationTest> {
    let fields = reader.fields(node, "a test", &["finding", "expect"])?;
    let finding = reader
        .require(
            &fields,
            "finding",
            "name the file of a payload, or a sample",
        )
        .and_then(|node| reader.filled_text(node, "`finding`"));
    let expect = reader.require(&fields, "expect", "add `expect: { matches: true }`")?;
    let expected = reader.fields(expect, "`expect`", &["matches", "mail"])?;
    let matches = reader
        .require(
            &expected,
            "matches",
            "say whether the automation matches: `matches: true`",
        )
        .and_then(|node| reader.boolean(node, "`matches`"));
    let mail = expected.get("mail").map(|node| {
        mail(reader, node);
        node.to_json()
    });
    Some(AutomationTest {
        finding: finding?,
        matches: matches?,
        mail,
    })
}

/// Checks what a mail is expected to be: for each part a text, a list, or operators with their values.
fn mail(reader: &mut Reader<'_>, node: &Node) {
    const PARTS: [&str; 5] = ["to", "cc", "subject", "text", "html"];
    let Some(fields) = reader.fields(node, "`mail`", &PARTS) else {
        return;
    };
    for part in PARTS {
        let Some(node) = fields.get(part) else {
            continue;
        };
        match &node.content {
            Content::Mapping(entries) => {
                for (key, value) in entries {
                    let Some(operator) = conditions::operator(reader, key, part) else {
                        continue;
                    };
                    let condition = Condition {
                        field: part.to_owned(),
                        operator,
                        value: value.to_json(),
                        value_type: None,
                    };
                    if let Err(invalid) = quench_matching::check(&condition) {
                        conditions::note_invalid(reader, key, value, invalid);
                    }
                }
            }
            _ => {
                for item in reader.one_or_more(node) {
                    reader.text(item, &format!("`{part}`"));
                }
            }
        }
    }
}
