use crate::address_guard::AddressGuard;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;
use std::sync::Arc;

/// Asks the system's resolver and refuses a name if any of its addresses is refused.
pub(super) struct Guarded {
    guard: Arc<AddressGuard>,
}

impl Guarded {
    pub(super) fn new(guard: Arc<AddressGuard>) -> Self {
        Self { guard }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            for address in &found {
                guard.check_address(host, address.ip())?;
            }
            if found.is_empty() {
                return Err("the name has no address".into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}
