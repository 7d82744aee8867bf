use serde_json::Value;

use crate::{Finding, fields::member};

/// Who signs the notes that are written back to findings of Security Hub: `Note.UpdatedBy`.
pub const NOTES_SIGNED_BY: &str = "Quench";

/// What of a finding changes with its note and its workflow: those, and the times of the change itself.
const WRITTEN: [&str; 5] = [
    "Note",
    "Workflow",
    "WorkflowState",
    "UpdatedAt",
    "ProcessedAt",
];

/// The finding in the AWS Security Finding Format that a payload holds, such as [`Finding::document`] has it as `raw`.
///
/// None where the payload is of another format, or does not say by what ids Security Hub knows the finding.
pub fn asff(raw: &Value) -> Option<&Value> {
    asff_at(raw, 0)
}

fn asff_at(raw: &Value, item: usize) -> Option<&Value> {
    let holder = member(raw, "detail").unwrap_or(raw);
    let finding = match member(holder, "findings") {
        None => holder,
        Some(Value::Array(findings)) => findings.get(item)?,
        Some(finding) => finding,
    };
    let is_text = |name| member(finding, name).is_some_and(Value::is_string);
    (is_text("Id") && is_text("ProductArn")).then_some(finding)
}

/// Says whether all that an event tells anew of a finding is what Quench itself wrote back to it: a note that it signed,
/// and perhaps the workflow status.
///
/// Security Hub sends the finding again after every such write, which is nothing to act upon. A note that was known before
/// tells nothing of what changed since.
pub fn is_own_write(previous: &Finding, next: &Finding) -> bool {
    let of = |finding: &Finding| {
        let asff = asff_at(&finding.raw, finding.item.unwrap_or(0))?;
        let note = member(asff, "Note").cloned();
        let mut rest = asff.clone();
        rest.as_object_mut()?.retain(|name, _| {
            let written = |known: &&str| known.eq_ignore_ascii_case(name);
            !WRITTEN.iter().any(written)
        });
        Some((note, rest))
    };
    let (Some((before, known)), Some((note, told))) = (of(previous), of(next)) else {
        return false;
    };
    let Some(note) = note.filter(|note| before.as_ref() != Some(note)) else {
        return false;
    };
    let signed = member(&note, "UpdatedBy").and_then(Value::as_str);
    signed == Some(NOTES_SIGNED_BY) && known == told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decode;

    fn finding(changes: &[(&str, Value)]) -> Value {
        let mut finding = json!({
            "SchemaVersion": "2018-10-08",
            "Id": "arn:aws:securityhub:eu-central-1:111122223333:subscription/x/finding/1",
            "ProductArn": "arn:aws:securityhub:eu-central-1::product/aws/securityhub",
            "GeneratorId": "x",
            "AwsAccountId": "111122223333",
            "Types": ["TTPs/Discovery"],
            "Title": "t",
            "UpdatedAt": "2026-11-01T00:00:00Z",
            "Severity": { "Label": "HIGH" },
            "Workflow": { "Status": "NEW" },
            "RecordState": "ACTIVE",
            "Resources": [{ "Type": "Other", "Id": "x" }],
        });
        for (name, value) in changes {
            finding[*name] = value.clone();
        }
        finding
    }

    fn read(findings: &[Value], index: usize) -> Finding {
        let event = json!({
            "source": "aws.securityhub",
            "detail-type": "Security Hub Findings - Imported",
            "detail": { "findings": findings },
        });
        decode(event.to_string().as_bytes()).findings[index].clone()
    }

    fn note(by: &str, text: &str) -> (&'static str, Value) {
        let at = "2026-11-02T00:00:00Z";
        let note = json!({ "Text": text, "UpdatedBy": by, "UpdatedAt": at });
        ("Note", note)
    }

    fn resolved() -> (&'static str, Value) {
        ("Workflow", json!({ "Status": "RESOLVED" }))
    }

    #[test]
    fn what_quench_wrote_and_nothing_else_is_its_own() {
        let before = read(&[finding(&[])], 0);
        let own = note(NOTES_SIGNED_BY, "done");
        let later = ("ProcessedAt", json!("2026-11-02T00:00:01Z"));
        let severe = ("Severity", json!({ "Label": "CRITICAL" }));
        for (changes, expected) in [
            (vec![own.clone()], true),
            (vec![own.clone(), resolved(), later], true),
            (vec![resolved()], false),
            (vec![note("somebody", "done"), resolved()], false),
            (vec![own.clone(), severe], false),
            (vec![], false),
        ] {
            let next = read(&[finding(&changes)], 0);
            assert_eq!(is_own_write(&before, &next), expected, "{changes:?}");
        }
    }

    #[test]
    fn a_note_that_was_there_before_does_not_hide_what_others_do() {
        let own = note(NOTES_SIGNED_BY, "done");
        let before = read(&[finding(std::slice::from_ref(&own))], 0);
        let next = read(&[finding(&[own, resolved()])], 0);
        assert!(!is_own_write(&before, &next));
    }

    #[test]
    fn each_finding_of_an_event_is_compared_with_itself() {
        let before = read(&[finding(&[])], 0);
        let other = finding(&[("Id", json!("other"))]);
        let own = finding(&[note(NOTES_SIGNED_BY, "done")]);
        let next = read(&[other, own], 1);
        assert_eq!(next.item, Some(1));
        assert!(is_own_write(&before, &next));
        let document = next.document();
        let found = asff(&document["raw"]).unwrap();
        assert_eq!(found["Note"]["Text"], "done");
    }

    #[test]
    fn payloads_of_others_hold_none() {
        for raw in [
            json!({ "detail": { "id": "x", "type": "y" } }),
            json!({ "detail": { "findings": [] } }),
            json!({ "Id": "x", "ProductArn": 7 }),
            json!("x"),
        ] {
            assert_eq!(asff(&raw), None, "{raw}");
        }
        let bare = finding(&[]);
        assert_eq!(asff(&bare), Some(&bare));
    }
}
