//! The command line.

use std::ffi::OsStr;
#[cfg(feature = "dev-vault")]
use std::time::Duration;

#[cfg(feature = "dev-vault")]
use keyvault_functions::dev_vault::{NetworkInfo, ReceiverUrl, UrlError, VaultName};
use keyvault_functions::functions::parse_time;

#[cfg(feature = "dev-vault")]
use super::dev_vault;
#[cfg(feature = "dev-vault")]
use super::help::DEV_VAULT_HELP;
use super::{
    check::Options,
    help::{CHECK_HELP, HELP},
};

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
    #[error("--deletion-seconds takes a number from 0 to 3600; see --help")]
    Deletion,
    #[cfg(feature = "dev-vault")]
    #[error("--vault takes 3 to 24 letters, digits and hyphens, each name once; see --help")]
    Vault,
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
fn deletion(text: &OsStr) -> Result<Duration, UsageError> {
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    let seconds = seconds.filter(|seconds| *seconds <= 3_600);
    seconds.map(Duration::from_secs).ok_or(UsageError::Deletion)
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
                Long("az-out") => options.az_out = Some(parser.value()?.into()),
                Long("deletion-seconds") => options.deletion = deletion(&parser.value()?)?,
                Long("vault") => {
                    let name = parser.value()?;
                    let name = name.to_str().and_then(VaultName::parse);
                    let is_new = |name: &VaultName| !options.vaults.contains(name);
                    let name = name.filter(is_new).ok_or(UsageError::Vault)?;
                    options.vaults.push(name);
                }
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
            az_out: Some("bin".into()),
            deletion: Duration::from_secs(5),
            vaults: ["shop", "billing"]
                .map(|name| VaultName::parse(name).expect("a name"))
                .into(),
            ..Options::default()
        };
        let arguments = ["--contents", "vault.json", "--network-info", "private-link"];
        let kept = ["--keep", "kept.json", "--identity-port", "8444"];
        let named = ["--vault", "Shop", "--vault=billing", "--az-out", "bin"];
        let slow = ["--deletion-seconds", "5"];
        let arguments = [&arguments[..], &["--events", url], &kept, &named, &slow].concat();
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
            &["dev-vault", "--deletion-seconds", "3601"],
            &["dev-vault", "--vault", "a.b"],
            &["dev-vault", "--vault", "shop", "--vault", "Shop"],
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
