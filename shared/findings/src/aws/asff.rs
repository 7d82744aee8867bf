//! Security Hub in the AWS Security Finding Format: findings of its own controls and of the products it takes in.

mod product;
mod status;

use serde_json::Value;

use crate::{
    Compliance, Finding, Kind, Link, Remediation, Resource, Severity, Source,
    event::{Decodings, Event, is_sample_title},
    fields::{Fields, member},
    refusal::Refusal,
    resource_id, severity,
};

use super::{account, adopt, each, inspector, locate, moment, one, resource, tagged_name};

/// Decodes the findings of a Security Hub event, one bare finding, or insight results.
pub(crate) fn decode(event: &Event<'_>) -> Decodings {
    if member(event.detail, "insightArn").is_some() {
        return one(event, insight);
    }
    each(event, "findings", finding)
}

/// Says whether a bare object is a finding in this format.
pub(super) fn is_finding(detail: &Value) -> bool {
    let has = |name| member(detail, name).is_some();
    let version = member(detail, "SchemaVersion").and_then(Value::as_str);
    version == Some("2018-10-08")
        || has("ProductArn") && (has("Id") || has("GeneratorId"))
        || has("GeneratorId") && has("AwsAccountId")
        || has("AwsAccountId") && has("Id") && has("Types") && has("Resources")
}

fn finding(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let source = product::source(fields)?;
    let id = product::native_id(fields, source)?;
    let title = match fields.text("Title")? {
        Some(title) => title,
        None => fields
            .text("GeneratorId")?
            .ok_or_else(|| fields.refuse("Title", "a text is required, and there is none"))?,
    };
    let types = match fields.texts("Types")? {
        types if types.is_empty() => fields.texts("FindingProviderFields.Types")?,
        types => types,
    };
    let kind = product::kind(fields, source, &types);
    let mut finding = event.finding(source, kind, id, title, severity_of(fields, source)?);
    finding.description = fields.text("Description")?.map(str::to_owned);
    finding.resources = resources(fields)?;
    let main = finding.resources.first();
    // The envelope is of the account and region that gather findings, so the finding alone tells of its own.
    let region = fields
        .text("Region")?
        .map(str::to_owned)
        .or_else(|| main.and_then(|main| main.region.clone()))
        .or_else(|| region_of(fields, "ProductArn"))
        .or_else(|| region_of(fields, "Id"));
    let owner = account(fields, "AwsAccountId")?;
    locate(&mut finding, owner, region.as_deref());
    adopt(&mut finding);
    if kind == Kind::Compliance {
        finding.compliance = Some(compliance(fields, source)?);
    }
    finding.finding_type = match finding.compliance.as_ref() {
        Some(compliance) => compliance.control.clone(),
        None => types
            .first()
            .map(|first| product::native_type(first, source)),
    };
    finding.status = status::read(fields, kind, source)?;
    finding.first_seen = moment::first_time(fields, &["FirstObservedAt", "CreatedAt"])?;
    finding.last_seen = moment::first_time(fields, &["LastObservedAt", "UpdatedAt"])?;
    finding.updated = moment::time(fields, "UpdatedAt")?;
    finding.remediation = remediation(fields)?;
    if let Some(url) = fields
        .text("SourceUrl")?
        .filter(|url| url.starts_with("http"))
    {
        finding.links.push(Link {
            title: "Finding at its source".to_owned(),
            url: url.to_owned(),
        });
    }
    finding.sample = is_sample_title(title)
        || fields.boolean("Sample").unwrap_or_default() == Some(true)
        || product_field(fields, "aws/guardduty/service/additionalInfo/sample")
            .is_some_and(|sample| sample.eq_ignore_ascii_case("true"));
    Ok(finding)
}

/// One of `ProductFields`, whose names hold slashes but are no paths.
fn product_field<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a str> {
    member(fields.get("ProductFields")?, name)?
        .as_str()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn region_of(fields: &Fields<'_>, name: &str) -> Option<String> {
    let (_, region) = resource_id::arn(fields.get(name)?.as_str()?)?;
    region.map(str::to_owned)
}

/// The label, else the normalised number; what the customer sees before what the product first said.
fn severity_of(fields: &Fields<'_>, source: Source) -> Result<Severity, Refusal> {
    let mut unknown = None;
    for name in ["Severity", "FindingProviderFields.Severity"] {
        let Some(told) = fields.section(name)? else {
            continue;
        };
        if let Some(label) = told.text("Label")? {
            match severity::of_word(label) {
                Some(severity) => return Ok(severity),
                None => unknown = unknown.or_else(|| told.word("Label", severity::WORDS).err()),
            }
        }
        if let Some(number) = told.number("Normalized")? {
            return severity::of_normalized(number).ok_or_else(|| {
                told.refuse("Normalized", format!("`{number}` is not within 0 to 100"))
            });
        }
        if source == Source::Guardduty
            && let Some(severity) = told.number("Product")?.and_then(severity::of_guardduty)
        {
            return Ok(severity);
        }
        if let Some(severity) = told
            .label("Original")?
            .as_deref()
            .and_then(severity::of_word)
        {
            return Ok(severity);
        }
    }
    unknown.map_or(Ok(Severity::Medium), Err)
}

fn resources(fields: &Fields<'_>) -> Result<Vec<Resource>, Refusal> {
    let mut resources = Vec::new();
    for told in fields.sections("Resources")? {
        let resource_type = told.text("Type")?;
        let Some(id) = told.text("Id")?.or(resource_type) else {
            continue;
        };
        let mut found = resource(id, resource_type);
        if let Some(region) = told.text("Region")? {
            found.region = Some(region.to_owned());
        }
        found.tags = told.tags("Tags")?;
        found.name = tagged_name(&found.tags).or(found.name);
        resources.push(found);
    }
    Ok(resources)
}

/// The standard and control, by the names that one generation of Security Hub after another has used.
fn compliance(fields: &Fields<'_>, source: Source) -> Result<Compliance, Refusal> {
    let standard = fields
        .sections("Compliance.AssociatedStandards")?
        .first()
        .map(|standard| standard.text("StandardsId"))
        .transpose()?
        .flatten()
        .or_else(|| product_field(fields, "StandardsArn"))
        .or_else(|| product_field(fields, "StandardsGuideArn"));
    let rule = (source == Source::Config)
        .then(|| product_field(fields, "aws/config/ConfigRuleName"))
        .flatten();
    let control = fields
        .text("Compliance.SecurityControlId")?
        .or(rule)
        .or_else(|| product_field(fields, "ControlId"))
        .or_else(|| product_field(fields, "RuleId"))
        .or(fields.text("GeneratorId")?)
        .or(fields.text("Id")?);
    Ok(Compliance {
        standard: standard.map(str::to_owned),
        control: control.map(str::to_owned),
    })
}

fn remediation(fields: &Fields<'_>) -> Result<Option<Remediation>, Refusal> {
    let text = fields.text("Remediation.Recommendation.Text")?;
    let url = fields
        .text("Remediation.Recommendation.Url")?
        .or_else(|| product_field(fields, "RecommendationUrl"));
    Ok((text.is_some() || url.is_some()).then(|| Remediation {
        text: text.map(str::to_owned),
        url: url.map(str::to_owned),
    }))
}

/// Results of an insight that somebody sent with a custom action: counts, and none of the findings behind them.
fn insight(event: &Event<'_>, fields: &Fields<'_>) -> Result<Finding, Refusal> {
    let arn = fields.require_text("insightArn")?;
    let title = fields.text("insightName")?.unwrap_or(arn);
    let result_type = fields.text("resultType")?;
    let mut counts = Vec::new();
    for result in fields.sections("insightResults")? {
        for (value, count) in result.value().as_object().into_iter().flatten() {
            counts.push((value.as_str(), count));
        }
    }
    let mut finding = event.finding(
        Source::SecurityHub,
        Kind::Recommendation,
        arn,
        title,
        // Counts have no severity; what they count may have any.
        Severity::Informational,
    );
    finding.finding_type = result_type.map(str::to_owned);
    let listed: Vec<String> = counts
        .iter()
        .map(|(value, count)| format!("{value}: {count}"))
        .collect();
    finding.description = (!listed.is_empty()).then(|| match result_type {
        Some(result_type) => format!("Findings by {result_type}: {}", listed.join(", ")),
        None => format!("Findings: {}", listed.join(", ")),
    });
    let (account, region) = resource_id::arn(arn).unwrap_or_default();
    locate(
        &mut finding,
        account.or(event.account).map(str::to_owned),
        region.or(event.region),
    );
    if result_type == Some("ResourceId") {
        finding.resources = counts.iter().map(|(id, _)| resource(id, None)).collect();
    }
    finding.last_seen = event.time;
    finding.updated = event.time;
    Ok(finding)
}
