//! The command line.

use std::ffi::OsStr;

#[cfg(feature = "dev-vault")]
use keyvault_functions::dev_vault::{NetworkInfo, ReceiverUrl, UrlError};
use keyvault_functions::functions::parse_time;

use super::check::Options;
#[cfg(feature = "dev-vault")]
use super::dev_vault;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Run the handler.
    Run {
        /// Port without a Functions host; 0 lets the system choose.
        port: Option<u16>,
    },
    /// Check the references of other apps.
    Check(Options),
    /// Serve the embedded vault to other programs.
    #[cfg(feature = "dev-vault")]
    DevVault(dev_vault::Options),
    /// Print this and end.
    Print(&'static str),
}

const HELP: &str = "\
keyvault-functions: shows the state of Key Vault secrets and references, never a secret

Usage: handler [--port PORT]
       handler check --help       the references of any app, from here
       handler dev-vault --help   (in development builds)

Under the Functions host it takes its port and settings from the environment. Without one
it reads local.settings.json, listens on 127.0.0.1:7071 and prints commands to paste.

Options:
      --port PORT  listen on PORT when no Functions host gives one (0: any free port)
  -h, --help       print this
  -V, --version    print the version

Exit codes: 64 wrong usage, 69 port not available, 70 internal error, 78 wrong settings.
The settings are listed in docs/settings.md.";

const CHECK_HELP: &str = "\
Tries the Key Vault references of any Function App or web app from here, with
your own sign-in: az login, azd auth login, or AZURE_... in the environment. It
reads no value, and keeps and prints nothing of the other settings.

Usage: handler check [OPTIONS] [FILE]...

  az functionapp config appsettings list -g RG -n APP -o json | handler check -
  handler check local.settings.json
  handler check apps/*.json --by secret

FILE is what `az functionapp config appsettings list` prints, or
`az webapp config connection-string list`; a local.settings.json; or lines
NAME=value. - is standard input. Each FILE is an app, called like the file.

Options:
  -n, --name NAME            the app's name, for the commands that are printed
  -g, --resource-group NAME  its resource group
      --slot NAME            its slot
      --by secret            each secret with the apps and settings that use it
      --strict               end with 1 if a reference cannot be read
      --expiring TIME        with --strict, also if a secret expires within TIME
                             (36h, 30d, 8w)
      --json                 for programs
  -h, --help                 print this

Exit codes: 0, 1 with --strict, 2 a FILE that is not understood, 64 wrong usage,
78 wrong settings in the environment.";

#[cfg(feature = "dev-vault")]
const DEV_VAULT_HELP: &str = "\
A Key Vault for development that other programs on this machine can use, over TLS on
127.0.0.1 and nowhere else, with a managed identity as App Service offers it. It holds two
demo secrets, a key and a certificate, and forgets everything when it ends. The environment
that each client needs is printed at start.

Usage: handler dev-vault [OPTIONS]

Options:
      --ca-out FILE    write the certificate authority that clients must trust to FILE
                       (default dev-vault-ca.pem); without --keep it is new at each
                       start, and its key is never written
      --contents FILE  put the secrets, keys and certificates of FILE into the vault too;
                       docs/dev-vault.md shows such a file
      --events URL     send the events of Event Grid to URL, on localhost, 127.0.0.1 or
                       [::1], when a new version is made; the function key that opens it
                       is read from the environment variable DEV_VAULT_EVENTS_KEY
      --identity-port PORT
                       the port of the identity endpoint (default: a kept one, else any)
      --keep FILE      keep the authority, the identity endpoint and the key of tokens in
                       FILE, so that running clients go on after the next start; only you
                       can read FILE, and nothing that is in the vault goes into it
      --network-info WORD
                       what every answer says in x-ms-keyvault-network-info: loopback
                       (default), public, private-link, subnet, old-public, old-private,
                       managed-hsm, managed-hsm-address, or absent
      --port PORT      listen on PORT (default 8443; 0: any free port)
  -h, --help           print this

Exit codes: 64 wrong usage, 66 no such contents, 69 port not available, 73 the authority
cannot be written, 78 wrong contents or key.
docs/dev-vault.md lists what the real service does and this does not.";

const VERSION: &str = concat!("keyvault-functions ", env!("CARGO_PKG_VERSION"));

/// A command line that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("there is no option {0}; see --help")]
    Option(String),
    #[error("there is no command {0:?}; see --help")]
    Command(String),
    #[error("{0} needs a value; see --help")]
    NoValue(String),
    #[error("{0} takes no value; see --help")]
    Value(String),
    #[error("--expiring takes hours, days or weeks, such as 36h, 30d, 8w; see --help")]
    Time,
    #[error("--by takes the word secret; see --help")]
    By,
    #[error("--name, --resource-group and --slot are about one FILE; see --help")]
    OneFile,
    #[error("--port takes a number from 0 to 65535; {0:?} is none; see --help")]
    Port(String),
    #[cfg(feature = "dev-vault")]
    #[error("--network-info takes one of {0}; see --help")]
    NetworkInfo(String),
    #[cfg(feature = "dev-vault")]
    #[error("--events takes an http or https URL on localhost, 127.0.0.1 or [::1]; see --help")]
    EventsElsewhere,
    #[cfg(feature = "dev-vault")]
    #[error("--events takes a URL without a key; set DEV_VAULT_EVENTS_KEY instead; see --help")]
    EventsKey,
    #[error("the command line is not understood; see --help")]
    Other,
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        use lexopt::Error as Given;
        match error {
            Given::UnexpectedOption(option) => Self::Option(option),
            Given::UnexpectedArgument(argument) => Self::Command(lossy(&argument)),
            Given::MissingValue { option } => Self::NoValue(option.unwrap_or_default()),
            Given::UnexpectedValue { option, .. } => Self::Value(option),
            Given::ParsingFailed { .. } | Given::NonUnicodeValue(_) | Given::Custom(_) => {
                Self::Other
            }
        }
    }
}

fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

fn port(text: &OsStr) -> Result<u16, UsageError> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| UsageError::Port(lossy(text)))
}

#[cfg(feature = "dev-vault")]
fn network_info(text: &OsStr) -> Result<NetworkInfo, UsageError> {
    let known = text.to_str().and_then(NetworkInfo::parse);
    known
        .ok_or_else(|| UsageError::NetworkInfo(NetworkInfo::WORDS.map(|(word, _)| word).join(", ")))
}

#[cfg(feature = "dev-vault")]
fn receiver(text: &OsStr) -> Result<ReceiverUrl, UsageError> {
    let url = text.to_str().ok_or(UrlError::NotLoopback);
    url.and_then(ReceiverUrl::parse).map_err(|why| match why {
        UrlError::NotLoopback => UsageError::EventsElsewhere,
        UrlError::HasKey => UsageError::EventsKey,
    })
}

impl Arguments {
    /// Parses the process's arguments.
    pub(crate) fn parse() -> Result<Self, UsageError> {
        Self::parse_from(lexopt::Parser::from_env())
    }

    fn parse_from(mut parser: lexopt::Parser) -> Result<Self, UsageError> {
        use lexopt::prelude::{Long, Short};
        let mut begins_with = |command: &str| {
            let rest = parser.try_raw_args();
            rest.is_some_and(|mut rest| rest.next_if(|first| first == command).is_some())
        };
        if begins_with("check") {
            return Self::parse_check(parser);
        }
        #[cfg(feature = "dev-vault")]
        if begins_with("dev-vault") {
            return Self::parse_dev_vault(parser);
        }
        let mut chosen = None;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => chosen = Some(port(&parser.value()?)?),
                Short('h') | Long("help") => return Ok(Self::Print(HELP)),
                Short('V') | Long("version") => return Ok(Self::Print(VERSION)),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Self::Run { port: chosen })
    }

    fn parse_check(mut parser: lexopt::Parser) -> Result<Self, UsageError> {
        use lexopt::prelude::{Long, Short, Value};
        let mut options = Options::default();
        let text = |value: std::ffi::OsString| Some(lossy(&value));
        while let Some(argument) = parser.next()? {
            match argument {
                Value(file) => options.files.push(file.into()),
                Short('n') | Long("name") => options.name = text(parser.value()?),
                Short('g') | Long("resource-group") => {
                    options.resource_group = text(parser.value()?);
                }
                Long("slot") => options.slot = text(parser.value()?),
                Long("json") => options.json = true,
                Long("strict") => options.strict = true,
                Long("by") => {
                    if parser.value()? != "secret" {
                        return Err(UsageError::By);
                    }
                    options.by_secret = true;
                }
                Long("expiring") => {
                    let time = parser.value()?;
                    let time = time.to_str().and_then(parse_time);
                    options.expiring = Some(time.ok_or(UsageError::Time)?);
                }
                Short('h') | Long("help") => return Ok(Self::Print(CHECK_HELP)),
                other => return Err(other.unexpected().into()),
            }
        }
        let is_about_one =
            options.name.is_some() || options.resource_group.is_some() || options.slot.is_some();
        if is_about_one && options.files.len() > 1 {
            return Err(UsageError::OneFile);
        }
        Ok(Self::Check(options))
    }

    #[cfg(feature = "dev-vault")]
    fn parse_dev_vault(mut parser: lexopt::Parser) -> Result<Self, UsageError> {
        use lexopt::prelude::{Long, Short};
        let mut options = dev_vault::Options::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => options.port = port(&parser.value()?)?,
                Long("ca-out") => options.ca_out = parser.value()?.into(),
                Long("network-info") => options.network_info = network_info(&parser.value()?)?,
                Long("events") => options.events = Some(receiver(&parser.value()?)?),
                Long("keep") => options.keep = Some(parser.value()?.into()),
                Long("identity-port") => options.identity_port = Some(port(&parser.value()?)?),
                Long("contents") => options.contents = Some(parser.value()?.into()),
                Short('h') | Long("help") => return Ok(Self::Print(DEV_VAULT_HELP)),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Self::DevVault(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, String> {
        Arguments::parse_from(lexopt::Parser::from_args(arguments))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_port_is_optional() {
        assert_eq!(parse(&[]), Ok(Arguments::Run { port: None }));
        assert_eq!(
            parse(&["--port", "0"]),
            Ok(Arguments::Run { port: Some(0) })
        );
        assert_eq!(parse(&["--help"]), Ok(Arguments::Print(HELP)));
    }

    #[test]
    fn a_check_takes_files_and_options_in_any_order() {
        let options = Options {
            files: vec!["a.json".into(), "-".into()],
            json: true,
            strict: true,
            expiring: Some(std::time::Duration::from_secs(36 * 3_600)),
            by_secret: true,
            ..Options::default()
        };
        let arguments = [
            "check", "a.json", "--json", "--by", "secret", "--strict", "-",
        ];
        let arguments = [&arguments[..], &["--expiring=36h"]].concat();
        assert_eq!(parse(&arguments), Ok(Arguments::Check(options)));
        let about_one = Options {
            name: Some("func-a".to_owned()),
            resource_group: Some("rg-a".to_owned()),
            slot: Some("staging".to_owned()),
            ..Options::default()
        };
        let arguments = ["check", "-n", "func-a", "-g", "rg-a", "--slot", "staging"];
        assert_eq!(parse(&arguments), Ok(Arguments::Check(about_one)));
        for arguments in [
            &["check", "--by", "app"][..],
            &["check", "--expiring", "1y"],
            &["check", "-n", "a", "one", "two"],
            &["--port", "0", "check"],
        ] {
            let error = parse(arguments).expect_err("refused");
            assert!(error.ends_with("see --help"), "{error}");
        }
    }

    #[cfg(feature = "dev-vault")]
    #[test]
    fn the_dev_vault_needs_no_option() {
        use dev_vault::Options;
        let parsed = |arguments: &[&str]| parse(&[&["dev-vault"], arguments].concat());
        let expected = |options| Ok(Arguments::DevVault(options));
        assert_eq!(parsed(&[]), expected(Options::default()));
        let ca_out = || Options {
            ca_out: "ca.pem".into(),
            ..Options::default()
        };
        assert_eq!(parsed(&["--ca-out", "ca.pem"]), expected(ca_out()));
        let any_port = Options {
            port: 0,
            ..ca_out()
        };
        let arguments = ["--port", "0", "--ca-out=ca.pem"];
        assert_eq!(parsed(&arguments), expected(any_port));
        let url = "http://localhost:7071/api/events";
        let filled = Options {
            contents: Some("vault.json".into()),
            network_info: NetworkInfo::PrivateLink,
            events: Some(ReceiverUrl::parse(url).expect("here")),
            keep: Some("kept.json".into()),
            identity_port: Some(8444),
            ..Options::default()
        };
        let arguments = ["--contents", "vault.json", "--network-info", "private-link"];
        let kept = ["--keep", "kept.json", "--identity-port", "8444"];
        let arguments = [&arguments[..], &["--events", url], &kept].concat();
        assert_eq!(parsed(&arguments), expected(filled));
        for (word, _) in NetworkInfo::WORDS {
            assert!(DEV_VAULT_HELP.contains(word), "{word}");
        }
        assert_eq!(
            parse(&["dev-vault", "--help"]),
            Ok(Arguments::Print(DEV_VAULT_HELP))
        );
        for arguments in [
            &["dev-vault", "--ca-out"][..],
            &["dev-vault", "--network-info", "wifi"],
            &["dev-vault", "--identity-port", "many"],
            &["dev-vault", "--events", "http://example.com/api/events"],
            &["dev-vault", "--events", "http://localhost/?code=canary"],
            &["dev-vault", "--ca-out", "ca.pem", "--address", "::"],
            &["--port", "0", "dev-vault"],
        ] {
            let error = parse(arguments).expect_err("refused");
            assert!(error.ends_with("see --help"), "{error}");
        }
    }

    #[test]
    fn what_is_not_understood_points_to_the_help() {
        for arguments in [
            &["--port"][..],
            &["--port", "x"],
            &["--port", "70000"],
            &["x"],
            &["--x"],
        ] {
            let error = parse(arguments).expect_err("refused");
            assert!(error.ends_with("see --help"), "{error}");
        }
    }
}
