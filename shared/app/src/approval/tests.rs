use super::scene::{HASH, MINUTE, Scene, mails, question, scene, token};
use super::*;
use crate::app::App;
use crate::clock::Clock;
use crate::run::RunState;
use crate::schedule::tick;
use crate::specimen::{self, moment};
use crate::store::{Claim, RunStage};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

#[tokio::test]
async fn whoever_dies_between_deciding_and_waking_is_made_up_for_by_the_sweep() {
    let scene = scene(|_| {}).await;
    let (app, id) = (&scene.app, &scene.approval.id);
    let decided = app
        .store
        .decide_approval(id, HASH, Choice::Approve, "anna", None, moment(100))
        .await;
    assert!(decided.is_ok());
    assert_eq!(
        tick(app, MINUTE).await.unwrap().unheard,
        0,
        "whoever decided may be at it"
    );
    assert_eq!(app.store.due_runs(moment(200), 9).await.unwrap(), [""; 0]);
    app.clock.advance(MINUTE);
    assert_eq!(tick(app, MINUTE).await.unwrap().unheard, 1);
    assert_eq!(
        app.store.due_runs(app.clock.now(), 9).await.unwrap(),
        ["00ff"]
    );
    assert_eq!(scene.queued().await, 1);
    assert_eq!(tick(app, MINUTE).await.unwrap().unheard, 0);
}

#[tokio::test]
async fn a_question_whose_run_is_over_can_be_decided_and_starts_nothing() {
    let scene = scene(|_| {}).await;
    let store = &scene.app.store;
    store.wake_run("00ff", moment(100)).await.unwrap();
    let claim = store.claim_run("00ff", "two", moment(100), MINUTE).await;
    let Ok(Claim::Held { lease, .. }) = claim else {
        panic!("{claim:?}");
    };
    store
        .settle(&lease, &RunState::Succeeded, moment(101))
        .await
        .unwrap();
    assert_eq!(scene.post(&scene.anna, "approve").await.status, 200);
    let run = store.run("00ff").await.unwrap().unwrap();
    assert_eq!(RunStage::of(&run.state), RunStage::Succeeded);
    assert_eq!(scene.queued().await, 0);
}

#[tokio::test]
async fn asking_again_tells_nobody_twice_and_both_links_of_one_person_lead_there() {
    let scene = scene(|_| {}).await;
    let outbox = scene.folder.path().join("outbox");
    let outside = scene.app.outside().await.unwrap();
    let ask_again = async || ask(&scene.app, &outside, &scene.approval, false, MINUTE).await;
    assert_eq!(ask_again().await.unwrap(), []);
    assert_eq!(mails(&outbox).len(), 2);
    let kept = scene
        .app
        .store
        .approval(&scene.approval.id)
        .await
        .unwrap()
        .unwrap();
    let tokens: Vec<usize> = kept.asked.iter().map(|asked| asked.tokens.len()).collect();
    assert_eq!(tokens, [1, 1]);

    // One whose mail left, but who died before that was noted, is told again.
    let half = Approval {
        id: "ff".repeat(16),
        ..scene.approval.clone()
    };
    scene.app.store.put_approval(&half).await.unwrap();
    ask(&scene.app, &outside, &half, false, MINUTE)
        .await
        .unwrap();
    let first = mails(&outbox).len();
    assert_eq!(first, 4);
    let text = mails(&outbox).concat();
    let links: BTreeSet<&str> = text
        .split("https://quench.example.com/approvals/")
        .skip(1)
        .map(|after| &after[..43])
        .collect();
    assert_eq!(links.len(), 4, "each person has a link of his own");
    for link in links {
        assert_eq!(scene.page(link).await.status, 200);
    }
}

#[tokio::test]
async fn nobody_is_told_of_what_would_be_answered_too_late() {
    let scene = scene(|_| {}).await;
    let outbox = scene.folder.path().join("outbox");
    let outside = scene.app.outside().await.unwrap();
    let before = mails(&outbox).len();
    let late = Approval {
        id: "1a7e".to_owned(),
        asked: vec![Asked::new("anna@example.com".to_owned())],
        ..scene.approval.clone()
    };
    // Kept by an attempt whose mail did not leave.
    assert!(scene.app.store.put_approval(&late).await.unwrap());
    let waited = crate::clock::until(scene.app.clock.now(), late.expires);
    scene.app.clock.advance(waited);
    let asked = ask(&scene.app, &outside, &late, false, MINUTE).await;
    let until = late.expires;
    assert_eq!(asked, Err(AskError::Late { until }));
    assert!(!AskError::Late { until }.is_transient());
    assert_eq!(mails(&outbox).len(), before);
    let kept = scene.app.store.approval(&late.id).await.unwrap().unwrap();
    assert_eq!(kept.state, ApprovalState::Expired { at: until });
}

#[tokio::test]
async fn nobody_is_told_of_what_was_decided_meanwhile() {
    let scene = scene(|_| {}).await;
    let outside = scene.app.outside().await.unwrap();
    let mut late = Approval {
        id: "ee".repeat(16),
        ..scene.approval.clone()
    };
    late.asked = vec![Asked::new("late@example.com")];
    scene.app.store.put_approval(&late).await.unwrap();
    let now = moment(100);
    let decided = scene
        .app
        .store
        .decide_approval(&late.id, HASH, Choice::Deny, "x", None, now);
    decided.await.unwrap();
    assert_eq!(
        ask(&scene.app, &outside, &late, false, MINUTE)
            .await
            .unwrap(),
        []
    );
    assert!(
        !mails(&scene.folder.path().join("outbox"))
            .concat()
            .contains("late@example.com")
    );
}

#[tokio::test]
async fn addresses_of_the_finding_are_told_only_in_allowed_domains() {
    let scene = scene(|_| {}).await;
    let outside = scene.app.outside().await.unwrap();
    let other = Approval {
        id: "dd".repeat(16),
        ..scene.approval.clone()
    };
    let refused = ask(&scene.app, &outside, &other, true, MINUTE)
        .await
        .unwrap_err();
    assert!(!refused.is_transient());
    assert!(
        refused
            .to_string()
            .contains("anna@example.com cannot be asked"),
        "{refused}"
    );
}

#[tokio::test]
async fn without_an_address_of_its_own_the_mail_names_the_command_and_makes_no_link() {
    let folder = TempDir::new().unwrap();
    let app = specimen::app(folder.path(), &Clock::manual(moment(100))).await;
    let outside = app.outside().await.unwrap();
    ask(&app, &outside, &question(), false, MINUTE)
        .await
        .unwrap();
    let mails = mails(&folder.path().join("outbox"));
    assert_eq!(mails.len(), 2);
    for mail in mails {
        assert!(mail.contains("quench approvals approve 0a1b2c3d"), "{mail}");
        assert!(
            !mail.contains("/approvals/0") && !mail.contains("https://"),
            "{mail}"
        );
    }
    let kept = app.store.approval(&question().id).await.unwrap().unwrap();
    assert!(
        kept.asked
            .iter()
            .all(|asked| asked.tokens.is_empty() && asked.told.is_some())
    );
}

/// Writes down all that is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn add(&self, values: impl FnOnce(&mut dyn tracing::field::Visit)) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{}={value:?} ", field.name()));
            }
        }
        let mut line = Line(String::new());
        values(&mut line);
        self.0.lock().unwrap().push_str(&line.0);
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.add(|visit| span.record(visit));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        self.add(|visit| values.record(visit));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.add(|visit| event.record(visit));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn tokens_are_in_the_mail_and_nowhere_else() {
    let log = Log::default();
    // Beside another one, ours is asked about places in the code that other threads came to first.
    let _other = tracing::Dispatch::new(Log::default());
    let _guard = tracing::subscriber::set_default(log.clone());
    let scene = scene(|_| {}).await;
    let shown = scene.json(&scene.anna).await.to_string();
    scene.page(&scene.bert).await;
    let told = scene.post(&scene.bert, "deny").await.text();
    let refused = scene.post(&scene.anna, "approve").await.text();
    tick(&scene.app, MINUTE).await.unwrap();
    let stored = scene
        .app
        .store
        .approval(&scene.approval.id)
        .await
        .unwrap()
        .unwrap();
    let journal = scene.app.store.journal("00ff").await.unwrap();
    let logged = log.0.lock().unwrap().clone();
    assert!(logged.contains("an approval was looked at"), "{logged}");
    assert!(logged.contains("an approval was decided"), "{logged}");
    let mut places = vec![
        shown,
        told,
        refused,
        logged,
        json!(stored).to_string(),
        public(&stored).to_string(),
        format!("{stored:?} {journal:?}"),
    ];
    let mut files = 0;
    for file in std::fs::read_dir(scene.folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            files += 1;
            places.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    assert!(files >= 2, "the database and its log");
    assert!(
        places.concat().contains("revoke-open-ingress"),
        "it is looked for where it would be"
    );
    for token in [&scene.anna, &scene.bert] {
        for place in &places {
            assert!(!place.contains(token.as_str()), "{place}");
            // Nor is a part of it, nor its digest where people read.
            assert!(!place.contains(&token[..12]), "{place}");
        }
        for place in &places[..4] {
            assert!(!place.contains(&ask::hash(token)), "{place}");
        }
    }
}

/// An application that finds what one left behind that died.
async fn revived(folder: &TempDir, clock: &Clock) -> App {
    let config = crate::config::Config {
        url: Some("https://quench.example.com".parse().unwrap()),
        ..specimen::config(folder.path())
    };
    App::open_at(config, clock.clone()).await.unwrap()
}

#[tokio::test]
async fn whoever_dies_while_asking_leaves_nobody_out_and_no_link_that_leads_nowhere() {
    for after in [false, true] {
        for write in 1..=5 {
            let folder = TempDir::new().unwrap();
            let clock = Clock::manual(moment(100));
            let app = revived(&folder, &clock).await;
            let outside = app.outside().await.unwrap();
            let crash = app.store.sqlite().crash();
            match after {
                true => crash.arm_after(write),
                false => crash.arm_before(write),
            }
            let approval = question();
            let died = ask(&app, &outside, &approval, false, MINUTE).await;
            // One question, its tokens, and each of two people told: four writes, of which the last may be the one.
            assert_eq!(died.is_err(), write <= 4, "{write} {died:?}");
            drop(app);

            let app = revived(&folder, &clock).await;
            let outside = app.outside().await.unwrap();
            assert_eq!(
                ask(&app, &outside, &approval, false, MINUTE).await.unwrap(),
                []
            );
            let outbox = folder.path().join("outbox");
            assert_eq!(mails(&outbox).len(), 2, "{write}");
            for to in ["anna@example.com", "bert@example.com"] {
                let (found, of) = show(&app, &token(&outbox, to)).await.unwrap();
                assert_eq!((found.id, of.as_str()), (approval.id.clone(), to));
            }
            let kept = app.store.approval(&approval.id).await.unwrap().unwrap();
            assert!(kept.asked.iter().all(|asked| asked.told.is_some()));
        }
    }
}

#[tokio::test]
async fn whoever_dies_while_deciding_has_decided_or_not_and_the_run_goes_on_if_so() {
    for after in [false, true] {
        for write in 1..=4 {
            let Scene {
                folder,
                app,
                approval,
                anna,
                ..
            } = scene(|_| {}).await;
            let crash = app.store.sqlite().crash();
            match after {
                true => crash.arm_after(write),
                false => crash.arm_before(write),
            }
            let decision = Decision {
                choice: Choice::Approve,
                plan_hash: HASH,
                reason: None,
            };
            let told = decide(&app, Proof::Link { token: &anna }, decision).await;
            // Whoever is told that it failed may have decided; whoever is told of a decision has.
            assert_eq!(told.is_err(), write == 1, "{write} {told:?}");
            let clock = app.clock.clone();
            drop(app);

            let app = revived(&folder, &clock).await;
            let stands = app
                .store
                .approval(&approval.id)
                .await
                .unwrap()
                .unwrap()
                .state;
            let decided = ApprovalStage::of(&stands) == ApprovalStage::Approved;
            assert_eq!(decided, after || write > 1, "{write}");
            clock.advance(MINUTE);
            tick(&app, MINUTE).await.unwrap();
            let due = app.store.due_runs(clock.now(), 9).await.unwrap();
            assert_eq!(due == ["00ff"], decided, "{write} {due:?}");
            let waiting = app
                .queues
                .depth(crate::queue::Queue::Runs, clock.now())
                .await;
            assert_eq!(waiting.unwrap().ready, u64::from(decided), "{write}");
        }
    }
}
