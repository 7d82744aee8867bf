use super::MINUTE;
use crate::approval::{About, Approval, ApprovalStage, ApprovalState, Asked, Choice, Proposal};
use crate::run::RunState;
use crate::specimen::{finding, moment, noise, run};
use crate::store::{ApprovalFilter, Claim, Deciding, Page, Reservation, Store, Token};
use quench_actions::remediate::Risk;
use serde_json::json;

/// A question asked at this second that expires at the second 1000.
fn question(id: &str, second: i64) -> Approval {
    Approval {
        id: id.to_owned(),
        run: "r".to_owned(),
        path: "close".to_owned(),
        plan_hash: "ab12".to_owned(),
        risk: Some(Risk::Medium),
        title: "Close open ports".to_owned(),
        what: Proposal::Content(json!({"ports": [22]})),
        message: None,
        finding: About::from(&finding("f")),
        playbook: "mend".to_owned(),
        automation: None,
        asked: vec![
            Asked::new("anna@example.com"),
            Asked::new("bert@example.com"),
        ],
        requester: None,
        created: moment(second),
        expires: moment(1000),
        state: ApprovalState::Pending,
    }
}

fn token(to: &str, hash: &str) -> Token {
    Token {
        to: format!("{to}@example.com"),
        hash: hash.to_owned(),
    }
}

fn approved(by: &str, second: i64) -> ApprovalState {
    ApprovalState::Approved {
        by: by.to_owned(),
        at: moment(second),
        reason: None,
    }
}

async fn decide(store: &Store, id: &str, choice: Choice, by: &str, second: i64) -> Deciding {
    store
        .decide_approval(id, "ab12", choice, by, None, moment(second))
        .await
        .unwrap()
}

pub(crate) async fn a_question_is_put_once_and_found_by_the_tokens_that_were_made_for_it(
    store: &Store,
) {
    let first = question("ab01", 1);
    assert!(store.put_approval(&first).await.unwrap());
    let mut other = question("ab01", 2);
    other.title = "Something else".to_owned();
    assert!(!store.put_approval(&other).await.unwrap());
    assert_eq!(store.approval("ab01").await.unwrap().unwrap(), first);
    assert_eq!(store.approval("ab02").await.unwrap(), None);
    assert_eq!(store.approval("").await.unwrap(), None);

    assert_eq!(store.approval_of_token("one").await.unwrap(), None);
    let tokens = [token("anna", "one"), token("bert", "two")];
    assert!(store.add_tokens("ab01", &tokens).await.unwrap());
    assert!(
        store
            .add_tokens("ab01", &[token("anna", "three")])
            .await
            .unwrap()
    );
    assert!(!store.add_tokens("none", &tokens).await.unwrap());
    store
        .note_told("ab01", "anna@example.com", moment(3))
        .await
        .unwrap();
    store
        .note_told("ab01", "anna@example.com", moment(4))
        .await
        .unwrap();
    store
        .note_told("none", "anna@example.com", moment(4))
        .await
        .unwrap();
    for hash in ["one", "two", "three"] {
        let found = store.approval_of_token(hash).await.unwrap().unwrap();
        assert_eq!(found.id, "ab01");
        assert_eq!(found.asked[0].tokens, ["one", "three"]);
        assert_eq!(found.asked[1].tokens, ["two"]);
        let told = found.asked.iter().map(|asked| asked.told);
        assert_eq!(told.collect::<Vec<_>>(), [Some(moment(3)), None]);
    }
    assert_eq!(store.approval_of_token("four").await.unwrap(), None);
    assert_eq!(store.approval_of_token("").await.unwrap(), None);

    // Once it is decided nobody else is told of it, and those who were find it as it is.
    decide(store, "ab01", Choice::Deny, "bert@example.com", 5).await;
    assert!(
        !store
            .add_tokens("ab01", &[token("bert", "five")])
            .await
            .unwrap()
    );
    assert_eq!(store.approval_of_token("five").await.unwrap(), None);
    let found = store.approval_of_token("one").await.unwrap().unwrap();
    assert_eq!(ApprovalStage::of(&found.state), ApprovalStage::Denied);
}

pub(crate) async fn a_question_is_decided_once_in_time_and_about_what_was_asked(store: &Store) {
    for id in ["ab01", "ab02", "ab03"] {
        store.put_approval(&question(id, 1)).await.unwrap();
    }
    let other = store
        .decide_approval("ab01", "cd34", Choice::Approve, "anna", None, moment(2))
        .await;
    assert_eq!(other.unwrap(), Deciding::OtherPlan);
    assert_eq!(
        decide(store, "none", Choice::Approve, "anna", 2).await,
        Deciding::Missing
    );
    let decided = store
        .decide_approval(
            "ab01",
            "ab12",
            Choice::Deny,
            "anna",
            Some("not today"),
            moment(999),
        )
        .await
        .unwrap();
    let state = ApprovalState::Denied {
        by: "anna".to_owned(),
        at: moment(999),
        reason: Some("not today".to_owned()),
    };
    let Deciding::Decided(approval) = decided else {
        panic!("{decided:?}");
    };
    assert_eq!(approval.state, state);
    assert_eq!(store.approval("ab01").await.unwrap().unwrap(), *approval);
    for second in [999, 2000] {
        assert_eq!(
            decide(store, "ab01", Choice::Approve, "bert", second).await,
            Deciding::Already(state.clone())
        );
    }
    // The last moment is too late already, whether anybody noted that it expired or not.
    let expired = Deciding::Expired { at: moment(1000) };
    assert_eq!(
        decide(store, "ab02", Choice::Approve, "anna", 1000).await,
        expired
    );
    let before = store
        .expire_approval("ab02", moment(999))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(before.state, ApprovalState::Pending);
    let gone = ApprovalState::Expired { at: moment(1000) };
    for second in [1000, 3000] {
        let after = store.expire_approval("ab02", moment(second)).await.unwrap();
        assert_eq!(after.unwrap().state, gone);
    }
    assert_eq!(
        decide(store, "ab02", Choice::Approve, "anna", 999).await,
        expired
    );
    // What was denied neither expires nor is it superseded.
    let kept = store
        .expire_approval("ab01", moment(3000))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.state, state);
    let kept = store
        .supersede_approval("ab01", moment(3000))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.state, state);
    // What was agreed to may yet be overtaken before it is done.
    let agreed = decide(store, "ab03", Choice::Approve, "anna", 4).await;
    assert!(matches!(agreed, Deciding::Decided(_)), "{agreed:?}");
    let superseded = ApprovalState::Superseded { at: moment(5) };
    let told = store
        .supersede_approval("ab03", moment(5))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(told.state, superseded);
    assert_eq!(
        decide(store, "ab03", Choice::Approve, "anna", 6).await,
        Deciding::Already(superseded)
    );
    assert_eq!(
        store.expire_approval("none", moment(5)).await.unwrap(),
        None
    );
    assert_eq!(
        store.supersede_approval("none", moment(5)).await.unwrap(),
        None
    );
}

pub(crate) async fn one_of_many_deciders_wins_and_the_others_are_told_who(store: &Store) {
    for round in 0..3 {
        let id = format!("ab0{round}");
        store.put_approval(&question(&id, 1)).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..16 {
            let (store, id) = (store.clone(), id.clone());
            tasks.spawn(async move {
                let choice = if number % 2 == 0 {
                    Choice::Approve
                } else {
                    Choice::Deny
                };
                let by = format!("person {number}");
                (
                    choice,
                    by.clone(),
                    decide(&store, &id, choice, &by, 2).await,
                )
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) = tasks
            .join_all()
            .await
            .into_iter()
            .partition(|(_, _, told)| matches!(told, Deciding::Decided(_)));
        assert_eq!(won.len(), 1);
        let (choice, by, _) = &won[0];
        let state = choice.state(by, None, moment(2));
        assert_eq!(store.approval(&id).await.unwrap().unwrap().state, state);
        for (_, _, told) in lost {
            assert_eq!(told, Deciding::Already(state.clone()));
        }
    }
}

pub(crate) async fn questions_are_listed_by_filter_and_page(store: &Store) {
    for (number, (playbook, about)) in [("p", "a"), ("q", "a"), ("p", "b")].into_iter().enumerate()
    {
        let mut question = question(&format!("ab0{number}"), i64::try_from(number).unwrap());
        question.playbook = playbook.to_owned();
        question.finding = About::from(&finding(about));
        store.put_approval(&question).await.unwrap();
    }
    decide(store, "ab01", Choice::Approve, "anna", 5).await;
    let text = |text: &str| Some(text.to_owned());
    let any = ApprovalFilter::default;
    let all = Page::default();
    for (filter, page, expected) in [
        (any(), all, &["ab02", "ab01", "ab00"][..]),
        (any(), Page { limit: 1, skip: 1 }, &["ab01"]),
        (
            ApprovalFilter {
                playbook: text("p"),
                ..any()
            },
            all,
            &["ab02", "ab00"],
        ),
        (
            ApprovalFilter {
                finding: text("a"),
                ..any()
            },
            all,
            &["ab01", "ab00"],
        ),
        (
            ApprovalFilter {
                stage: Some(ApprovalStage::Pending),
                ..any()
            },
            all,
            &["ab02", "ab00"],
        ),
        (
            ApprovalFilter {
                stage: Some(ApprovalStage::Approved),
                finding: text("a"),
                ..any()
            },
            all,
            &["ab01"],
        ),
        (
            ApprovalFilter {
                stage: Some(ApprovalStage::Expired),
                ..any()
            },
            all,
            &[],
        ),
    ] {
        let found = store.approvals(&filter, page).await.unwrap();
        let ids: Vec<_> = found.iter().map(|approval| approval.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
    for (prefix, limit, expected) in [
        ("ab0", 9, &["ab00", "ab01", "ab02"][..]),
        ("AB01", 9, &["ab01"]),
        ("a", 2, &["ab00", "ab01"]),
        ("", 9, &[]),
        ("%", 9, &[]),
    ] {
        let found = store.approvals_by_prefix(prefix, limit).await.unwrap();
        let ids: Vec<_> = found.iter().map(|approval| approval.id.as_str()).collect();
        assert_eq!(ids, expected, "{prefix}");
    }
}

pub(crate) async fn a_decision_is_unheard_until_the_run_has_heard_of_it(store: &Store) {
    for id in ["ab01", "ab02", "ab03"] {
        store.put_approval(&question(id, 1)).await.unwrap();
    }
    let unheard = async |second, limit| {
        let found = store
            .unheard_approvals(moment(second), limit)
            .await
            .unwrap();
        found
            .into_iter()
            .map(|approval| approval.id)
            .collect::<Vec<_>>()
    };
    assert!(unheard(5000, 9).await.is_empty());
    decide(store, "ab02", Choice::Approve, "anna", 5).await;
    decide(store, "ab01", Choice::Deny, "anna", 7).await;
    // What is refused leaves no mark.
    decide(store, "ab01", Choice::Approve, "bert", 8).await;
    store.expire_approval("ab03", moment(1000)).await.unwrap();
    assert_eq!(unheard(4, 9).await, [""; 0]);
    assert_eq!(unheard(5, 9).await, ["ab02"]);
    assert_eq!(unheard(9, 9).await, ["ab02", "ab01"]);
    assert_eq!(unheard(9, 1).await, ["ab02"]);
    store.note_heard("ab02").await.unwrap();
    store.note_heard("ab02").await.unwrap();
    store.note_heard("none").await.unwrap();
    assert_eq!(unheard(9, 9).await, ["ab01"]);
    assert_eq!(store.approval("none").await.unwrap(), None);
    let kept = store.approval("ab02").await.unwrap().unwrap();
    assert_eq!(kept.state, approved("anna", 5));
}

pub(crate) async fn a_large_question_is_like_any_other(store: &Store) {
    let mut large = question("ab01", 1);
    large.what = Proposal::Content(noise(1 << 20).into());
    large.asked = (0..50)
        .map(|number| Asked::new(format!("person-{number}@example.com")))
        .collect();
    assert!(store.put_approval(&large).await.unwrap());
    assert!(!store.put_approval(&large).await.unwrap());
    let hashes: Vec<Token> = (0..50)
        .map(|number| token(&format!("person-{number}"), &format!("hash-{number}")))
        .collect();
    assert!(store.add_tokens("ab01", &hashes).await.unwrap());
    let found = store.approval_of_token("hash-49").await.unwrap().unwrap();
    assert_eq!(found.what, large.what);
    assert!(matches!(
        decide(store, "ab01", Choice::Approve, "anna", 5).await,
        Deciding::Decided(decided) if decided.what == large.what
    ));
    let listed = store
        .approvals(&ApprovalFilter::default(), Page::default())
        .await
        .unwrap();
    assert_eq!((listed.len(), &listed[0].what), (1, &large.what));
}

async fn waiting(store: &Store, id: &str, until: i64) {
    let claim = store.claim_run(id, "one", moment(2), MINUTE).await.unwrap();
    let Claim::Held { lease, .. } = claim else {
        panic!("{claim:?}");
    };
    let state = RunState::Waiting {
        until: moment(until),
        reason: "people are asked".to_owned(),
    };
    store.settle(&lease, &state, moment(3)).await.unwrap();
}

pub(crate) async fn a_waiting_run_is_woken_and_a_finished_one_is_not(store: &Store) {
    for id in ["aa", "bb", "cc"] {
        store.create_run(&run(id, moment(1))).await.unwrap();
    }
    waiting(store, "aa", 900).await;
    assert_eq!(store.due_runs(moment(9), 9).await.unwrap(), ["bb", "cc"]);
    assert!(store.wake_run("aa", moment(10)).await.unwrap());
    assert_eq!(
        store.due_runs(moment(10), 9).await.unwrap(),
        ["bb", "cc", "aa"]
    );
    let state = RunState::Waiting {
        until: moment(10),
        reason: "people are asked".to_owned(),
    };
    assert_eq!(store.run("aa").await.unwrap().unwrap().state, state);
    let claim = store
        .claim_run("aa", "two", moment(10), MINUTE)
        .await
        .unwrap();
    let Claim::Held { lease, .. } = claim else {
        panic!("{claim:?}");
    };
    store
        .settle(&lease, &RunState::Succeeded, moment(11))
        .await
        .unwrap();
    let before = store.run("aa").await.unwrap();
    assert!(!store.wake_run("aa", moment(12)).await.unwrap());
    assert_eq!(store.run("aa").await.unwrap(), before);
    assert_eq!(store.due_runs(moment(999), 9).await.unwrap(), ["bb", "cc"]);
    // One that is queued is due already.
    assert!(store.wake_run("bb", moment(12)).await.unwrap());
    assert_eq!(
        store.run("bb").await.unwrap().unwrap(),
        run("bb", moment(1))
    );
    assert!(!store.wake_run("none", moment(12)).await.unwrap());
    assert!(!store.wake_run("", moment(12)).await.unwrap());
}

pub(crate) async fn a_run_that_is_woken_while_it_is_held_does_not_wait(store: &Store) {
    store.create_run(&run("aa", moment(1))).await.unwrap();
    let hold = async |second| {
        let claim = store.claim_run("aa", "one", moment(second), MINUTE).await;
        match claim.unwrap() {
            Claim::Held { lease, .. } => lease,
            other => panic!("{other:?}"),
        }
    };
    let wait = RunState::Waiting {
        until: moment(900),
        reason: "people are asked".to_owned(),
    };
    let lease = hold(2).await;
    assert!(store.wake_run("aa", moment(3)).await.unwrap());
    assert!(store.wake_run("aa", moment(3)).await.unwrap());
    store.settle(&lease, &wait, moment(5)).await.unwrap();
    assert_eq!(store.due_runs(moment(5), 9).await.unwrap(), ["aa"]);
    // Whoever takes it up hears of all that was before: after that it waits again.
    let lease = hold(5).await;
    store.settle(&lease, &wait, moment(6)).await.unwrap();
    assert!(store.due_runs(moment(899), 9).await.unwrap().is_empty());
    assert_eq!(store.next_due().await.unwrap(), Some(moment(900)));
}

pub(crate) async fn no_more_places_are_had_within_an_hour_than_there_are(store: &Store) {
    for (limit, automation) in [(5, "one"), (1, "two")] {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..16 {
            let store = store.clone();
            tasks.spawn(async move {
                let key = format!("run {number}");
                let told = store
                    .reserve(automation, &key, limit, moment(100))
                    .await
                    .unwrap();
                (key, told)
            });
        }
        let told = tasks.join_all().await;
        let until = moment(100) + 60 * MINUTE;
        let reserved = told
            .iter()
            .filter(|(_, told)| *told == Reservation::Reserved);
        let reserved: Vec<&String> = reserved.map(|(key, _)| key).collect();
        assert_eq!(reserved.len(), limit as usize);
        for (key, told) in &told {
            let again = store
                .reserve(automation, key, limit, moment(200))
                .await
                .unwrap();
            assert_eq!(again, *told, "{key}");
            if !reserved.contains(&key) {
                assert_eq!(*told, Reservation::Full { until });
            }
        }
    }
}

pub(crate) async fn a_place_is_free_again_after_an_hour(store: &Store) {
    let reserve = async |key: &str, limit, second| {
        store
            .reserve("a", key, limit, moment(second))
            .await
            .unwrap()
    };
    let full = |second| Reservation::Full {
        until: moment(second),
    };
    assert_eq!(reserve("one", 2, 0).await, Reservation::Reserved);
    assert_eq!(reserve("two", 2, 600).await, Reservation::Reserved);
    assert_eq!(reserve("three", 2, 700).await, full(3600));
    assert_eq!(reserve("one", 2, 700).await, Reservation::Reserved);
    assert_eq!(reserve("three", 2, 3599).await, full(3600));
    // A limit that was lowered holds for those who come after.
    assert_eq!(reserve("three", 1, 3599).await, full(4200));
    assert_eq!(reserve("three", 0, 3599).await, full(7199));
    assert_eq!(reserve("three", 2, 3600).await, Reservation::Reserved);
    assert_eq!(reserve("four", 2, 3600).await, full(4200));
    // Those of others are no concern of it.
    let other = store.reserve("b", "four", 1, moment(3600)).await.unwrap();
    assert_eq!(other, Reservation::Reserved);
    // Whoever had a place long ago asks like anybody else.
    assert_eq!(reserve("one", 2, 3600).await, full(4200));
    assert_eq!(reserve("one", 2, 4200).await, Reservation::Reserved);
}

pub(crate) async fn old_questions_expire(store: &Store) {
    let mut unheard = question("ab02", 1);
    unheard.expires = moment(20);
    let mut new = question("ab03", 1);
    new.expires = moment(100);
    let old = Approval {
        id: "ab01".to_owned(),
        ..unheard.clone()
    };
    for question in [&old, &unheard, &new] {
        store.put_approval(question).await.unwrap();
        let hash = token("anna", &question.id);
        store.add_tokens(&question.id, &[hash]).await.unwrap();
    }
    decide(store, "ab02", Choice::Approve, "anna", 5).await;
    let expired = store.expire(moment(50), 10).await.unwrap();
    assert_eq!((expired.approvals, expired.runs), (1, 0));
    assert_eq!(store.approval("ab01").await.unwrap(), None);
    assert_eq!(store.approval_of_token("ab01").await.unwrap(), None);
    for id in ["ab02", "ab03"] {
        assert!(store.approval_of_token(id).await.unwrap().is_some(), "{id}");
    }
    store.note_heard("ab02").await.unwrap();
    assert_eq!(store.expire(moment(50), 10).await.unwrap().approvals, 1);
}
