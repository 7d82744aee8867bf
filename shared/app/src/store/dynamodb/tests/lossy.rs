//! A network that loses the first answer to everything, and a table that does batches by halves.

use super::*;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use quench_actions::Trust;
use std::collections::HashSet;
use std::sync::Mutex;

#[derive(Clone)]
struct Network {
    aws: Aws,
    seen: Arc<Mutex<HashSet<Bytes>>>,
}

/// A store whose every write is carried out twice, since nobody hears of the first time.
pub(super) async fn fresh() -> (Store, Arc<Emulator>) {
    let emulator = emulated::emulator();
    let aws = emulated::aws(&emulator);
    let table = emulated::table(&aws).await;
    let network = Network {
        aws,
        seen: Arc::default(),
    };
    let routes = Router::new()
        .route("/", post(forward))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(network);
    (
        Store::on_aws(behind(routes).await, &table, RETENTION),
        emulator,
    )
}

/// A client of what listens here.
pub(super) async fn behind(routes: Router) -> Aws {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name)?;
        Some(found.1.to_owned())
    };
    Aws::new(lookup, &Trust::built_in(&[]).unwrap()).unwrap()
}

async fn forward(State(network): State<Network>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = operation(&headers);
    let mut request: Value = serde_json::from_slice(&body).unwrap();
    let left = match operation {
        "BatchGetItem" => second_half(&mut request, "/Keys"),
        "BatchWriteItem" => second_half(&mut request, ""),
        _ => None,
    };
    let answer = network
        .aws
        .json(Service::DynamoDb, operation, &request)
        .await;
    let reads = matches!(operation, "GetItem" | "BatchGetItem" | "Query");
    if !reads && network.seen.lock().unwrap().insert(body) {
        return broken();
    }
    match answer {
        Ok(mut answer) => {
            match (operation, left) {
                ("BatchGetItem", Some(left)) => answer["UnprocessedKeys"] = left,
                ("BatchWriteItem", Some(left)) => answer["UnprocessedItems"] = left,
                _ => {}
            }
            Json(answer).into_response()
        }
        Err(error) => {
            let refused = error.service_error().unwrap();
            let status = StatusCode::from_u16(refused.status).unwrap();
            (status, Json(refused.body.clone())).into_response()
        }
    }
}

/// What a request asks for.
pub(super) fn operation(headers: &HeaderMap) -> &str {
    let target = headers["x-amz-target"].to_str().unwrap();
    target.rsplit('.').next().unwrap()
}

/// An answer that leaves open whether anything was done.
pub(super) fn broken() -> Response {
    let error = json!({"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"});
    (StatusCode::INTERNAL_SERVER_ERROR, Json(error)).into_response()
}

/// Takes the second half of a batch out of the request for it, in the shape in which it is told to be left undone.
fn second_half(request: &mut Value, place: &str) -> Option<Value> {
    let tables = request["RequestItems"].as_object_mut().unwrap();
    let (name, asked) = tables.iter_mut().next().unwrap();
    let all = asked.pointer_mut(place).unwrap().as_array_mut().unwrap();
    let left = all.split_off(all.len().div_ceil(2));
    if left.is_empty() {
        return None;
    }
    let mut undone = asked.clone();
    *undone.pointer_mut(place).unwrap() = left.into();
    Some(json!({name.clone(): undone}))
}

#[tokio::test]
async fn a_sweep_whose_answers_are_lost_takes_the_runs_all_the_same() {
    let (store, _emulator) = fresh().await;
    store.create_run(&run("r", moment(0))).await.unwrap();
    let now = moment(100);
    assert_eq!(store.take_due_runs(now, now, 9).await.unwrap(), ["r"]);
    assert!(store.take_due_runs(now, now, 9).await.unwrap().is_empty());
}
