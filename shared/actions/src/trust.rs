#[cfg(feature = "local")]
mod system;

#[cfg(feature = "local")]
pub(crate) use system::mail_parameters;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Why a text is no list of certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("certificates cannot be used: {0}")]
pub struct InvalidCertificate(pub(crate) String);

/// Reads the certificates of authorities to trust besides the system's, from PEM.
///
/// # Errors
/// Text without a certificate, and certificates that are damaged or can be nobody's authority.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidCertificate> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| InvalidCertificate(error.to_string()))?;
    if found.is_empty() {
        return Err(InvalidCertificate("there is none in the text".to_owned()));
    }
    add(&mut RootCertStore::empty(), &found)?;
    Ok(found)
}

fn add(
    roots: &mut RootCertStore,
    certificates: &[CertificateDer<'static>],
) -> Result<(), InvalidCertificate> {
    for certificate in certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| InvalidCertificate(error.to_string()))?;
    }
    Ok(())
}

/// Whom HTTP connections trust, and how they are secured: TLS 1.2 and 1.3 by ring.
///
/// Cheap to clone; clones share the authorities and the sessions that can be resumed, so one is enough for a process.
#[derive(Debug, Clone)]
pub struct Trust(ClientConfig);

impl Trust {
    /// Trusts the authorities that Mozilla trusts, which are part of this program and need no reading, and those given.
    ///
    /// # Errors
    /// Authorities that cannot be used.
    pub fn built_in(extra: &[CertificateDer<'static>]) -> Result<Self, InvalidCertificate> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self::new(roots, extra)
    }

    fn new(
        mut roots: RootCertStore,
        extra: &[CertificateDer<'static>],
    ) -> Result<Self, InvalidCertificate> {
        add(&mut roots, extra)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidCertificate(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(config))
    }

    pub(crate) fn config(&self) -> ClientConfig {
        self.0.clone()
    }
}
