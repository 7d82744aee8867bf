/// A ready-made file of the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// What it is called: its file without the extension.
    pub name: &'static str,
    /// Name of its file.
    pub file: &'static str,
    /// One line for people: the first of the file.
    pub title: &'static str,
    /// The file: playbooks, the connections they want and an example automation.
    pub text: &'static str,
}

macro_rules! gallery {
    ($($name:literal: $title:literal,)+) => {
        const GALLERY: &[Template] = &[$(Template {
            name: $name,
            file: concat!($name, ".yaml"),
            title: $title,
            text: include_str!(concat!("../../../playbooks/", $name, ".yaml")),
        }),+];
    };
}

gallery! {
    "notify-email-on-threat": "Set a notification e-mail when a threat is detected",
    "notify-email-on-recommendation": "E-mail when a resource becomes unhealthy",
    "notify-email-on-compliance-failure": "E-mail when a compliance check fails",
    "post-to-slack": "Post serious findings to Slack",
    "post-to-teams": "Post serious findings to Microsoft Teams",
    "slack-or-email": "Slack first, e-mail if that fails",
    "route-by-severity": "Send a finding where its severity belongs",
    "escalate-after-waiting": "Escalate a serious threat after a pause",
    "page-on-call": "Call the people on call, and tell their manager, about a critical threat",
    "notify-resource-owner": "Mail the owner of a resource, by its tag",
    "mail-per-resource": "One mail for each resource of a finding",
    "report-public-access": "Report resources that others can reach",
    "tell-when-resolved": "Tell the team when a threat is over",
    "open-ticket": "Open a ticket over a REST API",
    "open-case-with-oauth2": "Open a case in a service that wants OAuth 2.0",
    "hand-over-to-soar": "Hand a finding over to a SOAR platform, and tell people that it was",
    "forward-to-siem": "Forward every finding to a SIEM by signed webhook",
    "record-compliance-evidence": "Record every change of compliance as evidence",
    "remediate-s3-block-public-access": "Block public access to an S3 bucket, or to all buckets of an account",
    "remediate-revoke-open-ingress": "Revoke the rules of a security group that let everybody in at risky ports",
    "remediate-deactivate-access-key": "Deactivate access keys that are old or unused",
    "remediate-rds-not-public": "Take an RDS instance off the internet",
    "remediate-s3-tls-only": "Deny requests to an S3 bucket that come without TLS",
    "remediate-cloudtrail-logging": "Turn on the logging of a trail and the validation of its files",
    "remediate-kms-key-rotation": "Turn on the rotation of a KMS key",
    "remediate-kms-cancel-key-deletion": "Keep a KMS key that is about to be deleted",
    "remediate-make-snapshot-private": "Share a snapshot or machine image with named accounts alone",
    "remediate-empty-default-security-group": "Take every rule out of the default security group of a VPC",
    "remediate-ec2-imdsv2": "Require a token for the metadata of an EC2 instance",
    "remediate-quarantine-ec2-instance": "Isolate an EC2 instance that is under control of somebody else",
    "remediate-stop-ec2-instance": "Stop an EC2 instance that is misused",
    "remediate-ebs-encryption-by-default": "Encrypt new EBS volumes of a region by default",
    "remediate-contain-iam-principal": "Take every permission away from an IAM user or role",
    "remediate-iam-password-policy": "Make the password policy of an account strict enough",
    "quarantine-instance": "Quarantine an EC2 instance, with snapshots of its disks first",
    "contain-compromised-principal": "Contain the user or role whose credentials somebody else uses",
    "resolve-in-security-hub": "Mend what a control of Security Hub finds, and write back what was done",
    "run-ssm-runbook": "Run a runbook of Systems Manager on the instance of a finding",
    "hand-over-to-step-functions": "Hand a finding over to a state machine of Step Functions",
}

/// The gallery: files that can be used as they are, or copied and changed; the most wanted first.
#[must_use]
pub fn gallery() -> &'static [Template] {
    GALLERY
}

#[cfg(test)]
mod tests {
    use super::gallery;
    use crate::remediation::Remediation;
    use crate::samples::samples;
    use crate::templates::{Escape, context, render, render_json};
    use crate::{Definitions, Library, Playbook, SourceFile, Step, StepKind, load};
    use quench_findings::Finding;
    use serde_json::{Map, Value, json};
    use std::collections::BTreeSet;
    use std::path::Path;

    fn loaded(files: &[SourceFile]) -> Definitions {
        match load(files, &Library::default()) {
            Ok(definitions) => {
                assert!(
                    definitions.warnings.is_empty(),
                    "{}",
                    definitions.warnings.render(false)
                );
                definitions
            }
            Err(faults) => panic!("{}", faults.render(false)),
        }
    }

    fn files() -> Vec<SourceFile> {
        gallery()
            .iter()
            .map(|template| SourceFile {
                path: template.file.to_owned(),
                text: template.text.to_owned(),
            })
            .collect()
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_gallery() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
        let there: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".yaml"))
            .collect();
        let listed: BTreeSet<String> = gallery()
            .iter()
            .map(|template| template.file.to_owned())
            .collect();
        assert_eq!(there, listed);
    }

    #[test]
    fn each_file_loads_by_itself_and_says_what_it_requires() {
        for file in files() {
            let definitions = loaded(std::slice::from_ref(&file));
            assert!(!definitions.playbooks.is_empty(), "{}", file.path);
            for playbook in &definitions.playbooks {
                let playbook = &playbook.definition;
                assert!(
                    !playbook.requires.permissions.is_empty(),
                    "{}",
                    playbook.name
                );
                assert!(playbook.description.is_some(), "{}", playbook.name);
                for name in playbook.requires.connections.keys() {
                    assert!(
                        playbook.parameters.contains_key(name),
                        "{}: {name}",
                        playbook.name
                    );
                }
                for (name, parameter) in &playbook.parameters {
                    assert!(parameter.description.is_some(), "{}: {name}", playbook.name);
                    assert_eq!(
                        parameter.parameter_type == crate::ParameterType::Connection,
                        playbook.requires.connections.contains_key(name),
                        "{}: {name}",
                        playbook.name
                    );
                }
            }
            assert_eq!(definitions.automations.len(), 1, "{}", file.path);
        }
    }

    #[test]
    fn what_remediations_need_is_told_by_each_file() {
        for playbook in loaded(&files()).playbooks {
            let playbook = &playbook.definition;
            assert_eq!(playbook.needs(), playbook.requires, "{}", playbook.name);
        }
    }

    #[test]
    fn every_remediation_has_a_file_of_its_own() {
        for remediation in Remediation::ALL {
            let name = format!("remediate-{remediation}");
            assert!(
                gallery().iter().any(|template| template.name == name),
                "{name}"
            );
        }
    }

    #[test]
    fn all_files_load_together_and_only_the_first_acts_at_once() {
        let definitions = loaded(&files());
        let enabled: Vec<&str> = definitions
            .automations
            .iter()
            .filter(|automation| automation.definition.enabled)
            .map(|automation| automation.definition.name.as_str())
            .collect();
        assert_eq!(enabled, ["notify-email-on-threat"]);
    }

    #[test]
    fn the_title_is_the_first_line_of_the_file() {
        for template in gallery() {
            let first = template.text.lines().next().unwrap();
            assert_eq!(first, format!("# {}.", template.title), "{}", template.file);
        }
    }

    /// What a finding makes of a playbook's effects, whichever way its branches would go.
    struct Rehearsal {
        context: Value,
        effects: Vec<Value>,
        /// Whether remediations are applied; else all steps are refused.
        applied: bool,
    }

    impl Rehearsal {
        fn steps(&mut self, steps: &[Step]) {
            for step in steps {
                self.step(step);
                self.context["steps"][&step.id] = match &step.kind {
                    StepKind::Remediate(_) | StepKind::Approve(_) if self.applied => json!({
                        "ok": true, "error": null, "outcome": "applied", "risk": "medium",
                        "resource": "arn:aws:s3:::logs", "approved_by": "lead@example.com",
                        "by": "lead@example.com", "verified": true, "plan_hash": "0a1b",
                        "changes": [{ "path": "block.BlockPublicAcls", "before": false, "after": true }],
                        "warnings": ["the bucket serves a website"],
                    }),
                    _ => json!({ "ok": false, "error": "refused", "status": 400 }),
                };
            }
        }

        fn step(&mut self, step: &Step) {
            let names = self.context.clone();
            let shown = |source: &str, escape| {
                render(source, &names, escape)
                    .unwrap_or_else(|error| panic!("{}: {error}", step.id))
            };
            let value = |value: &Value| {
                render_json(value, &names).unwrap_or_else(|error| panic!("{}: {error}", step.id))
            };
            match &step.kind {
                StepKind::If(branch) => {
                    assert!(value(&json!(branch.condition)).is_boolean(), "{}", step.id);
                    self.steps(&branch.then);
                    self.steps(&branch.otherwise);
                }
                StepKind::ForEach(each) => {
                    let items = value(&json!(each.items));
                    for (index, item) in items.as_array().unwrap().iter().enumerate() {
                        self.context[&each.name] = item.clone();
                        self.context["loop_index"] = json!(index);
                        self.steps(&each.steps);
                    }
                }
                StepKind::Set(variables) => {
                    for (name, variable) in variables {
                        let variable = value(variable);
                        self.context["vars"][name] = variable;
                    }
                }
                StepKind::Slack(slack) => {
                    let text = slack.text.as_deref().map(|text| shown(text, Escape::Slack));
                    self.effects.push(json!({ &step.id: text }));
                }
                StepKind::Teams(teams) => {
                    let text = teams
                        .text
                        .as_deref()
                        .map(|text| shown(text, Escape::Markdown));
                    self.effects.push(json!({ &step.id: text }));
                }
                other => {
                    let rendered = value(&serde_json::to_value(other).unwrap());
                    self.effects.push(json!({ &step.id: rendered }));
                }
            }
        }
    }

    fn rehearse(
        playbook: &Playbook,
        with: &Map<String, Value>,
        finding: &Finding,
        applied: bool,
    ) -> Vec<Value> {
        let mut names = context(finding, &finding.document());
        let mut params = playbook.bind(with).unwrap();
        for param in params.values_mut() {
            *param = render_json(param, &Value::Object(names.clone())).unwrap();
        }
        names.insert("params".to_owned(), Value::Object(params));
        names.insert("steps".to_owned(), json!({}));
        names.insert("vars".to_owned(), json!({}));
        names.insert(
            "run".to_owned(),
            json!({
                "id": "0a1b", "automation": "a", "playbook": playbook.name, "transition": "created", "mode": null, "url": null,
            }),
        );
        let mut rehearsal = Rehearsal {
            context: Value::Object(names),
            effects: Vec::new(),
            applied,
        };
        rehearsal.steps(&playbook.steps);
        rehearsal.effects
    }

    /// Every playbook of the gallery with the parameters of its example; those without one get a connection.
    fn playbooks() -> Vec<(Playbook, Map<String, Value>)> {
        let definitions = loaded(&files());
        let calls: Vec<_> = definitions
            .automations
            .iter()
            .flat_map(|automation| &automation.definition.run)
            .collect();
        definitions
            .playbooks
            .iter()
            .map(|playbook| {
                let with = calls
                    .iter()
                    .find(|call| call.playbook == playbook.definition.name)
                    .map_or_else(
                        || Map::from_iter([("connection".to_owned(), json!("soar"))]),
                        |call| call.with.clone(),
                    );
                (playbook.definition.clone(), with)
            })
            .collect()
    }

    #[test]
    fn every_playbook_renders_for_every_sample_it_can_work_on() {
        let findings: Vec<Finding> = samples()
            .iter()
            .flat_map(|sample| quench_findings::decode(sample.payload.as_bytes()).findings)
            .collect();
        assert!(findings.len() >= 30);
        for (playbook, with) in playbooks() {
            let mut rehearsed = 0;
            for finding in findings
                .iter()
                .filter(|finding| playbook.triggers.contains(&finding.kind))
            {
                rehearse(&playbook, &with, finding, rehearsed % 2 == 0);
                rehearsed += 1;
            }
            assert!(rehearsed > 1, "{}", playbook.name);
        }
    }

    #[test]
    fn a_bare_finding_is_enough_for_every_playbook() {
        for (playbook, with) in playbooks() {
            let bare = json!({
                "id": "1", "kind": playbook.triggers[0], "source": "ocsf", "title": "t", "severity": "low", "raw": {},
            });
            let finding = serde_json::from_value(bare).unwrap();
            rehearse(&playbook, &with, &finding, false);
        }
    }

    #[test]
    fn messages_read_well() {
        let mut shown = Vec::new();
        for (playbook, with) in playbooks() {
            let finding: Finding = serde_json::from_value(json!({
                "id": "arn:aws:example:finding/1", "kind": playbook.triggers[0], "source": "security_hub",
                "type": "S3.8", "title": "Bucket <logs> is public & *open*", "severity": "high",
                "description": "Anybody can read it.\nAnybody can write to it.",
                "status": if playbook.triggers[0] == quench_findings::Kind::Compliance { "failed" } else { "unhealthy" },
                "account": "111122223333", "region": "eu-west-1", "scope": "aws:111122223333",
                "resources": [
                    { "id": "arn:aws:s3:::logs", "type": "AwsS3Bucket", "name": "logs", "account": "111122223333", "tags": { "owner": "web" } },
                    { "id": "arn:aws:s3:::logs-2" },
                ],
                "compliance": { "standard": "CIS 3.0", "control": "2.1.4" },
                "first_seen": "2026-11-20T08:00:00Z", "updated": "2026-11-22T09:30:00Z",
                "remediation": { "text": "Block public access.", "url": "https://example.com/S3.8" },
                "links": [{ "title": "Console", "url": "https://example.com/console" }],
                "raw": { "detail": { "principal": { "AWS": "*" }, "action": ["s3:GetObject", "s3:PutObject"], "isPublic": true } },
            }))
            .unwrap();
            shown.push(format!("## {}", playbook.name));
            for effect in rehearse(&playbook, &with, &finding, true) {
                shown.push(readable(&effect));
            }
        }
        insta::assert_snapshot!(shown.join("\n"));
    }

    /// JSON with the line ends of texts as such.
    fn readable(effect: &Value) -> String {
        serde_json::to_string_pretty(effect)
            .unwrap()
            .replace("\\n", "\n    | ")
    }
}
