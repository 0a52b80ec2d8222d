//! What a vault has: its secrets, keys and certificates, page by page, without values.

use azure_core::http::pager::PagerContinuation;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    error::Error,
    limits::{LISTED_PAGES_LIMIT, PAGE_RETRIES, UNTOLD_PAUSE},
    names::{ObjectKind, ObjectName},
    pacing::Lane,
    patience::patiently,
    vault::{Operation, Vault},
    wire,
};

/// The latest version of an object, as far as a list of objects tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As the vault spells it.
    pub name: ObjectName,
    /// Whether it can be used.
    pub enabled: bool,
    /// When; never, if `None`.
    pub expires: Option<OffsetDateTime>,
    /// It is the secret or the key of the certificate of the same name.
    pub managed: bool,
}

impl Vault {
    /// Lists what the vault has of `kind`. `found` gets each page when it comes, and says
    /// whether it has room for more. Takes its time: it waits as long as the vault asks for, and
    /// for the instance's budget, until `until`.
    ///
    /// # Errors
    ///
    /// Why the list ends early. What `found` has got is true all the same.
    pub async fn list(
        &self,
        kind: ObjectKind,
        until: Instant,
        mut found: impl FnMut(Vec<Listed>) -> bool,
    ) -> Result<(), Error> {
        let mut next = None;
        for read in 0..LISTED_PAGES_LIMIT {
            let mut retries = if read > 0 { PAGE_RETRIES } else { 0 };
            let wait = |error: &Error| match error {
                Error::Unavailable { .. } | Error::TimedOut | Error::Unreachable(_)
                    if retries > 0 =>
                {
                    retries -= 1;
                    Some(UNTOLD_PAUSE)
                }
                error => error.wait(),
            };
            let (items, after) = patiently(until, wait, || self.page(kind, next.clone())).await?;
            if !found(items) {
                return Err(Error::TooManyObjects);
            }
            if after.is_none() {
                return Ok(());
            }
            next = after;
            if Instant::now() >= until {
                return Err(Error::TimedOut);
            }
        }
        Err(Error::TooManyObjects)
    }

    async fn page(
        &self,
        kind: ObjectKind,
        from: Option<PagerContinuation>,
    ) -> Result<(Vec<Listed>, Option<PagerContinuation>), Error> {
        let operation = Operation::new("list", Lane::Inventory, kind, "");
        let read = async {
            let context = operation.attempts.context();
            let page = self.clients.objects(kind, from, context).await?;
            let items = wire::page(kind, &page.body)?.into_iter();
            let items = items.map(|item| Listed {
                name: item.name,
                enabled: item.enabled.unwrap_or(true),
                expires: item.expires,
                managed: item.managed,
            });
            Ok((items.collect(), page.next))
        };
        self.run(&operation, read).await
    }
}
