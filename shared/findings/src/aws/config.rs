//! AWS Config: a resource meets or breaks a rule.

use crate::{
    Compliance, Finding, Kind, Severity, Source, Status,
    event::{Decodings, Event},
    fields::Fields,
    refusal::Refusal,
    resource_id,
};

use super::{account, locate, moment, one, resource};

const OUTCOMES: &[(&str, Status)] = &[
    ("COMPLIANT", Status::Passed),
    ("NON_COMPLIANT", Status::Failed),
    ("NOT_APPLICABLE", Status::Unsupported),
    ("INSUFFICIENT_DATA", Status::Skipped),
];

/// Decodes `Config Rules Compliance Change`, or the notification of the same shape that Config puts on a topic.
pub(super) fn decode(event: &Event<'_>) -> Decodings {
    one(event, finding)
}

/// Refuses a configuration item: it says what a resource is like, and whether that is good only a rule says.
pub(super) fn refuse_item_change(event: &Event<'_>) -> Decodings {
    vec![Err(Refusal::new(
        event.base.clone(),
        "is a change of configuration, which carries no verdict; rules over it send `Config Rules Compliance Change`",
    )
    .with_source(Source::Config.as_str()))]
}

fn finding(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let arn = fields.text("configRuleARN")?;
    let rule = match (fields.text("configRuleName")?, arn) {
        (Some(name), _) => name,
        (None, Some(arn)) => resource_id::last_part(arn),
        (None, None) => fields.require_text("configRuleName")?,
    };
    const QUALIFIER: &str =
        "newEvaluationResult.evaluationResultIdentifier.evaluationResultQualifier";
    let resource_type =
        fields.require_first_text(&["resourceType", &format!("{QUALIFIER}.resourceType")])?;
    let resource_id =
        fields.require_first_text(&["resourceId", &format!("{QUALIFIER}.resourceId")])?;
    let status = fields
        .word("newEvaluationResult.complianceType", OUTCOMES)?
        .ok_or_else(|| {
            fields.refuse(
                "newEvaluationResult.complianceType",
                "a text is required, and there is none",
            )
        })?;
    let mut finding = event.finding(
        Source::Config,
        Kind::Compliance,
        format!("{}/{resource_type}/{resource_id}", arn.unwrap_or(rule)),
        rule,
        Severity::Medium,
    );
    finding.description = fields
        .text("newEvaluationResult.annotation")?
        .map(str::to_owned);
    finding.status = Some(status);
    let (arn_account, arn_region) = arn.and_then(resource_id::arn).unwrap_or_default();
    locate(
        &mut finding,
        account(fields, "awsAccountId")?
            .or_else(|| arn_account.map(str::to_owned))
            .or_else(|| event.account.map(str::to_owned)),
        fields.text("awsRegion")?.or(arn_region).or(event.region),
    );
    let mut found = resource(resource_id, Some(resource_type));
    if found.account.is_none() {
        found.account.clone_from(&finding.account);
    }
    if found.region.is_none() {
        found.region.clone_from(&finding.region);
    }
    finding.resources = vec![found];
    let compliance = rule_of(rule, arn);
    finding.finding_type.clone_from(&compliance.control);
    finding.compliance = Some(compliance);
    finding.last_seen = moment::time(fields, "newEvaluationResult.resultRecordedTime")?;
    finding.updated = finding
        .last_seen
        .or(moment::time(fields, "notificationCreationTime")?)
        .or(event.time);
    Ok(finding)
}

/// The rule without what deployment adds to its name, and who deployed it: a service, or a conformance pack.
fn rule_of(name: &str, arn: Option<&str>) -> Compliance {
    if let Some((rule, pack)) = name.split_once("-conformance-pack-") {
        return Compliance {
            standard: Some(format!("conformance-pack-{pack}")),
            control: Some(rule.to_owned()),
        };
    }
    let service = arn
        .and_then(|arn| arn.split_once("/aws-service-rule/"))
        .and_then(|(_, rest)| rest.split('/').next());
    let control = name
        .strip_prefix("securityhub-")
        .and_then(|rest| rest.rsplit_once('-'))
        .filter(|(_, hash)| {
            hash.len() >= 6 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        .map_or(name, |(rule, _)| rule);
    let standard = service.or((control != name).then_some("securityhub.amazonaws.com"));
    Compliance {
        standard: standard.map(str::to_owned),
        control: Some(control.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_known_by_the_name_it_had_before_it_was_deployed() {
        let service = "arn:aws:config:eu-west-1:111122223333:config-rule/aws-service-rule/securityhub.amazonaws.com/config-rule-abc123";
        for (name, arn, control, standard) in [
            (
                "s3-bucket-logging-enabled",
                None,
                "s3-bucket-logging-enabled",
                None,
            ),
            (
                "securityhub-s3-bucket-logging-enabled-0a1b2c3d",
                Some(service),
                "s3-bucket-logging-enabled",
                Some("securityhub.amazonaws.com"),
            ),
            (
                "iam-password-policy-conformance-pack-q8d2xk1lz",
                None,
                "iam-password-policy",
                Some("conformance-pack-q8d2xk1lz"),
            ),
            ("securityhub-own", None, "securityhub-own", None),
        ] {
            let read = rule_of(name, arn);
            assert_eq!(read.control.as_deref(), Some(control), "{name}");
            assert_eq!(read.standard.as_deref(), standard, "{name}");
        }
    }
}
