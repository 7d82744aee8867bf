//! What the pages say of the formats is what is loaded.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use quench_automations::remediation::{Facts, Parameter, Remediation, Takes};
use quench_automations::{Library, SourceFile, load};
use std::fs;
use std::path::Path;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/remediation.md");
    fs::read_to_string(path).unwrap()
}

fn row(facts: &Facts) -> String {
    let kinds: Vec<&str> = facts.accepts.iter().map(|kind| kind.name()).collect();
    let parameters: Vec<String> = facts.parameters.iter().map(parameter).collect();
    format!(
        "| `{}` | {} | {} | {} | {} |",
        facts.name,
        facts.title,
        facts.risk,
        kinds.join(", "),
        match parameters.is_empty() {
            true => "–".to_owned(),
            false => parameters.join(", "),
        }
    )
}

fn parameter(parameter: &Parameter) -> String {
    let name = parameter.name;
    match parameter.takes {
        Takes::Flag(on) => format!("`{name}` ({on})"),
        Takes::Number {
            default: Some(default),
            ..
        } => format!("`{name}` ({default})"),
        Takes::Word { default, .. } => format!("`{name}` (`{default}`)"),
        Takes::Number { .. } | Takes::Ports(_) | Takes::Networks(_) => format!("`{name}`"),
    }
}

#[test]
fn every_remediation_is_in_the_table_as_it_is() {
    let page = page();
    let rows: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "## Remediations")
        .filter(|line| line.starts_with("| `"))
        .collect();
    let known: Vec<String> = Remediation::ALL
        .iter()
        .map(|known| row(known.facts()))
        .collect();
    assert_eq!(rows, known);
}

#[test]
fn the_example_loads_without_a_doubt() {
    let page = page();
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```\n").unwrap();
    let file = SourceFile {
        path: "remediation.md".to_owned(),
        text: example.to_owned(),
    };
    match load(&[file], &Library::default()) {
        Ok(definitions) => assert!(
            definitions.warnings.is_empty(),
            "{}",
            definitions.warnings.render(false)
        ),
        Err(faults) => panic!("{}", faults.render(false)),
    }
}
