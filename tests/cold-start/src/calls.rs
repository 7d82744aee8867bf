//! A function that calls AWS as it is told and does nothing else: what calls cost by themselves.

use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use quench_actions::Trust;
use quench_actions::aws::{Aws, Request, Service};
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let aws = Aws::new(|name| std::env::var(name).ok(), &Trust::built_in(&[])?)?;
    run_concurrent(service_fn(move |event: LambdaEvent<Value>| {
        let aws = aws.clone();
        async move { handle(&aws, event.payload).await }
    }))
    .await
}

/// Makes the calls of `{"make": true, "calls": [{"operation": …, "body": …}]}`, all at once; what is answered does not
/// matter.
async fn handle(aws: &Aws, event: Value) -> Result<Value, Error> {
    let mut calls = JoinSet::new();
    if event["make"] == true {
        for one in event["calls"].as_array().into_iter().flatten() {
            let (aws, one) = (aws.clone(), one.clone());
            calls.spawn(async move { call(&aws, &one).await });
        }
    }
    let answers = calls.join_all().await;
    match answers.into_iter().collect::<Option<Vec<()>>>() {
        Some(made) => Ok(json!({ "made": made.len() })),
        None => Err("a call is of no service that is known here".into()),
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
