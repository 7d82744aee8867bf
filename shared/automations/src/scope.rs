//! Scopes: which accounts, subscriptions and projects an automation is about.

mod glob;
mod pattern;
mod place;

pub use pattern::{ScopeFault, ScopePattern, parse};
pub(crate) use pattern::{is_account, is_unit};

use crate::Organization;
use place::Place;
use quench_findings::Finding;

/// Whether a finding lies in a scope.
///
/// A scope without patterns is everywhere. A finding lies in it if one of the places it names is meant by a pattern,
/// and none by an exclusion; where all patterns are exclusions, everything else lies in it. The places are the scope and
/// the account of the finding and those of its resources. An account of which `organization` does not know the units
/// counts as excluded by an excluded unit, as it might belong to it.
#[must_use]
pub fn in_scope(
    patterns: &[ScopePattern],
    finding: &Finding,
    organization: Option<&Organization>,
) -> bool {
    decide(patterns, finding, organization).held
}

/// Whether a finding lies in a scope, and by which pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision<'a> {
    pub(crate) held: bool,
    pub(crate) by: Option<&'a ScopePattern>,
    /// The places that were looked at.
    pub(crate) places: Vec<String>,
}

pub(crate) fn decide<'a>(
    patterns: &'a [ScopePattern],
    finding: &Finding,
    organization: Option<&Organization>,
) -> Decision<'a> {
    let places = place::places(finding);
    let named = || places.iter().map(Place::to_string).collect();
    let meant = |pattern: &&ScopePattern| {
        places
            .iter()
            .any(|place| pattern.means(place, organization))
    };
    let excluding = patterns
        .iter()
        .filter(|pattern| pattern.excludes)
        .find(meant);
    if excluding.is_some() {
        return Decision {
            held: false,
            by: excluding,
            places: named(),
        };
    }
    let mut including = patterns
        .iter()
        .filter(|pattern| !pattern.excludes)
        .peekable();
    let everywhere = including.peek().is_none();
    let by = including.find(meant);
    Decision {
        held: everywhere || by.is_some(),
        by,
        places: named(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::fmt::Write;

    const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";

    fn finding(fields: Value) -> Finding {
        let mut finding = json!({
            "id": "f-1", "kind": "alert", "source": "guardduty", "title": "t", "severity": "low", "raw": {},
        });
        for (name, value) in serde_json::from_value::<serde_json::Map<_, _>>(fields).unwrap() {
            finding[name.as_str()] = value;
        }
        serde_json::from_value(finding).unwrap()
    }

    fn amazon() -> Finding {
        finding(json!({ "scope": "aws:111122223333", "account": "111122223333" }))
    }

    fn azure() -> Finding {
        finding(json!({
            "source": "defender", "account": SUBSCRIPTION, "scope": format!("azure:/subscriptions/{SUBSCRIPTION}"),
            "resources": [{
                "id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/Web-Prod/providers/Microsoft.Sql/servers/s1")
            }],
        }))
    }

    fn google() -> Finding {
        finding(json!({
            "source": "scc", "account": "111122223333", "scope": "gcp:projects/shop-prod",
            "resources": [{ "id": "//compute.googleapis.com/projects/Shop-Data/zones/z/instances/1" }],
        }))
    }

    fn organization() -> Organization {
        Organization {
            name: "o-exampleorg1".to_owned(),
            accounts: [(
                "111122223333".to_owned(),
                vec!["ou-ab12-11111111".to_owned(), "r-ab12".to_owned()],
            )]
            .into(),
        }
    }

    fn lies(patterns: &[&str], finding: &Finding) -> bool {
        let patterns: Vec<ScopePattern> = patterns
            .iter()
            .map(|pattern| parse(pattern).unwrap())
            .collect();
        in_scope(&patterns, finding, Some(&organization()))
    }

    #[test]
    fn no_pattern_means_everywhere() {
        assert!(lies(&[], &amazon()));
        assert!(lies(&[], &finding(json!({}))));
        assert!(!lies(&["aws:*"], &finding(json!({}))));
    }

    #[test]
    fn accounts_are_named_whole_or_by_their_beginning() {
        assert!(lies(&["aws:111122223333"], &amazon()));
        assert!(lies(&["aws:1111*"], &amazon()));
        assert!(lies(&["aws:*3333"], &amazon()));
        assert!(!lies(&["aws:444455556666", "aws:2*"], &amazon()));
        assert!(!lies(&["azure:*", "gcp:*"], &amazon()));
    }

    #[test]
    fn the_account_of_a_resource_counts() {
        let finding = finding(json!({
            "resources": [{ "id": "arn:aws:ec2:eu-west-1:444455556666:instance/i-1" }, { "id": "x", "account": "777788889999" }],
        }));
        assert!(lies(&["aws:444455556666"], &finding));
        assert!(lies(&["aws:777788889999"], &finding));
        assert!(!lies(&["!aws:777788889999"], &finding));
    }

    #[test]
    fn a_unit_means_the_accounts_the_organization_says() {
        assert!(lies(&["aws:ou-ab12-11111111"], &amazon()));
        assert!(lies(&["aws:r-ab12"], &amazon()));
        assert!(lies(&["aws:ou-ab12-1*"], &amazon()));
        assert!(!lies(&["aws:ou-ab12-22222222"], &amazon()));
        assert!(!lies(&["aws:*", "!aws:ou-ab12-11111111"], &amazon()));
        assert!(lies(&["!aws:ou-ab12-22222222"], &amazon()));
    }

    #[test]
    fn an_account_of_unknown_units_is_in_no_unit_and_is_left_out_by_any() {
        let unknown = finding(json!({ "account": "444455556666" }));
        assert!(!lies(&["aws:ou-ab12-11111111"], &unknown));
        assert!(!lies(&["!aws:ou-ab12-11111111"], &unknown));
        assert!(lies(&["!aws:ou-ab12-11111111"], &azure()));
    }

    #[test]
    fn a_subscription_covers_its_groups_and_a_group_is_not_its_namesake() {
        let subscription = format!("azure:/subscriptions/{SUBSCRIPTION}");
        assert!(lies(&[&subscription], &azure()));
        assert!(lies(
            &[&subscription.to_uppercase().replace("AZURE", "azure")],
            &azure()
        ));
        assert!(lies(
            &[&format!("{subscription}/resourcegroups/WEB-PROD")],
            &azure()
        ));
        assert!(lies(
            &[&format!("{subscription}/resourceGroups/web-*")],
            &azure()
        ));
        assert!(lies(
            &["azure:/subscriptions/*/resourceGroups/*-prod/"],
            &azure()
        ));
        assert!(!lies(
            &[&format!("{subscription}/resourceGroups/web")],
            &azure()
        ));
        assert!(!lies(
            &["azure:/subscriptions/00000000-0000-4000-8000-000000000002"],
            &azure()
        ));
        assert!(!lies(
            &[
                "azure:*",
                &format!("!{subscription}/resourceGroups/web-prod")
            ],
            &azure()
        ));
        assert!(lies(&["azure:*"], &azure()));
    }

    #[test]
    fn a_project_number_is_not_an_account() {
        assert!(lies(&["gcp:projects/shop-prod"], &google()));
        assert!(lies(&["gcp:projects/shop-d*"], &google()));
        assert!(lies(&["gcp:*"], &google()));
        assert!(lies(&["gcp:projects/111122223333"], &google()));
        assert!(!lies(&["aws:*"], &google()));
    }

    #[test]
    fn exclusions_alone_leave_everything_else() {
        assert!(lies(&["!aws:444455556666"], &amazon()));
        assert!(!lies(&["!aws:111122223333"], &amazon()));
        assert!(!lies(&["*", "!aws:1111*"], &amazon()));
        assert!(lies(&["*", "!aws:1111*"], &azure()));
        assert!(!lies(&["! aws:*"], &amazon()));
    }

    #[test]
    fn faults_say_what_was_probably_meant() {
        let mut out = String::new();
        for pattern in [
            "",
            "!",
            "111122223333",
            "!111122223333",
            SUBSCRIPTION,
            "/subscriptions/1",
            "projects/shop",
            "ou-ab12-11111111",
            "arn:aws:iam::111122223333:root",
            "asw:111122223333",
            "amazon:*",
            "ibm:1",
            "prod",
            "aws:",
            "aws:1111",
            "aws:1111222233334",
            "aws:1111-2222-3333",
            "aws:ou-ab12",
            "aws:production",
            "azure:00000000-0000-4000-8000-000000000001",
            "azure:/subscriptions/shop",
            "azure:/subscription/00000000-0000-4000-8000-000000000001",
            "azure:/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroup/web",
            "azure:/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups",
            "azure:subscriptions/00000000-0000-4000-8000-000000000001",
            "azure:/providers/Microsoft.Management/managementGroups/root",
            "gcp:shop-prod",
            "gcp:project/shop-prod",
            "gcp:folders/123",
            "gcp:projects/",
        ] {
            let ScopeFault { message, help } = parse(pattern).unwrap_err();
            writeln!(out, "{pattern:?}: {message}; {}", help.unwrap_or_default()).unwrap();
        }
        insta::assert_snapshot!(out);
    }

    fn patterns() -> impl Strategy<Value = String> {
        proptest::sample::select(vec![
            "*".to_owned(),
            "aws:*".to_owned(),
            "aws:111122223333".to_owned(),
            "aws:1111*".to_owned(),
            "aws:444455556666".to_owned(),
            "aws:ou-ab12-11111111".to_owned(),
            "azure:*".to_owned(),
            format!("azure:/subscriptions/{SUBSCRIPTION}"),
            format!("azure:/subscriptions/{SUBSCRIPTION}/resourceGroups/web-prod"),
            "gcp:*".to_owned(),
            "gcp:projects/shop-*".to_owned(),
        ])
    }

    proptest! {
        #[test]
        fn what_is_excluded_is_never_in_scope(
            excluded in patterns(),
            others in proptest::collection::vec((patterns(), any::<bool>()), 0..4),
            place in 0_usize..4,
            at in 0_usize..5,
        ) {
            let finding = [amazon(), azure(), google(), finding(json!({}))][place].clone();
            let mut all: Vec<ScopePattern> = others
                .iter()
                .map(|(pattern, excludes)| parse(&format!("{}{pattern}", if *excludes { "!" } else { "" })).unwrap())
                .collect();
            all.insert(at.min(all.len()), parse(&format!("!{excluded}")).unwrap());
            let alone = [parse(&excluded).unwrap()];
            let known = organization();
            if in_scope(&alone, &finding, Some(&known)) {
                prop_assert!(!in_scope(&all, &finding, Some(&known)));
            }
        }

        #[test]
        fn the_order_of_patterns_does_not_matter(
            given in proptest::collection::vec((patterns(), any::<bool>()), 0..5),
            place in 0_usize..4,
        ) {
            let finding = [amazon(), azure(), google(), finding(json!({}))][place].clone();
            let mut all: Vec<ScopePattern> = given
                .iter()
                .map(|(pattern, excludes)| parse(&format!("{}{pattern}", if *excludes { "!" } else { "" })).unwrap())
                .collect();
            let forward = in_scope(&all, &finding, None);
            all.reverse();
            prop_assert_eq!(forward, in_scope(&all, &finding, None));
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "[!a-z0-9:/* -]{0,40}") {
            let _ = parse(&text);
        }
    }
}
