use super::*;
use crate::run::{Entry, Event};
use crate::specimen::noise;
use std::collections::BTreeMap;
use std::sync::Arc;

const DAY: i64 = 24 * 60 * 60;

fn line(letters: usize) -> Entry {
    Entry {
        path: "a".to_owned(),
        attempt: 1,
        at: moment(3),
        event: Event::Started {
            content: noise(letters).into(),
        },
    }
}

/// When each item goes, in seconds, by the beginning of its keys; the first of several.
async fn expiries(store: &Store) -> BTreeMap<String, Option<i64>> {
    let mut found = BTreeMap::new();
    for item in everything(store).await {
        let fields = Fields::of("item", &item);
        let sort = fields.text("sk").unwrap().split('#').next().unwrap();
        let key = format!("{} {sort}", fields.text("pk").unwrap());
        let expires = fields.maybe_number("expires");
        let first = found.entry(key).or_insert(expires);
        *first = (*first).min(expires);
    }
    found
}

/// Seconds from a moment until an item goes that is kept for this many days more.
fn after(second: i64, days: i64) -> Option<i64> {
    Some(moment(second).as_second() + days * DAY)
}

#[tokio::test]
async fn a_finding_goes_unless_it_is_pending() {
    let (store, _emulator) = fresh().await;
    let mut record = record("f", moment(1));
    Arc::make_mut(&mut record.finding).raw = Value::from(noise(100_000)).into();
    store.put_finding(&record).await.unwrap();
    let told = expiries(&store).await;
    assert_eq!(told["finding#f finding"], None);
    assert_eq!(told["parts#finding#f body"], after(1, 107));

    store.clear_pending("f", 1).await.unwrap();
    assert_eq!(expiries(&store).await["finding#f finding"], after(1, 100));

    record.version = 3;
    record.pending = false;
    record.stored = moment(50);
    store.put_finding(&record).await.unwrap();
    let told = expiries(&store).await;
    assert_eq!(told["finding#f finding"], after(50, 100));
    assert_eq!(told["parts#finding#f body"], after(50, 107));
}

#[tokio::test]
async fn a_run_goes_once_it_is_finished_and_what_lies_beside_it_goes_later() {
    let (store, _emulator) = fresh().await;
    let mut run = run("r", moment(1));
    Arc::make_mut(&mut run.finding).raw = Value::from(noise(100_000)).into();
    store.create_run(&run).await.unwrap();
    let lease = hold(&store, "r", 2).await;
    for letters in [9_000, 60_000, 9_000, 9_000] {
        store.append(&lease, &line(letters)).await.unwrap();
    }
    let parts = ["body", "line", "page"].map(|sort| format!("parts#run#r {sort}"));
    let told = expiries(&store).await;
    assert_eq!(told["run#r r"], None);
    for part in &parts {
        assert!(told[part] >= after(1, 900), "{part}");
    }

    let failed = RunState::Failed {
        reason: "no".to_owned(),
    };
    store.settle(&lease, &failed, moment(10)).await.unwrap();
    let told = expiries(&store).await;
    assert_eq!(told["run#r r"], after(10, 100));
    for part in &parts {
        assert_eq!(told[part], after(10, 107));
    }

    // Set going again, it is kept again.
    store.requeue_run("r", moment(20)).await.unwrap().unwrap();
    let told = expiries(&store).await;
    assert_eq!(told["run#r r"], None);
    for part in &parts {
        assert_eq!(told[part], after(20, 900));
    }

    // However long it waits, what it needs is there.
    let lease = hold(&store, "r", 520 * DAY).await;
    let told = expiries(&store).await;
    for part in &parts {
        assert_eq!(told[part], after(520 * DAY, 900));
    }
    assert_eq!(store.journal("r").await.unwrap().len(), 5);
    store
        .settle(&lease, &RunState::Succeeded, moment(521 * DAY))
        .await
        .unwrap();
    assert_eq!(expiries(&store).await["run#r r"], after(521 * DAY, 100));
}

#[tokio::test]
async fn definitions_that_were_replaced_go_soon_and_those_in_force_stay() {
    let (store, _emulator) = fresh().await;
    let changes = |version: i64| {
        let definition = serde_json::from_value(json!({
            "name": "p",
            "triggers": ["alert"],
            "steps": [{"id": "end", "kind": {"stop": {"reason": "done"}}}],
        }));
        vec![crate::store::Change::Playbook {
            definition: definition.unwrap(),
            version: version.to_string(),
            text: "playbook: p".to_owned(),
        }]
    };
    for version in 1..=6 {
        store
            .put_definitions(changes(version), moment(1))
            .await
            .unwrap();
    }
    let now = Timestamp::now().as_second();
    let mut snapshots: Vec<(String, i64)> = everything(&store)
        .await
        .iter()
        .filter_map(|item| {
            let fields = Fields::of("item", item);
            let name = fields.text("sk").unwrap().to_owned();
            name.starts_with("snapshot#")
                .then(|| (name, fields.number("expires").unwrap()))
        })
        .collect();
    snapshots.sort();
    assert_eq!(snapshots.len(), 6);
    let (_, in_force) = snapshots.pop().unwrap();
    assert!(in_force > now + 1000 * 365 * DAY);
    for (name, expires) in snapshots {
        assert!((now + 3000..now + 3700).contains(&expires), "{name}");
    }
    assert_eq!(store.playbook("p").await.unwrap().unwrap().version, "6");
    assert!(everything(&store).await.iter().all(|item| {
        let fields = Fields::of("item", item);
        !fields.text("pk").unwrap().starts_with("playbook#") || !fields.has("expires")
    }));
}
