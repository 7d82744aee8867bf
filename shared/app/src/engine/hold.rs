use crate::app::App;
use crate::clock::{after, until};
use crate::run::{Entry, RunState};
use crate::store::{Lease, StoreError};
use std::time::Duration;

/// The hold a worker has on a run: everything written goes through it, and once it is lost nothing is written.
pub(crate) struct Hold<'a> {
    app: &'a App,
    lease: Lease,
}

impl<'a> Hold<'a> {
    pub(crate) fn new(app: &'a App, lease: Lease) -> Self {
        Self { app, lease }
    }

    /// Adds an entry to the journal, and keeps hold of the run for as long as that takes.
    pub(crate) async fn append(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let (store, lease) = (&self.app.store, self.lease.clone());
        self.during(async { store.append(&lease, entry).await })
            .await?
    }

    /// Says where the run stands and lets go of it.
    pub(crate) async fn settle(&self, state: &RunState) -> Result<(), StoreError> {
        self.app
            .store
            .settle(&self.lease, state, self.app.clock.now())
            .await
    }

    /// Extends the lease once half of it is used up.
    pub(crate) async fn refresh(&mut self) -> Result<(), StoreError> {
        if self.remaining() > self.app.config.lease / 2 {
            return Ok(());
        }
        self.extend().await
    }

    /// Does some work and extends the lease meanwhile; if the lease is lost, the work is dropped.
    pub(crate) async fn during<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        let mut work = std::pin::pin!(work);
        let pause = self.app.config.lease / 3;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(pause) => self.keep().await?,
            }
        }
    }

    /// Extends the lease; that the store is in trouble is borne as long as the lease lasts.
    async fn keep(&mut self) -> Result<(), StoreError> {
        match self.extend().await {
            Err(error) if error.is_transient() && !self.remaining().is_zero() => {
                tracing::warn!(error = %error, "lease could not be extended");
                Ok(())
            }
            other => other,
        }
    }

    async fn extend(&mut self) -> Result<(), StoreError> {
        let end = after(self.app.clock.now(), self.app.config.lease);
        self.app.store.extend_lease(&self.lease, end).await?;
        self.lease.until = end;
        Ok(())
    }

    fn remaining(&self) -> Duration {
        until(self.app.clock.now(), self.lease.until)
    }
}
