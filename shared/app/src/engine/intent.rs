use quench_actions::remediate::{Kind, Parameters, Remediation, Target};
use quench_automations::RemediateStep;
use quench_automations::templates::{self, Escape};
use quench_findings::{Finding, Resource};
use serde_json::Value;

/// What a step means to remediate, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Intent {
    pub(crate) remediation: Remediation,
    pub(crate) target: Target,
    pub(crate) parameters: Parameters,
}

/// Renders what a step says, and finds the resource that it means.
pub(crate) fn intent(
    step: &RemediateStep,
    finding: &Finding,
    context: &Value,
) -> Result<Intent, String> {
    let remediation: Remediation = step.name.parse().map_err(|error| format!("{error}"))?;
    let text = |part: &str, source: &Option<String>| -> Result<Option<String>, String> {
        let Some(source) = source else {
            return Ok(None);
        };
        let text = templates::render(source, context, Escape::None)
            .map_err(|error| format!("`{part}`: {error}"))?;
        Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
    };
    let account = text("account", &step.account)?;
    let region = text("region", &step.region)?;
    let place = Place {
        remediation,
        finding,
        account: account.as_deref(),
        region: region.as_deref(),
    };
    let target = match text("resource", &step.resource)? {
        Some(resource) => place.named(&resource)?,
        None if step.resource.is_some() => {
            return Err("`resource` yields nothing; write an ARN or an id".to_owned());
        }
        None => place.found()?,
    };
    let with = Value::Object(step.with.clone());
    let parameters = match templates::render_json(&with, context) {
        Ok(Value::Object(parameters)) => parameters,
        Ok(_) => Parameters::new(),
        Err(error) => return Err(format!("`with`: {error}")),
    };
    Ok(Intent {
        remediation,
        target,
        parameters,
    })
}

/// Where a resource may be.
struct Place<'a> {
    remediation: Remediation,
    finding: &'a Finding,
    account: Option<&'a str>,
    region: Option<&'a str>,
}

impl Place<'_> {
    /// The resource of this name, which the finding may know more of.
    fn named(&self, name: &str) -> Result<Target, String> {
        let known = self.finding.resources.iter();
        let known = known.into_iter().find(|resource| resource.id == name);
        self.read(name, known)
    }

    /// The one resource of the finding that the remediation takes.
    fn found(&self) -> Result<Target, String> {
        let resources = self.finding.resources.iter();
        let mut targets: Vec<Target> = Vec::new();
        let mut refused = None;
        for resource in resources {
            match self.read(&resource.id, Some(resource)) {
                Ok(target) if targets.contains(&target) => {}
                Ok(target) => targets.push(target),
                Err(reason) => refused = Some(reason),
            }
        }
        let name = self.remediation.name();
        let accepts = self.remediation.facts().accepts;
        match targets.len() {
            0 => match (accepts, &self.finding.account) {
                // Nothing else can be meant.
                ([Kind::Account], Some(account)) => self.read(account, None),
                _ => Err(match refused {
                    Some(reason) => format!("the finding names no resource for `{name}`: {reason}"),
                    None => format!("the finding names no resource for `{name}`; write `resource`"),
                }),
            },
            1 => Ok(targets.remove(0)),
            count => Err(format!(
                "the finding names {count} resources that `{name}` takes; write which one as `resource`"
            )),
        }
    }

    fn read(&self, name: &str, known: Option<&Resource>) -> Result<Target, String> {
        let finding = self.finding;
        let account = self
            .account
            .or(known.and_then(|known| known.account.as_deref()))
            .or(finding.account.as_deref())
            .ok_or("nothing says which account the resource is in; write `account`")?;
        let region = self
            .region
            .or(known.and_then(|known| known.region.as_deref()))
            .or(finding.region.as_deref())
            .or(stated_region(name))
            .ok_or("nothing says which region the resource is in; write `region`")?;
        let accepts = self.remediation.facts().accepts;
        Target::read(name, accepts, account, region).map_err(|fault| fault.to_string())
    }
}

/// The region that an ARN tells.
fn stated_region(name: &str) -> Option<&str> {
    let region = name.strip_prefix("arn:")?.split(':').nth(2)?;
    (!region.is_empty()).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::trial::finding;
    use serde_json::json;

    fn step(name: &str, resource: Option<&str>) -> RemediateStep {
        RemediateStep {
            name: name.to_owned(),
            resource: resource.map(str::to_owned),
            account: None,
            region: None,
            with: serde_json::Map::new(),
            approval: None,
            verify: None,
        }
    }

    fn about(resources: &[&str]) -> Finding {
        let resources = resources.iter().map(|id| Resource {
            id: (*id).to_owned(),
            ..Resource::default()
        });
        Finding {
            resources: resources.collect(),
            ..finding()
        }
    }

    fn target(name: &str, resource: Option<&str>, finding: &Finding) -> Result<String, String> {
        let context = json!({ "finding": finding, "params": { "extra": 8443 } });
        let intent = intent(&step(name, resource), finding, &context)?;
        Ok(intent.target.arn)
    }

    #[test]
    fn the_one_resource_that_fits_is_meant() {
        let finding = about(&["AWS::::Account:111122223333", "sg-1", "arn:aws:s3:::logs"]);
        let group = "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1";
        assert_eq!(
            target("revoke-open-ingress", None, &finding).unwrap(),
            group
        );
        let named = "{{ finding.resources[1].id }}";
        assert_eq!(
            target("revoke-open-ingress", Some(named), &finding).unwrap(),
            group
        );
        assert_eq!(
            target("revoke-open-ingress", Some(group), &about(&[])).unwrap(),
            group
        );
    }

    #[test]
    fn a_finding_without_one_or_with_several_is_told() {
        let none = target("revoke-open-ingress", None, &about(&[])).unwrap_err();
        assert!(none.ends_with("write `resource`"), "{none}");
        let other = target("revoke-open-ingress", None, &about(&["arn:aws:s3:::logs"]));
        assert!(other.unwrap_err().contains("is none of these"));
        let several = target("revoke-open-ingress", None, &about(&["sg-1", "sg-2"]));
        assert!(several.unwrap_err().contains("names 2 resources"));
        // The same resource named twice is one.
        let twice = [
            "sg-1",
            "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1",
        ];
        assert!(target("revoke-open-ingress", None, &about(&twice)).is_ok());
        // A bucket's account is not taken for a bucket that is not named.
        assert!(target("s3-block-public-access", None, &about(&[])).is_err());
        let own = target("ebs-encryption-by-default", None, &about(&[])).unwrap();
        assert_eq!(own, "arn:aws:iam::111122223333:root");
    }

    #[test]
    fn parameters_are_rendered_with_their_types() {
        let mut step = step("revoke-open-ingress", Some("sg-1"));
        step.with = json!({ "ports": [22, "{{ params.extra }}"] })
            .as_object()
            .cloned()
            .unwrap();
        let context = json!({ "params": { "extra": 8443 } });
        let intent = intent(&step, &finding(), &context).unwrap();
        assert_eq!(intent.parameters["ports"], json!([22, 8443]));
    }
}
