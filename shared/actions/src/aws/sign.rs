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
use tracing::subscriber::{NoSubscriber, with_default};
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
    // What it logs holds the headers that are signed, some of them secret.
    let output = with_default(NoSubscriber::new(), || signed(request, &params))
        .map_err(|error| failed(&error))?;
    for header in output.into_parts().0.into_parts().0 {
        let mut value = HeaderValue::from_str(header.value()).map_err(|error| failed(&error))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(header.name()), value);
    }
    Ok(())
}
