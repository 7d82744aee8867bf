use crate::requirements::Requirements;
use quench_findings::Kind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many playbooks may be under way inside one another, the outermost included.
pub const DEEPEST_CALL: usize = 5;

/// Ordered steps with typed parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Playbook {
    /// Unique among playbooks: lower-case letters, digits and hyphens.
    pub name: String,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Kinds of finding it can work on.
    pub triggers: Vec<Kind>,
    /// What it needs to be set up.
    #[serde(default, skip_serializing_if = "Requirements::is_empty")]
    pub requires: Requirements,
    /// Parameters by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

/// A value that a playbook is started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// What may be given.
    #[serde(rename = "type")]
    pub parameter_type: ParameterType,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it must be given.
    #[serde(default)]
    pub required: bool,
    /// Value where none is given; text may hold templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only values allowed, where there are such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<Value>,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// Text.
    String,
    /// Whole number.
    Integer,
    /// Number.
    Number,
    /// True or false.
    Boolean,
    /// Length of time, such as `90s`, `15m`, `24h`, `7d`.
    Duration,
    /// Absolute `https` address.
    Url,
    /// One e-mail address.
    Email,
    /// One or more e-mail addresses.
    Emails,
    /// List of text.
    Strings,
    /// Name of a connection.
    Connection,
    /// Severity.
    Severity,
    /// Any mapping.
    Object,
}

/// One thing a playbook does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique within the playbook.
    pub id: String,
    /// What it does.
    pub kind: StepKind,
    /// Limit of one attempt; absent means the kind's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How transient failures are retried; absent means the kind's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What follows when it fails for good.
    #[serde(default)]
    pub on_error: OnError,
    /// What follows when nobody can tell whether it took effect; absent means the kind's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<OnUnknown>,
}

/// The kinds of step. Text marked as template may hold `{{ … }}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Sends mail.
    Email(EmailStep),
    /// Posts to Slack.
    Slack(SlackStep),
    /// Posts to Microsoft Teams.
    Teams(TeamsStep),
    /// Posts the finding, signed after Standard Webhooks.
    Webhook(WebhookStep),
    /// Makes any HTTP request.
    Http(HttpStep),
    /// Takes one of two ways.
    If(IfStep),
    /// Does steps for each item of a list.
    ForEach(ForEachStep),
    /// Sets variables: name to template or plain value.
    Set(Map<String, Value>),
    /// Pauses the run.
    Wait(WaitStep),
    /// Ends the run.
    Stop(StopStep),
    /// Does the steps of another playbook.
    Playbook(PlaybookStep),
    /// Plans a remediation of one resource and, as far as the mode allows, applies it.
    Remediate(RemediateStep),
    /// Asks people whether the run may go on.
    Approve(ApproveStep),
    /// Runs a runbook of Systems Manager Automation.
    Ssm(SsmStep),
    /// Invokes a Lambda function.
    Lambda(LambdaStep),
    /// Starts an execution of a state machine.
    StepFunctions(StepFunctionsStep),
    /// Writes back to the finding where it comes from.
    Finding(FindingStep),
}

impl StepKind {
    /// Says whether the mode of a run decides if it is done: planned or written down alone, asked for first, or done.
    #[must_use]
    pub fn follows_mode(&self) -> bool {
        matches!(
            self,
            Self::Remediate(_)
                | Self::Ssm(_)
                | Self::Lambda(_)
                | Self::StepFunctions(_)
                | Self::Finding(_)
        )
    }
}

/// Mail. All text is template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmailStep {
    /// Template that yields one address or a list, or a list of templates.
    pub to: Value,
    /// Likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cc: Option<Value>,
    /// One line.
    pub subject: String,
    /// Name of a built-in layout, `finding`; excludes `text` and `html`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Plain text body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// HTML body; values are escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// Slack message. All text is template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlackStep {
    /// Name of a `slack` connection.
    pub connection: String,
    /// Channel, where the connection is a bot and not a hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Message; absent means the built-in layout of a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Teams message. All text is template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeamsStep {
    /// Name of a `teams` connection.
    pub connection: String,
    /// Heading of the card; absent means the finding's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Body of the card; absent means the built-in layout of a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Signed webhook. All text is template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookStep {
    /// Name of a `webhook` connection.
    pub connection: String,
    /// Event type told to the receiver; absent means `finding.<transition>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// What is sent as `data`; absent means the finding without `raw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// HTTP request. All text is template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpStep {
    /// Name of an `http` connection; absent means none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// `GET`, `POST`, …
    pub method: String,
    /// Absolute address, or a path below the connection's address.
    pub url: String,
    /// Headers, name to template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query, name to template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Body as JSON; every text in it is template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Body as text; excludes `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Status codes that count as success; empty means 200–299.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<u16>,
    /// Header that carries the step's idempotency key, for services that know one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_header: Option<String>,
}

/// Two ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IfStep {
    /// Template of one expression; false, none, zero and empty take the second way.
    pub condition: String,
    /// First way.
    pub then: Vec<Step>,
    /// Second way.
    #[serde(default, rename = "else", skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Step>,
}

/// A loop, one item after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForEachStep {
    /// Template of one expression that yields a list.
    pub items: String,
    /// Name of the item in templates.
    #[serde(rename = "as")]
    pub name: String,
    /// The step fails if there are more items than this.
    pub max: usize,
    /// What is done for each.
    pub steps: Vec<Step>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitStep {
    /// Template that yields a length of time, such as `15m`.
    For(String),
    /// Template that yields an RFC 3339 time.
    Until(String),
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopStep {
    /// Template: why.
    pub reason: String,
    /// Whether the run counts as failed.
    #[serde(default)]
    pub failed: bool,
}

/// Another playbook's steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaybookStep {
    /// Its name.
    pub playbook: String,
    /// Values of its parameters; text is template.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
}

/// A remediation of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemediateStep {
    /// Name of the remediation.
    pub name: String,
    /// Template: ARN or id of the resource; absent means the one resource of the finding that the remediation takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Template: account of the resource, where its ARN does not say; absent means the finding's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Template: region of the resource, where its ARN does not say; absent means the finding's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What is said to the remediation; text is template.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// Who is asked first where the mode says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// How long the resource is read back until it is as planned; absent means two minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Duration>,
}

/// Who is asked, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Template that yields one address or a list, or a list of templates; absent means that nobody is told, and
    /// whoever may decide looks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// Template: what the people who are asked ought to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long an answer is waited for; absent means three days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Duration>,
}

/// A question to people, with what would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApproveStep {
    /// Who is asked, and for how long.
    #[serde(flatten)]
    pub approval: Approval,
    /// The remediation that is planned and shown; a later step that applies the same one does not ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate: Option<RemediateStep>,
}

/// A runbook of Systems Manager Automation. All text is template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SsmStep {
    /// Name or ARN of the document.
    pub document: String,
    /// Version of the document; absent means its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Parameters, name to one text or a list of texts.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Account that it runs in; absent means the finding's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Region that it runs in; absent means the finding's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Who is asked first where the mode says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// An invocation of a Lambda function. All text is template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LambdaStep {
    /// Name or ARN of the function.
    pub function: String,
    /// Version or alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    /// What it is called with, any JSON; absent means the finding without `raw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Whether the step ends as soon as the call is accepted.
    #[serde(default)]
    pub detached: bool,
    /// Who is asked first where the mode says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// An execution of a state machine. All text is template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepFunctionsStep {
    /// ARN of the state machine.
    pub state_machine: String,
    /// What it is started with, any JSON; absent means the finding without `raw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Whether the step ends as soon as the execution is started, and does not wait for its end.
    #[serde(default)]
    pub detached: bool,
    /// Who is asked first where the mode says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// What is written back to a finding of Security Hub. All text is template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindingStep {
    /// A note, at most 512 characters (API reference of Security Hub, `NoteUpdate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Workflow status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<WorkflowStatus>,
}

/// Where the people who work on a finding of Security Hub stand with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowStatus {
    /// Nobody has looked at it.
    New,
    /// Its owner was told.
    Notified,
    /// It was looked at and needs nothing.
    Suppressed,
    /// It was mended.
    Resolved,
}

/// How transient failures of a step are retried: exponential backoff with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// No further attempt starts later than this after the first.
    #[serde(rename = "for")]
    pub window: Duration,
    /// Attempts at most, the first included; absent means as many as fit the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Upper bound of the first pause.
    pub base: Duration,
    /// Upper bound of any pause.
    pub cap: Duration,
}

/// What follows when a step fails for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The run fails.
    #[default]
    Fail,
    /// The next step is taken.
    Continue,
}

/// What follows when nobody can tell whether a step took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// The step is done again, and the journal says so.
    Repeat,
    /// The run fails.
    Fail,
    /// The next step is taken.
    Continue,
}
