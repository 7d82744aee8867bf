//! Findings in the Open Cybersecurity Schema Framework: Security Hub's `Findings Imported V2`, Prowler, `ElectricEye` and others.
//!
//! Read are the classes 2001 (with the names of 1.0 and its candidates) to 2004 and 2006. Ids go before words: the spellings vary
//! with the version and the product.

use serde_json::Value;

use crate::{
    Compliance, Finding, Kind, Link, Remediation, Severity, Source,
    event::{Decoder, Decodings, Event, is_sample_title},
    fields::Fields,
    refusal::Refusal,
    resource_id, severity,
};

mod place;
mod status;

/// Known by `class_uid`, which no other source has.
pub(crate) fn for_shape(value: &Value) -> Option<Decoder> {
    value.get("class_uid").map(|_| decode as Decoder)
}

/// Decodes a finding, or the `findings` of an event.
pub(crate) fn decode(event: &Event<'_>) -> Decodings {
    let findings = event.fields().and_then(|detail| {
        if detail.has("findings") {
            detail.list("findings")
        } else {
            Ok(vec![detail])
        }
    });
    match findings {
        Ok(findings) => findings
            .into_iter()
            .map(|finding| {
                Fields::object(finding.value(), finding.path(""))
                    .and_then(|finding| one(event, &finding))
                    .map_err(|refusal| refusal.with_source(Source::Ocsf.as_str()))
            })
            .collect(),
        Err(refusal) => vec![Err(refusal.with_source(Source::Ocsf.as_str()))],
    }
}

fn one(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let kind = kind(fields)?;
    // Version 1.0 called it `finding`.
    let info = match fields.section("finding_info")? {
        Some(info) => info,
        None => match fields.section("finding")? {
            Some(info) => info,
            None => fields.require_section("finding_info")?,
        },
    };
    let source = source(fields)?;
    let uid = match info.label("uid")? {
        Some(uid) => uid,
        None => fields
            .label("metadata.uid")?
            .ok_or_else(|| info.refuse("uid", "a text is required, and there is none"))?,
    };
    let title = match info.text("title")? {
        Some(title) => title,
        None => fields
            .text("message")?
            .ok_or_else(|| info.refuse("title", "a text is required, and there is none"))?,
    };
    let mut finding = event.finding(
        source,
        kind,
        native_id(source, &uid),
        title,
        read_severity(fields)?,
    );
    finding.finding_type = finding_type(fields, &info)?;
    let description = match info.text("desc")? {
        Some(text) => Some(text),
        None => fields.text("message")?,
    };
    finding.description = description.map(str::to_owned);
    finding.status = status::read(fields, kind)?;
    place::fill(&mut finding, fields)?;
    finding.compliance = compliance(fields)?;
    finding.first_seen = info.first_time(&["first_seen_time", "first_seen_time_dt"])?;
    finding.last_seen = info.first_time(&["last_seen_time", "last_seen_time_dt"])?;
    finding.updated = match info.first_time(&["modified_time", "modified_time_dt"])? {
        Some(time) => Some(time),
        None => fields.first_time(&["time", "time_dt"])?,
    };
    finding.remediation = remediation(fields, &info)?;
    if let Some(url) = info.text("src_url")?.filter(|url| is_address(url)) {
        finding.links.push(Link {
            title: "Finding at its source".to_owned(),
            url: url.to_owned(),
        });
    }
    finding.sample = is_sample_title(&finding.title);
    Ok(finding)
}

/// The kind of a class of the category Findings; any other class is refused.
fn kind(fields: &Fields<'_>) -> Result<Kind, Refusal> {
    let class = fields
        .integer("class_uid")?
        .ok_or_else(|| fields.refuse("class_uid", "a class is required, and there is none"))?;
    match class {
        // Security (deprecated), Detection and Data Security Finding.
        2001 | 2004 | 2006 => Ok(Kind::Alert),
        2002 => Ok(Kind::Recommendation),
        2003 => Ok(Kind::Compliance),
        other => Err(fields.refuse(
            "class_uid",
            format!("`{other}` is no class of findings that is known"),
        )),
    }
}

/// The product that made the finding, if it is one of AWS; any other is `ocsf`.
fn source(fields: &Fields<'_>) -> Result<Source, Refusal> {
    const PRODUCTS: &[(&str, Source)] = &[
        ("guardduty", Source::Guardduty),
        ("security hub", Source::SecurityHub),
        ("security hub cspm", Source::SecurityHub),
        ("securityhub", Source::SecurityHub),
        ("inspector", Source::Inspector),
        ("macie", Source::Macie),
        ("access analyzer", Source::AccessAnalyzer),
        ("iam access analyzer", Source::AccessAnalyzer),
        ("config", Source::Config),
        ("health", Source::Health),
    ];
    let vendor = fields
        .text("metadata.product.vendor_name")?
        .unwrap_or_default();
    let is_of_aws = ["aws", "amazon", "amazon web services"]
        .iter()
        .any(|name| vendor.eq_ignore_ascii_case(name));
    let name = fields
        .text("metadata.product.name")?
        .unwrap_or_default()
        .to_ascii_lowercase();
    let name = name
        .strip_prefix("amazon ")
        .or_else(|| name.strip_prefix("aws "))
        .unwrap_or(&name);
    Ok(PRODUCTS
        .iter()
        .find(|(product, _)| is_of_aws && *product == name)
        .map_or(Source::Ocsf, |(_, source)| *source))
}

/// The id that the product itself gives, so that a finding is the same by whichever route it comes.
fn native_id(source: Source, uid: &str) -> &str {
    match source {
        Source::Guardduty | Source::Macie | Source::AccessAnalyzer => resource_id::last_part(uid),
        _ => uid,
    }
}

fn read_severity(fields: &Fields<'_>) -> Result<Severity, Refusal> {
    if let Some(id) = fields.integer("severity_id")? {
        match severity::of_ocsf(id) {
            Ok(Some(severity)) => return Ok(severity),
            Ok(None) => {}
            Err(()) => {
                return Err(fields.refuse(
                    "severity_id",
                    format!("`{id}` is not known; expected 0 to 6, or 99"),
                ));
            }
        }
        // Unknown and Other leave the word to the source: taken if it is one of ours.
        let word = fields.text("severity")?.unwrap_or_default();
        return Ok(severity::of_word(word).unwrap_or(Severity::Medium));
    }
    match fields.text("severity")? {
        None => Ok(Severity::Medium),
        Some(word) if word.eq_ignore_ascii_case("Fatal") => Ok(Severity::Critical),
        Some(word) if word.eq_ignore_ascii_case("Unknown") => Ok(Severity::Medium),
        Some(_) => Ok(fields
            .word("severity", severity::WORDS)?
            .unwrap_or(Severity::Medium)),
    }
}

/// The control, check, vulnerability or detection it is of.
fn finding_type(fields: &Fields<'_>, info: &Fields<'_>) -> Result<Option<String>, Refusal> {
    for name in ["compliance.control", "metadata.event_code"] {
        if let Some(text) = fields.text(name)? {
            return Ok(Some(text.to_owned()));
        }
    }
    if let Some(vulnerability) = fields.sections("vulnerabilities")?.first()
        && let Some(cve) = vulnerability.first_text(&["cve.uid", "advisory.uid", "title"])?
    {
        return Ok(Some(cve.to_owned()));
    }
    // GuardDuty's own type stands last, after Security Hub's namespaces.
    let types = info.texts("types")?;
    let named = types
        .iter()
        .find(|name| name.contains(':'))
        .or(types.last());
    Ok(named.map(|name| (*name).to_owned()))
}

fn compliance(fields: &Fields<'_>) -> Result<Option<Compliance>, Refusal> {
    let Some(section) = fields.section("compliance")? else {
        return Ok(None);
    };
    let standard = section
        .texts("standards")?
        .first()
        .map(|name| (*name).to_owned());
    let control = section.text("control")?.map(str::to_owned);
    Ok((standard.is_some() || control.is_some()).then_some(Compliance { standard, control }))
}

fn remediation(fields: &Fields<'_>, info: &Fields<'_>) -> Result<Option<Remediation>, Refusal> {
    let section = match fields.section("remediation")? {
        Some(section) => Some(section),
        None => info.section("remediation")?,
    };
    let Some(section) = section else {
        return Ok(None);
    };
    let text = section.text("desc")?.map(str::to_owned);
    let mut url = None;
    for name in ["references", "kb_articles"] {
        let addresses = section.list(name)?;
        let found = addresses
            .iter()
            .filter_map(|address| address.text_here().ok().flatten())
            .find(|address| is_address(address));
        url = url.or(found.map(str::to_owned));
    }
    Ok((text.is_some() || url.is_some()).then_some(Remediation { text, url }))
}

fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Status;

    fn read(value: &Value) -> Result<Finding, Refusal> {
        decode(&Event::bare(value, "")).remove(0)
    }

    fn minimal() -> Value {
        json!({"class_uid": 2004, "severity_id": 4, "status_id": 1, "finding_info": {"uid": "f-1", "title": "t"}})
    }

    #[test]
    fn a_class_outside_findings_is_refused() {
        let mut value = minimal();
        value["class_uid"] = 3002.into();
        assert_eq!(
            read(&value).unwrap_err().to_string(),
            "ocsf: `3002` is no class of findings that is known at `class_uid`"
        );
    }

    #[test]
    fn the_id_of_a_severity_goes_before_its_word() {
        let mut value = minimal();
        value["severity"] = "Low".into();
        assert_eq!(read(&value).unwrap().severity, Severity::High);
        value["severity_id"] = 99.into();
        assert_eq!(
            read(&value).unwrap().severity,
            Severity::Low,
            "other: the word"
        );
        value["severity_id"] = 7.into();
        assert_eq!(read(&value).unwrap_err().path, "severity_id");
        value.as_object_mut().unwrap().remove("severity_id");
        value["severity"] = "Hgih".into();
        assert_eq!(read(&value).unwrap_err().path, "severity");
    }

    #[test]
    fn a_product_of_aws_is_the_source_and_gives_the_id() {
        let mut value = minimal();
        value["metadata"] = json!({"product": {"name": "GuardDuty", "vendor_name": "Amazon"}});
        value["finding_info"]["uid"] =
            "arn:aws:guardduty:eu-west-1:111122223333:detector/d/finding/abc".into();
        let finding = read(&value).unwrap();
        assert_eq!(
            (finding.source, finding.id.as_str()),
            (Source::Guardduty, "abc")
        );
        value["metadata"]["product"]["vendor_name"] = "Example".into();
        assert_eq!(
            read(&value).unwrap().source,
            Source::Ocsf,
            "the vendor is another"
        );
    }

    #[test]
    fn a_check_that_passed_is_no_open_alert() {
        let mut value = minimal();
        value["status_code"] = "PASS".into();
        assert_eq!(read(&value).unwrap().status, Some(Status::Resolved));
        value["status_code"] = "FAIL".into();
        assert_eq!(read(&value).unwrap().status, Some(Status::New));
    }
}
