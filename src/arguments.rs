//! The command line.

use std::fmt;
#[cfg(feature = "dev-vault")]
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Run the handler.
    Run {
        /// Port without a Functions host; 0 lets the system choose.
        port: Option<u16>,
    },
    /// Serve the embedded vault to other programs.
    #[cfg(feature = "dev-vault")]
    DevVault {
        /// Port of the vault; 0 lets the system choose.
        port: u16,
        /// Where the certificate authority goes.
        ca_out: PathBuf,
    },
    /// Print this and end.
    Print(&'static str),
}

const HELP: &str = "\
keyvault-functions: shows the state of Key Vault secrets and references, never a secret

Usage: handler [--port PORT]
       handler dev-vault --help   (in development builds)

Under the Functions host it takes its port and settings from the environment. Without one
it reads local.settings.json, listens on 127.0.0.1:7071 and prints curl lines to try.

Options:
      --port PORT  listen on PORT when no Functions host gives one (0: any free port)
  -h, --help       print this
  -V, --version    print the version

Exit codes: 64 wrong usage, 69 port not available, 70 internal error, 78 wrong settings.
The settings are listed in README.md.";

#[cfg(feature = "dev-vault")]
const DEV_VAULT_HELP: &str = "\
A Key Vault for development that other programs on this machine can use, over TLS on
127.0.0.1 and nowhere else, with a managed identity as App Service offers it. It holds the
two demo secrets and forgets everything when it ends. The environment that each client needs
is printed at start.

Usage: handler dev-vault --ca-out FILE [--port PORT]

Options:
      --ca-out FILE  write the certificate authority that clients must trust to FILE; a new
                     one at each start, and its key is never written
      --port PORT    listen on PORT (default 8443; 0: any free port)
  -h, --help         print this

Exit codes: 64 wrong usage, 69 port not available, 73 FILE cannot be written.
docs/dev-vault.md lists what the real service does and this does not.";

/// Port of the vault unless another one is given.
#[cfg(feature = "dev-vault")]
const DEV_VAULT_PORT: u16 = 8443;

const VERSION: &str = concat!("keyvault-functions ", env!("CARGO_PKG_VERSION"));

/// A command line that cannot be understood.
#[derive(Debug)]
pub(crate) struct UsageError(lexopt::Error);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; see --help", self.0)
    }
}

impl Arguments {
    /// Parses the process's arguments.
    pub(crate) fn parse() -> Result<Self, UsageError> {
        Self::parse_from(lexopt::Parser::from_env()).map_err(UsageError)
    }

    fn parse_from(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};
        #[cfg(feature = "dev-vault")]
        if parser
            .try_raw_args()
            .is_some_and(|mut rest| rest.next_if(|first| first == "dev-vault").is_some())
        {
            return Self::parse_dev_vault(parser);
        }
        let mut port = None;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => port = Some(parser.value()?.parse()?),
                Short('h') | Long("help") => return Ok(Self::Print(HELP)),
                Short('V') | Long("version") => return Ok(Self::Print(VERSION)),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Self::Run { port })
    }

    #[cfg(feature = "dev-vault")]
    fn parse_dev_vault(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let (mut port, mut ca_out) = (DEV_VAULT_PORT, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => port = parser.value()?.parse()?,
                Long("ca-out") => ca_out = Some(parser.value()?.into()),
                Short('h') | Long("help") => return Ok(Self::Print(DEV_VAULT_HELP)),
                other => return Err(other.unexpected()),
            }
        }
        match ca_out {
            Some(ca_out) => Ok(Self::DevVault { port, ca_out }),
            None => Err("dev-vault needs --ca-out FILE".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, String> {
        Arguments::parse_from(lexopt::Parser::from_args(arguments))
            .map_err(|error| UsageError(error).to_string())
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

    #[cfg(feature = "dev-vault")]
    #[test]
    fn the_dev_vault_needs_a_file_for_its_authority() {
        let dev_vault = |port| Arguments::DevVault {
            port,
            ca_out: "ca.pem".into(),
        };
        assert_eq!(
            parse(&["dev-vault", "--ca-out", "ca.pem"]),
            Ok(dev_vault(DEV_VAULT_PORT))
        );
        assert_eq!(
            parse(&["dev-vault", "--port", "0", "--ca-out=ca.pem"]),
            Ok(dev_vault(0))
        );
        assert_eq!(
            parse(&["dev-vault", "--help"]),
            Ok(Arguments::Print(DEV_VAULT_HELP))
        );
        for arguments in [
            &["dev-vault"][..],
            &["dev-vault", "--ca-out"],
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
