//! The command line.

use std::fmt;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Run the handler.
    Run {
        /// Port without a Functions host; 0 lets the system choose.
        port: Option<u16>,
    },
    /// Print this and end.
    Print(&'static str),
}

const HELP: &str = "\
keyvault-functions: shows the state of Key Vault secrets and references, never a secret

Usage: handler [--port PORT]

Under the Functions host it takes its port and settings from the environment. Without one
it reads local.settings.json, listens on 127.0.0.1:7071 and prints curl lines to try.

Options:
      --port PORT  listen on PORT when no Functions host gives one (0: any free port)
  -h, --help       print this
  -V, --version    print the version

Exit codes: 64 wrong usage, 69 port not available, 70 internal error, 78 wrong settings.
The settings are listed in README.md.";

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
