//! Takes in what senders outside AWS report by HTTP.
#![warn(missing_docs)]

mod handler;

pub use handler::handle;
