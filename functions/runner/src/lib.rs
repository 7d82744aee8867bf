//! Works on the runs whose ids a queue delivers.
#![warn(missing_docs)]

mod handler;

pub use handler::handle;
