//! What every kind of queue promises. How it goes beyond, each kind's own tests tell.

use super::SECOND;
use crate::clock::Clock;
use crate::queue::{Depth, Message, Queue, Queues, Sending};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// How far apart the clocks of a queue and of its users may be.
const APART: Duration = SECOND.saturating_mul(2);

/// Queues that are fresh and empty, and the clock they go by.
pub(crate) struct Setting {
    pub(crate) queues: Queues,
    pub(crate) clock: Clock,
    /// After so many deliveries in vain a message is given up.
    pub(crate) max_receives: u32,
}

impl Setting {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time go by, a bit more than is asked for where that takes real time.
    async fn pass(&self, time: Duration) {
        match self.clock {
            Clock::Manual(_) => self.clock.advance(time),
            Clock::System => tokio::time::sleep(time + SECOND / 5).await,
        }
    }

    async fn send(&self, queue: Queue, body: &[u8], delay: Duration) {
        let sending = Sending {
            delay,
            ..Sending::default()
        };
        let sent = self.queues.send(queue, body, sending, self.now());
        sent.await.unwrap();
    }

    async fn receive(&self, queue: Queue, visibility: Duration) -> Vec<Message> {
        let received = self.queues.receive(queue, 9, visibility, self.now());
        received.await.unwrap()
    }

    async fn receive_one(&self, queue: Queue, visibility: Duration) -> Message {
        let mut received = self.receive(queue, visibility).await;
        assert_eq!(received.len(), 1, "{received:?}");
        received.remove(0)
    }

    async fn is_empty(&self, queue: Queue) -> bool {
        self.receive(queue, SECOND).await.is_empty()
    }
}

pub(crate) async fn a_message_comes_back_until_it_is_acknowledged(setting: &Setting) {
    let queue = Queue::Alert;
    let sent = setting.now();
    setting.send(queue, b"one", Duration::ZERO).await;
    assert!(setting.is_empty(Queue::Runs).await);
    let first = setting.receive_one(queue, SECOND * 2).await;
    assert_eq!(
        (first.body.as_slice(), first.received, first.queue),
        (&b"one"[..], 1, queue)
    );
    assert!(first.sent.duration_since(sent).abs() < APART.try_into().unwrap());
    assert!(setting.is_empty(queue).await);
    setting.pass(SECOND * 2).await;
    let second = setting.receive_one(queue, SECOND * 2).await;
    assert_eq!((&second.id, second.received), (&first.id, 2));
    assert_eq!((&second.body, second.sent), (&first.body, first.sent));
    assert!(setting.queues.ack(&second).await.unwrap());
    setting.pass(SECOND * 2).await;
    assert!(setting.is_empty(queue).await);
    let depth = setting.queues.depth(queue, setting.now()).await.unwrap();
    assert_eq!(depth, Depth::default());
}

pub(crate) async fn a_message_is_kept_in_hand(setting: &Setting) {
    let queue = Queue::Recommendation;
    setting.send(queue, b"slow", Duration::ZERO).await;
    let message = setting.receive_one(queue, SECOND * 2).await;
    setting.pass(SECOND).await;
    let extended = setting.queues.extend(&message, SECOND * 2, setting.now());
    assert!(extended.await.unwrap());
    setting.pass(SECOND).await;
    assert!(setting.is_empty(queue).await);
    let depth = setting.queues.depth(queue, setting.now()).await.unwrap();
    assert_eq!((depth.ready, depth.in_hand), (0, 1));
    setting.pass(SECOND).await;
    let again = setting.receive_one(queue, SECOND).await;
    assert_eq!(again.received, 2);
    // It is gone, so it cannot be kept.
    assert!(setting.queues.ack(&again).await.unwrap());
    let extended = setting.queues.extend(&again, SECOND, setting.now());
    assert!(!extended.await.unwrap());
}

pub(crate) async fn a_message_given_back_comes_after_its_pause(setting: &Setting) {
    let queue = Queue::Alert;
    setting.send(queue, b"not yet", Duration::ZERO).await;
    let message = setting.receive_one(queue, SECOND * 60).await;
    let (reason, now) = ("too early", setting.now());
    let given = setting.queues.nack(&message, SECOND * 2, reason, now);
    given.await.unwrap();
    assert!(setting.is_empty(queue).await);
    setting.pass(SECOND * 2).await;
    assert_eq!(setting.receive_one(queue, SECOND).await.received, 2);
}

pub(crate) async fn a_delayed_message_waits(setting: &Setting) {
    let queue = Queue::Runs;
    setting.send(queue, b"late", SECOND * 2).await;
    setting.send(queue, b"now", Duration::ZERO).await;
    let depth = setting.queues.depth(queue, setting.now()).await.unwrap();
    assert_eq!((depth.ready, depth.delayed), (1, 1));
    let now = setting.receive_one(queue, SECOND * 60).await;
    assert_eq!(now.body, b"now");
    setting.pass(SECOND).await;
    assert!(setting.is_empty(queue).await);
    setting.pass(SECOND).await;
    let late = setting.receive_one(queue, SECOND * 60).await;
    assert_eq!(late.body, b"late");
}

pub(crate) async fn all_that_is_sent_arrives_as_it_was(setting: &Setting) {
    let queue = Queue::Compliance;
    let bodies: BTreeSet<Vec<u8>> = (0..27)
        .map(|number| format!("{{\"n\": {number}, \"t\": \"\\u0001 \u{e4}\u{1f512}\"}}\n").into())
        .collect();
    let outgoing = bodies
        .iter()
        .map(|body| (body.clone(), Sending::default()))
        .collect();
    let sent = setting.queues.send_all(queue, outgoing, setting.now());
    sent.await.unwrap();
    let mut arrived = BTreeSet::new();
    while arrived.len() < bodies.len() {
        let received = setting.receive(queue, SECOND * 60).await;
        assert!(!received.is_empty());
        for message in received {
            assert!(arrived.insert(message.body), "nobody else has it in hand");
        }
    }
    assert_eq!(arrived, bodies);
    let none = setting.queues.send_all(queue, Vec::new(), setting.now());
    none.await.unwrap();
}

pub(crate) async fn a_message_in_vain_becomes_a_dead_letter(setting: &Setting) {
    let queue = Queue::Compliance;
    let queues = &setting.queues;
    setting.send(queue, b"bad", Duration::ZERO).await;
    setting.send(queue, b"lost", Duration::ZERO).await;
    for _ in 0..setting.max_receives {
        let messages = setting.receive(queue, SECOND).await;
        assert_eq!(messages.len(), 2);
        let bad = messages.iter().find(|message| message.body == b"bad");
        let given = queues.nack(bad.unwrap(), SECOND, "it is bad", setting.now());
        given.await.unwrap();
        setting.pass(SECOND).await;
    }
    assert!(setting.is_empty(queue).await);
    let mut dead = queues.dead_letters(9).await.unwrap();
    dead.sort_by(|one, other| one.body.cmp(&other.body));
    let bodies: Vec<_> = dead.iter().map(|letter| letter.body.as_str()).collect();
    assert_eq!(bodies, ["bad", "lost"]);
    assert!(
        dead.iter()
            .all(|letter| letter.queue == Some(queue) && letter.received >= setting.max_receives)
    );
    assert_eq!(queues.dead_letters(1).await.unwrap().len(), 1);
    let depth = queues.depth(queue, setting.now()).await.unwrap();
    assert_eq!((depth.dead, depth.ready), (2, 0));

    queues.redrive(&dead[0].id, setting.now()).await.unwrap();
    let again = queues.redrive(&dead[0].id, setting.now()).await;
    assert_eq!(
        again.unwrap_err().to_string(),
        format!("there is no dead letter `{}`", dead[0].id)
    );
    assert!(queues.redrive("nonsense", setting.now()).await.is_err());
    let alive = setting.receive_one(queue, SECOND * 60).await;
    assert_eq!((alive.body.as_slice(), alive.received), (&b"bad"[..], 1));
    // What was sent after it is the later one still.
    assert_eq!(alive.sent, dead[0].sent);
    assert_eq!(queues.redrive_all(setting.now()).await.unwrap(), 1);
    assert_eq!(queues.dead_letters(9).await.unwrap(), []);
    let alive = setting.receive_one(queue, SECOND * 60).await;
    assert_eq!((alive.body.as_slice(), alive.received), (&b"lost"[..], 1));
}
