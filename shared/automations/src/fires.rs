use crate::Automation;
use quench_findings::{Finding, Kind, Status, Transition};
use quench_matching::Condition;

/// Words in a path of `raw` or `defender` that say it leads to a status.
const STATUS_WORDS: [&str; 9] = [
    "status",
    "state",
    "status_id",
    "status_code",
    "statuscode",
    "recordstate",
    "workflowstate",
    "compliancetype",
    "compliancestate",
];

/// Whether what happened to a finding is something the automation listens to; its conditions are another matter.
///
/// Where the automation does not say `on`: an alert fires when it is created. A recommendation or a compliance finding
/// fires on any transition but `repeated` if a condition names a status, otherwise when it is created or changed and
/// its status is not a good one. A part of a finding fires only what asks for `sub_findings`.
#[must_use]
pub fn fires(automation: &Automation, finding: &Finding, transition: Transition) -> bool {
    automation.trigger == finding.kind
        && takes_part(automation, finding)
        && listens(automation, finding, transition)
}

/// Whether the finding is a whole one, or the automation wants parts as well.
pub(crate) fn takes_part(automation: &Automation, finding: &Finding) -> bool {
    automation.sub_findings || finding.parent.is_none()
}

/// Whether the transition is one the automation listens to.
pub(crate) fn listens(automation: &Automation, finding: &Finding, transition: Transition) -> bool {
    if !automation.on.is_empty() {
        return automation.on.contains(&transition);
    }
    match automation.trigger {
        Kind::Alert => transition == Transition::Created,
        Kind::Recommendation | Kind::Compliance if names_status(automation) => {
            transition != Transition::Repeated
        }
        Kind::Recommendation | Kind::Compliance => {
            matches!(transition, Transition::Created | Transition::Changed)
                && !finding.status.is_some_and(Status::is_good)
        }
    }
}

/// Whether any condition of the automation asks for a status, and so decides itself which statuses it is about.
pub(crate) fn names_status(automation: &Automation) -> bool {
    automation.when.iter().flatten().any(asks_for_status)
}

fn asks_for_status(condition: &Condition) -> bool {
    let path = condition.field.trim_start_matches("$.").to_lowercase();
    let mut words = path
        .split(['.', '[', ']'])
        .filter(|word| !word.is_empty());
    match words.next() {
        Some("status") => true,
        Some("raw" | "defender") => words.any(|word| STATUS_WORDS.contains(&word)),
        _ => false,
    }
}
