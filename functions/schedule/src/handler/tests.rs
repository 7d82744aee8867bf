use super::*;
use lambda_runtime::Context;
use quench_app::Config;
use serde_json::json;
use tempfile::TempDir;

#[tokio::test]
async fn a_call_tells_what_it_did_whatever_the_event() {
    let folder = TempDir::new().unwrap();
    let app = App::open(Config::local(folder.path())).await.unwrap();
    let scheduled = json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
    for payload in [scheduled, json!({}), Value::Null] {
        let event = LambdaEvent::new(payload, Context::default());
        let done = handle(&app, event).await.unwrap();
        assert_eq!(
            serde_json::to_value(done).unwrap(),
            json!({"due": 0, "late": 0, "pending": 0, "unheard": 0, "expired": 0, "cut": false})
        );
    }
}

#[tokio::test]
async fn little_time_is_told_to_be_too_little() {
    let folder = TempDir::new().unwrap();
    let app = App::open(Config::local(folder.path())).await.unwrap();
    let mut context = Context::default();
    let soon = SystemTime::now() + Duration::from_secs(4);
    let soon = soon.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    context.deadline = u64::try_from(soon.as_millis()).unwrap();
    let done = handle(&app, LambdaEvent::new(Value::Null, context)).await;
    assert!(done.unwrap().cut);
}

#[test]
fn a_failure_tells_whether_it_may_pass() {
    let contended = TickError(IntakeError::Contended("f".to_owned()));
    assert_eq!(Diagnostic::from(contended).error_type, "Unavailable");
    let broken = TickError(IntakeError::Interrupted("x".to_owned()));
    assert_eq!(Diagnostic::from(broken).error_type, "Internal");
}
