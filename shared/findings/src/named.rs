use crate::{Finding, Kind, Resource, Severity, Source};
use serde_json::json;

/// The finding that stands for a resource which somebody named by hand, where no product has found anything.
///
/// It is of [`Source::Quench`], a recommendation without a status and informational, as nobody has said more; `raw`
/// holds who it is about. It is no payload of any sender: it does not pass through intake, is not among the stored
/// findings, and no automation ever fires on it. The same resource has the same id each time.
#[must_use]
pub fn named_by_hand(resource: Resource) -> Finding {
    let name = resource.name.as_deref().unwrap_or(&resource.id);
    Finding {
        id: format!("quench:named-by-hand:{}", resource.id),
        kind: Kind::Recommendation,
        source: Source::Quench,
        finding_type: None,
        title: format!("{name} was named by hand"),
        description: None,
        severity: Severity::Informational,
        status: None,
        account: resource.account.clone(),
        region: resource.region.clone(),
        scope: resource
            .account
            .as_ref()
            .map(|account| format!("aws:{account}")),
        compliance: None,
        first_seen: None,
        last_seen: None,
        updated: None,
        remediation: None,
        links: Vec::new(),
        parent: None,
        sample: false,
        item: None,
        raw: json!({ "named_by_hand": resource }).into(),
        resources: vec![resource],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    #[test]
    fn it_says_what_was_named_and_no_more() {
        let resource = Resource {
            id: "arn:aws:s3:::logs".to_owned(),
            name: Some("bucket `logs`".to_owned()),
            account: Some("111122223333".to_owned()),
            region: Some("eu-central-1".to_owned()),
            ..Resource::default()
        };
        let finding = named_by_hand(resource.clone());
        assert_eq!(finding.title, "bucket `logs` was named by hand");
        assert_eq!(finding.scope.as_deref(), Some("aws:111122223333"));
        assert_eq!(finding.resources, vec![resource.clone()]);
        assert_eq!((finding.status, finding.first_seen), (None, None));
        let document = finding.document();
        assert_eq!(document["source"], "quench");
        assert_eq!(finding, named_by_hand(resource), "no clock, no chance");
    }

    #[test]
    fn nobody_can_send_it() {
        let finding = named_by_hand(Resource::default());
        for payload in [serde_json::json!(finding), (*finding.raw).clone()] {
            let decoded = decode(payload.to_string().as_bytes());
            assert!(decoded.findings.is_empty(), "{:?}", decoded.findings);
        }
    }
}
