use crate::{Finding, Kind, Status, Transition};

/// Says what an event did to a finding, given what was known of it before.
///
/// An event older than what is known changes nothing, and neither does one that leaves the status unsaid.
pub fn transition(previous: Option<&Finding>, next: &Finding) -> Transition {
    let Some(previous) = previous else {
        return Transition::Created;
    };
    if let (Some(known), Some(told)) = (previous.updated, next.updated)
        && told < known
    {
        return Transition::Repeated;
    }
    match (previous.status, next.status) {
        (before, Some(now)) if before != Some(now) => {
            let was_good = before.is_some_and(Status::is_good);
            if now.is_good() && !was_good {
                Transition::Resolved
            } else {
                Transition::Changed
            }
        }
        _ if next.kind == Kind::Alert && previous.severity != next.severity => Transition::Changed,
        _ => Transition::Repeated,
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use serde_json::Value;

    use super::*;
    use crate::{Severity, Source, event::Event};

    fn finding(kind: Kind, status: Option<Status>, severity: Severity, second: i64) -> Finding {
        let event = Event::bare(&Value::Null, "");
        let mut finding = event.finding(Source::Ocsf, kind, "1", "t", severity);
        finding.status = status;
        finding.updated = Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second));
        finding
    }

    fn between(kind: Kind, before: Status, now: Status) -> Transition {
        transition(
            Some(&finding(kind, Some(before), Severity::High, 1)),
            &finding(kind, Some(now), Severity::High, 2),
        )
    }

    #[test]
    fn what_was_not_known_is_created() {
        let next = finding(Kind::Alert, Some(Status::Resolved), Severity::Low, 1);
        assert_eq!(transition(None, &next), Transition::Created);
    }

    #[test]
    fn the_way_to_a_good_status_and_back_is_resolved_and_changed() {
        use Status::{Healthy, NotApplicable, Unhealthy};
        let kind = Kind::Recommendation;
        assert_eq!(between(kind, Unhealthy, Healthy), Transition::Resolved);
        assert_eq!(between(kind, Healthy, Unhealthy), Transition::Changed);
        assert_eq!(between(kind, Healthy, NotApplicable), Transition::Changed);
        assert_eq!(between(kind, Unhealthy, Unhealthy), Transition::Repeated);
        assert_eq!(
            between(Kind::Alert, Status::New, Status::InProgress),
            Transition::Changed
        );
        assert_eq!(
            between(Kind::Compliance, Status::Failed, Status::Suppressed),
            Transition::Resolved
        );
    }

    #[test]
    fn an_older_event_changes_nothing() {
        let known = finding(Kind::Alert, Some(Status::Resolved), Severity::High, 9);
        let late = finding(Kind::Alert, Some(Status::New), Severity::High, 8);
        assert_eq!(transition(Some(&known), &late), Transition::Repeated);
    }

    #[test]
    fn a_severity_alone_matters_for_alerts_only() {
        for (kind, expected) in [
            (Kind::Alert, Transition::Changed),
            (Kind::Recommendation, Transition::Repeated),
            (Kind::Compliance, Transition::Repeated),
        ] {
            let before = finding(kind, None, Severity::Low, 1);
            let now = finding(kind, None, Severity::High, 2);
            assert_eq!(transition(Some(&before), &now), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_status_that_is_not_said_is_no_change() {
        let before = finding(Kind::Alert, Some(Status::New), Severity::Low, 1);
        let now = finding(Kind::Alert, None, Severity::Low, 2);
        assert_eq!(transition(Some(&before), &now), Transition::Repeated);
        assert_eq!(
            transition(Some(&now), &before),
            Transition::Repeated,
            "older"
        );
    }
}
