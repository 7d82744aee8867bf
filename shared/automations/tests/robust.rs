//! Whatever the text, loading ends, and ends well.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use quench_automations::{Library, SourceFile, load};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// All fixtures of this crate that are text.
static FIXTURES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    ["good", "known", "errors", "warnings"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(data.join(folder)).unwrap())
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .collect()
});

static KNOWN: LazyLock<Library> = LazyLock::new(known);

fn known() -> Library {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/known/playbooks.yaml");
    let connections = data.with_file_name("connections.yaml");
    let files: Vec<SourceFile> = [data, connections]
        .iter()
        .map(|path| SourceFile {
            path: "known".to_owned(),
            text: fs::read_to_string(path).unwrap(),
        })
        .collect();
    let definitions = load(&files, &Library::default()).unwrap();
    let mut library = Library::default();
    for loaded in definitions.playbooks {
        library
            .playbooks
            .insert(loaded.definition.name.clone(), loaded.definition);
    }
    for loaded in definitions.connections {
        library
            .connections
            .insert(loaded.definition.name.clone(), loaded.definition);
    }
    library
}

/// Loads, draws what there is to say, and reads what was taken once more.
fn exercise(bytes: &[u8], library: &Library) {
    let file = match SourceFile::read("fuzzed.yaml", bytes) {
        Ok(file) => file,
        Err(fault) => {
            assert!(fault.line >= 1 && fault.column >= 1 && fault.help.is_some());
            assert!(!fault.render(false).is_empty());
            return;
        }
    };
    match load(std::slice::from_ref(&file), library) {
        Err(diagnostics) => {
            assert!(diagnostics.has_errors());
            assert!(diagnostics.len() <= 201);
            for fault in &diagnostics.0 {
                assert!(fault.line >= 1 && fault.column >= 1);
                assert!(fault.help.is_some(), "no advice: {}", fault.message);
                assert!(
                    fault.line <= file.text.lines().count().max(1),
                    "line {} of `{}`",
                    fault.line,
                    file.text
                );
            }
            assert!(!diagnostics.render(true).is_empty());
            assert!(serde_json::to_string(&diagnostics).is_ok());
        }
        Ok(definitions) => {
            assert!(!definitions.warnings.has_errors());
            for loaded in &definitions.automations {
                let again = SourceFile {
                    path: "again.yaml".to_owned(),
                    text: loaded.text.clone(),
                };
                let mut library = library.clone();
                for playbook in &definitions.playbooks {
                    library.playbooks.insert(
                        playbook.definition.name.clone(),
                        playbook.definition.clone(),
                    );
                }
                for connection in &definitions.connections {
                    library.connections.insert(
                        connection.definition.name.clone(),
                        connection.definition.clone(),
                    );
                }
                let again = load(&[again], &library).expect("it was taken before");
                assert_eq!(again.automations[0].version, loaded.version);
            }
        }
    }
}

/// What makes YAML go wrong.
const PIECES: [&str; 40] = [
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n\t",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!x ",
    "|",
    ">-\n",
    "#",
    "---\n",
    "...\n",
    "%",
    "@",
    "`",
    "<<: ",
    "{{ ",
    " }}",
    "{% if %}",
    "null",
    "\r\n",
    "\u{feff}",
    "\u{0}",
    "é",
    "😀",
    "0x1F",
    "1e400",
    "99999999999999999999",
    "\\u",
    "? ",
    ",",
    "{{ finding.titel }}",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes, &Library::default());
    }

    #[test]
    fn any_pieces_of_yaml_are_taken_or_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        exercise(pieces.concat().as_bytes(), &Library::default());
    }

    #[test]
    fn damaged_files_are_taken_or_refused(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(&PIECES[..])), 1..5),
    ) {
        let mut text: Vec<char> = FIXTURES[which.index(FIXTURES.len())].chars().collect();
        for (at, cut, piece) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, piece.chars());
        }
        exercise(text.into_iter().collect::<String>().as_bytes(), &KNOWN);
    }

    #[test]
    fn truncated_files_are_taken_or_refused(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let bytes = FIXTURES[which.index(FIXTURES.len())].as_bytes();
        exercise(&bytes[..at.index(bytes.len() + 1)], &KNOWN);
    }

    #[test]
    fn a_value_of_another_type_anywhere_is_taken_or_refused(
        which in any::<prop::sample::Index>(),
        line in any::<prop::sample::Index>(),
        value in prop::sample::select(&["5", "-1.5", "true", "null", "[]", "{}", "[a, {b: c}]", "{a: [b]}", "\"\"", "text", "*x", "2027-01-01"][..]),
    ) {
        let text = &FIXTURES[which.index(FIXTURES.len())];
        let lines: Vec<&str> = text.lines().collect();
        let line = line.index(lines.len().max(1));
        let flipped: String = lines
            .iter()
            .enumerate()
            .map(|(index, text)| match text.split_once(": ") {
                Some((key, _)) if index == line => format!("{key}: {value}\n"),
                _ => format!("{text}\n"),
            })
            .collect();
        exercise(flipped.as_bytes(), &KNOWN);
    }
}

#[test]
fn hostile_files_are_refused_soon() {
    let nested =
        |open: &str, close: &str| format!("a: {}{}", open.repeat(100_000), close.repeat(100_000));
    let many = "a".repeat(500_000);
    let hostile = [
        nested("[", "]"),
        nested("{a: ", "}"),
        "- ".repeat(300_000),
        format!("automation: x\ndescription: {many}\n"),
        format!("automation: {many}\n"),
        (0..60_000).map(|n| format!("k{n}: 1\n")).collect(),
        (0..6_000).map(|_| "automation: a\n---\n").collect(),
        format!("automation: a\nwhen: [{}]\n", "{titel: x},".repeat(4_000)),
        format!("automation: a\nscope: [{}]\n", "x, ".repeat(10_000)),
        format!(
            "playbook: a\nsteps: [{}]\n",
            "{stop: '{{ x }}'},".repeat(3_000)
        ),
        format!(
            "playbook: a\ntriggers: [alert]\nsteps: [{}]\n",
            "{stop: '{{ finding.titel }}'},".repeat(490)
        ),
        format!("automation: a\ndescription: \"{}\n", "\\q".repeat(200_000)),
        format!("x: &a {many}\ny: [{}]\n", "*a,".repeat(10_000)),
        "\"".repeat(900_000),
        "!".repeat(900_000),
        "&a ".repeat(300_000),
        "{{".repeat(300_000),
        "x".repeat(2_000_000),
    ];
    for text in hostile {
        let began = Instant::now();
        let shown: String = text.chars().take(40).collect();
        exercise(text.as_bytes(), &KNOWN);
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "`{shown}` took {:?}",
            began.elapsed()
        );
    }
}
