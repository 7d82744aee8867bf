//! The emulators, started once for all tests of this program, and clients for them.

use crate::proxy::Proxy;
use quench_actions::Trust;
use quench_actions::aws::{Aws, Element, Limits, Request, Service};
use quench_emulator::{Emulator, MOTO_ACCOUNT, Moto, REGION};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

/// The account that resources are in.
pub const ACCOUNT: &str = MOTO_ACCOUNT;

static EMULATOR: LazyLock<Emulator> = LazyLock::new(Emulator::start);
static MOTO: LazyLock<Moto> = LazyLock::new(Moto::start);

/// Which emulator has what a remediation calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Ministack.
    Emulator,
    /// Moto.
    Moto,
}

/// A client for the remediation, through a proxy, and one for the test itself.
pub struct World {
    account: String,
    /// What the remediation calls.
    pub proxy: Proxy,
    /// As the remediation calls AWS.
    pub aws: Aws,
    /// As the owner of the resources does.
    pub owner: Aws,
}

impl World {
    /// In the account that resources are in.
    pub async fn new(peer: Peer) -> Self {
        Self::of_account(peer, ACCOUNT).await
    }

    /// In an account of its own, for settings of whole accounts. The emulator takes the id of a key for the account.
    pub async fn of_account(peer: Peer, account: &str) -> Self {
        let port = match peer {
            Peer::Emulator => tokio::task::spawn_blocking(|| EMULATOR.port()).await,
            Peer::Moto => tokio::task::spawn_blocking(|| MOTO.port()).await,
        };
        let port = port.unwrap();
        let proxy = Proxy::start(BTreeMap::from([("*", port)])).await;
        let limits = Limits {
            attempt: Duration::from_secs(20),
            attempts: 2,
            ..Limits::default()
        };
        Self {
            aws: client(&proxy.endpoint, account).with_limits(limits),
            owner: client(&format!("http://127.0.0.1:{port}"), account),
            proxy,
            account: account.to_owned(),
        }
    }

    /// Variables that lead a client to the proxy.
    pub fn variable(&self, name: &str) -> Option<String> {
        variable(&self.proxy.endpoint, &self.account, name)
    }

    /// Calls a service as the owner does, by the Query protocol.
    pub async fn query(&self, service: Service, operation: &str, form: &[(&str, &str)]) -> Element {
        let made = self.owner.query(service, operation, form).await;
        made.unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    /// The same by a JSON protocol.
    pub async fn json(&self, service: Service, operation: &str, body: &Value) -> Value {
        let made = self.owner.json(service, operation, body).await;
        made.unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    /// The same for S3: the body of the answer; the code of the error where there is one.
    pub async fn s3(
        &self,
        method: Method,
        path: &str,
        part: &str,
        body: &str,
    ) -> Result<String, String> {
        let mut request = Request::new(method, &path.split('/').collect::<Vec<_>>());
        if !part.is_empty() {
            request = request.with_query(part, "");
        }
        request.body = body.to_owned().into();
        match self.owner.send(Service::S3, "S3", request).await {
            Ok(answer) => Ok(String::from_utf8(answer.body.to_vec()).unwrap()),
            Err(error) => Err(error.code().unwrap().to_owned()),
        }
    }
}

fn client(endpoint: &str, account: &str) -> Aws {
    let lookup = |name: &str| variable(endpoint, account, name);
    Aws::new(lookup, &Trust::built_in(&[]).unwrap()).unwrap()
}

fn variable(endpoint: &str, account: &str, name: &str) -> Option<String> {
    let value = match name {
        "AWS_ENDPOINT_URL" => endpoint,
        "AWS_REGION" => REGION,
        "AWS_ACCESS_KEY_ID" => account,
        "AWS_SECRET_ACCESS_KEY" => "test",
        _ => return None,
    };
    Some(value.to_owned())
}

/// All that an element holds, for comparing; what changes from answer to answer is left out.
pub fn whole(element: &Element) -> String {
    let mut element = element.clone();
    strip(&mut element);
    format!("{element:#?}")
}

fn strip(element: &mut Element) {
    let changing = ["requestId", "ResponseMetadata", "RequestId"];
    element
        .children
        .retain(|child| !changing.contains(&child.name.as_str()));
    element.children.iter_mut().for_each(strip);
}
