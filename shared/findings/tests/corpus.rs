//! Decodes every payload of the folder that `QUENCH_CORPUS` names.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use std::path::{Path, PathBuf};

#[test]
fn nearly_every_real_payload_is_decoded() {
    let Ok(folder) = std::env::var("QUENCH_CORPUS") else {
        println!("QUENCH_CORPUS is not set: no corpus to decode");
        return;
    };
    let mut files = Vec::new();
    // A relative path counts from the root of the workspace, wherever the test runs.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    collect(&root.join(&folder), &mut files);
    files.sort();
    assert!(!files.is_empty(), "`{folder}` holds no payload");

    let mut failed = 0;
    for file in &files {
        let payload = std::fs::read(file).unwrap();
        let decoded = quench_findings::decode(&payload);
        if decoded.findings.is_empty() || !decoded.refused.is_empty() {
            failed += 1;
        }
        for refusal in &decoded.refused {
            println!("{}: {refusal}", file.display());
        }
        for finding in &decoded.findings {
            println!(
                "{} {} {} {} {:?} {:?} {:?} {} | {}",
                finding.kind,
                finding.source,
                finding.severity,
                finding.status.map_or("-", quench_findings::Status::as_str),
                finding.account,
                finding.region,
                finding.resources.first().map(|resource| &resource.id),
                finding.id,
                finding.title,
            );
            assert!(finding.document().is_object());
        }
    }
    println!("{} of {} decoded", files.len() - failed, files.len());
    assert!(
        failed * 100 <= files.len() * 2,
        "{failed} of {} refused",
        files.len()
    );
}

/// All files below a folder but the index and what is no payload of a source.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "automations" {
            collect(&path, files);
        } else if path.is_file() && name != "index.csv" {
            files.push(path);
        }
    }
}
