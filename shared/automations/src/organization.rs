use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which organisational units each account belongs to, so that scopes can name a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Name or id of the organisation.
    pub name: String,
    /// Account to the ids of all units above it.
    pub accounts: BTreeMap<String, Vec<String>>,
}
