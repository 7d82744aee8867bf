use crate::specimen::{moment, noise, record};
use crate::store::{FindingFilter, FindingRecord, Page, Store};
use quench_findings::{Kind, Severity, Source, Status, Transition};
use std::sync::Arc;

pub(crate) async fn a_finding_is_put_only_over_the_version_that_was_read(store: &Store) {
    let first = record("f", moment(1));
    assert!(store.put_finding(&first).await.unwrap());
    assert!(!store.put_finding(&first).await.unwrap());
    assert_eq!(store.finding("f").await.unwrap().unwrap(), first);

    let mut second = FindingRecord {
        version: 2,
        sequence: 2,
        transition: Transition::Changed,
        stored: moment(2),
        ..first.clone()
    };
    Arc::make_mut(&mut second.finding).title = "renamed".to_owned();
    assert!(store.put_finding(&second).await.unwrap());
    assert!(!store.put_finding(&second).await.unwrap());
    let third = FindingRecord {
        version: 4,
        ..second.clone()
    };
    assert!(!store.put_finding(&third).await.unwrap());
    assert_eq!(store.finding("f").await.unwrap().unwrap(), second);
    assert!(store.delete_finding("f").await.unwrap());
    assert!(!store.delete_finding("f").await.unwrap());
    assert_eq!(store.finding("f").await.unwrap(), None);
}

pub(crate) async fn a_pending_mark_goes_only_with_its_own_transition(store: &Store) {
    store.put_finding(&record("f", moment(1))).await.unwrap();
    store.clear_pending("f", 2).await.unwrap();
    assert_eq!(
        store.pending_findings(moment(1), 10).await.unwrap().len(),
        1
    );
    assert_eq!(store.pending_findings(moment(0), 10).await.unwrap(), []);
    store.clear_pending("f", 1).await.unwrap();
    assert_eq!(store.pending_findings(moment(9), 10).await.unwrap(), []);
    // Whoever read it while it was pending must read again.
    let stored = store.finding("f").await.unwrap().unwrap();
    assert_eq!((stored.pending, stored.version), (false, 2));
    store.clear_pending("f", 1).await.unwrap();
    assert_eq!(store.finding("f").await.unwrap().unwrap().version, 2);
}

pub(crate) async fn findings_are_listed_by_filter_and_page(store: &Store) {
    for (number, severity) in [Severity::Low, Severity::High, Severity::Critical]
        .into_iter()
        .enumerate()
    {
        let second = i64::try_from(number).unwrap();
        let mut record = record(&format!("f{number}"), moment(second));
        Arc::make_mut(&mut record.finding).severity = severity;
        store.put_finding(&record).await.unwrap();
    }
    let mut odd = record("50%_off", moment(9));
    Arc::make_mut(&mut odd.finding).kind = Kind::Compliance;
    Arc::make_mut(&mut odd.finding).source = Source::Config;
    Arc::make_mut(&mut odd.finding).status = Some(Status::Failed);
    Arc::make_mut(&mut odd.finding).account = None;
    store.put_finding(&odd).await.unwrap();

    let ids = async |filter: FindingFilter, page: Page| {
        let found = store.findings(&filter, page).await.unwrap();
        let ids = found.into_iter().map(|record| record.finding.id.clone());
        ids.collect::<Vec<_>>()
    };
    let all = Page::default();
    assert_eq!(
        ids(FindingFilter::default(), all).await,
        ["50%_off", "f2", "f1", "f0"]
    );
    let page = Page { limit: 2, skip: 1 };
    assert_eq!(ids(FindingFilter::default(), page).await, ["f2", "f1"]);
    let any = FindingFilter::default;
    for (filter, expected) in [
        (
            FindingFilter {
                kind: Some(Kind::Compliance),
                ..any()
            },
            &["50%_off"][..],
        ),
        (
            FindingFilter {
                source: Some(Source::Guardduty),
                severity: Some(Severity::High),
                ..any()
            },
            &["f2", "f1"],
        ),
        (
            FindingFilter {
                status: Some(Status::Failed),
                ..any()
            },
            &["50%_off"],
        ),
        (
            FindingFilter {
                account: Some("111122223333".to_owned()),
                ..any()
            },
            &["f2", "f1", "f0"],
        ),
        (
            FindingFilter {
                text: Some("ABOUT F1".to_owned()),
                ..any()
            },
            &["f1"],
        ),
        (
            FindingFilter {
                text: Some("%_".to_owned()),
                ..any()
            },
            &["50%_off"],
        ),
        (
            FindingFilter {
                text: Some("' OR 1=1".to_owned()),
                ..any()
            },
            &[],
        ),
    ] {
        assert_eq!(ids(filter.clone(), all).await, expected, "{filter:?}");
    }
}

pub(crate) async fn one_of_many_puts_of_a_version_wins(store: &Store) {
    for version in 1..=3 {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..16 {
            let store = store.clone();
            let mut record = FindingRecord {
                version,
                ..record("f", moment(1))
            };
            Arc::make_mut(&mut record.finding).title = format!("by {number}");
            tasks.spawn(async move {
                let won = store.put_finding(&record).await.unwrap();
                won.then_some(record)
            });
        }
        let winners: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(store.finding("f").await.unwrap().as_ref(), winners.first());
    }
}

pub(crate) async fn a_large_finding_is_put_and_read_whole(store: &Store) {
    let mut first = record("f", moment(1));
    Arc::make_mut(&mut first.finding).raw = serde_json::Value::from(noise(2 << 20)).into();
    assert!(store.put_finding(&first).await.unwrap());
    assert!(!store.put_finding(&first).await.unwrap());
    assert_eq!(store.finding("f").await.unwrap().unwrap(), first);
    assert_eq!(
        store.pending_findings(moment(9), 9).await.unwrap(),
        [first.clone()]
    );

    let mut second = FindingRecord {
        version: 2,
        ..first.clone()
    };
    Arc::make_mut(&mut second.finding).raw = serde_json::Value::from(noise(700_000)).into();
    assert!(store.put_finding(&second).await.unwrap());
    assert_eq!(store.finding("f").await.unwrap().unwrap(), second);
    store.clear_pending("f", 1).await.unwrap();
    let listed = store
        .findings(&FindingFilter::default(), Page::default())
        .await
        .unwrap();
    assert_eq!((listed.len(), listed[0].version), (1, 3));
    assert_eq!(listed[0].finding, second.finding);

    let small = FindingRecord {
        version: 4,
        ..record("f", moment(4))
    };
    assert!(store.put_finding(&small).await.unwrap());
    assert_eq!(store.finding("f").await.unwrap().unwrap(), small);
    assert!(store.delete_finding("f").await.unwrap());
    assert_eq!(store.finding("f").await.unwrap(), None);
}

pub(crate) async fn a_finding_may_have_any_id(store: &Store) {
    let long = "x".repeat(3000);
    let ids = [
        "",
        "#",
        "a b\u{0}\u{1F980}",
        long.as_str(),
        &long[..2999],
        "../head",
    ];
    for id in ids {
        assert_eq!(store.finding(id).await.unwrap(), None);
        assert!(store.put_finding(&record(id, moment(1))).await.unwrap());
    }
    for id in ids {
        assert_eq!(store.finding(id).await.unwrap().unwrap().finding.id, id);
        store.clear_pending(id, 1).await.unwrap();
        assert!(!store.finding(id).await.unwrap().unwrap().pending);
        assert!(store.delete_finding(id).await.unwrap());
        assert_eq!(store.finding(id).await.unwrap(), None);
    }
}
