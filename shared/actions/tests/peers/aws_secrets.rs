use crate::aws_emulator::aws_of;
use crate::aws_faults::variables;
use crate::http_server::{Conduct, HttpServer, answer};
use crate::setting::{attempt, context, outside, slack};
use quench_actions::aws::{Aws, Service};
use quench_actions::secrets::{Keeping, SecretError, Vault};
use quench_actions::{ActionError, Secrets, perform, prepare};
use quench_automations::ConnectionKind;
use quench_emulator::Emulator;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

async fn read(secrets: &Secrets, reference: &str) -> Result<String, SecretError> {
    let secret = secrets.resolve(reference).await?;
    Ok(secret.expose_secret().to_owned())
}

async fn create(aws: &Aws, name: &str, text: &str) -> Value {
    let body = json!({ "Name": name, "SecretString": text });
    aws.json(Service::SecretsManager, "CreateSecret", &body)
        .await
        .unwrap()
}

pub(crate) async fn secrets_and_parameters_are_read(aws: &Aws) {
    let made = create(
        aws,
        "quench/slack",
        r#"{"bot":"xoxb-1","hook":"https://example.com/"}"#,
    )
    .await;
    create(aws, "plain", "text with a line break\n").await;
    for (name, kind) in [("/quench/token", "SecureString"), ("short", "String")] {
        let body = json!({ "Name": name, "Value": format!("value of {name}"), "Type": kind });
        aws.json(Service::Ssm, "PutParameter", &body).await.unwrap();
    }
    let binary = json!({ "Name": "binary", "SecretBinary": "AAEC" });
    aws.json(Service::SecretsManager, "CreateSecret", &binary)
        .await
        .unwrap();
    let secrets = Secrets::aws(aws);
    let arn = format!(
        "secret://secretsmanager/{}#bot",
        made["ARN"].as_str().unwrap()
    );
    for (reference, value) in [
        ("secret://secretsmanager/quench/slack#bot", "xoxb-1"),
        (
            "secret://secretsmanager/quench/slack#hook",
            "https://example.com/",
        ),
        (arn.as_str(), "xoxb-1"),
        ("secret://secretsmanager/plain", "text with a line break"),
        ("secret://ssm/quench/token", "value of /quench/token"),
        ("secret://ssm//quench/token", "value of /quench/token"),
        ("secret://ssm/short", "value of short"),
    ] {
        assert_eq!(
            read(&secrets, reference).await.unwrap(),
            value,
            "{reference}"
        );
    }
    for reference in [
        "secret://secretsmanager/nothing",
        "secret://ssm/nothing/here",
    ] {
        let missing = SecretError::Missing(reference.to_owned());
        assert_eq!(read(&secrets, reference).await.unwrap_err(), missing);
    }
    for (reference, why) in [
        (
            "secret://secretsmanager/quench/slack#none",
            "no field `none`",
        ),
        ("secret://secretsmanager/plain#bot", "no JSON object"),
        ("secret://secretsmanager/binary", "no text"),
    ] {
        let error = read(&secrets, reference).await.unwrap_err();
        assert!(matches!(error, SecretError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let path = std::env::var("PATH").unwrap();
    assert_eq!(read(&secrets, "secret://env/PATH").await.unwrap(), path);
    assert!(!format!("{secrets:?}").contains("xoxb-1"));
}

pub(crate) async fn a_secret_that_may_not_be_read_is_told(emulator: &Emulator, root: &Aws) {
    create(root, "closed", "hunter2").await;
    root.query(Service::Iam, "CreateUser", &[("UserName", "nobody")])
        .await
        .unwrap();
    let key = root
        .query(Service::Iam, "CreateAccessKey", &[("UserName", "nobody")])
        .await
        .unwrap();
    let text = |name: &str| {
        let path = format!("CreateAccessKeyResult/AccessKey/{name}");
        key.text_at(&path).unwrap().to_owned()
    };
    let nobody = aws_of(&[
        ("AWS_REGION", quench_emulator::REGION.to_owned()),
        ("AWS_ENDPOINT_URL", emulator.endpoint()),
        ("AWS_ACCESS_KEY_ID", text("AccessKeyId")),
        ("AWS_SECRET_ACCESS_KEY", text("SecretAccessKey")),
    ]);
    let error = read(&Secrets::aws(&nobody), "secret://secretsmanager/closed")
        .await
        .unwrap_err();
    assert!(matches!(error, SecretError::Denied { .. }), "{error:?}");
    assert!(!error.is_transient());
}

fn value(text: &str) -> Vec<u8> {
    answer(200, "", &json!({ "SecretString": text }).to_string())
}

async fn against(conduct: Conduct) -> (Secrets, HttpServer) {
    keeping(conduct, Keeping::default()).await
}

async fn keeping(conduct: Conduct, keeping: Keeping) -> (Secrets, HttpServer) {
    let server = HttpServer::start(conduct).await;
    let aws = aws_of(&variables(&server.url("")));
    let vault = Vault::new(&aws, keeping);
    (Secrets::Aws(Arc::new(vault)), server)
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_request_and_so_do_the_fields_of_one_secret() {
    let (secrets, server) = against(Conduct::Says(value(r#"{"a":"1","b":"2"}"#))).await;
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let secrets = secrets.clone();
            let field = if number % 2 == 0 { "a" } else { "b" };
            tokio::spawn(async move {
                read(&secrets, &format!("secret://secretsmanager/x#{field}")).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn many_who_ask_in_vain_cause_one_request() {
    let no = answer(
        400,
        "",
        r#"{"__type":"AccessDeniedException","message":"no"}"#,
    );
    let (secrets, server) = against(Conduct::Says(no)).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let secrets = secrets.clone();
            tokio::spawn(async move { read(&secrets, "secret://secretsmanager/x").await })
        })
        .collect();
    for task in tasks {
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error, SecretError::Denied { .. }), "{error:?}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_service_that_is_away_makes_the_step_come_again() {
    let (secrets, server) = against(Conduct::Says(answer(503, "", ""))).await;
    let error = read(&secrets, "secret://secretsmanager/x")
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(matches!(
        ActionError::from(error),
        ActionError::Transient { .. }
    ));
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn secrets_are_kept_five_minutes() {
    assert_eq!(Keeping::default().kept, Duration::from_secs(300));
}

#[tokio::test]
async fn a_secret_is_read_anew_when_its_time_is_over() {
    let short = Keeping {
        kept: Duration::from_millis(400),
        settled: Duration::from_secs(5),
    };
    let (secrets, server) = keeping(Conduct::InTurn(vec![value("old"), value("new")]), short).await;
    let reference = "secret://secretsmanager/x";
    for _ in 0..3 {
        assert_eq!(read(&secrets, reference).await.unwrap(), "old");
    }
    assert_eq!(server.requests().len(), 1);
    sleep(Duration::from_millis(450)).await;
    assert_eq!(read(&secrets, reference).await.unwrap(), "new");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_step_that_is_refused_with_an_old_secret_tries_the_new_one() {
    let brief = Keeping {
        settled: Duration::from_millis(400),
        ..Keeping::default()
    };
    let (secrets, vault) = keeping(Conduct::InTurn(vec![value("old"), value("new")]), brief).await;
    let refused = answer(
        200,
        "content-type: application/json\r\n",
        r#"{"ok":false,"error":"invalid_auth"}"#,
    );
    let posted = answer(
        200,
        "content-type: application/json\r\n",
        r#"{"ok":true,"ts":"1","channel":"C1"}"#,
    );
    let target = HttpServer::start(Conduct::InTurn(vec![refused.clone(), refused, posted])).await;
    let mut outside = outside(&target.url(""));
    let mut connections = (*outside.connections).clone();
    if let ConnectionKind::SlackBot { token, .. } =
        &mut connections.get_mut("slack-bot").unwrap().kind
    {
        *token = "secret://secretsmanager/slack".to_owned();
    }
    outside.connections = Arc::new(connections);
    outside.secrets = secrets;
    let action = prepare(&slack("slack-bot", Some("#alerts")), &context(json!({})))
        .unwrap()
        .unwrap();
    let limit = attempt(Duration::from_secs(10));
    // What was just read has not changed since.
    perform(&action, &outside, &limit).await.unwrap_err();
    assert_eq!(vault.requests().len(), 1);
    sleep(Duration::from_millis(450)).await;
    perform(&action, &outside, &limit).await.unwrap();
    assert_eq!(vault.requests().len(), 2);
    let requests = target.requests();
    let shown: Vec<_> = requests
        .iter()
        .map(|request| request.header("authorization").unwrap())
        .collect();
    assert_eq!(shown, ["Bearer old", "Bearer old", "Bearer new"]);
}
