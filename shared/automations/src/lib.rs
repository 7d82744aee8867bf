//! Automations, playbooks and connections: YAML in, checked model out.
#![warn(missing_docs)]

mod address;
mod automation;
mod bind;
mod connection;
mod diagnostics;
mod duration;
mod fires;
mod gallery;
mod guards;
mod load;
mod nearest;
mod organization;
mod playbook;
pub mod remediation;
mod requirements;
mod rulebook;
pub mod samples;
pub mod scope;
mod secrets;
pub mod templates;
mod version;
mod yaml;

pub use automation::{Automation, AutomationTest, Mode, PlaybookCall};
pub use bind::ParameterFault;
pub use connection::{Auth, Connection, ConnectionKind};
pub use diagnostics::{Diagnostic, Diagnostics, Gravity, Related};
pub use duration::parse_duration;
pub use fires::fires;
pub use gallery::{Template, gallery};
pub use guards::{Blackout, Day, Exempt, Guards, InvalidExemption};
pub use load::{Definitions, Library, Loaded, SourceFile, load};
pub use nearest::nearest;
pub use organization::Organization;
pub use playbook::{
    Approval, ApproveStep, DEEPEST_CALL, EmailStep, FindingStep, ForEachStep, HttpStep, IfStep,
    LambdaStep, OnError, OnUnknown, Parameter, ParameterType, Playbook, PlaybookStep,
    RemediateStep, Retry, SlackStep, SsmStep, Step, StepFunctionsStep, StepKind, StopStep,
    TeamsStep, WaitStep, WebhookStep, WorkflowStatus,
};
pub use requirements::Requirements;
pub use rulebook::{Gate, GateKind, InvalidAutomation, Match, Rulebook, Verdict};
pub use secrets::{names_credential, names_secret};
pub use version::version;
