//! `az` and `azd`, as processes that end.

use std::{
    ffi::OsStr,
    io,
    process::{Output, Stdio},
};

use async_trait::async_trait;
use azure_identity::Executor;

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
        let child = command.spawn()?;
        #[cfg(unix)]
        let mut group = Group(child.id());
        let ended = child.wait_with_output().await;
        // What has ended by itself has no group to end, and its number may be another's soon.
        #[cfg(unix)]
        {
            group.0 = None;
        }
        ended
    }
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
    use super::*;

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
