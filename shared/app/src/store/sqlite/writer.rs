use super::Fault;
#[cfg(test)]
use super::crash::Crash;
use crate::store::StoreError;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// Most writes that share one transaction.
const BATCH: usize = 256;

/// A write: does its part inside the open transaction, if there is one, and leaves how to answer once that is
/// committed or lost.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The one thread that writes for this process.
///
/// Writes that wait at the same time share one transaction and so one flush of the disk; each has its own
/// savepoint, so that one that fails takes nothing of its neighbours along.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    path: Arc<PathBuf>,
    jobs: Sender<Job>,
    #[cfg(test)]
    crash: Crash,
}

impl Writer {
    pub(super) fn start(path: Arc<PathBuf>, connection: Connection) -> Result<Writer, StoreError> {
        let (jobs, queue) = channel();
        let work = Work {
            path: Arc::clone(&path),
            connection,
            #[cfg(test)]
            crash: Crash::default(),
        };
        let writer = Writer {
            path,
            jobs,
            #[cfg(test)]
            crash: work.crash.clone(),
        };
        std::thread::Builder::new()
            .name("quench-writer".into())
            .spawn(move || work.run(&queue))
            .map_err(|error| StoreError::Transient {
                reason: format!("the thread that writes to the store cannot start: {error}"),
            })?;
        Ok(writer)
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let path = Arc::clone(&self.path);
        let job: Job = Box::new(move |connection| {
            let done = connection.and_then(|connection| {
                in_savepoint(connection, work).map_err(|fault| fault.of(&path))
            });
            Box::new(move |committed: Result<(), StoreError>| {
                // Whoever asked may have gone; what was written stays written.
                let _ = answer.send(done.and_then(|done| committed.map(|()| done)));
            })
        });
        self.jobs.send(job).map_err(|_| interrupted())?;
        answered.await.map_err(|_| interrupted())?
    }

    #[cfg(test)]
    pub(super) fn crash(&self) -> &Crash {
        &self.crash
    }
}

fn interrupted() -> StoreError {
    StoreError::Transient {
        reason: "the store was interrupted while writing".into(),
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    connection.execute_batch("SAVEPOINT part")?;
    let done = work(connection);
    // Some failures end the whole transaction by themselves, and the savepoint with it.
    if !connection.is_autocommit() {
        if done.is_err() {
            connection.execute_batch("ROLLBACK TO part")?;
        }
        connection.execute_batch("RELEASE part")?;
    }
    done
}

struct Work {
    path: Arc<PathBuf>,
    connection: Connection,
    #[cfg(test)]
    crash: Crash,
}

impl Work {
    fn run(self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut jobs = vec![first];
            jobs.extend(queue.try_iter().take(BATCH - 1));
            // A job that panics takes its batch along: nothing of it is written, and all of it is told so.
            if catch_unwind(AssertUnwindSafe(|| self.batch(jobs))).is_err() {
                tracing::error!("a write to the store panicked");
                self.roll_back();
            }
        }
    }

    fn batch(&self, jobs: Vec<Job>) {
        let mut state = self.begin();
        let answers: Vec<Answer> = jobs
            .into_iter()
            .map(|job| {
                let answer = job(state.clone().map(|()| &self.connection));
                if state.is_ok() && self.connection.is_autocommit() {
                    state = Err(interrupted());
                }
                answer
            })
            .collect();
        if state.is_ok() {
            state = self.commit();
        }
        for answer in answers {
            answer(state.clone());
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        #[cfg(test)]
        self.crash.before_commit()?;
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|error| StoreError::of(&self.path, &error))
    }

    fn commit(&self) -> Result<(), StoreError> {
        self.connection.execute_batch("COMMIT").map_err(|error| {
            self.roll_back();
            StoreError::of(&self.path, &error)
        })?;
        #[cfg(test)]
        self.crash.after_commit()?;
        Ok(())
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %error, "a failed write to the store could not be rolled back");
        }
    }
}
