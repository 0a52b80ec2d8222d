//! Who receives events: an HTTP endpoint on this machine, and nobody else.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use axum::http::{HeaderValue, StatusCode, header};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::event::{DATA_VERSION, Event, METADATA_VERSION};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest answer to a validation that is read, in bytes.
const BODY_LIMIT: usize = 4 * 1024;
/// What the subscription is called, in upper case as the service writes it.
const SUBSCRIPTION: &str = "DEV-VAULT";

/// Address of a receiver: `http` or `https` on this machine, with no key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverUrl(Url);

/// Why a text is not the address of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// It is no address of this machine.
    NotLoopback,
    /// It has a password or a function key, which other processes of this machine could read.
    HasKey,
}

impl ReceiverUrl {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// It is of another scheme or machine, or has a key.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError::NotLoopback)?;
        let is_http = matches!(url.scheme(), "http" | "https");
        let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if !is_http || !is_here {
            return Err(UrlError::NotLoopback);
        }
        let mut parameters = url.query_pairs();
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || parameters.any(|(name, _)| name.eq_ignore_ascii_case("code")) {
            return Err(UrlError::HasKey);
        }
        Ok(Self(url))
    }
}

/// A receiver, and the key that opens it. The key cannot be printed.
#[derive(Debug, Clone)]
pub struct EventReceiver {
    url: ReceiverUrl,
    key: Option<SecretString>,
    client: reqwest::Client,
}

/// Why nothing can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("events cannot be sent over TLS: this machine has no certificate authorities")]
pub struct ReceiverError;

/// What is sent.
pub(super) struct Message<'a> {
    event: &'a Event,
    /// `None` for a validation.
    attempts: Option<usize>,
}

impl<'a> Message<'a> {
    /// The question whether the receiver wants events.
    pub(super) fn validation(event: &'a Event) -> Self {
        let attempts = None;
        Self { event, attempts }
    }

    /// An event with the number of attempts so far.
    pub(super) fn of(event: &'a Event, attempts: usize) -> Self {
        let attempts = Some(attempts);
        Self { event, attempts }
    }
}

/// An answer, or why there was none.
pub(super) type Sent = Result<Answer, NoAnswer>;

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Of an answer to a validation; else empty.
    pub(super) body: Vec<u8>,
}

/// Why there is no answer. Nothing of the request is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("nothing answers there, or this machine does not trust its certificate")]
    NoConnection,
    #[error("no answer within 30 s")]
    TimedOut,
    #[error("the connection broke")]
    Interrupted,
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_connect() {
            Self::NoConnection
        } else {
            Self::Interrupted
        }
    }
}

impl EventReceiver {
    /// The receiver at `url`, which is sent `key` as `x-functions-key`: visible ASCII.
    ///
    /// # Errors
    ///
    /// The URL is `https`, and the machine has no certificate authorities.
    pub fn new(url: ReceiverUrl, key: Option<SecretString>) -> Result<Self, ReceiverError> {
        // Whatever the hosts file says about that name. The port is the URL's.
        let here = [
            (Ipv4Addr::LOCALHOST, 0).into(),
            (Ipv6Addr::LOCALHOST, 0).into(),
        ];
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve_to_addrs("localhost", &here)
            .timeout(LIMIT);
        if url.0.scheme() == "http" {
            // Nobody is trusted, because TLS is never spoken.
            builder = builder.tls_certs_only(std::iter::empty());
        }
        let client = builder.build().map_err(|_| ReceiverError)?;
        Ok(Self { url, key, client })
    }

    pub(super) async fn send(&self, message: Message<'_>) -> Sent {
        // Event Grid sends an array, of one event unless there are batches.
        let body = serde_json::to_vec(&[message.event]).map_err(|_| NoAnswer::Interrupted)?;
        let mut request = self
            .client
            .post(self.url.0.clone())
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header("aeg-subscription-name", SUBSCRIPTION)
            .body(body);
        request = match message.attempts {
            None => request.header("aeg-event-type", "SubscriptionValidation"),
            Some(attempts) => request
                .header("aeg-event-type", "Notification")
                .header("aeg-delivery-count", attempts.to_string())
                .header("aeg-metadata-version", METADATA_VERSION)
                .header("aeg-data-version", DATA_VERSION),
        };
        let key = self.key.as_ref().map(ExposeSecret::expose_secret);
        if let Some(Ok(mut key)) = key.map(HeaderValue::from_str) {
            key.set_sensitive(true);
            request = request.header("x-functions-key", key);
        }
        let mut response = request.send().await?;
        let mut body = Vec::new();
        if message.attempts.is_none() {
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > BODY_LIMIT {
                    break;
                }
            }
        }
        let status = response.status();
        Ok(Answer { status, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_on_this_machine() {
        for url in [
            "http://localhost:7071/api/events",
            "https://localhost/",
            "http://127.0.0.1:7071/api/events?more=1",
            "http://[::1]:7071/runtime/webhooks/EventGrid?functionName=rotate",
        ] {
            assert!(ReceiverUrl::parse(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "localhost:7071",
            "ftp://localhost/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://127.0.0.2/",
            "http://0.0.0.0/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost@example.com/",
        ] {
            assert_eq!(ReceiverUrl::parse(url), Err(UrlError::NotLoopback), "{url}");
        }
    }

    #[test]
    fn a_receiver_has_no_key_in_its_address() {
        for url in [
            "http://localhost/?code=canary",
            "http://localhost/?a=b&CODE=canary",
            "http://localhost/?%63ode=canary",
            "http://canary@localhost/",
            "http://:canary@localhost/",
        ] {
            assert_eq!(ReceiverUrl::parse(url), Err(UrlError::HasKey), "{url}");
        }
    }

    #[test]
    fn the_key_of_a_receiver_cannot_be_printed() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = ReceiverUrl::parse("http://localhost:7071/api/events").expect("here");
        let receiver = EventReceiver::new(url, Some("canary".to_owned().into()));
        let printed = format!("{:?}", receiver.expect("a receiver"));
        assert!(!printed.contains("canary"), "{printed}");
    }
}
