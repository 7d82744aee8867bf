//! Made-up findings and rules to measure with, the same ones for the same seed.
//!
//! The findings are events of 3 to 8 KB in the shape of an AWS threat detector's; the rules ask for values that such events
//! have, some often and some hardly ever.
//!
//! ```
//! use quench_matching::workload::{self, Mix};
//! use quench_matching::{Scratch, compile};
//!
//! let matcher = compile(&workload::rules(1_000, Mix::Mixed, 3))?;
//! let mut scratch = Scratch::default();
//! let mut matches = 0;
//! for finding in workload::findings(100, 7) {
//!     matches += matcher.matches_bytes(finding.as_bytes(), &mut scratch).expect("JSON").len();
//! }
//! assert!(matches > 0);
//! # Ok::<(), Vec<quench_matching::InvalidRule>>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{Condition, Operator, Rule};

/// What rules are made of.
///
/// ```
/// use quench_matching::workload::{Mix, rules};
///
/// let rules = rules(2, Mix::Accounts, 1);
/// assert_eq!(rules[0].sets[0][0].field, rules[1].sets[0][0].field);
/// assert_ne!(rules[0].sets[0][0].value, rules[1].sets[0][0].value);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mix {
    /// Two to four conditions each: of twenty, twelve `equals`, four `contains`, two `starts_with`, one `ends_with`, one a
    /// comparison of numbers. Some rules ask for nothing that is rare: of 100,000, a hundred match a finding.
    Mixed,
    /// The same, but most rules ask first for something that few findings have, such as an account, a user or an instance,
    /// and what else they have to equal many do. Of the conditions of 100,000, some 18,000 hold of a finding; 230 rules
    /// have the rarest of theirs fulfilled, and eight match.
    Typical,
    /// As mixed, but the first condition of each asks for something that few findings have: of 100,000, hardly any match a
    /// finding.
    Selective,
    /// The operators of mixed, on every field that findings have, long texts too, and with what other findings have there: few
    /// rules share a field, and hardly any a condition.
    Wide,
    /// Each rule for an account of its own, and one more `equals`.
    Accounts,
}

impl Mix {
    /// All of them, the usual ones first.
    ///
    /// ```
    /// use quench_matching::workload::Mix;
    ///
    /// assert!(Mix::ALL.contains(&Mix::Typical));
    /// ```
    pub const ALL: &[Self] = &[
        Self::Mixed,
        Self::Typical,
        Self::Selective,
        Self::Wide,
        Self::Accounts,
    ];

    /// What it is called where one is picked or printed.
    ///
    /// ```
    /// use quench_matching::workload::Mix;
    ///
    /// assert_eq!(Mix::Accounts.name(), "accounts");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Typical => "typical",
            Self::Selective => "selective",
            Self::Wide => "wide",
            Self::Accounts => "accounts",
        }
    }
}

/// Makes so many findings, as JSON text.
///
/// ```
/// let findings = quench_matching::workload::findings(10, 1);
/// assert!(findings.iter().all(|finding| (3_000..9_000).contains(&finding.len())));
/// assert_eq!(findings, quench_matching::workload::findings(10, 1));
/// ```
#[must_use]
pub fn findings(count: usize, seed: u64) -> Vec<String> {
    let mut dice = Dice(seed);
    (0..count).map(|_| dice.finding().to_string()).collect()
}

/// Makes so many rules.
///
/// ```
/// use quench_matching::{compile, workload};
///
/// let rules = workload::rules(100, workload::Mix::Mixed, 1);
/// assert_eq!(compile(&rules)?.len(), 100);
/// # Ok::<(), Vec<quench_matching::InvalidRule>>(())
/// ```
#[must_use]
pub fn rules(count: usize, mix: Mix, seed: u64) -> Vec<Rule> {
    let mut dice = Dice(seed ^ 0x5EED);
    let fields = match mix {
        Mix::Wide => dice.fields(),
        _ => Vec::new(),
    };
    (0..count)
        .map(|number| {
            let conditions = match mix {
                Mix::Mixed => {
                    let conditions = 2 + dice.below(3);
                    (0..conditions).map(|_| dice.condition()).collect()
                }
                Mix::Typical => {
                    let first = |dice: &mut Dice| match dice.below(25) {
                        0 => dice.condition(),
                        _ => dice.selective(),
                    };
                    dice.led_by(first, Dice::common)
                }
                Mix::Selective => dice.led_by(Dice::selective, Dice::condition),
                Mix::Wide => {
                    let conditions = 2 + dice.below(3);
                    (0..conditions).map(|_| dice.anywhere(&fields)).collect()
                }
                Mix::Accounts => {
                    let (field, value) = dice.label();
                    vec![equals("account", account(number)), equals(field, value)]
                }
            };
            Rule {
                name: format!("rule-{number}"),
                sets: vec![conditions],
            }
        })
        .collect()
}

/// Random numbers by `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
struct Dice(u64);

const REGIONS: [&str; 16] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-central-1",
    "eu-north-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ca-central-1",
    "sa-east-1",
];
const PURPOSES: [&str; 12] = [
    "Backdoor",
    "Behavior",
    "CredentialAccess",
    "CryptoCurrency",
    "DefenseEvasion",
    "Discovery",
    "Exfiltration",
    "Impact",
    "InitialAccess",
    "Persistence",
    "Recon",
    "UnauthorizedAccess",
];
const TARGETS: [&str; 8] = [
    "EC2",
    "IAMUser",
    "S3",
    "Kubernetes",
    "RDS",
    "Lambda",
    "Runtime",
    "ECS",
];
const THREATS: [&str; 20] = [
    "BitcoinTool.B",
    "PortProbeUnprotectedPort",
    "SSHBruteForce",
    "RDPBruteForce",
    "TorClient",
    "TorRelay",
    "Spambot",
    "DenialOfService.Dns",
    "C&CActivity.B",
    "MaliciousIPCaller.Custom",
    "AnomalousBehavior",
    "PenTest",
    "PolicyChanged",
    "ObjectRead.Unusual",
    "ReverseShell",
    "SuspiciousFile",
    "DropPoint",
    "PhishingDomainRequest",
    "InstanceCredentials",
    "ConsoleLogin",
];
const WORDS: [&str; 48] = [
    "instance",
    "bucket",
    "credentials",
    "anonymous",
    "outbound",
    "inbound",
    "traffic",
    "unusual",
    "remote",
    "host",
    "mining",
    "pool",
    "known",
    "malicious",
    "address",
    "database",
    "login",
    "attempts",
    "brute",
    "force",
    "privileged",
    "container",
    "cluster",
    "workload",
    "policy",
    "public",
    "exposed",
    "snapshot",
    "volume",
    "role",
    "session",
    "token",
    "external",
    "exfiltration",
    "domain",
    "query",
    "command",
    "control",
    "server",
    "process",
    "binary",
    "script",
    "download",
    "encrypted",
    "tunnel",
    "proxy",
    "scanner",
    "payload",
];
const TEAMS: [&str; 10] = [
    "payments", "search", "identity", "data", "web", "mobile", "core", "billing", "risk",
    "platform",
];
const ENVIRONMENTS: [&str; 5] = ["production", "staging", "development", "test", "sandbox"];
const COUNTRIES: [&str; 12] = [
    "Germany", "France", "Brazil", "Japan", "India", "Canada", "Kenya", "Norway", "Spain",
    "Poland", "Chile", "Korea",
];
const ACTIONS: [&str; 5] = [
    "NETWORK_CONNECTION",
    "AWS_API_CALL",
    "DNS_REQUEST",
    "PORT_PROBE",
    "KUBERNETES_API_CALL",
];

fn account(number: usize) -> String {
    format!("1111{number:08}")
}

fn equals(field: &str, value: String) -> Condition {
    asked(field, Operator::Equals, Value::String(value))
}

fn asked(field: &str, operator: Operator, value: Value) -> Condition {
    Condition {
        field: field.to_owned(),
        operator,
        value,
        value_type: None,
    }
}

/// A field, and what findings have there.
type Field = (String, Vec<Value>);

/// Findings that the values of [`Mix::Wide`] are taken out of.
const MODELS: usize = 300;
/// Values that a field must have at least: nobody asks for what all have.
const VARIETY: usize = 5;
/// Bytes of a part of a text that [`Mix::Wide`] asks for.
const PART: std::ops::Range<usize> = 10..25;

/// Gathers what a value, and all within it, has at each path.
fn gather(path: &str, value: Value, fields: &mut BTreeMap<String, Vec<Value>>) {
    match value {
        Value::Null => {}
        Value::Array(elements) => {
            for element in elements {
                gather(path, element, fields);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if path.is_empty() { "" } else { "." };
                gather(&format!("{path}{dot}{name}"), value, fields);
            }
        }
        value => fields.entry(path.to_owned()).or_default().push(value),
    }
}

impl Dice {
    /// The fields of some findings.
    fn fields(&mut self) -> Vec<Field> {
        let mut fields = BTreeMap::new();
        for _ in 0..MODELS {
            gather("", self.finding(), &mut fields);
        }
        let various = |(_, values): &Field| {
            let differ: BTreeSet<String> = values.iter().map(Value::to_string).collect();
            differ.len() >= VARIETY
        };
        fields.into_iter().filter(various).collect()
    }

    /// As [`Dice::condition`], on any of these fields.
    fn anywhere(&mut self, fields: &[Field]) -> Condition {
        let kind = self.below(20);
        loop {
            let (field, values) = &fields[self.below(fields.len())];
            let value = &values[self.below(values.len())];
            let (operator, value) = match (kind, value) {
                (0..12, value) => (Operator::Equals, value.clone()),
                (12..19, Value::String(text)) if text.len() >= PART.end => {
                    let length = PART.start + self.below(PART.len());
                    let (operator, start) = match kind {
                        12..16 => (Operator::Contains, self.below(text.len() - length + 1)),
                        16..18 => (Operator::StartsWith, 0),
                        _ => (Operator::EndsWith, text.len() - length),
                    };
                    (operator, text[start..start + length].into())
                }
                (19, Value::Number(_)) => match self.below(2) {
                    0 => (Operator::GreaterThan, value.clone()),
                    _ => (Operator::LessThanOrEqual, value.clone()),
                },
                // The field has nothing of the kind.
                _ => continue,
            };
            return asked(field, operator, value);
        }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A number below `bound`, the small ones more often.
    fn skewed(&mut self, bound: usize) -> usize {
        self.below(bound).min(self.below(bound))
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn finding_type(&mut self) -> String {
        format!(
            "{}:{}/{}",
            self.pick(&PURPOSES),
            self.pick(&TARGETS),
            self.pick(&THREATS)
        )
    }

    fn team(&mut self) -> String {
        format!("{}-{}", self.pick(&TEAMS), self.skewed(40))
    }

    fn user(&mut self) -> String {
        format!("{}-svc-{}", self.pick(&TEAMS), self.skewed(500))
    }

    fn host(&mut self) -> String {
        format!(
            "{}{}.{}.example.com",
            self.pick(&WORDS),
            self.below(50),
            self.pick(&TEAMS)
        )
    }

    fn address(&mut self) -> String {
        format!(
            "{}.{}.{}.{}",
            10 + self.below(180),
            self.below(256),
            self.below(256),
            self.below(256)
        )
    }

    fn hex(&mut self, digits: usize) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())[..digits].to_owned()
    }

    fn words(&mut self, count: usize) -> String {
        let words: Vec<&str> = (0..count).map(|_| self.pick(&WORDS)).collect();
        words.join(" ")
    }

    /// A field that has few values, and one of them.
    fn label(&mut self) -> (&'static str, String) {
        match self.below(6) {
            0 => ("region", self.pick(&REGIONS).to_owned()),
            1 => ("detail.type", self.finding_type()),
            2 => (
                "detail.resource.tags.environment",
                self.pick(&ENVIRONMENTS).to_owned(),
            ),
            3 => ("detail.resource.tags.team", self.team()),
            4 => (
                "detail.service.action.actionType",
                self.pick(&ACTIONS).to_owned(),
            ),
            _ => (
                "detail.service.action.remote.country",
                self.pick(&COUNTRIES).to_owned(),
            ),
        }
    }

    /// As [`Dice::condition`], of what few findings have.
    fn selective(&mut self) -> Condition {
        match self.below(20) {
            0..12 => match self.below(5) {
                0 | 1 => equals("account", account(self.below(100_000))),
                2 => equals("detail.resource.accessKeyDetails.userName", self.user()),
                3 => equals(
                    "detail.resource.instanceDetails.imageId",
                    format!("ami-{:08x}", self.skewed(3000)),
                ),
                _ => equals("detail.service.action.remote.host", self.host()),
            },
            12..16 => {
                let instance = format!("instance/i-{}", self.hex(4));
                asked("resources", Operator::Contains, Value::String(instance))
            }
            16..18 => {
                let text = format!(
                    "arn:aws:ec2:{}:{}:",
                    self.pick(&REGIONS),
                    account(self.below(100_000))
                );
                asked("resources", Operator::StartsWith, Value::String(text))
            }
            18 => asked(
                "detail.resource.instanceDetails.instanceId",
                Operator::EndsWith,
                Value::String(self.hex(4)),
            ),
            _ => asked(
                "detail.service.action.localPort",
                Operator::LessThanOrEqual,
                json!(self.below(64)),
            ),
        }
    }

    /// A first condition, and one to three others.
    fn led_by(
        &mut self,
        first: impl Fn(&mut Self) -> Condition,
        other: impl Fn(&mut Self) -> Condition,
    ) -> Vec<Condition> {
        let others = 1 + self.below(3);
        let first = first(self);
        std::iter::once(first)
            .chain((0..others).map(|_| other(self)))
            .collect()
    }

    /// As [`Dice::condition`], but what has to be equal is a field that has few values.
    fn common(&mut self) -> Condition {
        let condition = self.condition();
        if condition.operator == Operator::Equals {
            let (field, value) = self.label();
            return equals(field, value);
        }
        condition
    }

    fn condition(&mut self) -> Condition {
        match self.below(20) {
            0..12 => match self.below(12) {
                0..4 => {
                    let (field, value) = self.label();
                    equals(field, value)
                }
                4..8 => {
                    let number = self.skewed(5000);
                    equals("account", account(number))
                }
                8 => equals("detail.resource.accessKeyDetails.userName", self.user()),
                9 => equals(
                    "detail.resource.instanceDetails.vpcId",
                    format!("vpc-{:08x}", self.skewed(2000)),
                ),
                10 => equals(
                    "detail.resource.instanceDetails.imageId",
                    format!("ami-{:08x}", self.skewed(3000)),
                ),
                _ => equals("detail.service.action.remote.host", self.host()),
            },
            12..16 => {
                let (field, text) = match self.below(4) {
                    0 => ("detail.title", self.words(1)),
                    1 => ("detail.title", self.words(2)),
                    2 => ("detail.description", self.words(2)),
                    _ => ("resources", format!("instance/i-{:03x}", self.below(4096))),
                };
                asked(field, Operator::Contains, Value::String(text))
            }
            16..18 => {
                let (field, text) = match self.below(4) {
                    0 => (
                        "detail.type",
                        format!("{}:{}/", self.pick(&PURPOSES), self.pick(&TARGETS)),
                    ),
                    1 => (
                        "detail.resource.accessKeyDetails.userName",
                        format!("{}-svc-{}", self.pick(&TEAMS), self.below(50)),
                    ),
                    2 => {
                        let text = format!(
                            "arn:aws:ec2:{}:{}:",
                            self.pick(&REGIONS),
                            account(self.skewed(5000))
                        );
                        ("resources", text)
                    }
                    _ => (
                        "detail.service.action.remote.host",
                        format!("{}{}", self.pick(&WORDS), self.below(50)),
                    ),
                };
                asked(field, Operator::StartsWith, Value::String(text))
            }
            18 => {
                let (field, text) = match self.below(3) {
                    0 => ("detail.type", format!("/{}", self.pick(&THREATS))),
                    1 => (
                        "detail.service.action.remote.host",
                        format!("{}.{}.example.com", self.below(50), self.pick(&TEAMS)),
                    ),
                    _ => ("detail.resource.instanceDetails.instanceId", self.hex(3)),
                };
                asked(field, Operator::EndsWith, Value::String(text))
            }
            _ => {
                let (field, value) = match self.below(3) {
                    0 => ("detail.severity", json!(self.below(90) as f64 / 10.0)),
                    1 => ("detail.service.count", json!(self.below(1000))),
                    _ => ("detail.service.action.localPort", json!(self.below(65_536))),
                };
                let operator = if self.below(2) == 0 {
                    Operator::GreaterThan
                } else {
                    Operator::LessThanOrEqual
                };
                asked(field, operator, value)
            }
        }
    }

    fn finding(&mut self) -> Value {
        let account = account(if self.below(2) == 0 {
            self.skewed(5000)
        } else {
            self.below(100_000)
        });
        let region = self.pick(&REGIONS);
        let instance = format!("i-{}", self.hex(17));
        let id = self.hex(32);
        let title = format!("The {} has {}.", self.words(2), self.words(6));
        let description = format!(
            "{}. {}, which is {}.",
            self.words(14),
            self.words(10),
            self.words(8)
        );
        let interfaces: Vec<Value> = (0..1 + self.below(3))
            .map(|number| {
                json!({
                    "networkInterfaceId": format!("eni-{}", self.hex(17)),
                    "ipv6Addresses": [],
                    "privateDnsName": format!("ip-{}.{region}.compute.internal", self.address().replace('.', "-")),
                    "privateIpAddress": self.address(),
                    "privateIpAddresses": [{"privateDnsName": self.host(), "privateIpAddress": self.address()}],
                    "subnetId": format!("subnet-{}", self.hex(17)),
                    "vpcId": format!("vpc-{:08x}", number),
                    "securityGroups": [{"groupName": self.words(2), "groupId": format!("sg-{}", self.hex(17))}],
                    "publicDnsName": self.host(),
                    "publicIp": self.address(),
                })
            })
            .collect();
        let evidence: Vec<Value> = (0..2 + self.below(12))
            .map(|_| {
                json!({
                    "observedAt": format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + self.below(28), self.below(24), self.below(60)),
                    "process": {"name": self.words(1), "path": format!("/usr/bin/{}", self.words(1)), "sha256": self.hex(32)},
                    "note": self.words(12),
                    "bytes": {"in": self.below(1 << 30), "out": self.below(1 << 30)},
                })
            })
            .collect();
        json!({
            "version": "0",
            "id": format!("{}-{}", self.hex(8), self.hex(12)),
            "detail-type": "GuardDuty Finding",
            "source": "aws.guardduty",
            "account": account,
            "time": "2026-11-22T01:02:03Z",
            "region": region,
            "resources": [format!("arn:aws:ec2:{region}:{account}:instance/{instance}")],
            "detail": {
                "schemaVersion": "2.0",
                "accountId": account,
                "region": region,
                "partition": "aws",
                "id": id,
                "arn": format!("arn:aws:guardduty:{region}:{account}:detector/{}/finding/{id}", self.hex(32)),
                "type": self.finding_type(),
                "resource": {
                    "resourceType": "Instance",
                    "tags": {
                        "environment": self.pick(&ENVIRONMENTS),
                        "team": self.team(),
                        "cost-center": format!("{}", 1000 + self.below(9000)),
                        "Name": self.host(),
                    },
                    "accessKeyDetails": {
                        "accessKeyId": "EXAMPLEKEY",
                        "principalId": self.hex(21),
                        "userType": "AssumedRole",
                        "userName": self.user(),
                    },
                    "instanceDetails": {
                        "instanceId": instance,
                        "instanceType": "m5.large",
                        "launchTime": "2026-10-02T02:05:06Z",
                        "vpcId": format!("vpc-{:08x}", self.skewed(2000)),
                        "platform": null,
                        "productCodes": [],
                        "iamInstanceProfile": {"arn": format!("arn:aws:iam::{account}:instance-profile/{}", self.user()), "id": self.hex(21)},
                        "networkInterfaces": interfaces,
                        "availabilityZone": format!("{region}a"),
                        "imageId": format!("ami-{:08x}", self.skewed(3000)),
                        "imageDescription": self.words(9),
                    },
                },
                "service": {
                    "serviceName": "guardduty",
                    "detectorId": self.hex(32),
                    "action": {
                        "actionType": self.pick(&ACTIONS),
                        "connectionDirection": "OUTBOUND",
                        "localPort": self.below(65_536),
                        "blocked": self.below(2) == 0,
                        "remote": {
                            "ip": self.address(),
                            "port": self.below(65_536),
                            "country": self.pick(&COUNTRIES),
                            "city": self.words(1),
                            "location": {"lat": self.below(18_000) as f64 / 100.0 - 90.0, "lon": self.below(36_000) as f64 / 100.0 - 180.0},
                            "organization": {"asn": self.below(65_536).to_string(), "isp": self.words(2)},
                            "host": self.host(),
                        },
                    },
                    "evidence": evidence,
                    "eventFirstSeen": "2026-11-21T20:18:16Z",
                    "eventLastSeen": "2026-11-22T00:47:11Z",
                    "archived": false,
                    "count": self.below(1000),
                },
                "severity": self.below(90) as f64 / 10.0,
                "createdAt": "2026-11-21T20:20:59.188Z",
                "updatedAt": "2026-11-22T00:55:08.430Z",
                "title": title,
                "description": description,
            },
        })
    }
}
