use super::facts::{Facts, Risk, applies, check, control, reads, rule};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "rds-not-public",
    title: "Give an RDS instance no address that is reachable from the internet",
    risk: Risk::Medium,
    permissions: &[
        reads("rds:DescribeDBInstances"),
        reads("rds:ListTagsForResource"),
        applies("rds:ModifyDBInstance"),
    ],
    fits: &[
        control("RDS.2"),
        rule("rds-instance-public-access-check"),
        check("rds_instance_no_public_access"),
    ],
    parameters: &[],
    accepts: &[Kind::DbInstance],
};
