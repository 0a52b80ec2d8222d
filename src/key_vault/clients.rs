//! The official clients of one vault, one for each kind of object. They hand out the bytes of
//! the vault's answers, and lists page by page.

use std::sync::Arc;

use azure_core::{
    Bytes,
    credentials::TokenCredential,
    http::{
        ClientMethodOptions, Context, Response, Transport,
        pager::{PageIterator, PagerContinuation, PagerOptions},
    },
};
use azure_security_keyvault_certificates::{
    CertificateClient, CertificateClientOptions,
    models::{
        CertificateClientGetCertificateOptions, CertificateClientListCertificatePropertiesOptions,
        CertificateClientListCertificatePropertiesVersionsOptions,
    },
};
use azure_security_keyvault_keys::{
    KeyClient, KeyClientOptions,
    models::{
        KeyClientGetKeyOptions, KeyClientListKeyPropertiesOptions,
        KeyClientListKeyPropertiesVersionsOptions,
    },
};
use azure_security_keyvault_secrets::{
    SecretClient, SecretClientOptions,
    models::{
        SecretClientGetDeletedSecretOptions, SecretClientGetSecretOptions,
        SecretClientListSecretPropertiesOptions, SecretClientListSecretPropertiesVersionsOptions,
    },
};
use futures_util::TryStreamExt;

use super::{
    error::Error,
    limits::READ_RETRIES,
    names::{ObjectKind, ObjectName, VaultUrl},
    sdk::client_options,
};

/// One vault's.
pub(super) struct Clients {
    secrets: SecretClient,
    keys: KeyClient,
    certificates: CertificateClient,
}

/// One page of a list.
pub(super) struct Page {
    pub(super) body: Bytes,
    /// Where the next one begins, if there is one.
    pub(super) next: Option<PagerContinuation>,
}

/// The first page of a list: the clients' options differ in name only.
macro_rules! page {
    ($paging:expr, $Options:ident, $list:expr) => {{
        let options = $Options {
            method_options: $paging,
            ..Default::default()
        };
        let list = $list;
        first(list(Some(options)).map_err(Error::from_sdk)?.into_pages()).await
    }};
}

impl Clients {
    /// Of the vault at `url`, whose requests travel by `transport`.
    pub(super) fn new(
        url: &VaultUrl,
        credential: &Arc<dyn TokenCredential>,
        transport: &Transport,
    ) -> Result<Self, Error> {
        // An emulator on this machine has no name below the challenge's domain.
        let verify_challenge_resource = Some(!url.is_loopback());
        let options = || client_options(transport.clone(), READ_RETRIES);
        let secrets = SecretClientOptions {
            verify_challenge_resource,
            client_options: options(),
            ..Default::default()
        };
        let keys = KeyClientOptions {
            verify_challenge_resource,
            client_options: options(),
            ..Default::default()
        };
        let certificates = CertificateClientOptions {
            verify_challenge_resource,
            client_options: options(),
            ..Default::default()
        };
        let (url, credential) = (url.as_str(), || credential.clone());
        Ok(Self {
            secrets: SecretClient::new(url, credential(), Some(secrets))
                .map_err(Error::from_sdk)?,
            keys: KeyClient::new(url, credential(), Some(keys)).map_err(Error::from_sdk)?,
            certificates: CertificateClient::new(url, credential(), Some(certificates))
                .map_err(Error::from_sdk)?,
        })
    }

    pub(super) fn endpoint(&self) -> &str {
        self.secrets.endpoint().as_str()
    }

    /// The whole object; of a secret, with its value.
    pub(super) async fn get(
        &self,
        kind: ObjectKind,
        name: &ObjectName,
        version: Option<String>,
        context: Context<'static>,
    ) -> Result<Bytes, Error> {
        let method_options = ClientMethodOptions { context };
        let name = name.as_str();
        let body = match kind {
            ObjectKind::Secret => {
                let options = SecretClientGetSecretOptions {
                    secret_version: version,
                    method_options,
                    ..Default::default()
                };
                let got = self.secrets.get_secret(name, Some(options)).await;
                got.map(Response::into_body)
            }
            ObjectKind::Key => {
                let options = KeyClientGetKeyOptions {
                    key_version: version,
                    method_options,
                };
                let got = self.keys.get_key(name, Some(options)).await;
                got.map(Response::into_body)
            }
            ObjectKind::Certificate => {
                let options = CertificateClientGetCertificateOptions {
                    certificate_version: version,
                    method_options,
                };
                let got = self.certificates.get_certificate(name, Some(options)).await;
                got.map(Response::into_body)
            }
        };
        Ok(body.map_err(Error::from_sdk)?.into())
    }

    /// What the vault has of `kind`: the latest version of each, without values.
    pub(super) async fn objects(
        &self,
        kind: ObjectKind,
        from: Option<PagerContinuation>,
        context: Context<'static>,
    ) -> Result<Page, Error> {
        let options = paging(from, context);
        match kind {
            ObjectKind::Secret => page!(
                options,
                SecretClientListSecretPropertiesOptions,
                |options| self.secrets.list_secret_properties(options)
            ),
            ObjectKind::Key => page!(options, KeyClientListKeyPropertiesOptions, |options| self
                .keys
                .list_key_properties(options)),
            ObjectKind::Certificate => page!(
                options,
                CertificateClientListCertificatePropertiesOptions,
                |options| self.certificates.list_certificate_properties(options)
            ),
        }
    }

    /// The versions of one object, without values.
    pub(super) async fn versions(
        &self,
        kind: ObjectKind,
        name: &ObjectName,
        from: Option<PagerContinuation>,
        context: Context<'static>,
    ) -> Result<Page, Error> {
        let (options, name) = (paging(from, context), name.as_str());
        match kind {
            ObjectKind::Secret => page!(
                options,
                SecretClientListSecretPropertiesVersionsOptions,
                |options| self.secrets.list_secret_properties_versions(name, options)
            ),
            ObjectKind::Key => page!(
                options,
                KeyClientListKeyPropertiesVersionsOptions,
                |options| self.keys.list_key_properties_versions(name, options)
            ),
            ObjectKind::Certificate => page!(
                options,
                CertificateClientListCertificatePropertiesVersionsOptions,
                |options| self
                    .certificates
                    .list_certificate_properties_versions(name, options)
            ),
        }
    }

    /// Fails unless the secret is deleted and can be recovered.
    pub(super) async fn deleted_secret(
        &self,
        name: &ObjectName,
        context: Context<'static>,
    ) -> Result<(), Error> {
        let options = SecretClientGetDeletedSecretOptions {
            method_options: ClientMethodOptions { context },
        };
        let read = self
            .secrets
            .get_deleted_secret(name.as_str(), Some(options));
        read.await.map(drop).map_err(Error::from_sdk)
    }
}

fn paging(
    continuation: Option<PagerContinuation>,
    context: Context<'static>,
) -> PagerOptions<'static> {
    PagerOptions {
        context,
        continuation,
    }
}

/// The page that `pages` begins with. A pager ends at its first failure, so each page has a pager
/// of its own, and the same page can be asked for again.
async fn first<T: Send, F: Send>(mut pages: PageIterator<Response<T, F>>) -> Result<Page, Error> {
    let page = pages.try_next().await.map_err(Error::from_sdk)?;
    let page = page.ok_or(Error::UnexpectedAnswer)?;
    Ok(Page {
        body: page.into_body().into(),
        next: pages.into_continuation(),
    })
}
