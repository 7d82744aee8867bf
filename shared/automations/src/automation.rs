use crate::guards::Guards;
use jiff::Timestamp;
use quench_findings::{Kind, Transition};
use quench_matching::Condition;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A rule: which findings start which playbooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Automation {
    /// Unique among automations: lower-case letters, digits and hyphens.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The kind of finding it listens to.
    pub trigger: Kind,
    /// Transitions it fires on; empty means the default of its trigger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<Transition>,
    /// Whether parts of a finding fire it as well.
    #[serde(default)]
    pub sub_findings: bool,
    /// Scope patterns; empty means everywhere. A leading `!` excludes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Condition sets: in a set all must hold, of the sets any; empty means always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Vec<Condition>>,
    /// What it starts, in this order.
    pub run: Vec<PlaybookCall>,
    /// How far its remediations may go; absent means that they are only planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What keeps its remediations from doing too much.
    #[serde(default, skip_serializing_if = "Guards::is_empty")]
    pub guards: Guards,
    /// Lower goes first among the automations that match one finding.
    #[serde(default = "default_order")]
    pub order: i64,
    /// From then on it no longer fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether it fires at all.
    #[serde(default = "default_enabled")]
    pub enabled: bool,
    /// Examples that its author wrote down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<AutomationTest>,
}

fn default_order() -> i64 {
    100
}

fn default_enabled() -> bool {
    true
}

/// One playbook that an automation starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaybookCall {
    /// Name of the playbook.
    pub playbook: String,
    /// Values of its parameters; text may hold templates.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
}

/// How far the remediations of an automation may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Plan and record, change nothing.
    Observe,
    /// Ask first.
    Approve,
    /// Act.
    Enforce,
}

/// An example: a finding, and what the automation is expected to do with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AutomationTest {
    /// Path of a payload file, relative to the automation's file, or of a built-in sample.
    pub finding: String,
    /// Whether the automation matches it.
    pub matches: bool,
    /// What the mail must look like, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Value>,
}
