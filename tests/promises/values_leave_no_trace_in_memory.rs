//! What the process does not need, it does not hold: after a secret was described, its value is
//! nowhere in the process's memory, and after it was compared, read to be described or read to
//! resolve a reference, it is gone, from freed memory too.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    time::Duration,
};

use keyvault_functions::dev_vault::NewSecret;
use serde_json::json;
use tokio::time::timeout;

use super::support::{ClientRequest, FunctionsHost, MODES, TlsVault};

/// Long enough that no chance finds it, and with a character that JSON escapes: a parser has to
/// copy it then.
const VALUE: &str = "canary-7f1c55d0-in-memory\n-4a9b21e6";
const PART: &[u8] = b"canary-7f1c55d0-in-memory";

/// How often `part` is in the writable memory of a process.
fn in_memory_of(process: u32, part: &[u8]) -> usize {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("maps");
    let mut memory = File::open(format!("/proc/{process}/mem")).expect("memory of a child");
    let mut found = 0;
    let mut searched = 0;
    for line in maps.lines() {
        let mut fields = line.split(' ');
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else {
            continue;
        };
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').expect("a range");
        let address = |text: &str| u64::from_str_radix(text, 16).expect("an address");
        let size = usize::try_from(address(to) - address(from)).expect("a size");
        let mut content = vec![0; size];
        memory.seek(SeekFrom::Start(address(from))).expect("there");
        // Guard pages cannot be read.
        if memory.read_exact(&mut content).is_ok() {
            searched += size;
            found += content.windows(part.len()).filter(|w| *w == part).count();
        }
    }
    assert!(searched > 500_000, "only {searched} bytes were searched");
    found
}

async fn vault() -> TlsVault {
    let vault = TlsVault::start().await;
    let store = vault.vault.store();
    store.set("Traced", NewSecret::of(VALUE)).expect("set");
    vault
}

/// A connection that carried a value is closed by a task of its own, some time after the answer.
async fn is_gone_from(host: &FunctionsHost) {
    let gone = async {
        while in_memory_of(host.handler.id(), PART) > 0 {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(20);
    timeout(limit, gone)
        .await
        .expect("the value stays in memory");
}

#[tokio::test]
async fn metadata_never_brings_the_value_in() {
    let vault = vault().await;
    // What the search finds for certain: an app setting is in the process's environment.
    let host = vault.host(&[("HELD", "canary-that-is-held")]).await;
    assert!(in_memory_of(host.handler.id(), b"canary-that-is-held") > 0);
    for mode in MODES {
        let answer = host.call(mode, &ClientRequest::secret("Traced")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(in_memory_of(host.handler.id(), PART), 0, "{mode:?}");
    }
}

#[tokio::test]
async fn a_value_that_was_read_to_be_described_is_gone() {
    let vault = vault().await;
    let host = vault.host(&[("SECRET_METADATA_SOURCE", "get")]).await;
    for mode in MODES {
        let request = ClientRequest::secret("Traced").with_query("refresh", "true");
        assert_eq!(host.call(mode, &request).await.status, 200);
    }
    is_gone_from(&host).await;
}

#[tokio::test]
async fn a_value_that_was_compared_is_gone() {
    let vault = vault().await;
    let reference = format!(
        "@Microsoft.KeyVault(SecretUri=https://127.0.0.1:{}/secrets/Traced)",
        vault.port
    );
    let report = json!({"ROTATED": {"rawReference": reference, "status": "Resolved"}}).to_string();
    let host = vault
        .host(&[
            ("ROTATED", "canary-of-before"),
            ("WEBSITE_KEYVAULT_REFERENCES", &report),
        ])
        .await;
    for mode in MODES {
        let request = ClientRequest::config_check().with_query("freshness", "true");
        let answer = host.call(mode, &request).await.json();
        assert_eq!(answer["references"][0]["freshness"], "stale", "{answer}");
    }
    is_gone_from(&host).await;
}

/// Where the handler resolves references itself, it keeps what it shows and compares.
#[tokio::test]
async fn a_value_that_was_resolved_is_gone() {
    let vault = vault().await;
    let reference = format!(
        "@Microsoft.KeyVault(SecretUri=https://127.0.0.1:{}/secrets/Traced)",
        vault.port
    );
    let host = vault
        .host(&[
            ("EXTERNAL_API_KEY", &reference),
            ("AZURE_FUNCTIONS_ENVIRONMENT", "Development"),
        ])
        .await;
    for mode in MODES {
        let request = ClientRequest::config_check().with_query("freshness", "true");
        let answer = host.call(mode, &request).await.json();
        assert_eq!(answer["references"][0]["status"], "Resolved", "{answer}");
        assert_eq!(answer["references"][0]["freshness"], "current", "{answer}");
        assert_eq!(answer["external_api_key_set"], true, "{answer}");
        assert_eq!(answer["api_key_prefix"], "cana...", "{answer}");
    }
    is_gone_from(&host).await;
}
