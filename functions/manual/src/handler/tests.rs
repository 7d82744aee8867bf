use super::*;
use lambda_runtime::Context;
use quench_app::{Config, Page, Run, RunFilter, StartedBy, catalog, intake::intake};
use quench_automations::{Library, SourceFile, load};
use tempfile::TempDir;

const ALERT: &str = include_str!("../../tests/data/alert.json");
const POST_RUNS: &str = include_str!("../../tests/data/post-runs.json");
const FINDING: &str = "0123456789abcdef0123456789abcdef";

const FILES: &str = "
playbook: note-it
triggers: [alert, recommendation, compliance]
steps:
  - id: end
    stop: { reason: noted }
";

async fn open(folder: &TempDir) -> App {
    let app = App::open(Config::local(folder.path())).await.unwrap();
    let file = SourceFile {
        path: "note.yaml".to_owned(),
        text: FILES.to_owned(),
    };
    let definitions = load(&[file], &Library::default()).unwrap();
    catalog::apply(&app, definitions).await.unwrap();
    intake(&app, ALERT.as_bytes()).await.unwrap();
    app
}

async fn invoke(app: &App, payload: Value) -> Result<Value, Diagnostic> {
    let event = LambdaEvent::new(payload, Context::default());
    handle(app, event).await.map_err(Diagnostic::from)
}

async fn runs(app: &App) -> Vec<Run> {
    let all = Page {
        limit: 100,
        skip: 0,
    };
    app.store.runs(&RunFilter::default(), all).await.unwrap()
}

fn by(run: &Run) -> &str {
    match &run.started_by {
        StartedBy::Manual { by } => by,
        StartedBy::Automation { .. } => panic!("no automation is here"),
    }
}

#[tokio::test]
async fn a_request_of_the_gateway_is_answered_in_its_form_with_the_name_of_who_asks() {
    let folder = TempDir::new().unwrap();
    let app = open(&folder).await;
    let mut request: Value = serde_json::from_str(POST_RUNS).unwrap();
    let response = invoke(&app, request.clone()).await.unwrap();
    assert_eq!(response["statusCode"], 202, "{response}");
    assert!(
        response["headers"]["location"]
            .as_str()
            .unwrap()
            .starts_with("/runs/")
    );
    request["requestContext"]["authorizer"] = json!({"iam": {
        "accessKey": "ASIAEXAMPLE", "accountId": "111122223333", "callerId": "AROAEXAMPLE:bert",
        "cognitoIdentity": null, "principalOrgId": null,
        "userArn": "arn:aws:sts::111122223333:assumed-role/operator/bert", "userId": "AROAEXAMPLE:bert",
    }});
    assert_eq!(
        invoke(&app, request.clone()).await.unwrap()["statusCode"],
        202
    );
    let runs = runs(&app).await;
    let mut names: Vec<&str> = runs.iter().map(by).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "anna@example.com (1234)",
            "arn:aws:sts::111122223333:assumed-role/operator/bert"
        ]
    );
    let context = request["requestContext"].as_object_mut().unwrap();
    context.remove("authorizer");
    let response = invoke(&app, request).await.unwrap();
    assert_eq!(response["statusCode"], 401);
}

#[tokio::test]
async fn an_invocation_is_answered_with_the_run_or_a_typed_error() {
    let folder = TempDir::new().unwrap();
    let app = open(&folder).await;
    let asked = json!({"playbook": "note-it", "finding": FINDING, "key": "1"});
    let run = invoke(&app, asked.clone()).await.unwrap();
    assert_eq!(run["state"]["is"], "queued");
    assert_eq!(invoke(&app, asked).await.unwrap()["id"], run["id"]);
    for (asked, name) in [
        (
            json!({"playbook": "note-if", "finding": FINDING}),
            "UnknownPlaybook",
        ),
        (
            json!({"playbook": "note-it", "finding": "1"}),
            "UnknownFinding",
        ),
        (
            json!({"playbook": "note-it", "finding": FINDING, "with": {"to": "x"}}),
            "InvalidParameters",
        ),
        (json!({"requestContext": {}}), "InvalidRequest"),
        (json!(null), "InvalidRequest"),
    ] {
        let refused = invoke(&app, asked).await.unwrap_err();
        assert_eq!(refused.error_type, name, "{}", refused.error_message);
    }
    assert_eq!(runs(&app).await.len(), 1);
}

#[tokio::test]
async fn a_custom_action_delivered_twice_starts_its_playbook_once_for_each_finding() {
    let folder = TempDir::new().unwrap();
    let app = open(&folder).await;
    let finding = |id: &str| {
        json!({
            "SchemaVersion": "2018-10-08", "Id": format!("arn:aws:securityhub:eu-west-1:111122223333:x/finding/{id}"),
            "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/securityhub",
            "GeneratorId": "g", "AwsAccountId": "111122223333", "Types": ["Software and Configuration Checks"],
            "CreatedAt": "2027-01-01T00:00:00Z", "UpdatedAt": "2027-01-01T00:00:00Z",
            "Severity": {"Label": "HIGH"}, "Title": "t", "Description": "d",
            "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::b"}],
            "Compliance": {"Status": "FAILED"}, "WorkflowState": "NEW", "Workflow": {"Status": "NEW"},
            "RecordState": "ACTIVE",
        })
    };
    let event = json!({
        "version": "0", "id": "6f0f3f0a-6a0c-4f3b-8a57-0d4a2f5b9c11",
        "detail-type": "Security Hub Findings - Custom Action", "source": "aws.securityhub",
        "account": "111122223333", "time": "2027-01-01T00:00:00Z", "region": "eu-west-1",
        "resources": ["arn:aws:securityhub:eu-west-1:111122223333:action/custom/NoteIt"],
        "detail": {
            "actionName": "Note", "actionDescription": "Note it",
            "findings": [finding("1"), finding("2")],
        },
    });
    let pressed = invoke(&app, event.clone()).await.unwrap();
    assert_eq!(pressed["playbook"], "note-it");
    assert_eq!(pressed["runs"].as_array().unwrap().len(), 2);
    invoke(&app, event.clone()).await.unwrap();
    assert_eq!(runs(&app).await.len(), 2);
    let mut other = event;
    other["resources"] = json!(["arn:aws:securityhub:eu-west-1:111122223333:action/custom/Mend"]);
    let refused = invoke(&app, other).await.unwrap_err();
    assert_eq!(refused.error_type, "UnknownPlaybook");
}

#[tokio::test]
async fn a_request_that_is_none_is_answered_so() {
    let folder = TempDir::new().unwrap();
    let app = open(&folder).await;
    let mut request: Value = serde_json::from_str(POST_RUNS).unwrap();
    request["body"] = json!("e30");
    request["isBase64Encoded"] = json!(true);
    assert_eq!(
        invoke(&app, request.clone()).await.unwrap()["statusCode"],
        400
    );
    request["headers"] = json!("none");
    assert_eq!(invoke(&app, request).await.unwrap()["statusCode"], 400);
}
