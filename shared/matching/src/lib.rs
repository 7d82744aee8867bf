//! Conditions over JSON documents.
//!
//! Rules are compiled once, where every fault is found; after that, matching cannot fail.
#![warn(missing_docs)]

mod condition;

pub use condition::{Condition, Operator, ValueType};
