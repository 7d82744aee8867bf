use serde::{Deserialize, Serialize};

/// Named address and credentials of an outside service; secrets are references such as `secret://env/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Unique among connections: lower-case letters, digits and hyphens.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The service.
    pub kind: ConnectionKind,
}

/// The services a connection can lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionKind {
    /// A Slack incoming webhook, whose address is a secret.
    SlackHook {
        /// Secret reference.
        url: String,
    },
    /// A Slack bot.
    SlackBot {
        /// Secret reference of its token.
        token: String,
        /// Address of the API; absent means Slack's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// A Teams workflow's webhook, whose address is a secret.
    Teams {
        /// Secret reference.
        url: String,
    },
    /// A receiver of signed webhooks.
    Webhook {
        /// Plain address or secret reference.
        url: String,
        /// Secret reference of the `whsec_` signing secret.
        secret: String,
    },
    /// Any HTTP service.
    Http {
        /// Address that the paths of steps are joined to.
        url: String,
        /// How it knows us.
        auth: Auth,
    },
}

/// How an HTTP service knows us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Not at all.
    None,
    /// User and password.
    Basic {
        /// User name.
        username: String,
        /// Secret reference.
        password: String,
    },
    /// `Authorization: Bearer …`.
    Bearer {
        /// Secret reference.
        token: String,
    },
    /// A key in a header of its own.
    ApiKey {
        /// Name of the header.
        header: String,
        /// Secret reference.
        key: String,
    },
    /// OAuth 2.0 client credentials (RFC 6749, section 4.4).
    ClientCredentials {
        /// Address of the token endpoint.
        token_url: String,
        /// Client id.
        client_id: String,
        /// Secret reference.
        client_secret: String,
        /// Scopes asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scopes: Vec<String>,
    },
}
