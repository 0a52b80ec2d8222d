//! Which certificates are trusted beside the machine's own authorities, and what is wrong with
//! others.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use rustls_platform_verifier::Verifier;
use webpki::{EndEntityCert, KeyUsage};

use super::error::{Error, TlsFailure};

/// Certificates for a vault behind a private authority, or an emulator.
#[derive(Debug, Clone)]
pub struct OwnCa(Arc<[CertificateDer<'static>]>);

/// A text without a certificate.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no PEM certificate in it")]
pub struct NoCertificate;

impl OwnCa {
    /// Reads one or more certificates in PEM.
    ///
    /// # Errors
    ///
    /// There is none, or one of them is broken.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NoCertificate> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found = found.map_err(|_| NoCertificate)?;
        let mut store = RootCertStore::empty();
        let is_usable = |one: &CertificateDer<'static>| store.add(one.clone()).is_ok();
        if found.is_empty() || !found.iter().all(is_usable) {
            return Err(NoCertificate);
        }
        Ok(Self(found.into()))
    }
}

/// TLS as reqwest does it by itself, with `own_ca` added.
pub(super) fn config(own_ca: &OwnCa) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let platform = Verifier::new_with_extra_roots(own_ca.0.iter().cloned(), provider.clone())
        .map_err(|_| Error::NoCertificateAuthorities)?;
    let verifier = OrPinned {
        platform,
        pinned: own_ca.0.clone(),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::TlsFailed(TlsFailure::Other))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec!["http/1.1".into()];
    Ok(config)
}

/// The platform's verifier, which also accepts a certificate of the file itself.
///
/// A self-signed certificate is often its own authority (`openssl req -x509` makes it so), and
/// such a one is refused as a server's, however much it is trusted.
#[derive(Debug)]
struct OrPinned {
    platform: Verifier,
    pinned: Arc<[CertificateDer<'static>]>,
}

impl OrPinned {
    /// Whether `shown` is in the file, is valid now, and was refused for nothing but being an
    /// authority.
    ///
    /// # Errors
    ///
    /// It is in the file, and another host's.
    fn accepts(
        &self,
        shown: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<bool, rustls::Error> {
        if !self.pinned.iter().any(|pinned| pinned == shown) {
            return Ok(false);
        }
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
        let Ok(certificate) = EndEntityCert::try_from(shown) else {
            return Ok(false);
        };
        // The times of a certificate are looked at before what it may be used for.
        let usage = KeyUsage::server_auth();
        let refused = certificate.verify_for_usage(&[], &[], &[], now, usage, None, None);
        Ok(is_own_authority(refused.as_ref().err()))
    }
}

impl ServerCertVerifier for OrPinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.accepts(end_entity, server_name, now)? {
            return Ok(ServerCertVerified::assertion());
        }
        self.platform
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.platform.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.platform.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.platform.supported_verify_schemes()
    }
}

/// Why there is no TLS.
pub(super) fn failure(error: &rustls::Error) -> TlsFailure {
    use rustls::CertificateError as Wrong;
    let wrong = match error {
        rustls::Error::InvalidCertificate(wrong) => wrong,
        rustls::Error::InvalidMessage(_) => return TlsFailure::NotTls,
        _ => return TlsFailure::Other,
    };
    match wrong {
        Wrong::UnknownIssuer => TlsFailure::UnknownIssuer,
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => TlsFailure::WrongName,
        Wrong::Expired
        | Wrong::ExpiredContext { .. }
        | Wrong::NotValidYet
        | Wrong::NotValidYetContext { .. } => TlsFailure::Expired,
        // It is its own authority, and not in the file of those that are trusted.
        Wrong::Other(other) if is_own_authority(other.0.downcast_ref()) => {
            TlsFailure::UnknownIssuer
        }
        _ => TlsFailure::Other,
    }
}

fn is_own_authority(error: Option<&webpki::Error>) -> bool {
    matches!(error, Some(webpki::Error::CaUsedAsEndEntity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_usable_certificate_is_refused_when_it_is_read() {
        for pem in [
            "",
            "text",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        ] {
            assert!(OwnCa::from_pem(pem.as_bytes()).is_err(), "{pem}");
        }
    }
}
