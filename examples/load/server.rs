//! A server as a child process, and what the kernel says about it.

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::client::address;

/// In what `/proc/PID/stat` counts CPU time. Linux shows 100 per second whatever it uses inside.
const TICK: Duration = Duration::from_millis(10);
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a server is started, any number of times.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) binary: PathBuf,
    pub(crate) arguments: fn(u16, &Path) -> Vec<String>,
    /// Given to `arguments`.
    pub(crate) file: PathBuf,
    pub(crate) environment: Vec<(&'static str, String)>,
}

pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// From the start of the process to the first 200.
    pub(crate) ready_after: Duration,
}

impl Program {
    /// Starts it and waits until `GET path` is answered with 200.
    pub(crate) fn start(&self, path: &str) -> io::Result<Server> {
        let port = TcpListener::bind(address(0))?.local_addr()?.port();
        let started = Instant::now();
        let mut child = Command::new(&self.binary)
            .args((self.arguments)(port, &self.file))
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // The Functions host reads what a handler writes; so does this.
        drain(child.stdout.take().map(Output::Stdout));
        drain(child.stderr.take().map(Output::Stderr));
        let mut server = Server {
            child,
            port,
            ready_after: Duration::ZERO,
        };
        while server.get(path).is_err() {
            if started.elapsed() > PATIENCE || server.child.try_wait()?.is_some() {
                return Err(io::Error::other(format!(
                    "{} is not ready",
                    self.binary.display()
                )));
            }
            thread::sleep(Duration::from_micros(50));
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }
}

impl Server {
    /// The head and the body of a 200.
    pub(crate) fn get(&self, path: &str) -> io::Result<(String, String)> {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n");
        self.send(request.as_bytes())
    }

    /// Sends a request that asks for the connection to be closed.
    pub(crate) fn send(&self, request: &[u8]) -> io::Result<(String, String)> {
        let mut stream = TcpStream::connect(address(self.port))?;
        stream.write_all(request)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .ok_or(io::ErrorKind::InvalidData)?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(io::Error::other(answer));
        }
        Ok((head.to_owned(), body.to_owned()))
    }

    /// CPU time used so far, in user and kernel mode.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name before the parenthesis can hold anything; `utime` is the 12th after it.
        let (_, fields) = stat.rsplit_once(") ").ok_or(io::ErrorKind::InvalidData)?;
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u32 = ticks.filter_map(|field| field.parse::<u32>().ok()).sum();
        Ok(TICK * ticks)
    }

    /// Memory in RAM, in MB.
    pub(crate) fn memory(&self) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        status
            .lines()
            .find_map(|line| {
                line.strip_prefix("VmRSS:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse()
                    .ok()
            })
            .map(|kibibytes: f64| kibibytes * 1_024.0 / 1e6)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

enum Output {
    Stdout(ChildStdout),
    Stderr(ChildStderr),
}

fn drain(output: Option<Output>) {
    thread::spawn(move || match output {
        Some(Output::Stdout(mut from)) => io::copy(&mut from, &mut io::sink()),
        Some(Output::Stderr(mut from)) => io::copy(&mut from, &mut io::sink()),
        None => Ok(0),
    });
}
