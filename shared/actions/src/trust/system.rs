use super::{InvalidCertificate, Trust};
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::sync::OnceLock;

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
