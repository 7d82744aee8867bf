use crate::run::Run;
use quench_automations::{Playbook, Step, StepKind};
use std::collections::BTreeMap;

/// How many playbooks may be under way inside one another, the outermost included.
pub(crate) const DEEPEST_CALL: usize = 5;

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
        for called in calls(&playbook.steps) {
            chain.push(called);
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

/// Names of the playbooks that these steps call, each once.
pub(crate) fn calls(steps: &[Step]) -> Vec<&str> {
    let mut names = Vec::new();
    collect(steps, &mut names);
    names.sort_unstable();
    names.dedup();
    names
}

fn collect<'a>(steps: &'a [Step], names: &mut Vec<&'a str>) {
    for step in steps {
        match &step.kind {
            StepKind::Playbook(call) => names.push(&call.playbook),
            StepKind::If(choice) => {
                collect(&choice.then, names);
                collect(&choice.otherwise, names);
            }
            StepKind::ForEach(each) => collect(&each.steps, names),
            _ => {}
        }
    }
}
