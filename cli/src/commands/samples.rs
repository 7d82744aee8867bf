use anyhow::bail;
use quench_automations::samples::{Sample, sample, samples};
use quench_findings::decode;
use serde_json::json;

use super::{Scene, Verdict, did_you_mean, ingest};
use crate::arguments::Samples;
use crate::input::Payload;
use crate::output::Output;
use crate::report;

pub(crate) async fn perform(scene: &Scene, command: Samples) -> anyhow::Result<Verdict> {
    match command {
        Samples::List => list(scene.output)?,
        Samples::Show { name } => {
            let sample = find(&name)?;
            let payload: serde_json::Value = serde_json::from_str(sample.payload)?;
            scene.output.object(&payload)?;
            scene.output.text(sample.payload.trim_end())?;
        }
        Samples::Send {
            names,
            all,
            patience,
        } => {
            let chosen: Vec<&Sample> = if all {
                samples().iter().collect()
            } else {
                names
                    .iter()
                    .map(|name| find(name))
                    .collect::<Result<_, _>>()?
            };
            let payloads = chosen.iter().map(|sample| Ok(payload(sample)));
            return ingest::all(scene, &scene.open().await?, payloads, patience).await;
        }
    }
    Ok(Verdict::Good)
}

/// A sample in the form in which files are taken in.
pub(super) fn payload(sample: &Sample) -> Payload {
    Payload {
        name: sample.name.to_owned(),
        bytes: sample.payload.as_bytes().to_vec(),
    }
}

/// Finds a sample by name.
pub(super) fn find(name: &str) -> anyhow::Result<&'static Sample> {
    match sample(name) {
        Some(sample) => Ok(sample),
        None => bail!(
            "no sample is called `{name}`{}",
            did_you_mean(name, samples().iter().map(|sample| sample.name))
        ),
    }
}

fn list(output: Output) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for sample in samples() {
        for finding in decode(sample.payload.as_bytes()).findings {
            output.object(&json!({
                "sample": sample.name,
                "source": finding.source,
                "kind": finding.kind,
                "severity": finding.severity,
                "title": finding.title,
            }))?;
            rows.push(vec![
                sample.name.to_owned(),
                report::word(finding.source),
                report::word(finding.kind),
                report::word(finding.severity),
                report::shorten(&finding.title, 70),
            ]);
        }
    }
    output.table(&["SAMPLE", "SOURCE", "KIND", "SEVERITY", "TITLE"], &rows)?;
    Ok(())
}
