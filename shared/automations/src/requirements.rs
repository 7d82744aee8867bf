use crate::remediation::Remediation;
use crate::{Playbook, Step, StepKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a playbook needs to be set up before it can run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    /// Connections, by the parameter or name that holds them, with what each is for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub connections: BTreeMap<String, String>,
    /// Permissions of the cloud or service, such as `ses:SendEmail`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
}

impl Requirements {
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.permissions.is_empty()
    }
}

impl Playbook {
    /// What it needs to be set up: what it says, and what its remediations need without its saying so.
    #[must_use]
    pub fn needs(&self) -> Requirements {
        let mut names = BTreeSet::new();
        remediations(&self.steps, &mut names);
        let actions: BTreeSet<&str> = names
            .into_iter()
            .filter_map(|name| name.parse::<Remediation>().ok())
            .flat_map(|remediation| remediation.facts().permissions)
            .map(|permission| permission.action)
            .collect();
        let mut needs = self.requires.clone();
        for action in actions {
            if !needs.permissions.iter().any(|stated| stated == action) {
                needs.permissions.push(action.to_owned());
            }
        }
        needs
    }
}

fn remediations<'a>(steps: &'a [Step], names: &mut BTreeSet<&'a str>) {
    for step in steps {
        match &step.kind {
            StepKind::Remediate(step) => {
                names.insert(&step.name);
            }
            StepKind::Approve(step) => {
                names.extend(step.remediate.iter().map(|step| step.name.as_str()));
            }
            StepKind::If(step) => {
                remediations(&step.then, names);
                remediations(&step.otherwise, names);
            }
            StepKind::ForEach(step) => remediations(&step.steps, names),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Library, SourceFile, load};

    #[test]
    fn what_remediations_need_is_told_after_what_the_playbook_says() {
        let file = SourceFile {
            path: "a.yaml".to_owned(),
            text: "playbook: a\ntriggers: [alert]\nrequires: { permissions: [mail, 'ec2:StopInstances'] }\nsteps:\n  - if: finding.sample\n    then: [{ remediate: stop-ec2-instance }]\n    else: [{ approve: { remediate: ebs-encryption-by-default } }]\n  - remediate: ebs-encryption-by-default\n".to_owned(),
        };
        let definitions = load(&[file], &Library::default()).unwrap();
        assert_eq!(
            definitions.playbooks[0].definition.needs().permissions,
            [
                "mail",
                "ec2:StopInstances",
                "ec2:DescribeInstances",
                "ec2:DescribeTags",
                "ec2:DisableEbsEncryptionByDefault",
                "ec2:EnableEbsEncryptionByDefault",
                "ec2:GetEbsEncryptionByDefault",
                "ec2:StartInstances",
            ]
        );
    }
}
