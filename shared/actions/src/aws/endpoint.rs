use super::{InvalidAws, Service};
use std::collections::HashMap;
use url::Url;

pub(crate) use quench_automations::remediation::is_region;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Endpoints, InvalidAws> {
        Endpoints::read(&mut |name| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn services_are_where_their_regions_are() {
        let endpoints = read(&[]).unwrap();
        for (service, region, url, signed) in [
            (
                Service::DynamoDb,
                "eu-central-1",
                "https://dynamodb.eu-central-1.amazonaws.com/",
                "eu-central-1",
            ),
            (
                Service::Ses,
                "us-east-1",
                "https://email.us-east-1.amazonaws.com/",
                "us-east-1",
            ),
            (
                Service::Events,
                "ap-southeast-2",
                "https://events.ap-southeast-2.amazonaws.com/",
                "ap-southeast-2",
            ),
            (
                Service::StepFunctions,
                "cn-north-1",
                "https://states.cn-north-1.amazonaws.com.cn/",
                "cn-north-1",
            ),
            (
                Service::Sts,
                "us-gov-east-1",
                "https://sts.us-gov-east-1.amazonaws.com/",
                "us-gov-east-1",
            ),
            (
                Service::Iam,
                "eu-central-1",
                "https://iam.amazonaws.com/",
                "us-east-1",
            ),
            (
                Service::Iam,
                "us-gov-east-1",
                "https://iam.us-gov.amazonaws.com/",
                "us-gov-west-1",
            ),
            (
                Service::Iam,
                "cn-northwest-1",
                "https://iam.cn-north-1.amazonaws.com.cn/",
                "cn-north-1",
            ),
            (
                Service::Organizations,
                "eu-west-1",
                "https://organizations.us-east-1.amazonaws.com/",
                "us-east-1",
            ),
            (
                Service::Organizations,
                "cn-north-1",
                "https://organizations.cn-northwest-1.amazonaws.com.cn/",
                "cn-northwest-1",
            ),
            (
                Service::Sqs,
                "eusc-de-east-1",
                "https://sqs.eusc-de-east-1.amazonaws.eu/",
                "eusc-de-east-1",
            ),
        ] {
            let (found, region) = endpoints.of(service, region).unwrap();
            assert_eq!((found.as_str(), region.as_str()), (url, signed));
        }
    }

    #[test]
    fn the_variable_of_a_service_goes_before_that_of_all() {
        let endpoints = read(&[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            (
                "AWS_ENDPOINT_URL_SECRETS_MANAGER",
                "https://vpce.example.com/below",
            ),
        ])
        .unwrap();
        let of = |service| endpoints.of(service, "eu-central-1").unwrap().0.to_string();
        assert_eq!(of(Service::Sqs), "http://127.0.0.1:4566/");
        assert_eq!(
            of(Service::SecretsManager),
            "https://vpce.example.com/below"
        );
    }

    #[test]
    fn variables_can_be_told_to_be_ignored() {
        let endpoints = read(&[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True"),
        ]);
        let (url, _) = endpoints.unwrap().of(Service::Sqs, "eu-central-1").unwrap();
        assert_eq!(url.host_str(), Some("sqs.eu-central-1.amazonaws.com"));
    }

    #[test]
    fn what_is_no_endpoint_is_refused_and_not_repeated() {
        for value in [
            "localhost:4566",
            "ftp://localhost",
            "http://user:hunter2@localhost",
            "http://localhost/?a=hunter2",
            "nothing",
        ] {
            let error = read(&[("AWS_ENDPOINT_URL_SQS", value)]).unwrap_err();
            assert_eq!(
                error,
                InvalidAws::Endpoint("AWS_ENDPOINT_URL_SQS".to_owned())
            );
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_region_is_one_label_of_a_domain_name() {
        for good in [
            "eu-central-1",
            "us-gov-west-1",
            "us-iso-east-1",
            "mx-central-1",
        ] {
            assert!(is_region(good), "{good}");
        }
        for bad in [
            "",
            "eu",
            "EU-CENTRAL-1",
            "eu.example.com/",
            "evil.com#",
            "-eu-1",
            "eu-central-",
            "a@b-1",
        ] {
            assert!(!is_region(bad), "{bad}");
        }
    }

    #[test]
    fn every_service_is_listed_once() {
        let mut names: Vec<_> = Service::ALL
            .iter()
            .map(|service| service.variable())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Service::ALL.len());
        for service in Service::ALL {
            // Nothing that a region could be makes another host than that of its services.
            assert!(read(&[]).unwrap().of(service, "eu-central-1").is_ok());
            assert!(service.as_json().is_none() || service.query_version().is_none());
        }
    }
}
