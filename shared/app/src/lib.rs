//! Stores, queues, intake and the run engine: what the functions and the command line share.
#![warn(missing_docs)]

mod run;

pub use run::{Entry, Event, Run, RunState, StartedBy};
