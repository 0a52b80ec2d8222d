//! Requests to Resource Manager, each with limits, and why one failed.

use std::{fmt, time::Duration};

use azure_core::http::{
    Method, Request, StatusCode, Url,
    headers::{ACCEPT, RETRY_AFTER},
};
use futures_util::future::BoxFuture;
use tokio::{sync::OnceCell, time::timeout};

use super::{
    endpoint::{ManagementUrl, SiteId},
    wire::{self, ConfigReference, Page},
};
use crate::key_vault::{Error as VaultError, collect, credential::Service, error::CredentialError};

/// As documented for the refresh.
const API_VERSION: &str = "api-version=2022-03-01";
/// Time for one call, the token included. A refresh asks a vault for each reference.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Largest answer, in bytes: 1,000 references with their ids.
const ANSWER_LIMIT: usize = 2 * 1024 * 1024;
/// Most pages of a list.
const PAGES_LIMIT: usize = 20;

/// Why Resource Manager did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagementError {
    /// The identity may not.
    #[error("the identity may not do this")]
    Denied,
    /// There is no such app, or no such list.
    #[error("Azure knows no such app")]
    NotFound,
    /// No token could be had.
    #[error("no credential: {0:?}")]
    Credential(CredentialError),
    /// It asks to slow down, or has a problem of its own.
    #[error("Azure Resource Manager is busy")]
    Busy {
        /// How long to wait, if it said so.
        retry_after: Option<Duration>,
    },
    /// No answer.
    #[error("Azure Resource Manager cannot be reached")]
    Unreachable,
    /// The answer is not what was published.
    #[error("the answer cannot be understood")]
    UnexpectedAnswer,
}

impl ManagementError {
    /// Whether it may go by itself.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Denied | Self::NotFound | Self::UnexpectedAnswer => false,
            Self::Credential(_) | Self::Busy { .. } | Self::Unreachable => true,
        }
    }
}

/// Signs in, when that is first needed.
type Connect = dyn Fn() -> BoxFuture<'static, Result<Service, VaultError>> + Send + Sync;

/// Resource Manager, for one app.
pub struct ResourceManager {
    url: ManagementUrl,
    site: SiteId,
    connect: Box<Connect>,
    service: OnceCell<Service>,
}

impl fmt::Debug for ResourceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceManager").finish_non_exhaustive()
    }
}

impl ResourceManager {
    /// For the app `site`. `connect` gets the scope of a token and signs in.
    pub fn new<F>(
        url: ManagementUrl,
        site: SiteId,
        connect: impl Fn(&'static str) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Service, VaultError>> + Send + 'static,
    {
        let scope = url.scope();
        Self {
            url,
            site,
            connect: Box::new(move || Box::pin(connect(scope))),
            service: OnceCell::new(),
        }
    }

    /// Which version each reference of the app settings is resolved to.
    ///
    /// # Errors
    ///
    /// By cause.
    pub async fn references(&self) -> Result<Vec<ConfigReference>, ManagementError> {
        let mut references = Vec::new();
        let mut next = Some(self.at(""));
        for _ in 0..PAGES_LIMIT {
            let Some(url) = next.take() else { break };
            let page = self.call(Method::Get, url).await?;
            references.extend(page.references);
            if let Some(link) = page.next {
                let link = Url::parse(&link).map_err(|_| ManagementError::UnexpectedAnswer)?;
                // The token must not leave for another host.
                if !self.url.is_origin_of(&link) {
                    return Err(ManagementError::UnexpectedAnswer);
                }
                next = Some(link);
            }
        }
        Ok(references)
    }

    /// Makes the platform resolve every reference of the app settings again, and tells what they
    /// are then. The platform may restart the app for it.
    ///
    /// # Errors
    ///
    /// By cause.
    pub async fn refresh(&self) -> Result<Vec<ConfigReference>, ManagementError> {
        let page = self.call(Method::Post, self.at("/refresh")).await?;
        Ok(page.references)
    }

    fn at(&self, operation: &str) -> Url {
        let site = self.site.path();
        let path = format!("{site}/config/configreferences/appsettings{operation}");
        self.url.at(&path, API_VERSION)
    }

    async fn call(&self, method: Method, url: Url) -> Result<Page, ManagementError> {
        let call = async {
            let service = self.service.get_or_try_init(&self.connect).await;
            let service = service.map_err(|error| cause(&error))?;
            let mut request = Request::new(url, method);
            request.insert_header(ACCEPT, "application/json");
            let mut answer = signed(service, &mut request).await?;
            if answer.0 == StatusCode::Unauthorized {
                // A token can be too old for what was granted since.
                service.forget(&request);
                answer = signed(service, &mut request).await?;
            }
            let (status, retry_after, body) = answer;
            match status {
                StatusCode::Ok => wire::page(&body).ok_or(ManagementError::UnexpectedAnswer),
                StatusCode::Unauthorized | StatusCode::Forbidden => Err(ManagementError::Denied),
                StatusCode::NotFound => Err(ManagementError::NotFound),
                StatusCode::TooManyRequests | StatusCode::RequestTimeout => {
                    Err(ManagementError::Busy { retry_after })
                }
                status if u16::from(status) >= 500 => Err(ManagementError::Busy { retry_after }),
                _ => Err(ManagementError::UnexpectedAnswer),
            }
        };
        let called = timeout(CALL_LIMIT, call).await;
        called.unwrap_or(Err(ManagementError::Unreachable))
    }
}

/// Status, wait and body.
type Answer = (StatusCode, Option<Duration>, Vec<u8>);

async fn signed(service: &Service, request: &mut Request) -> Result<Answer, ManagementError> {
    service.sign(request).await.map_err(|error| cause(&error))?;
    let sent = service.transport.execute_request(request).await;
    let response = sent.map_err(|_| ManagementError::Unreachable)?;
    let (status, headers, stream) = response.deconstruct();
    let seconds = headers.get_optional_str(&RETRY_AFTER);
    let retry_after = seconds.and_then(|text| text.trim().parse().ok().map(Duration::from_secs));
    let body = collect(stream, ANSWER_LIMIT).await;
    let body = body.map_err(|_| ManagementError::UnexpectedAnswer)?;
    Ok((status, retry_after, body))
}

/// Why no token or no connection could be had.
fn cause(error: &VaultError) -> ManagementError {
    match error {
        VaultError::Credential(cause) => ManagementError::Credential(*cause),
        _ => ManagementError::Unreachable,
    }
}
