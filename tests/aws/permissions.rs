//! What the templates let steps do, held to what steps declare to need.

use std::collections::{BTreeMap, BTreeSet};

use quench_actions::call;
use quench_actions::remediate::{Kind, Remediation, Scope, Target, session_policy};
use quench_emulator::{ACCOUNT, REGION};
use quench_tests::aws::Aws;
use quench_tests::hub::{Hub, Settings};
use quench_tests::{root, stack};
use serde_json::{Value, json};

use crate::mailing;
use crate::members::{MEMBER, STACK, STRANGER, SWITCHES, hub_that_remediates, join, join_with};

#[test]
fn steps_may_use_what_the_template_names_and_nothing_else() {
    let mut hub = mailing(&Settings::default());
    let policies = |hub: &Hub| inline(&hub.aws, &hub.resources()["RunnerRole"]);
    let kinds = [
        "findings",
        "functions",
        "runbooks",
        "state-machines",
        "remediation",
    ];
    let before = policies(&hub);
    for kind in kinds {
        assert!(!before.contains_key(kind), "{kind}: {before:?}");
    }
    let parameters = of_steps();
    let mut parameters = parameters.to_vec();
    parameters.push(("WriteBackFindings", "true".to_owned()));
    let parameters: Vec<(String, String)> = parameters
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    hub.deploy_again(&parameters);
    let policies = policies(&hub);
    let allowed = |policy: &str| pairs(&policies[policy]);
    assert_eq!(allowed("functions"), functions_of_steps());
    assert_eq!(allowed("state-machines"), state_machines_of_steps());
    assert_eq!(allowed("runbooks"), runbooks_of_steps(ACCOUNT));
    assert_eq!(allowed("findings"), findings_of_steps(ACCOUNT));
    // A wider name than one is refused before anything is changed.
    for (name, value) in [
        ("LambdaFunctionArns", "*"),
        (
            "LambdaFunctionArns",
            "arn:aws:lambda:eu-central-1:111122223333:function:*",
        ),
        (
            "StateMachineArns",
            "arn:aws:states:eu-central-1:111122223333:stateMachine:*",
        ),
        ("AutomationRoleArns", "arn:aws:iam::111122223333:role/*"),
        ("AutomationDocumentArns", "arn:aws:ssm:*:*:document/*"),
        ("JwtScopeOfTriggering", "openid"),
        ("JwtScopeOfReading", ""),
    ] {
        let refused = hub.refusal(&[(name.to_owned(), value.to_owned())]);
        assert!(refused.contains(name), "{name}: {refused}");
    }
}

#[test]
fn steps_may_use_what_a_member_names_and_nothing_else() {
    let hub = hub_that_remediates();
    let member = hub.in_account(MEMBER);
    let named = of_steps();
    let named: Vec<(&str, &str)> = named
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    join_with(&hub, &member, &SWITCHES, &named);
    let role = &stack::resources(&member, STACK)["RemediationRole"];
    let policies = inline(&member, role);
    let allowed = |policy: &str| pairs(&policies[policy]);
    assert_eq!(allowed("functions"), functions_of_steps());
    assert_eq!(allowed("state-machines"), state_machines_of_steps());
    assert_eq!(allowed("runbooks"), runbooks_of_steps(MEMBER));
    // "IAM and AWS STS quotas": a role has ten managed policies at most, however much it is allowed.
    let attached = json!({"RoleName": role});
    let attached = member.ok("iam", "list_attached_role_policies", &attached);
    let attached = attached["AttachedPolicies"].as_array().unwrap();
    assert_eq!(attached.len(), SWITCHES.len());
    assert!(attached.len() <= 10, "{attached:?}");
    let findings = allowed_by(&member, "FindingsPolicy");
    assert!(
        findings.is_superset(&findings_of_steps(MEMBER)),
        "{findings:?}"
    );
}

/// The parameters that name what steps may start.
fn of_steps() -> [(&'static str, String); 4] {
    let place = format!("{REGION}:{MEMBER}");
    let machine = |name: &str| format!("arn:aws:states:{place}:stateMachine:{name}");
    let document = format!("arn:aws:ssm:{place}:document/Contain");
    [
        (
            "LambdaFunctionArns",
            format!("arn:aws:lambda:{place}:function:mend"),
        ),
        (
            "StateMachineArns",
            format!("{},{}", machine("one"), machine("two")),
        ),
        (
            "AutomationDocumentArns",
            format!("{document},arn:aws:ssm:*:*:document/AWS-StopEC2Instance"),
        ),
        (
            "AutomationRoleArns",
            format!("arn:aws:iam::{MEMBER}:role/runbooks"),
        ),
    ]
}

fn functions_of_steps() -> BTreeSet<(String, String)> {
    let arn = format!("arn:aws:lambda:{REGION}:{MEMBER}:function:mend");
    declared(
        call::lambda::PERMISSIONS,
        &[("lambda:InvokeFunction", &arn)],
    )
}

fn state_machines_of_steps() -> BTreeSet<(String, String)> {
    let arn = |kind: &str| format!("arn:aws:states:{REGION}:{MEMBER}:{kind}");
    let (start, look) = ("states:StartExecution", "states:DescribeExecution");
    declared(
        call::step_functions::PERMISSIONS,
        &[
            (start, &arn("stateMachine:one")),
            (start, &arn("stateMachine:two")),
            (look, &arn("execution:one:*")),
            (look, &arn("execution:two:*")),
        ],
    )
}

fn runbooks_of_steps(account: &str) -> BTreeSet<(String, String)> {
    let place = format!("{REGION}:{MEMBER}");
    let start = "ssm:StartAutomationExecution";
    let execution = format!("arn:aws:ssm:*:{account}:automation-execution/*");
    declared(
        call::ssm::PERMISSIONS,
        &[
            (start, &format!("arn:aws:ssm:{place}:document/Contain")),
            (start, "arn:aws:ssm:*:*:document/AWS-StopEC2Instance"),
            (
                start,
                &format!("arn:aws:ssm:{place}:automation-definition/Contain:*"),
            ),
            (
                start,
                "arn:aws:ssm:*:*:automation-definition/AWS-StopEC2Instance:*",
            ),
            (start, &execution),
            ("ssm:GetAutomationExecution", &execution),
            (
                "iam:PassRole",
                &format!("arn:aws:iam::{MEMBER}:role/runbooks"),
            ),
        ],
    )
}

fn findings_of_steps(account: &str) -> BTreeSet<(String, String)> {
    let mut all = Vec::new();
    let hubs =
        ["hub/default", "hubv2/*"].map(|hub| format!("arn:aws:securityhub:*:{account}:{hub}"));
    for action in ["securityhub:BatchUpdateFindings", "securityhub:GetFindings"] {
        all.extend(hubs.iter().map(|hub| (action, hub.as_str())));
    }
    declared(call::finding::PERMISSIONS, &all)
}

/// Pairs of actions and resources whose actions are those that a step declares to need.
fn declared(permissions: &[&str], pairs: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    let of_pairs: BTreeSet<&str> = pairs.iter().map(|(action, _)| *action).collect();
    assert_eq!(of_pairs, permissions.iter().copied().collect());
    let pairs = pairs.iter();
    pairs
        .map(|(action, arn)| ((*action).to_owned(), (*arn).to_owned()))
        .collect()
}

#[test]
fn the_role_of_a_member_may_do_what_remediations_declare_and_nothing_else() {
    let hub = hub_that_remediates();
    let member = hub.in_account(MEMBER);
    join(&hub, &member, &SWITCHES);
    let remediations = remediations_of_policies();
    let mut assigned = BTreeSet::new();
    for (policy, names) in &remediations {
        let allowed = allowed_by(&member, policy);
        let mut declared = BTreeSet::new();
        for name in names {
            let remediation: Remediation = name.parse().unwrap();
            assert!(assigned.insert(name.clone()), "`{name}` is of two policies");
            for permission in remediation.facts().permissions {
                declared.insert(permission.action.to_owned());
            }
            for kind in remediation.facts().accepts {
                let target = Target::read(example(*kind), &[*kind], MEMBER, REGION).unwrap();
                within(&allowed, remediation, &target);
            }
        }
        let actions: BTreeSet<String> = allowed.iter().map(|(action, _)| action.clone()).collect();
        assert_eq!(actions, declared, "{policy}");
    }
    let all: BTreeSet<String> = Remediation::ALL
        .iter()
        .map(|one| one.name().to_owned())
        .collect();
    assert_eq!(assigned, all, "every remediation is of one policy");

    // A switch that is off allows nothing, and without `Remediate` there is no role.
    let cautious = hub.in_account(STRANGER);
    join(&hub, &cautious, &["AllowStorage"]);
    let resources = stack::resources(&cautious, STACK);
    let policies: Vec<&String> = resources
        .keys()
        .filter(|name| name.ends_with("Policy"))
        .collect();
    assert_eq!(policies, ["StoragePolicy", "UndeliveredPolicy"]);
    join(&hub, &hub.aws, &[]);
    assert!(!stack::resources(&hub.aws, STACK).contains_key("RemediationRole"));
}

/// That the role lets a session do what a remediation needs on its target, where AWS asks for it.
fn within(allowed: &BTreeSet<(String, String)>, remediation: Remediation, target: &Target) {
    /// What is done to other things than the instance that is isolated.
    const BESIDE_THE_INSTANCE: [&str; 3] = [
        "ec2:CreateSecurityGroup",
        "ec2:CreateTags",
        "ec2:RevokeSecurityGroupEgress",
    ];
    let may = |action: &str, arn: &str| {
        let mut of_action = allowed.iter().filter(|(allowed, _)| allowed == action);
        of_action.any(|(_, resource)| covers(resource, arn))
    };
    let policy = session_policy(remediation, target);
    for statement in policy["Statement"].as_array().unwrap() {
        for action in listed(&statement["Action"]).filter_map(Value::as_str) {
            let permission = remediation.facts().permissions.iter();
            let mut permission = permission.filter(|permission| permission.action == action);
            let everything = permission.any(|permission| permission.scope == Scope::Everything);
            for arn in listed(&statement["Resource"]).filter_map(Value::as_str) {
                let is_left_out = target.kind == Kind::Instance
                    && arn == target.arn
                    && BESIDE_THE_INSTANCE.contains(&action);
                // An action that a session may do to everything may be limited by the role to things of the target's kind.
                let is_allowed = may(action, arn) || everything && may(action, &target.arn);
                assert!(
                    is_allowed || is_left_out,
                    "{}: the role does not allow `{action}` on `{arn}`",
                    remediation.name()
                );
            }
        }
    }
}

/// Whether a pattern of ARNs covers an ARN, or all that another pattern does.
fn covers(pattern: &str, arn: &str) -> bool {
    let mut rest = arn;
    let mut parts = pattern.split('*');
    match rest.strip_prefix(parts.next().unwrap_or_default()) {
        Some(after) => rest = after,
        None => return false,
    }
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A resource of a kind, as findings name it.
fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Account => MEMBER,
        Kind::Bucket => "arn:aws:s3:::logs",
        Kind::SecurityGroup => "sg-0123456789abcdef0",
        Kind::AccessKey => "AKIAIOSFODNN7EXAMPLE",
        Kind::DbInstance => "arn:aws:rds:eu-central-1:111122223333:db:orders",
        Kind::Trail => "arn:aws:cloudtrail:eu-central-1:111122223333:trail/all",
        Kind::Key => {
            "arn:aws:kms:eu-central-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef"
        }
        Kind::Snapshot => "snap-0123456789abcdef0",
        Kind::DbSnapshot => "arn:aws:rds:eu-central-1:111122223333:snapshot:orders",
        Kind::DbClusterSnapshot => "arn:aws:rds:eu-central-1:111122223333:cluster-snapshot:orders",
        Kind::Image => "ami-0123456789abcdef0",
        Kind::Instance => "i-0123456789abcdef0",
        Kind::User => "arn:aws:iam::111122223333:user/ann",
        Kind::Role => "arn:aws:iam::111122223333:role/app",
    }
}

/// The remediations of each policy, as the template tells.
fn remediations_of_policies() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(root().join("infra/member.yaml")).unwrap();
    let section = text.split_once("\n    Remediations:\n").unwrap().1;
    let lines = section
        .lines()
        .take_while(|line| line.starts_with("      "));
    let pairs = lines.map(|line| {
        let (policy, names) = line.trim().split_once(": [").unwrap();
        let names = names.trim_end_matches(']').split(", ").map(str::to_owned);
        (policy.to_owned(), names.collect())
    });
    pairs.collect()
}

/// The actions that a policy of the member's stack allows, each with a resource.
fn allowed_by(member: &Aws, policy: &str) -> BTreeSet<(String, String)> {
    let arn = &stack::resources(member, STACK)[policy];
    let seen = member.ok("iam", "get_policy", &json!({"PolicyArn": arn}));
    let version = &seen["Policy"]["DefaultVersionId"];
    let asked = json!({"PolicyArn": arn, "VersionId": version});
    let seen = member.ok("iam", "get_policy_version", &asked);
    pairs(&seen["PolicyVersion"]["Document"]["Statement"])
}

/// The statements of a role's own policies by their names.
fn inline(aws: &Aws, role: &str) -> BTreeMap<String, Value> {
    let names = aws.ok("iam", "list_role_policies", &json!({"RoleName": role}));
    let names = names["PolicyNames"].as_array().unwrap();
    let named = names.iter().filter_map(Value::as_str).map(|name| {
        let asked = json!({"RoleName": role, "PolicyName": name});
        let policy = aws.ok("iam", "get_role_policy", &asked);
        let statements = policy["PolicyDocument"]["Statement"].clone();
        (name.to_owned(), statements)
    });
    named.collect()
}

/// What statements allow: actions, each with a resource.
fn pairs(statements: &Value) -> BTreeSet<(String, String)> {
    let mut allowed = BTreeSet::new();
    for statement in listed(statements) {
        assert_eq!(statement["Effect"], "Allow");
        for action in listed(&statement["Action"]) {
            for resource in listed(&statement["Resource"]) {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                allowed.insert((text(action), text(resource)));
            }
        }
    }
    allowed
}

fn listed(value: &Value) -> impl Iterator<Item = &Value> {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
        .iter()
}
