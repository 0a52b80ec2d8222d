//! Requests to Resource Manager, each with limits, and why one failed.

use std::{fmt, time::Duration};

use azure_core::http::{
    Method, Request, StatusCode, Url,
    headers::{ACCEPT, CONTENT_LENGTH, RETRY_AFTER},
};
use futures_util::future::BoxFuture;
use tokio::{sync::OnceCell, time::timeout};

use super::{
    endpoint::{ManagementUrl, SiteId},
    wire::{self, ConfigReference},
};
use crate::key_vault::{Error as VaultError, collect, credential::Service, error::CredentialError};

/// As documented for the refresh.
const API_VERSION: &str = "api-version=2022-03-01";
/// Time for one call, the token included. A refresh asks a vault for each reference.
pub const CALL_LIMIT: Duration = Duration::from_secs(60);
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
    /// No answer, or not all of it.
    #[error("Azure Resource Manager cannot be reached")]
    Unreachable,
    /// The answer is not what was published.
    #[error("the answer cannot be understood")]
    UnexpectedAnswer,
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
    /// For the app `site`. `connect` gets for what a token is needed, if one is, and signs in.
    pub fn new<F>(
        url: ManagementUrl,
        site: SiteId,
        connect: impl Fn(Option<&'static str>) -> F + Send + Sync + 'static,
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
            let answer = self.call(Method::Get, url).await?;
            let body = answer.body.ok_or(ManagementError::Unreachable)?;
            let page = wire::page(&body).ok_or(ManagementError::UnexpectedAnswer)?;
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
    /// are then, if it says so. The platform may restart the app for it.
    ///
    /// # Errors
    ///
    /// By cause. After one other than [`ManagementError::Denied`] it may have been done all the same.
    pub async fn refresh(&self) -> Result<Vec<ConfigReference>, ManagementError> {
        let answer = self.call(Method::Post, self.at("/refresh")).await?;
        // What is said about the references is not documented, that it was done is.
        let page = answer.body.and_then(|body| wire::page(&body));
        Ok(page.map_or_else(Vec::new, |page| page.references))
    }

    fn at(&self, operation: &str) -> Url {
        let site = self.site.path();
        let path = format!("{site}/config/configreferences/appsettings{operation}");
        self.url.at(&path, API_VERSION)
    }

    /// A successful answer.
    async fn call(&self, method: Method, url: Url) -> Result<Answer, ManagementError> {
        let call = async {
            let service = self.service.get_or_try_init(&self.connect).await;
            let service = service.map_err(|error| cause(&error))?;
            let mut request = Request::new(url, method);
            request.insert_header(ACCEPT, "application/json");
            if method == Method::Post {
                // Azure's front end refuses a POST without a length, and none is written for no body.
                request.insert_header(CONTENT_LENGTH, "0");
            }
            let mut answer = signed(service, &mut request).await?;
            // A token can be too old for what was granted since.
            if answer.status == StatusCode::Unauthorized && service.forget(&request) {
                answer = signed(service, &mut request).await?;
            }
            let retry_after = answer.retry_after;
            match answer.status {
                status if status.is_success() => Ok(answer),
                StatusCode::Unauthorized | StatusCode::Forbidden => Err(ManagementError::Denied),
                StatusCode::NotFound => Err(ManagementError::NotFound),
                StatusCode::TooManyRequests
                | StatusCode::RequestTimeout
                // Something else is done to the app just now.
                | StatusCode::Conflict => Err(ManagementError::Busy { retry_after }),
                status if status.is_server_error() => Err(ManagementError::Busy { retry_after }),
                _ => Err(ManagementError::UnexpectedAnswer),
            }
        };
        let called = timeout(CALL_LIMIT, call).await;
        called.unwrap_or(Err(ManagementError::Unreachable))
    }
}

struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    /// Nothing if it is too long or broke off.
    body: Option<Vec<u8>>,
}

async fn signed(service: &Service, request: &mut Request) -> Result<Answer, ManagementError> {
    service.sign(request).await.map_err(|error| cause(&error))?;
    let sent = service.transport.execute_request(request).await;
    let response = sent.map_err(|_| ManagementError::Unreachable)?;
    let (status, headers, stream) = response.deconstruct();
    let seconds = headers.get_optional_str(&RETRY_AFTER);
    Ok(Answer {
        status,
        retry_after: seconds.and_then(|text| text.trim().parse().ok().map(Duration::from_secs)),
        body: collect(stream, ANSWER_LIMIT).await.ok(),
    })
}

/// Why no token or no connection could be had.
fn cause(error: &VaultError) -> ManagementError {
    match error {
        VaultError::Credential(cause) => ManagementError::Credential(*cause),
        _ => ManagementError::Unreachable,
    }
}
