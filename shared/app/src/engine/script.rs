use crate::run::Run;
use crate::store::called;
use quench_automations::Playbook;
use std::collections::BTreeMap;

/// How many playbooks may be under way inside one another, the outermost included.
pub(crate) const DEEPEST_CALL: usize = quench_automations::DEEPEST_CALL;

/// A run's playbook and all that it calls, in the versions pinned when the run was made.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    playbooks: BTreeMap<String, Playbook>,
    root: String,
}

/// Why a run's playbooks cannot be walked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidScript {
    #[error("playbook `{name}` is not pinned by the run")]
    NotPinned { name: String },
    #[error("playbook `{name}` is not in the store in version `{version}`")]
    Missing { name: String, version: String },
    #[error(
        "playbooks call one another more than {DEEPEST_CALL} deep: {}",
        chain.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → ")
    )]
    TooDeep { chain: Vec<String> },
}

impl Script {
    /// Checks that every playbook called is there and that calls end.
    pub(crate) fn compile(
        run: &Run,
        playbooks: BTreeMap<String, Playbook>,
    ) -> Result<Self, InvalidScript> {
        let script = Self {
            playbooks,
            root: run.playbook.clone(),
        };
        script.check(run, &mut vec![&run.playbook])?;
        Ok(script)
    }

    fn check<'a>(&'a self, run: &'a Run, chain: &mut Vec<&'a str>) -> Result<(), InvalidScript> {
        let name = *chain.last().expect("the chain begins with the root");
        if chain.len() > DEEPEST_CALL {
            return Err(InvalidScript::TooDeep {
                chain: chain.iter().map(ToString::to_string).collect(),
            });
        }
        let playbook = match (self.playbooks.get(name), run.versions.get(name)) {
            (Some(playbook), _) => playbook,
            (None, None) => {
                return Err(InvalidScript::NotPinned {
                    name: name.to_owned(),
                });
            }
            (None, Some(version)) => {
                return Err(InvalidScript::Missing {
                    name: name.to_owned(),
                    version: version.clone(),
                });
            }
        };
        for name in called(&playbook.steps) {
            chain.push(name);
            self.check(run, chain)?;
            chain.pop();
        }
        Ok(())
    }

    /// The playbook that the run was made for.
    pub(crate) fn root(&self) -> &Playbook {
        self.playbook(&self.root)
    }

    /// A playbook that a step of the script calls.
    pub(crate) fn playbook(&self, name: &str) -> &Playbook {
        self.playbooks
            .get(name)
            .expect("compiling found every playbook that is called")
    }
}
