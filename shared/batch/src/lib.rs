//! What the functions share: how they start, log and measure, and how those behind queues answer a batch.
#![warn(missing_docs)]

mod batch;
#[cfg(feature = "http")]
pub mod http;
mod invocation;
mod log;
mod start;

pub use batch::{Batch, BatchAnswer, BatchError, answer};
pub use invocation::invocation;
pub use start::{StartError, start};
