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
    let path = path.strip_prefix('$').unwrap_or(&path);
    let mut words = path
        .split(['.', '[', ']', '\'', '"'])
        .filter(|word| !word.is_empty());
    match words.next() {
        Some("status") => true,
        Some("raw" | "defender") => words.any(|word| STATUS_WORDS.contains(&word)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transition::{Changed, Created, Repeated, Resolved};
    use serde_json::{Value, json};

    fn automation(fields: Value) -> Automation {
        let mut automation =
            json!({ "name": "a", "trigger": "alert", "run": [{ "playbook": "p" }] });
        for (name, value) in serde_json::from_value::<serde_json::Map<_, _>>(fields).unwrap() {
            automation[name.as_str()] = value;
        }
        serde_json::from_value(automation).unwrap()
    }

    fn finding(kind: &str, status: Option<&str>) -> Finding {
        serde_json::from_value(json!({
            "id": "f-1", "kind": kind, "source": "security_hub", "title": "t", "severity": "low",
            "status": status, "raw": {},
        }))
        .unwrap()
    }

    fn fired(automation: &Automation, finding: &Finding) -> Vec<Transition> {
        [Created, Changed, Resolved, Repeated]
            .into_iter()
            .filter(|transition| fires(automation, finding, *transition))
            .collect()
    }

    #[test]
    fn an_alert_fires_when_it_is_created() {
        let alerts = automation(json!({}));
        assert_eq!(fired(&alerts, &finding("alert", Some("new"))), [Created]);
        assert_eq!(fired(&alerts, &finding("alert", None)), [Created]);
    }

    #[test]
    fn on_is_taken_at_its_word() {
        let alerts = automation(json!({ "on": ["resolved", "repeated"] }));
        assert_eq!(
            fired(&alerts, &finding("alert", Some("resolved"))),
            [Resolved, Repeated]
        );
        let posture = automation(json!({ "trigger": "recommendation", "on": ["created"] }));
        assert_eq!(
            fired(&posture, &finding("recommendation", Some("healthy"))),
            [Created]
        );
    }

    #[test]
    fn posture_fires_while_its_status_is_not_good() {
        for (kind, bad, good) in [
            ("recommendation", "unhealthy", "healthy"),
            ("compliance", "failed", "passed"),
        ] {
            let automation = automation(json!({ "trigger": kind }));
            assert_eq!(
                fired(&automation, &finding(kind, Some(bad))),
                [Created, Changed]
            );
            assert_eq!(fired(&automation, &finding(kind, Some(good))), []);
            assert_eq!(fired(&automation, &finding(kind, None)), [Created, Changed]);
        }
    }

    #[test]
    fn a_condition_on_the_status_decides_for_itself() {
        for field in [
            "status",
            "$.status",
            "defender.properties.status.code",
            "raw.detail.findings[0].Compliance.Status",
            "raw.detail.newEvaluationResult.complianceType",
            "raw.properties.state",
            "raw['detail']['findings'][0]['Compliance']['Status']",
            "defender.properties[\"status\"].code",
            "$['status']",
        ] {
            let automation = automation(json!({
                "trigger": "compliance",
                "when": [
                    [{ "field": "severity", "operator": "equals", "value": "high" }],
                    [{ "field": field, "operator": "equals", "value": "x" }],
                ],
            }));
            assert_eq!(
                fired(&automation, &finding("compliance", Some("passed"))),
                [Created, Changed, Resolved],
                "{field}"
            );
        }
    }

    #[test]
    fn a_condition_on_something_else_does_not() {
        for field in [
            "severity",
            "title",
            "raw.detail.statusText",
            "resource.tags.status",
        ] {
            let automation = automation(json!({
                "trigger": "compliance",
                "when": [[{ "field": field, "operator": "exists", "value": true }]],
            }));
            assert_eq!(
                fired(&automation, &finding("compliance", Some("passed"))),
                [],
                "{field}"
            );
        }
    }

    #[test]
    fn a_part_of_a_finding_fires_only_what_asks_for_parts() {
        let mut part = finding("recommendation", Some("unhealthy"));
        part.parent = Some("f-0".to_owned());
        assert_eq!(
            fired(&automation(json!({ "trigger": "recommendation" })), &part),
            []
        );
        let wants = automation(json!({ "trigger": "recommendation", "sub_findings": true }));
        assert_eq!(fired(&wants, &part), [Created, Changed]);
    }

    #[test]
    fn another_kind_of_finding_does_not_fire() {
        assert_eq!(
            fired(
                &automation(json!({})),
                &finding("compliance", Some("failed"))
            ),
            []
        );
    }
}
