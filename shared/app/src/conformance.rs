//! What every kind of store and queue promises; each function wants one that is fresh and empty.

pub(crate) mod approvals;
pub(crate) mod definitions;
pub(crate) mod findings;
pub(crate) mod queues;
pub(crate) mod runs;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
