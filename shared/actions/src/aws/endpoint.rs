use super::{InvalidAws, Service};
use std::collections::HashMap;
use url::Url;

/// Where the services are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoints {
    everywhere: Option<Url>,
    own: HashMap<Service, Url>,
}

/// Regions that share accounts and the end of domain names.
struct Partition {
    suffix: &'static str,
    /// Where calls to the services are signed for that are there once for all regions.
    global_region: &'static str,
}

fn partition(region: &str) -> Partition {
    let (suffix, global_region) = if region.starts_with("cn-") {
        ("amazonaws.com.cn", "cn-north-1")
    } else if region.starts_with("us-gov-") {
        ("amazonaws.com", "us-gov-west-1")
    } else if region.starts_with("eusc-") {
        ("amazonaws.eu", "eusc-de-east-1")
    } else if region.starts_with("us-isob-") {
        ("sc2s.sgov.gov", "us-isob-east-1")
    } else if region.starts_with("us-iso-") {
        ("c2s.ic.gov", "us-iso-east-1")
    } else {
        ("amazonaws.com", "us-east-1")
    };
    Partition {
        suffix,
        global_region,
    }
}

/// Says whether a text can be a region: then it changes nothing of a domain name but its label.
pub(crate) fn is_region(text: &str) -> bool {
    (4..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl Endpoints {
    /// Reads `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`.
    pub(super) fn read(lookup: &mut dyn FnMut(&str) -> Option<String>) -> Result<Self, InvalidAws> {
        let ignored = lookup("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let mut endpoints = Self {
            everywhere: None,
            own: HashMap::new(),
        };
        if ignored {
            return Ok(endpoints);
        }
        let mut read = |name: String| match lookup(&name) {
            Some(value) if !value.is_empty() => url(&name, &value).map(Some),
            _ => Ok(None),
        };
        endpoints.everywhere = read("AWS_ENDPOINT_URL".to_owned())?;
        for service in Service::ALL {
            if let Some(url) = read(format!("AWS_ENDPOINT_URL_{}", service.variable()))? {
                endpoints.own.insert(service, url);
            }
        }
        Ok(endpoints)
    }

    /// The endpoint of a service with a label of its own before its domain name.
    pub(super) fn below(
        &self,
        service: Service,
        region: &str,
        label: Option<&str>,
    ) -> Result<(Url, String), InvalidAws> {
        let (mut url, signed) = self.of(service, region)?;
        let is_set = self.everywhere.is_some() || self.own.contains_key(&service);
        if let (Some(label), Some(host), false) = (label, url.host_str(), is_set) {
            let host = format!("{label}.{host}");
            url.set_host(Some(&host))
                .map_err(|_| InvalidAws::Endpoint(service.name().to_owned()))?;
        }
        Ok((url, signed))
    }

    /// The endpoint of a service, and the region that calls to it are signed for.
    fn of(&self, service: Service, region: &str) -> Result<(Url, String), InvalidAws> {
        let partition = partition(region);
        let signed = match service.is_global() {
            true => partition.global_region,
            false => region,
        };
        if let Some(url) = self.own.get(&service).or(self.everywhere.as_ref()) {
            return Ok((url.clone(), signed.to_owned()));
        }
        let (name, suffix) = (service.endpoint_name(), partition.suffix);
        let host = match (service, partition.global_region) {
            (Service::Iam, "us-east-1") => "iam.amazonaws.com".to_owned(),
            (Service::Iam, "us-gov-west-1") => "iam.us-gov.amazonaws.com".to_owned(),
            // Organizations is in `cn-northwest-1`, unlike IAM.
            (Service::Organizations, "cn-north-1") => {
                let region = "cn-northwest-1";
                let url = format!("https://organizations.{region}.{suffix}/");
                return Ok((self::url("AWS_REGION", &url)?, region.to_owned()));
            }
            _ => format!("{name}.{signed}.{suffix}"),
        };
        let url = url("AWS_REGION", &format!("https://{host}/"))?;
        Ok((url, signed.to_owned()))
    }
}

fn url(variable: &str, value: &str) -> Result<Url, InvalidAws> {
    let invalid = || InvalidAws::Endpoint(variable.to_owned());
    let url = Url::parse(value).map_err(|_| invalid())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(invalid()) }
}
