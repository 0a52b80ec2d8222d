//! HTTPS to real vaults, to Entra ID and to the identity endpoint.

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, HttpClient, Request};

use super::{
    dns::{ForRequests, Hosts, LookUpError, Resolver, is_on_own_link},
    error::{Error, Reach},
    limits::{ATTEMPT_LIMIT, CONNECT_LIMIT},
    sdk::{chain, final_failure, passing_failure},
    tls::{self, OwnCa},
};

/// HTTPS with the machine's own certificate authorities. One connection pool for all vaults.
#[derive(Debug)]
pub struct Https {
    client: reqwest::Client,
    hosts: Arc<Hosts>,
    has_stand_ins: bool,
}

/// Whether `HTTPS_PROXY` and its like are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// For vaults and Entra ID.
    FromEnvironment,
    /// For the identity endpoint, which is on this machine and is sent a secret header.
    Never,
}

impl Https {
    /// Loads the certificate authorities, which takes tens of milliseconds.
    ///
    /// # Errors
    ///
    /// The machine has no certificate authorities.
    pub fn new(
        proxy: Proxy,
        own_ca: Option<&OwnCa>,
        resolver: Arc<Resolver>,
    ) -> Result<Self, Error> {
        Self::with_limit(proxy, own_ca, resolver, ATTEMPT_LIMIT)
    }

    /// [`Https::new`] for a service that takes up to `limit` for an answer.
    ///
    /// # Errors
    ///
    /// As [`Https::new`].
    pub(super) fn with_limit(
        proxy: Proxy,
        own_ca: Option<&OwnCa>,
        resolver: Arc<Resolver>,
        limit: Duration,
    ) -> Result<Self, Error> {
        let hosts = Arc::<Hosts>::default();
        // The identity endpoint is on this machine.
        let has_stand_ins = own_ca.is_some() || proxy == Proxy::Never;
        let mut builder = reqwest::Client::builder()
            .dns_resolver(Arc::new(ForRequests {
                resolver,
                hosts: hosts.clone(),
                has_stand_ins,
            }))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(limit);
        builder = match proxy {
            Proxy::FromEnvironment => builder.https_only(true),
            Proxy::Never => builder.no_proxy(),
        };
        if let Some(own_ca) = own_ca {
            builder = builder.tls_backend_preconfigured(tls::config(own_ca)?);
        }
        let client = builder.build();
        client
            .map(|client| Self {
                client,
                hosts,
                has_stand_ins,
            })
            .map_err(|_| Error::NoCertificateAuthorities)
    }
}

#[async_trait]
impl HttpClient for Https {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let host = request.url().host_str().unwrap_or_default();
        self.hosts.add(host);
        if !self.has_stand_ins && is_on_own_link(host) {
            return Err(final_failure(Error::Unreachable(Reach::OwnMachine)));
        }
        let sent = HttpClient::execute_request(&self.client, request).await;
        sent.map_err(|error| match cause(&error, host) {
            cause @ (Error::VaultNotFound
            | Error::Unreachable(Reach::OwnMachine)
            | Error::TlsFailed(_)
            | Error::TimedOut) => final_failure(cause),
            cause => passing_failure(cause),
        })
    }
}

/// Finds out why reqwest could not reach `host`, by the types in its chain of causes.
fn cause(error: &azure_core::Error, host: &str) -> Error {
    let mut found = Error::Unreachable(Reach::Interrupted);
    for error in chain(error) {
        if let Some(error) = error.downcast_ref::<LookUpError>() {
            // Whatever else is looked up is the proxy's name.
            return if error.name == host {
                error.cause.clone()
            } else {
                Error::Unreachable(Reach::Proxy)
            };
        }
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            if error.is_timeout() {
                return Error::TimedOut;
            }
            if error.is_connect() {
                found = Error::Unreachable(Reach::Connection);
            }
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Error::TlsFailed(tls::failure(error));
        }
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return Error::Unreachable(Reach::Refused);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use azure_core::http::{Method, Url};
    use futures_util::FutureExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::key_vault::error::TlsFailure;

    /// Knows some names, and answers every other one with the system's text for it.
    fn resolver() -> Arc<Resolver> {
        let resolver = Resolver::of(|name| {
            let text = match name.as_str() {
                "silent.invalid" => return std::future::pending().boxed(),
                "localhost" | "here.invalid" => {
                    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
                    return std::future::ready(Ok(vec![address])).boxed();
                }
                "link.invalid" => {
                    let address = IpAddr::from([169, 254, 169, 254]);
                    return std::future::ready(Ok(vec![address])).boxed();
                }
                "mapped.invalid" => {
                    let address = IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
                    return std::future::ready(Ok(vec![address])).boxed();
                }
                "empty.invalid" => return std::future::ready(Ok(Vec::new())).boxed(),
                "unknown.invalid" => "Name or service not known",
                _ => "Temporary failure in name resolution",
            };
            let text = format!("failed to lookup address information: {text}");
            std::future::ready(Err(io::Error::other(text))).boxed()
        });
        Arc::new(resolver)
    }

    fn https(own_ca: Option<&OwnCa>) -> Https {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Https::new(Proxy::FromEnvironment, own_ca, resolver()).expect("certificate authorities")
    }

    async fn failure(https: &Https, url: &str) -> (Error, bool) {
        let request = Request::new(Url::parse(url).expect("a url"), Method::Get);
        let error = https.execute_request(&request).await.expect_err(url);
        // What the SDK tries again.
        let passes = *error.kind() == azure_core::error::ErrorKind::Io;
        (Error::from_sdk(error), passes)
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_final_and_a_silent_name_server_passes() {
        let https = https(None);
        for (host, expected) in [
            ("unknown.invalid", (Error::VaultNotFound, false)),
            ("empty.invalid", (Error::VaultNotFound, false)),
            (
                "temporary.invalid",
                (Error::Unreachable(Reach::NameResolution), true),
            ),
        ] {
            let found = failure(&https, &format!("https://{host}/")).await;
            assert_eq!(found, expected, "{host}");
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_to_this_machine_under_another_name() {
        let https = https(None);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for host in [
            "here.invalid",
            "link.invalid",
            "mapped.invalid",
            "169.254.169.254",
            "[fe80::1]",
            "0.0.0.0",
        ] {
            let found = failure(&https, &format!("https://{host}:{port}/")).await;
            assert_eq!(
                found,
                (Error::Unreachable(Reach::OwnMachine), false),
                "{host}"
            );
        }
        let connected = listener.accept().now_or_never();
        assert!(connected.is_none(), "not even a connection");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_without_an_answer_is_not_taken_for_a_silent_vault() {
        let found = failure(&https(None), "https://silent.invalid/").await;
        assert_eq!(found, (Error::Unreachable(Reach::NameResolution), true));
    }

    #[tokio::test]
    async fn failures_are_told_apart_by_type() {
        let https = https(None);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let not_tls = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        });
        let broken = failure(&https, &format!("https://localhost:{port}/")).await;
        assert_eq!(broken, (Error::TlsFailed(TlsFailure::NotTls), false));
        not_tls.await.expect("served");

        let refused = failure(&https, &format!("https://127.0.0.1:{port}/")).await;
        assert_eq!(refused, (Error::Unreachable(Reach::Refused), true));
    }

    /// What plain `openssl req -x509` makes: self-signed, and a certificate authority too.
    #[cfg(feature = "dev-vault")]
    mod a_self_signed_certificate {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
        use time::OffsetDateTime;
        use tokio::io::AsyncWriteExt;
        use tokio_rustls::{
            TlsAcceptor,
            rustls::{ServerConfig, pki_types::PrivateKeyDer},
        };

        use super::*;

        struct Certificate {
            pem: String,
            acceptor: TlsAcceptor,
        }

        fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
            let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("valid");
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            change(&mut parameters);
            let key = KeyPair::generate().expect("a key");
            let made = parameters.self_signed(&key).expect("a certificate");
            let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![made.der().clone()], key)
                .expect("a configuration");
            Certificate {
                pem: made.pem(),
                acceptor: TlsAcceptor::from(Arc::new(config)),
            }
        }

        /// What a client that trusts `pem` gets from a server that shows `shown`.
        async fn asked(pem: &str, shown: &Certificate, host: &str) -> Result<u16, Error> {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let acceptor = shown.acceptor.clone();
            let serving = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.expect("a connection");
                if let Ok(mut tls) = acceptor.accept(stream).await {
                    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                    let _ = tls.write_all(answer).await;
                    let _ = tls.shutdown().await;
                }
            });
            let own_ca = OwnCa::from_pem(pem.as_bytes()).expect("PEM");
            let https = https(Some(&own_ca));
            let url = Url::parse(&format!("https://{host}:{port}/")).expect("a url");
            let request = Request::new(url, Method::Get);
            let answer = https.execute_request(&request).await;
            serving.await.expect("served");
            answer
                .map(|answer| answer.status().into())
                .map_err(Error::from_sdk)
        }

        #[tokio::test]
        async fn is_accepted_if_it_is_in_the_file() {
            let own = certificate(|_| {});
            let other = certificate(|_| {});
            assert_eq!(asked(&own.pem, &own, "localhost").await, Ok(204));
            let both = format!("{}{}", other.pem, own.pem);
            assert_eq!(asked(&both, &own, "localhost").await, Ok(204));
            // One that is no authority was accepted before.
            let leaf = certificate(|parameters| parameters.is_ca = IsCa::ExplicitNoCa);
            assert_eq!(asked(&leaf.pem, &leaf, "localhost").await, Ok(204));
        }

        #[tokio::test]
        async fn is_refused_if_it_is_another_one_or_of_another_name_or_time() {
            let refused = |failure| Err(Error::TlsFailed(failure));
            let own = certificate(|_| {});
            let other = certificate(|_| {});
            let issuer = refused(TlsFailure::UnknownIssuer);
            assert_eq!(asked(&other.pem, &own, "localhost").await, issuer);
            let name = refused(TlsFailure::WrongName);
            assert_eq!(asked(&own.pem, &own, "127.0.0.1").await, name);
            let time = refused(TlsFailure::Expired);
            let days = ::time::Duration::days;
            let expired = certificate(|parameters| {
                parameters.not_after = OffsetDateTime::now_utc() - days(1);
            });
            assert_eq!(asked(&expired.pem, &expired, "localhost").await, time);
            let early = certificate(|parameters| {
                parameters.not_before = OffsetDateTime::now_utc() + days(1);
            });
            assert_eq!(asked(&early.pem, &early, "localhost").await, time);
        }
    }
}
