use crate::{Finding, Resource, fields::Fields, refusal::Refusal, resource_id};

/// Fills in resources, account, region and scope.
pub(super) fn fill(finding: &mut Finding, fields: &Fields<'_>) -> Result<(), Refusal> {
    finding.resources = resources(fields)?;
    let main = finding.resources.first();
    let account = match fields.label("cloud.account.uid")? {
        Some(account) => Some(account),
        None => fields.label("cloud.account_uid")?,
    };
    finding.account = account.or_else(|| main.and_then(|main| main.account.clone()));
    let region = fields.text("cloud.region")?.map(str::to_owned);
    finding.region = region.or_else(|| main.and_then(|main| main.region.clone()));
    let provider = fields.text("cloud.provider")?.unwrap_or_default();
    finding.scope = scope(provider, finding);
    Ok(())
}

fn scope(provider: &str, finding: &Finding) -> Option<String> {
    let ids = finding
        .resources
        .iter()
        .map(|resource| resource.id.as_str());
    let is = |names: &[&str]| names.iter().any(|name| provider.eq_ignore_ascii_case(name));
    if is(&["azure", "microsoft", "microsoft azure"]) {
        let told = ids.map(resource_id::azure).find_map(|id| id.scope());
        return told.or_else(|| {
            Some(format!(
                "azure:/subscriptions/{}",
                finding.account.as_ref()?
            ))
        });
    }
    let account = finding.account.as_ref()?;
    if is(&["gcp", "google", "google cloud", "google cloud platform"]) {
        return Some(format!("gcp:projects/{account}"));
    }
    let is_of_aws = is(&["aws", "amazon", "amazon web services"])
        || provider.is_empty() && ids.into_iter().any(|id| resource_id::arn(id).is_some());
    is_of_aws.then(|| format!("aws:{account}"))
}

/// The `resources`, or the `resource` of 1.1; the device where there is neither.
fn resources(fields: &Fields<'_>) -> Result<Vec<Resource>, Refusal> {
    let mut sections = fields.sections("resources")?;
    sections.extend(fields.section("resource")?);
    let mut resources = Vec::new();
    for section in &sections {
        resources.extend(resource(section)?);
    }
    if resources.is_empty()
        && let Some(device) = fields.section("device")?
    {
        let names = ["uid", "instance_uid", "hostname", "name", "ip"];
        if let Some(id) = device.first_text(&names)? {
            resources.push(Resource {
                id: id.to_owned(),
                resource_type: device.text("type")?.map(str::to_owned),
                name: device.first_text(&["name", "hostname"])?.map(str::to_owned),
                region: device.text("region")?.map(str::to_owned),
                ..Resource::default()
            });
        }
    }
    Ok(resources)
}

/// One resource, by its ARN where it has one; none where it has no id of any sort.
fn resource(section: &Fields<'_>) -> Result<Option<Resource>, Refusal> {
    let uid = section.label("uid")?;
    let other = section.label("uid_alt")?;
    let name = section.label("name")?;
    let arn = [&uid, &other]
        .into_iter()
        .flatten()
        .find(|id| id.starts_with("arn:"))
        .cloned();
    let Some(id) = arn.or(uid).or(other).or_else(|| name.clone()) else {
        return Ok(None);
    };
    let of_arn = resource_id::arn(&id);
    let owner = match section.label("owner.account.uid")? {
        Some(account) => Some(account),
        None => section.label("account_uid")?,
    };
    let account = owner.or_else(|| of_arn.and_then(|(account, _)| account).map(str::to_owned));
    let region = section.text("region")?.map(str::to_owned);
    let region = region.or_else(|| of_arn.and_then(|(_, region)| region).map(str::to_owned));
    let mut tags = section.tags("labels")?;
    tags.extend(section.tags("tags")?);
    Ok(Some(Resource {
        resource_type: section.text("type")?.map(str::to_owned),
        name,
        account,
        region,
        tags,
        id,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_arn_is_preferred_whichever_of_the_two_ids_it_is() {
        let value = json!({"uid": "i-1", "uid_alt": "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", "tags": [{"name": "tier", "value": "gold"}]});
        let read = resource(&Fields::new(&value, "")).unwrap().unwrap();
        assert_eq!(read.id, "arn:aws:ec2:eu-west-1:111122223333:instance/i-1");
        assert_eq!(read.account.as_deref(), Some("111122223333"));
        assert_eq!(read.region.as_deref(), Some("eu-west-1"));
        assert_eq!(read.tags["tier"], "gold");
    }

    #[test]
    fn one_resource_or_a_device_will_do() {
        let one = json!({"resource": {"uid": "r"}});
        assert_eq!(resources(&Fields::new(&one, "")).unwrap()[0].id, "r");
        let device = json!({"device": {"hostname": "h"}});
        assert_eq!(resources(&Fields::new(&device, "")).unwrap()[0].id, "h");
        let none = json!({"resources": [{"type": "x"}]});
        assert!(resources(&Fields::new(&none, "")).unwrap().is_empty());
    }
}
