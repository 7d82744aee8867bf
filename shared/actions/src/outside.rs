use crate::ActionError;
use crate::{HttpClient, Mailer, Secrets};
use quench_automations::Connection;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The outside world as actions know it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Makes every HTTP request.
    pub http: HttpClient,
    /// Sends every mail.
    pub mailer: Mailer,
    /// The connections, by name.
    pub connections: Arc<BTreeMap<String, Connection>>,
    /// Where secret references lead.
    pub secrets: Secrets,
}

impl Outside {
    pub(crate) fn connection(&self, name: &str) -> Result<&Connection, ActionError> {
        self.connections
            .get(name)
            .ok_or_else(|| ActionError::permanent(format!("there is no connection `{name}`")))
    }
}

/// The refusal of a connection whose service is not the one that a step needs.
pub(crate) fn unfit(connection: &Connection, wanted: &str) -> ActionError {
    ActionError::permanent(format!(
        "connection `{}` does not lead to {wanted}",
        connection.name
    ))
}
