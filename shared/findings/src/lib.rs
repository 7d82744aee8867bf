//! Every source's payload, decoded into one shape: [`Finding`].
#![warn(missing_docs)]

mod finding;

pub use finding::{
    Compliance, Finding, Kind, Link, Remediation, Resource, Severity, Source, Status, Transition,
};
