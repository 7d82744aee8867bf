//! The client of AWS against an emulator and against servers that misbehave.
#![expect(
    clippy::unwrap_used,
    reason = "a test whose peer cannot be set up has failed"
)]

mod emulator;
