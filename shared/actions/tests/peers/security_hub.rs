//! Write-back to Security Hub, whose findings no emulator reads and updates: a small fake that keeps to the API reference.

use crate::automation::{OWN, identity};
use crate::aws_emulator::aws_of;
use crate::aws_faults::variables;
use crate::http_server::{Conduct, Handler, HttpServer, Received, answer};
use crate::setting::{attempt, context, outside_in, permanent};
use quench_actions::aws::Limits;
use quench_actions::cloud::{Cloud, Entrance, RoleName};
use quench_actions::{Action, ActionError, Context, Outside, Performed, Secrets, perform, prepare};
use quench_automations::{FindingStep, StepKind, WorkflowStatus};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ID: &str = "arn:aws:securityhub:eu-central-1:111122223333:subscription/x/finding/1";
const PRODUCT: &str = "arn:aws:securityhub:eu-central-1::product/aws/securityhub";

#[derive(Default)]
struct State {
    findings: Vec<Value>,
    /// What the next writes say of themselves.
    unprocessed: Option<&'static str>,
    /// Operations that are refused, with a code.
    refuses: Option<(&'static str, u16, &'static str)>,
    /// Whether the next write takes effect and its answer is lost.
    loses_a_write: bool,
}

#[derive(Clone)]
struct Hub {
    server: HttpServer,
    state: Arc<Mutex<State>>,
}

impl Hub {
    async fn start(findings: Vec<Value>) -> Self {
        let state = Arc::new(Mutex::new(State {
            findings,
            ..State::default()
        }));
        let kept = Arc::clone(&state);
        let handler =
            Handler::new(move |request| identity(request).or_else(|| serve(request, &kept)));
        Self {
            server: HttpServer::start(Conduct::Handles(handler)).await,
            state,
        }
    }

    fn outside(&self) -> Outside {
        let aws = aws_of(&variables(&self.server.url(""))).with_limits(Limits {
            attempts: 1,
            ..Limits::default()
        });
        outside_in(Cloud::new(aws, Entrance::default(), Secrets::Process))
    }

    fn writes(&self) -> Vec<Value> {
        let requests = self.server.requests();
        let writes = requests
            .iter()
            .filter(|request| request.line().starts_with("PATCH"));
        writes
            .map(|request| serde_json::from_slice(&request.body).unwrap())
            .collect()
    }

    fn finding(&self) -> Value {
        self.state.lock().unwrap().findings[0].clone()
    }
}

fn refused(status: u16, code: &str, message: &str) -> Vec<u8> {
    let body = json!({ "Code": code, "Message": message }).to_string();
    answer(status, &format!("x-amzn-errortype: {code}\r\n"), &body)
}

fn serve(request: &Received, state: &Mutex<State>) -> Option<Vec<u8>> {
    let mut state = state.lock().unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let line = request.line().trim_end_matches(" HTTP/1.1").to_owned();
    if let Some((operation, status, code)) = state.refuses
        && operation == line
    {
        return Some(refused(status, code, "scripted"));
    }
    let ok = |body: &Value| Some(answer(200, "", &body.to_string()));
    match line.as_str() {
        "POST /findings" => {
            let wanted = |name: &str| {
                let filter = &body["Filters"][name][0];
                assert_eq!(filter["Comparison"], "EQUALS");
                filter["Value"].clone()
            };
            let (id, product) = (wanted("Id"), wanted("ProductArn"));
            let is = |finding: &&Value| finding["Id"] == id && finding["ProductArn"] == product;
            let found: Vec<&Value> = state.findings.iter().filter(is).collect();
            ok(&json!({ "Findings": found }))
        }
        "PATCH /findings/batchupdate" => {
            let identifiers = body["FindingIdentifiers"].as_array().unwrap().clone();
            let text = body["Note"]["Text"].as_str();
            let is_invalid = body.get("Note").is_some()
                && (text.is_none_or(|text| text.is_empty() || text.chars().count() > 512)
                    || body["Note"]["UpdatedBy"].as_str().is_none_or(str::is_empty));
            let status = body["Workflow"]["Status"].as_str();
            let known = ["NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED"];
            if is_invalid || status.is_some_and(|status| !known.contains(&status)) {
                return Some(refused(400, "InvalidInputException", "not valid"));
            }
            let code = state.unprocessed.take();
            let (mut processed, mut unprocessed) = (Vec::new(), Vec::new());
            for identifier in identifiers {
                let is = |finding: &&mut Value| {
                    finding["Id"] == identifier["Id"]
                        && finding["ProductArn"] == identifier["ProductArn"]
                };
                let found = state.findings.iter_mut().find(is);
                match (found, code) {
                    (Some(finding), None) => {
                        if let Some(status) = status {
                            finding["Workflow"] = json!({ "Status": status });
                        }
                        if let Some(note) = body.get("Note") {
                            finding["Note"] = note.clone();
                        }
                        processed.push(identifier);
                    }
                    (_, code) => unprocessed.push(json!({
                        "FindingIdentifier": identifier,
                        "ErrorCode": code.unwrap_or("FindingNotFound"),
                        "ErrorMessage": "scripted",
                    })),
                }
            }
            if std::mem::take(&mut state.loses_a_write) {
                return None;
            }
            ok(&json!({ "ProcessedFindings": processed, "UnprocessedFindings": unprocessed }))
        }
        other => Some(refused(404, "UnknownOperationException", other)),
    }
}

fn asff(status: &str, note: Option<(&str, &str)>) -> Value {
    let mut finding = json!({
        "Id": ID,
        "ProductArn": PRODUCT,
        "AwsAccountId": OWN,
        "Workflow": { "Status": status },
    });
    if let Some((by, text)) = note {
        finding["Note"] = json!({ "Text": text, "UpdatedBy": by });
    }
    finding
}

fn about(raw: Value) -> Context {
    let mut context = context(json!({}));
    context.all["raw"] = raw;
    context
}

fn known() -> Context {
    about(json!({ "detail": { "findings": [asff("NEW", None)] } }))
}

fn step(note: Option<&str>, status: Option<WorkflowStatus>) -> StepKind {
    StepKind::Finding(FindingStep {
        note: note.map(str::to_owned),
        status,
    })
}

async fn write(hub: &Hub, step: &StepKind) -> Result<Performed, ActionError> {
    let action: Action = prepare(step, &known()).unwrap().unwrap();
    perform(&action, &hub.outside(), &attempt(Duration::from_secs(60))).await
}

#[tokio::test]
async fn a_note_and_a_status_are_written_once() {
    let hub = Hub::start(vec![asff("NEW", None)]).await;
    let step = step(
        Some("closed by {{ run.id }}"),
        Some(WorkflowStatus::Resolved),
    );
    let done = write(&hub, &step).await.unwrap();
    assert_eq!(
        done.output,
        json!({ "written": true, "note": "closed by 0f3c9a7be1d24c55", "status": "RESOLVED" })
    );
    assert_eq!(hub.finding()["Workflow"]["Status"], "RESOLVED");
    assert_eq!(
        hub.finding()["Note"],
        json!({ "Text": "closed by 0f3c9a7be1d24c55", "UpdatedBy": "Quench" })
    );
    let again = write(&hub, &step).await.unwrap();
    assert_eq!(again.output["written"], false);
    assert_eq!(hub.writes().len(), 1);
}

#[tokio::test]
async fn only_what_the_finding_does_not_say_is_written() {
    let hub = Hub::start(vec![asff("NOTIFIED", None)]).await;
    let both = step(Some("on it"), Some(WorkflowStatus::Notified));
    write(&hub, &both).await.unwrap();
    assert_eq!(hub.writes()[0].get("Workflow"), None);
}

#[tokio::test]
async fn a_status_alone_is_signed_without_overwriting_what_people_wrote() {
    for (note, expected) in [
        (
            None,
            json!({ "Text": "Workflow status set to RESOLVED.", "UpdatedBy": "Quench" }),
        ),
        (
            Some(("Quench", "before")),
            json!({ "Text": "before", "UpdatedBy": "Quench" }),
        ),
        (Some(("somebody", "before")), Value::Null),
    ] {
        let hub = Hub::start(vec![asff("NEW", note)]).await;
        write(&hub, &step(None, Some(WorkflowStatus::Resolved)))
            .await
            .unwrap();
        let writes = hub.writes();
        assert_eq!(writes[0].get("Note").cloned().unwrap_or_default(), expected);
        assert_eq!(writes[0]["Workflow"]["Status"], "RESOLVED");
    }
}

#[tokio::test]
async fn a_long_note_is_cut_and_holds_nothing_that_steers() {
    let hub = Hub::start(vec![asff("NEW", None)]).await;
    let long = format!("a\u{202e}\u{7}b{}", "ü".repeat(600));
    write(&hub, &step(Some(&long), None)).await.unwrap();
    let note = hub.finding()["Note"]["Text"].as_str().unwrap().to_owned();
    assert_eq!(note.chars().count(), 512);
    assert!(note.starts_with("abü") && note.ends_with('…'), "{note}");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_made_twice() {
    let hub = Hub::start(vec![asff("NEW", None)]).await;
    hub.state.lock().unwrap().loses_a_write = true;
    let step = step(Some("done"), Some(WorkflowStatus::Resolved));
    let lost = write(&hub, &step).await.unwrap_err();
    assert!(matches!(lost, ActionError::Transient { .. }), "{lost:?}");
    let again = write(&hub, &step).await.unwrap();
    assert_eq!(again.output["written"], false);
    assert_eq!(hub.writes().len(), 1);
}

#[tokio::test]
async fn what_is_not_processed_is_told_by_its_code() {
    for (code, transient) in [
        ("ConcurrentUpdateError", true),
        ("InternalFailure", true),
        ("InvalidInput", false),
        ("FindingNotFound", false),
        ("FindingSizeExceeded", false),
    ] {
        let hub = Hub::start(vec![asff("NEW", None)]).await;
        hub.state.lock().unwrap().unprocessed = Some(code);
        let error = write(&hub, &step(Some("x"), None)).await.unwrap_err();
        assert_eq!(
            matches!(error, ActionError::Transient { .. }),
            transient,
            "{error:?}"
        );
        assert!(error.to_string().contains(code), "{error}");
    }
}

#[tokio::test]
async fn refusals_name_what_is_not_allowed() {
    for (operation, status, code, transient, told) in [
        (
            "POST /findings",
            403,
            "AccessDeniedException",
            false,
            "`securityhub:GetFindings` is not allowed",
        ),
        (
            "PATCH /findings/batchupdate",
            403,
            "AccessDeniedException",
            false,
            "`securityhub:BatchUpdateFindings` is not allowed",
        ),
        (
            "POST /findings",
            429,
            "LimitExceededException",
            true,
            "LimitExceededException",
        ),
        (
            "POST /findings",
            401,
            "InvalidAccessException",
            false,
            "InvalidAccessException",
        ),
    ] {
        let hub = Hub::start(vec![asff("NEW", None)]).await;
        hub.state.lock().unwrap().refuses = Some((operation, status, code));
        let error = write(&hub, &step(Some("x"), None)).await.unwrap_err();
        assert_eq!(
            matches!(error, ActionError::Transient { .. }),
            transient,
            "{error:?}"
        );
        assert!(error.to_string().contains(told), "{error}");
    }
    let hub = Hub::start(Vec::new()).await;
    let told = permanent(write(&hub, &step(Some("x"), None)).await);
    assert!(told.contains("has no such finding"), "{told}");
}

/// A hub that lets in who comes by some keys alone, and STS beside it.
async fn guarded(admits: &'static str) -> (Hub, Outside) {
    let hub = Hub::start(vec![asff("NEW", None)]).await;
    let state = Arc::clone(&hub.state);
    let handler = Handler::new(move |request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        if form.contains("Action=AssumeRole") {
            let expires = jiff::Timestamp::now() + Duration::from_secs(900);
            let xml = format!(
                "<R><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>y</SessionToken><Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></R>"
            );
            return Some(answer(200, "content-type: text/xml\r\n", &xml));
        }
        identity(request).or_else(|| {
            let signature = request.header("authorization").unwrap();
            match signature.contains(&format!("Credential={admits}")) {
                true => serve(request, &state),
                false => Some(refused(403, "AccessDeniedException", "not you")),
            }
        })
    });
    let server = HttpServer::start(Conduct::Handles(handler)).await;
    let aws = aws_of(&variables(&server.url("")));
    let entrance = Entrance {
        role: RoleName::parse("quench").ok(),
        external_id: None,
    };
    (hub, outside_in(Cloud::new(aws, entrance, Secrets::Process)))
}

#[tokio::test]
async fn the_finding_is_reached_as_the_role_or_by_the_account_that_administers() {
    for admits in ["ASIA", "AKIDEXAMPLE", "nobody"] {
        let (hub, outside) = guarded(admits).await;
        let mut context = known();
        context.all["finding"]["account"] = json!("444455556666");
        let action = prepare(&step(Some("x"), None), &context).unwrap().unwrap();
        let done = perform(&action, &outside, &attempt(Duration::from_secs(60))).await;
        if admits == "nobody" {
            let told = permanent(done);
            assert!(
                told.contains("`securityhub:GetFindings` is not allowed"),
                "{told}"
            );
        } else {
            done.unwrap();
            assert_eq!(hub.finding()["Note"]["Text"], "x");
        }
    }
}

#[test]
fn findings_of_others_and_empty_notes_are_refused() {
    let note = step(Some("x"), None);
    for raw in [
        json!({ "detail": { "id": "3ab0", "service": {} } }),
        json!({ "detail": { "finding_info": { "uid": "x" } } }),
        json!({ "SystemAlertId": "x" }),
    ] {
        let told = prepare(&note, &about(raw)).unwrap_err().to_string();
        assert!(told.contains("did not come from Security Hub"), "{told}");
    }
    let told = prepare(&step(Some(" \n"), None), &known())
        .unwrap_err()
        .to_string();
    assert!(told.contains("nothing to write"), "{told}");
}
