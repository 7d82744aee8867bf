//! Shows what people are asked, and takes their decisions.
#![warn(missing_docs)]

mod handler;

pub use handler::handle;
