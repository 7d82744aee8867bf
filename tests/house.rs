//! The house keeps its order: who may depend on whom, and what every crate must have.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use quench_tests::root;
use serde_json::Value;

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Names of the ordinary dependencies of each member of the workspace.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(package["id"].as_str().unwrap()))
        .map(|package| {
            let names = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let layers = [
        "quench-matching",
        "quench-findings",
        "quench-automations",
        "quench-actions",
        "quench-app",
    ];
    let dependencies = dependencies(&metadata());
    for (height, layer) in layers.iter().enumerate() {
        for name in &dependencies[*layer] {
            assert!(
                !name.starts_with("quench") || layers[..height].contains(&name.as_str()),
                "`{layer}` must not depend on `{name}`"
            );
        }
    }
    for (name, names) in &dependencies {
        if name.ends_with("-function") {
            let ours: Vec<_> = names
                .iter()
                .filter(|name| name.starts_with("quench"))
                .collect();
            assert_eq!(
                ours,
                ["quench-app", "quench-batch"],
                "`{name}` is glue over the application"
            );
        }
    }
}

#[test]
fn only_actions_and_app_reach_outside() {
    let outside = ["reqwest", "hyper", "lettre", "rusqlite", "ureq"];
    // The last is for tests alone: it stands between actions and the AWS that they are tried on.
    let effects = ["quench-actions", "quench-app", "quench-world"];
    for (name, names) in dependencies(&metadata()) {
        for dependency in &names {
            assert_ne!(dependency, "quench-world", "`{name}` is no test");
            let reaches = outside.contains(&dependency.as_str())
                || dependency.starts_with("aws-sdk-")
                || dependency.starts_with("aws-config");
            assert!(
                !reaches || effects.contains(&name.as_str()),
                "`{name}` must not name `{dependency}`"
            );
        }
    }
    for pure in ["quench-matching", "quench-findings", "quench-automations"] {
        let names = &dependencies(&metadata())[pure];
        assert!(!names.contains("tokio"), "`{pure}` is not asynchronous");
    }
}

#[test]
fn no_crate_is_one_that_was_given_up_or_brings_a_second_tls() {
    let banned = [
        "serde_yaml",
        "serde_yml",
        "backoff",
        "atty",
        "openssl",
        "openssl-sys",
        "native-tls",
        "aws-lc-sys",
        "aws-lc-rs",
    ];
    for package in metadata()["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        assert!(!banned.contains(&name), "`{name}` must not be in the tree");
        let licence = package["license"].as_str().unwrap_or_default();
        let known = [
            "MIT",
            "Apache-2.0",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "ISC",
            "Zlib",
            "Unicode-3.0",
            "CDLA-Permissive-2.0",
            "Unlicense",
            "CC0-1.0",
            "MIT-0",
            "BSL-1.0",
            "0BSD",
        ];
        assert!(
            known.iter().any(|known| licence.contains(known)),
            "`{name}` has the licence `{licence}`"
        );
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace_and_versions_stand_once() {
    for path in manifests() {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.display();
        assert!(
            text.contains("[lints]\nworkspace = true"),
            "{name} leaves the lints out"
        );
        let version = text.lines().find(|line| line.contains("version = \""));
        assert_eq!(
            version, None,
            "{name}: versions stand in the root's `[workspace.dependencies]`"
        );
    }
}

fn manifests() -> Vec<std::path::PathBuf> {
    let root = root();
    let mut found = vec![root.join("cli/Cargo.toml"), root.join("tests/Cargo.toml")];
    for folder in ["shared", "functions", "tests"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path().join("Cargo.toml");
            if path.is_file() {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_programs_of_functions_are_thin() {
    for entry in std::fs::read_dir(root().join("functions")).unwrap() {
        let path = entry.unwrap().path().join("src/main.rs");
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 40, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_readme_names_every_room() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for folder in [".", "shared", "functions"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && tracked(&path) {
                assert!(
                    readme.contains(&format!("{name}/")),
                    "README.md does not name `{}`",
                    path.display()
                );
            }
        }
    }
}

/// Whether git knows of a file below a folder.
fn tracked(folder: &Path) -> bool {
    Command::new("git")
        .arg("ls-files")
        .arg(folder)
        .current_dir(root())
        .output()
        .is_ok_and(|output| !output.stdout.is_empty())
}
