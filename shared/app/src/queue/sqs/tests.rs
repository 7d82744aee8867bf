//! What queues of SQS do on an emulator, and what a fake tells of that the emulator does not do.

use super::*;
use crate::clock::Clock;
use crate::conformance::queues::{self as conformance, Setting};
use crate::emulated;
use crate::queue::{DeadLetter, Queues};
use crate::specimen::{event, moment};
use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::post;
use quench_actions::Trust;
use quench_emulator::Emulator;
use std::sync::{LazyLock, Mutex};

const SECOND: Duration = Duration::from_secs(1);

/// One for these tests alone: what is in hand, and until when, goes by the real clock, so nobody else is to keep it busy.
fn emulator() -> Arc<Emulator> {
    static OWN: LazyLock<Arc<Emulator>> = LazyLock::new(|| Arc::new(Emulator::start()));
    Arc::clone(&OWN)
}

async fn fresh(max_receives: u32) -> (Queues, Aws, Arc<Emulator>) {
    let emulator = emulator();
    let aws = emulated::aws(&emulator);
    let mut urls = BTreeMap::new();
    for queue in Queue::ALL {
        let url = emulated::queue(&aws, queue.name(), max_receives).await;
        urls.insert(queue, Url::parse(&url).unwrap());
    }
    (Queues::sqs(aws.clone(), &urls, None), aws, emulator)
}

macro_rules! promises {
    ($($promise:ident)*) => {$(
        #[tokio::test]
        async fn $promise() {
            let max_receives = 2;
            let (queues, _aws, _emulator) = fresh(max_receives).await;
            let clock = Clock::System;
            conformance::$promise(&Setting { queues, clock, max_receives }).await;
        }
    )*};
}

promises! {
    a_message_comes_back_until_it_is_acknowledged
    a_message_is_kept_in_hand
    a_message_given_back_comes_after_its_pause
    a_delayed_message_waits
    all_that_is_sent_arrives_as_it_was
    a_message_in_vain_becomes_a_dead_letter
}

async fn send(queues: &Queues, body: &[u8]) -> Result<(), StoreError> {
    let now = Timestamp::now();
    queues
        .send(Queue::Alert, body, Sending::default(), now)
        .await
}

#[tokio::test]
async fn the_largest_message_is_sent_and_one_that_is_larger_is_refused() {
    let (queues, _aws, _emulator) = fresh(2).await;
    let mut body = vec![b'x'; 1024 * 1024];
    send(&queues, &body).await.unwrap();
    let now = Timestamp::now();
    let received = queues.receive(Queue::Alert, 1, SECOND, now).await.unwrap();
    assert!(received[0].body == body);
    body.push(b'x');
    let error = send(&queues, &body).await.unwrap_err();
    assert!(!error.is_transient());
    assert_eq!(
        error.to_string(),
        "a message of 1048577 bytes cannot be queued: 1048576 is the most"
    );
}

#[tokio::test]
async fn a_message_that_the_queue_itself_refuses_is_told_and_never_repeated() {
    let (queues, aws, _emulator) = fresh(2).await;
    let Queues::Sqs(sqs) = &queues else {
        panic!("these queues are on SQS")
    };
    let request = json!({
        "QueueUrl": &*sqs.place(Queue::Alert).unwrap().url,
        "Attributes": {"MaximumMessageSize": "1024"},
    });
    let set = aws.json(Service::Sqs, "SetQueueAttributes", &request);
    set.await.unwrap();
    let error = send(&queues, &[b'x'; 2000]).await.unwrap_err();
    assert!(!error.is_transient());
    assert!(
        error
            .to_string()
            .starts_with("SQS did not take a message: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_queue_that_is_not_named_is_told_with_its_variable() {
    let emulator = emulator();
    let queues = Queues::sqs(emulated::aws(&emulator), &BTreeMap::new(), None);
    let error = send(&queues, b"x").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "this process does not know the queue `alert`: set `QUENCH_QUEUE_ALERT`"
    );
    assert_eq!(queues.dead_letters(9).await.unwrap(), []);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_a_lasting_fault() {
    let emulator = emulator();
    let url = Url::parse(&format!("{}/000000000000/none", emulator.endpoint())).unwrap();
    let queues = Queues::sqs(
        emulated::aws(&emulator),
        &BTreeMap::from([(Queue::Alert, url)]),
        None,
    );
    let error = send(&queues, b"x").await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
}

/// What the fake answers, one after the other, and the requests it got.
#[derive(Default)]
struct Script {
    answers: Vec<Value>,
    asked: Vec<Value>,
}

/// SQS as it answers when it does not take all of a batch, which the emulator never does.
async fn fake(answers: &[Value]) -> (Queues, Arc<Mutex<Script>>) {
    let script = Arc::new(Mutex::new(Script {
        answers: answers.to_vec(),
        asked: Vec::new(),
    }));
    let answer = |State(script): State<Arc<Mutex<Script>>>, body: axum::body::Bytes| async move {
        let mut script = script.lock().unwrap();
        script.asked.push(serde_json::from_slice(&body).unwrap());
        Json(script.answers.remove(0))
    };
    let routes = Router::new()
        .route("/", post(answer))
        .with_state(Arc::clone(&script));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    let find = |name: &str| {
        let mut variables = variables.iter();
        let found = variables.find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let aws = Aws::new(find, &Trust::built_in(&[]).unwrap()).unwrap();
    let url = Url::parse(&format!("{endpoint}/111122223333/alert")).unwrap();
    (
        Queues::sqs(aws, &BTreeMap::from([(Queue::Alert, url)]), None),
        script,
    )
}

fn failed(id: &str, sender: bool) -> Value {
    json!({"Id": id, "Code": "InternalError", "Message": "try again", "SenderFault": sender})
}

async fn send_three(queues: &Queues) -> Result<(), StoreError> {
    let outgoing = ["a", "b", "c"].map(|body| (body.as_bytes().to_vec(), Sending::default()));
    let now = Timestamp::now();
    queues.send_all(Queue::Alert, outgoing.into(), now).await
}

fn bodies(request: &Value) -> Vec<&str> {
    let entries = request["Entries"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["MessageBody"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn only_what_was_not_taken_is_sent_again() {
    let (queues, script) = fake(&[
        json!({"Successful": [{"Id": "1"}], "Failed": [failed("0", false), failed("2", false)]}),
        json!({"Successful": [{"Id": "2"}], "Failed": [failed("0", false)]}),
        json!({"Successful": [{"Id": "0"}]}),
    ])
    .await;
    send_three(&queues).await.unwrap();
    let script = script.lock().unwrap();
    let asked: Vec<_> = script.asked.iter().map(bodies).collect();
    assert_eq!(asked, [&["a", "b", "c"][..], &["a", "c"], &["a"]]);
}

#[tokio::test]
async fn what_is_never_taken_is_an_error_that_may_pass() {
    let refusal = json!({"Successful": [{"Id": "0"}, {"Id": "2"}], "Failed": [failed("1", false)]});
    let later = json!({"Failed": [failed("1", false)]});
    let (queues, script) = fake(&[refusal, later.clone(), later.clone(), later]).await;
    let error = send_three(&queues).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(
        error.to_string(),
        "SQS did not take a message: try again (InternalError)"
    );
    assert_eq!(script.lock().unwrap().asked.len(), 4);
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_not_tried_again() {
    let refusal = json!({"Successful": [{"Id": "0"}, {"Id": "2"}], "Failed": [failed("1", true)]});
    let (queues, script) = fake(&[refusal]).await;
    let error = send_three(&queues).await.unwrap_err();
    assert!(!error.is_transient());
    assert_eq!(script.lock().unwrap().asked.len(), 1);
}

#[tokio::test]
async fn what_is_not_told_of_was_not_taken() {
    let silent = json!({"Successful": [{"Id": "0"}, {"Id": "2"}]});
    let taken = json!({"Successful": [{"Id": "1"}]});
    let (queues, script) = fake(&[silent, taken]).await;
    send_three(&queues).await.unwrap();
    let script = script.lock().unwrap();
    let asked: Vec<_> = script.asked.iter().map(bodies).collect();
    assert_eq!(asked, [&["a", "b", "c"][..], &["b"]]);
}

#[tokio::test]
async fn messages_that_several_send_at_once_are_one_request_and_each_hears_of_its_own() {
    let successful = [0, 2, 3, 4].map(|number| json!({"Id": number.to_string()}));
    let answer = json!({"Successful": successful, "Failed": [failed("1", true)]});
    let (queues, script) = fake(&[answer]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for body in ["a", "b", "", "c", "d", "e"] {
        let queues = queues.clone();
        tasks.spawn(async move { (body, send(&queues, body.as_bytes()).await) });
    }
    let mut refused: Vec<_> = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|(_, sent)| sent.is_err())
        .map(|(body, _)| body)
        .collect();
    refused.sort_unstable();
    assert_eq!(refused, ["", "b"]);
    let script = script.lock().unwrap();
    let asked: Vec<_> = script.asked.iter().map(bodies).collect();
    assert_eq!(asked, [["a", "b", "c", "d", "e"]]);
}

/// Queues with one for what was not delivered, and on that an event for each of what was told of it; `ALERT` stands for
/// the ARN of the queue of alerts, `GONE` for that of a queue that is no more.
async fn strays(told: &[Value]) -> (Queues, Aws, Arc<Emulator>) {
    let (queues, aws, emulator) = fresh(2).await;
    let urls: BTreeMap<Queue, Url> = sqs(&queues)
        .queues
        .iter()
        .map(|(queue, place)| (*queue, Url::parse(&place.url).unwrap()))
        .collect();
    let path = urls[&Queue::Alert].path().replace('/', ":");
    let alert = format!("arn:aws:sqs:eu-central-1{path}");
    let undelivered = emulated::queue(&aws, "undelivered", 99).await;
    for (number, told) in told.iter().enumerate() {
        let attribute = |(name, value): (&String, &Value)| {
            let value = match value.as_str().unwrap() {
                "ALERT" => &alert,
                "GONE" => "arn:aws:sqs:eu-central-1:111122223333:gone",
                value => value,
            };
            (
                name.clone(),
                json!({"DataType": "String", "StringValue": value}),
            )
        };
        let attributes = told.as_object().unwrap().iter().map(attribute);
        let event = event(&format!("shop-{number}"), false, 1);
        let request = json!({
            "QueueUrl": undelivered,
            "MessageBody": String::from_utf8(event).unwrap(),
            "MessageAttributes": attributes.collect::<serde_json::Map<_, _>>(),
        });
        let sent = aws.json(Service::Sqs, "SendMessage", &request).await;
        sent.unwrap();
    }
    let undelivered = Url::parse(&undelivered).unwrap();
    let queues = Queues::sqs(aws.clone(), &urls, Some(&undelivered));
    (queues, aws, emulator)
}

fn sqs(queues: &Queues) -> &Sqs {
    let Queues::Sqs(sqs) = queues else {
        panic!("these queues are on SQS")
    };
    sqs
}

/// Dead letters by the number of their event.
async fn letters(queues: &Queues) -> BTreeMap<usize, DeadLetter> {
    let letters = queues.dead_letters(999).await.unwrap().into_iter();
    let numbered = letters.map(|letter| {
        let event: Value = serde_json::from_str(&letter.body).unwrap();
        let bucket = event["detail"]["resourceId"].as_str().unwrap();
        (bucket["shop-".len()..].parse().unwrap(), letter)
    });
    numbered.collect()
}

async fn ready(queues: &Queues) -> [u64; 3] {
    let ready = async |queue| {
        let depth = queues.depth(queue, Timestamp::now()).await;
        depth.unwrap().ready
    };
    [
        ready(Queue::Alert).await,
        ready(Queue::Recommendation).await,
        ready(Queue::Compliance).await,
    ]
}

#[tokio::test]
async fn an_event_that_was_not_delivered_is_told_with_its_error_and_goes_where_it_belongs() {
    let denied = "NO_PERMISSIONS";
    let function = "arn:aws:lambda:eu-central-1:111122223333:function:manual";
    let (queues, _aws, _emulator) = strays(&[
        json!({"ERROR_CODE": denied, "ERROR_MESSAGE": "not allowed", "TARGET_ARN": "ALERT"}),
        json!({"ERROR_CODE": denied, "TARGET_ARN": "GONE"}),
        json!({"ERROR_CODE": denied, "TARGET_ARN": function}),
        json!({"ErrorCode": "200", "ErrorMessage": "it broke", "RequestID": "1"}),
    ])
    .await;
    let found = letters(&queues).await;
    let told: Vec<_> = found
        .values()
        .map(|letter| (letter.queue, letter.reason.as_deref().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(Queue::Alert), "NO_PERMISSIONS: not allowed"),
            (Some(Queue::Compliance), denied),
            (None, denied),
            (None, "it broke"),
        ]
    );
    // What came since it happened is the later one.
    assert_eq!(found[&0].sent, moment(1).min(found[&0].died.unwrap()));
    let now = Timestamp::now();
    queues.redrive(&found[&0].id, now).await.unwrap();
    assert_eq!(ready(&queues).await, [1, 0, 0]);
    let error = queues.redrive(&found[&3].id, now).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "dead letter `{}` was for no queue, so it can be put on none",
            found[&3].id
        )
    );
    queues.redrive(&found[&1].id, now).await.unwrap();
    assert_eq!(ready(&queues).await, [1, 0, 1]);
    let received = queues.receive(Queue::Compliance, 9, SECOND, now).await;
    let body = String::from_utf8(received.unwrap().remove(0).body).unwrap();
    assert_eq!(body, found[&1].body);
    // Those for functions are where they were, and in nobody's hand.
    assert_eq!(
        letters(&queues).await.into_keys().collect::<Vec<_>>(),
        [2, 3]
    );
    assert!(queues.redrive(&found[&0].id, now).await.is_err());
}

#[tokio::test]
async fn of_all_that_was_not_delivered_only_what_was_for_a_function_is_left() {
    let function = "arn:aws:lambda:eu-central-1:111122223333:function:manual";
    let told: Vec<Value> = (0..36)
        .map(|number| match number % 3 {
            0 => json!({"TARGET_ARN": "ALERT"}),
            1 => json!({"TARGET_ARN": "GONE"}),
            _ => json!({"TARGET_ARN": function}),
        })
        .collect();
    let (queues, _aws, _emulator) = strays(&told).await;
    let now = Timestamp::now() + SECOND;
    assert_eq!(queues.redrive_all(now).await.unwrap(), 24);
    assert_eq!(ready(&queues).await, [12, 0, 12]);
    let left = letters(&queues).await;
    assert_eq!(left.len(), 12);
    assert!(left.keys().all(|number| number % 3 == 2));
    assert_eq!(queues.redrive_all(now).await.unwrap(), 0);
}

#[test]
fn what_was_a_dead_letter_before_tells_when_it_was_sent_first_and_last() {
    let told = |attributes: Value| {
        let message = json!({
            "MessageId": "m",
            "ReceiptHandle": "r",
            "Body": "b",
            "Attributes": {"SentTimestamp": "2000"},
            "MessageAttributes": attributes,
        });
        let read = Received::read(message).unwrap();
        (read.sent.as_millisecond(), read.queued.as_millisecond())
    };
    assert_eq!(told(Value::Null), (2000, 2000));
    let before = json!({FIRST_SENT: {"DataType": "Number", "StringValue": "1000"}});
    assert_eq!(told(before), (1000, 2000));
}
