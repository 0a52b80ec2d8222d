//! Many callers of `config-check` while the vault of many broken references is silent.

use std::{
    error::Error,
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use super::{
    client::{Seen, Until, address, drive, is_whole},
    server::{Program, Server},
    vault::Vault,
};

const REFERENCES: usize = 200;
/// A crowd with limits for its memory and for its effect on others.
const CROWD: usize = 400;
/// An instance takes 1,000 requests at once, and one asks for the secret.
const FULL_HOUSE: usize = 999;
/// Long enough for attempts that begin, that time out and whose findings stand.
const ANSWERS_FOR_EACH: usize = 4;
/// Between two requests for the cached secret.
const PAUSE: Duration = Duration::from_millis(10);

/// In MB.
const MOST_GROWTH: f64 = 30.0;
const SLOWEST_ANSWER: Duration = Duration::from_secs(3);
const SLOWEST_SECRET: Duration = Duration::from_millis(50);

/// What one crowd saw.
pub(crate) struct Storm {
    callers: usize,
    answers: Seen,
    /// The slowest answer for a cached secret, and how many there were.
    secret: (Duration, usize),
    /// Memory in MB before the crowd and after its last answer.
    memory: [f64; 2],
}

/// Lets crowds ask `handler`, one after the other, each a process of its own.
pub(crate) fn measure(handler: &Program, vault: &Vault) -> Result<Vec<Storm>, Box<dyn Error>> {
    let mut handler = handler.clone();
    handler
        .environment
        .retain(|(name, _)| *name != "WEBSITE_KEYVAULT_REFERENCES");
    let report = platform_report(&vault.url);
    handler
        .environment
        .push(("WEBSITE_KEYVAULT_REFERENCES", report));
    let mut storms = Vec::new();
    for callers in [CROWD, FULL_HOUSE] {
        vault.speak();
        let server = handler.start("/")?;
        // The vault has served the handler before it falls silent: its turns are all in use then.
        server.get("/api/secrets/Load0")?;
        vault.fall_silent();
        storms.push(one(&server, callers)?);
    }
    Ok(storms)
}

fn one(server: &Server, callers: usize) -> io::Result<Storm> {
    let before = server.memory()?;
    let stream = TcpStream::connect(address(server.port))?;
    stream.set_nodelay(true)?;
    let request = b"GET /api/config-check HTTP/1.1\r\nHost: app.example\r\n\r\n";
    let is_over = AtomicBool::new(false);
    let (answers, secret) = thread::scope(|scope| {
        let secret = scope.spawn(|| ask_for_a_secret(stream, &is_over));
        let until = Until::Answers(callers * ANSWERS_FOR_EACH);
        let answers = drive(server.port, request, callers, until);
        is_over.store(true, Ordering::Relaxed);
        let secret = secret.join().map_err(|_| io::Error::other("a panic"));
        (answers, secret)
    });
    let after = server.memory()?;
    Ok(Storm {
        callers,
        answers: answers?,
        secret: secret??,
        memory: [before, after],
    })
}

/// On a connection that is open before the crowd comes: a queue of connections is the kernel's.
fn ask_for_a_secret(mut stream: TcpStream, is_over: &AtomicBool) -> io::Result<(Duration, usize)> {
    let request = b"GET /api/secrets/Load0 HTTP/1.1\r\nHost: app.example\r\n\r\n";
    let (mut slowest, mut answers) = (Duration::ZERO, 0);
    let (mut answer, mut read) = (Vec::new(), [0; 4_096]);
    while !is_over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        stream.write_all(request)?;
        answer.clear();
        while !is_whole(&answer)? {
            let length = stream.read(&mut read)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&read[..length]);
        }
        slowest = slowest.max(asked.elapsed());
        answers += 1;
        thread::sleep(PAUSE);
    }
    Ok((slowest, answers))
}

/// As the platform reports references that it could not resolve.
fn platform_report(vault: &str) -> String {
    let broken = (0..REFERENCES).map(|number| {
        let reference = format!("@Microsoft.KeyVault(SecretUri={vault}/secrets/Broken{number})");
        let said = json!({"rawReference": reference, "status": "OtherReasons"});
        (format!("BROKEN_{number}"), said)
    });
    Value::Object(broken.collect::<Map<_, _>>()).to_string()
}

impl Storm {
    fn slowest(&self) -> Duration {
        Duration::from_secs_f64(self.answers.percentile(1_000) / 1e6)
    }

    /// Whether it is what `docs/reliability.md` promises.
    pub(crate) fn is_met(&self) -> bool {
        let [before, after] = self.memory;
        let is_light = after - before < MOST_GROWTH && self.secret.0 < SLOWEST_SECRET;
        self.slowest() < SLOWEST_ANSWER && (is_light || self.callers > CROWD)
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = self.memory;
        let (slowest_secret, secrets) = self.secret;
        write!(
            f,
            "{} callers, {REFERENCES} broken references: {} answers, the slowest after {:.2} s; \
             {secrets} answers for a cached secret, the slowest after {:.1} ms; \
             memory {before:.1} MB, then {after:.1} MB",
            self.callers,
            self.answers.answers(),
            self.slowest().as_secs_f64(),
            slowest_secret.as_secs_f64() * 1e3,
        )
    }
}
