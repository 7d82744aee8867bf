//! Emulated AWS as remediations see it: behind a proxy that fails calls, with resources that want mending.
#![warn(missing_docs)]
#![expect(
    clippy::unwrap_used,
    reason = "a test whose peer cannot be set up has failed"
)]

pub mod fixtures;
pub mod proxy;
pub mod world;
