//! What `--help` prints.

pub(super) const HELP: &str = "\
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

pub(super) const CHECK_HELP: &str = "\
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
pub(super) const DEV_VAULT_HELP: &str = "\
A Key Vault for development that other programs on this machine can use, over TLS on
127.0.0.1 and nowhere else, with a managed identity as App Service offers it. It holds two
demo secrets, a key and a certificate, and forgets everything when it ends. The environment
that each client needs is printed at start.

Usage: handler dev-vault [OPTIONS]

Options:
      --az-out DIR     write a stand-in for the Azure CLI to DIR, for programs that ask
                       only az for a token
      --ca-out FILE    write the certificate authority that clients must trust to FILE
                       (default dev-vault-ca.pem); without --keep it is new at each
                       start, and its key is never written
      --contents FILE  put the secrets, keys and certificates of FILE into the vault too;
                       docs/dev-vault.md shows such a file
      --deletion-seconds N
                       deleting, recovering and purging a secret each take N seconds, as
                       in the service (default 0)
      --events URL     send the events of Event Grid to URL, on localhost, 127.0.0.1 or
                       [::1], when a new version is made; the function key that opens it
                       is read from the environment variable DEV_VAULT_EVENTS_KEY
      --identity-port PORT
                       the port of the identity endpoint (default: a kept one, else any)
      --keep FILE      keep the authority, the identity endpoint and the key of tokens in
                       FILE, so that running clients go on after the next start with the
                       same names; only you can read FILE, and nothing that is in the
                       vault goes into it
      --network-info WORD
                       what every answer says in x-ms-keyvault-network-info: loopback
                       (default), public, private-link, subnet, old-public, old-private,
                       managed-hsm, managed-hsm-address, or absent
      --port PORT      listen on PORT (default 8443; 0: any free port)
      --vault NAME     a vault of this name in place of embedded; may be given more than
                       once, and then localhost means the first. The others are empty
  -h, --help           print this

Exit codes: 64 wrong usage, 66 no such contents, 69 port not available, 73 a file
cannot be written, 78 wrong contents, kept file or key.
docs/dev-vault.md lists what the real service does and this does not.";
