use super::{AwsError, Service};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign as signed,
};
use aws_sigv4::sign::v4;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::time::SystemTime;
use tracing::dispatcher::{Dispatch, with_default};
use url::Url;

/// Adds the headers of Signature Version 4.
pub(super) fn sign(
    service: Service,
    region: &str,
    credentials: &Credentials,
    now: SystemTime,
    (method, url, headers, body): (&Method, &Url, &mut HeaderMap, &[u8]),
) -> Result<(), AwsError> {
    let failed = |error: &dyn std::fmt::Display| AwsError::Request {
        service,
        reason: format!("it cannot be signed: {error}"),
    };
    let mut settings = SigningSettings::default();
    if matches!(service, Service::S3 | Service::S3Control) {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service.signing_name())
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let known: Vec<(&str, &str)> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let request = SignableRequest::new(
        method.as_str(),
        url.as_str(),
        known.into_iter(),
        SignableBody::Bytes(body),
    )
    .map_err(|error| failed(&error))?;
    // What it logs holds the headers that are signed, some of them secret. A subscriber that is made anew would have every
    // place in the program that logs looked at again.
    let output = with_default(&Dispatch::none(), || signed(request, &params))
        .map_err(|error| failed(&error))?;
    for header in output.into_parts().0.into_parts().0 {
        let mut value = HeaderValue::from_str(header.value()).map_err(|error| failed(&error))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(header.name()), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::CONTENT_TYPE;
    use std::time::Duration;

    /// The example of the IAM user guide, "Create a signed AWS API request", as it stood with its canonical request.
    #[test]
    fn the_published_example_has_its_published_signature() {
        let keys = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            None,
            None,
            "quench",
        );
        let url =
            Url::parse("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08").unwrap();
        let mut headers = HeaderMap::new();
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
        // 2015-08-30T12:36:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let request = (&Method::GET, &url, &mut headers, &b""[..]);
        sign(Service::Iam, "us-east-1", &keys, now, request).unwrap();
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(
            headers["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }
}
