use super::*;
use crate::app::App;
use crate::clock::Clock;
use crate::delivery::{self, Delivery};
use crate::engine::{Outcome, execute};
use crate::intake::intake;
use crate::specimen;

const RULES: &str = "\
playbook: tell
triggers: [alert]
steps:
  - id: mail
    email: { to: team@example.com, subject: \"{{ finding.title }}\", template: finding }
---
automation: brute-force
trigger: alert
when:
  - title: { contains: brute force }
run:
  - playbook: tell
";
const SAMPLE: &str = "../automations/samples/guardduty-ssh-brute-force.json";

fn sample(id: &str) -> Vec<u8> {
    let sample = std::fs::read_to_string(SAMPLE).unwrap();
    let mut sample: Value = serde_json::from_str(&sample).unwrap();
    sample["detail"]["id"] = id.into();
    sample["detail"]["arn"] = format!("arn:aws:guardduty:eu-west-1:111122223333:detector/12abc34d567e8fa901bc2d34e56789f0/finding/{id}").into();
    sample.to_string().into_bytes()
}

/// An application over a folder but for its store.
async fn app(folder: &Path, store: &Store) -> App {
    let clock = Clock::manual(moment(100));
    let mut app = specimen::app(folder, &clock).await;
    app.store = store.clone();
    specimen::apply(&app, RULES).await;
    app
}

fn assert_within(bill: &Bill, calls: &[&str], read: f64, written: f64) {
    assert_eq!(bill.calls, calls);
    assert!(bill.read <= read, "{bill:?}");
    assert!(bill.written <= written, "{bill:?}");
}

/// The figures are those of `docs/access-patterns.md`.
#[tokio::test]
async fn a_finding_and_a_run_cost_what_is_told() {
    let (store, _emulator) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path(), &store).await;
    app.catalog().await.unwrap();
    for number in 0..2 {
        let id = format!("{number}4b9f9c4a2b1d4c5e8f7a6b5c4d3e2f1");
        spent(&store);
        let taken = intake(&app, &sample(&id)).await.unwrap();
        let matched = spent(&store);
        assert_within(
            &matched,
            &["GetItem", "PutItem", "PutItem", "UpdateItem"],
            1.0,
            11.0,
        );
        let run = taken.findings[0].runs().next().unwrap().to_owned();
        let outcome = execute(&app, &run).await.unwrap();
        assert!(
            matches!(outcome, Outcome::Finished(RunState::Succeeded)),
            "{outcome:?}"
        );
        let ran = spent(&store);
        // The playbook's version is read once in the life of a process.
        let mut calls = vec!["UpdateItem"; 5];
        if number == 0 {
            calls.insert(1, "GetItem");
        }
        assert_within(&ran, &calls, 1.0, 25.0);
        intake(&app, &sample(&id)).await.unwrap();
        assert_within(&spent(&store), &["GetItem"], 1.0, 0.0);
    }
}

#[tokio::test]
async fn a_batch_of_findings_is_looked_up_at_once_and_costs_no_more() {
    let (store, _emulator) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path(), &store).await;
    app.catalog().await.unwrap();
    // One of them twice: whoever comes second reads what the first has stored.
    let batch = || -> Vec<Delivery> {
        let ids = (0..9).chain([0]).map(|number| format!("{number}4b9f9c4a"));
        ids.map(|id| Delivery {
            id: "m".to_owned(),
            body: sample(&id),
            sent: None,
            received: 1,
        })
        .collect()
    };
    spent(&store);
    assert_eq!(delivery::batch(&app, batch()).await, []);
    let bill = spent(&store);
    let count = |operation| bill.calls.iter().filter(|call| **call == operation).count();
    assert_eq!(bill.calls[0], "BatchGetItem");
    assert_eq!(count("UpdateItem"), 9, "{bill:?}");
    spent(&store);
    assert_eq!(delivery::batch(&app, batch()).await, []);
    // Nine of them, for who is asked for twice is read once.
    assert_within(&spent(&store), &["BatchGetItem"], 9.0, 0.0);
}

#[tokio::test]
async fn a_finding_that_nothing_matches_costs_what_is_told() {
    let (store, _emulator) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path(), &store).await;
    app.catalog().await.unwrap();
    spent(&store);
    intake(&app, &specimen::event("bucket", false, 1))
        .await
        .unwrap();
    assert_within(&spent(&store), &["GetItem", "PutItem"], 1.0, 2.0);
}

#[tokio::test]
async fn what_is_in_force_is_read_in_two_calls_and_its_revision_in_one() {
    let (store, _emulator) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    app(folder.path(), &store).await;
    spent(&store);
    store.inventory().await.unwrap();
    assert_within(&spent(&store), &["GetItem", "BatchGetItem"], 2.0, 0.0);
    store.revision().await.unwrap();
    assert_within(&spent(&store), &["GetItem"], 1.0, 0.0);
}

#[tokio::test]
async fn a_finding_and_its_run_take_as_much_room_as_is_told() {
    let (store, _emulator) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path(), &store).await;
    let before = everything(&store).await.len();
    let taken = intake(&app, &sample("4b9f9c4a2b1d4c5e8f7a6b5c4d3e2f1")).await;
    let run = taken.unwrap().findings[0].runs().next().unwrap().to_owned();
    execute(&app, &run).await.unwrap();
    let items = everything(&store).await;
    assert_eq!(items.len(), before + 2);
    let bytes: usize = items
        .iter()
        .filter(|item| item.contains_key("listed_in"))
        .map(call::size)
        .sum();
    assert!((4_000..9_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn asking_two_people_and_hearing_one_costs_what_is_told() {
    use crate::approval::{Choice, scene::question};
    use crate::store::{Deciding, Token};
    let (store, _emulator) = fresh().await;
    let question = question();
    spent(&store);
    assert!(store.put_approval(&question).await.unwrap());
    assert_within(&spent(&store), &["PutItem"], 0.0, 4.0);
    let tokens: Vec<Token> = question
        .asked
        .iter()
        .map(|asked| Token {
            to: asked.to.clone(),
            hash: "0123456789abcdef".repeat(4),
        })
        .collect();
    assert!(store.add_tokens(&question.id, &tokens).await.unwrap());
    let calls = ["GetItem", "PutItem", "PutItem", "GetItem", "UpdateItem"];
    assert_within(&spent(&store), &calls, 2.0, 4.0);
    for asked in &question.asked {
        let told = store.note_told(&question.id, &asked.to, moment(101));
        told.await.unwrap();
        assert_within(&spent(&store), &["GetItem", "UpdateItem"], 1.0, 2.0);
    }
    let hash = "0123456789abcdef".repeat(4);
    assert!(store.approval_of_token(&hash).await.unwrap().is_some());
    assert_within(&spent(&store), &["GetItem", "GetItem"], 2.0, 0.0);
    let (id, plan) = (&question.id, &question.plan_hash);
    let decided = store.decide_approval(id, plan, Choice::Deny, "anna", None, moment(102));
    assert!(matches!(decided.await.unwrap(), Deciding::Decided(_)));
    assert_within(&spent(&store), &["UpdateItem"], 0.0, 5.0);
    store.note_heard(id).await.unwrap();
    assert_within(&spent(&store), &["UpdateItem"], 0.0, 3.0);
    assert_eq!(store.unheard_approvals(moment(999), 9).await.unwrap(), []);
    assert_within(&spent(&store), &["Query"; 8], 4.0, 0.0);
}

#[tokio::test]
async fn waking_a_run_and_taking_a_place_cost_what_is_told() {
    let (store, _emulator) = fresh().await;
    store.create_run(&run("r", moment(0))).await.unwrap();
    let lease = hold(&store, "r", 1).await;
    let state = RunState::Waiting {
        until: moment(900),
        reason: "people are asked".to_owned(),
    };
    store.settle(&lease, &state, moment(2)).await.unwrap();
    spent(&store);
    assert!(store.wake_run("r", moment(3)).await.unwrap());
    assert_within(&spent(&store), &["GetItem", "UpdateItem"], 1.0, 5.0);
    for number in 0..20 {
        let key = format!("run {number}");
        store.reserve("a", &key, 20, moment(5)).await.unwrap();
        assert_within(&spent(&store), &["GetItem", "UpdateItem"], 1.0, 1.0);
    }
    store.reserve("a", "one more", 20, moment(6)).await.unwrap();
    assert_within(&spent(&store), &["GetItem"], 1.0, 0.0);
}
