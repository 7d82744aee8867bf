//! A function that calls AWS as it is told and does nothing else: what calls cost by themselves.

use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use quench_actions::Trust;
use quench_actions::aws::{Aws, Request, Service};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::vec::IntoIter;
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = Aws::new(|name| std::env::var(name).ok(), &Trust::built_in(&[])?)?;
    run_concurrent(service_fn(move |event: LambdaEvent<Value>| {
        let aws = aws.clone();
        async move { handle(&aws, event.payload).await }
    }))
    .await
}

/// As many calls at once as a batch has messages.
const LANES: usize = 10;

/// Makes the calls of `{"make": true, "calls": [{"operation": …, "body": …}]}`, several at once; what is answered does
/// not matter.
async fn handle(aws: &Aws, event: Value) -> Result<Value, Error> {
    let Value::Array(calls) = event["calls"].clone() else {
        return Err("it takes `calls`".into());
    };
    if event["make"] != true {
        return Ok(json!({ "made": 0 }));
    }
    let left = Arc::new(Mutex::new(calls.into_iter()));
    let lanes = (0..LANES).map(|_| lane(aws.clone(), Arc::clone(&left)));
    let lanes = lanes.collect::<JoinSet<_>>().join_all().await;
    match lanes.into_iter().sum::<Option<usize>>() {
        Some(made) => Ok(json!({ "made": made })),
        None => Err("a call is of no service that is known here".into()),
    }
}

/// Makes one call after another until none is left; tells how many.
async fn lane(aws: Aws, left: Arc<Mutex<IntoIter<Value>>>) -> Option<usize> {
    let mut made = 0;
    loop {
        let next = left.lock().ok()?.next();
        let Some(next) = next else {
            return Some(made);
        };
        call(&aws, &next).await?;
        made += 1;
    }
}

async fn call(aws: &Aws, call: &Value) -> Option<()> {
    let body = &call["body"];
    let operation = call["operation"].as_str()?;
    let _ = match operation.split_once('.') {
        Some(("DynamoDB_20120810", name)) => aws.json(Service::DynamoDb, name, body).await.err(),
        Some(("AmazonSQS", name)) => aws.json(Service::Sqs, name, body).await.err(),
        Some(("secretsmanager", name)) => aws.json(Service::SecretsManager, name, body).await.err(),
        _ => {
            let path = operation.strip_prefix("POST /v2/")?;
            let path: Vec<&str> = ["v2"].into_iter().chain(path.split('/')).collect();
            let request = Request::new("POST".parse().ok()?, &path).with_json(body);
            aws.rest(Service::Ses, "SendEmail", request).await.err()
        }
    };
    Some(())
}
