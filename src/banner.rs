//! What a person sees in the terminal besides the log.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    net::SocketAddr,
};

use keyvault_functions::{
    host::{
        authorization::{AuthLevel, FunctionKey, Keys},
        manifest::Manifest,
    },
    settings::{Mode, OwnKey, Settings, VaultSetting},
};

/// Stands for a secret's name in the lines to paste: the recipe's first one.
const EXAMPLE_SECRET: &str = "ExternalApiKey";

/// One line to paste for each function.
pub(crate) struct Hints {
    vault: String,
    lines: Vec<Line>,
    has_random_key: bool,
    has_random_function_key: bool,
}

struct Line {
    key: Option<String>,
    path: String,
}

impl Hints {
    pub(crate) fn new(manifest: &Manifest, settings: &Settings, keys: &Keys) -> Self {
        let (own_function_key, own_master_key) = match &settings.mode {
            Mode::Standalone {
                function_key,
                master_key,
            } => (function_key.as_ref(), master_key.as_ref()),
            Mode::Host { .. } => (None, None),
        };
        // A key that the operator set is not repeated here, a random one is shown once.
        let shown = |own: Option<&OwnKey>, key: &FunctionKey| match own {
            Some(own) => own.placeholder.clone(),
            None => key.reveal().to_owned(),
        };
        let function_key = shown(own_function_key, &keys.function);
        let master_key = shown(own_master_key, &keys.master);
        let line = |function: &keyvault_functions::host::manifest::FunctionManifest| {
            let path = function
                .route
                .fill(&manifest.route_prefix, |_| Some(EXAMPLE_SECRET.into()))?;
            let key = match function.auth_level {
                AuthLevel::Anonymous => None,
                AuthLevel::Function => Some(function_key.clone()),
                AuthLevel::Admin => Some(master_key.clone()),
            };
            Some(Line { key, path })
        };
        let vault = match &settings.vault {
            VaultSetting::NotSet | VaultSetting::Unresolved => {
                "without a vault (KEY_VAULT_URL is not set)".to_owned()
            }
            #[cfg(feature = "dev-vault")]
            VaultSetting::Embedded => "with the embedded vault".to_owned(),
            VaultSetting::Url(url) => format!("with the vault {url}"),
        };
        Self {
            vault,
            lines: manifest.functions.values().filter_map(line).collect(),
            has_random_function_key: own_function_key.is_none(),
            has_random_key: own_function_key.is_none() || own_master_key.is_none(),
        }
    }

    pub(crate) fn print(&self, address: SocketAddr) {
        let mut text = format!(
            "Running without a Functions host, {}. Paste these:\n\n",
            self.vault
        );
        for line in &self.lines {
            let header = match &line.key {
                Some(key) => format!("-H \"x-functions-key: {key}\" "),
                None => String::new(),
            };
            let _ = writeln!(text, "  curl -i {header}http://{address}{}", line.path);
        }
        let first = self.lines.first().filter(|_| self.has_random_function_key);
        if let Some(Line {
            key: Some(key),
            path,
        }) = first
        {
            let _ = writeln!(text, "\nIn a browser: http://{address}{path}?code={key}");
        }
        if self.has_random_key {
            text.push_str(
                "\nKeys change at every start; STANDALONE_FUNCTION_KEY and \
                 STANDALONE_MASTER_KEY fix them.",
            );
        }
        print(&format!("{text}\nCtrl+C stops."));
    }
}

/// A closed terminal is no reason to fail, as `println!` would.
pub(crate) fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// One line for each, prefixed so that a log full of other lines shows whose they are.
pub(crate) fn print_errors(lines: &[String]) {
    for line in lines {
        let _ = writeln!(io::stderr(), "keyvault-functions: {line}");
    }
}
