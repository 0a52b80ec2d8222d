//! Which texts are references, and what is wrong with the others.

use proptest::prelude::*;

use super::*;
use crate::references::is_reference;

const VERSION: &str = "ec96f02080254f109c51a1f14cdb1931";

fn parse(inside: &str) -> Result<Reference, SyntaxError> {
    Reference::parse(&format!("@Microsoft.KeyVault({inside})"))
}

fn read(inside: &str) -> (String, String, Option<String>) {
    let reference = parse(inside).expect(inside);
    (
        reference.vault.authority().to_owned(),
        reference.name.to_string(),
        reference.version,
    )
}

#[test]
fn every_documented_form_is_read() {
    let host = "your-kv.vault.azure.net".to_owned();
    let latest = (host.clone(), "Ab-1".to_owned(), None);
    let pinned = (host, "Ab-1".to_owned(), Some(VERSION.to_owned()));
    for inside in [
        "SecretUri=https://your-kv.vault.azure.net/secrets/Ab-1",
        "SecretUri=https://your-kv.vault.azure.net/secrets/Ab-1/",
        "VaultName=your-kv;SecretName=Ab-1",
        "SecretName=Ab-1;VaultName=your-kv",
        " VaultName = your-kv ; SecretName = Ab-1 ; ",
        "vaultname=Your-KV;secretname=Ab-1;SecretVersion=",
    ] {
        assert_eq!(read(inside), latest, "{inside}");
    }
    for inside in [
        format!("SecretUri=https://your-kv.vault.azure.net/secrets/Ab-1/{VERSION}"),
        format!("SecretUri=https://your-kv.vault.azure.net/secrets/Ab-1/{VERSION}/"),
        format!("SecretVersion={VERSION};SecretName=Ab-1;VaultName=your-kv"),
    ] {
        assert_eq!(read(&inside), pinned, "{inside}");
    }
}

#[test]
fn other_clouds_and_own_hosts_come_by_uri() {
    for host in [
        "your-kv.vault.azure.cn",
        "your-kv.vault.usgovcloudapi.net",
        "localhost:8443",
        "[::1]:8443",
    ] {
        let (authority, ..) = read(&format!("SecretUri=https://{host}/secrets/n/"));
        assert_eq!(authority, host);
    }
}

#[test]
fn the_recipes_short_version_is_syntax_and_no_version() {
    let reference = parse("SecretUri=https://your-kv.vault.azure.net/secrets/n/abc123def456");
    let reference = reference.expect("well-formed");
    assert_eq!(reference.version.as_deref(), Some("abc123def456"));
    assert_eq!(reference.secret().err(), Some(InvalidObjectVersion));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    use SyntaxErrorKind as Kind;
    for (value, kind, at) in [
        ("plain", Kind::NotAReference, 1),
        ("\"@Microsoft.KeyVault(x)\"", Kind::Quoted, 1),
        ("\u{201c}@Microsoft.KeyVault(x)", Kind::Quoted, 1),
        ("@Microsoft.KeyVault(x)' ", Kind::Quoted, 23),
        ("\u{feff}@Microsoft.KeyVault(x)", Kind::ByteOrderMark, 1),
        ("\u{feff}\"@Microsoft.KeyVault(x)", Kind::ByteOrderMark, 1),
        ("\"\u{feff}@Microsoft.KeyVault(x)", Kind::Quoted, 1),
        ("@Microsoft.KeyVault (x)", Kind::SpaceBeforeParenthesis, 20),
        ("@Microsoft.KeyVault", Kind::NotAReference, 20),
        ("@Microsoft.KeyVault[x]", Kind::NotAReference, 20),
        (" ä@Microsoft.KeyVault(x)", Kind::TextAround, 2),
        ("\"a\":\"@Microsoft.KeyVault(x)\"", Kind::TextAround, 1),
        ("@Microsoft.KeyVault(x); b", Kind::TextAround, 23),
        (
            "@Microsoft.KeyVault(VaultName=abc;SecretName=n",
            Kind::NotClosed,
            47,
        ),
        ("@Microsoft.KeyVault(x)y", Kind::TextAround, 23),
        ("@Microsoft.KeyVault()", Kind::NotAPair, 21),
        ("@Microsoft.KeyVault(VaultName)", Kind::NotAPair, 21),
        ("@Microsoft.KeyVault(Vault=abc)", Kind::UnknownKey, 21),
        (
            "@Microsoft.KeyVault(VaultName=abc;VaultName=abc)",
            Kind::RepeatedKey,
            35,
        ),
        (
            "@Microsoft.KeyVault(SecretUri=https://h/secrets/n;SecretName=n)",
            Kind::MixedForms,
            31,
        ),
        ("@Microsoft.KeyVault(SecretName=n)", Kind::NoVault, 21),
        ("@Microsoft.KeyVault(VaultName=abc)", Kind::NoSecret, 21),
        (
            "@Microsoft.KeyVault(VaultName=a.b.c;SecretName=n)",
            Kind::VaultName,
            31,
        ),
        (
            "@Microsoft.KeyVault(VaultName=ab;SecretName=n)",
            Kind::VaultName,
            31,
        ),
        (
            "@Microsoft.KeyVault(VaultName=abc;SecretName=a_b)",
            Kind::SecretName,
            46,
        ),
        (
            "@Microsoft.KeyVault(VaultName=abc;SecretName=)",
            Kind::SecretName,
            46,
        ),
        (
            "@Microsoft.KeyVault(VaultName=abc;SecretName=n;SecretVersion=-)",
            Kind::SecretVersion,
            62,
        ),
        (
            "@Microsoft.KeyVault(SecretUri=http://h/secrets/n)",
            Kind::SecretUri,
            31,
        ),
        (
            "@Microsoft.KeyVault(SecretUri=https://h/keys/n)",
            Kind::SecretUri,
            41,
        ),
        (
            "@Microsoft.KeyVault(SecretUri=https://u@h/secrets/n)",
            Kind::SecretUri,
            39,
        ),
        (
            "@Microsoft.KeyVault(SecretUri=https://h:x/secrets/n)",
            Kind::SecretUri,
            39,
        ),
        (
            "@Microsoft.KeyVault(SecretUri=https://h/secrets/n/v/w)",
            Kind::SecretUri,
            53,
        ),
        (
            "@Microsoft.KeyVault(SecretUri=https://h/secrets/n?x=1)",
            Kind::SecretName,
            49,
        ),
    ] {
        let error = Reference::parse(value).expect_err(value);
        assert_eq!(error, SyntaxError { kind, at }, "{value}");
    }
}

#[test]
fn the_canonical_form_parses_to_the_same_reference() {
    for inside in [
        "SecretUri=https://your-kv.vault.azure.net/secrets/Ab",
        &format!("SecretUri=https://localhost:8443/secrets/Ab/{VERSION}/"),
        " secretname=Ab ; vaultname=your-kv",
        &format!("SecretVersion={VERSION};VaultName=your-kv;SecretName=Ab"),
    ] {
        let reference = parse(inside).expect(inside);
        let printed = reference.to_string();
        assert_eq!(Reference::parse(&printed).expect(&printed), reference);
        assert_eq!(
            Reference::parse(&printed).expect(&printed).to_string(),
            printed
        );
    }
}

#[test]
fn a_spelling_that_is_not_documented_is_noticed() {
    for (value, unusual) in [
        ("@Microsoft.KeyVault(VaultName=abc;SecretName=n;)", false),
        ("@Microsoft.KeyVault(SecretUri=https://h/secrets/n)", false),
        ("@microsoft.keyvault(VaultName=abc;SecretName=n)", true),
        ("@Microsoft.KeyVault(vaultname=abc;SecretName=n)", true),
        ("@Microsoft.KeyVault(VaultName=abc; SecretName=n)", true),
        (" @Microsoft.KeyVault(VaultName=abc;SecretName=n)", true),
    ] {
        let reference = Reference::parse(value).expect(value);
        assert_eq!(reference.has_unusual_spelling, unusual, "{value}");
    }
}

/// A well-formed reference, with white space and letter case as people write them.
fn well_formed() -> impl Strategy<Value = String> {
    let space = "[ \t]{0,2}";
    let version = proptest::option::of("[0-9a-f]{32}");
    let by_name = (
        "[a-zA-Z]([a-zA-Z0-9]|-[a-zA-Z0-9]){2,11}",
        "[a-zA-Z0-9-]{1,127}",
        version.clone(),
        space,
        Just(()).prop_perturb(|(), mut random| random.random::<u32>()),
    )
        .prop_map(|(vault, name, version, space, order)| {
            let mut pairs = vec![
                format!("VaultName={space}{vault}"),
                format!("secretName{space}={name}"),
            ];
            pairs.extend(version.map(|version| format!("SECRETVERSION={version}{space}")));
            let by = order as usize % pairs.len();
            pairs.rotate_left(by);
            format!(
                "{space}@Microsoft.KeyVault({}){space}",
                pairs.join(&format!("{space};{space}"))
            )
        });
    let by_uri = (
        r"[a-z0-9]([a-z0-9]|-[a-z0-9]){0,10}(\.[a-z][a-z0-9]{0,9}){1,3}(:[1-9][0-9]{0,3})?",
        "[a-zA-Z0-9-]{1,127}",
        version,
        "/?",
    )
        .prop_map(|(host, name, version, slash)| {
            let version = version
                .map(|version| format!("/{version}"))
                .unwrap_or_default();
            format!("@Microsoft.KeyVault(SecretUri=https://{host}/secrets/{name}{version}{slash})")
        });
    prop_oneof![by_name, by_uri]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fail_otherwise_than_by_saying_so(text in ".*") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert!(is_reference(&text));
            prop_assert_eq!(Reference::parse(&reference.to_string()).ok(), Some(reference));
        }
    }

    #[test]
    fn nor_does_a_text_that_almost_is_one(inside in "[VaultNameSecretUriVersion=;:/@ a-z0-9-]{0,60}") {
        let text = format!("@Microsoft.KeyVault({inside})");
        if let Err(error) = Reference::parse(&text) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.at));
        }
    }

    #[test]
    fn what_is_no_reference_is_never_taken_for_one(text in "[^@].*") {
        prop_assume!(!text.to_lowercase().contains("@microsoft."));
        prop_assert!(!is_reference(&text));
        prop_assert!(Reference::parse(&text).is_err());
    }

    #[test]
    fn a_well_formed_one_is_read_and_printed_and_read_again(text in well_formed()) {
        let reference = Reference::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        let printed = reference.to_string();
        let again = Reference::parse(&printed).map_err(|error| TestCaseError::fail(format!("{error}: {printed}")))?;
        prop_assert_eq!(&again, &reference);
        prop_assert_eq!(again.to_string(), printed);
    }
}
