use super::facts::{
    Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, threat, undoes,
};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "cloudtrail-logging",
    title: "Turn on the logging of a trail and the validation of its log files",
    risk: Risk::Low,
    permissions: &[
        reads("cloudtrail:GetTrail"),
        reads("cloudtrail:GetTrailStatus"),
        reads("cloudtrail:ListTags"),
        applies("cloudtrail:UpdateTrail"),
        applies("cloudtrail:StartLogging"),
        undoes("cloudtrail:StopLogging"),
    ],
    fits: &[
        control("CloudTrail.1"),
        control("CloudTrail.3"),
        control("CloudTrail.4"),
        rule("cloudtrail-enabled"),
        rule("cloud-trail-log-file-validation-enabled"),
        rule("multi-region-cloudtrail-enabled"),
        threat("Stealth:IAMUser/CloudTrailLoggingDisabled"),
        check("cloudtrail_log_file_validation_enabled"),
        check("cloudtrail_multi_region_enabled"),
    ],
    parameters: &[Parameter {
        name: "multi_region",
        about: "Whether the trail is made one of all regions as well, with the events of global services.",
        takes: Takes::Flag(false),
    }],
    accepts: &[Kind::Trail],
};
