//! Takes in recommendations that a queue delivers.
#![warn(missing_docs)]

mod handler;

pub use handler::handle;
