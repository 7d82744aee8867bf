use super::{MINUTE, SECOND};
use crate::queue::{Depth, Queue, Queues, Sending};
use crate::specimen::moment;
use std::time::Duration;

pub(crate) async fn a_message_comes_back_until_it_is_acknowledged(queues: &Queues) {
    let queue = Queue::Alert;
    queues
        .send(queue, b"one", Sending::default(), moment(0))
        .await
        .unwrap();
    assert_eq!(
        queues
            .receive(Queue::Runs, 9, MINUTE, moment(0))
            .await
            .unwrap(),
        []
    );
    let first = queues
        .receive(queue, 9, MINUTE, moment(0))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (first.body.as_slice(), first.received, first.sent),
        (&b"one"[..], 1, moment(0))
    );
    assert_eq!(
        queues.receive(queue, 9, MINUTE, moment(59)).await.unwrap(),
        []
    );
    assert!(queues.extend(&first, MINUTE, moment(30)).await.unwrap());
    assert_eq!(
        queues.receive(queue, 9, MINUTE, moment(89)).await.unwrap(),
        []
    );
    let second = queues
        .receive(queue, 9, MINUTE, moment(90))
        .await
        .unwrap()
        .remove(0);
    assert_eq!((&second.id, second.received), (&first.id, 2));
    // The first receiver is late: the message is no longer its own.
    assert!(!queues.ack(&first).await.unwrap());
    assert!(!queues.extend(&first, MINUTE, moment(91)).await.unwrap());
    queues
        .nack(&first, Duration::ZERO, "late", moment(91))
        .await
        .unwrap();
    assert_eq!(
        queues.receive(queue, 9, MINUTE, moment(92)).await.unwrap(),
        []
    );
    assert!(queues.ack(&second).await.unwrap());
    assert_eq!(
        queues.receive(queue, 9, MINUTE, moment(999)).await.unwrap(),
        []
    );
    assert_eq!(
        queues.depth(queue, moment(999)).await.unwrap(),
        Depth::default()
    );
}

pub(crate) async fn a_delayed_message_waits(queues: &Queues) {
    let sending = Sending {
        delay: MINUTE,
        ..Sending::default()
    };
    queues
        .send(Queue::Runs, b"late", sending, moment(0))
        .await
        .unwrap();
    queues
        .send(Queue::Runs, b"now", Sending::default(), moment(1))
        .await
        .unwrap();
    let depth = queues.depth(Queue::Runs, moment(1)).await.unwrap();
    assert_eq!((depth.ready, depth.delayed), (1, 1));
    let bodies = async |second| {
        let messages = queues
            .receive(Queue::Runs, 9, MINUTE * 60, moment(second))
            .await
            .unwrap();
        messages
            .into_iter()
            .map(|message| String::from_utf8(message.body).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(bodies(59).await, ["now"]);
    assert_eq!(queues.next_visible().await.unwrap(), Some(moment(60)));
    assert_eq!(bodies(60).await, ["late"]);
}

pub(crate) async fn a_message_in_vain_becomes_a_dead_letter(queues: &Queues, max_receives: u32) {
    let queue = Queue::Compliance;
    queues
        .send(queue, b"bad", Sending::default(), moment(0))
        .await
        .unwrap();
    queues
        .send(queue, b"lost", Sending::default(), moment(0))
        .await
        .unwrap();
    let mut second = 0;
    for _ in 0..max_receives {
        let messages = queues
            .receive(queue, 9, MINUTE, moment(second))
            .await
            .unwrap();
        assert_eq!(messages.len(), 2);
        let bad = messages
            .iter()
            .find(|message| message.body == b"bad")
            .unwrap();
        queues
            .nack(bad, MINUTE, "it is bad", moment(second))
            .await
            .unwrap();
        second += 60;
    }
    assert_eq!(
        queues
            .receive(queue, 9, MINUTE, moment(second))
            .await
            .unwrap(),
        []
    );
    let dead = queues.dead_letters(9).await.unwrap();
    let told: Vec<_> = dead
        .iter()
        .map(|letter| {
            (
                letter.body.as_str(),
                letter.reason.as_deref().unwrap(),
                letter.received,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "lost",
                "whoever received it did not finish in time",
                max_receives
            ),
            ("bad", "it is bad", max_receives),
        ]
    );
    assert_eq!(queues.depth(queue, moment(second)).await.unwrap().dead, 2);

    queues.redrive(&dead[1].id, moment(second)).await.unwrap();
    assert!(queues.redrive(&dead[1].id, moment(second)).await.is_err());
    assert!(queues.redrive("nonsense", moment(second)).await.is_err());
    let alive = queues
        .receive(queue, 9, MINUTE, moment(second))
        .await
        .unwrap()
        .remove(0);
    assert_eq!((alive.body.as_slice(), alive.received), (&b"bad"[..], 1));
    assert_eq!(queues.redrive_all(moment(second)).await.unwrap(), 1);
    assert_eq!(queues.dead_letters(9).await.unwrap(), []);
}

pub(crate) async fn a_key_keeps_twins_out(queues: &Queues) {
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

pub(crate) async fn a_dead_twin_keeps_out_only_those_who_ask(queues: &Queues, max_receives: u32) {
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
    for _ in 0..max_receives {
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
