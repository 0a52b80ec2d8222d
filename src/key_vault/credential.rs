//! As whom the handler signs in to a vault.
//!
//! One credential is chosen once, from what the environment offers, in this order; the
//! choice is logged. Nothing is tried out: a chain that falls through to whatever works
//! would hide a broken identity until it matters.
//!
//! 1. `AZURE_TENANT_ID` + `AZURE_CLIENT_ID` + `AZURE_CLIENT_SECRET`: client secret
//! 2. `AZURE_FEDERATED_TOKEN_FILE` + `AZURE_TENANT_ID` + `AZURE_CLIENT_ID`: workload identity
//! 3. `IDENTITY_ENDPOINT` + `IDENTITY_HEADER`: managed identity of App Service and Functions
//! 4. outside Azure: Azure CLI, then Azure Developer CLI
//!
//! `AZURE_TOKEN_CREDENTIALS` narrows this to `prod` (1–3), `dev` (4) or one credential by
//! name. Only `managedidentitycredential` reaches for the virtual machine's identity
//! endpoint: off Azure that would wait for minutes.

use std::{
    ffi::OsStr,
    fmt, io,
    path::PathBuf,
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use azure_core::{
    credentials::{Secret, TokenCredential},
    http::{
        ClientOptions, ExponentialRetryOptions, HttpClient, RetryOptions, StatusCode, Transport,
    },
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential,
    AzureDeveloperCliCredentialOptions, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, Executor, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    client::Connection,
    dns::Resolver,
    error::{CredentialError, CredentialKind, Error, SignInFailure},
    https::{Https, Proxy},
    tls::OwnCa,
    token::{MakeCredential, SharedToken},
};

/// Time for a token where an endpoint gives it.
const TOKEN_LIMIT: Duration = Duration::from_secs(3);
/// Time for a token where a developer tool has to start first.
const TOOL_LIMIT: Duration = Duration::from_secs(10);

/// What the environment offers.
#[derive(Debug, Clone, Default)]
pub struct Offered {
    /// `AZURE_TOKEN_CREDENTIALS`.
    pub only: Option<Only>,
    /// `AZURE_TENANT_ID`.
    pub tenant_id: Option<String>,
    /// `AZURE_CLIENT_ID`: the application, or the user-assigned managed identity.
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`.
    pub client_secret: Option<SecretString>,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token_file: Option<PathBuf>,
    /// Whether `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` are both set.
    pub has_identity_endpoint: bool,
    /// Whether this runs on Azure, where developer tools have no place.
    pub is_on_azure: bool,
}

/// `AZURE_TOKEN_CREDENTIALS`: which credentials come into question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// Developer tools.
    Dev,
    /// Everything else.
    Prod,
    /// Client secret.
    Environment,
    /// Workload identity.
    WorkloadIdentity,
    /// Managed identity, of a virtual machine too.
    ManagedIdentity,
    /// Azure CLI.
    AzureCli,
    /// Azure Developer CLI.
    AzureDeveloperCli,
}

impl Only {
    /// The words that the other languages' SDKs take and this handler supports.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("dev", Self::Dev),
        ("prod", Self::Prod),
        ("environmentcredential", Self::Environment),
        ("workloadidentitycredential", Self::WorkloadIdentity),
        ("managedidentitycredential", Self::ManagedIdentity),
        ("azureclicredential", Self::AzureCli),
        ("azuredeveloperclicredential", Self::AzureDeveloperCli),
    ];

    /// Parses one of [`Only::WORDS`], whatever its letter case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::WORDS
            .iter()
            .find_map(|(word, only)| word.eq_ignore_ascii_case(text).then_some(*only))
    }

    fn allows(self, choice: &Choice) -> bool {
        match self {
            Self::Dev => matches!(choice, Choice::AzureCli | Choice::AzureDeveloperCli),
            Self::Prod => !Self::Dev.allows(choice),
            Self::Environment => matches!(choice, Choice::ClientSecret { .. }),
            Self::WorkloadIdentity => matches!(choice, Choice::WorkloadIdentity { .. }),
            Self::ManagedIdentity => matches!(choice, Choice::ManagedIdentity { .. }),
            Self::AzureCli => matches!(choice, Choice::AzureCli),
            Self::AzureDeveloperCli => matches!(choice, Choice::AzureDeveloperCli),
        }
    }
}

/// The credential that will be used.
#[derive(Debug, Clone)]
pub enum Choice {
    /// An application's secret.
    ClientSecret {
        /// Where the application is registered.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
    /// A federated token, as in Kubernetes.
    WorkloadIdentity {
        /// Where the application is registered.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Read anew as it rotates.
        token_file: PathBuf,
    },
    /// The Function App's identity.
    ManagedIdentity {
        /// The user-assigned identity; the system-assigned one if `None`.
        client_id: Option<String>,
    },
    /// `az login`.
    AzureCli,
    /// `azd auth login`.
    AzureDeveloperCli,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientSecret { .. } => "client secret (AZURE_CLIENT_SECRET)",
            Self::WorkloadIdentity { .. } => "workload identity (AZURE_FEDERATED_TOKEN_FILE)",
            Self::ManagedIdentity { client_id: None } => "managed identity, system-assigned",
            Self::ManagedIdentity { client_id: Some(_) } => {
                "managed identity, user-assigned (AZURE_CLIENT_ID)"
            }
            Self::AzureCli => "Azure CLI (az login)",
            Self::AzureDeveloperCli => "Azure Developer CLI (azd auth login)",
        })
    }
}

impl Offered {
    /// Why [`Offered::choose`] finds nothing.
    #[must_use]
    pub fn nothing(&self) -> CredentialError {
        if self.only.is_some() {
            CredentialError::NotOffered
        } else {
            CredentialError::NothingConfigured
        }
    }

    /// Picks the one credential, in the order of the module's list. `has_tool` tells whether
    /// a program is on the path.
    #[must_use]
    pub fn choose(&self, has_tool: impl Fn(&str) -> bool) -> Option<Choice> {
        let only = |choice: &Choice| self.only.is_none_or(|only| only.allows(choice));
        let asked = |one| self.only == Some(one);
        let client_secret = || {
            Some(Choice::ClientSecret {
                tenant_id: self.tenant_id.clone()?,
                client_id: self.client_id.clone()?,
                client_secret: self.client_secret.clone()?,
            })
        };
        let workload = || {
            Some(Choice::WorkloadIdentity {
                tenant_id: self.tenant_id.clone()?,
                client_id: self.client_id.clone()?,
                token_file: self.federated_token_file.clone()?,
            })
        };
        let managed = || {
            let is_there = self.has_identity_endpoint || asked(Only::ManagedIdentity);
            is_there.then(|| Choice::ManagedIdentity {
                client_id: self.client_id.clone(),
            })
        };
        let tool = |program, choice, named| {
            let is_there = asked(named) || (!self.is_on_azure && has_tool(program));
            is_there.then_some(choice)
        };
        client_secret()
            .filter(only)
            .or_else(|| workload().filter(only))
            .or_else(|| managed().filter(only))
            .or_else(|| tool("az", Choice::AzureCli, Only::AzureCli).filter(only))
            .or_else(|| {
                tool("azd", Choice::AzureDeveloperCli, Only::AzureDeveloperCli).filter(only)
            })
    }
}

/// Whether `program` is on the path.
#[must_use]
pub fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| {
            let file = folder.join(program);
            file.is_file()
                || file.with_extension("exe").is_file()
                || file.with_extension("cmd").is_file()
        })
    })
}

/// Sets up the transport, which trusts `own_ca` too, and the chosen credential. Takes tens of
/// milliseconds.
///
/// # Errors
///
/// The credential refuses its settings.
pub fn connect(choice: &Choice, own_ca: Option<&OwnCa>) -> Result<Connection, Error> {
    let vault_transport = Arc::new(Https::new(
        Proxy::FromEnvironment,
        own_ca,
        Resolver::system(),
    )?);
    let identity_transport: Arc<dyn HttpClient> = match choice {
        Choice::ManagedIdentity { .. } => {
            Arc::new(Https::new(Proxy::Never, own_ca, Resolver::system())?)
        }
        _ => vault_transport.clone(),
    };
    let chosen = choice.clone();
    let make: MakeCredential = Box::new(move || chosen.credential(&identity_transport));
    // What the settings rule out shows now.
    let credential = choice.kind();
    make().map_err(|_| {
        let cause = SignInFailure::WrongSetting;
        Error::Credential(CredentialError::Failed { credential, cause })
    })?;
    let is_tool = matches!(choice, Choice::AzureCli | Choice::AzureDeveloperCli);
    let (limit, token_time) = if is_tool {
        (TOOL_LIMIT, TOOL_LIMIT)
    } else {
        (TOKEN_LIMIT, Duration::ZERO)
    };
    let explain = match choice {
        Choice::ManagedIdentity { .. } => explain_managed,
        _ => |_: &azure_core::Error| SignInFailure::Other,
    };
    Ok(Connection {
        transport: vault_transport,
        token: Arc::new(SharedToken::new(credential, make, limit, explain)),
        token_time,
    })
}

impl Choice {
    fn kind(&self) -> CredentialKind {
        match self {
            Self::ClientSecret { .. } => CredentialKind::ClientSecret,
            Self::WorkloadIdentity { .. } => CredentialKind::WorkloadIdentity,
            Self::ManagedIdentity { .. } => CredentialKind::ManagedIdentity,
            Self::AzureCli => CredentialKind::AzureCli,
            Self::AzureDeveloperCli => CredentialKind::AzureDeveloperCli,
        }
    }

    /// A credential of the identity library that has no token yet.
    fn credential(
        &self,
        transport: &Arc<dyn HttpClient>,
    ) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let client_options = client_options(Transport::new(transport.clone()));
        Ok(match self {
            Self::ClientSecret {
                tenant_id,
                client_id,
                client_secret,
            } => ClientSecretCredential::new(
                tenant_id,
                client_id.clone(),
                Secret::new(client_secret.expose_secret().to_owned()),
                Some(ClientSecretCredentialOptions { client_options }),
            )?,
            Self::WorkloadIdentity {
                tenant_id,
                client_id,
                token_file,
            } => WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options },
                client_id: Some(client_id.clone()),
                tenant_id: Some(tenant_id.clone()),
                token_file_path: Some(token_file.clone()),
            }))?,
            Self::ManagedIdentity { client_id } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options,
                }))?
            }
            Self::AzureCli => AzureCliCredential::new(Some(AzureCliCredentialOptions {
                executor: Some(Arc::new(Tool)),
                ..Default::default()
            }))?,
            Self::AzureDeveloperCli => {
                AzureDeveloperCliCredential::new(Some(AzureDeveloperCliCredentialOptions {
                    executor: Some(Arc::new(Tool)),
                    ..Default::default()
                }))?
            }
        })
    }
}

fn client_options(transport: Transport) -> ClientOptions {
    ClientOptions {
        transport: Some(transport),
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            initial_delay: azure_core::time::Duration::milliseconds(100),
            max_retries: 1,
            max_total_elapsed: azure_core::time::Duration::seconds(2),
            max_delay: azure_core::time::Duration::milliseconds(500),
        }),
        ..Default::default()
    }
}

/// Runs `az` or `azd`, and ends it when nobody waits for it any more.
#[derive(Debug)]
struct Tool;

#[async_trait]
impl Executor for Tool {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // The tool is a script that starts another program: they end together.
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn()?;
        #[cfg(unix)]
        let mut group = Group(child.id());
        let ended = child.wait_with_output().await;
        // What has ended by itself has no group to end, and its number may be another's soon.
        #[cfg(unix)]
        {
            group.0 = None;
        }
        ended
    }
}

/// Ends a group of processes when nobody waits for it any more.
#[cfg(unix)]
struct Group(Option<u32>);

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process_group};
        let id = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What went wrong, if the identity endpoint was asked.
fn explain_managed(error: &azure_core::Error) -> SignInFailure {
    if is_not_assigned(error) {
        SignInFailure::IdentityNotAssigned
    } else {
        SignInFailure::Other
    }
}

/// The identity endpoint answers 400 when it does not know the identity.
fn is_not_assigned(error: &azure_core::Error) -> bool {
    let mut current: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = current {
        if let Some(error) = error.downcast_ref::<azure_core::Error>()
            && error.http_status() == Some(StatusCode::BadRequest)
        {
            return true;
        }
        current = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(offered: &Offered, tools: &[&str]) -> Option<String> {
        let choice = offered.choose(|tool| tools.contains(&tool));
        choice.map(|choice| {
            choice
                .to_string()
                .split([' ', ','])
                .next()
                .unwrap_or("")
                .to_owned()
        })
    }

    fn all() -> Offered {
        Offered {
            tenant_id: Some("t".into()),
            client_id: Some("c".into()),
            client_secret: Some("s".to_owned().into()),
            federated_token_file: Some("f".into()),
            has_identity_endpoint: true,
            ..Offered::default()
        }
    }

    #[test]
    fn the_order_is_fixed() {
        let mut offered = all();
        assert_eq!(chosen(&offered, &["az", "azd"]).as_deref(), Some("client"));
        offered.client_secret = None;
        assert_eq!(
            chosen(&offered, &["az", "azd"]).as_deref(),
            Some("workload")
        );
        offered.federated_token_file = None;
        assert_eq!(chosen(&offered, &["az", "azd"]).as_deref(), Some("managed"));
        offered.has_identity_endpoint = false;
        assert_eq!(
            offered.choose(|_| true).map(|c| c.to_string()).as_deref(),
            Some("Azure CLI (az login)")
        );
        assert_eq!(
            offered
                .choose(|tool| tool == "azd")
                .map(|c| c.to_string())
                .as_deref(),
            Some("Azure Developer CLI (azd auth login)")
        );
        assert_eq!(chosen(&offered, &[]), None);
        offered.is_on_azure = true;
        assert_eq!(chosen(&offered, &["az"]), None);
    }

    #[test]
    fn the_operator_can_narrow_it() {
        for (only, name) in [
            (Only::Dev, "Azure"),
            (Only::Prod, "client"),
            (Only::Environment, "client"),
            (Only::WorkloadIdentity, "workload"),
            (Only::ManagedIdentity, "managed"),
            (Only::AzureCli, "Azure"),
        ] {
            let offered = Offered {
                only: Some(only),
                ..all()
            };
            assert_eq!(chosen(&offered, &["az"]).as_deref(), Some(name), "{only:?}");
        }
    }

    #[test]
    fn a_virtual_machines_identity_is_used_only_on_request() {
        let mut offered = Offered::default();
        assert_eq!(chosen(&offered, &[]), None);
        offered.only = Some(Only::Prod);
        assert_eq!(chosen(&offered, &[]), None);
        offered.only = Some(Only::ManagedIdentity);
        assert_eq!(chosen(&offered, &[]).as_deref(), Some("managed"));
    }

    #[test]
    fn secrets_do_not_show_in_what_is_logged() {
        let mut offered = all();
        offered.client_secret = Some("canary-secret".to_owned().into());
        assert!(!format!("{offered:?}{:?}", offered.choose(|_| false)).contains("canary"));
    }

    /// `az` is a script that starts another program, and that one must not live on.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_tool_that_hangs_is_ended_with_all_it_started() {
        let marker = format!("{}.5", 600 + std::process::id());
        let script = format!("sleep {marker} & echo started; wait");
        let is_running = || {
            let listed = std::process::Command::new("ps")
                .args(["-eo", "args"])
                .output();
            let listed = listed.expect("ps").stdout;
            String::from_utf8_lossy(&listed)
                .lines()
                .any(|line| line == format!("sleep {marker}"))
        };
        let shell = OsStr::new("/bin/sh");
        let run = tokio::spawn(async move {
            let arguments = [OsStr::new("-c"), OsStr::new(&script)];
            Tool.run(shell, &arguments).await.map(drop)
        });
        while !is_running() {
            tokio::task::yield_now().await;
        }
        run.abort();
        let _ = run.await;
        while is_running() {
            tokio::task::yield_now().await;
        }
    }
}
