use super::*;
use crate::aws::request::Request;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;
use reqwest::header::CONTENT_TYPE;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const FORM: &str = "application/x-www-form-urlencoded";

fn keys(token: Option<&str>) -> Keys {
    Keys::new(ID.to_owned(), SECRET.into(), token.map(Into::into), None)
}

/// The headers of a request with its signature for the time that the published examples have.
fn signed(
    scope: Scope<'_>,
    token: Option<&str>,
    (method, url, headers, body): (&Method, &str, &[(&'static str, &str)], &[u8]),
) -> HeaderMap {
    let url = Url::parse(url).unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let now: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
    let request = (method, &url, &mut map, body);
    authorize(scope, &keys(token), now, request).unwrap();
    map
}

fn signature(headers: &HeaderMap) -> (&str, &str) {
    let authorization = headers["authorization"].to_str().unwrap();
    let (start, signature) = authorization.split_once(", Signature=").unwrap();
    let (_, names) = start.split_once("SignedHeaders=").unwrap();
    (names, signature)
}

const SUITE: Scope<'_> = Scope {
    region: "us-east-1",
    service: "service",
    as_s3: false,
};

/// The example of the IAM user guide, "Create a signed AWS API request", as it stood with its canonical request.
#[test]
fn the_published_example_has_its_published_signature() {
    let scope = Scope {
        service: "iam",
        ..SUITE
    };
    let url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08";
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let headers = [("content-type", form)];
    let headers = signed(scope, None, (&Method::GET, url, &headers, b""));
    assert_eq!(headers["x-amz-date"], "20150830T123600Z");
    assert_eq!(
        headers["authorization"],
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
    assert!(headers["authorization"].is_sensitive());
}

/// Cases of the test suite that AWS publishes for Signature Version 4, by their names there.
#[test]
fn the_published_suite_has_its_published_signatures() {
    let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
    type Case = (
        &'static str,
        Method,
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static [u8],
        &'static str,
    );
    let cases: [Case; 8] = [
        (
            "get-vanilla",
            Method::GET,
            "/",
            &[],
            b"",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-vanilla-query-order-key-case",
            Method::GET,
            "/?Param2=value2&Param1=value1",
            &[],
            b"",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-vanilla-query-unreserved",
            Method::GET,
            "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            &[],
            b"",
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        (
            "get-slashes-normalized",
            Method::GET,
            "//example//",
            &[],
            b"",
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        (
            "get-header-value-trim",
            Method::GET,
            "/",
            &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
            b"",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "get-header-value-order",
            Method::GET,
            "/",
            &[
                ("my-header1", "value4"),
                ("my-header1", "value1"),
                ("my-header1", "value3"),
                ("my-header1", "value2"),
            ],
            b"",
            "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ),
        (
            "post-vanilla",
            Method::POST,
            "/",
            &[],
            b"",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "post-x-www-form-urlencoded",
            Method::POST,
            "/",
            &[("content-type", FORM)],
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ];
    for (name, method, place, headers, body, published) in cases {
        let url = format!("https://example.amazonaws.com{place}");
        let headers = signed(SUITE, None, (&method, &url, headers, body));
        assert_eq!(signature(&headers).1, published, "{name}");
    }
    let url = "https://example.amazonaws.com/";
    let headers = signed(SUITE, Some(token), (&Method::POST, url, &[], b""));
    assert!(headers["x-amz-security-token"].is_sensitive());
    assert_eq!(
        signature(&headers),
        (
            "host;x-amz-date;x-amz-security-token",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
        ),
        "post-sts-header-before"
    );
}

#[test]
fn what_no_header_can_hold_is_not_signed() {
    let url = Url::parse("https://example.amazonaws.com/").unwrap();
    let mut headers = HeaderMap::new();
    let request = (&Method::GET, &url, &mut headers, &b""[..]);
    let told = authorize(SUITE, &keys(Some("a\nb")), Timestamp::UNIX_EPOCH, request).unwrap_err();
    assert!(!told.contains("a\nb"), "{told}");
    assert!(!headers.contains_key(AUTHORIZATION));
}

/// What the signer of the AWS SDK makes of a request.
fn by_sdk(
    scope: Scope<'_>,
    token: Option<&str>,
    now: Timestamp,
    (method, url, headers, body): (&Method, &Url, &HeaderMap, &[u8]),
) -> Vec<(String, String)> {
    let mut settings = SigningSettings::default();
    if scope.as_s3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let token = token.map(str::to_owned);
    let identity = Credentials::new(ID, SECRET, token, None, "tests").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(now.into())
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let body = SignableBody::Bytes(body);
    let request = SignableRequest::new(method.as_str(), url.as_str(), headers, body).unwrap();
    let signed = aws_sigv4::http_request::sign(request, &params).unwrap();
    let headers = signed.into_parts().0.into_parts().0.into_iter();
    headers
        .map(|header| (header.name().to_owned(), header.value().to_owned()))
        .collect()
}

proptest! {
    #[test]
    fn requests_are_signed_as_the_sdk_signs_them(
        parts in prop::collection::vec("\\PC{0,8}", 0..4),
        query in prop::collection::vec(("\\PC{1,6}", "\\PC{0,6}"), 0..4),
        values in prop::collection::vec(" {0,2}[!-~]{0,4} {0,3}[!-~]{1,4} {0,2}", 0..3),
        body in prop::collection::vec(any::<u8>(), 0..200),
        token in prop::option::of("[A-Za-z0-9+/=]{1,40}"),
        port in prop::option::of(1..9999_u16),
        seconds in 0..4_102_444_800_i64,
        (is_post, as_s3) in any::<(bool, bool)>(),
    ) {
        prop_assume!(parts.iter().all(|part| part != "." && part != ".."));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let method = if is_post { Method::POST } else { Method::GET };
        let request = query
            .iter()
            .fold(Request::new(method, &parts), |request, (name, value)| request.with_query(name, value));
        let (path, query) = request.place(Service::Lambda).unwrap();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let mut url = Url::parse(&format!("https://example.amazonaws.com{port}/")).unwrap();
        url.set_path(&path);
        url.set_query(query.as_deref());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        for value in &values {
            headers.append("x-amz-target", HeaderValue::from_str(value).unwrap());
        }
        let now = Timestamp::from_second(seconds).unwrap();
        let token = token.as_deref();
        let scope = Scope { region: "eu-central-1", service: "lambda", as_s3 };
        let expected = by_sdk(scope, token, now, (&request.method, &url, &headers, &body));
        authorize(scope, &keys(token), now, (&request.method, &url, &mut headers, &body)).unwrap();
        for (name, value) in expected {
            prop_assert_eq!(headers[name.as_str()].to_str().unwrap(), value, "{}", name);
        }
    }
}
