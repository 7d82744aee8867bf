//! What the loader says of right, doubtful and wrong files.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use quench_automations::{Definitions, Diagnostics, Library, SourceFile, load};
use std::fs;
use std::path::{Path, PathBuf};

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(folder)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries
}

/// The files of an entry, named relative to its folder.
fn files(entry: &Path) -> Result<Vec<SourceFile>, Diagnostics> {
    let paths = if entry.is_dir() {
        entries(entry)
    } else {
        vec![entry.to_owned()]
    };
    paths
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            SourceFile::read(name, &fs::read(path).unwrap())
                .map_err(|fault| Diagnostics(vec![*fault]))
        })
        .collect()
}

fn library(definitions: &Definitions) -> Library {
    Library {
        automations: definitions
            .automations
            .iter()
            .map(|loaded| (loaded.definition.name.clone(), loaded.definition.clone()))
            .collect(),
        playbooks: definitions
            .playbooks
            .iter()
            .map(|loaded| (loaded.definition.name.clone(), loaded.definition.clone()))
            .collect(),
        connections: definitions
            .connections
            .iter()
            .map(|loaded| (loaded.definition.name.clone(), loaded.definition.clone()))
            .collect(),
        organization: definitions
            .organization
            .as_ref()
            .map(|loaded| loaded.definition.clone()),
    }
}

fn known() -> Library {
    let files = files(&data("known")).unwrap();
    match load(&files, &Library::default()) {
        Ok(definitions) => library(&definitions),
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    }
}

fn stem(entry: &Path) -> String {
    entry.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn wrong_files_are_refused_with_place_and_advice() {
    let known = known();
    let entries = entries(&data("errors"));
    assert!(entries.len() >= 40);
    for entry in entries {
        let diagnostics = match files(&entry) {
            Ok(files) => load(&files, &known).expect_err(&stem(&entry)),
            Err(diagnostics) => diagnostics,
        };
        assert!(diagnostics.has_errors());
        for diagnostic in &diagnostics.0 {
            assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
            assert!(
                diagnostic.help.is_some(),
                "{}: no advice: {}",
                stem(&entry),
                diagnostic.message
            );
        }
        insta::assert_snapshot!(format!("error-{}", stem(&entry)), diagnostics.render(false));
    }
}

#[test]
fn doubtful_files_are_taken_with_a_warning() {
    let known = known();
    for entry in entries(&data("warnings")) {
        let definitions = match load(&files(&entry).unwrap(), &known) {
            Ok(definitions) => definitions,
            Err(diagnostics) => panic!("{}", diagnostics.render(false)),
        };
        assert!(!definitions.warnings.is_empty(), "{}", stem(&entry));
        insta::assert_snapshot!(
            format!("warning-{}", stem(&entry)),
            definitions.warnings.render(false)
        );
    }
}

#[test]
fn right_files_are_read_as_they_are_meant() {
    let known = known();
    for entry in entries(&data("good")) {
        let definitions = match load(&files(&entry).unwrap(), &known) {
            Ok(definitions) => definitions,
            Err(diagnostics) => panic!("{}", diagnostics.render(false)),
        };
        assert_eq!(
            definitions.warnings.len(),
            0,
            "{}",
            definitions.warnings.render(false)
        );
        let read = serde_json::json!({
            "automations": definitions.automations.iter().map(|loaded| &loaded.definition).collect::<Vec<_>>(),
            "playbooks": definitions.playbooks.iter().map(|loaded| &loaded.definition).collect::<Vec<_>>(),
            "connections": definitions.connections.iter().map(|loaded| &loaded.definition).collect::<Vec<_>>(),
            "organization": definitions.organization.as_ref().map(|loaded| &loaded.definition),
        });
        insta::assert_json_snapshot!(format!("good-{}", stem(&entry)), read);
    }
}

/// Name, version and text of everything.
fn told(definitions: &Definitions) -> Vec<(String, String, String)> {
    let mut told = Vec::new();
    for loaded in &definitions.automations {
        told.push((
            loaded.definition.name.clone(),
            loaded.version.clone(),
            loaded.text.clone(),
        ));
    }
    for loaded in &definitions.playbooks {
        told.push((
            loaded.definition.name.clone(),
            loaded.version.clone(),
            loaded.text.clone(),
        ));
    }
    for loaded in &definitions.connections {
        told.push((
            loaded.definition.name.clone(),
            loaded.version.clone(),
            loaded.text.clone(),
        ));
    }
    if let Some(loaded) = &definitions.organization {
        told.push((
            loaded.definition.name.clone(),
            loaded.version.clone(),
            loaded.text.clone(),
        ));
    }
    told
}

#[test]
fn the_text_of_each_definition_reads_as_the_same_definition() {
    let mut known = known();
    for entry in entries(&data("good")) {
        let definitions = load(&files(&entry).unwrap(), &known).unwrap();
        let own = library(&definitions);
        known.playbooks.extend(own.playbooks);
        known.connections.extend(own.connections);
        for (name, version, text) in told(&definitions) {
            let file = SourceFile {
                path: name.clone(),
                text: text.clone(),
            };
            let again = match load(&[file], &known) {
                Ok(again) => told(&again),
                Err(diagnostics) => panic!("{}", diagnostics.render(false)),
            };
            assert_eq!(again, [(name, version, text)]);
        }
    }
}

#[test]
fn a_definition_read_back_from_json_has_the_same_version() {
    for entry in entries(&data("good")) {
        let definitions = load(&files(&entry).unwrap(), &known()).unwrap();
        for loaded in definitions.playbooks {
            let json = serde_json::to_string(&loaded.definition).unwrap();
            let back: quench_automations::Playbook = serde_json::from_str(&json).unwrap();
            assert_eq!(back, loaded.definition);
            assert_eq!(quench_automations::version(&back), loaded.version);
        }
        for loaded in definitions.automations {
            let json = serde_json::to_string(&loaded.definition).unwrap();
            let back: quench_automations::Automation = serde_json::from_str(&json).unwrap();
            assert_eq!(back, loaded.definition);
            assert_eq!(quench_automations::version(&back), loaded.version);
        }
    }
}

#[test]
fn diagnostics_are_json_too() {
    let file = SourceFile {
        path: "a.yaml".to_owned(),
        text: "automation: a\ntrigger: alrt\nrun: []\n".to_owned(),
    };
    let diagnostics = load(&[file], &Library::default()).unwrap_err();
    let json = serde_json::to_value(&diagnostics).unwrap();
    assert_eq!(
        json[0],
        serde_json::json!({
            "severity": "error", "path": "a.yaml", "line": 2, "column": 10,
            "message": "trigger `alrt` is not known", "help": "did you mean `alert`?",
        })
    );
}

#[test]
fn no_secret_of_a_file_is_shown_however_it_is_wrong() {
    let lines = [
        "http: { url: 'https://user:hunter2@example.com', auth: { bearer: { token: hunter2 } } }",
        "http: { url: https://example.com, headers: { Authorization: 'Bearer hunter2' }, colour: x }",
        "http: { url: https://example.com/?token=hunter2, headers: { X-Api-Key: hunter2 }, colour: x }",
        "slack_bot: { token: hunter2, tokn: x }",
        "slack_hook: { url: hunter2, tokn: x }",
        "ssm: { document: AWS-StopEC2Instance, parameters: { Password: hunter2 }, colour: x }",
        "ssm: { document: AWS-StopEC2Instance, parameters: { Password: [hunter2] }, colour: x }",
        "lambda: { function: isolate, payload: { password: hunter2 }, colour: x }",
    ];
    for line in lines {
        for end in [
            "",
            " }",
            "\n\tx: 1",
            "\nx: ]",
            "\nx: @\n",
            "\u{7}",
            "\n---\na: b: c\n",
        ] {
            for text in [
                format!("connection: a\n{line}{end}\n"),
                format!("playbook: a\ntriggers: [alert]\nsteps:\n  - {line}{end}\n"),
                format!("{line}{end}\n"),
                format!("- {line}{end}\n"),
            ] {
                let file = SourceFile {
                    path: "a.yaml".to_owned(),
                    text: text.clone(),
                };
                let diagnostics = load(&[file], &Library::default()).unwrap_err();
                for shown in [
                    diagnostics.render(false),
                    diagnostics.to_string(),
                    serde_json::to_string(&diagnostics).unwrap(),
                ] {
                    assert!(!shown.contains("hunter2"), "{text}\n{shown}");
                }
            }
        }
    }
}
