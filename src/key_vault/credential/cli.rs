//! `az` and `azd`, as processes that end.

use std::{
    ffi::OsStr,
    io,
    process::{Output, Stdio},
};

use async_trait::async_trait;
use azure_identity::Executor;

use crate::key_vault::error::SignInFailure;

/// Runs `az` or `azd`, and ends it when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct CliExecutor;

#[async_trait]
impl Executor for CliExecutor {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // The tool is a script that starts another program: they end together.
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other(ToolFailed(SignInFailure::ToolMissing)),
            _ => error,
        })?;
        #[cfg(unix)]
        let mut group = Group(child.id());
        let ended = child.wait_with_output().await;
        // What has ended by itself has no group to end, and its number may be another's soon.
        #[cfg(unix)]
        {
            group.0 = None;
        }
        let output = ended?;
        match failure(&output) {
            None => Ok(output),
            Some(cause) => Err(io::Error::other(ToolFailed(cause))),
        }
    }
}

/// A tool failed, and this is why. What it wrote is dropped: it can name accounts and tenants.
#[derive(Debug, thiserror::Error)]
#[error("the developer tool failed")]
pub(super) struct ToolFailed(pub(super) SignInFailure);

/// Why a tool failed, if it did: by the shell's exit code, and by what it advises.
fn failure(output: &Output) -> Option<SignInFailure> {
    /// The shell's code for a program that it does not find.
    const NOT_FOUND: i32 = 127;
    if output.status.success() {
        return None;
    }
    let wrote = String::from_utf8_lossy(&output.stderr);
    let is_missing = output.status.code() == Some(NOT_FOUND)
        // Windows has no code for it.
        || wrote.contains("' is not recognized");
    Some(if is_missing {
        SignInFailure::ToolMissing
    } else if wrote.contains("az login") || wrote.contains("azd auth login") {
        SignInFailure::NotSignedIn
    } else {
        SignInFailure::Other
    })
}

/// Ends a group of processes when nobody waits for it any more.
#[cfg(unix)]
struct Group(Option<u32>);

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process_group};
        let id = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use azure_core::credentials::TokenCredential;
    use azure_identity::{
        AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential,
        AzureDeveloperCliCredentialOptions,
    };

    use super::*;
    use crate::key_vault::{
        Error,
        error::{CredentialError, CredentialKind},
        token::SharedToken,
    };

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

    async fn failure(kind: CredentialKind, executor: Arc<dyn Executor>) -> SignInFailure {
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
        let limit = std::time::Duration::from_secs(60);
        let shared = SharedToken::new(kind, Box::new(move || Ok(credential.clone())), limit);
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
        let windows =
            r"echo \'az\' is not recognized as an internal or external command >&2; exit 1";
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
            let found = failure(kind, Arc::new(Script(script))).await;
            assert_eq!(found, cause, "{script}");
        }
        let found = failure(AzureCli, Arc::new(NoShell)).await;
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
        let marker = format!("{}.5", 600 + std::process::id());
        let script = format!("sleep {marker} & echo started; wait");
        let is_running = || {
            let listed = std::process::Command::new("ps")
                .args(["-eo", "args"])
                .output();
            let listed = listed.expect("ps").stdout;
            String::from_utf8_lossy(&listed)
                .lines()
                .any(|line| line == format!("sleep {marker}"))
        };
        let shell = OsStr::new("/bin/sh");
        let run = tokio::spawn(async move {
            let arguments = [OsStr::new("-c"), OsStr::new(&script)];
            CliExecutor.run(shell, &arguments).await.map(drop)
        });
        while !is_running() {
            tokio::task::yield_now().await;
        }
        run.abort();
        let _ = run.await;
        while is_running() {
            tokio::task::yield_now().await;
        }
    }
}
