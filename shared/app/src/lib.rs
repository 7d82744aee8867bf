//! Stores, queues, intake and the run engine: what the functions and the command line share.
#![warn(missing_docs)]

mod answer;
mod app;
pub mod approval;
pub mod catalog;
mod clock;
mod config;
#[cfg(test)]
mod conformance;
mod deadline;
pub mod delivery;
#[cfg(test)]
mod emulated;
mod engine;
mod gather;
pub mod intake;
#[cfg(test)]
mod logged;
pub mod manual;
pub mod metrics;
mod queue;
mod run;
pub mod schedule;
#[cfg(test)]
mod specimen;
mod store;
pub mod trigger;
pub mod undo;
pub mod webhook;
pub mod worker;

pub use answer::{Answer, request_body};
pub use app::{App, OpenError};
pub use clock::Clock;
pub use config::{Config, Host, InvalidConfig, Mail};
pub use engine::{EngineError, Outcome, execute};
pub use queue::{DeadLetter, Depth, Message, Queue, Queues, Sending, Sqs};
pub use run::{Check, Decision, Entry, Event, Guard, Ruling, Run, RunState, StartedBy};
#[cfg(feature = "local")]
pub use store::Sqlite;
pub use store::{
    Applied, ApprovalFilter, Change, Claim, Deciding, DynamoDb, Expired, FindingFilter,
    FindingRecord, Inventory, Lease, Page, Reservation, RunFilter, RunStage, Standing, Store,
    StoreError, Stored, Token,
};
