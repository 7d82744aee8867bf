//! One emulator of AWS for the tests of this crate.

use base16ct::lower::encode_string as hex;
use quench_actions::Trust;
use quench_actions::aws::{Aws, Service};
use quench_emulator::Emulator;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// The emulator, started by whoever asks first; it ends with the tests.
pub(crate) fn emulator() -> Arc<Emulator> {
    static SHARED: LazyLock<Arc<Emulator>> = LazyLock::new(|| Arc::new(Emulator::start()));
    Arc::clone(&SHARED)
}

/// A client of it.
pub(crate) fn aws(emulator: &Emulator) -> Aws {
    let variables = emulator.variables();
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name)?;
        Some(found.1.clone())
    };
    Aws::new(lookup, &Trust::built_in(&[]).unwrap()).unwrap()
}

/// Makes a queue with one for its dead letters, which nobody else uses; yields its URL.
pub(crate) async fn queue(aws: &Aws, name: &str, max_receives: u32) -> String {
    let name = format!("{name}-{}", random());
    let create = async |request: Value| {
        let made = aws.json(Service::Sqs, "CreateQueue", &request).await;
        made.unwrap()["QueueUrl"].as_str().unwrap().to_owned()
    };
    let dead = create(json!({"QueueName": format!("{name}-dead")})).await;
    let request = json!({"QueueUrl": dead, "AttributeNames": ["QueueArn"]});
    let told = aws.json(Service::Sqs, "GetQueueAttributes", &request).await;
    let arn = told.unwrap()["Attributes"]["QueueArn"].clone();
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives});
    let attributes = json!({"RedrivePolicy": policy.to_string()});
    create(json!({"QueueName": name, "Attributes": attributes})).await
}

/// Makes a table, as the store wants it, which nobody else uses; yields its name.
pub(crate) async fn table(aws: &Aws) -> String {
    let name = format!("quench-{}", random());
    let definition = crate::store::DynamoDb::definition(&name);
    let made = aws.json(Service::DynamoDb, "CreateTable", &definition);
    made.await.unwrap();
    name
}

fn random() -> String {
    let mut random = [0; 6];
    getrandom::fill(&mut random).unwrap();
    hex(&random)
}
