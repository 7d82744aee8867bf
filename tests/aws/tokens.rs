//! People with a login elsewhere: tokens, and the scopes that open doors.

use quench_emulator::REGION;
use quench_tests::events::guardduty;
use quench_tests::http::{Request, Response};
use quench_tests::hub::{Hub, Settings};
use serde_json::{Value, json};

use crate::mailing;
use crate::sources::succeeded;

#[test]
fn a_token_opens_what_its_scope_is_for_and_nothing_else() {
    let mut hub = mailing(&Settings::default());
    let (issuer, client) = issuer(&hub);
    let wanted = [
        ("JwtIssuer", issuer.as_str()),
        ("JwtAudience", client.id.as_str()),
        ("JwtScopeOfReading", "quench/runs:read"),
        ("JwtScopeOfTriggering", "quench/runs:trigger"),
        ("JwtScopeOfDeciding", "quench/approvals:decide"),
    ];
    hub.deploy_again(&wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    hub.put(&[guardduty(1)]);
    hub.wait_for_mails("Brute force number 1.", 1);
    let first = hub.runs("Brute force number 1.").swap_remove(0);
    let body = json!({"playbook": "mail", "finding": first["finding"]["id"]}).to_string();
    let shown = format!("/runs/{}", first["id"].as_str().unwrap());
    let decision = "/approvals/0a1b2c3d4e5f60718293a4b5c6d7e8f9/decision";

    let reader = token(&hub, &client, "quench/runs:read");
    let operator = token(&hub, &client, "quench/runs:trigger");
    let approver = token(&hub, &client, "quench/approvals:decide");
    let ask = |method: &str, path: &str, token: &str| -> Response {
        let body = if method == "POST" { body.as_str() } else { "" };
        let request = Request::new(method, path, body).with("content-type", "application/json");
        hub.request(request.with("authorization", &format!("Bearer {token}")))
    };
    let opens = [
        ("GET", shown.as_str(), [true, true, false]),
        ("POST", "/runs", [false, true, false]),
        ("POST", decision, [false, false, true]),
    ];
    for (method, path, may) in opens {
        for (token, may) in [&reader, &operator, &approver].into_iter().zip(may) {
            let answer = ask(method, path, token);
            assert_eq!(
                answer.status != 403,
                may,
                "{method} {path}: {}",
                answer.text()
            );
            assert_ne!(answer.status, 401, "{method} {path}: {}", answer.text());
        }
        let forged = format!("{}x", operator.trim_end_matches(|last| last != '.'));
        assert_eq!(ask(method, path, &forged).status, 401, "{method} {path}");
        let unsigned = hub.request(Request::new(method, path, ""));
        assert_eq!(unsigned.status, 401, "{method} {path}");
    }

    // Two runs: the one of the finding, and the one that the operator started.
    let runs = hub.runs("Brute force number 1.");
    assert_eq!(runs.len(), 2, "{runs:?}");
    let by_hand = runs.iter().find(|run| run["id"] != first["id"]).unwrap();
    succeeded(&hub, by_hand["id"].as_str().unwrap());
}

struct Client {
    id: String,
    secret: String,
}

/// Has Cognito give tokens to a program, and gives the issuer's name.
fn issuer(hub: &Hub) -> (String, Client) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pool = hub.aws.ok(
        "cognito-idp",
        "create_user_pool",
        &json!({"PoolName": "people"}),
    );
    let pool = text(&pool["UserPool"]["Id"]);
    let scopes = ["runs:read", "runs:trigger", "approvals:decide"];
    let described = scopes.map(|scope| json!({"ScopeName": scope, "ScopeDescription": scope}));
    let server = json!({
        "UserPoolId": pool,
        "Identifier": "quench",
        "Name": "quench",
        "Scopes": described,
    });
    hub.aws.ok("cognito-idp", "create_resource_server", &server);
    let client = json!({
        "UserPoolId": pool,
        "ClientName": "program",
        "GenerateSecret": true,
        "AllowedOAuthFlows": ["client_credentials"],
        "AllowedOAuthFlowsUserPoolClient": true,
        "AllowedOAuthScopes": scopes.map(|scope| format!("quench/{scope}")),
    });
    let client = hub
        .aws
        .ok("cognito-idp", "create_user_pool_client", &client);
    let client = &client["UserPoolClient"];
    let client = Client {
        id: text(&client["ClientId"]),
        secret: text(&client["ClientSecret"]),
    };
    (
        format!("https://cognito-idp.{REGION}.amazonaws.com/{pool}"),
        client,
    )
}

/// A token for one scope.
fn token(hub: &Hub, client: &Client, scope: &str) -> String {
    let [id, secret, scope] = [&client.id, &client.secret, scope].map(|text| {
        let escaped = text.bytes().map(|byte| format!("%{byte:02X}"));
        escaped.collect::<String>()
    });
    let form = format!(
        "grant_type=client_credentials&client_id={id}&client_secret={secret}&scope={scope}"
    );
    let request = Request::new("POST", "/oauth2/token", form.as_str());
    let answer = request
        .with("content-type", "application/x-www-form-urlencoded")
        .send(hub.emulator.port())
        .unwrap();
    let given: Value = serde_json::from_slice(&answer.body).unwrap();
    let token = given["access_token"].as_str();
    token.unwrap_or_else(|| panic!("{given}")).to_owned()
}
