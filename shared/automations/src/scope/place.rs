use super::pattern::{is_account, is_guid};
use quench_findings::{Finding, Source};
use std::collections::BTreeSet;
use std::fmt;

/// Where a finding, or a resource of it, is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// An AWS account.
    Aws(String),
    /// The lower-cased path of an Azure subscription or of something in it.
    Azure(String),
    /// A Google Cloud project, lower-cased.
    Gcp(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws(account) => write!(f, "aws:{account}"),
            Self::Azure(path) => write!(f, "azure:{path}"),
            Self::Gcp(project) => write!(f, "gcp:projects/{project}"),
        }
    }
}

/// Collects the places a finding names: its scope, its account, and those of its resources.
pub(super) fn places(finding: &Finding) -> Vec<Place> {
    let google = finding.source == Source::Scc
        || finding
            .scope
            .as_deref()
            .is_some_and(|scope| scope.starts_with("gcp:"));
    let mut places = BTreeSet::new();
    places.extend(finding.scope.as_deref().and_then(of_scope));
    places.extend(
        finding
            .account
            .as_deref()
            .and_then(|account| of_account(account, google)),
    );
    for resource in &finding.resources {
        places.extend(
            resource
                .account
                .as_deref()
                .and_then(|account| of_account(account, google)),
        );
        places.extend(of_resource(&resource.id));
    }
    places.into_iter().collect()
}

fn of_scope(scope: &str) -> Option<Place> {
    let (cloud, rest) = scope.split_once(':')?;
    match cloud {
        "aws" => Some(Place::Aws(rest.to_owned())),
        "azure" => Some(Place::Azure(rest.trim_end_matches('/').to_lowercase())),
        "gcp" => Some(Place::Gcp(
            rest.strip_prefix("projects/")
                .unwrap_or(rest)
                .to_lowercase(),
        )),
        _ => None,
    }
}

/// An account by itself; a project number of Google's can look like an account of Amazon's.
fn of_account(account: &str, google: bool) -> Option<Place> {
    if google {
        let project = account.strip_prefix("projects/").unwrap_or(account);
        Some(Place::Gcp(project.to_lowercase()))
    } else if is_account(account) {
        Some(Place::Aws(account.to_owned()))
    } else if is_guid(account) {
        Some(Place::Azure(format!(
            "/subscriptions/{}",
            account.to_lowercase()
        )))
    } else {
        None
    }
}

fn of_resource(id: &str) -> Option<Place> {
    let lower = id.to_lowercase();
    if lower.starts_with("/subscriptions/") {
        return Some(Place::Azure(lower.trim_end_matches('/').to_owned()));
    }
    if lower.starts_with("arn:") {
        let account = lower.split(':').nth(4)?;
        return is_account(account).then(|| Place::Aws(account.to_owned()));
    }
    if let Some(full_name) = lower.strip_prefix("//") {
        let mut parts = full_name.split('/').skip_while(|part| *part != "projects");
        return parts.nth(1).map(|project| Place::Gcp(project.to_owned()));
    }
    None
}
