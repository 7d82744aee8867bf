use crate::{Kind, Status, fields::Fields, refusal::Refusal};

/// What `status_id` says, in OCSF's own terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    InProgress,
    Suppressed,
    Resolved,
    Archived,
    Deleted,
}

const STAGES: &[(&str, Option<Stage>)] = &[
    ("Unknown", None),
    ("New", Some(Stage::New)),
    ("In Progress", Some(Stage::InProgress)),
    ("Suppressed", Some(Stage::Suppressed)),
    ("Resolved", Some(Stage::Resolved)),
    ("Archived", Some(Stage::Archived)),
    ("Deleted", Some(Stage::Deleted)),
    ("Other", None),
];

/// How a check came out: `compliance.status` as its many spellings, and Prowler's `status_code`.
const OUTCOMES: &[(&str, Option<Status>)] = &[
    ("Pass", Some(Status::Passed)),
    ("Passed", Some(Status::Passed)),
    ("Success", Some(Status::Passed)),
    ("Compliant", Some(Status::Passed)),
    ("Warning", Some(Status::Failed)),
    ("Fail", Some(Status::Failed)),
    ("Failed", Some(Status::Failed)),
    ("Failure", Some(Status::Failed)),
    ("Non_Compliant", Some(Status::Failed)),
    ("Non-Compliant", Some(Status::Failed)),
    ("Manual", Some(Status::Skipped)),
    ("Skipped", Some(Status::Skipped)),
    ("Muted", Some(Status::Suppressed)),
    ("Not_Available", Some(Status::Unsupported)),
    ("Not_Applicable", Some(Status::Unsupported)),
    ("Unknown", None),
    ("Other", None),
];

/// The status of a finding of a kind.
pub(super) fn read(fields: &Fields<'_>, kind: Kind) -> Result<Option<Status>, Refusal> {
    let stage = stage(fields)?;
    if stage == Some(Stage::Suppressed) {
        return Ok(Some(Status::Suppressed));
    }
    if kind == Kind::Compliance {
        let outcome = match outcome(fields)? {
            Some(outcome) => Some(outcome),
            None => code(fields)?,
        };
        // As with the same finding in Security Hub's older format: what is archived is evaluated no more.
        let is_over = matches!(stage, Some(Stage::Archived | Stage::Deleted));
        return Ok(match outcome {
            Some(Status::Failed) if is_over => Some(Status::Skipped),
            outcome => outcome,
        });
    }
    // Prowler calls each result new, and says in the code whether its check passed.
    let passed = code(fields)? == Some(Status::Passed);
    let closed = fields.integer("activity_id")? == Some(3);
    Ok(match (stage, kind) {
        (Some(Stage::Resolved | Stage::Deleted), Kind::Alert) => Some(Status::Resolved),
        (Some(Stage::Archived), Kind::Alert) => Some(Status::Dismissed),
        (Some(Stage::Resolved | Stage::Archived | Stage::Deleted), _) => Some(Status::Healthy),
        (_, Kind::Alert) if passed || closed => Some(Status::Resolved),
        _ if passed || closed => Some(Status::Healthy),
        (Some(Stage::InProgress), Kind::Alert) => Some(Status::InProgress),
        (Some(_), Kind::Alert) => Some(Status::New),
        (Some(_), _) => Some(Status::Unhealthy),
        (None, _) => None,
    })
}

/// By id; by the word only where the id is absent, or leaves it to the word.
///
/// Version 1.0 named both `state`, and meant by `status` whether the event itself was a success.
fn stage(fields: &Fields<'_>) -> Result<Option<Stage>, Refusal> {
    let (id, name) = if fields.has("state_id") || fields.has("state") {
        ("state_id", "state")
    } else {
        ("status_id", "status")
    };
    match fields.integer(id)? {
        Some(1) => Ok(Some(Stage::New)),
        Some(2) => Ok(Some(Stage::InProgress)),
        Some(3) => Ok(Some(Stage::Suppressed)),
        Some(4) => Ok(Some(Stage::Resolved)),
        Some(5) => Ok(Some(Stage::Archived)),
        Some(6) => Ok(Some(Stage::Deleted)),
        Some(0 | 99) => {
            let word = fields.text(name)?.unwrap_or_default();
            let known = STAGES
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(word));
            Ok(known.and_then(|(_, stage)| *stage))
        }
        Some(other) => Err(fields.refuse(
            id,
            format!("`{other}` is not known; expected 0 to 6, or 99"),
        )),
        None => Ok(fields.word(name, STAGES)?.flatten()),
    }
}

/// The outcome of a compliance check: by id (1 pass, 2 warning, 3 fail), else by the word in any spelling.
fn outcome(fields: &Fields<'_>) -> Result<Option<Status>, Refusal> {
    match fields.integer("compliance.status_id")? {
        Some(1) => Ok(Some(Status::Passed)),
        Some(2 | 3) => Ok(Some(Status::Failed)),
        Some(0 | 99) | None => Ok(fields.word("compliance.status", OUTCOMES)?.flatten()),
        Some(other) => Err(fields.refuse(
            "compliance.status_id",
            format!("`{other}` is not known; expected 0 to 3, or 99"),
        )),
    }
}

/// The product's own code where it is one of the outcomes; other codes mean something else.
fn code(fields: &Fields<'_>) -> Result<Option<Status>, Refusal> {
    let Some(code) = fields.label("status_code")? else {
        return Ok(None);
    };
    let known = OUTCOMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(&code));
    Ok(known.and_then(|(_, status)| *status))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(kind: Kind, value: &Value) -> Option<Status> {
        read(&Fields::new(value, ""), kind).unwrap()
    }

    #[test]
    fn the_id_goes_before_the_word() {
        let value = json!({"status_id": 3, "status": "New"});
        assert_eq!(of(Kind::Alert, &value), Some(Status::Suppressed));
        let value = json!({"status_id": 5, "status": "Suppressed"});
        assert_eq!(of(Kind::Alert, &value), Some(Status::Dismissed));
        let value = json!({"status_id": 99, "status": "In progress"});
        assert_eq!(of(Kind::Alert, &value), Some(Status::InProgress));
        assert_eq!(
            of(Kind::Recommendation, &json!({"status": "new"})),
            Some(Status::Unhealthy)
        );
        assert_eq!(of(Kind::Alert, &json!({})), None);
        let value = json!({"state_id": 2, "status_id": 1, "status": "Success"});
        assert_eq!(
            of(Kind::Alert, &value),
            Some(Status::InProgress),
            "version 1.0"
        );
    }

    #[test]
    fn every_spelling_of_an_outcome_is_known() {
        for (value, expected) in [
            (json!({"status": "FAILED"}), Status::Failed),
            (json!({"status": "Fail"}), Status::Failed),
            (json!({"status": "pass"}), Status::Passed),
            (json!({"status": "Fail", "status_id": 1}), Status::Passed),
            (json!({"status": "Warning", "status_id": 2}), Status::Failed),
            (json!({"status": "NOT_AVAILABLE"}), Status::Unsupported),
        ] {
            let value = json!({"status_id": 1, "compliance": value});
            assert_eq!(of(Kind::Compliance, &value), Some(expected), "{value}");
        }
        let over = json!({"status_id": 5, "compliance": {"status_id": 3}});
        assert_eq!(of(Kind::Compliance, &over), Some(Status::Skipped));
        let manual = json!({"status_id": 1, "status_code": "MANUAL"});
        assert_eq!(of(Kind::Compliance, &manual), Some(Status::Skipped));
    }

    #[test]
    fn a_status_outside_the_schema_is_refused() {
        for (value, path) in [
            (json!({"status_id": 12}), "status_id"),
            (json!({"status": "Nwe"}), "status"),
            (
                json!({"compliance": {"status_id": 9}}),
                "compliance.status_id",
            ),
            (
                json!({"compliance": {"status": "Meh"}}),
                "compliance.status",
            ),
        ] {
            let refusal = read(&Fields::new(&value, ""), Kind::Compliance).unwrap_err();
            assert_eq!(refusal.path, path);
        }
    }

    #[test]
    fn closing_it_ends_it() {
        let value = json!({"status_id": 1, "activity_id": 3});
        assert_eq!(of(Kind::Alert, &value), Some(Status::Resolved));
        assert_eq!(of(Kind::Recommendation, &value), Some(Status::Healthy));
    }
}
