//! Automations, playbooks and connections: YAML in, checked model out.
#![warn(missing_docs)]

mod automation;
mod connection;
mod organization;
mod playbook;

pub use automation::{Automation, AutomationTest, Mode, PlaybookCall};
pub use connection::{Auth, Connection, ConnectionKind};
pub use organization::Organization;
pub use playbook::{
    EmailStep, ForEachStep, HttpStep, IfStep, OnError, OnUnknown, Parameter, ParameterType,
    Playbook, PlaybookStep, Requirements, Retry, SlackStep, Step, StepKind, StopStep, TeamsStep,
    WaitStep, WebhookStep,
};
