use crate::aws::InvalidAws;
use crate::{Action, ActionError, Cloud, HttpClient, Mailer, Secrets};
use quench_automations::{Auth, Connection, ConnectionKind};
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
    /// AWS, or what is missing to call it.
    pub cloud: Result<Cloud, InvalidAws>,
}

impl Outside {
    pub(crate) fn connection(&self, name: &str) -> Result<&Connection, ActionError> {
        self.connections
            .get(name)
            .ok_or_else(|| ActionError::permanent(format!("there is no connection `{name}`")))
    }

    /// Says whether a secret that an action shows its target is another by now than the one it may have shown.
    pub(crate) async fn has_changed_secret(&self, action: &Action) -> bool {
        let references = match action {
            Action::Email(_) => self.mailer.reference().into_iter().collect(),
            Action::Slack(slack) => self.references(&slack.connection),
            Action::Teams(teams) => self.references(&teams.connection),
            Action::Webhook(webhook) => self.references(&webhook.connection),
            Action::Http(http) => match &http.connection {
                Some(connection) => self.references(connection),
                None => Vec::new(),
            },
            Action::Ssm(_) | Action::Lambda(_) | Action::StepFunctions(_) | Action::Finding(_) => {
                Vec::new()
            }
        };
        let mut changed = false;
        for reference in references {
            changed |= self.secrets.has_changed(reference).await;
        }
        changed
    }

    fn references(&self, connection: &str) -> Vec<&str> {
        let Some(connection) = self.connections.get(connection) else {
            return Vec::new();
        };
        match &connection.kind {
            ConnectionKind::SlackHook { url } | ConnectionKind::Teams { url } => vec![url],
            ConnectionKind::SlackBot { token, .. } => vec![token],
            ConnectionKind::Webhook { url, secret } => vec![url, secret],
            ConnectionKind::Http { url, auth } => match auth {
                Auth::None => vec![url],
                Auth::Basic {
                    password: secret, ..
                }
                | Auth::Bearer { token: secret }
                | Auth::ApiKey { key: secret, .. }
                | Auth::ClientCredentials {
                    client_secret: secret,
                    ..
                } => vec![url, secret],
            },
        }
    }
}

/// The refusal of a connection whose service is not the one that a step needs.
pub(crate) fn unfit(connection: &Connection, wanted: &str) -> ActionError {
    ActionError::permanent(format!(
        "connection `{}` does not lead to {wanted}",
        connection.name
    ))
}
