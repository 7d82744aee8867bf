//! Made-up payloads of every source, each marked as a sample, to try automations with.

/// A payload as its source would send it, in its real envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Name of the file, without its folder and extension.
    pub name: &'static str,
    /// The payload: JSON that [`quench_findings::decode`] reads.
    pub payload: &'static str,
}

/// Every sample, ordered by name.
pub fn samples() -> &'static [Sample] {
    SAMPLES
}

/// The sample of a name.
pub fn sample(name: &str) -> Option<&'static Sample> {
    SAMPLES.iter().find(|sample| sample.name == name)
}

macro_rules! from_files {
    ($($name:literal),+ $(,)?) => {
        &[$(Sample {
            name: $name,
            payload: include_str!(concat!("../samples/", $name, ".json")),
        }),+]
    };
}

const SAMPLES: &[Sample] = from_files![
    "access-analyzer-public-bucket",
    "access-analyzer-shared-role",
    "access-analyzer-unused-role",
    "cloudtrail-root-sign-in",
    "cloudtrail-trail-stopped",
    "config-bucket-public-read",
    "config-volume-encrypted",
    "defender-benchmark-failed",
    "defender-disk-encryption-healthy",
    "defender-disk-encryption-unhealthy",
    "defender-image-vulnerability",
    "defender-key-vault-tor",
    "defender-secure-score-updates",
    "defender-sql-brute-force",
    "defender-storage-malware",
    "defender-vm-suspicious-process",
    "ecr-image-critical",
    "guardduty-bitcoin-mining",
    "guardduty-credentials-from-tor",
    "guardduty-s3-exfiltration",
    "guardduty-ssh-brute-force",
    "health-credentials-exposed",
    "health-volume-lost",
    "inspector-openssl",
    "inspector-port-22-open",
    "macie-bucket-public",
    "macie-credit-cards",
    "ocsf-azure-defender-plan",
    "ocsf-config-recorder",
    "ocsf-log4j-vulnerability",
    "ocsf-prowler-open-rdp",
    "ocsf-reverse-shell",
    "scc-iam-anomalous-grant",
    "scc-image-vulnerability",
    "scc-public-bucket",
    "security-hub-bucket-public",
    "security-hub-bucket-public-passed",
    "security-hub-custom-action",
    "security-hub-guardduty-finding",
    "security-hub-insight-results",
    "trusted-advisor-bucket-versioning",
    "trusted-advisor-open-ports",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use quench_findings::{Finding, Kind, Source, decode};

    use super::*;

    fn findings(sample: &Sample) -> Vec<Finding> {
        let decoded = decode(sample.payload.as_bytes());
        assert_eq!(decoded.refused, [], "{}", sample.name);
        decoded.findings
    }

    #[test]
    fn every_file_of_the_folder_is_listed_in_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                assert_eq!(path.extension().unwrap(), "json");
                path.file_stem().unwrap().to_str().unwrap().to_owned()
            })
            .collect();
        files.sort();
        let listed: Vec<&str> = samples().iter().map(|sample| sample.name).collect();
        assert_eq!(files, listed);
        assert!(listed.len() >= 32);
    }

    #[test]
    fn each_decodes_to_findings_of_the_source_it_is_named_for() {
        for sample in samples() {
            let findings = findings(sample);
            assert!(!findings.is_empty(), "{}", sample.name);
            for finding in &findings {
                assert!(finding.sample, "{} is marked as a sample", sample.name);
                let named = sample.name.replace('-', "_");
                let expected = match sample.name {
                    // The product behind Security Hub is the source, whichever way its findings come.
                    "security-hub-guardduty-finding" => Source::Guardduty,
                    "ocsf-config-recorder" => Source::SecurityHub,
                    _ => *Source::ALL
                        .iter()
                        .find(|source| named.starts_with(source.as_str()))
                        .unwrap(),
                };
                assert_eq!(finding.source, expected, "{}", sample.name);
                assert!(finding.scope.is_some(), "{} has a scope", sample.name);
                // A call or a sign-in need not be about one.
                assert!(
                    finding.source == Source::Cloudtrail || !finding.resources.is_empty(),
                    "{} has a resource",
                    sample.name
                );
            }
        }
    }

    #[test]
    fn all_sources_and_kinds_occur() {
        let all: Vec<Finding> = samples().iter().flat_map(findings).collect();
        let sources: BTreeSet<&str> = all.iter().map(|finding| finding.source.as_str()).collect();
        let kinds: BTreeSet<&str> = all.iter().map(|finding| finding.kind.as_str()).collect();
        // Nobody sends what is named by hand.
        assert_eq!(sources.len(), Source::ALL.len() - 1);
        assert!(!sources.contains(Source::Quench.as_str()));
        assert_eq!(kinds.len(), Kind::ALL.len());
    }

    #[test]
    fn one_finding_by_two_routes_has_one_id() {
        let id = |name| findings(sample(name).unwrap())[0].id.clone();
        assert_eq!(
            id("guardduty-ssh-brute-force"),
            id("security-hub-guardduty-finding")
        );
    }

    #[test]
    fn each_decodes_to_what_its_snapshot_says() {
        let shown: Vec<String> = samples()
            .iter()
            .flat_map(|sample| {
                findings(sample).into_iter().map(|finding| {
                    let or_none =
                        |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
                    format!(
                        "{}: {} of {} · {} · {} · {} · {} · {}",
                        sample.name,
                        finding.kind,
                        finding.source,
                        finding.severity,
                        finding.status.map_or("-", |status| status.as_str()),
                        or_none(&finding.scope),
                        or_none(&finding.region),
                        finding.title,
                    )
                })
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
