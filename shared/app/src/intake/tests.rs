use super::*;
use crate::clock::Clock;
use crate::queue::Queue;
use crate::run::RunState;
use crate::specimen::{RULES, app, apply, event, moment};
use crate::store::{FindingFilter, Page, RunFilter};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;

const ALL: Page = Page {
    limit: 10_000,
    skip: 0,
};

async fn with_rules(folder: &Path) -> App {
    let app = app(folder, &Clock::manual(moment(0))).await;
    apply(&app, RULES).await;
    app
}

/// What identifies the runs: what they are for and what they do.
async fn runs(app: &App) -> BTreeSet<(String, String, String, String)> {
    let runs = app.store.runs(&RunFilter::default(), ALL).await.unwrap();
    let count = runs.len();
    let runs: BTreeSet<_> = runs
        .into_iter()
        .map(|run| {
            let StartedBy::Automation { name, .. } = run.started_by else {
                panic!("nobody starts runs by hand here");
            };
            (run.id, run.finding.id.clone(), name, run.playbook)
        })
        .collect();
    assert_eq!(runs.len(), count);
    runs
}

async fn queued(app: &App) -> BTreeSet<String> {
    let messages = app
        .queues
        .receive(Queue::Runs, 10_000, Duration::ZERO, app.clock.now())
        .await
        .unwrap();
    let ids = messages.into_iter().map(|message| message.body);
    ids.map(|body| String::from_utf8(body).unwrap()).collect()
}

#[tokio::test]
async fn a_finding_starts_every_playbook_of_every_automation_that_matches() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    let taken = intake(&app, &event("shop", false, 1)).await.unwrap();
    assert_eq!(taken.refused, []);
    let arrival = &taken.findings[0];
    assert_eq!(arrival.transition, Transition::Created);
    let started: Vec<_> = arrival
        .matched
        .iter()
        .flat_map(|matched| {
            matched
                .runs
                .iter()
                .map(|run| (matched.automation.as_str(), run.playbook.as_str(), run.made))
        })
        .collect();
    assert_eq!(
        started,
        [
            ("first", "outer", true),
            ("first", "note", true),
            ("second", "other", true)
        ]
    );
    assert!(arrival.matched[1].explanation.matched);
    let ids: BTreeSet<String> = arrival.runs().map(str::to_owned).collect();
    assert_eq!(queued(&app).await, ids);
    let outer = app
        .store
        .run(arrival.runs().next().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(outer.state, RunState::Queued);
    assert_eq!(
        outer.versions.keys().collect::<Vec<_>>(),
        ["note", "outer"],
        "the playbook it calls is pinned as well"
    );
    let StartedBy::Automation {
        version,
        explanation,
        ..
    } = outer.started_by
    else {
        panic!("it was an automation");
    };
    assert_eq!(version.len(), 16);
    assert_eq!(explanation["matched"], true);
    assert!(
        !app.store
            .finding(&arrival.finding.id)
            .await
            .unwrap()
            .unwrap()
            .pending
    );
}

#[tokio::test]
async fn a_state_fires_each_time_it_is_come_to_and_not_when_told_again() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    let mut made = Vec::new();
    for (good, second) in [
        (false, 1),
        (false, 1),
        (false, 2),
        (true, 3),
        (true, 3),
        (false, 4),
        (true, 3),
    ] {
        let taken = intake(&app, &event("shop", good, second)).await.unwrap();
        made.push((
            taken.findings[0].transition,
            taken.findings[0].runs().count(),
        ));
    }
    use Transition::{Changed, Created, Repeated, Resolved};
    assert_eq!(
        made,
        [
            (Created, 3),
            (Repeated, 0),
            (Repeated, 0),
            (Resolved, 2),
            (Repeated, 0),
            (Changed, 3),
            (Repeated, 0)
        ]
    );
    assert_eq!(runs(&app).await.len(), 8);
}

#[tokio::test]
async fn an_event_that_is_delivered_late_changes_nothing_though_it_tells_no_later_time() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    let mut made = Vec::new();
    for (good, second, sent) in [
        (false, 1, Some(1)),
        // As when somebody suppresses it.
        (true, 1, Some(3)),
        (false, 1, Some(1)),
        (false, 1, Some(2)),
        (true, 1, Some(3)),
        (false, 1, Some(4)),
        // What it tells itself is better known.
        (true, 2, Some(2)),
        (false, 2, Some(3)),
        // Nobody knows.
        (false, 2, None),
        (true, 2, Some(5)),
    ] {
        let sent = sent.map(moment);
        let taken = intake_sent(&app, &event("shop", good, second), sent).await;
        let taken = taken.unwrap();
        made.push((
            taken.findings[0].transition,
            taken.findings[0].runs().count(),
        ));
    }
    use Transition::{Changed, Created, Repeated, Resolved};
    assert_eq!(
        made,
        [
            (Created, 3),
            (Resolved, 2),
            (Repeated, 0),
            (Repeated, 0),
            (Repeated, 0),
            (Changed, 3),
            (Resolved, 2),
            (Repeated, 0),
            (Changed, 3),
            (Resolved, 2),
        ]
    );
}

#[tokio::test]
async fn an_older_event_overwrites_nothing() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    intake(&app, &event("shop", true, 9)).await.unwrap();
    let known = app
        .store
        .findings(&FindingFilter::default(), ALL)
        .await
        .unwrap();
    let taken = intake(&app, &event("shop", false, 8)).await.unwrap();
    assert_eq!(taken.findings[0].transition, Transition::Repeated);
    let after = app
        .store
        .findings(&FindingFilter::default(), ALL)
        .await
        .unwrap();
    assert_eq!(after, known);
}

#[tokio::test]
async fn what_cannot_be_read_spoils_nothing_else() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    let good = String::from_utf8(event("shop", false, 1)).unwrap();
    let payload = format!("[{good}, {{\"hello\": 1}}, 7]");
    let taken = intake(&app, payload.as_bytes()).await.unwrap();
    assert_eq!((taken.findings.len(), taken.refused.len()), (1, 2));
    assert_eq!(runs(&app).await.len(), 3);
    let nothing = intake(&app, b"\xff\xfe nonsense").await.unwrap();
    assert_eq!((nothing.findings.len(), nothing.refused.len()), (0, 1));
}

#[tokio::test]
async fn findings_of_one_payload_are_told_in_its_order() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    let events: Vec<String> = [
        ("a", false, 1),
        ("b", false, 1),
        ("a", true, 2),
        ("c", false, 1),
        ("a", false, 3),
    ]
    .into_iter()
    .map(|(bucket, good, second)| String::from_utf8(event(bucket, good, second)).unwrap())
    .collect();
    let taken = intake(&app, format!("[{}]", events.join(",")).as_bytes())
        .await
        .unwrap();
    let told: Vec<_> = taken
        .findings
        .iter()
        .map(|arrival| {
            (
                arrival.finding.id.rsplit('/').next().unwrap(),
                arrival.transition,
            )
        })
        .collect();
    use Transition::{Changed, Created, Resolved};
    assert_eq!(
        told,
        [
            ("a", Created),
            ("b", Created),
            ("a", Resolved),
            ("c", Created),
            ("a", Changed)
        ]
    );
}

#[tokio::test]
async fn a_finding_that_was_removed_and_comes_again_starts_runs_of_its_own() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    let taken = intake(&app, &event("shop", false, 1)).await.unwrap();
    app.store
        .delete_finding(&taken.findings[0].finding.id)
        .await
        .unwrap();
    app.clock.advance(Duration::from_secs(1));
    let taken = intake(&app, &event("shop", false, 1)).await.unwrap();
    assert_eq!(taken.findings[0].transition, Transition::Created);
    assert!(
        taken.findings[0]
            .matched
            .iter()
            .all(|matched| matched.runs[0].made)
    );
    assert_eq!(runs(&app).await.len(), 6);
}

#[tokio::test]
async fn new_definitions_hold_from_the_next_event_on_and_runs_keep_their_version() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    let before = intake(&app, &event("shop", false, 1)).await.unwrap();
    apply(&app, "playbook: other\ntriggers: [compliance]\nsteps:\n  - id: end\n    stop: { reason: changed }\n").await;
    let after = intake(&app, &event("barn", false, 1)).await.unwrap();
    let version = async |taken: &Intake| {
        let id = taken.findings[0].runs().last().unwrap();
        let run = app.store.run(id).await.unwrap().unwrap();
        let version = run.versions["other"].clone();
        app.store
            .playbook_version("other", &version)
            .await
            .unwrap()
            .unwrap()
            .steps[0]
            .id
            .clone()
    };
    assert_eq!(version(&before).await, "remember");
    assert_eq!(version(&after).await, "end");
}

#[tokio::test]
async fn another_process_learns_of_new_definitions() {
    let folder = TempDir::new().unwrap();
    let one = with_rules(folder.path()).await;
    let other = app(folder.path(), &one.clock).await;
    other.catalog().await.unwrap();
    one.store
        .set_enabled("second", false, moment(1))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let taken = intake(&other, &event("shop", false, 1)).await.unwrap();
    assert_eq!(taken.findings[0].runs().count(), 2);
}

#[tokio::test]
async fn a_crash_at_any_write_and_another_delivery_end_in_the_same_runs() {
    let payload = event("shop", false, 1);
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    let before = writes(&app);
    intake(&app, &payload).await.unwrap();
    let total = writes(&app) - before;
    let expected = runs(&app).await;
    assert_eq!((expected.len(), total), (3, 8));
    for n in 1..=total {
        for done in [false, true] {
            for redelivered in [true, false] {
                let folder = TempDir::new().unwrap();
                let first = with_rules(folder.path()).await;
                arm(&first, n, done);
                assert!(intake(&first, &payload).await.is_err());
                drop(first);

                let second = crate::specimen::app(folder.path(), &Clock::manual(moment(0))).await;
                if redelivered {
                    intake(&second, &payload).await.unwrap();
                } else {
                    dispatch_pending(&second, Duration::ZERO).await.unwrap();
                }
                let (found, place) = (runs(&second).await, (n, done, redelivered));
                // Without another delivery there is nothing to go by if nothing was stored.
                if !redelivered && n == 1 && !done {
                    assert_eq!(found.len(), 0);
                    continue;
                }
                assert_eq!(found, expected, "{place:?}");
                let ids: BTreeSet<String> = found.into_iter().map(|(id, ..)| id).collect();
                assert_eq!(queued(&second).await, ids, "{place:?}");
                let again = intake(&second, &payload).await.unwrap();
                assert_eq!(again.findings[0].matched, [], "{place:?}");
                assert_eq!(runs(&second).await, expected, "{place:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_broke_off_is_finished_before_a_newer_event_is_taken_in() {
    let folder = TempDir::new().unwrap();
    let first = with_rules(folder.path()).await;
    // The finding is stored and one run is made, no more.
    arm(&first, 2, true);
    assert!(intake(&first, &event("shop", false, 1)).await.is_err());
    drop(first);
    let second = crate::specimen::app(folder.path(), &Clock::manual(moment(0))).await;
    let taken = intake(&second, &event("shop", true, 2)).await.unwrap();
    assert_eq!(taken.findings[0].transition, Transition::Resolved);
    let transitions: Vec<_> = second
        .store
        .runs(&RunFilter::default(), ALL)
        .await
        .unwrap()
        .into_iter()
        .map(|run| (run.transition, run.playbook))
        .rev()
        .collect();
    use Transition::{Created, Resolved};
    let expected = [
        (Created, "outer"),
        (Created, "note"),
        (Created, "other"),
        (Resolved, "outer"),
        (Resolved, "note"),
    ];
    assert_eq!(
        transitions,
        expected.map(|(transition, name)| (transition, name.to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn duplicates_at_the_same_time_make_one_set_of_runs() {
    let folder = TempDir::new().unwrap();
    let one = with_rules(folder.path()).await;
    let other = app(folder.path(), &one.clock).await;
    let mut deliveries = Vec::new();
    for number in 0..12 {
        for app in [&one, &other, &one] {
            let app = app.clone();
            let payload = event(&format!("bucket-{number}"), false, 1);
            deliveries.push(tokio::spawn(async move { intake(&app, &payload).await }));
        }
    }
    let (mut created, mut made) = (0, 0);
    for delivery in deliveries {
        let taken = delivery.await.unwrap().unwrap();
        created += usize::from(taken.findings[0].transition == Transition::Created);
        let started = taken.findings[0]
            .matched
            .iter()
            .flat_map(|matched| &matched.runs);
        made += started.filter(|run| run.made).count();
    }
    assert_eq!((created, made), (12, 36));
    assert_eq!(runs(&one).await.len(), 36);
    assert_eq!(
        one.store.pending_findings(moment(99), 99).await.unwrap(),
        []
    );
}

fn writes(app: &App) -> u64 {
    let file = app.store.sqlite();
    file.crash().writes()
}

fn arm(app: &App, n: u64, done: bool) {
    let file = app.store.sqlite();
    match done {
        true => file.crash().arm_after(n),
        false => file.crash().arm_before(n),
    }
}

/// Events of three buckets, each told at a time of its own, in any order.
fn events() -> impl Strategy<Value = Vec<(&'static str, bool, i64)>> {
    let event = (prop_oneof![Just("a"), Just("b"), Just("c")], any::<bool>());
    let events = prop::collection::vec(event, 1..8);
    events
        .prop_flat_map(|events| {
            let times = (1..=i64::try_from(events.len()).unwrap()).collect::<Vec<_>>();
            (Just(events), Just(times).prop_shuffle())
        })
        .prop_map(|(events, times)| {
            let timed = events.into_iter().zip(times);
            timed
                .map(|((bucket, good), time)| (bucket, good, time))
                .collect()
        })
}

/// The same events, each followed somewhere later by some that were there before.
fn redelivered(
    events: &[(&'static str, bool, i64)],
    again: &[prop::sample::Index],
) -> Vec<(&'static str, bool, i64)> {
    let mut all = Vec::new();
    let mut again = again.iter();
    for (position, event) in events.iter().enumerate() {
        all.push(*event);
        all.extend(
            again
                .by_ref()
                .take(2)
                .map(|index| events[index.index(position + 1)]),
        );
    }
    all
}

async fn end_of(
    events: &[(&'static str, bool, i64)],
) -> (BTreeSet<(String, String, String, String)>, Vec<Finding>) {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    for (bucket, good, second) in events {
        intake(&app, &event(bucket, *good, *second)).await.unwrap();
    }
    let found = app
        .store
        .findings(&FindingFilter::default(), ALL)
        .await
        .unwrap();
    let mut findings: Vec<_> = found
        .into_iter()
        .map(|record| Finding::clone(&record.finding))
        .collect();
    findings.sort_by(|one, other| one.id.cmp(&other.id));
    (runs(&app).await, findings)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn redeliveries_change_nothing(events in events(), again in prop::collection::vec(any::<prop::sample::Index>(), 0..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let all = redelivered(&events, &again);
        let (once, often) = runtime.block_on(async { (end_of(&events).await, end_of(&all).await) });
        prop_assert_eq!(once, often);
    }
}

#[tokio::test]
async fn payloads_that_leave_no_room_for_others_are_all_taken_in() {
    let folder = TempDir::new().unwrap();
    let app = with_rules(folder.path()).await;
    let payloads: Vec<Vec<u8>> = ["one", "two", "three"]
        .iter()
        .map(|name| {
            let mut large: serde_json::Value =
                serde_json::from_slice(&event(name, false, 1)).unwrap();
            large["detail"]["padding"] = "x".repeat(MOST_ROOM as usize * 1100).into();
            large.to_string().into_bytes()
        })
        .collect();
    let (one, two, three) = tokio::join!(
        intake(&app, &payloads[0]),
        intake(&app, &payloads[1]),
        intake(&app, &payloads[2])
    );
    for taken in [one, two, three] {
        assert_eq!(taken.unwrap().findings.len(), 1);
    }
}

/// A threat that Security Hub tells of, with its workflow status and its note.
fn threat(status: &str, note: Option<(&str, &str)>) -> Vec<u8> {
    let mut finding = serde_json::json!({
        "SchemaVersion": "2018-10-08",
        "Id": "threat-1",
        "ProductArn": "arn:aws:securityhub:eu-west-1::product/111122223333/default",
        "GeneratorId": "detector",
        "AwsAccountId": "111122223333",
        "Types": ["TTPs/Discovery"],
        "Title": "Somebody looks around",
        "UpdatedAt": moment(0).to_string(),
        "Severity": { "Label": "HIGH" },
        "Workflow": { "Status": status },
        "RecordState": "ACTIVE",
        "Resources": [{ "Type": "Other", "Id": "x" }],
    });
    if let Some((by, text)) = note {
        finding["Note"] = serde_json::json!({ "Text": text, "UpdatedBy": by });
    }
    let event = serde_json::json!({
        "source": "aws.securityhub",
        "detail-type": "Security Hub Findings - Imported",
        "detail": { "findings": [finding] },
    });
    event.to_string().into_bytes()
}

#[tokio::test]
async fn what_quench_wrote_back_to_a_finding_starts_nothing() {
    const FOLLOW: &str = "\
playbook: note
triggers: [alert]
steps:
  - id: end
    stop: { reason: noted }
---
automation: follow
trigger: alert
on: [created, changed, resolved]
run:
  - playbook: note
";
    let folder = TempDir::new().unwrap();
    let app = app(folder.path(), &Clock::manual(moment(0))).await;
    apply(&app, FOLLOW).await;
    let quench = quench_findings::NOTES_SIGNED_BY;
    for (payload, transition, started) in [
        (threat("NEW", None), Transition::Created, 1),
        // Ours, and once more.
        (
            threat("NOTIFIED", Some((quench, "on it"))),
            Transition::Changed,
            0,
        ),
        (
            threat("NOTIFIED", Some((quench, "on it"))),
            Transition::Repeated,
            0,
        ),
        // Somebody's, with our note still there.
        (
            threat("NEW", Some((quench, "on it"))),
            Transition::Changed,
            1,
        ),
        (
            threat("RESOLVED", Some((quench, "done"))),
            Transition::Resolved,
            0,
        ),
        (
            threat("NEW", Some(("somebody", "not at all"))),
            Transition::Changed,
            1,
        ),
    ] {
        let taken = intake(&app, &payload).await.unwrap();
        let arrival = &taken.findings[0];
        assert_eq!(arrival.transition, transition);
        assert_eq!(arrival.runs().count(), started, "{transition:?}");
    }
    let known = app.store.finding("threat-1").await.unwrap().unwrap();
    assert!(!known.pending);
    assert_eq!(known.sequence, 5);
}
