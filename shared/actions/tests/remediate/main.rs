//! Remediations against emulators of AWS.
#![expect(
    clippy::unwrap_used,
    reason = "a test whose peer cannot be set up has failed"
)]

mod computers;
mod contract;
mod groups;
mod law;
mod principals;
mod s3;
mod services;

use quench_world::{proxy, world};
