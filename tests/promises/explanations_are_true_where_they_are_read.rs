//! Every cause, in every place where it can happen, in words: the snapshot beside this file is
//! read line by line as whoever is on call would. `.ci/run azure` lets the real Azure CLI parse each
//! command of it.

use std::fmt::Write as _;

use keyvault_functions::{
    dev_vault::DevVault,
    diagnosis::{
        Cause, DevVaultAlias, Expires, Facts, FunctionApp, Identity, Named, Plan, RunsIn, Subject,
        Surroundings, explain,
    },
    key_vault::{
        Error, ObjectKind, VaultUrl,
        error::{CredentialError, CredentialKind, Denial, Reach},
    },
    references::Status,
};
use time::OffsetDateTime;

use super::support::every_error;

/// Where a cause is met.
struct Place {
    name: &'static str,
    surroundings: Surroundings,
    vault: VaultUrl,
    named: Named<'static>,
}

const SETTING: Named<'static> = Named::Setting("EXTERNAL_API_KEY");
const CLIENT_ID: &str = "00000000-0000-0000-0000-00000000000c";
const VERSION: &str = "ec96f02080254f109c51a1f14cdb1931";

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time")
}

fn vault(url: &str) -> VaultUrl {
    VaultUrl::parse(url).expect("an address")
}

fn real() -> VaultUrl {
    vault("https://your-kv.vault.azure.net")
}

fn application() -> Identity {
    Identity::Application(CLIENT_ID.into())
}

fn place(
    name: &'static str,
    surroundings: Surroundings,
    vault: VaultUrl,
    named: Named<'static>,
) -> Place {
    Place {
        name,
        surroundings,
        vault,
        named,
    }
}

fn places() -> Vec<Place> {
    let mut places = on_azure();
    places.extend(on_a_laptop());
    places
}

#[rustfmt::skip]
fn on_azure() -> Vec<Place> {
    let azure = |app, identity| Surroundings { runs_in: RunsIn::Azure, app, identity, has_identity_endpoint: true, ..Surroundings::default() };
    let app = |slot, plan| FunctionApp::new(Some("func-a"), Some("rg-a"), slot, Some(plan));
    let unknown = FunctionApp::new(None, None, None, Some(Plan::Consumption));
    let flex = || azure(app(None, Plan::FlexConsumption), Identity::SystemAssigned);
    let staging = azure(app(Some("staging"), Plan::Dedicated), Identity::UserAssigned(CLIENT_ID.into()));
    let own = || azure(app(None, Plan::FlexConsumption), application());
    let orders = Named::ConnectionString { name: "Orders", kind: "SQLAzure" };
    vec![
        place("Azure, Flex Consumption: a reference", flex(), real(), SETTING),
        place("Azure, Flex Consumption: secrets/<name>", flex(), real(), Named::KeyVaultUrl),
        place("Azure, Premium, slot staging, user-assigned identity: a reference", staging, real(), SETTING),
        place("Azure, Consumption, names unknown: a reference", azure(unknown, Identity::SystemAssigned), real(), SETTING),
        place("Azure China, Flex Consumption: a connection string", flex(), vault("https://your-kv.vault.azure.cn"), orders),
        place("Azure, application with a client secret: a reference", own(), real(), SETTING),
        place("Azure, application with a client secret: secrets/<name>", own(), real(), Named::KeyVaultUrl),
    ]
}

#[rustfmt::skip]
fn on_a_laptop() -> Vec<Place> {
    let local = |identity| Surroundings { runs_in: RunsIn::Local, app: FunctionApp::default(), identity, has_identity_endpoint: false, ..Surroundings::default() };
    let embedded = || DevVault::url().expect("an address");
    let dev_vault = || vault("https://localhost:8443");
    let az = || local(Identity::Developer);
    let checking = || Surroundings { checks_an_app: true, app: FunctionApp::new(Some("func-a"), None, None, None), ..az() };
    let endpoint = || Surroundings { has_identity_endpoint: true, ..local(Identity::SystemAssigned) };
    let user_assigned = || Surroundings { identity: Identity::UserAssigned(CLIENT_ID.into()), ..endpoint() };
    let alias = || DevVaultAlias { alias: embedded(), real: dev_vault() };
    let aliased = || Surroundings { dev_vault: Some(alias()), ..endpoint() };
    let in_process = || Surroundings { runs_in: RunsIn::Embedded(embedded()), ..az() };
    vec![
        place("a laptop with az: a reference", az(), real(), SETTING),
        place("a laptop with az: secrets/<name>", az(), real(), Named::KeyVaultUrl),
        place("a laptop with an application: a reference", local(application()), real(), SETTING),
        place("a laptop with az that checks an app: a reference", checking(), real(), SETTING),
        place("a laptop with the dev vault: a reference", endpoint(), dev_vault(), SETTING),
        place("a laptop with the dev vault: a reference to embedded", aliased(), embedded(), SETTING),
        place("a laptop with the dev vault: secrets/<name>", endpoint(), dev_vault(), Named::KeyVaultUrl),
        place("a laptop with the dev vault, AZURE_CLIENT_ID set: a reference", user_assigned(), dev_vault(), SETTING),
        place("a laptop with managedidentitycredential and no endpoint: a reference", local(Identity::SystemAssigned), real(), SETTING),
        place("the embedded vault: a reference", in_process(), embedded(), SETTING),
        place("the embedded vault: secrets/<name>", in_process(), embedded(), Named::KeyVaultUrl),
        place("the embedded vault: a reference to another vault", in_process(), real(), SETTING),
    ]
}

fn expires(on: OffsetDateTime, is_certificates: bool) -> Cause {
    Cause::Expires(Expires {
        on,
        is_certificates,
        is_disabled: false,
        newer: None,
    })
}

fn causes() -> Vec<Cause> {
    let documented = "@Microsoft.KeyVault(VaultName=your-kv;SecretName=ExternalApiKey)";
    let failed = every_error().into_iter().map(Cause::Failed);
    let others = [
        Cause::NoVault,
        Cause::Deleted,
        Cause::MayNotList,
        Cause::ResolvedSinceStart,
        Cause::UnusualSpelling(documented.into()),
        Cause::OtherIdentity(CLIENT_ID.into()),
        Cause::OtherSignIn,
        Cause::Readable,
        Cause::Syntax("VaultName (or SecretUri) is missing (character 21)".into()),
        Cause::Stale(None),
        Cause::Stale(Some(documented.into())),
        expires(now() + time::Duration::hours(100), false),
        expires(now() - time::Duration::hours(100), false),
        expires(now() + time::Duration::hours(1), true),
        Cause::Listing,
        Cause::AppConfiguration,
        Cause::EmptyValue,
        Cause::MayNotRefresh,
        Cause::RefreshNotFound,
        Cause::RefreshFailed,
        Cause::NoVersionsTold,
        Cause::StaysBehind,
    ];
    failed.chain(others).collect()
}

/// Whether `cause` can be met at `place` at all.
fn is_possible(cause: &Cause, place: &Place) -> bool {
    let is_reference = place.named != Named::KeyVaultUrl;
    let is_on_azure = place.surroundings.is_on_azure();
    let is_embedded = matches!(place.surroundings.runs_in, RunsIn::Embedded(_));
    let is_other_vault = is_embedded && !place.surroundings.is_embedded(&place.vault);
    match cause {
        Cause::Failed(Error::VaultNotFound) => !is_embedded || is_other_vault,
        _ if is_other_vault => false,
        Cause::NoVault => !is_reference && !is_embedded,
        // References are to secrets.
        _ if is_reference && kind_of(cause) != ObjectKind::Secret => false,
        // References name their own vaults.
        Cause::Failed(Error::WrongSetting(wrong)) if wrong.name == "KEY_VAULT_URL" => {
            !is_reference && !is_embedded
        }
        Cause::Failed(Error::Credential(CredentialError::Failed { credential, .. })) => {
            let identity = match credential {
                CredentialKind::ClientSecret | CredentialKind::WorkloadIdentity => {
                    matches!(place.surroundings.identity, Identity::Application(_))
                }
                CredentialKind::ManagedIdentity => matches!(
                    place.surroundings.identity,
                    Identity::SystemAssigned | Identity::UserAssigned(_)
                ),
                CredentialKind::AzureCli | CredentialKind::AzureDeveloperCli => {
                    place.surroundings.identity == Identity::Developer
                }
            };
            identity && !is_embedded
        }
        Cause::Failed(Error::Credential(CredentialError::NothingConfigured)) => {
            !is_embedded
                && matches!(
                    (is_on_azure, &place.surroundings.identity),
                    (true, Identity::SystemAssigned) | (false, Identity::Developer)
                )
        }
        Cause::Failed(Error::NotFound(_) | Error::VersionNotFound(_)) | Cause::Listing => true,
        Cause::Failed(Error::Unreachable(Reach::OwnMachine)) => {
            !is_embedded
                && place.vault.azure_name().is_some()
                && place.surroundings.dev_vault.is_none()
        }
        Cause::Failed(_) | Cause::OnThePath(..) => !is_embedded,
        Cause::Deleted
        | Cause::Syntax(_)
        | Cause::AppConfiguration
        | Cause::Stale(None)
        | Cause::Expires(_) => is_reference,
        Cause::MayNotList
        | Cause::ResolvedSinceStart
        | Cause::UnusualSpelling(_)
        | Cause::Readable
        | Cause::Stale(Some(_))
        | Cause::EmptyValue => is_reference && is_on_azure,
        Cause::MayNotRefresh
        | Cause::RefreshNotFound
        | Cause::RefreshFailed
        | Cause::NoVersionsTold
        | Cause::StaysBehind => !is_reference && is_on_azure,
        Cause::OtherSignIn => {
            is_reference
                && is_on_azure
                && matches!(place.surroundings.identity, Identity::Application(_))
        }
        Cause::OtherIdentity(_) => {
            is_reference
                && is_on_azure
                && matches!(place.surroundings.identity, Identity::UserAssigned(_))
        }
    }
}

fn kind_of(cause: &Cause) -> ObjectKind {
    match cause {
        Cause::Failed(
            Error::NotFound(kind) | Error::VersionNotFound(kind) | Error::Disabled(kind),
        ) => *kind,
        _ => ObjectKind::Secret,
    }
}

fn is_about_a_list(cause: &Cause) -> bool {
    matches!(cause, Cause::Listing | Cause::Failed(Error::TooManyObjects))
}

fn words(cause: &Cause, place: &Place) -> String {
    let is_pinned = matches!(
        cause,
        Cause::Failed(Error::VersionNotFound(_) | Error::TooManyVersions)
    );
    let version = is_pinned.then_some(VERSION);
    let subject = Subject {
        vault: (*cause != Cause::NoVault).then_some(&place.vault),
        kind: kind_of(cause),
        name: (!is_about_a_list(cause)).then_some("ExternalApiKey"),
        version,
        named: place.named,
    };
    let explained = explain(cause, &subject, &place.surroundings, now());
    let mut words = format!("  code    {}\n", explained.code);
    if let Some(wait) = explained.retry_after {
        let _ = writeln!(words, "  passes  in {} s", wait.as_secs());
    }
    let _ = writeln!(words, "  detail  {}", explained.detail);
    let _ = writeln!(words, "  fix     {}", explained.fix.sentence);
    for command in &explained.fix.commands {
        let _ = writeln!(words, "        $ {command}");
    }
    words
}

#[test]
fn every_cause_in_every_place() {
    let places = places();
    let mut text = String::new();
    for cause in causes() {
        let _ = writeln!(text, "# {cause:?}\n");
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for place in places.iter().filter(|place| is_possible(&cause, place)) {
            let words = words(&cause, place);
            let mut name = place.name.to_owned();
            if place.named != Named::KeyVaultUrl {
                let status = Status::of(&cause, place.surroundings.is_on_azure());
                let _ = write!(name, " ({status})");
            }
            match groups.iter_mut().find(|(known, _)| *known == words) {
                Some((_, places)) => places.push(name),
                None => groups.push((words, vec![name])),
            }
        }
        assert!(!groups.is_empty(), "{cause:?} happens nowhere");
        for (words, places) in groups {
            for place in places {
                let _ = writeln!(text, "{place}");
            }
            let _ = writeln!(text, "{words}");
        }
    }
    insta::assert_snapshot!(text.trim_end());
}

/// What a list of a whole vault meets, and what expires: each kind in words of its own.
#[test]
fn every_kind_of_object_has_its_words() {
    let newer = "@Microsoft.KeyVault(VaultName=your-kv;SecretName=ExternalApiKey;SecretVersion=2)";
    let soon = now() + time::Duration::hours(100);
    let past = now() - time::Duration::hours(100);
    let denied = |denial| Cause::Failed(Error::AccessDenied(denial));
    let end = |is_disabled, newer: Option<&str>| {
        Cause::Expires(Expires {
            on: soon,
            is_certificates: false,
            is_disabled,
            newer: newer.map(str::to_owned),
        })
    };
    let one = Some("ExternalApiKey");
    let cases = [
        (ObjectKind::Secret, None, denied(Denial::Role)),
        (ObjectKind::Key, None, denied(Denial::Role)),
        (ObjectKind::Key, None, denied(Denial::AccessPolicy)),
        (ObjectKind::Key, one, denied(Denial::Role)),
        (ObjectKind::Certificate, one, denied(Denial::Other)),
        (ObjectKind::Key, one, expires(soon, false)),
        (ObjectKind::Key, one, expires(past, false)),
        (ObjectKind::Certificate, one, expires(soon, false)),
        (ObjectKind::Secret, one, end(false, Some(newer))),
        (ObjectKind::Secret, one, end(true, None)),
    ];
    let mut text = String::new();
    for (kind, name, cause) in cases {
        let _ = writeln!(text, "# {kind} {name:?} {cause:?}\n");
        let is_place = |place: &&Place| {
            let names = [
                "Azure, Flex",
                "Azure, Premium",
                "the embedded vault: secrets",
            ];
            names.iter().any(|name| place.name.starts_with(name))
        };
        let places = places();
        for place in places.iter().filter(is_place) {
            let subject = Subject {
                vault: Some(&place.vault),
                kind,
                name,
                version: None,
                named: place.named,
            };
            let explained = explain(&cause, &subject, &place.surroundings, now());
            let _ = writeln!(text, "{}\n  detail  {}", place.name, explained.detail);
            let _ = writeln!(text, "  fix     {}", explained.fix.sentence);
            for command in &explained.fix.commands {
                let _ = writeln!(text, "        $ {command}");
            }
        }
        text.push('\n');
    }
    insta::assert_snapshot!(text.trim_end());
}

#[test]
fn expiry_is_told_in_addition_and_never_instead() {
    let place = &places()[0];
    let subject = Subject {
        vault: Some(&place.vault),
        kind: ObjectKind::Secret,
        name: Some("ExternalApiKey"),
        version: None,
        named: place.named,
    };
    let facts = Facts {
        is_disabled: true,
        is_certificates: false,
        expires: OffsetDateTime::from_unix_timestamp(1_000_000_000).ok(),
        not_before: OffsetDateTime::from_unix_timestamp(9_000_000_000).ok(),
    };
    let plain = explain(&Cause::Readable, &subject, &place.surroundings, now());
    let told = plain.clone().and(&facts, now());
    assert_eq!((told.code, &told.fix), (plain.code, &plain.fix));
    let added = told
        .detail
        .strip_prefix(&plain.detail)
        .expect("in addition");
    assert_eq!(
        added,
        " The secret is also disabled, and Key Vault serves no value of a disabled secret. \
         The secret expired on 2001-09-09 01:46 UTC. Key Vault still serves it. \
         The secret is not valid before 2255-03-14 16:00 UTC. Key Vault serves it already."
    );
}

/// Nothing that only one kind of shell knows, and no address of one cloud alone.
#[test]
fn commands_of_a_fix_work_in_every_shell_and_cloud() {
    for place in &places() {
        for cause in causes().iter().filter(|cause| is_possible(cause, place)) {
            let text = words(cause, place);
            for command in text.lines().filter_map(|line| line.split_once("  $ ")) {
                let command = command.1;
                assert!(command.starts_with("az"), "{command}");
                for foreign in [
                    " | ",
                    "&&",
                    " [ ",
                    "$(date",
                    "management.azure.com",
                    "--assignee ",
                ] {
                    assert!(!command.contains(foreign), "{foreign} in {command}");
                }
            }
        }
    }
}
