//! The lines that a person pastes into the terminal of another program.

use std::{fmt::Write as _, net::SocketAddr};

use keyvault_functions::dev_vault::{Address, IDENTITY_PATH, NOBODY, VaultName};

/// What a person pastes into the terminal of another program.
pub(super) struct Instructions<'a> {
    /// The first is the one that `localhost` means.
    pub(super) vaults: Vec<&'a VaultName>,
    pub(super) vault: SocketAddr,
    pub(super) identity: SocketAddr,
    /// Also the client secret.
    pub(super) identity_header: &'a str,
    pub(super) ca_file: &'a str,
    /// The folder of the stand-in for the Azure CLI.
    pub(super) az: Option<&'a str>,
}

impl Instructions<'_> {
    /// How clients find a vault.
    pub(super) fn address(&self, vault: &VaultName) -> Address {
        let url = match self.vaults.first() {
            Some(first) if *first == vault => self.url(),
            _ => self.named(vault),
        };
        let name = vault.clone();
        Address { name, url }
    }

    /// Of the first vault.
    fn url(&self) -> String {
        format!("https://localhost:{}", self.vault.port())
    }

    fn named(&self, vault: &VaultName) -> String {
        match self.vault.port() {
            443 => format!("https://{}", vault.host()),
            port => format!("https://{}:{port}", vault.host()),
        }
    }

    pub(super) fn text(&self) -> String {
        let url = self.url();
        let endpoint = format!("http://{}{IDENTITY_PATH}", self.identity);
        let groups: [(&str, &[(&str, &str)]); 6] = [
            (
                "Every client with a managed identity:",
                &[
                    ("IDENTITY_ENDPOINT", &endpoint),
                    ("IDENTITY_HEADER", self.identity_header),
                ],
            ),
            (
                "This handler:",
                &[("KEY_VAULT_URL", &url), ("KEY_VAULT_CA_FILE", self.ca_file)],
            ),
            (
                "Python and az (trusts nothing else):",
                &[("REQUESTS_CA_BUNDLE", self.ca_file)],
            ),
            ("JavaScript:", &[("NODE_EXTRA_CA_CERTS", self.ca_file)]),
            (
                "Rust, .NET, asyncio and OpenSSL:",
                &[("SSL_CERT_FILE", self.ca_file)],
            ),
            (
                "A client with a client secret, in place of the managed identity:",
                &[
                    ("AZURE_AUTHORITY_HOST", &url),
                    ("AZURE_TENANT_ID", NOBODY),
                    ("AZURE_CLIENT_ID", NOBODY),
                    ("AZURE_CLIENT_SECRET", self.identity_header),
                ],
            ),
        ];
        let what = match &self.vaults[..] {
            [_, _, ..] => "Key Vaults for development, the first at",
            _ => "A Key Vault for development:",
        };
        let mut text = format!(
            "{what} {url}. Nothing in it is kept.\n\
             In another terminal, paste what you need:\n"
        );
        for (title, variables) in groups {
            let _ = writeln!(text, "\n# {title}");
            for (name, value) in variables {
                let _ = writeln!(text, "export {name}={}", quoted(value));
            }
        }
        if let Some(folder) = self.az {
            let folder = quoted(folder);
            let title = "A program that knows only the Azure CLI, beside the managed identity:";
            let _ = writeln!(text, "\n# {title}\nexport PATH={folder}:$PATH");
        }
        text.push_str("\n# By its own name, with this in the hosts file (without the #):\n");
        let hosts: Vec<_> = self.vaults.iter().map(|vault| vault.host()).collect();
        let _ = writeln!(text, "# 127.0.0.1 {}", hosts.join(" "));
        for vault in &self.vaults {
            let _ = writeln!(text, "# {}", self.named(vault));
        }
        text.push_str("\nCtrl+C stops.");
        text
    }
}

/// `value` as one word of a shell.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/:._-".contains(c);
    if value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_word_of_a_shell() {
        assert_eq!(quoted("/tmp/ca.pem"), "/tmp/ca.pem");
        assert_eq!(quoted("/my files/ca.pem"), "'/my files/ca.pem'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted("/a:$PATH"), "'/a:$PATH'");
    }
}
