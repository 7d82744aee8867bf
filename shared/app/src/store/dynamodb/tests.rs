//! What the store does on an emulator, and on one whose answers get lost.

mod cost;
mod expiry;
mod faults;
mod lossy;

use super::*;
use crate::conformance;
use crate::emulated;
use crate::run::RunState;
use crate::specimen::{moment, record, run};
use crate::store::{Claim, FindingFilter, Lease, Page, Store};
use call::Bill;
use item::{Fields, Item};
use quench_actions::aws::Service;
use quench_emulator::Emulator;
use std::path::Path;

const RETENTION: Duration = Duration::from_secs(100 * 24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

async fn fresh() -> (Store, Arc<Emulator>) {
    let emulator = emulated::emulator();
    let aws = emulated::aws(&emulator);
    let table = emulated::table(&aws).await;
    (Store::on_aws(aws, &table, RETENTION), emulator)
}

fn table(store: &Store) -> &DynamoDb {
    match store {
        Store::DynamoDb(table) => table,
        Store::Sqlite(_) => panic!("this store is a file"),
    }
}

/// What the calls since the last time came to.
fn spent(store: &Store) -> Bill {
    table(store).spent.take()
}

/// All items there are.
async fn everything(store: &Store) -> Vec<Item> {
    let table = table(store);
    let mut scan = json!({"TableName": &*table.table, "ConsistentRead": true});
    let mut items = Vec::new();
    loop {
        let found = table.aws.json(Service::DynamoDb, "Scan", &scan);
        let mut found = found.await.unwrap();
        let page = found["Items"].take();
        items.extend(serde_json::from_value::<Vec<Item>>(page).unwrap());
        match found["LastEvaluatedKey"].take() {
            Value::Null => return items,
            last => scan["ExclusiveStartKey"] = last,
        }
    }
}

async fn hold(store: &Store, id: &str, second: i64) -> Lease {
    match store
        .claim_run(id, "one", moment(second), MINUTE)
        .await
        .unwrap()
    {
        Claim::Held { lease, .. } => lease,
        other => panic!("{other:?}"),
    }
}

macro_rules! promises {
    ($($kind:ident: $($promise:ident)*;)*) => {
        mod kept {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let (store, _emulator) = fresh().await;
                    conformance::$kind::$promise(&store).await;
                }
            )*)*
        }

        mod kept_though_answers_are_lost {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let (store, _emulator) = lossy::fresh().await;
                    conformance::$kind::$promise(&store).await;
                }
            )*)*
        }
    };
}

promises! {
    approvals:
        a_question_is_put_once_and_found_by_the_tokens_that_were_made_for_it
        a_question_is_decided_once_in_time_and_about_what_was_asked
        one_of_many_deciders_wins_and_the_others_are_told_who
        questions_are_listed_by_filter_and_page
        a_decision_is_unheard_until_the_run_has_heard_of_it
        a_large_question_is_like_any_other
        a_waiting_run_is_woken_and_a_finished_one_is_not
        a_run_that_is_woken_while_it_is_held_does_not_wait
        no_more_places_are_had_within_an_hour_than_there_are
        a_place_is_free_again_after_an_hour;
    definitions:
        definitions_are_put_all_or_none
        every_version_of_a_playbook_is_kept
        a_playbook_in_use_is_not_deleted
        an_automation_stays_disabled_until_its_text_changes
        changes_at_the_same_time_are_all_kept;
    findings:
        a_finding_is_put_only_over_the_version_that_was_read
        a_pending_mark_goes_only_with_its_own_transition
        findings_are_listed_by_filter_and_page
        one_of_many_puts_of_a_version_wins
        a_large_finding_is_put_and_read_whole
        a_finding_may_have_any_id;
    runs:
        a_run_is_made_once
        a_run_is_held_by_one_worker_at_a_time
        a_late_worker_writes_nothing_more
        runs_are_due_when_somebody_should_take_them_up
        only_a_failed_run_is_queued_again
        only_a_finished_run_is_queued_again_to_be_undone
        runs_are_listed_by_filter_and_page
        a_run_is_found_by_how_its_id_begins
        some_runs_stand_apart_from_all_others
        one_of_many_claims_holds_the_run
        one_of_many_retries_queues_the_run
        a_journal_of_any_length_keeps_its_order
        a_run_of_a_large_finding_is_like_any_other;
}

// Too much to be done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_definitions_is_put_all_or_none() {
    let (store, _emulator) = fresh().await;
    conformance::definitions::any_number_of_definitions_is_put_all_or_none(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_in_order_over_all_partitions() {
    let (store, _emulator) = fresh().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..150_i64 {
        let store = store.clone();
        let record = record(&format!("f{number:03}"), moment(number));
        tasks.spawn(async move { store.put_finding(&record).await.unwrap() });
    }
    assert!(tasks.join_all().await.into_iter().all(|put| put));
    let mut expected: Vec<String> = (0..150).map(|number| format!("f{number:03}")).collect();
    let oldest = store.pending_findings(moment(99), 40).await.unwrap();
    let oldest: Vec<String> = oldest
        .into_iter()
        .map(|record| record.finding.id.clone())
        .collect();
    assert_eq!(oldest, expected[..40]);
    expected.reverse();
    for (limit, skip) in [(150, 0), (999, 0), (50, 100), (7, 13), (10, 145), (1, 150)] {
        let page = Page { limit, skip };
        for text in [None, Some("SOMETHING".to_owned())] {
            let filter = FindingFilter {
                text,
                ..FindingFilter::default()
            };
            let found = store.findings(&filter, page).await.unwrap();
            let ids: Vec<String> = found
                .into_iter()
                .map(|record| record.finding.id.clone())
                .collect();
            let from = expected.iter().skip(skip as usize);
            let wanted: Vec<String> = from.take(limit as usize).cloned().collect();
            assert_eq!(ids, wanted, "{page:?}");
        }
    }
}

#[tokio::test]
async fn a_sweep_leaves_a_run_alone_for_longer_each_time() {
    let (store, _emulator) = fresh().await;
    store.create_run(&run("r", moment(0))).await.unwrap();
    let mut now = 100;
    for pause in [2, 4, 8, 16, 32, 64, 128, 256, 360, 360] {
        let taken = |second| {
            let store = &store;
            async move {
                let now = moment(second);
                store.take_due_runs(now, now, 9).await.unwrap()
            }
        };
        assert_eq!(taken(now).await, ["r"]);
        assert!(taken(now).await.is_empty());
        assert_eq!(
            store.next_due().await.unwrap(),
            Some(moment(now + pause * 60))
        );
        assert!(taken(now + pause * 60 - 1).await.is_empty());
        now += pause * 60;
    }
    // Held by a worker that dies of it, it is taken up after its lease and the pause.
    let lease = hold(&store, "r", now).await;
    assert_eq!(
        store.next_due().await.unwrap(),
        Some(moment(now + 60 + 360 * 60))
    );
    store.extend_lease(&lease, moment(now + 90)).await.unwrap();
    assert_eq!(
        store.next_due().await.unwrap(),
        Some(moment(now + 90 + 360 * 60))
    );
    // A run that goes its way starts over.
    let waiting = RunState::Waiting {
        until: moment(now + 500),
        reason: "pause".to_owned(),
    };
    store
        .settle(&lease, &waiting, moment(now + 70))
        .await
        .unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(moment(now + 500)));
    let then = moment(now + 500);
    assert_eq!(store.take_due_runs(then, then, 9).await.unwrap(), ["r"]);
    assert_eq!(
        store.next_due().await.unwrap(),
        Some(moment(now + 500 + 120))
    );
}

#[tokio::test]
async fn sweeps_at_the_same_time_share_the_runs() {
    let (store, _emulator) = fresh().await;
    for number in 0..20 {
        let run = run(&format!("{number:02}"), moment(number));
        store.create_run(&run).await.unwrap();
    }
    let now = moment(100);
    let mut sweeps = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let store = store.clone();
        sweeps.spawn(async move { store.take_due_runs(now, now, 99).await.unwrap() });
    }
    let mut taken = sweeps.join_all().await.concat();
    taken.sort();
    let all: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    assert_eq!(taken, all);
}

#[test]
fn the_template_and_the_page_define_the_same_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let definition = DynamoDb::definition("quench");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut lines = Vec::new();
    for attribute in definition["AttributeDefinitions"].as_array().unwrap() {
        let (name, kind) = (&attribute["AttributeName"], &attribute["AttributeType"]);
        lines.push(format!(
            "- {{ AttributeName: {}, AttributeType: {} }}",
            text(name),
            text(kind)
        ));
    }
    let keys = |schema: &Value| {
        let parts = schema.as_array().unwrap().iter();
        let parts = parts.map(|part| (text(&part["AttributeName"]), text(&part["KeyType"])));
        parts
            .map(|(name, kind)| format!("- {{ AttributeName: {name}, KeyType: {kind} }}"))
            .collect::<Vec<_>>()
    };
    lines.extend(keys(&definition["KeySchema"]));
    for index in definition["GlobalSecondaryIndexes"].as_array().unwrap() {
        lines.push(format!("- IndexName: {}", text(&index["IndexName"])));
        lines.extend(keys(&index["KeySchema"]));
        let projected = index["Projection"]["NonKeyAttributes"].as_array().unwrap();
        let projected: Vec<String> = projected.iter().map(text).collect();
        lines.push(format!("NonKeyAttributes: [{}]", projected.join(", ")));
    }
    lines.push("TimeToLiveSpecification: { AttributeName: expires, Enabled: true }".to_owned());
    for page in ["infra/hub.yaml", "docs/access-patterns.md"] {
        let page = std::fs::read_to_string(root.join(page)).unwrap();
        let found: Vec<&str> = page.lines().map(str::trim).collect();
        for line in &lines {
            assert!(found.contains(&line.as_str()), "{line}");
        }
        let attributes = found.iter().filter(|line| line.contains("AttributeType:"));
        assert_eq!(attributes.count(), 6);
    }
}
