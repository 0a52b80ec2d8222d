//! What a person sees in the terminal besides the log.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
    net::SocketAddr,
};

use axum::http::Method;
use keyvault_functions::{
    host::{
        authorization::{AuthLevel, FunctionKey, Keys},
        manifest::{FunctionManifest, Manifest},
    },
    settings::{KeySource, OwnKey, OwnKeys, VaultSetting, names},
};

/// Stands for a secret's name in the lines to paste: the recipe's first one.
const EXAMPLE_SECRET: &str = "ExternalApiKey";
/// Functions that are asked like one that is shown: a screen has few lines.
const NOT_SHOWN: [&str; 3] = ["certificates-metadata", "keys-metadata", "vault-events"];

/// A command to paste for each function, and an address for a browser.
pub(crate) struct Hints {
    vault: String,
    function_key: ShownKey,
    master_key: ShownKey,
    calls: Vec<Call>,
}

/// How a key gets into a command.
struct ShownKey {
    setting: &'static str,
    text: KeyText,
}

enum KeyText {
    /// Made at this start, and shown this once.
    Random(String),
    /// The operator's own, which is not repeated: the shell fills it in.
    Own {
        source: KeySource,
        is_url_safe: bool,
    },
}

impl KeyText {
    fn is_random(&self) -> bool {
        matches!(self, Self::Random(_))
    }

    fn is_from(&self, wanted: KeySource) -> bool {
        matches!(self, Self::Own { source, .. } if *source == wanted)
    }
}

/// One function's call.
struct Call {
    level: AuthLevel,
    method: Method,
    path: String,
}

impl Hints {
    /// `keys` are the operator's `own`, or random where there are none.
    pub(crate) fn new(
        manifest: &Manifest,
        vault: &VaultSetting,
        own: &OwnKeys,
        keys: &Keys,
    ) -> Self {
        let call = |function: &FunctionManifest| {
            let path = function
                .route
                .fill(&manifest.route_prefix, |_| Some(EXAMPLE_SECRET.into()))?;
            let gets = function.methods.contains(&Method::GET);
            let first = function.methods.first().filter(|_| !gets);
            Some(Call {
                level: function.auth_level,
                method: first.cloned().unwrap_or(Method::GET),
                path,
            })
        };
        let shown = manifest.functions.iter();
        let shown = shown.filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str()));
        let mut calls: Vec<_> = shown.filter_map(|(_, function)| call(function)).collect();
        // What takes the lesser key comes first.
        calls.sort_by_key(|call| call.level == AuthLevel::Admin);
        Self {
            vault: match vault {
                VaultSetting::NotSet => "none, KEY_VAULT_URL is not set".to_owned(),
                #[cfg(feature = "dev-vault")]
                VaultSetting::Embedded(_) => "embedded in this process".to_owned(),
                VaultSetting::Url(url) => url.to_string(),
            },
            function_key: ShownKey::new(
                names::STANDALONE_FUNCTION_KEY,
                own.function.as_ref(),
                &keys.function,
            ),
            master_key: ShownKey::new(
                names::STANDALONE_MASTER_KEY,
                own.master.as_ref(),
                &keys.master,
            ),
            calls,
        }
    }

    pub(crate) fn print(&self, address: SocketAddr) {
        print(&self.text(address));
    }

    fn text(&self, address: SocketAddr) -> String {
        let mut text = format!(
            "Running without a Functions host.\nVault: {}\n\n",
            self.vault
        );
        let in_file = self.settings_where(|key| key.is_from(KeySource::LocalSettings));
        for name in &in_file {
            let _ = writeln!(
                text,
                "{name} is in local.settings.json. In another terminal,\n\
                 run this line and enter the key:\n\n  read -r {name}\n",
            );
        }
        text.push_str(if in_file.is_empty() {
            "In another terminal, paste:\n"
        } else {
            "Then paste:\n"
        });
        for call in &self.calls {
            let _ = writeln!(
                text,
                "\n{}",
                Command {
                    call,
                    address,
                    key: self.key(call)
                }
            );
        }
        self.browser(&mut text, address);
        self.advice(&mut text);
        text.push_str("\nCtrl+C stops.");
        text
    }

    fn key(&self, call: &Call) -> Option<&ShownKey> {
        match call.level {
            AuthLevel::Anonymous => None,
            AuthLevel::Function => Some(&self.function_key),
            AuthLevel::Admin => Some(&self.master_key),
        }
    }

    /// The settings of the keys that are such.
    fn settings_where(&self, is_such: impl Fn(&KeyText) -> bool) -> Vec<&'static str> {
        [&self.function_key, &self.master_key]
            .into_iter()
            .filter(|key| is_such(&key.text))
            .map(|key| key.setting)
            .collect()
    }

    /// The function whose page is most worth a look, wherever its name sorts.
    fn browser(&self, text: &mut String, address: SocketAddr) {
        let first = |level| {
            let mut calls = self.calls.iter();
            calls.find(|call| call.level == level && call.method == Method::GET)
        };
        let call = first(AuthLevel::Function).or_else(|| first(AuthLevel::Anonymous));
        let Some(call) = call else { return };
        let url = format!("http://{address}{}", call.path);
        let _ = match self.key(call) {
            None => writeln!(text, "\nIn a browser:\n\n  {url}"),
            Some(key) => match &key.text {
                KeyText::Random(key) => {
                    writeln!(text, "\nIn a browser:\n\n  {url}?code={key}")
                }
                KeyText::Own {
                    is_url_safe: true, ..
                } => writeln!(
                    text,
                    "\nFor a browser, this prints the address:\n\n  echo \"{url}?code=${}\"",
                    key.setting
                ),
                KeyText::Own { .. } => writeln!(
                    text,
                    "\nIn a browser, with the percent-encoded {} at its end:\n\n  {url}?code=",
                    key.setting
                ),
            },
        };
        if self.key(call).is_some() {
            let _ = writeln!(
                text,
                "\nThe browser keeps this address, and the key in it, in its history."
            );
        }
    }

    fn advice(&self, text: &mut String) {
        let random = self.settings_where(KeyText::is_random);
        let _ = match random[..] {
            [one, two] => writeln!(
                text,
                "\nBoth keys are new at every start. To keep them, set {one}\nand {two}."
            ),
            [one] => writeln!(
                text,
                "\nOne key is new at every start. To keep it, set\n{one}."
            ),
            _ => Ok(()),
        };
        let own = self.settings_where(|key| key.is_from(KeySource::Environment));
        if !own.is_empty() {
            let _ = writeln!(
                text,
                "\nThe other terminal needs {}, too.",
                own.join("\nand ")
            );
        }
    }
}

impl ShownKey {
    fn new(setting: &'static str, own: Option<&OwnKey>, key: &FunctionKey) -> Self {
        let text = match own {
            Some(own) => KeyText::Own {
                source: own.source,
                is_url_safe: own.key.is_url_safe(),
            },
            None => KeyText::Random(key.reveal().to_owned()),
        };
        Self { setting, text }
    }
}

/// What a POSIX shell reads as the key.
impl fmt::Display for ShownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            KeyText::Random(key) => f.write_str(key),
            KeyText::Own { .. } => write!(f, "${}", self.setting),
        }
    }
}

/// A curl command over two lines, so that none is wider than a terminal.
struct Command<'a> {
    call: &'a Call,
    address: SocketAddr,
    key: Option<&'a ShownKey>,
}

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, address, key } = self;
        f.write_str("  curl -i ")?;
        if call.method != Method::GET {
            write!(f, "-X {} ", call.method)?;
        }
        if let Some(key) = key {
            write!(f, "-H \"x-functions-key: {key}\" \\\n    ")?;
        }
        // Quoted, because `?` is a pattern of files.
        write!(f, "\"http://{address}{}?pretty=true\"", call.path)
    }
}

/// A closed terminal is no reason to fail, as `println!` would.
pub(crate) fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use keyvault_functions::settings::{Environment, Mode, Settings};

    use super::*;

    fn function(level: &str, more: &str) -> String {
        format!(
            r#"{{"bindings":[{{"type":"httpTrigger","name":"req","authLevel":"{level}"{more}}},{{"type":"http","name":"res"}}]}}"#
        )
    }

    fn text(functions: &[(&str, &str, &str)], environment: &[(&str, &str)]) -> String {
        let functions: Vec<_> = functions
            .iter()
            .map(|(name, level, more)| (*name, function(level, more)))
            .collect();
        let functions = functions.iter().map(|(name, json)| (*name, json.as_str()));
        let manifest = Manifest::parse("{}", &functions.collect::<Vec<_>>()).expect("valid");
        let settings = Settings::read(&Environment::of(environment)).expect("valid");
        let Mode::Standalone(own) = &settings.mode else {
            panic!("a Functions host in {environment:?}");
        };
        let key = |text: &str| FunctionKey::parse(text.to_owned()).expect("a key");
        let keys = Keys {
            function: key("random-function-key-22"),
            master: key("random-master-key---22"),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 7071));
        Hints::new(&manifest, &settings.vault, own, &keys).text(address)
    }

    const TWO: [(&str, &str, &str); 2] = [
        ("config-check", "function", ""),
        ("secrets", "admin", r#","route":"secrets/{name}""#),
    ];

    #[test]
    fn a_newcomer_reads_this() {
        assert_eq!(
            text(&TWO, &[]),
            r#"Running without a Functions host.
Vault: none, KEY_VAULT_URL is not set

In another terminal, paste:

  curl -i -H "x-functions-key: random-function-key-22" \
    "http://127.0.0.1:7071/api/config-check?pretty=true"

  curl -i -H "x-functions-key: random-master-key---22" \
    "http://127.0.0.1:7071/api/secrets/ExternalApiKey?pretty=true"

In a browser:

  http://127.0.0.1:7071/api/config-check?code=random-function-key-22

The browser keeps this address, and the key in it, in its history.

Both keys are new at every start. To keep them, set STANDALONE_FUNCTION_KEY
and STANDALONE_MASTER_KEY.

Ctrl+C stops."#
        );
    }

    #[test]
    fn an_operator_with_own_keys_reads_this() {
        let own = [
            (names::STANDALONE_FUNCTION_KEY, "canary-function-key"),
            (names::STANDALONE_MASTER_KEY, "canary-master-key"),
            (names::KEY_VAULT_URL, "https://your-kv.vault.azure.net"),
        ];
        assert_eq!(
            text(&TWO, &own),
            r#"Running without a Functions host.
Vault: https://your-kv.vault.azure.net/

In another terminal, paste:

  curl -i -H "x-functions-key: $STANDALONE_FUNCTION_KEY" \
    "http://127.0.0.1:7071/api/config-check?pretty=true"

  curl -i -H "x-functions-key: $STANDALONE_MASTER_KEY" \
    "http://127.0.0.1:7071/api/secrets/ExternalApiKey?pretty=true"

For a browser, this prints the address:

  echo "http://127.0.0.1:7071/api/config-check?code=$STANDALONE_FUNCTION_KEY"

The browser keeps this address, and the key in it, in its history.

The other terminal needs STANDALONE_FUNCTION_KEY
and STANDALONE_MASTER_KEY, too.

Ctrl+C stops."#
        );
        let odd = [(names::STANDALONE_FUNCTION_KEY, "canary&=+#%")];
        let text = text(&TWO, &odd);
        assert!(
            text.contains("percent-encoded STANDALONE_FUNCTION_KEY"),
            "{text}"
        );
        assert!(
            text.contains("One key is new at every start. To keep it, set\nSTANDALONE_MASTER_KEY."),
            "{text}"
        );
    }

    #[test]
    fn the_browsers_address_is_of_the_first_function_that_takes_its_key() {
        let browser = |functions: &[_]| {
            let text = text(functions, &[]);
            let (_, rest) = text.split_once("In a browser:\n\n  http://127.0.0.1:7071")?;
            Some(rest.lines().next()?.to_owned())
        };
        let about = ("about", "anonymous", "");
        let admin = ("admin", "admin", "");
        let post = ("add", "function", r#","methods":["post"]"#);
        let found = browser(&[about, admin, post, TWO[0]]);
        let expected = "/api/config-check?code=random-function-key-22";
        assert_eq!(found.as_deref(), Some(expected));
        assert_eq!(browser(&[admin, about]).as_deref(), Some("/api/about"));
        assert!(!text(&[admin, about], &[]).contains("history"));
        assert_eq!(browser(&[admin]), None);
        let text = text(&[about, post], &[]);
        assert!(
            text.contains("  curl -i \"http://127.0.0.1:7071/api/about?pretty=true\"\n"),
            "{text}"
        );
        assert!(text.contains("  curl -i -X POST -H "), "{text}");
    }
}
