//! Every source's payload, decoded into one shape: [`Finding`].
//!
//! [`decode`] takes a payload out of its envelopes and nests and turns it into findings. Pure: no clock, no I/O.
#![warn(missing_docs)]

mod aws;
mod decode;
mod defender;
mod document;
mod event;
mod fields;
mod finding;
mod named;
mod ocsf;
mod refusal;
mod resource_id;
mod scc;
mod severity;
mod time;
mod transition;
mod write_back;

pub use decode::{CustomAction, Decoded, decode};
pub use document::Pieces;
pub use finding::{
    Compliance, Finding, Kind, Link, Remediation, Resource, Severity, Source, Status, Transition,
};
pub use named::named_by_hand;
pub use refusal::Refusal;
pub use transition::transition;
pub use write_back::{NOTES_SIGNED_BY, asff, is_own_write};
