//! The `finding` step: a note, and the workflow status, written back to a finding of Security Hub.

use crate::action::unrendered;
use crate::aws::{Aws, AwsError, Request, Service};
use crate::cloud::{Cloud, NoWay, Place, is_denied, refusal, run_of};
use crate::{ActionError, Attempt, Context, Outside, Performed, neutral};
use quench_automations::templates::{self, Escape};
use quench_automations::{FindingStep, WorkflowStatus};
use quench_findings::{NOTES_SIGNED_BY, asff};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

/// Most letters of a note (API reference of Security Hub, `NoteUpdate`).
const NOTE: usize = 512;

/// The IAM actions that it needs.
pub const PERMISSIONS: &[&str] = &["securityhub:GetFindings", "securityhub:BatchUpdateFindings"];

/// What is to be written to a finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WriteBack {
    /// By what Security Hub knows the finding.
    pub id: String,
    /// Which product found it, for Security Hub.
    pub product: String,
    /// The note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The workflow status, as Security Hub spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// Where the finding is.
    #[serde(flatten)]
    pub place: Place,
    /// The run that it belongs to.
    #[serde(skip)]
    pub run: String,
}

/// Renders a step.
///
/// # Errors
/// Templates that cannot be rendered, and a finding that did not come from Security Hub in its own format.
pub fn prepare(step: &FindingStep, context: &Context) -> Result<WriteBack, ActionError> {
    let note = step.note.as_deref().map(|note| {
        let note = templates::render(note, &context.all, Escape::None);
        note.map_err(unrendered("note"))
    });
    let note = note.transpose()?.map(|note| short(&neutral::text(&note)));
    let note = note.filter(|note| !note.is_empty());
    if note.is_none() && step.status.is_none() {
        return Err(ActionError::permanent(
            "there is nothing to write: `note` is empty, and there is no `status`",
        ));
    }
    let Some(finding) = asff(&context.all["raw"]) else {
        return Err(ActionError::permanent(
            "the finding did not come from Security Hub in the AWS Security Finding Format, so there is nothing to write to",
        ));
    };
    let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    Ok(WriteBack {
        id: text("Id"),
        product: text("ProductArn"),
        note,
        status: step.status.map(spelled),
        place: Place::read(None, None, context)?,
        run: run_of(context),
    })
}

fn spelled(status: WorkflowStatus) -> &'static str {
    match status {
        WorkflowStatus::New => "NEW",
        WorkflowStatus::Notified => "NOTIFIED",
        WorkflowStatus::Suppressed => "SUPPRESSED",
        WorkflowStatus::Resolved => "RESOLVED",
    }
}

/// A note that Security Hub takes.
fn short(text: &str) -> String {
    let text = text.trim();
    if text.chars().count() <= NOTE {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(NOTE - 1).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// Writes what the finding does not say yet. Security Hub may take minutes until it says so.
///
/// # Errors
/// There is no such finding any more; what Security Hub answers.
pub async fn perform(
    write_back: &WriteBack,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let cloud = outside.cloud()?;
    let late = || ActionError::transient("Security Hub did not answer in time");
    let work = async {
        let (aws, found) = write_back.reach(cloud).await?;
        write_back.write(&aws, &found).await
    };
    let done = tokio::time::timeout(attempt.timeout, work).await;
    done.map_err(|_| late())?
}

impl WriteBack {
    /// Finds the finding in its account as the role, where one is named that may; else by the own credentials, which may
    /// be those of the account that administers Security Hub for the finding's.
    async fn reach(&self, cloud: &Cloud) -> Result<(Aws, Value), ActionError> {
        let mut refused: Option<ActionError> = None;
        if cloud.has_role() {
            let policy = |partition: &str| self.policy(partition);
            match cloud.call(&self.place, policy, &self.run).await {
                Ok(aws) => match self.present(&aws).await {
                    Err(error) if is_denied(&error) => {
                        refused = Some(refusal(&error, PERMISSIONS[0], true));
                    }
                    found => return self.found(aws, found),
                },
                Err(no_way @ NoWay::Refused { .. }) => refused = Some(no_way.into()),
                Err(no_way) => return Err(no_way.into()),
            }
        }
        let aws = cloud.own(&self.place.region)?;
        match (self.present(&aws).await, refused) {
            (Err(error), Some(refused)) if is_denied(&error) => Err(refused),
            (found, _) => self.found(aws, found),
        }
    }

    fn found(
        &self,
        aws: Aws,
        found: Result<Option<Value>, AwsError>,
    ) -> Result<(Aws, Value), ActionError> {
        let found = found.map_err(|error| refusal(&error, PERMISSIONS[0], true))?;
        let found = found.ok_or_else(|| {
            ActionError::permanent(format!(
                "Security Hub of account {} has no such finding in {}",
                self.place.account, self.place.region
            ))
        })?;
        Ok((aws, found))
    }

    fn policy(&self, partition: &str) -> Value {
        let Place { account, region } = &self.place;
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Action": PERMISSIONS,
                "Resource": format!("arn:{partition}:securityhub:{region}:{account}:hub/default"),
            }],
        })
    }

    async fn write(&self, aws: &Aws, found: &Value) -> Result<Performed, ActionError> {
        let said = |path: &str| found.pointer(path).and_then(Value::as_str);
        // Every write sends the finding again.
        let note = self.note.as_deref();
        let note = note.filter(|note| said("/Note/Text") != Some(note));
        let status = self.status;
        let status = status.filter(|status| said("/Workflow/Status") != Some(status));
        if note.is_none() && status.is_none() {
            return Ok(self.told("the finding says so already", false));
        }
        let mut body = json!({
            "FindingIdentifiers": [{ "Id": self.id, "ProductArn": self.product }],
        });
        if let Some(status) = status {
            body["Workflow"] = json!({ "Status": status });
        }
        // A note tells the event that follows from others. It is repeated for that where it is ours, and one that
        // somebody else wrote is not overwritten for it.
        let own = said("/Note/UpdatedBy") == Some(NOTES_SIGNED_BY);
        let signature = match (note, said("/Note/Text")) {
            (Some(note), _) => Some(note.to_owned()),
            (None, Some(text)) if own => Some(text.to_owned()),
            (None, Some(_)) => None,
            (None, None) => status.map(|status| format!("Workflow status set to {status}.")),
        };
        if let Some(text) = signature {
            body["Note"] = json!({ "Text": text, "UpdatedBy": NOTES_SIGNED_BY });
        }
        let request = Request::new(Method::PATCH, &["findings", "batchupdate"]).with_json(&body);
        let answer = aws.rest(Service::SecurityHub, "BatchUpdateFindings", request);
        let answer = answer
            .await
            .map_err(|error| refusal(&error, PERMISSIONS[1], true))?;
        match answer["UnprocessedFindings"].get(0) {
            Some(refused) => Err(unprocessed(refused)),
            None => Ok(self.told("written to the finding", true)),
        }
    }

    /// The finding as Security Hub has it.
    async fn present(&self, aws: &Aws) -> Result<Option<Value>, AwsError> {
        let equals = |value: &str| json!([{ "Comparison": "EQUALS", "Value": value }]);
        let body = json!({
            "Filters": { "Id": equals(&self.id), "ProductArn": equals(&self.product) },
            "MaxResults": 1,
        });
        let request = Request::new(Method::POST, &["findings"]).with_json(&body);
        let answer = aws.rest(Service::SecurityHub, "GetFindings", request).await;
        Ok(answer?["Findings"].get_mut(0).map(Value::take))
    }

    fn told(&self, summary: &str, written: bool) -> Performed {
        Performed {
            summary: summary.to_owned(),
            output: json!({
                "written": written,
                "note": self.note,
                "status": self.status,
            }),
        }
    }
}

/// API reference of Security Hub, `BatchUpdateFindingsUnprocessedFinding`.
fn unprocessed(refused: &Value) -> ActionError {
    let text = |name: &str| neutral::line(refused[name].as_str().unwrap_or_default(), 200);
    let (code, message) = (text("ErrorCode"), text("ErrorMessage"));
    let reason = format!("Security Hub did not write to the finding: {code}: {message}");
    match code.as_str() {
        "ConcurrentUpdateError" | "InternalFailure" => ActionError::transient(reason),
        _ => ActionError::permanent(reason),
    }
}
