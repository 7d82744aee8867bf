use std::path::PathBuf;

use quench_findings::decode;
use serde_json::json;

use super::{Scene, Verdict};
use crate::input;
use crate::output::Progress;

/// Prints the findings of payloads as JSON lines; what is refused goes to standard error.
pub(crate) fn perform(scene: &Scene, files: &[PathBuf]) -> anyhow::Result<Verdict> {
    let mut good = true;
    let files = input::files(files, input::PAYLOADS, |message| {
        good = false;
        scene.complain(&message);
    });
    let mut progress = Progress::new(scene.output);
    for (number, file) in files.iter().enumerate() {
        progress.show(&format!("{} of {} files", number + 1, files.len()));
        let payload = match input::read(file) {
            Ok(payload) => payload,
            Err(error) => {
                progress.clear();
                scene.complain(&format!("{error:#}"));
                good = false;
                continue;
            }
        };
        let decoded = decode(&payload.bytes);
        progress.clear();
        for finding in &decoded.findings {
            scene.output.json_line(finding)?;
        }
        for refusal in &decoded.refused {
            good = false;
            if scene.output.json {
                eprintln!("{}", json!({"file": payload.name, "refused": refusal}));
            } else {
                scene.complain(&format!("`{}` is refused: {refusal}", payload.name));
            }
        }
    }
    Ok(Verdict::of(good))
}
