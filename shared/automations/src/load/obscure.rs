//! What files probably define but do not say readably, so that nothing is called missing that may be there.

use super::DOCUMENTS;
use std::collections::BTreeSet;

/// Names of documents that could not be read.
#[derive(Default)]
pub(super) struct Obscure {
    playbooks: BTreeSet<String>,
    connections: BTreeSet<String>,
    /// Whether there is a document whose name is not even known.
    pub(super) nameless: bool,
}

impl Obscure {
    /// Looks in text that is not YAML for what its documents define, by the look of their lines.
    pub(super) fn find(&mut self, text: &str) {
        let mut named = true;
        let lines = text.lines().chain(["---"]);
        let mut begun = false;
        for line in lines {
            if line.starts_with("---") {
                self.nameless |= begun && !named;
                (begun, named) = (false, false);
                continue;
            }
            let bare = line.trim();
            if bare.is_empty() || bare.starts_with(['#', '%']) || bare == "..." {
                continue;
            }
            if !begun {
                (begun, named) = (true, false);
            }
            if let Some((kind, name)) = definition(line) {
                named = true;
                match kind {
                    "playbook" => self.playbooks.insert(name.to_owned()),
                    "connection" => self.connections.insert(name.to_owned()),
                    _ => false,
                };
            }
        }
    }

    pub(super) fn may_hold_playbook(&self, name: &str) -> bool {
        self.nameless || self.playbooks.contains(name)
    }

    pub(super) fn may_hold_connection(&self, name: &str) -> bool {
        self.nameless || self.connections.contains(name)
    }
}

/// What a line such as `playbook: mail` begins to define.
fn definition(line: &str) -> Option<(&'static str, &str)> {
    let (key, rest) = line.split_once(':')?;
    let kind = DOCUMENTS
        .into_iter()
        .find(|kind| *kind == key.trim_end().trim_matches(['"', '\'']))?;
    let name = rest
        .split(" #")
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches(['"', '\'']);
    let fine = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    // What an organisation or an automation is called, nothing refers to.
    (fine || !matches!(kind, "playbook" | "connection")).then_some((kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Obscure {
        let mut obscure = Obscure::default();
        obscure.find(text);
        obscure
    }

    #[test]
    fn the_name_of_a_broken_document_is_known_by_its_line() {
        let obscure =
            found("# mine\nplaybook: \"mail\" # x\nsteps: [\n---\nconnection: chat\n\tx\n");
        assert!(!obscure.nameless);
        assert!(obscure.may_hold_playbook("mail") && !obscure.may_hold_playbook("chat"));
        assert!(obscure.may_hold_connection("chat") && !obscure.may_hold_connection("mail"));
    }

    #[test]
    fn a_document_without_a_readable_name_may_hold_any() {
        for text in [
            "steps: [",
            "a: 1\n---\nplaybook: [\n",
            "playbok: mail\nx: ]",
        ] {
            assert!(found(text).may_hold_playbook("mail"), "{text}");
        }
        assert!(!found("\n# nothing\n---\nautomation: x y\n").nameless);
    }
}
