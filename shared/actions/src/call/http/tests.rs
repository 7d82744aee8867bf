use super::*;
use crate::sample;
use proptest::prelude::*;

fn step(method: &str, url: &str) -> HttpStep {
    HttpStep {
        connection: Some("api".to_owned()),
        method: method.to_owned(),
        url: url.to_owned(),
        headers: BTreeMap::new(),
        query: BTreeMap::new(),
        json: None,
        body: None,
        expect: Vec::new(),
        idempotency_header: None,
    }
}

fn prepared(step: &HttpStep) -> Http {
    prepare(step, &sample::context(json!({ "project": "SEC" }))).unwrap()
}

fn refused(step: &HttpStep) -> String {
    match prepare(step, &sample::context(json!({}))) {
        Err(ActionError::Permanent { reason }) => reason,
        other => panic!("not a permanent error: {other:?}"),
    }
}

fn leads(url: &str, base: Option<&str>) -> Result<String, String> {
    let mut http = prepared(&step("GET", "x"));
    http.url = url.to_owned();
    let base = base.map(|base| Url::parse(base).unwrap());
    target(&http, base.as_ref())
        .map(String::from)
        .map_err(|error| error.to_string())
}

#[test]
fn a_path_is_joined_below_the_address() {
    for (url, base, expected) in [
        (
            "issues",
            "https://example.com",
            "https://example.com/issues",
        ),
        (
            "/issues",
            "https://example.com/api",
            "https://example.com/api/issues",
        ),
        (
            "issues/",
            "https://example.com/api/",
            "https://example.com/api/issues/",
        ),
        ("", "https://example.com/api/", "https://example.com/api/"),
        (
            "?q=1",
            "https://example.com/api",
            "https://example.com/api?q=1",
        ),
        (
            "a?q=1#top",
            "https://example.com/api?v=2",
            "https://example.com/api/a?v=2&q=1",
        ),
        (
            "a",
            "https://example.com/api?v=2",
            "https://example.com/api/a?v=2",
        ),
        (
            "https://example.com/api/a",
            "https://example.com/api",
            "https://example.com/api/a",
        ),
        (
            "https://EXAMPLE.com:443/api",
            "https://example.com/api",
            "https://example.com/api",
        ),
    ] {
        assert_eq!(
            leads(url, Some(base)).unwrap(),
            expected,
            "{url} below {base}"
        );
    }
    assert_eq!(
        leads("https://example.com/x", None).unwrap(),
        "https://example.com/x"
    );
}

#[test]
fn nothing_leads_away_from_the_connection() {
    for url in [
        "../admin",
        "a/../../admin",
        "%2e%2e/admin",
        "a/%2e%2e/%2E%2E/admin",
        "..\\admin",
        "https://evil.example/api/x",
        "http://example.com/api/x",
        "https://example.com:8443/api/x",
        "https://example.com/apix",
        "https://example.com/",
        "https://example.com@evil.example/api/x",
    ] {
        assert!(
            leads(url, Some("https://example.com/api")).is_err(),
            "{url}"
        );
    }
    assert_eq!(
        leads("//evil.example/api", Some("https://example.com/api")).unwrap(),
        "https://example.com/api/evil.example/api"
    );
    assert!(leads("issues", None).is_err());
}

#[test]
fn a_value_of_the_finding_stays_within_its_part_of_the_path() {
    let mut finding = sample::finding();
    finding.id = "../../admin?x=1#y".to_owned();
    let context = sample::context_of(&finding, json!({ "project": "SEC/1" }));
    let http = prepare(
        &step("GET", "{{ params.project }}/{{ finding.id }}"),
        &context,
    )
    .unwrap();
    assert_eq!(http.url, "SEC/1/..%2F..%2Fadmin%3Fx%3D1%23y");
}

#[test]
fn an_item_that_a_loop_takes_from_the_finding_stays_within_its_part_of_the_path() {
    let mut finding = sample::finding();
    finding.resources[0].id = "../users/7?force=1#".to_owned();
    let mut context = sample::context_of(&finding, json!({ "place": "a/b" }));
    context.all["resource"] = context.all["finding"]["resources"][0].clone();
    context.all["id"] = context.all["finding"]["resources"][0]["id"].clone();
    context.all["own"] = json!("c/d");
    context.own["own"] = json!("c/d");
    let url = "{{ params.place }}/{{ own }}/{{ resource.id }}/{{ id }}";
    let http = prepare(&step("POST", url), &context).unwrap();
    let part = "..%2Fusers%2F7%3Fforce%3D1%23";
    assert_eq!(http.url, format!("a/b/c/d/{part}/{part}"));
}

#[test]
fn a_value_of_dots_does_not_lead_elsewhere_below_the_connection() {
    let base = Url::parse("https://example.com/api").unwrap();
    for (id, url) in [
        ("..", "findings/{{ finding.id }}/notes"),
        (".", "findings/{{ finding.id }}/notes"),
        (".", "findings/{{ finding.id }}{{ finding.id }}/notes"),
        (".", "findings/.{{ finding.id }}?x=1"),
        ("..", "https://example.com/api/findings/{{ finding.id }}"),
    ] {
        let mut finding = sample::finding();
        finding.id = id.to_owned();
        let context = sample::context_of(&finding, json!({}));
        let http = prepare(&step("GET", url), &context).unwrap();
        assert!(target(&http, Some(&base)).is_err(), "{id} in {url}");
    }
    let mut finding = sample::finding();
    finding.id = "..".to_owned();
    let context = sample::context_of(&finding, json!({}));
    let http = prepare(&step("GET", "search?id={{ finding.id }}"), &context).unwrap();
    assert!(target(&http, Some(&base)).is_ok(), "a query has no way");
    finding.id = "...".to_owned();
    let context = sample::context_of(&finding, json!({}));
    let http = prepare(&step("GET", "findings/{{ finding.id }}"), &context).unwrap();
    assert!(target(&http, Some(&base)).is_ok(), "three dots are a name");
}

#[test]
fn the_query_is_encoded_whatever_its_values() {
    let mut with_query = step("GET", "search");
    with_query.query = BTreeMap::from([("q".to_owned(), "{{ finding.title }}".to_owned())]);
    let http = prepared(&with_query);
    let url = target(&http, Some(&Url::parse("https://example.com/").unwrap())).unwrap();
    let pairs: Vec<_> = url.query_pairs().collect();
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].1, sample::finding().title);
}

#[test]
fn a_header_keeps_to_its_line() {
    let mut with_header = step("POST", "x");
    with_header.headers = BTreeMap::from([("X-Title".to_owned(), "{{ params.title }}".to_owned())]);
    let context = sample::context(json!({ "title": "a\r\nX-Evil: 1\u{2028}b" }));
    let http = prepare(&with_header, &context).unwrap();
    assert_eq!(http.headers["x-title"], "a X-Evil: 1 b");
}

#[test]
fn what_belongs_to_the_connection_is_not_a_steps_to_set() {
    for name in [
        "Authorization",
        "cookie",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "X-API-Key",
        "Proxy-Authorization",
        "connection",
    ] {
        let mut bad = step("POST", "x");
        bad.headers = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
        assert!(refused(&bad).contains("is not a step's to set"), "{name}");
        let mut bad = step("POST", "x");
        bad.idempotency_header = Some(name.to_owned());
        assert!(refused(&bad).contains("is not a step's to set"), "{name}");
    }
    for name in ["", "a b", "a:b", "a\r\nb", "ä"] {
        let mut bad = step("POST", "x");
        bad.headers = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
        assert!(refused(&bad).contains("is no name of a header"), "{name:?}");
    }
}

#[test]
fn unknown_methods_and_two_bodies_are_refused() {
    assert!(
        refused(&step("FETCH", "x")).starts_with("method `FETCH` is not known; use one of GET")
    );
    assert!(refused(&step("CONNECT", "x")).starts_with("method `CONNECT` is not known"));
    assert_eq!(prepared(&step(" post ", "x")).method, "POST");
    let mut both = step("POST", "x");
    both.json = Some(json!({}));
    both.body = Some(String::new());
    assert_eq!(refused(&both), "`json` excludes `body`");
}

#[test]
fn what_may_be_repeated_follows_the_method_and_the_key() {
    for (method, repeatable) in [
        ("GET", true),
        ("HEAD", true),
        ("PUT", true),
        ("DELETE", true),
        ("OPTIONS", true),
        ("POST", false),
        ("PATCH", false),
    ] {
        let mut step = step(method, "x");
        assert_eq!(prepared(&step).is_repeatable(), repeatable, "{method}");
        step.idempotency_header = Some("Idempotency-Key".to_owned());
        assert!(prepared(&step).is_repeatable());
    }
}

#[test]
fn what_looks_like_a_secret_is_not_told() {
    let mut step = step(
        "POST",
        "https://user:pass1@example.com/a?sig=pass2&q=seen&code=pass3&X-Amz-Signature=pass4",
    );
    step.headers = BTreeMap::from([
        ("X-Auth-Token".to_owned(), "pass5".to_owned()),
        ("X-Trace".to_owned(), "seen".to_owned()),
    ]);
    step.query = BTreeMap::from([("api_key".to_owned(), "pass6".to_owned())]);
    let http = prepared(&step);
    let told = serde_json::to_string(&http).unwrap();
    assert!(
        !told.contains("pass") && !format!("{http:?}").contains("pass"),
        "{told}"
    );
    insta::assert_snapshot!(told);
}

#[test]
fn a_json_body_has_the_types_of_its_values() {
    let mut with_json = step("POST", "x");
    with_json.json = Some(json!({ "count": "{{ raw.detail.service.count }}", "on": true }));
    let http = prepared(&with_json);
    assert_eq!(http.body.as_deref(), Some(r#"{"count":42,"on":true}"#));
    assert_eq!(http.headers["content-type"], "application/json");
}

proptest! {
    #[test]
    fn no_value_of_a_finding_leads_away(id in any::<String>()) {
        let mut finding = sample::finding();
        finding.id = id.clone();
        let context = sample::context_of(&finding, json!({}));
        let base = Url::parse("https://example.com/api").unwrap();
        let url = prepare(&step("GET", "items/{{ finding.id }}/notes"), &context)
            .and_then(|http| target(&http, Some(&base)));
        // These no escape makes a part of their own, so they are refused; nothing else is.
        if matches!(id.as_str(), "." | "..") {
            prop_assert!(url.is_err());
            return Ok(());
        }
        let url = url.unwrap();
        let parts: Vec<_> = url.path_segments().unwrap().collect();
        prop_assert_eq!(parts.len(), 4);
        prop_assert_eq!((parts[1], parts[3]), ("items", "notes"));
        prop_assert_eq!(url.query(), None);
    }

    #[test]
    fn no_path_leads_to_another_server(path in r"[a-z./:@?#%\\ 0-9-]{0,40}|\PC{0,20}") {
        let base = "https://example.com/api";
        if let Ok(url) = leads(&path, Some(base)) {
            let url = Url::parse(&url).unwrap();
            prop_assert_eq!(url.origin(), Url::parse(base).unwrap().origin());
            prop_assert!(url.path() == "/api" || url.path().starts_with("/api/"));
        }
    }
}
