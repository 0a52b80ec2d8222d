//! What the vaults are called, and which one a request means.

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    response::IntoResponse,
};
use tower::ServiceExt;

use super::{DevVault, caller::NOBODY};
use crate::key_vault::VaultUrl;

/// What follows a vault's name in its host.
const SUFFIX: &str = ".vault.azure.net";

/// What a vault is called: `NAME` in `VaultName=NAME` and in `https://NAME.vault.azure.net`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultName(String);

/// The name of a vault and the address at which its clients find it.
#[derive(Debug, Clone)]
pub struct Address {
    /// Its name.
    pub name: VaultName,
    /// `https://localhost:8443`, for example.
    pub url: String,
}

impl Default for VaultName {
    fn default() -> Self {
        Self("embedded".to_owned())
    }
}

impl VaultName {
    /// A name that Azure gives vaults: 3 to 24 letters, digits and hyphens. Nothing for another text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = (3..=24).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !text.contains("--");
        is_name.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host that Azure would have for it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}{SUFFIX}", self.0)
    }

    /// Which resource it is, as if Azure had it.
    pub(super) fn resource_id(&self) -> String {
        let group = format!("/subscriptions/{NOBODY}/resourceGroups/rg-dev");
        format!("{group}/providers/Microsoft.KeyVault/vaults/{}", self.0)
    }
}

/// Where the embedded vault is, as far as the SDK knows.
pub(super) fn url() -> Option<VaultUrl> {
    VaultUrl::of_public_vault(VaultName::default().as_str()).ok()
}

/// The REST APIs of several vaults at one address. A request means the vault whose host it names; one
/// to `localhost` or an address means the first.
pub fn router_of(vaults: &[(VaultName, DevVault)]) -> Router {
    let all = vaults.iter();
    let routers: Vec<_> = all
        .map(|(name, vault)| (name.host(), vault.router()))
        .collect();
    Router::new().fallback(async move |request: Request| {
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let named = routers.iter().find(|(name, _)| *name == host);
        let meant = match named {
            None if host.ends_with(SUFFIX) => None,
            named => named.or(routers.first()),
        };
        match meant {
            Some((_, router)) => router.clone().oneshot(request).await.into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_azure_gives() {
        for name in ["embedded", "Shop-1", "abc", &"a".repeat(24)] {
            let parsed = VaultName::parse(name).expect("a name");
            assert_eq!(parsed.as_str(), name.to_ascii_lowercase());
        }
        let long = "a".repeat(25);
        for text in ["", "ab", "1ab", "ab-", "a--b", "a_b", "a.b", "a/b", &long] {
            assert_eq!(VaultName::parse(text), None, "{text}");
        }
    }
}
