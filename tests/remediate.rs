//! Remediations by hand, with the real binary, on emulators of AWS: planned, applied, read back and undone; and the process
//! is killed between an effect and the line in the journal that tells of it.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking and says what it saw"
)]

#[path = "remediate/faults.rs"]
mod faults;
#[path = "remediate/hand.rs"]
mod hand;
#[path = "remediate/kill.rs"]
mod kill;
#[path = "remediate/patients.rs"]
mod patients;
#[path = "remediate/world.rs"]
mod world;
