//! One emulator of AWS for the tests of this crate, which share it while any of them runs.

use quench_actions::Trust;
use quench_actions::aws::{Aws, Service};
use quench_emulator::Emulator;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The emulator, started by whoever asks first; hold it for as long as it is needed. A static one would outlive the
/// tests, as nobody drops what is static.
pub(crate) fn emulator() -> Arc<Emulator> {
    static SHARED: Mutex<Weak<Emulator>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let started = Arc::new(Emulator::start());
    *shared = Arc::downgrade(&started);
    started
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
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
