use super::*;
use crate::run::{Entry, Event};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json};
use axum::routing::post;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A store whose table answers so to everything.
async fn answering(status: u16, code: &'static str) -> Store {
    let answer = move || async move {
        let body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}")});
        (StatusCode::from_u16(status).unwrap(), Json(body))
    };
    let aws = lossy::behind(Router::new().route("/", post(answer))).await;
    let limits = quench_actions::aws::Limits {
        attempts: 1,
        ..aws.limits()
    };
    Store::on_aws(aws.with_limits(limits), "quench", RETENTION)
}

#[tokio::test]
async fn what_passes_is_transient_and_what_stays_says_what_to_check() {
    for (status, code, transient, what) in [
        (
            400,
            "ProvisionedThroughputExceededException",
            true,
            "has too much to do",
        ),
        (400, "ThrottlingException", true, "has too much to do"),
        (500, "InternalServerError", true, "cannot be used now"),
        (
            400,
            "TransactionConflictException",
            true,
            "cannot be used now",
        ),
        (
            400,
            "ResourceNotFoundException",
            false,
            "check `QUENCH_TABLE`",
        ),
        (400, "AccessDeniedException", false, "check the role"),
        (400, "ValidationException", false, "failed"),
    ] {
        let store = answering(status, code).await;
        for told in [
            store.finding("f").await.unwrap_err(),
            store
                .put_finding(&record("f", moment(1)))
                .await
                .unwrap_err(),
            store.pending_findings(moment(1), 9).await.unwrap_err(),
            store.inventory().await.unwrap_err(),
            store
                .claim_run("r", "one", moment(1), MINUTE)
                .await
                .unwrap_err(),
            store
                .standing(&["r".to_owned()], moment(1))
                .await
                .unwrap_err(),
        ] {
            assert_eq!(told.is_transient(), transient, "{told}");
            let told = told.to_string();
            assert!(told.contains(what) && told.contains("`quench`"), "{told}");
            assert!(
                told.contains("`eu-central-1`") && told.contains(code),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_told() {
    let emulator = emulated::emulator();
    let store = Store::on_aws(emulated::aws(&emulator), "nowhere", RETENTION);
    let told = store.revision().await.unwrap_err();
    assert!(!told.is_transient());
    let told = told.to_string();
    assert!(
        told.starts_with("there is no table `nowhere` in `eu-central-1`"),
        "{told}"
    );
}

#[tokio::test]
async fn ids_that_no_run_has_are_found_nowhere() {
    let (store, _emulator) = fresh().await;
    for id in ["", "x", &"x".repeat(5000)] {
        assert_eq!(store.run(id).await.unwrap(), None);
        assert_eq!(store.journal(id).await.unwrap(), []);
        assert_eq!(store.requeue_run(id, moment(1)).await.unwrap(), None);
        let claim = store.claim_run(id, "one", moment(1), MINUTE).await.unwrap();
        assert_eq!(claim, Claim::Missing);
        assert!(store.runs_by_prefix(id, 9).await.unwrap().is_empty());
        let standing = store.standing(&[id.to_owned()], moment(1)).await.unwrap();
        assert_eq!(standing.unfinished, 0);
    }
}

#[tokio::test]
async fn a_finding_that_lacks_a_part_is_told_and_not_taken_for_another() {
    let (store, _emulator) = fresh().await;
    let mut large = record("f", moment(1));
    Arc::make_mut(&mut large.finding).raw = Value::from(crate::specimen::noise(1 << 20)).into();
    store.put_finding(&large).await.unwrap();
    let part = everything(&store)
        .await
        .into_iter()
        .find(|item| item.contains_key("data"));
    let key = call::Key::of(&part.unwrap()).unwrap();
    table(&store)
        .plain(call::Request::delete(&key))
        .await
        .unwrap();
    let told = store.finding("f").await.unwrap_err();
    assert!(told.is_transient());
    assert_eq!(told.to_string(), "a part of finding `f` is not there");
}

#[tokio::test]
async fn what_a_late_worker_wrote_beside_the_run_does_not_stay() {
    let (store, _emulator) = fresh().await;
    store.create_run(&run("r", moment(1))).await.unwrap();
    let late = hold(&store, "r", 2).await;
    let next = hold(&store, "r", 100).await;
    let before = everything(&store).await.len();
    let line = Entry {
        path: "a".to_owned(),
        attempt: 1,
        at: moment(3),
        event: Event::Started {
            content: crate::specimen::noise(100_000).into(),
        },
    };
    assert!(store.append(&late, &line).await.is_err());
    assert_eq!(everything(&store).await.len(), before);
    store.append(&next, &line).await.unwrap();
    assert_eq!(everything(&store).await.len(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_a_run_writes_down_what_happened_however_often_the_table_refuses() {
    // More often than anything else is tried.
    const REFUSALS: usize = 6;
    let emulator = emulated::emulator();
    let aws = emulated::aws(&emulator);
    let name = emulated::table(&aws).await;
    let left = Arc::new(AtomicUsize::new(0));
    let (forward, refusals) = (aws.clone(), Arc::clone(&left));
    let routes = post(move |headers: HeaderMap, body: Bytes| async move {
        let fewer = |left: usize| left.checked_sub(1);
        let refused = refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer);
        if refused.is_ok() {
            return lossy::broken();
        }
        let operation = lossy::operation(&headers);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let answer = forward.json(Service::DynamoDb, operation, &body).await;
        Json(answer.unwrap()).into_response()
    });
    let behind = lossy::behind(Router::new().route("/", routes)).await;
    let store = Store::on_aws(behind, &name, RETENTION);
    store.create_run(&run("r", moment(1))).await.unwrap();
    let lease = hold(&store, "r", 2).await;
    let done = Entry {
        path: "a".to_owned(),
        attempt: 1,
        at: moment(3),
        event: Event::Reopened,
    };
    left.store(REFUSALS, Ordering::SeqCst);
    store.append(&lease, &done).await.unwrap();
    left.store(REFUSALS, Ordering::SeqCst);
    let ended = store.settle(&lease, &RunState::Succeeded, moment(4)).await;
    ended.unwrap();
    assert_eq!(store.journal("r").await.unwrap(), [done]);
    let kept = store.run("r").await.unwrap().unwrap();
    assert_eq!(kept.state, RunState::Succeeded);

    left.store(REFUSALS, Ordering::SeqCst);
    let claimed = store.claim_run("r", "one", moment(5), MINUTE).await;
    assert!(claimed.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_finding_of_a_sender_without_measure_is_kept() {
    let (store, _emulator) = fresh().await;
    let mut record = record("f", moment(1));
    Arc::make_mut(&mut record.finding).account = Some("9".repeat(500_000));
    Arc::make_mut(&mut record.finding).title = crate::specimen::noise(500_000);
    assert!(store.put_finding(&record).await.unwrap());
    assert_eq!(store.finding("f").await.unwrap().unwrap(), record);
}

#[tokio::test]
async fn a_finding_that_is_left_undone_again_and_again_is_no_others_trouble() {
    let answer = |body: axum::body::Bytes| async move {
        let mut asked: Value = serde_json::from_slice(&body).unwrap();
        let keys = &mut asked["RequestItems"]["quench"]["Keys"];
        let left = keys.as_array_mut().unwrap();
        left.retain(|key| key["pk"]["S"] == "finding#stubborn");
        match left.is_empty() {
            true => Json(json!({"Responses": {}})),
            false => Json(json!({"Responses": {}, "UnprocessedKeys": asked["RequestItems"]})),
        }
    };
    let aws = lossy::behind(Router::new().route("/", post(answer))).await;
    let store = Store::on_aws(aws, "quench", RETENTION);
    let mut tasks = tokio::task::JoinSet::new();
    for id in ["one", "stubborn", "two"] {
        let store = store.clone();
        tasks.spawn(async move { (id, store.finding(id).await) });
    }
    for (id, answer) in tasks.join_all().await {
        match id {
            "stubborn" => {
                let error = answer.unwrap_err();
                assert!(error.is_transient());
                assert!(error.to_string().contains("leaves parts of batches undone"));
            }
            _ => assert_eq!(answer.unwrap(), None),
        }
    }
}
