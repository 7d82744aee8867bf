//! Steps that call services of AWS.

use super::effects::{json, template};
use super::reader::{Fields, Reader};
use super::remediate::{approval, place};
use crate::bind::holds_template;
use crate::templates::Names;
use crate::yaml::{Content, Node};
use crate::{FindingStep, LambdaStep, SsmStep, StepFunctionsStep, StepKind, WorkflowStatus};
use serde_json::Map;

pub(super) const SSM: [&str; 6] = [
    "document",
    "version",
    "parameters",
    "account",
    "region",
    "approval",
];
pub(super) const LAMBDA: [&str; 5] = ["function", "qualifier", "payload", "detached", "approval"];
pub(super) const STEP_FUNCTIONS: [&str; 4] = ["state_machine", "input", "detached", "approval"];
pub(super) const FINDING: [&str; 2] = ["note", "status"];

const STATUSES: [(&str, WorkflowStatus); 4] = [
    ("new", WorkflowStatus::New),
    ("notified", WorkflowStatus::Notified),
    ("suppressed", WorkflowStatus::Suppressed),
    ("resolved", WorkflowStatus::Resolved),
];

/// Longest note, in letters (API reference of Security Hub, `NoteUpdate`).
const LONGEST_NOTE: usize = 512;

pub(super) fn read(
    reader: &mut Reader<'_>,
    action: &str,
    node: &Node,
    names: &Names,
) -> Option<StepKind> {
    Some(match action {
        "ssm" => StepKind::Ssm(ssm(reader, node, names)?),
        "lambda" => StepKind::Lambda(lambda(reader, node, names)?),
        "step_functions" => StepKind::StepFunctions(step_functions(reader, node, names)?),
        _ => StepKind::Finding(finding(reader, node, names)?),
    })
}

fn ssm(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Option<SsmStep> {
    let fields = mapping(reader, node, "ssm", "document", &SSM)?;
    reader.require(
        &fields,
        "document",
        "name the runbook: `document: AWS-StopEC2Instance`",
    );
    let document = literal(reader, &fields, "document", names, is_document, |text| {
        (
            format!("`{text}` is neither the name nor the ARN of a document"),
            "such as `AWS-StopEC2Instance`",
        )
    });
    let version = literal(
        reader,
        &fields,
        "version",
        names,
        is_document_version,
        |text| {
            (
                format!("`{text}` is no version of a document"),
                "write a number in quotes, `$DEFAULT` or `$LATEST`",
            )
        },
    );
    let mut parameters = Map::new();
    if let Some(node) = fields.get("parameters") {
        for (key, value) in reader.entries(node, "`parameters`").unwrap_or_default() {
            reader.templates(value, names);
            if key.text.eq_ignore_ascii_case("AutomationAssumeRole") {
                reader.chosen(value, "the role that a runbook acts as", names);
            }
            let what = format!("parameter `{}`", key.text);
            match &value.content {
                Content::List(items) => {
                    for item in items {
                        reader.text(item, &what);
                    }
                }
                Content::Null => reader.fault_with_help(
                    &key.span,
                    format!("`{}` has no value", key.text),
                    "give it one, or remove the key",
                ),
                _ => {
                    reader.text(value, &what);
                }
            }
            parameters.insert(key.text.clone(), value.to_json());
        }
    }
    let (account, region) = place(reader, &fields, names);
    for name in ["account", "region"] {
        if let Some(node) = fields.get(name) {
            reader.chosen(node, &format!("`{name}`"), names);
        }
    }
    Some(SsmStep {
        document: document?,
        version,
        parameters,
        account,
        region,
        approval: asked(reader, &fields, names),
    })
}

fn lambda(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Option<LambdaStep> {
    let fields = mapping(reader, node, "lambda", "function", &LAMBDA)?;
    reader.require(&fields, "function", "name the function, or write its ARN");
    let function = literal(reader, &fields, "function", names, is_function, |text| {
        (
            format!("`{text}` is neither the name nor the ARN of a function"),
            "such as `isolate-host`, or `arn:aws:lambda:eu-central-1:111122223333:function:isolate-host`",
        )
    });
    let qualifier = literal(reader, &fields, "qualifier", names, is_qualifier, |text| {
        (
            format!("`{text}` is neither a version nor an alias"),
            "write a number in quotes, `$LATEST` or the name of an alias",
        )
    });
    if let (Some(function), Some((key, _))) = (&function, fields.entry("qualifier"))
        && !holds_template(function)
        && qualifier_of(function).is_some()
    {
        reader.fault_with_help(
            &key.span,
            "`function` says the version already",
            "keep one of them",
        );
    }
    let payload = fields.get("payload").map(|node| json(reader, node, names));
    Some(LambdaStep {
        function: function?,
        qualifier,
        payload,
        detached: detached(reader, &fields),
        approval: asked(reader, &fields, names),
    })
}

fn step_functions(
    reader: &mut Reader<'_>,
    node: &Node,
    names: &Names,
) -> Option<StepFunctionsStep> {
    let fields = mapping(
        reader,
        node,
        "step_functions",
        "state_machine",
        &STEP_FUNCTIONS,
    )?;
    reader.require(
        &fields,
        "state_machine",
        "write the ARN of the state machine",
    );
    let state_machine = literal(
        reader,
        &fields,
        "state_machine",
        names,
        is_state_machine,
        |text| {
            (
                format!("`{text}` is not the ARN of a state machine"),
                "such as `arn:aws:states:eu-central-1:111122223333:stateMachine:contain`",
            )
        },
    );
    let input = fields.get("input").map(|node| json(reader, node, names));
    Some(StepFunctionsStep {
        state_machine: state_machine?,
        input,
        detached: detached(reader, &fields),
        approval: asked(reader, &fields, names),
    })
}

fn finding(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Option<FindingStep> {
    if let Some(text) = node.text() {
        let help = match STATUSES.iter().find(|(word, _)| *word == text) {
            Some((word, _)) => format!("write `finding: {{ status: {word} }}`"),
            None => "such as `finding: { note: \"{{ run.id }}\", status: resolved }`".to_owned(),
        };
        reader.misfit(node, "`finding`", "a mapping", help);
        return None;
    }
    let mut keys = FINDING.to_vec();
    if let Content::Mapping(entries) = &node.content {
        for (key, _) in entries.iter().filter(|(key, _)| key.text == "approval") {
            keys.push("approval");
            reader.fault_with_help(
                &key.span,
                "`finding` takes no `approval`",
                "to be asked first, put an `approve` step before it and write `mode: enforce`",
            );
        }
    }
    let fields = reader.fields(node, "`finding`", &keys)?;
    if fields.key("note").is_none() && fields.key("status").is_none() {
        reader.fault_with_help(
            &node.span,
            "`finding` writes nothing back",
            "add `note`, `status` or both",
        );
    }
    let note = template(reader, &fields, "note", names);
    if let (Some(note), Some(node)) = (&note, fields.get("note")) {
        let letters = note.chars().count();
        if letters > LONGEST_NOTE && !holds_template(note) {
            reader.fault_with_help(
                &node.span,
                format!("the note has {letters} letters"),
                format!("Security Hub takes {LONGEST_NOTE} at most"),
            );
        }
    }
    let status = fields
        .get("status")
        .and_then(|node| reader.word(node, "status", &STATUSES));
    Some(FindingStep { note, status })
}

/// Reads what an action is told, or says how to write it where only one text is given.
fn mapping<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    action: &str,
    first: &str,
    keys: &[&str],
) -> Option<Fields<'n>> {
    if let Some(text) = node.text() {
        let help = format!("write `{action}: {{ {first}: {text} }}`");
        reader.misfit(node, &format!("`{action}`"), "a mapping", help);
        return None;
    }
    reader.fields(node, &format!("`{action}`"), keys)
}

/// Reads text that is a template, or of a form.
fn literal(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    names: &Names,
    is_right: impl Fn(&str) -> bool,
    fault: impl Fn(&str) -> (String, &'static str),
) -> Option<String> {
    let text = template(reader, fields, name, names)?;
    let node = fields.get(name)?;
    if holds_template(&text) {
        reader.chosen(node, &format!("`{name}`"), names);
        return Some(text);
    }
    if is_right(&text) {
        return Some(text);
    }
    let (message, help) = fault(&text);
    reader.fault_with_help(&node.span, message, help);
    None
}

fn asked(reader: &mut Reader<'_>, fields: &Fields<'_>, names: &Names) -> Option<crate::Approval> {
    let node = fields.get("approval")?;
    approval(reader, node, names)
}

fn detached(reader: &mut Reader<'_>, fields: &Fields<'_>) -> bool {
    fields
        .get("detached")
        .and_then(|node| reader.boolean(node, "`detached`"))
        .unwrap_or_default()
}

/// What follows the account in an ARN of a service.
fn of_arn<'t>(text: &'t str, service: &str) -> Option<&'t str> {
    let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
    let (partition, named, region) = (parts.next()?, parts.next()?, parts.next()?);
    let (_account, rest) = (parts.next()?, parts.next()?);
    (partition.starts_with("aws") && named == service && !region.is_empty()).then_some(rest)
}

fn is_word(text: &str, others: &[u8], most: usize) -> bool {
    (1..=most).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// Source: API reference of Systems Manager, `StartAutomationExecution`.
fn is_document(text: &str) -> bool {
    let name = match text.starts_with("arn:") {
        true => of_arn(text, "ssm").and_then(|rest| rest.strip_prefix("document/")),
        false => Some(text),
    };
    text.len() <= 128 && name.is_some_and(|name| name.len() >= 3 && is_word(name, b"_-.", 128))
}

/// Source: as above.
fn is_document_version(text: &str) -> bool {
    matches!(text, "$DEFAULT" | "$LATEST")
        || (is_word(text, b"", 18)
            && !text.starts_with('0')
            && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Source: API reference of Lambda, `Invoke`.
fn is_function(text: &str) -> bool {
    let name = match text.starts_with("arn:") {
        true => of_arn(text, "lambda").and_then(|rest| rest.strip_prefix("function:")),
        false => Some(text),
    };
    name.is_some_and(|name| {
        let (name, qualifier) = match text.starts_with("arn:") {
            true => name.split_once(':').unwrap_or((name, "$LATEST")),
            false => (name, "$LATEST"),
        };
        is_word(name, b"_-", 64) && is_qualifier(qualifier)
    })
}

fn is_qualifier(text: &str) -> bool {
    is_word(text, b"$_-", 128)
}

/// The version or alias that the ARN of a function ends with.
fn qualifier_of(function: &str) -> Option<&str> {
    let (_, name) = function.split_once(":function:")?;
    name.split_once(':').map(|(_, qualifier)| qualifier)
}

/// Source: API reference of Step Functions, `StartExecution`; it may end with a version or an alias.
fn is_state_machine(text: &str) -> bool {
    let names = of_arn(text, "states").and_then(|rest| rest.strip_prefix("stateMachine:"));
    names.is_some_and(|names| {
        names.split(':').count() <= 2 && names.split(':').all(|name| is_word(name, b"_-.", 80))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns_of_documents_are_told_from_others() {
        for good in [
            "AWS-StopEC2Instance",
            "arn:aws:ssm:eu-central-1:111122223333:document/contain",
            "arn:aws:ssm:eu-central-1::document/AWS-StopEC2Instance",
        ] {
            assert!(is_document(good), "{good}");
        }
        for bad in ["", "ab", "a b c", "a/b", "arn:aws:s3:::logs", "arn:aws:ssm"] {
            assert!(!is_document(bad), "{bad}");
        }
        assert!(is_document_version("12") && is_document_version("$LATEST"));
        assert!(!is_document_version("01") && !is_document_version("latest"));
    }

    #[test]
    fn a_function_is_named_by_its_name_or_its_arn() {
        let arn = "arn:aws:lambda:eu-central-1:111122223333:function:isolate";
        for (good, qualifier) in [
            ("isolate", None),
            (arn, None),
            (&format!("{arn}:3"), Some("3")),
            (&format!("{arn}:$LATEST"), Some("$LATEST")),
        ] {
            assert!(is_function(good), "{good}");
            assert_eq!(qualifier_of(good), qualifier, "{good}");
        }
        for bad in [
            "",
            "a b",
            "isolate:live",
            "111122223333:function:isolate",
            "arn:aws:lambda:eu-central-1:111122223333:layer:x",
        ] {
            assert!(!is_function(bad), "{bad}");
        }
    }

    #[test]
    fn a_state_machine_is_named_by_its_arn() {
        let arn = "arn:aws:states:eu-central-1:111122223333:stateMachine:contain";
        assert!(is_state_machine(arn) && is_state_machine(&format!("{arn}:live")));
        for bad in [
            "contain",
            "arn:aws:states:eu-central-1:111122223333:execution:contain:1",
        ] {
            assert!(!is_state_machine(bad), "{bad}");
        }
    }
}
