use lettre::transport::smtp::client::{
    Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, OnceLock};

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

/// The system's authorities, or where it names none (a bare container) those that Mozilla trusts.
fn system_authorities() -> &'static [CertificateDer<'static>] {
    static AUTHORITIES: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    AUTHORITIES.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            tracing::warn!("the system trusts no authority; those that Mozilla trusts are used");
            return webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec();
        }
        found.certs
    })
}

/// Whom HTTP connections trust, and how they are secured: TLS 1.2 and 1.3 by ring.
///
/// Cheap to clone; clones share the authorities and the sessions that can be resumed, so one is enough for a process.
#[derive(Debug, Clone)]
pub struct Trust(ClientConfig);

impl Trust {
    /// Trusts the system's authorities and those given.
    ///
    /// # Errors
    /// Authorities that cannot be used.
    pub fn system(extra: &[CertificateDer<'static>]) -> Result<Self, InvalidCertificate> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(system_authorities().iter().cloned());
        Self::new(roots, extra)
    }

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

/// How connections to the mail server `host` are secured; it trusts the same authorities.
pub(crate) fn mail_parameters(
    host: &str,
    extra: &[CertificateDer<'static>],
) -> Result<TlsParameters, InvalidCertificate> {
    let invalid = |error: lettre::transport::smtp::Error| InvalidCertificate(error.to_string());
    let mut builder =
        TlsParametersBuilder::new(host.to_owned()).certificate_store(CertificateStore::None);
    for authority in system_authorities() {
        // The system may list certificates that cannot be read; they are passed over, as in `client_config`.
        if let Ok(certificate) = Certificate::from_der(authority.to_vec()) {
            builder = builder.add_root_certificate(certificate);
        }
    }
    for authority in extra {
        let certificate = Certificate::from_der(authority.to_vec()).map_err(invalid)?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(invalid)
}
