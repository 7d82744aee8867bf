//! The places that references lead to, each with the same secrets in it.

use crate::aws_emulator::aws_of;
use crate::aws_faults::variables;
use crate::http_server::{Conduct, Handler, HttpServer, Received, answer};
use quench_actions::Secrets;
use quench_actions::secrets::{Keeping, Vault};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// In every value, and in what is refused.
pub(super) const MARK: &str = "never-to-be-shown";

/// What every keeper holds, by name.
const SPECIMENS: &[(&str, &str)] = &[
    ("TOKEN", "s3cret of Größe =/+ {{ }} never-to-be-shown"),
    ("ENDED", " it ends with a line never-to-be-shown \r\n"),
    ("EMPTY", "\n"),
    (
        "FIELDS",
        r#"{"bot":"xoxb never-to-be-shown","port":587,"list":["never-to-be-shown"]}"#,
    ),
];

/// The value of a specimen.
pub(super) fn specimen(name: &str) -> &'static str {
    let found = SPECIMENS.iter().find(|(known, _)| *known == name);
    found.unwrap().1
}

/// A kind of secrets, and one of the places that its references lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) family: Family,
    pub(super) keeper: Keeper,
}

/// The kinds of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Process,
    Vault,
    Held,
}

/// The places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeper {
    Variable,
    File,
    SecretsManager,
    Parameter,
    Memory,
}

/// When a value that was changed is seen.
pub(super) enum Change {
    Never,
    AtOnce,
    AfterItsTime,
}

/// What `#` in a reference is.
#[derive(Clone, Copy)]
pub(super) enum Fields {
    OfJson,
    NotInReferences,
    PartOfTheName,
}

/// What it is like when the keeper is not there.
pub(super) enum Absence {
    Never,
    LooksMissing,
    IsTransient,
}

impl Kind {
    pub(super) fn change(self) -> Change {
        match self.keeper {
            // The environment of a process is what it was started with, and what is in memory what it was made of.
            Keeper::Variable | Keeper::Memory => Change::Never,
            Keeper::File => Change::AtOnce,
            Keeper::SecretsManager | Keeper::Parameter => Change::AfterItsTime,
        }
    }

    pub(super) fn fields(self) -> Fields {
        match self.keeper {
            Keeper::SecretsManager => Fields::OfJson,
            Keeper::Variable | Keeper::Parameter => Fields::NotInReferences,
            // In memory the whole reference is the name.
            Keeper::File | Keeper::Memory => Fields::PartOfTheName,
        }
    }

    pub(super) fn absence(self) -> Absence {
        match self.keeper {
            Keeper::Variable | Keeper::Memory => Absence::Never,
            // That a folder is not mounted cannot be told from a file that nobody has written.
            Keeper::File => Absence::LooksMissing,
            Keeper::SecretsManager | Keeper::Parameter => Absence::IsTransient,
        }
    }
}

fn variable(name: &str) -> String {
    format!("QUENCH_PROMISE_{name}")
}

/// Says whether this process has what a test of a kind needs. Where it has not, because no process can change its own
/// environment safely, the test is run in another that has.
pub(super) fn is_equipped(kind: Kind, test: &str) -> bool {
    if kind.keeper != Keeper::Variable || std::env::var_os(variable("TOKEN")).is_some() {
        return true;
    }
    let (_, test) = test.split_once("::").unwrap();
    let specimens = SPECIMENS
        .iter()
        .map(|(name, value)| (variable(name), value));
    let run = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .envs(specimens)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && told.contains("1 passed"),
        "{test}: {told}"
    );
    false
}

/// Secrets of a kind whose keeper holds the specimens.
pub(super) struct Setting {
    pub(super) secrets: Secrets,
    keeper: Keeper,
    folder: TempDir,
    service: Option<Service>,
}

/// Secrets Manager and the parameters of Systems Manager.
struct Service {
    server: HttpServer,
    shelf: Arc<Mutex<Shelf>>,
}

struct Shelf {
    values: BTreeMap<String, String>,
    is_away: bool,
}

impl Setting {
    pub(super) async fn open(kind: Kind, keeping: Keeping) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("secrets")).unwrap();
        let mut setting = Self {
            secrets: Secrets::Process,
            keeper: kind.keeper,
            folder,
            service: None,
        };
        match kind.family {
            Family::Process => {}
            Family::Vault => {
                let shelf = Arc::new(Mutex::new(Shelf {
                    values: BTreeMap::new(),
                    is_away: false,
                }));
                let kept = Arc::clone(&shelf);
                let handler = Handler::new(move |request| Some(yielded(request, &kept)));
                let server = HttpServer::start(Conduct::Handles(handler)).await;
                let vault = Vault::new(&aws_of(&variables(&server.url(""))), keeping);
                setting.secrets = Secrets::Aws(Arc::new(vault));
                setting.service = Some(Service { server, shelf });
            }
            Family::Held => {
                let held: Vec<_> = SPECIMENS
                    .iter()
                    .map(|(name, value)| (setting.reference(name), *value))
                    .collect();
                let held = held.iter().map(|(name, value)| (name.as_str(), *value));
                setting.secrets = Secrets::held(held);
            }
        }
        for (name, value) in SPECIMENS {
            match kind.keeper {
                // There already.
                Keeper::Variable | Keeper::Memory => {}
                Keeper::File | Keeper::SecretsManager | Keeper::Parameter => {
                    setting.put(name, value);
                }
            }
        }
        setting
    }

    pub(super) fn reference(&self, name: &str) -> String {
        match self.keeper {
            Keeper::Variable => format!("secret://env/{}", variable(name)),
            Keeper::File => {
                let path = self.folder.path().join("secrets").join(name);
                format!("secret://file{}", path.display())
            }
            Keeper::SecretsManager | Keeper::Memory => {
                format!("secret://secretsmanager/quench/{name}")
            }
            Keeper::Parameter => format!("secret://ssm/quench/{name}"),
        }
    }

    /// Refers to what the keeper does not give away; none if it gives all.
    pub(super) fn closed(&self) -> Option<String> {
        match self.keeper {
            Keeper::Variable => Some("secret://env/AWS_SECRET_ACCESS_KEY".to_owned()),
            Keeper::File if cfg!(target_os = "linux") => {
                Some("secret://file/proc/self/environ".to_owned())
            }
            Keeper::File | Keeper::Memory => None,
            Keeper::SecretsManager | Keeper::Parameter => Some(self.reference("CLOSED")),
        }
    }

    /// Writes a secret, in the place of what it was.
    pub(super) fn put(&self, name: &str, value: &str) {
        match self.keeper {
            Keeper::Variable | Keeper::Memory => panic!("`{:?}` is not written to", self.keeper),
            Keeper::File => {
                fs::write(self.folder.path().join("secrets").join(name), value).unwrap();
            }
            Keeper::SecretsManager | Keeper::Parameter => {
                let shelf = &self.service.as_ref().unwrap().shelf;
                let name = format!("quench/{name}");
                shelf.lock().unwrap().values.insert(name, value.to_owned());
            }
        }
    }

    pub(super) fn goes(&self) {
        self.shift("secrets", "elsewhere", true);
    }

    pub(super) fn returns(&self) {
        self.shift("elsewhere", "secrets", false);
    }

    fn shift(&self, from: &str, to: &str, is_away: bool) {
        match &self.service {
            Some(service) if self.keeper != Keeper::File => {
                service.shelf.lock().unwrap().is_away = is_away;
            }
            _ => {
                let folder = self.folder.path();
                fs::rename(folder.join(from), folder.join(to)).unwrap();
            }
        }
    }

    /// How often a service was asked.
    pub(super) fn asked(&self) -> usize {
        let service = self.service.as_ref();
        service.map_or(0, |service| service.server.requests().len())
    }
}

fn yielded(request: &Received, shelf: &Mutex<Shelf>) -> Vec<u8> {
    let shelf = shelf.lock().unwrap();
    if shelf.is_away {
        return answer(503, "", "");
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let is_parameter = match request.header("x-amz-target") {
        Some("secretsmanager.GetSecretValue") => false,
        Some("AmazonSSM.GetParameter") => true,
        other => panic!("no secret is read by `{other:?}`"),
    };
    let (name, missing) = if is_parameter {
        (&body["Name"], "ParameterNotFound")
    } else {
        (&body["SecretId"], "ResourceNotFoundException")
    };
    // A parameter with levels begins at the root.
    let name = name.as_str().unwrap().trim_start_matches('/');
    let refused = |code: &str| answer(400, "", &json!({ "__type": code }).to_string());
    if name.ends_with("CLOSED") {
        return refused("AccessDeniedException");
    }
    match shelf.values.get(name) {
        Some(value) if is_parameter => {
            let parameter = json!({ "Parameter": { "Value": value } });
            answer(200, "", &parameter.to_string())
        }
        Some(value) => answer(200, "", &json!({ "SecretString": value }).to_string()),
        None => refused(missing),
    }
}
