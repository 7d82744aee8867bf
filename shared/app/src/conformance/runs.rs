use super::{MINUTE, SECOND};
use crate::run::{Entry, Event, Run, RunState, StartedBy};
use crate::specimen::{finding, moment, noise, record, run};
use crate::store::{Claim, Expired, Lease, Page, RunFilter, RunStage, Store, StoreError};
use serde_json::Value;
use std::sync::Arc;

fn line(path: &str) -> Entry {
    Entry {
        path: path.to_owned(),
        attempt: 1,
        at: moment(3),
        event: Event::Failed {
            reason: "no".to_owned(),
        },
    }
}

pub(crate) async fn a_run_is_made_once(store: &Store) {
    let first = run("r", moment(1));
    assert!(store.create_run(&first).await.unwrap());
    let mut other = run("r", moment(2));
    other.playbook = "other".to_owned();
    assert!(!store.create_run(&other).await.unwrap());
    assert_eq!(store.run("r").await.unwrap().unwrap(), first);
    assert_eq!(store.run("s").await.unwrap(), None);
}

pub(crate) async fn a_run_is_held_by_one_worker_at_a_time(store: &Store) {
    store.create_run(&run("r", moment(1))).await.unwrap();
    let claim = store
        .claim_run("r", "one", moment(2), MINUTE)
        .await
        .unwrap();
    let Claim::Held {
        lease,
        run,
        journal,
    } = claim
    else {
        panic!("{claim:?}");
    };
    assert_eq!((run.state, run.updated), (RunState::Running, moment(2)));
    assert_eq!((lease.until, journal.len()), (moment(62), 0));
    assert_eq!(
        store
            .claim_run("r", "two", moment(61), MINUTE)
            .await
            .unwrap(),
        Claim::Busy { until: moment(62) }
    );
    store.extend_lease(&lease, moment(100)).await.unwrap();
    assert_eq!(
        store
            .claim_run("r", "two", moment(62), MINUTE)
            .await
            .unwrap(),
        Claim::Busy { until: moment(100) }
    );
    store.append(&lease, &line("a")).await.unwrap();
    store.append(&lease, &line("b")).await.unwrap();
    store
        .settle(&lease, &RunState::Succeeded, moment(70))
        .await
        .unwrap();
    let done = store.run("r").await.unwrap().unwrap();
    assert_eq!(
        (&done.state, done.updated),
        (&RunState::Succeeded, moment(70))
    );
    assert_eq!(
        store
            .claim_run("r", "two", moment(99), MINUTE)
            .await
            .unwrap(),
        Claim::Finished(done)
    );
    assert_eq!(store.journal("r").await.unwrap(), [line("a"), line("b")]);
    assert_eq!(
        store
            .claim_run("s", "two", moment(99), MINUTE)
            .await
            .unwrap(),
        Claim::Missing
    );
}

pub(crate) async fn a_late_worker_writes_nothing_more(store: &Store) {
    store.create_run(&run("r", moment(1))).await.unwrap();
    let held = |claim| match claim {
        Claim::Held { lease, .. } => lease,
        other => panic!("{other:?}"),
    };
    let old = held(
        store
            .claim_run("r", "one", moment(2), SECOND)
            .await
            .unwrap(),
    );
    store.append(&old, &line("by one")).await.unwrap();
    let new = held(
        store
            .claim_run("r", "two", moment(3), MINUTE)
            .await
            .unwrap(),
    );
    assert!(new.fence > old.fence);
    let lost = StoreError::LeaseLost {
        run: "r".to_owned(),
    };
    assert_eq!(store.append(&old, &line("late")).await.unwrap_err(), lost);
    assert_eq!(
        store.extend_lease(&old, moment(99)).await.unwrap_err(),
        lost
    );
    let late = store.settle(&old, &RunState::Succeeded, moment(4)).await;
    assert_eq!(late.unwrap_err(), lost);
    store.append(&new, &line("by two")).await.unwrap();
    assert_eq!(
        store.journal("r").await.unwrap(),
        [line("by one"), line("by two")]
    );
    store
        .settle(&new, &RunState::Succeeded, moment(5))
        .await
        .unwrap();
    // Nor does the holder itself once it has let go.
    assert_eq!(store.append(&new, &line("late")).await.unwrap_err(), lost);
}

pub(crate) async fn runs_are_due_when_somebody_should_take_them_up(store: &Store) {
    for id in ["queued", "running", "waiting", "done"] {
        store.create_run(&run(id, moment(1))).await.unwrap();
    }
    let waiting = RunState::Waiting {
        until: moment(50),
        reason: "pause".to_owned(),
    };
    for (id, state) in [
        ("running", None),
        ("waiting", Some(waiting)),
        ("done", Some(RunState::Succeeded)),
    ] {
        let claim = store
            .claim_run(id, "one", moment(2), SECOND * 8)
            .await
            .unwrap();
        let Claim::Held { lease, .. } = claim else {
            panic!("{claim:?}");
        };
        if let Some(state) = state {
            store.settle(&lease, &state, moment(3)).await.unwrap();
        }
    }
    assert_eq!(store.due_runs(moment(9), 10).await.unwrap(), ["queued"]);
    assert_eq!(
        store.due_runs(moment(10), 10).await.unwrap(),
        ["queued", "running"]
    );
    assert_eq!(
        store.due_runs(moment(50), 10).await.unwrap(),
        ["queued", "running", "waiting"]
    );
    assert_eq!(store.due_runs(moment(50), 1).await.unwrap(), ["queued"]);
    assert_eq!(store.next_due().await.unwrap(), Some(moment(1)));
    assert_eq!(store.unfinished().await.unwrap(), 3);
    assert_eq!(
        store
            .claim_run("waiting", "one", moment(49), SECOND)
            .await
            .unwrap(),
        Claim::Waiting { until: moment(50) }
    );
    let claim = store
        .claim_run("waiting", "one", moment(50), SECOND)
        .await
        .unwrap();
    assert!(matches!(claim, Claim::Held { .. }));
}

pub(crate) async fn only_a_failed_run_is_queued_again(store: &Store) {
    store.create_run(&run("r", moment(1))).await.unwrap();
    assert_eq!(store.requeue_run("r", moment(2)).await.unwrap(), None);
    assert_eq!(store.requeue_run("s", moment(2)).await.unwrap(), None);
    let claim = store
        .claim_run("r", "one", moment(2), MINUTE)
        .await
        .unwrap();
    let Claim::Held { lease, .. } = claim else {
        panic!("{claim:?}");
    };
    store.append(&lease, &line("a")).await.unwrap();
    let failed = RunState::Failed {
        reason: "no".to_owned(),
    };
    store.settle(&lease, &failed, moment(3)).await.unwrap();
    let queued = store.requeue_run("r", moment(4)).await.unwrap().unwrap();
    assert_eq!(
        (queued.state, queued.updated),
        (RunState::Queued, moment(4))
    );
    let journal = store.journal("r").await.unwrap();
    assert_eq!((journal.len(), &journal[0]), (2, &line("a")));
    assert_eq!(
        (&journal[1].event, journal[1].at),
        (&Event::Reopened, moment(4))
    );
    let claim = store
        .claim_run("r", "one", moment(5), MINUTE)
        .await
        .unwrap();
    assert!(matches!(claim, Claim::Held { journal, .. } if journal.len() == 2));
}

pub(crate) async fn only_a_finished_run_is_queued_again_to_be_undone(store: &Store) {
    let ends = [
        RunState::Succeeded,
        RunState::Stopped {
            reason: "enough".to_owned(),
        },
        RunState::Failed {
            reason: "no".to_owned(),
        },
        RunState::Undone {
            by: "somebody".to_owned(),
            left: vec!["way/one".to_owned()],
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let id = format!("r{number}");
        store.create_run(&run(&id, moment(1))).await.unwrap();
        let undo = async |at| store.undo_run(&id, "me", Some("close"), moment(at)).await;
        assert_eq!(undo(2).await.unwrap(), None, "it has not begun");
        let (lease, ..) = held(store, &id, "one", 2).await;
        assert_eq!(undo(2).await.unwrap(), None, "somebody works on it");
        store.settle(&lease, &end, moment(3)).await.unwrap();
        let stored = store.run(&id).await.unwrap().unwrap();
        assert_eq!(stored.state, end);
        assert_eq!(store.next_due().await.unwrap(), None);
        let queued = undo(4).await.unwrap().unwrap();
        assert_eq!(
            (queued.state, queued.updated),
            (RunState::Queued, moment(4))
        );
        assert_eq!(undo(5).await.unwrap(), None, "it is queued");
        let (lease, _, journal) = held(store, &id, "two", 200).await;
        let asked = Event::UndoAsked {
            by: "me".to_owned(),
            step: Some("close".to_owned()),
        };
        assert_eq!((&journal[0].event, journal[0].at), (&asked, moment(4)));
        store
            .settle(&lease, &RunState::Succeeded, moment(201))
            .await
            .unwrap();
    }
    let nothing = store.undo_run("s", "me", None, moment(2)).await.unwrap();
    assert_eq!(nothing, None);
}

pub(crate) async fn runs_are_listed_by_filter_and_page(store: &Store) {
    for (number, (automation, playbook)) in
        [("a", "p"), ("a", "q"), ("b", "p")].into_iter().enumerate()
    {
        let second = i64::try_from(number).unwrap();
        let mut run = run(&format!("r{number}"), moment(second));
        run.finding = finding(automation).into();
        run.playbook = playbook.to_owned();
        run.started_by = StartedBy::Automation {
            name: automation.to_owned(),
            version: "v".to_owned(),
            explanation: Value::Null,
        };
        store.create_run(&run).await.unwrap();
    }
    store
        .claim_run("r1", "one", moment(5), MINUTE)
        .await
        .unwrap();
    let any = RunFilter::default;
    let all = Page::default();
    let text = |text: &str| Some(text.to_owned());
    for (filter, page, expected) in [
        (any(), all, &["r2", "r1", "r0"][..]),
        (any(), Page { limit: 1, skip: 1 }, &["r1"]),
        (
            RunFilter {
                automation: text("a"),
                ..any()
            },
            all,
            &["r1", "r0"],
        ),
        (
            RunFilter {
                finding: text("b"),
                ..any()
            },
            all,
            &["r2"],
        ),
        (
            RunFilter {
                playbook: text("p"),
                stage: Some(RunStage::Queued),
                ..any()
            },
            all,
            &["r2", "r0"],
        ),
        (
            RunFilter {
                stage: Some(RunStage::Running),
                ..any()
            },
            all,
            &["r1"],
        ),
    ] {
        let found = store.runs(&filter, page).await.unwrap();
        let ids: Vec<_> = found.into_iter().map(|run| run.id).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

pub(crate) async fn what_is_old_and_over_expires(store: &Store) {
    for (id, second) in [("old", 1), ("new", 100)] {
        let mut record = record(id, moment(second));
        record.pending = false;
        store.put_finding(&record).await.unwrap();
    }
    store
        .put_finding(&record("pending", moment(1)))
        .await
        .unwrap();
    for (id, done) in [("old", Some(10)), ("new", Some(100)), ("queued", None)] {
        store.create_run(&run(id, moment(1))).await.unwrap();
        if let Some(second) = done {
            let claim = store.claim_run(id, "one", moment(2), MINUTE).await.unwrap();
            let Claim::Held { lease, .. } = claim else {
                panic!("{claim:?}");
            };
            store.append(&lease, &line("a")).await.unwrap();
            store
                .settle(&lease, &RunState::Succeeded, moment(second))
                .await
                .unwrap();
        }
    }
    let expired = store.expire(moment(50), 10).await.unwrap();
    assert_eq!((expired.findings, expired.runs), (1, 1));
    assert_eq!(store.finding("old").await.unwrap(), None);
    assert!(store.finding("new").await.unwrap().is_some());
    assert!(store.finding("pending").await.unwrap().is_some());
    assert_eq!(store.run("old").await.unwrap(), None);
    assert_eq!(store.journal("old").await.unwrap(), []);
    assert_eq!(store.journal("new").await.unwrap().len(), 1);
    assert!(store.run("queued").await.unwrap().is_some());
    assert_eq!(
        store.expire(moment(50), 10).await.unwrap(),
        Expired::default()
    );
}

pub(crate) async fn a_run_is_found_by_how_its_id_begins(store: &Store) {
    let ids = ["00ab12", "00ab34", "00ac00", "0f", "ff00"];
    for id in ids {
        store.create_run(&run(id, moment(1))).await.unwrap();
    }
    for (prefix, limit, expected) in [
        ("00ab", 9, &ids[..2]),
        ("00AB3", 9, &ids[1..2]),
        ("00ac00", 9, &ids[2..3]),
        ("00ac000", 9, &[]),
        ("0", 9, &ids[..4]),
        ("0", 2, &ids[..2]),
        ("f", 9, &ids[4..]),
        ("ff", 9, &ids[4..]),
        ("1", 9, &[]),
        // What is no hex digit finds nothing, wildcards least of all.
        ("", 9, &[]),
        ("%", 9, &[]),
        ("0_", 9, &[]),
        ("0*", 9, &[]),
        ("00ab\u{0}", 9, &[]),
    ] {
        let found = store.runs_by_prefix(prefix, limit).await.unwrap();
        let found: Vec<_> = found.iter().map(|run| run.id.as_str()).collect();
        assert_eq!(found, expected, "{prefix}");
    }
}

pub(crate) async fn some_runs_stand_apart_from_all_others(store: &Store) {
    for (id, at) in [("a", 1), ("b", 2), ("c", 3), ("d", 0)] {
        store.create_run(&run(id, moment(at))).await.unwrap();
    }
    let names = |names: &[&str]| names.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    let standing = async |ids: &[&str], at| {
        let told = store.standing(&names(ids), moment(at)).await.unwrap();
        (told.unfinished, told.held, told.next)
    };
    assert_eq!(
        standing(&["a", "b", "c", "none"], 5).await,
        (3, 0, Some(moment(1)))
    );
    let claim = store.claim_run("a", "one", moment(5), MINUTE).await;
    let Ok(Claim::Held { lease, .. }) = claim else {
        panic!("{claim:?}");
    };
    assert_eq!(standing(&["a", "b", "b"], 6).await, (2, 1, Some(moment(2))));
    assert_eq!(standing(&["a"], 64).await, (1, 1, Some(moment(65))));
    assert_eq!(standing(&["a"], 65).await, (1, 0, Some(moment(65))));
    store
        .settle(&lease, &RunState::Succeeded, moment(7))
        .await
        .unwrap();
    assert_eq!(standing(&["a", "c"], 8).await, (1, 0, Some(moment(3))));
    assert_eq!(standing(&["a"], 8).await, (0, 0, None));
    assert_eq!(standing(&[], 8).await, (0, 0, None));
}

async fn held(store: &Store, id: &str, owner: &str, second: i64) -> (Lease, Run, Vec<Entry>) {
    match store
        .claim_run(id, owner, moment(second), MINUTE)
        .await
        .unwrap()
    {
        Claim::Held {
            lease,
            run,
            journal,
        } => (lease, run, journal),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn one_of_many_claims_holds_the_run(store: &Store) {
    store.create_run(&run("r", moment(1))).await.unwrap();
    for round in 0..3 {
        let now = moment(2 + round * 100);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..16 {
            let store = store.clone();
            tasks.spawn(async move {
                let owner = format!("worker {number}");
                store.claim_run("r", &owner, now, MINUTE).await.unwrap()
            });
        }
        let (held, others): (Vec<_>, Vec<_>) = tasks
            .join_all()
            .await
            .into_iter()
            .partition(|claim| matches!(claim, Claim::Held { .. }));
        assert_eq!(held.len(), 1);
        let until = now + MINUTE;
        assert!(others.iter().all(|claim| *claim == Claim::Busy { until }));
    }
}

pub(crate) async fn one_of_many_retries_queues_the_run(store: &Store) {
    store.create_run(&run("r", moment(1))).await.unwrap();
    let (lease, ..) = held(store, "r", "one", 2).await;
    let failed = RunState::Failed {
        reason: "no".to_owned(),
    };
    store.settle(&lease, &failed, moment(3)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move { store.requeue_run("r", moment(4)).await.unwrap() });
    }
    let queued = tasks.join_all().await.into_iter().flatten();
    assert_eq!(queued.count(), 1);
    assert_eq!(store.journal("r").await.unwrap().len(), 1);
}

/// A line with this much in it that cannot be compressed.
fn wide(path: &str, bytes: usize) -> Entry {
    Entry {
        event: Event::Started {
            content: noise(bytes).into(),
        },
        ..line(path)
    }
}

pub(crate) async fn a_journal_of_any_length_keeps_its_order(store: &Store) {
    store.create_run(&run("r", moment(1))).await.unwrap();
    let (lease, ..) = held(store, "r", "one", 2).await;
    let mut lines = Vec::new();
    for number in 0..60 {
        lines.push(wide(&format!("step {number}"), 700));
    }
    lines.insert(0, wide("first", 60_000));
    lines.insert(30, wide("middle", 900_000));
    lines.push(line("last"));
    for line in &lines {
        store.append(&lease, line).await.unwrap();
    }
    assert_eq!(store.journal("r").await.unwrap(), lines);

    let (next, _, journal) = held(store, "r", "two", 200).await;
    assert_eq!(journal, lines);
    let lost = StoreError::LeaseLost {
        run: "r".to_owned(),
    };
    for late in [line("late"), wide("late", 60_000)] {
        assert_eq!(store.append(&lease, &late).await.unwrap_err(), lost);
    }
    store.append(&next, &line("by two")).await.unwrap();
    let failed = RunState::Failed {
        reason: "no".to_owned(),
    };
    store.settle(&next, &failed, moment(201)).await.unwrap();
    store.requeue_run("r", moment(202)).await.unwrap().unwrap();
    let journal = store.journal("r").await.unwrap();
    assert_eq!(journal[..lines.len()], lines);
    assert_eq!(journal[lines.len()], line("by two"));
    assert_eq!(journal[lines.len() + 1].event, Event::Reopened);
    assert_eq!(journal.len(), lines.len() + 2);
}

pub(crate) async fn a_run_of_a_large_finding_is_like_any_other(store: &Store) {
    let mut large = run("ab12", moment(1));
    Arc::make_mut(&mut large.finding).raw = Value::from(noise(2 << 20)).into();
    assert!(store.create_run(&large).await.unwrap());
    assert!(!store.create_run(&large).await.unwrap());
    assert_eq!(store.run("ab12").await.unwrap().unwrap(), large);
    let (lease, run, journal) = held(store, "ab12", "one", 2).await;
    assert_eq!((&run.finding, journal.len()), (&large.finding, 0));
    store.append(&lease, &line("a")).await.unwrap();
    let failed = RunState::Failed {
        reason: "no".to_owned(),
    };
    store.settle(&lease, &failed, moment(3)).await.unwrap();
    for listed in [
        store
            .runs(&RunFilter::default(), Page::default())
            .await
            .unwrap(),
        store.runs_by_prefix("ab", 9).await.unwrap(),
    ] {
        assert_eq!((listed.len(), &listed[0].finding), (1, &large.finding));
        assert_eq!(listed[0].state, failed);
    }
    let claim = store
        .claim_run("ab12", "one", moment(4), MINUTE)
        .await
        .unwrap();
    assert!(matches!(claim, Claim::Finished(run) if run.finding == large.finding));
    let queued = store.requeue_run("ab12", moment(5)).await.unwrap().unwrap();
    assert_eq!(queued.finding, large.finding);
    let (_, run, journal) = held(store, "ab12", "one", 6).await;
    assert_eq!((run.finding, journal.len()), (large.finding, 2));
}
