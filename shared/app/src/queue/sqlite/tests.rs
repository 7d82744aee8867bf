//! What queues in a file promise beyond what every kind does.

use crate::clock::Clock;
use crate::conformance::queues::{self as conformance, Setting};
use crate::queue::{Queue, Queues, Sending};
use crate::specimen::moment;
use crate::store::Store;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

async fn fresh(max_receives: u32) -> (Queues, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("quench.db")).await.unwrap();
    (Queues::beside(store.sqlite(), max_receives), folder)
}

macro_rules! promises {
    ($($promise:ident)*) => {$(
        #[tokio::test]
        async fn $promise() {
            let max_receives = 2;
            let (queues, _folder) = fresh(max_receives).await;
            let clock = Clock::manual(moment(0));
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

#[tokio::test]
async fn a_late_receipt_moves_nothing() {
    let (queues, _folder) = fresh(5).await;
    let queue = Queue::Alert;
    queues
        .send(queue, b"one", Sending::default(), moment(0))
        .await
        .unwrap();
    let receive = async |second| {
        let received = queues.receive(queue, 9, MINUTE, moment(second)).await;
        received.unwrap()
    };
    let first = receive(0).await.remove(0);
    assert_eq!(receive(59).await, []);
    let second = receive(60).await.remove(0);
    assert!(!queues.ack(&first).await.unwrap());
    assert!(!queues.extend(&first, MINUTE, moment(61)).await.unwrap());
    queues
        .nack(&first, Duration::ZERO, "late", moment(61))
        .await
        .unwrap();
    assert_eq!(receive(62).await, []);
    assert!(queues.ack(&second).await.unwrap());
}

#[tokio::test]
async fn the_next_message_is_known_before_it_comes() {
    let (queues, _folder) = fresh(5).await;
    assert_eq!(queues.next_visible().await.unwrap(), None);
    let sending = Sending {
        delay: MINUTE,
        ..Sending::default()
    };
    queues
        .send(Queue::Runs, b"late", sending, moment(0))
        .await
        .unwrap();
    assert_eq!(queues.next_visible().await.unwrap(), Some(moment(60)));
}

#[tokio::test]
async fn a_dead_letter_tells_when_and_why_it_was_given_up() {
    let (queues, _folder) = fresh(1).await;
    let queue = Queue::Compliance;
    for body in [&b"bad"[..], b"lost"] {
        queues
            .send(queue, body, Sending::default(), moment(0))
            .await
            .unwrap();
    }
    let messages = queues.receive(queue, 9, MINUTE, moment(1)).await.unwrap();
    queues
        .nack(&messages[0], MINUTE, "it is bad", moment(2))
        .await
        .unwrap();
    assert_eq!(
        queues.receive(queue, 9, MINUTE, moment(61)).await.unwrap(),
        []
    );
    let dead = queues.dead_letters(9).await.unwrap();
    let told: Vec<_> = dead
        .iter()
        .map(|letter| (letter.body.as_str(), letter.reason.as_deref(), letter.died))
        .collect();
    assert_eq!(
        told,
        [
            (
                "lost",
                Some("whoever received it did not finish in time"),
                Some(moment(61))
            ),
            ("bad", Some("it is bad"), Some(moment(2))),
        ]
    );
}

#[tokio::test]
async fn a_key_keeps_twins_out() {
    let (queues, _folder) = fresh(5).await;
    let keyed = |delay| Sending {
        delay,
        dedupe: Some("key".to_owned()),
        sweep: false,
    };
    let queue = Queue::Runs;
    queues
        .send(queue, b"x", keyed(MINUTE), moment(0))
        .await
        .unwrap();
    queues
        .send(queue, b"x", keyed(SECOND), moment(0))
        .await
        .unwrap();
    queues
        .send(queue, b"x", keyed(MINUTE), moment(0))
        .await
        .unwrap();
    let messages = queues.receive(queue, 9, MINUTE, moment(1)).await.unwrap();
    assert_eq!(messages.len(), 1);
    // One that is in somebody's hand may be on its way out, so it does not count.
    queues
        .send(queue, b"x", keyed(Duration::ZERO), moment(2))
        .await
        .unwrap();
    queues.ack(&messages[0]).await.unwrap();
    assert_eq!(
        queues
            .receive(queue, 9, MINUTE, moment(2))
            .await
            .unwrap()
            .len(),
        1
    );
    // One whose receiver has not been heard of for too long does again.
    queues
        .send(queue, b"x", keyed(Duration::ZERO), moment(62))
        .await
        .unwrap();
    assert_eq!(
        queues
            .receive(queue, 9, MINUTE, moment(62))
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_dead_twin_keeps_out_only_those_who_ask() {
    let (queues, _folder) = fresh(2).await;
    let sending = |sweep| Sending {
        dedupe: Some("key".to_owned()),
        sweep,
        ..Sending::default()
    };
    let queue = Queue::Runs;
    queues
        .send(queue, b"x", sending(false), moment(0))
        .await
        .unwrap();
    for _ in 0..2 {
        let message = queues
            .receive(queue, 9, MINUTE, moment(0))
            .await
            .unwrap()
            .remove(0);
        queues
            .nack(&message, Duration::ZERO, "bad", moment(0))
            .await
            .unwrap();
    }
    queues
        .send(queue, b"x", sending(true), moment(0))
        .await
        .unwrap();
    assert_eq!(
        queues.receive(queue, 9, MINUTE, moment(0)).await.unwrap(),
        []
    );
    queues
        .send(queue, b"x", sending(false), moment(0))
        .await
        .unwrap();
    assert_eq!(
        queues
            .receive(queue, 9, MINUTE, moment(0))
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(queues.expire(moment(0), 9).await.unwrap(), 0);
    assert_eq!(queues.expire(moment(1), 9).await.unwrap(), 1);
}
