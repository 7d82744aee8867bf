//! Stores, queues, intake and the run engine: what the functions and the command line share.
#![warn(missing_docs)]

mod app;
pub mod catalog;
mod clock;
mod config;
#[cfg(test)]
mod conformance;
pub mod delivery;
mod engine;
pub mod intake;
mod queue;
mod run;
#[cfg(test)]
mod specimen;
mod store;
pub mod trigger;
pub mod worker;

pub use app::{App, OpenError};
pub use clock::Clock;
pub use config::{Config, InvalidConfig, Mail};
pub use engine::{EngineError, Outcome, execute};
pub use queue::{DeadLetter, Depth, Message, Queue, Queues, Sending};
pub use run::{Entry, Event, Run, RunState, StartedBy};
pub use store::{
    Applied, Change, Claim, Expired, FindingFilter, FindingRecord, Inventory, Lease, Page,
    RunFilter, RunStage, Sqlite, Standing, Store, StoreError, Stored,
};
