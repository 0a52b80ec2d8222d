//! Names that look like one of ours and are none: what was meant?

use super::names;

/// The settings whose names a person writes.
const WRITTEN: [&str; 20] = [
    names::EXTERNAL_API_KEY,
    names::DATABASE_PASSWORD,
    names::KEY_VAULT_URL,
    names::KEY_VAULT_CA_FILE,
    names::SECRET_METADATA_SOURCE,
    names::SECRET_CACHE_TTL_SECONDS,
    names::SECRET_CACHE_MAX_STALE_SECONDS,
    names::SECRET_CACHE_NEGATIVE_TTL_SECONDS,
    names::SECRET_CACHE_CAPACITY,
    names::AZURE_TOKEN_CREDENTIALS,
    names::AZURE_CLIENT_ID,
    names::AZURE_TENANT_ID,
    names::AZURE_CLIENT_SECRET,
    names::AZURE_AUTHORITY_HOST,
    names::AZURE_FEDERATED_TOKEN_FILE,
    names::STANDALONE_FUNCTION_KEY,
    names::STANDALONE_MASTER_KEY,
    names::RUST_LOG,
    names::OTEL_EXPORTER_OTLP_ENDPOINT,
    names::OTEL_EXPORTER_OTLP_HEADERS,
];

/// How names begin that nobody else has.
const OURS: [&str; 4] = [
    "KEY_VAULT_CA",
    "SECRET_CACHE_",
    "SECRET_METADATA_",
    "STANDALONE_",
];

/// What others call the vault's address.
const VAULT_ADDRESSES: [&str; 9] = [
    "KEY_VAULT",
    "KEY_VAULT_ADDRESS",
    "KEY_VAULT_BASE_URL",
    "KEY_VAULT_ENDPOINT",
    "KEY_VAULT_HOST",
    "KEY_VAULT_NAME",
    "KEY_VAULT_URI",
    "KEY_VAULT_URL",
    "KEY_VAULT_VAULT_URL",
];

/// Most differences that are a slip of the finger.
const SLIPS: usize = 2;

/// The settings that may be meant by `name`, the likeliest alone if there is one; none if the
/// name is right or is not like any of ours.
pub(super) fn meant_by(name: &str) -> Vec<&'static str> {
    // Names beyond this are not compared.
    if names::ALL.contains(&name) || name.len() > 64 || !name.is_ascii() {
        return Vec::new();
    }
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let vault = upper.replace("KEYVAULT", "KEY_VAULT");
    if VAULT_ADDRESSES.contains(&vault.strip_prefix("AZURE_").unwrap_or(&vault)) {
        return vec![names::KEY_VAULT_URL];
    }
    let is_as_long = |known: &&&str| known.len().abs_diff(upper.len()) <= SLIPS;
    let slips = WRITTEN.iter().filter(is_as_long);
    let slips = slips.map(|known| (distance(&upper, known), *known));
    if let Some((_, known)) = slips.filter(|(slips, _)| *slips <= SLIPS).min() {
        return vec![known];
    }
    let Some(prefix) = OURS.iter().find(|prefix| upper.starts_with(*prefix)) else {
        return Vec::new();
    };
    let begins_alike = |known: &&&str| known.starts_with(&upper) || upper.starts_with(**known);
    let alike: Vec<_> = WRITTEN.iter().filter(begins_alike).copied().collect();
    if !alike.is_empty() {
        return alike;
    }
    let of_prefix = WRITTEN.iter().filter(|known| known.starts_with(prefix));
    of_prefix.copied().collect()
}

/// Characters to insert, remove, replace or swap with their neighbour.
fn distance(one: &str, two: &str) -> usize {
    let (one, two) = (one.as_bytes(), two.as_bytes());
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in two.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == two[j - 1] && one[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_a_usual_other_name_are_found() {
        for (name, meant) in [
            ("KEY_VAULT_URI", names::KEY_VAULT_URL),
            ("KEYVAULT_URL", names::KEY_VAULT_URL),
            ("AZURE_KEYVAULT_ENDPOINT", names::KEY_VAULT_URL),
            ("key_vault_url", names::KEY_VAULT_URL),
            ("KEY_VAUTL_URL", names::KEY_VAULT_URL),
            ("AZURE_CLIENTID", names::AZURE_CLIENT_ID),
            ("AZURE_TENNANT_ID", names::AZURE_TENANT_ID),
            ("SECRET_CACHE_TTL", names::SECRET_CACHE_TTL_SECONDS),
            ("SECRET_METADATA_SOURCES", names::SECRET_METADATA_SOURCE),
            ("STANDALONE_MASTERKEY", names::STANDALONE_MASTER_KEY),
            ("RUSTLOG", names::RUST_LOG),
        ] {
            assert_eq!(meant_by(name), [meant], "{name}");
        }
        let both = [names::STANDALONE_FUNCTION_KEY, names::STANDALONE_MASTER_KEY];
        assert_eq!(meant_by("STANDALONE_KEY"), both);
    }

    #[test]
    fn names_of_others_are_left_alone() {
        for name in names::ALL {
            assert!(meant_by(name).is_empty(), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "AZURE_SUBSCRIPTION_ID",
            "AZURE_CONFIG_DIR",
            "AZURE_CLIENT_CERTIFICATE_PATH",
            "AZURE_USERNAME",
            "AZURE_PASSWORD",
            "AZURE_FUNCTIONS_ENVIRONMENT",
            "AZURE_LOG_LEVEL",
            "SECRET_KEY",
            "SECRET_KEY_BASE",
            "DATABASE_URL",
            "DATABASE_USER",
            "EXTERNAL_API_URL",
            "PAYMENT_API_KEY",
            "RUST_LOG_STYLE",
            "RUST_BACKTRACE",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "KEY_VAULT_SECRET_NAME",
            "ÄZURE_CLIENT_ID",
            "",
        ] {
            assert!(meant_by(name).is_empty(), "{name}: {:?}", meant_by(name));
        }
    }
}
