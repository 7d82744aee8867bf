use crate::{Kind, Source, Status, fields::Fields, refusal::Refusal};

use super::{inspector, product_field};

/// What people do with a finding in Security Hub: `Workflow.Status`, else the older `WorkflowState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Workflow {
    New,
    Underway,
    Resolved,
    Suppressed,
}

const WORKFLOW: &[(&str, Workflow)] = &[
    ("NEW", Workflow::New),
    ("NOTIFIED", Workflow::Underway),
    ("RESOLVED", Workflow::Resolved),
    ("SUPPRESSED", Workflow::Suppressed),
];

const WORKFLOW_STATE: &[(&str, Workflow)] = &[
    ("NEW", Workflow::New),
    ("ASSIGNED", Workflow::Underway),
    ("IN_PROGRESS", Workflow::Underway),
    ("DEFERRED", Workflow::Underway),
    ("RESOLVED", Workflow::Resolved),
];

/// A warning is a check that could not be made in full: nothing that passed.
const OUTCOMES: &[(&str, Status)] = &[
    ("PASSED", Status::Passed),
    ("WARNING", Status::Failed),
    ("FAILED", Status::Failed),
    ("NOT_AVAILABLE", Status::Unsupported),
];

/// The status of a finding of a kind.
///
/// | kind | from |
/// |---|---|
/// | any | workflow `SUPPRESSED`: suppressed |
/// | alert | workflow `RESOLVED`: resolved; record `ARCHIVED`: dismissed, as GuardDuty's and Macie's own archive; `NOTIFIED`: in progress; else new |
/// | recommendation | Inspector's own status; else record `ARCHIVED` or workflow `RESOLVED`: healthy; else unhealthy |
/// | compliance | the compliance status; one that failed and is `ARCHIVED` is evaluated no more: skipped |
pub(super) fn read(
    fields: &Fields<'_>,
    kind: Kind,
    source: Source,
) -> Result<Option<Status>, Refusal> {
    let archived = fields.word("RecordState", &[("ACTIVE", false), ("ARCHIVED", true)])?;
    let workflow = match fields.word("Workflow.Status", WORKFLOW)? {
        Some(workflow) => Some(workflow),
        None => fields.word("WorkflowState", WORKFLOW_STATE)?,
    };
    if workflow == Some(Workflow::Suppressed) {
        return Ok(Some(Status::Suppressed));
    }
    let is_archived = archived == Some(true);
    Ok(match kind {
        Kind::Compliance => {
            let outcome = fields.word("Compliance.Status", OUTCOMES)?;
            if is_archived && outcome == Some(Status::Failed) {
                Some(Status::Skipped)
            } else {
                outcome
            }
        }
        Kind::Alert => match workflow {
            Some(Workflow::Resolved) => Some(Status::Resolved),
            _ if is_archived => Some(Status::Dismissed),
            Some(Workflow::Underway) => Some(Status::InProgress),
            Some(_) => Some(Status::New),
            None => archived.map(|_| Status::New),
        },
        Kind::Recommendation => {
            let native = (source == Source::Inspector)
                .then(|| product_field(fields, "aws/inspector/FindingStatus"))
                .flatten()
                .and_then(inspector::status_of);
            match (native, workflow) {
                (Some(status), _) => Some(status),
                (None, Some(Workflow::Resolved)) => Some(Status::Healthy),
                (None, _) if is_archived => Some(Status::Healthy),
                (None, None) => archived.map(|_| Status::Unhealthy),
                (None, Some(_)) => Some(Status::Unhealthy),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(kind: Kind, value: &Value) -> Option<Status> {
        read(&Fields::new(value, ""), kind, Source::SecurityHub).unwrap()
    }

    #[test]
    fn an_alert_follows_its_workflow_and_its_archive() {
        for (workflow, record, expected) in [
            ("NEW", "ACTIVE", Status::New),
            ("NOTIFIED", "ACTIVE", Status::InProgress),
            ("RESOLVED", "ACTIVE", Status::Resolved),
            ("SUPPRESSED", "ACTIVE", Status::Suppressed),
            ("NEW", "ARCHIVED", Status::Dismissed),
            ("NOTIFIED", "ARCHIVED", Status::Dismissed),
            ("RESOLVED", "ARCHIVED", Status::Resolved),
        ] {
            let value = json!({"Workflow": {"Status": workflow}, "RecordState": record});
            assert_eq!(
                of(Kind::Alert, &value),
                Some(expected),
                "{workflow} {record}"
            );
        }
        assert_eq!(of(Kind::Alert, &json!({})), None);
        let older = json!({"WorkflowState": "IN_PROGRESS"});
        assert_eq!(of(Kind::Alert, &older), Some(Status::InProgress));
    }

    #[test]
    fn a_control_follows_its_compliance_unless_it_is_suppressed() {
        for (compliance, record, expected) in [
            ("PASSED", "ACTIVE", Status::Passed),
            ("passed", "ARCHIVED", Status::Passed),
            ("FAILED", "ACTIVE", Status::Failed),
            ("FAILED", "ARCHIVED", Status::Skipped),
            ("WARNING", "ACTIVE", Status::Failed),
            ("NOT_AVAILABLE", "ACTIVE", Status::Unsupported),
        ] {
            let value = json!({"Compliance": {"Status": compliance}, "RecordState": record, "Workflow": {"Status": "NEW"}});
            assert_eq!(
                of(Kind::Compliance, &value),
                Some(expected),
                "{compliance} {record}"
            );
        }
        let hidden =
            json!({"Compliance": {"Status": "FAILED"}, "Workflow": {"Status": "SUPPRESSED"}});
        assert_eq!(of(Kind::Compliance, &hidden), Some(Status::Suppressed));
    }

    #[test]
    fn a_recommendation_is_healthy_once_it_is_archived_or_resolved() {
        for (workflow, record, expected) in [
            ("NEW", "ACTIVE", Status::Unhealthy),
            ("NEW", "ARCHIVED", Status::Healthy),
            ("RESOLVED", "ACTIVE", Status::Healthy),
        ] {
            let value = json!({"Workflow": {"Status": workflow}, "RecordState": record});
            assert_eq!(of(Kind::Recommendation, &value), Some(expected));
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_refused_with_its_path() {
        let value = json!({"Workflow": {"Status": "DONE"}});
        let refusal = read(&Fields::new(&value, "detail"), Kind::Alert, Source::Macie).unwrap_err();
        assert_eq!(refusal.path, "detail.Workflow.Status");
    }
}
