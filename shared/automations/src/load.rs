mod attempts;
mod automation;
mod aws;
mod conditions;
mod connection;
mod contradiction;
mod cycles;
mod effects;
mod fields;
mod flow;
mod guards;
mod in_force;
mod names;
mod obscure;
mod organization;
mod playbook;
mod reach;
mod reader;
mod references;
mod remediate;
mod secrets;
mod steps;

use crate::bind::listed;
use crate::diagnostics::MOST_FAULTS;
use crate::nearest::nearest;
use crate::version::version;
use crate::yaml::{self, Content, Document, Node, Source};
use crate::{Automation, Connection, Diagnostic, Diagnostics, Organization, Playbook};
use obscure::Obscure;
use reader::Reader;
use references::{References, Uses};
pub(crate) use secrets::struck_out;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// A file to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// How it is named in messages.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// What is there already, so that files can refer to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Library {
    /// By name.
    pub automations: BTreeMap<String, Automation>,
    /// By name.
    pub playbooks: BTreeMap<String, Playbook>,
    /// By name.
    pub connections: BTreeMap<String, Connection>,
    /// The organisation, if it is described.
    pub organization: Option<Organization>,
}

/// Checked definitions, in the order of the files.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    /// Rules.
    pub automations: Vec<Loaded<Automation>>,
    /// What rules start.
    pub playbooks: Vec<Loaded<Playbook>>,
    /// Outside services.
    pub connections: Vec<Loaded<Connection>>,
    /// The organisation, if one of the files describes it.
    pub organization: Option<Loaded<Organization>>,
    /// What is doubtful but does not stop anything.
    pub warnings: Diagnostics,
}

/// A checked definition and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded<T> {
    /// The definition.
    pub definition: T,
    /// Its own YAML document.
    pub text: String,
    /// First 16 hexadecimal digits of the SHA-256 of the definition's canonical JSON.
    pub version: String,
    /// The file it is in.
    pub path: String,
}

impl SourceFile {
    /// Reads the bytes of a file as UTF-8.
    ///
    /// # Errors
    /// Tells where and why the bytes are not UTF-8 text, UTF-16 included.
    pub fn read(path: impl Into<String>, bytes: &[u8]) -> Result<Self, Box<Diagnostic>> {
        yaml::decode(path.into(), bytes)
    }
}

/// Reads YAML files into checked definitions.
///
/// Definitions may refer to each other whatever the order of the files, and to what is `known`; what the files define
/// takes the place of what is known under the same name.
///
/// # Errors
/// Everything that is wrong in any of the files, all at once, doubts included; then nothing is returned.
pub fn load(files: &[SourceFile], known: &Library) -> Result<Definitions, Diagnostics> {
    let mut reading = Reading::default();
    for file in files {
        reading.file(file);
    }
    reading.finish(known)
}

/// A definition as far as it could be read, with its place.
struct Read<T> {
    /// Empty if even that is unreadable.
    name: String,
    /// Of the name.
    span: Range<usize>,
    source: Source,
    text: String,
    /// Absent if the document is too broken.
    definition: Option<T>,
}

#[derive(Default)]
struct Reading {
    faults: Vec<Diagnostic>,
    uses: Uses,
    obscure: Obscure,
    automations: Vec<Read<Automation>>,
    playbooks: Vec<Read<Playbook>>,
    connections: Vec<Read<Connection>>,
    organizations: Vec<Read<Organization>>,
    /// Files in their order, to sort faults by.
    paths: Vec<Arc<str>>,
}

const DOCUMENTS: [&str; 4] = ["automation", "playbook", "connection", "organization"];

impl Reading {
    fn file(&mut self, file: &SourceFile) {
        let mut source = Source::new(&file.path, &file.text);
        self.paths.push(Arc::clone(&source.path));
        let before = self.faults.len();
        let documents = yaml::parse(&source, &mut self.faults);
        let broken = self.faults.len() > before;
        source.shown = struck_out(&source.text, &documents, broken).into();
        for fault in &mut self.faults[before..] {
            fault.show(&source.text, &source.shown);
        }
        if broken {
            self.obscure.find(&source.text);
        }
        for document in documents {
            self.document(&source, document);
        }
    }

    fn document(&mut self, source: &Source, document: Document) {
        let Document { mut root, text } = document;
        let mut reader = Reader {
            source,
            faults: &mut self.faults,
            uses: &mut self.uses,
        };
        let Some(kind) = kind_of(&mut reader, &mut root) else {
            self.obscure.nameless = true;
            return;
        };
        let (name, span) = name_of(&root, kind);
        self.obscure.nameless |= name.is_empty() && matches!(kind, "playbook" | "connection");
        let before = reader.errors();
        macro_rules! read {
            ($list:ident, $read:expr) => {{
                let definition = $read(&mut reader, &root);
                // What was read in spite of a fault is not what was meant, and not to be checked against.
                let definition = definition.filter(|_| reader.errors() == before);
                self.$list.push(Read { name, span, source: source.clone(), text, definition });
            }};
        }
        match kind {
            "automation" => read!(automations, automation::read),
            "playbook" => read!(playbooks, playbook::read),
            "connection" => read!(connections, connection::read),
            _ => read!(organizations, organization::read),
        }
    }

    fn finish(mut self, known: &Library) -> Result<Definitions, Diagnostics> {
        twice(&self.automations, "automation", &mut self.faults);
        twice(&self.playbooks, "playbook", &mut self.faults);
        twice(&self.connections, "connection", &mut self.faults);
        if let [first, second, ..] = self.organizations.as_slice() {
            self.faults.push(
                second
                    .source
                    .error(
                        second.span.clone(),
                        "there is one organization, and it is described twice",
                    )
                    .with_label("described again here")
                    .with_related(
                        &first.source.path,
                        &first.source.shown,
                        first.span.clone(),
                        "first described here",
                    )
                    .with_help("put all accounts into one"),
            );
        }
        let references = References {
            automations: &self.automations,
            playbooks: &self.playbooks,
            connections: &self.connections,
            obscure: &self.obscure,
            known,
        };
        references.check(self.uses, &mut self.faults);
        let diagnostics = sorted(self.faults, &self.paths);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        Ok(Definitions {
            automations: loaded(self.automations),
            playbooks: loaded(self.playbooks),
            connections: loaded(self.connections),
            organization: loaded(self.organizations).into_iter().next(),
            warnings: diagnostics,
        })
    }
}

/// Tells what a document defines, and puts a key right that was mistyped, so that the rest can be checked.
fn kind_of(reader: &mut Reader<'_>, root: &mut Node) -> Option<&'static str> {
    let help = format!(
        "begin it with one of {}",
        listed(&DOCUMENTS.map(|kind| format!("{kind}:")))
    );
    let Content::Mapping(entries) = &mut root.content else {
        let help = match root.text() {
            Some(text) if text.contains(':') => "put a blank after each `:`".to_owned(),
            _ => help,
        };
        reader.misfit(root, "a document", "a mapping", help);
        return None;
    };
    if let Some(kind) = entries
        .iter()
        .find_map(|(key, _)| DOCUMENTS.into_iter().find(|kind| *kind == key.text))
    {
        return Some(kind);
    }
    let Some((key, _)) = entries.first_mut() else {
        reader.fault_with_help(&root.span, "the document is empty", help);
        return None;
    };
    match nearest(&key.text, DOCUMENTS) {
        Some(near) => {
            reader.fault_with_help(
                &key.span,
                format!("unknown key `{}`", key.text),
                format!("did you mean `{near}`?"),
            );
            near.clone_into(&mut key.text);
            DOCUMENTS.into_iter().find(|kind| *kind == near)
        }
        None => {
            let message = format!(
                "the document begins with `{}`, so it is not clear what it defines",
                key.text
            );
            reader.fault_with_help(&key.span, message, help);
            None
        }
    }
}

fn name_of(root: &Node, kind: &str) -> (String, Range<usize>) {
    let Content::Mapping(entries) = &root.content else {
        return (String::new(), root.span.clone());
    };
    match entries.iter().find(|(key, _)| key.text == kind) {
        Some((_, node)) => (
            node.text().unwrap_or_default().to_owned(),
            node.span.clone(),
        ),
        None => (String::new(), root.span.clone()),
    }
}

fn twice<T>(all: &[Read<T>], what: &str, faults: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, &Read<T>> = HashMap::new();
    for read in all.iter().filter(|read| !read.name.is_empty()) {
        let Some(first) = seen.get(read.name.as_str()) else {
            seen.insert(&read.name, read);
            continue;
        };
        if faults.len() > MOST_FAULTS {
            return;
        }
        faults.push(
            read.source
                .error(
                    read.span.clone(),
                    format!("{what} `{}` is defined twice", read.name),
                )
                .with_label("defined again here")
                .with_related(
                    &first.source.path,
                    &first.source.shown,
                    first.span.clone(),
                    "first defined here",
                )
                .with_help("give one of the two another name"),
        );
    }
}

/// Puts faults in the order of files and lines, and keeps their number bearable.
fn sorted(mut faults: Vec<Diagnostic>, paths: &[Arc<str>]) -> Diagnostics {
    let rank: HashMap<&str, usize> = paths
        .iter()
        .enumerate()
        .rev()
        .map(|(index, path)| (path.as_ref(), index))
        .collect();
    faults.sort_by_key(|fault| {
        (
            rank.get(fault.path.as_str()).copied(),
            fault.line,
            fault.column,
        )
    });
    faults.dedup_by(|a, b| {
        a.path == b.path
            && a.line == b.line
            && a.column == b.column
            && a.message == b.message
            && a.help == b.help
    });
    if faults.len() > MOST_FAULTS {
        faults.truncate(MOST_FAULTS);
        let more = faults.last().map(|last| {
            last.followed_by(
                "there are more faults than are told here",
                "mend these first, then load again",
            )
        });
        faults.extend(more);
    }
    Diagnostics(faults)
}

fn loaded<T: serde::Serialize>(all: Vec<Read<T>>) -> Vec<Loaded<T>> {
    all.into_iter()
        .filter_map(|read| {
            let definition = read.definition?;
            Some(Loaded {
                version: version(&definition),
                definition,
                text: read.text,
                path: read.source.path.as_ref().to_owned(),
            })
        })
        .collect()
}
