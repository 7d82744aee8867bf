use crate::{aws_credentials, aws_secrets, ses};
use quench_actions::aws::{Aws, Service};
use quench_actions::{AwsError, Trust};
use quench_emulator::{ACCOUNT, Emulator, REGION, Settings};
use serde_json::json;

pub(crate) fn aws_of<N: AsRef<str>, V: ToString>(variables: &[(N, V)]) -> Aws {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| known.as_ref() == name)?;
        Some(found.1.to_string())
    };
    Aws::new(lookup, &Trust::built_in(&[]).unwrap()).unwrap()
}

pub(crate) fn client(emulator: &Emulator) -> Aws {
    aws_of(&emulator.variables())
}

/// All in one: starting an emulator takes a second of a processor.
#[tokio::test]
async fn the_services_answer() {
    let emulator = Emulator::start();
    let aws = client(&emulator);
    assert_eq!(aws.region(), REGION);
    an_item_is_written_under_a_condition(&aws).await;
    a_message_goes_through_a_queue(&aws).await;
    the_caller_is_known(&aws).await;
    aws_credentials::a_role_is_taken_on(&aws).await;
    aws_secrets::secrets_and_parameters_are_read(&aws).await;
    ses::a_mail_goes_out_whole(&emulator, &aws).await;
}

#[tokio::test]
async fn a_service_that_asks_for_leave_refuses() {
    let emulator = Emulator::start_with(&Settings {
        authorize: true,
        ..Settings::default()
    });
    let root = client(&emulator);
    aws_credentials::a_role_that_may_not_be_taken_on_is_told(&root).await;
    aws_secrets::a_secret_that_may_not_be_read_is_told(&emulator, &root).await;
}

async fn an_item_is_written_under_a_condition(aws: &Aws) {
    let table = json!({
        "TableName": "things",
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    aws.json(Service::DynamoDb, "CreateTable", &table)
        .await
        .unwrap();
    let put = json!({
        "TableName": "things",
        "Item": { "pk": { "S": "a" }, "n": { "N": "7" } },
        "ConditionExpression": "attribute_not_exists(pk)",
    });
    aws.json(Service::DynamoDb, "PutItem", &put).await.unwrap();
    let refused = aws
        .json(Service::DynamoDb, "PutItem", &put)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some("ConditionalCheckFailedException"));
    assert!(!refused.is_transient() && !refused.is_throttled() && !refused.is_in_doubt());
    let get = json!({ "TableName": "things", "Key": { "pk": { "S": "a" } } });
    let got = aws.json(Service::DynamoDb, "GetItem", &get).await.unwrap();
    assert_eq!(got["Item"]["n"]["N"], "7");
    let transaction = json!({ "TransactItems": [
        { "Put": { "TableName": "things", "Item": { "pk": { "S": "b" } } } },
        { "Put": put },
    ] });
    let refused = aws
        .json(Service::DynamoDb, "TransactWriteItems", &transaction)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some("TransactionCanceledException"));
    let reasons: Vec<_> = refused
        .service_error()
        .unwrap()
        .cancellation_reasons()
        .map(|reason| reason.code)
        .collect();
    assert_eq!(reasons, ["None", "ConditionalCheckFailed"]);
    assert!(!refused.is_transient());
    let missing = json!({ "TableName": "nowhere", "Key": { "pk": { "S": "a" } } });
    let missing = aws
        .json(Service::DynamoDb, "GetItem", &missing)
        .await
        .unwrap_err();
    assert_eq!(missing.code(), Some("ResourceNotFoundException"));
}

async fn a_message_goes_through_a_queue(aws: &Aws) {
    let made = aws
        .json(
            Service::Sqs,
            "CreateQueue",
            &json!({ "QueueName": "alerts" }),
        )
        .await
        .unwrap();
    let url = &made["QueueUrl"];
    let message = json!({ "QueueUrl": url, "MessageBody": "ä & <b>" });
    aws.json(Service::Sqs, "SendMessage", &message)
        .await
        .unwrap();
    let receive = json!({ "QueueUrl": url, "WaitTimeSeconds": 2 });
    let received = aws
        .json(Service::Sqs, "ReceiveMessage", &receive)
        .await
        .unwrap();
    assert_eq!(received["Messages"][0]["Body"], "ä & <b>");
    let nowhere = json!({ "QueueName": "nowhere" });
    let error = aws
        .json(Service::Sqs, "GetQueueUrl", &nowhere)
        .await
        .unwrap_err();
    assert!(matches!(error, AwsError::Service(_)), "{error}");
    assert!(error.code().unwrap().ends_with("QueueDoesNotExist"));
}

async fn the_caller_is_known(aws: &Aws) {
    let identity = aws
        .query(Service::Sts, "GetCallerIdentity", &[])
        .await
        .unwrap();
    let account = identity.text_at("GetCallerIdentityResult/Account");
    assert_eq!(account, Some(ACCOUNT));
}
