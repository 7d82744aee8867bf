//! What is in force, compiled once and shared by all events until it changes.

use crate::app::App;
use crate::store::called;
use crate::store::{Applied, Change, Outline, StoreError, Stored, Unread, Versioned};
use quench_automations::{
    Connection, Definitions, InvalidAutomation, Library, Loaded, Organization, Playbook, Rulebook,
};
use quench_findings::Kind;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

mod cache;

pub(crate) use cache::Cache;

/// Everything that is in force at one moment.
#[derive(Debug)]
pub struct Catalog {
    /// The store's revision of it.
    pub revision: u64,
    /// Playbooks by name, each in its current version.
    pub playbooks: BTreeMap<String, InForce<Playbook>>,
    /// Connections by name.
    pub connections: Arc<BTreeMap<String, Connection>>,
    /// The organisation, if one was applied.
    pub organization: Option<Organization>,
    /// What is compiled when findings of their kind come: who executes runs needs none.
    automations: Unread,
    rules: [OnceLock<Result<Rules, CatalogError>>; 3],
}

/// The automations of one kind.
#[derive(Debug)]
pub struct Rules {
    /// All of them, compiled.
    pub rulebook: Rulebook,
    versions: BTreeMap<String, String>,
}

impl Rules {
    /// The version of an automation's text; none if there is no such automation.
    pub fn version(&self, automation: &str) -> Option<&str> {
        self.versions.get(automation).map(String::as_str)
    }
}

/// A definition, and the version of the text it was applied with.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce<T> {
    /// What it says.
    pub definition: T,
    /// Its version.
    pub version: String,
}

/// Why what is in force cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Automations in the store do not compile, so nobody can tell what matches.
    #[error("automations in the store cannot be used: {0}; apply or delete them")]
    Rulebook(String),
    /// A playbook that is started is not there.
    #[error("there is no playbook `{0}`; apply it")]
    MissingPlaybook(String),
}

impl CatalogError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, CatalogError::Store(error) if error.is_transient())
    }
}

impl Catalog {
    fn new(outline: Outline) -> Catalog {
        let playbooks = outline.playbooks.into_iter().map(|versioned| {
            let Versioned {
                definition,
                version,
            } = versioned;
            (
                definition.name.clone(),
                InForce {
                    definition,
                    version,
                },
            )
        });
        let connections = outline.connections.into_iter();
        let connections = connections.map(|one| (one.definition.name.clone(), one.definition));
        Catalog {
            revision: outline.revision,
            playbooks: playbooks.collect(),
            connections: Arc::new(connections.collect()),
            organization: outline.organization.map(|one| one.definition),
            automations: outline.automations,
            rules: Default::default(),
        }
    }

    /// The automations for findings of a kind, compiled when they are first asked for.
    ///
    /// # Errors
    /// Some of them do not compile, which can only be if another version of the program stored them.
    pub fn rules(&self, kind: Kind) -> Result<&Rules, CatalogError> {
        let kept = &self.rules[match kind {
            Kind::Alert => 0,
            Kind::Recommendation => 1,
            Kind::Compliance => 2,
        }];
        let compiled = kept.get_or_init(|| {
            let automations = self.automations.take(kind)?.into_iter();
            let mut versions = BTreeMap::new();
            let automations = automations.map(|one| {
                versions.insert(one.definition.name.clone(), one.version);
                one.definition
            });
            let rulebook = Rulebook::compile(automations, self.organization.clone())
                .map_err(|faults| CatalogError::Rulebook(list(&faults)))?;
            Ok(Rules { rulebook, versions })
        });
        compiled.as_ref().map_err(Clone::clone)
    }

    /// The present versions of a playbook and of every playbook it starts, directly or not.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn versions(&self, playbook: &str) -> Result<BTreeMap<String, String>, CatalogError> {
        let mut versions = BTreeMap::new();
        let mut open = vec![playbook];
        while let Some(name) = open.pop() {
            if versions.contains_key(name) {
                continue;
            }
            let Some(stored) = self.playbooks.get(name) else {
                return Err(CatalogError::MissingPlaybook(name.to_owned()));
            };
            versions.insert(name.to_owned(), stored.version.clone());
            open.extend(called(&stored.definition.steps));
        }
        Ok(versions)
    }
}

fn list(faults: &[InvalidAutomation]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

/// What the store holds, for checking new definitions against.
///
/// # Errors
/// The store fails.
pub async fn library(app: &App) -> Result<Library, StoreError> {
    let inventory = app.store.inventory().await?;
    Ok(Library {
        automations: plain(inventory.automations, |automation| &automation.name),
        playbooks: plain(inventory.playbooks, |playbook| &playbook.name),
        connections: plain(inventory.connections, |connection| &connection.name),
        organization: inventory.organization.map(|stored| stored.definition),
    })
}

fn plain<T>(stored: Vec<Stored<T>>, name: impl Fn(&T) -> &String) -> BTreeMap<String, T> {
    stored
        .into_iter()
        .map(|stored| (name(&stored.definition).clone(), stored.definition))
        .collect()
}

/// Puts checked definitions in force, all or none; events from now on go by them.
///
/// # Errors
/// The store fails; nothing is put in force then.
pub async fn apply(app: &App, definitions: Definitions) -> Result<Applied, StoreError> {
    let organization = definitions.organization.into_iter();
    let connections = definitions.connections.into_iter();
    let playbooks = definitions.playbooks.into_iter();
    let automations = definitions.automations.into_iter();
    let changes = organization
        .map(|loaded| {
            let Loaded {
                definition,
                text,
                version,
                ..
            } = loaded;
            Change::Organization {
                definition,
                version,
                text,
            }
        })
        .chain(connections.map(|loaded| Change::Connection {
            definition: loaded.definition,
            version: loaded.version,
            text: loaded.text,
        }))
        .chain(playbooks.map(|loaded| Change::Playbook {
            definition: loaded.definition,
            version: loaded.version,
            text: loaded.text,
        }))
        .chain(automations.map(|loaded| Change::Automation {
            definition: loaded.definition,
            version: loaded.version,
            text: loaded.text,
        }));
    let applied = app
        .store
        .put_definitions(changes.collect(), app.clock.now())
        .await;
    app.refresh_catalog().await;
    applied
}
