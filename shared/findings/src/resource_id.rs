//! What the resource ids of the clouds say of themselves: whose they are, where and what.

/// The last part of an ARN, an Azure resource id or a full GCP resource name.
pub(crate) fn last_part(id: &str) -> &str {
    let trimmed = id.trim_end_matches('/');
    trimmed
        .rsplit(['/', ':'])
        .next()
        .filter(|part| !part.is_empty())
        .unwrap_or(id)
}

/// The parts of an Azure resource id that a finding needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AzureId<'a> {
    pub(crate) subscription: Option<&'a str>,
    pub(crate) resource_group: Option<&'a str>,
    /// `Microsoft.Compute/virtualMachines`, of the innermost resource before a `Microsoft.Security` extension.
    pub(crate) resource_type: Option<String>,
    pub(crate) name: Option<&'a str>,
}

impl AzureId<'_> {
    /// `azure:/subscriptions/…`, with the resource group where there is one.
    pub(crate) fn scope(&self) -> Option<String> {
        let subscription = self.subscription?;
        Some(match self.resource_group {
            Some(group) => format!("azure:/subscriptions/{subscription}/resourceGroups/{group}"),
            None => format!("azure:/subscriptions/{subscription}"),
        })
    }
}

/// Reads an Azure resource id; parts that it does not have are absent.
pub(crate) fn azure(id: &str) -> AzureId<'_> {
    let mut parsed = AzureId::default();
    if !id.starts_with('/') {
        return parsed;
    }
    let parts: Vec<&str> = id.split('/').filter(|part| !part.is_empty()).collect();
    let after = |name: &str| {
        parts
            .windows(2)
            .find(|pair| pair[0].eq_ignore_ascii_case(name))
            .map(|pair| pair[1])
    };
    parsed.subscription = after("subscriptions");
    parsed.resource_group = after("resourceGroups");
    let resource_end = security_extension(&parts).unwrap_or(parts.len());
    let own = &parts[..resource_end];
    if let Some(providers) = own
        .iter()
        .rposition(|part| part.eq_ignore_ascii_case("providers"))
    {
        let tail = &own[providers + 1..];
        if let Some((namespace, pairs)) = tail.split_first() {
            let types: Vec<&str> = pairs.iter().step_by(2).copied().collect();
            if !types.is_empty() {
                parsed.resource_type = Some(format!("{namespace}/{}", types.join("/")));
                parsed.name = (pairs.len() % 2 == 0).then(|| pairs[pairs.len() - 1]);
            }
        }
    } else if let Some(group) = parsed.resource_group {
        parsed.resource_type = Some("Microsoft.Resources/resourceGroups".to_owned());
        parsed.name = Some(group);
    } else if let Some(subscription) = parsed.subscription {
        parsed.resource_type = Some("Microsoft.Resources/subscriptions".to_owned());
        parsed.name = Some(subscription);
    }
    parsed
}

/// The id of the resource that a `Microsoft.Security` id extends, such as the machine of an assessment.
pub(crate) fn azure_extended(id: &str) -> Option<&str> {
    let lower = id.to_ascii_lowercase();
    let end = lower.find("/providers/microsoft.security/")?;
    id.get(..end).filter(|resource| !resource.is_empty())
}

fn security_extension(parts: &[&str]) -> Option<usize> {
    parts.windows(2).position(|pair| {
        pair[0].eq_ignore_ascii_case("providers")
            && pair[1].eq_ignore_ascii_case("Microsoft.Security")
    })
}

/// The part after `name` in a slash-separated resource name, such as the project in `projects/<id>/…`.
pub(crate) fn part_after<'a>(id: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = id.split('/');
    parts
        .by_ref()
        .find(|part| part.eq_ignore_ascii_case(name))?;
    parts.next().filter(|part| !part.is_empty())
}

/// Account and region of an ARN; either may be empty in it and is then absent.
pub(crate) fn arn(id: &str) -> Option<(Option<&str>, Option<&str>)> {
    let mut parts = id.split(':');
    if parts.next() != Some("arn") {
        return None;
    }
    let (_partition, _service, region, account) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    parts.next()?;
    Some((
        Some(account).filter(|part| !part.is_empty()),
        Some(region).filter(|part| !part.is_empty()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str =
        "/subscriptions/s1/resourceGroups/rg1/providers/Microsoft.Compute/virtualMachines/vm1";

    #[test]
    fn an_azure_id_tells_its_parts() {
        let machine = azure(MACHINE);
        assert_eq!(machine.subscription, Some("s1"));
        assert_eq!(
            machine.scope().unwrap(),
            "azure:/subscriptions/s1/resourceGroups/rg1"
        );
        assert_eq!(
            machine.resource_type.as_deref(),
            Some("Microsoft.Compute/virtualMachines")
        );
        assert_eq!(machine.name, Some("vm1"));

        let database = azure(
            "/subscriptions/s1/resourcegroups/rg1/providers/Microsoft.Sql/servers/a/databases/b",
        );
        assert_eq!(
            database.resource_type.as_deref(),
            Some("Microsoft.Sql/servers/databases")
        );
        assert_eq!(database.name, Some("b"));
        assert_eq!(database.resource_group, Some("rg1"));
        assert_eq!(
            azure("/subscriptions/s1").scope().unwrap(),
            "azure:/subscriptions/s1"
        );
        assert_eq!(azure("vm1"), AzureId::default());
    }

    #[test]
    fn the_extension_of_a_finding_is_not_the_resource() {
        let id = format!("{MACHINE}/providers/Microsoft.Security/assessments/x");
        assert_eq!(azure_extended(&id), Some(MACHINE));
        assert_eq!(azure(&id).name, Some("vm1"));
        assert_eq!(azure_extended("/providers/Microsoft.Security/x"), None);
    }

    #[test]
    fn arns_and_names_end_in_their_own_part() {
        assert_eq!(arn("arn:aws:s3:::b"), Some((None, None)));
        assert_eq!(
            arn("arn:aws:ec2:eu-west-1:111122223333:instance/i-1"),
            Some((Some("111122223333"), Some("eu-west-1")))
        );
        assert_eq!(arn("arn:aws:ec2"), None);
        assert_eq!(
            last_part("arn:aws:guardduty:eu-west-1:111122223333:detector/d/finding/f"),
            "f"
        );
        assert_eq!(last_part("i-1"), "i-1");
        assert_eq!(part_after("//x/projects/p/zones/z", "projects"), Some("p"));
    }
}
