//! What many ask at once, asked together.

use crate::store::StoreError;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Gathers questions while a call is under way, and until all who are ready to ask had a turn, and has them answered by
/// one call: a batch of ten messages makes one request where it would make ten. Cheap to clone; clones gather together.
///
/// Nobody waits for more than the call that is under way and the next one. A call is broken off once nobody waits for
/// any of its answers.
pub(crate) struct Gather<A, B>(Arc<Mutex<State<A, B>>>);

struct State<A, B> {
    waiting: Vec<Waiting<A, B>>,
    /// Whether a task sees to what is waiting.
    attended: bool,
}

type Waiting<A, B> = (A, oneshot::Sender<Answer<B>>);

/// What came of a question.
pub(crate) type Answer<B> = Result<B, StoreError>;

impl<A: Send + 'static, B: Send + 'static> Gather<A, B> {
    /// Asks; `call` answers all that is asked by then, in its order. All who ask must bring the same.
    ///
    /// # Errors
    /// Those of `call`; and a transient one if it broke off.
    pub(crate) async fn ask<F>(
        &self,
        asked: A,
        call: impl Fn(Vec<A>) -> F + Send + 'static,
    ) -> Answer<B>
    where
        F: Future<Output = Vec<Answer<B>>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let attended = {
            let mut state = self.lock();
            state.waiting.push((asked, answer));
            mem::replace(&mut state.attended, true)
        };
        if !attended {
            let attendant = Attendant {
                gather: self.clone(),
                left: false,
            };
            tokio::spawn(attendant.attend(call));
        }
        answered.await.unwrap_or_else(|_| {
            Err(StoreError::Transient {
                reason: "a request that was shared with others broke off".to_owned(),
            })
        })
    }
}

impl<A, B> Gather<A, B> {
    fn lock(&self) -> MutexGuard<'_, State<A, B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A, B> Clone for Gather<A, B> {
    fn clone(&self) -> Self {
        Gather(Arc::clone(&self.0))
    }
}

impl<A, B> Default for Gather<A, B> {
    fn default() -> Self {
        Gather(Arc::new(Mutex::new(State {
            waiting: Vec::new(),
            attended: false,
        })))
    }
}

impl<A, B> fmt::Debug for Gather<A, B> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Gather({})", self.lock().waiting.len())
    }
}

/// Sees to what is waiting.
struct Attendant<A, B> {
    gather: Gather<A, B>,
    /// Whether it went when nothing was waiting, and another may have come since.
    left: bool,
}

impl<A, B> Attendant<A, B> {
    async fn attend<F>(mut self, call: impl Fn(Vec<A>) -> F)
    where
        F: Future<Output = Vec<Answer<B>>>,
    {
        loop {
            // Whoever is ready asks now.
            tokio::task::yield_now().await;
            let (asked, mut waiting): (Vec<A>, Vec<_>) = {
                let mut state = self.gather.lock();
                if state.waiting.is_empty() {
                    state.attended = false;
                    self.left = true;
                    return;
                }
                mem::take(&mut state.waiting).into_iter().unzip()
            };
            tokio::select! {
                biased;
                answers = call(asked) => {
                    for (waiting, answer) in waiting.into_iter().zip(answers) {
                        // Who is gone wants no answer.
                        let _ = waiting.send(answer);
                    }
                }
                () = all_gone(&mut waiting) => {}
            }
        }
    }
}

async fn all_gone<B>(waiting: &mut [oneshot::Sender<Answer<B>>]) {
    for waiting in waiting {
        waiting.closed().await;
    }
}

/// Breaks off what is waiting if the call panicked, or all of the process's work ends.
impl<A, B> Drop for Attendant<A, B> {
    fn drop(&mut self) {
        if !self.left {
            let mut state = self.gather.lock();
            state.attended = false;
            state.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    /// Doubles numbers, one call a permit, and tells which were asked together.
    #[derive(Clone)]
    struct Doubling {
        gather: Gather<u32, u32>,
        calls: Arc<Mutex<Vec<Vec<u32>>>>,
        permits: Arc<Semaphore>,
    }

    impl Doubling {
        fn new(permits: usize) -> Doubling {
            Doubling {
                gather: Gather::default(),
                calls: Arc::default(),
                permits: Arc::new(Semaphore::new(permits)),
            }
        }

        async fn double(self, number: u32) -> Answer<u32> {
            let (calls, permits) = (self.calls, self.permits);
            let call = move |asked: Vec<u32>| {
                calls.lock().unwrap().push(asked.clone());
                let permits = Arc::clone(&permits);
                async move {
                    permits.acquire().await.unwrap().forget();
                    let answer = |number: u32| match number {
                        13 => panic!("thirteen"),
                        7 => Err(StoreError::Permanent {
                            reason: "seven".to_owned(),
                        }),
                        number => Ok(number * 2),
                    };
                    asked.into_iter().map(answer).collect()
                }
            };
            self.gather.ask(number, call).await
        }

        fn calls(&self) -> Vec<Vec<u32>> {
            self.calls.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn what_is_asked_at_once_is_one_call_and_each_has_its_own_answer() {
        let doubling = Doubling::new(9);
        let mut tasks = JoinSet::new();
        for number in 5..10 {
            let one = doubling.clone().double(number);
            tasks.spawn(async move { (number, one.await) });
        }
        for (number, answer) in tasks.join_all().await {
            match number {
                7 => assert!(!answer.unwrap_err().is_transient()),
                _ => assert_eq!(answer.unwrap(), number * 2),
            }
        }
        assert_eq!(doubling.calls(), [[5, 6, 7, 8, 9]]);
        assert_eq!(doubling.clone().double(1).await.unwrap(), 2);
        assert_eq!(doubling.calls().len(), 2);
    }

    #[tokio::test]
    async fn what_comes_while_a_call_is_under_way_goes_with_the_next() {
        let doubling = Doubling::new(0);
        let mut tasks = JoinSet::new();
        for number in 1..=4 {
            tasks.spawn(doubling.clone().double(number));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(doubling.calls(), [[1]]);
        doubling.permits.add_permits(9);
        assert_eq!(tasks.join_all().await.len(), 4);
        assert_eq!(doubling.calls(), [vec![1], vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn a_call_ends_when_the_last_who_waits_for_it_is_gone() {
        let doubling = Doubling::new(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(doubling.clone().double(1));
        tasks.spawn(doubling.clone().double(2));
        tokio::time::sleep(Duration::from_millis(1)).await;
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        // The first call would wait for ever, and took no permit.
        doubling.permits.add_permits(1);
        assert_eq!(doubling.clone().double(3).await.unwrap(), 6);
        assert_eq!(doubling.calls(), [vec![1, 2], vec![3]]);
    }

    #[tokio::test]
    async fn a_call_that_panics_leaves_nobody_waiting() {
        let doubling = Doubling::new(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(doubling.clone().double(13));
        tokio::time::sleep(Duration::from_millis(1)).await;
        tasks.spawn(doubling.clone().double(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
        doubling.permits.add_permits(2);
        for answer in tasks.join_all().await {
            assert!(answer.unwrap_err().is_transient());
        }
        assert_eq!(doubling.clone().double(1).await.unwrap(), 2);
    }

    #[test]
    fn another_runtime_begins_anew() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
        };
        let doubling = Doubling::new(0);
        let first = runtime();
        first.spawn(doubling.clone().double(1));
        first.block_on(tokio::task::yield_now());
        first.block_on(tokio::task::yield_now());
        assert_eq!(doubling.calls(), [[1]]);
        drop(first);
        doubling.permits.add_permits(1);
        assert_eq!(runtime().block_on(doubling.clone().double(2)).unwrap(), 4);
    }
}
