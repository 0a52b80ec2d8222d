//! What running clients have of a vault process: the authority that they trust, the identity
//! endpoint with its header, and tokens. It can be kept in a file, so that they go on after the
//! next start without new settings. No secret of the vault is in it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{
    address::VaultName,
    certificates::{CertificateError, Certificates, Pem},
};

/// Certificates that are older are made anew: clients must not see one end.
const RENEW_AFTER: Duration = Duration::days(60);

/// What is kept. Whoever reads it can pose as this vault on this machine.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Port of the identity endpoint; 0 for any.
    pub identity_port: u16,
    /// What opens the identity endpoint.
    pub identity_header: String,
    token_key: String,
    /// In Unix seconds.
    certificates_made: i64,
    /// The names of the vaults that they are for.
    #[serde(default = "embedded")]
    vaults: Vec<String>,
    certificates: Pem,
}

fn embedded() -> Vec<String> {
    names_of(&[VaultName::default()])
}

fn names_of(vaults: &[VaultName]) -> Vec<String> {
    let names = vaults.iter().map(VaultName::as_str);
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// Text that is nothing that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not what --keep writes")]
pub struct NotKept;

impl Kept {
    /// What a first start of these vaults makes.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn make(identity_header: String, vaults: &[VaultName]) -> Result<Self, CertificateError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self {
            identity_port: 0,
            identity_header,
            token_key: BASE64_URL_SAFE_NO_PAD.encode(key),
            certificates_made: OffsetDateTime::now_utc().unix_timestamp(),
            vaults: names_of(vaults),
            certificates: Pem::make(vaults)?,
        })
    }

    /// What an earlier start wrote.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn read(text: &str) -> Result<Self, NotKept> {
        let kept: Self = serde_json::from_str(text).map_err(|_| NotKept)?;
        kept.token_key().is_some().then_some(kept).ok_or(NotKept)
    }

    /// Makes new certificates if these are old, or for other vaults. True if so: clients must trust
    /// the new authority then.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn renew(
        &mut self,
        now: OffsetDateTime,
        vaults: &[VaultName],
    ) -> Result<bool, CertificateError> {
        let age = now.unix_timestamp() - self.certificates_made;
        let names = names_of(vaults);
        let is_due = age > RENEW_AFTER.whole_seconds() || names != self.vaults;
        if is_due {
            self.certificates_made = now.unix_timestamp();
            self.vaults = names;
            self.certificates = Pem::make(vaults)?;
        }
        Ok(is_due)
    }

    /// What is to be written.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The certificates.
    ///
    /// # Errors
    ///
    /// They are none.
    pub fn certificates(&self) -> Result<Certificates, CertificateError> {
        Certificates::of(&self.certificates)
    }

    pub(super) fn token_key(&self) -> Option<[u8; 32]> {
        let key = BASE64_URL_SAFE_NO_PAD.decode(&self.token_key).ok()?;
        key.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_the_same_at_the_next_start() {
        let vaults = [VaultName::default()];
        let first = Kept::make("header".to_owned(), &vaults).expect("randomness");
        let again = Kept::read(&first.text()).expect("kept");
        assert_eq!(again.text(), first.text());
        let authority = |kept: &Kept| kept.certificates().expect("certificates").authority_pem;
        assert_eq!(authority(&again), authority(&first));
        for text in ["", "{}", "[]", "not JSON"] {
            assert_eq!(Kept::read(text).err(), Some(NotKept), "{text}");
        }
    }

    #[test]
    fn certificates_are_made_anew_before_they_end() {
        let vaults = [VaultName::default()];
        let mut kept = Kept::make("header".to_owned(), &vaults).expect("randomness");
        let (first, now) = (kept.text(), OffsetDateTime::now_utc());
        let mut renew = |after: i64, vaults: &[VaultName]| {
            let renewed = kept.renew(now + Duration::days(after), vaults);
            renewed.expect("randomness");
            kept.text()
        };
        assert_eq!(renew(59, &vaults), first);
        let second = renew(61, &vaults);
        assert_ne!(second, first);
        // Another name needs another certificate.
        let shop = || VaultName::parse("shop").expect("a name");
        let third = renew(61, &[shop(), VaultName::default()]);
        assert_ne!(third, second);
        assert_eq!(renew(61, &[VaultName::default(), shop()]), third);
        assert_eq!(kept.identity_header, "header");
    }
}
