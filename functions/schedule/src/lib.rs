//! Does, every minute, what has become due.
#![warn(missing_docs)]

mod handler;

pub use handler::handle;
