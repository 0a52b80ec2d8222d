//! A certificate authority for one vault on this machine.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::address::VaultName;

/// How long the certificates are valid. A vault makes new ones whenever it starts, but for those
/// that it keeps.
const LIFE: Duration = Duration::days(90);

/// The certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The authority's or the vault's.
    #[error("a certificate could not be made: {0}")]
    Made(#[from] rcgen::Error),
    /// The operating system has no randomness to give.
    #[error("there is no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    /// What was kept is no certificate and key.
    #[error("what was kept is no certificate with its key")]
    NotPem,
    /// What was made does not serve TLS.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
}

/// What a client must trust, and what a server proves itself with.
///
/// The authority's key is gone once this is made: nobody can ever sign another certificate
/// with it. Even so it could sign only for the names of this machine and of this vault.
#[derive(Clone)]
pub struct Certificates {
    /// The authority's certificate, for clients.
    pub authority_pem: String,
    /// Does the server's side of TLS.
    pub acceptor: TlsAcceptor,
}

/// The same as text.
#[derive(Serialize, Deserialize)]
pub(super) struct Pem {
    authority: String,
    certificate: String,
    key: String,
}

impl Certificates {
    /// Makes an authority and one certificate for `localhost`, 127.0.0.1, `::1` and
    /// `embedded.vault.azure.net`.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn make() -> Result<Self, CertificateError> {
        Self::of(&Pem::make(&[VaultName::default()])?)
    }

    pub(super) fn of(pem: &Pem) -> Result<Self, CertificateError> {
        let certificate = CertificateDer::from_pem_slice(pem.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes());
        let (Ok(certificate), Ok(key)) = (certificate, key) else {
            return Err(CertificateError::NotPem);
        };
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        Ok(Self {
            authority_pem: pem.authority.clone(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}

impl Pem {
    /// For vaults of these names.
    pub(super) fn make(vaults: &[VaultName]) -> Result<Self, CertificateError> {
        let hosts: Vec<_> = vaults.iter().map(VaultName::host).collect();
        let begin = OffsetDateTime::now_utc() - Duration::hours(1);
        let parameters = |names: &[&str], title: &str| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut parameters = CertificateParams::new(names)?;
            parameters.not_before = begin;
            parameters.not_after = begin + LIFE;
            parameters
                .distinguished_name
                .push(DnType::CommonName, title);
            Ok::<_, rcgen::Error>(parameters)
        };
        let mut authority = parameters(&[], "keyvault-functions dev vault CA")?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.name_constraints = Some(NameConstraints {
            permitted_subtrees: [
                GeneralSubtree::DnsName("localhost".to_owned()),
                GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 1], [255; 4])),
                GeneralSubtree::IpAddress(CidrSubnet::V6(
                    std::net::Ipv6Addr::LOCALHOST.octets(),
                    [255; 16],
                )),
            ]
            .into_iter()
            .chain(hosts.iter().cloned().map(GeneralSubtree::DnsName))
            .collect(),
            excluded_subtrees: Vec::new(),
        });
        let authority_key = KeyPair::generate()?;
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let mut names = vec!["localhost", "127.0.0.1", "::1"];
        names.extend(hosts.iter().map(String::as_str));
        let mut leaf = parameters(&names, "keyvault-functions dev vault")?;
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let leaf_key = KeyPair::generate()?;
        let leaf = leaf.signed_by(&leaf_key, &issuer)?;
        Ok(Self {
            authority: authority_pem,
            certificate: leaf.pem(),
            key: leaf_key.serialize_pem(),
        })
    }
}
