//! Which product made a finding that came through Security Hub, and how that product itself names it.

use crate::{Kind, Source, fields::Fields, refusal::Refusal, resource_id};

use super::product_field;

/// Last parts of `ProductArn`, and the names that stand in `ProductName`.
const PRODUCTS: &[(&str, Source)] = &[
    ("guardduty", Source::Guardduty),
    ("macie", Source::Macie),
    ("inspector", Source::Inspector),
    ("access-analyzer", Source::AccessAnalyzer),
    ("iam access analyzer", Source::AccessAnalyzer),
    ("config", Source::Config),
    ("health", Source::Health),
];

/// The product that a finding names; Security Hub itself for its own controls, partners and custom products.
pub(super) fn source(fields: &Fields<'_>) -> Result<Source, Refusal> {
    let name = match fields.text("ProductArn")? {
        Some(arn) => arn
            .split_once("product/aws/")
            .map(|(_, name)| name.split('/').next().unwrap_or(name)),
        None => fields.text("ProductName")?,
    };
    let known = name.and_then(|name| {
        PRODUCTS
            .iter()
            .find(|(product, _)| product.eq_ignore_ascii_case(name))
    });
    Ok(known.map_or(Source::SecurityHub, |(_, source)| *source))
}

/// The id that the product itself gives, so that a finding is the same by whichever route it comes.
///
/// Access Analyzer names its own id in a product field, or at the end of the address of its page: the ASFF id is of the
/// resource.
pub(super) fn native_id(fields: &Fields<'_>, source: Source) -> Result<String, Refusal> {
    let id = fields.label("Id")?;
    if source == Source::AccessAnalyzer {
        let page = fields
            .text("SourceUrl")?
            .and_then(|url| url.rsplit_once("/findings/details/"))
            .map(|(_, id)| id);
        if let Some(id) = product_field(fields, "findingId").or(page) {
            return Ok(id.to_owned());
        }
    }
    let id = id.ok_or_else(|| fields.refuse("Id", "a text is required, and there is none"))?;
    Ok(match source {
        Source::Guardduty | Source::Macie if id.starts_with("arn:") => {
            resource_id::last_part(&id).to_owned()
        }
        Source::AccessAnalyzer if !id.contains(":analyzer/") => {
            resource_id::last_part(&id).to_owned()
        }
        _ => id,
    })
}

/// The kind: of a product that is known, its own; else compliance where there is a compliance status, else by the namespace
/// of the first type.
pub(super) fn kind(fields: &Fields<'_>, source: Source, types: &[&str]) -> Kind {
    const THREATS: &[&str] = &[
        "TTPs",
        "Effects",
        "Unusual Behaviors",
        "Sensitive Data Identifications",
    ];
    match source {
        Source::Guardduty | Source::Macie | Source::Health => return Kind::Alert,
        Source::Inspector | Source::AccessAnalyzer => return Kind::Recommendation,
        _ => {}
    }
    if fields.has("Compliance.Status") {
        return Kind::Compliance;
    }
    let namespace = types
        .first()
        .map(|first| first.split('/').next().unwrap_or(first).trim());
    if namespace.is_some_and(|name| {
        THREATS
            .iter()
            .any(|threat| threat.eq_ignore_ascii_case(name))
    }) {
        Kind::Alert
    } else {
        Kind::Recommendation
    }
}

/// The type as the product itself spells it, where the namespaces around it show what that is.
///
/// Security Hub has `TTPs/Command and Control/Backdoor:EC2-C&CActivity.B!DNS` for GuardDuty's
/// `Backdoor:EC2/C&CActivity.B!DNS`: a slash would start a new part of the name.
pub(super) fn native_type(asff: &str, source: Source) -> String {
    const OF_ACCESS: &[(&str, &str)] = &[
        ("External Access Granted", "ExternalAccess"),
        ("Unused Permission", "UnusedPermission"),
        ("Unused IAM Role", "UnusedIAMRole"),
        ("Unused IAM User Password", "UnusedIAMUserPassword"),
        ("Unused IAM User Access Key", "UnusedIAMUserAccessKey"),
    ];
    const OF_INSPECTION: &[(&str, &str)] = &[
        ("Vulnerabilities/CVE", "PACKAGE_VULNERABILITY"),
        ("Network Reachability", "NETWORK_REACHABILITY"),
        ("Code Vulnerabilities", "CODE_VULNERABILITY"),
    ];
    let by_end = |known: &[(&str, &str)]| {
        known
            .iter()
            .find(|(end, _)| asff.ends_with(end))
            .map_or_else(|| asff.to_owned(), |(_, native)| (*native).to_owned())
    };
    match source {
        Source::Guardduty | Source::Macie => {
            let Some((head, tail)) = asff.split_once(':') else {
                return asff.to_owned();
            };
            let purpose = head.rsplit('/').next().unwrap_or(head);
            // A tail that has its slash is spelled as it should be.
            if tail.contains('/') {
                format!("{purpose}:{tail}")
            } else {
                format!("{purpose}:{}", tail.replacen('-', "/", 1))
            }
        }
        Source::AccessAnalyzer => by_end(OF_ACCESS),
        Source::Inspector => by_end(OF_INSPECTION),
        _ => asff.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_spelled_as_their_products_spell_them() {
        for (asff, source, native) in [
            (
                "TTPs/Command and Control/Backdoor:EC2-C&CActivity.B!DNS",
                Source::Guardduty,
                "Backdoor:EC2/C&CActivity.B!DNS",
            ),
            (
                "TTPs/Initial Access/UnauthorizedAccess:EC2/SSHBruteForce",
                Source::Guardduty,
                "UnauthorizedAccess:EC2/SSHBruteForce",
            ),
            (
                "TTPs/Initial Access/UnauthorizedAccess:EC2/Brute-Force",
                Source::Guardduty,
                "UnauthorizedAccess:EC2/Brute-Force",
            ),
            ("TTPs/Discovery", Source::Guardduty, "TTPs/Discovery"),
            (
                "Sensitive Data Identifications/PII/SensitiveData:S3Object-Personal",
                Source::Macie,
                "SensitiveData:S3Object/Personal",
            ),
            (
                "Software and Configuration Checks/AWS Security Best Practices/Unused IAM Role",
                Source::AccessAnalyzer,
                "UnusedIAMRole",
            ),
            (
                "Software and Configuration Checks/Vulnerabilities/CVE",
                Source::Inspector,
                "PACKAGE_VULNERABILITY",
            ),
            (
                "Software and Configuration Checks/Vulnerabilities/CVE",
                Source::SecurityHub,
                "Software and Configuration Checks/Vulnerabilities/CVE",
            ),
        ] {
            assert_eq!(native_type(asff, source), native);
        }
    }
}
