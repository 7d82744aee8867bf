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
}

/// The gallery: files that can be used as they are, or copied and changed; the most wanted first.
#[must_use]
pub fn gallery() -> &'static [Template] {
    GALLERY
}

#[cfg(test)]
mod tests {
    use super::gallery;
    use crate::{Definitions, Library, SourceFile, load};
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
}
