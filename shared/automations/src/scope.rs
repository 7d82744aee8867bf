//! Scopes: which accounts, subscriptions and projects an automation is about.

mod glob;
mod pattern;
mod place;

pub use pattern::{ScopeFault, ScopePattern, parse};

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
