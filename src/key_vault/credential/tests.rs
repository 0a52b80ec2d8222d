//! How each credential signs in, or why it does not.

use std::{
    ffi::OsStr,
    fmt, io,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use azure_core::{
    credentials::TokenCredential,
    http::{AsyncRawResponse, HttpClient, Request, StatusCode, headers::Headers},
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential,
    AzureDeveloperCliCredentialOptions, Executor,
};

use super::{
    choice::ChosenCredential,
    cli::CliExecutor,
    connect::{shared_token, tokens},
};
use crate::key_vault::{
    Error,
    error::{CredentialError, CredentialKind, Reach, SignInFailure, TlsFailure},
    sdk::{final_failure, passing_failure},
};

const REFUSED: Error = Error::Unreachable(Reach::Refused);

/// Entra ID or an identity endpoint that does one thing.
struct Endpoint {
    does: Result<(u16, String), Error>,
    asked: AtomicUsize,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint")
    }
}

#[async_trait]
impl HttpClient for Endpoint {
    async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match &self.does {
            Ok((status, body)) => {
                let mut headers = Headers::new();
                headers.insert("retry-after", "60");
                let status = StatusCode::from(*status);
                Ok(AsyncRawResponse::from_bytes(status, headers, body.clone()))
            }
            Err(Error::TimedOut) => std::future::pending().await,
            Err(error @ Error::Unreachable(_)) => Err(passing_failure(error.clone())),
            Err(error) => Err(final_failure(error.clone())),
        }
    }
}

/// The token, or why there is none, and how often the endpoint was asked.
async fn sign_in(
    chosen: &ChosenCredential,
    does: Result<(u16, &str), Error>,
) -> (Result<String, SignInFailure>, usize) {
    let endpoint = Arc::new(Endpoint {
        does: does.map(|(status, body)| (status, body.to_owned())),
        asked: AtomicUsize::new(0),
    });
    let token = shared_token(chosen, endpoint.clone());
    let scope = ["https://vault.azure.net/.default"];
    let given = token.get_token(&scope, None).await;
    let given = match given.map_err(Error::from_sdk) {
        Ok(token) => Ok(token.token.secret().to_owned()),
        Err(Error::Credential(CredentialError::Failed { credential, cause })) => {
            assert_eq!(credential, chosen.kind());
            Err(cause)
        }
        Err(error) => panic!("{error:?}"),
    };
    (given, endpoint.asked.load(Ordering::SeqCst))
}

fn application() -> ChosenCredential {
    ChosenCredential::ClientSecret {
        tenant_id: "t".into(),
        client_id: "c".into(),
        client_secret: "canary".to_owned().into(),
    }
}

/// In a test there is no `IDENTITY_ENDPOINT`, so this is a virtual machine's.
fn managed() -> ChosenCredential {
    ChosenCredential::ManagedIdentity { client_id: None }
}

fn answered(status: u16, aadsts: Option<u32>) -> SignInFailure {
    SignInFailure::Answered { status, aadsts }
}

#[tokio::test(start_paused = true)]
async fn entra_ids_number_is_found_in_what_it_answers() {
    // The line breaks defeat the identity library's own parser.
    let real = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: x","error_codes":[7000215],"timestamp":"x"}"#;
    let text = r#"{"error":"x","error_description":"AADSTS700016: Application with identifier 'c' was not found"}"#;
    for (status, body, aadsts) in [
        (401, real, Some(7_000_215)),
        (400, text, Some(700_016)),
        (400, "<html>AADSTS90002: no tenant", Some(90_002)),
        (400, "<html>AADSTS: no number", None),
        (400, "AADSTS99999999999999999999", None),
        (404, "", None),
        (302, "", None),
    ] {
        let (given, asked) = sign_in(&application(), Ok((status, body))).await;
        assert_eq!(given, Err(answered(status, aadsts)), "{body}");
        assert_eq!(asked, 1);
    }
    // What passes is tried again once, and not when the endpoint says so.
    for status in [429, 500, 503] {
        let (given, asked) = sign_in(&application(), Ok((status, "<html>"))).await;
        assert_eq!((given, asked), (Err(answered(status, None)), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_be_reached_is_told_by_what_stands_between() {
    for (does, cause) in [
        (Error::VaultNotFound, SignInFailure::NoSuchHost),
        (
            Error::TlsFailed(TlsFailure::Other),
            SignInFailure::TlsNotTrusted,
        ),
        (REFUSED, SignInFailure::Refused),
        (
            Error::Unreachable(Reach::NameResolution),
            SignInFailure::Unreachable,
        ),
        (
            Error::Unreachable(Reach::Connection),
            SignInFailure::Unreachable,
        ),
        (Error::TimedOut, SignInFailure::TimedOut),
    ] {
        let (given, _) = sign_in(&application(), Err(does.clone())).await;
        assert_eq!(given, Err(cause), "{does:?}");
    }
    // A virtual machine's endpoint would be asked for minutes.
    let (given, _) = sign_in(&managed(), Err(REFUSED)).await;
    assert_eq!(given, Err(SignInFailure::Refused));
}

#[tokio::test(start_paused = true)]
async fn a_managed_identity_that_is_not_assigned_is_told_from_what_entra_id_refused() {
    let unknown = r#"{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."}"#;
    let passed_on = r#"{"statusCode":400,"message":"AADSTS500011: The resource principal named x was not found"}"#;
    for (status, body, cause) in [
        (400, unknown, SignInFailure::IdentityNotAssigned),
        (400, passed_on, answered(400, Some(500_011))),
        (403, "", answered(403, None)),
    ] {
        let (given, _) = sign_in(&managed(), Ok((status, body))).await;
        assert_eq!(given, Err(cause), "{body}");
    }
    // Only this endpoint means that.
    let (given, _) = sign_in(&application(), Ok((400, unknown))).await;
    assert_eq!(given, Err(answered(400, None)));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_managed_identitys_token_is_a_text_or_a_number() {
    for expires in ["\"4102444800\"", "4102444800", "4102444800.5"] {
        for more in [
            "",
            r#","token_type":"Bearer","resource":"x","client_id":"y""#,
        ] {
            let body = format!(r#"{{"access_token":"t","expires_on":{expires}{more}}}"#);
            let (given, _) = sign_in(&managed(), Ok((200, &body))).await;
            assert_eq!(given.as_deref(), Ok("t"), "{body}");
        }
    }
    for body in [
        "",
        "<html>",
        "{}",
        r#"{"access_token":"t"}"#,
        r#"{"access_token":"t","expires_on":true}"#,
        r#"{"access_token":"t","expires_on":"soon"}"#,
        r#"{"expires_on":"4102444800"}"#,
    ] {
        let (given, _) = sign_in(&managed(), Ok((200, body))).await;
        assert_eq!(given, Err(SignInFailure::Other), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_not_read() {
    let padding = " ".repeat(64 * 1024);
    let body = format!(r#"{{"access_token":"t","expires_on":"4102444800"}}{padding}"#);
    for chosen in [managed(), application()] {
        let (given, asked) = sign_in(&chosen, Ok((200, &body))).await;
        assert_eq!((given, asked), (Err(SignInFailure::Other), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_file_that_cannot_be_read_is_named() {
    let workload = ChosenCredential::WorkloadIdentity {
        tenant_id: "t".into(),
        client_id: "c".into(),
        token_file: "no-such-folder/token".into(),
    };
    let (given, asked) = sign_in(&workload, Err(REFUSED)).await;
    assert_eq!((given, asked), (Err(SignInFailure::NoTokenFile), 0));

    // One that is there is sent, and Entra ID has the word.
    let workload = ChosenCredential::WorkloadIdentity {
        tenant_id: "t".into(),
        client_id: "c".into(),
        token_file: concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into(),
    };
    let (given, _) = sign_in(&workload, Ok((400, "AADSTS700213"))).await;
    assert_eq!(given, Err(answered(400, Some(700_213))));
    let (given, _) = sign_in(&workload, Err(REFUSED)).await;
    assert_eq!(given, Err(SignInFailure::Refused));
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_the_identity_library_refuses_is_named() {
    let chosen = ChosenCredential::ClientSecret {
        tenant_id: "not a tenant".into(),
        client_id: "c".into(),
        client_secret: "canary".to_owned().into(),
    };
    let (given, asked) = sign_in(&chosen, Err(REFUSED)).await;
    assert_eq!((given, asked), (Err(SignInFailure::WrongSetting), 0));
}

/// Runs a script in the place of the tool.
#[derive(Debug)]
struct Script(&'static str);

#[async_trait]
impl Executor for Script {
    async fn run(&self, _: &OsStr, _: &[&OsStr]) -> io::Result<Output> {
        let arguments = [OsStr::new("-c"), OsStr::new(self.0)];
        CliExecutor.run(OsStr::new("/bin/sh"), &arguments).await
    }
}

/// Runs what is not there.
#[derive(Debug)]
struct NoShell;

#[async_trait]
impl Executor for NoShell {
    async fn run(&self, _: &OsStr, _: &[&OsStr]) -> io::Result<Output> {
        CliExecutor.run(OsStr::new("/no/such/shell"), &[]).await
    }
}

async fn tool_failure(kind: CredentialKind, executor: Arc<dyn Executor>) -> SignInFailure {
    let executor = Some(executor);
    let credential: Arc<dyn TokenCredential> = if kind == CredentialKind::AzureCli {
        let options = AzureCliCredentialOptions {
            executor,
            ..Default::default()
        };
        AzureCliCredential::new(Some(options)).expect("made")
    } else {
        let options = AzureDeveloperCliCredentialOptions {
            executor,
            ..Default::default()
        };
        AzureDeveloperCliCredential::new(Some(options)).expect("made")
    };
    let shared = tokens(kind, move || Ok(credential.clone()));
    let scope = ["https://vault.azure.net/.default"];
    let failed = shared.get_token(&scope, None).await.map(drop);
    match failed.map_err(Error::from_sdk) {
        Err(Error::Credential(CredentialError::Failed { credential, cause })) => {
            assert_eq!(credential, kind);
            cause
        }
        other => panic!("{other:?}"),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_tool_that_is_missing_is_told_from_one_where_nobody_is_signed_in() {
    use CredentialKind::{AzureCli, AzureDeveloperCli};
    let az = r#"echo "ERROR: Please run 'az login' to setup account." >&2; exit 1"#;
    let expired = "echo 'AADSTS700082: The refresh token has expired. Interactive authentication is needed. Please run: az login' >&2; exit 1";
    let azd = r#"echo '{"type":"consoleMessage","data":{"message":"\nERROR: fetching token: not logged in, run `azd auth login` to login\n"}}' >&2; exit 1"#;
    let missing = "no-such-tool account get-access-token";
    let windows = r"echo \'az\' is not recognized as an internal or external command >&2; exit 1";
    for (kind, script, cause) in [
        (AzureCli, az, SignInFailure::NotSignedIn),
        (AzureCli, expired, SignInFailure::NotSignedIn),
        (AzureDeveloperCli, azd, SignInFailure::NotSignedIn),
        (AzureCli, missing, SignInFailure::ToolMissing),
        (AzureDeveloperCli, missing, SignInFailure::ToolMissing),
        (AzureCli, windows, SignInFailure::ToolMissing),
        (AzureCli, "echo canary >&2; exit 1", SignInFailure::Other),
        (AzureCli, "echo no token", SignInFailure::Other),
    ] {
        let found = tool_failure(kind, Arc::new(Script(script))).await;
        assert_eq!(found, cause, "{script}");
    }
    let found = tool_failure(AzureCli, Arc::new(NoShell)).await;
    assert_eq!(found, SignInFailure::ToolMissing);
}

/// What a tool writes can name accounts and tenants.
#[cfg(unix)]
#[tokio::test]
async fn nothing_of_what_a_failed_tool_wrote_is_kept() {
    let script = Script("echo canary; echo canary >&2; exit 1");
    let failed = script.run(OsStr::new(""), &[]).await.expect_err("failed");
    assert!(!format!("{failed:?}{failed}").contains("canary"));
}

/// `az` is a script that starts another program, and that one must not live on.
#[cfg(unix)]
#[tokio::test]
async fn a_tool_that_hangs_is_ended_with_all_it_started() {
    use std::{
        fs::File,
        io::{BufRead, BufReader},
        time::Duration,
    };
    use tokio::{sync::oneshot, time::timeout};

    const LIMIT: Duration = Duration::from_secs(30);
    let fifo = std::env::temp_dir().join(format!("handler-{}.fifo", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo").success());
    // All that the tool starts holds the other end open until it ends.
    let (started, has_started) = oneshot::channel();
    let (ended, have_ended) = oneshot::channel();
    let read_end = fifo.clone();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(File::open(read_end).expect("opened")).lines();
        let _ = started.send(lines.next().map(|line| line.expect("text")));
        let _ = ended.send(lines.next().is_none());
    });
    let script = format!(
        "exec 3>'{}'; sleep 600 & echo started >&3; wait",
        fifo.display()
    );
    let run = tokio::spawn(async move {
        let arguments = [OsStr::new("-c"), OsStr::new(&script)];
        let shell = OsStr::new("/bin/sh");
        CliExecutor.run(shell, &arguments).await.map(drop)
    });
    let line = timeout(LIMIT, has_started).await.expect("started in time");
    assert_eq!(line, Ok(Some("started".to_owned())));
    run.abort();
    let ended = timeout(LIMIT, have_ended).await.expect("ended in time");
    assert_eq!(ended, Ok(true));
    std::fs::remove_file(fifo).expect("removed");
}
