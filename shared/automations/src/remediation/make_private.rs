use super::facts::{Facts, Parameter, Risk, Takes, applies, check, control, reads, rule};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "make-snapshot-private",
    title: "Share a snapshot or machine image with nobody but named accounts",
    risk: Risk::Low,
    permissions: &[
        reads("ec2:DescribeSnapshotAttribute")
            .of(&[Kind::Snapshot])
            .of_everything(),
        applies("ec2:ModifySnapshotAttribute").of(&[Kind::Snapshot]),
        reads("ec2:DescribeImageAttribute")
            .of(&[Kind::Image])
            .of_everything(),
        applies("ec2:ModifyImageAttribute").of(&[Kind::Image]),
        reads("ec2:DescribeTags")
            .of(&[Kind::Snapshot, Kind::Image])
            .of_everything(),
        reads("rds:DescribeDBSnapshotAttributes").of(&[Kind::DbSnapshot]),
        applies("rds:ModifyDBSnapshotAttribute").of(&[Kind::DbSnapshot]),
        reads("rds:DescribeDBClusterSnapshotAttributes").of(&[Kind::DbClusterSnapshot]),
        applies("rds:ModifyDBClusterSnapshotAttribute").of(&[Kind::DbClusterSnapshot]),
        reads("rds:ListTagsForResource").of(&[Kind::DbSnapshot, Kind::DbClusterSnapshot]),
    ],
    fits: &[
        control("EC2.1"),
        control("RDS.1"),
        rule("ebs-snapshot-public-restorable-check"),
        rule("rds-snapshots-public-prohibited"),
        check("ec2_ebs_public_snapshot"),
        check("ec2_ami_public"),
        check("rds_snapshots_public_access"),
    ],
    parameters: &[Parameter {
        name: "even_accounts",
        about: "Whether single accounts and organizations that it is shared with lose it too.",
        takes: Takes::Flag(false),
    }],
    accepts: &[
        Kind::Snapshot,
        Kind::Image,
        Kind::DbSnapshot,
        Kind::DbClusterSnapshot,
    ],
};
