//! Starts, shows and retries runs that people ask for.
#![warn(missing_docs)]

mod handler;

pub use handler::handle;
