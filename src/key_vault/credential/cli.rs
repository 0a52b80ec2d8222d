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
        // The tool is a script that starts another program, which `kill_on_drop` would leave
        // behind: a group ends as a whole.
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
