//! A reference that did not resolve has one of the platform's eleven statuses, a reason, and
//! a command with the real names in it.

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::IntoResponse,
};
use keyvault_functions::{
    dev_vault::{Attributes, DevVault, NewSecret},
    diagnosis::{Identity, Surroundings},
    key_vault::{
        Error, MetadataSource,
        error::{CredentialError, CredentialKind, SignInFailure},
    },
    references::{AppSetting, Resolves, status::read_platform_report},
};
use serde_json::{Value, json};

use super::support::{Answer, Fault, InProcess, Setup, func_a};

const GOOD: &str = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";

/// The setting `KEY` as it stands in the process, with what the platform says.
fn setting(value: &str, word: Option<&str>) -> AppSetting {
    let setting = AppSetting::new("KEY", value.to_owned().into());
    let Some(word) = word else {
        return setting;
    };
    let report = json!({"KEY": {"rawReference": value, "status": word}}).to_string();
    let entry = read_platform_report(&report).remove(0);
    setting.reported(entry.raw_reference.as_deref(), entry.status)
}

/// On Azure: the platform has tried, the handler explains.
fn on_azure(value: &str, word: Option<&str>) -> InProcess {
    InProcess::with(Setup {
        settings: vec![setting(value, word)],
        surroundings: func_a(),
        ..Setup::default()
    })
}

async fn report(app: &InProcess) -> Value {
    let answer: Answer = app.get("/api/config-check").await;
    answer.json()["references"][0].clone()
}

/// Checks status, a part of the detail and of the fix, and returns the whole.
async fn expect(app: &InProcess, status: &str, detail: &str, fix: &str) -> Value {
    let report = report(app).await;
    assert_eq!(report["status"], status, "{report}");
    let text = |member: &str| report[member].as_str().unwrap_or_default().to_owned();
    assert!(text("detail").contains(detail), "{report}");
    assert!(text("fix").contains(fix), "{report}");
    report
}

mod the_recipes_troubleshooting_table {
    use super::*;

    #[tokio::test]
    async fn the_setting_shows_the_raw_reference_because_the_identity_lacks_access() {
        let app = on_azure(GOOD, None);
        app.fail_with(Fault::Deny("ForbiddenByRbac"));
        let grant = "az role assignment create --role \"Key Vault Secrets User\" --assignee-object-id \"$(az functionapp identity show --name func-a --resource-group rg-a --query principalId -o tsv)\" --assignee-principal-type ServicePrincipal";
        expect(&app, "AccessToKeyVaultDenied", "vault embedded", grant).await;
        let app = on_azure(GOOD, None);
        app.fail_with(Fault::Deny("AccessDenied"));
        let grant = "az keyvault set-policy --name embedded";
        expect(&app, "AccessToKeyVaultDenied", "no access policy", grant).await;
    }

    #[tokio::test]
    async fn secret_not_found_because_the_name_does_not_exist() {
        let value = "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)";
        let list = "az keyvault secret list --vault-name embedded";
        expect(
            &on_azure(value, None),
            "SecretNotFound",
            "no secret Missing",
            list,
        )
        .await;
    }

    #[tokio::test]
    async fn forbidden_by_policy_because_the_firewall_blocks_access() {
        for (inner, detail, fix) in [
            (
                "ForbiddenByPolicy",
                "(ForbiddenByPolicy). Some pages use this word for the vault's firewall",
                "az keyvault show --name embedded --query properties.networkAcls",
            ),
            (
                "ForbiddenByFirewall",
                "firewall",
                "az keyvault network-rule add --name embedded --subnet <subnet-id>",
            ),
            (
                "ForbiddenByConnection",
                "accepts only private endpoints",
                "az network private-endpoint create --name embedded-endpoint",
            ),
        ] {
            let app = on_azure(GOOD, None);
            app.fail_with(Fault::Deny(inner));
            let report = expect(&app, "AccessToKeyVaultDenied", detail, fix).await;
            let fix = report["fix"].as_str().expect("text");
            // References may be fetched from other addresses than the app's own.
            assert!(!fix.contains("--ip-address"), "{fix}");
        }
    }

    #[tokio::test]
    async fn works_in_the_portal_but_not_in_code_because_the_app_was_not_restarted() {
        let restart = "az functionapp restart --name func-a --resource-group rg-a";
        let app = on_azure(GOOD, Some("Resolved"));
        expect(&app, "Initialized", "after this process started", restart).await;
    }
}

mod the_eleven_statuses {
    use super::*;

    #[tokio::test]
    async fn resolved() {
        let setting = AppSetting::new("KEY", "canary-value".to_owned().into());
        let report_text = json!({"KEY": {"rawReference": GOOD, "status": "Resolved"}}).to_string();
        let entry = read_platform_report(&report_text).remove(0);
        let setting = setting.reported(entry.raw_reference.as_deref(), entry.status);
        let app = InProcess::with(Setup {
            settings: vec![setting],
            ..Setup::default()
        });
        let report = report(&app).await;
        assert_eq!(
            report,
            json!({"setting": "KEY", "kind": "KeyVault", "status": "Resolved",
                "vault": "embedded.vault.azure.net", "secret": "ExternalApiKey", "source": "platform"})
        );
        assert_eq!(app.reads(), 0, "the vault is not asked");
    }

    #[tokio::test]
    async fn initialized() {
        let refresh = "config/configreferences/appsettings/refresh?api-version=2022-03-01";
        let app = on_azure(GOOD, Some("Initialized"));
        let report = expect(&app, "Initialized", "can read ExternalApiKey", refresh).await;
        assert_eq!(report["source"], "platform");
        expect(
            &on_azure(GOOD, None),
            "Initialized",
            "changed after",
            refresh,
        )
        .await;
    }

    #[tokio::test]
    async fn invalid_syntax() {
        let value = "@Microsoft.KeyVault(VaultName=embedded;Secret=x)";
        let set = "az functionapp config appsettings set --name func-a --resource-group rg-a --settings KEY=<reference-in-quotes>";
        let report = expect(
            &on_azure(value, None),
            "InvalidSyntax",
            "(character 40)",
            set,
        )
        .await;
        assert_eq!(report["source"], "handler");
        let report = report_of(value, "InvalidSyntax").await;
        assert_eq!(report["source"], "platform");
    }

    async fn report_of(value: &str, word: &str) -> Value {
        report(&on_azure(value, Some(word))).await
    }

    #[tokio::test]
    async fn msi_not_enabled() {
        for cause in [
            CredentialError::NothingConfigured,
            CredentialError::Failed {
                credential: CredentialKind::ManagedIdentity,
                cause: SignInFailure::IdentityNotAssigned,
            },
        ] {
            let app = InProcess::with(Setup {
                settings: vec![setting(GOOD, None)],
                surroundings: func_a(),
                unconnected: Some(Error::Credential(cause)),
                ..Setup::default()
            });
            let assign = "az functionapp identity assign --name func-a --resource-group rg-a";
            expect(&app, "MSINotEnabled", "identity", assign).await;
        }
    }

    #[tokio::test]
    async fn vault_not_found() {
        let value = "@Microsoft.KeyVault(VaultName=elsewhere;SecretName=Ab)";
        let set = "az keyvault show --name elsewhere --query properties.vaultUri";
        let detail = "elsewhere.vault.azure.net";
        expect(&on_azure(value, None), "VaultNotFound", detail, set).await;
    }

    #[tokio::test]
    async fn secret_not_found() {
        let app = on_azure(GOOD, None);
        app.vault.store().delete("ExternalApiKey");
        let recover = "az keyvault secret recover --vault-name embedded --name ExternalApiKey";
        expect(&app, "SecretNotFound", "deleted", recover).await;
    }

    #[tokio::test]
    async fn secret_version_not_found() {
        let version = "0".repeat(32);
        for version in [version.as_str(), "abc123def456"] {
            let uri = format!("https://embedded.vault.azure.net/secrets/ExternalApiKey/{version}");
            let app = on_azure(&format!("@Microsoft.KeyVault(SecretUri={uri})"), None);
            let list =
                "az keyvault secret list-versions --vault-name embedded --name ExternalApiKey";
            let report = expect(&app, "SecretVersionNotFound", version, list).await;
            assert_eq!(report["version"], version);
        }
    }

    #[tokio::test]
    async fn access_to_key_vault_denied() {
        let app = on_azure(GOOD, Some("AccessToKeyVaultDenied"));
        app.fail_with(Fault::Deny("SomethingNew"));
        let report = expect(
            &app,
            "AccessToKeyVaultDenied",
            "refuses",
            "az role assignment",
        )
        .await;
        assert_eq!(report["source"], "platform");
    }

    #[tokio::test(start_paused = true)]
    async fn fetch_timed_out() {
        let app = on_azure(GOOD, None);
        app.fail_with(Fault::Silence);
        expect(
            &app,
            "FetchTimedOut",
            "did not answer in time",
            "network security group",
        )
        .await;
    }

    #[tokio::test]
    async fn unauthorized_client() {
        let app = on_azure(GOOD, None);
        app.fail_with(Fault::Outage(401));
        expect(
            &app,
            "UnauthorizedClient",
            "It does not say why",
            "az functionapp identity show --name func-a --resource-group rg-a --query tenantId",
        )
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn other_reasons() {
        for (fault, detail) in [
            (Fault::Throttle(None), "limits the number of requests"),
            (Fault::Outage(503), "reports a problem of its own"),
        ] {
            let app = on_azure(GOOD, None);
            app.fail_with(fault);
            expect(&app, "OtherReasons", detail, "Wait.").await;
        }
        let report = report(&on_azure(GOOD, Some("ValueNotFound"))).await;
        let detail = report["detail"].as_str().expect("text");
        assert!(
            detail.ends_with("The platform's own status is ValueNotFound."),
            "{report}"
        );
    }
}

/// A vault whose secret has these attributes.
fn on_azure_with(attributes: Attributes, word: Option<&str>) -> InProcess {
    let vault = DevVault::default();
    let secret = NewSecret {
        attributes,
        ..NewSecret::of("canary")
    };
    vault.store().set("ExternalApiKey", secret).expect("set");
    let setup = Setup {
        settings: vec![setting(GOOD, word)],
        surroundings: func_a(),
        ..Setup::default()
    };
    InProcess::on(vault, setup)
}

fn disabled() -> Attributes {
    Attributes {
        enabled: false,
        ..Attributes::default()
    }
}

#[tokio::test]
async fn a_disabled_secret_is_named() {
    let enable = "az keyvault secret set-attributes --vault-name embedded --name ExternalApiKey --enabled true";
    for word in [None, Some("OtherReasons")] {
        let app = on_azure_with(disabled(), word);
        expect(&app, "OtherReasons", "is disabled", enable).await;
    }
    // The platform was stopped before it could know.
    let app = on_azure_with(disabled(), Some("MSINotEnabled"));
    expect(&app, "MSINotEnabled", "is also disabled", "").await;
}

/// Key Vault serves such a secret all the same: its dates keep no reference from resolving.
#[tokio::test]
async fn expiry_is_told_in_addition_to_the_cause() {
    let expired = Attributes {
        exp: Some(1_000_000_000),
        ..Attributes::default()
    };
    let later = Attributes {
        nbf: Some(9_000_000_000),
        ..Attributes::default()
    };
    for (attributes, told) in [
        (expired, "The secret expired on 2001-09-09"),
        (later, "The secret is not valid before 2255-"),
    ] {
        for (word, status) in [
            (None, "Initialized"),
            (Some("AccessToKeyVaultDenied"), "AccessToKeyVaultDenied"),
        ] {
            let app = on_azure_with(attributes, word);
            let report = expect(&app, status, told, "configreferences").await;
            let detail = report["detail"].as_str().expect("text");
            assert!(detail.starts_with("The handler can read"), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_user_assigned_identity_without_key_vault_reference_identity_is_named() {
    let surroundings = Surroundings {
        identity: Identity::UserAssigned("0a1b-2c3d".into()),
        ..func_a()
    };
    for word in [None, Some("MSINotEnabled"), Some("AccessToKeyVaultDenied")] {
        let app = InProcess::with(Setup {
            settings: vec![setting(GOOD, word)],
            surroundings: surroundings.clone(),
            ..Setup::default()
        });
        let status = word.unwrap_or("Initialized");
        let fix = "az functionapp update --name func-a --resource-group rg-a --set keyVaultReferenceIdentity=\"$(az identity list --query \"[?clientId=='0a1b-2c3d'].id\" -o tsv)\"";
        expect(&app, status, "keyVaultReferenceIdentity", fix).await;
    }
}

/// The platform needs to get; listing is no proof of that, and no value is read to find out.
#[tokio::test]
async fn who_may_list_but_not_get_is_denied() {
    let app = on_azure(GOOD, Some("AccessToKeyVaultDenied"));
    app.fail_with(Fault::DenyGetting("ForbiddenByRbac"));
    expect(
        &app,
        "AccessToKeyVaultDenied",
        "has no role",
        "az role assignment",
    )
    .await;
}

#[tokio::test]
async fn who_may_get_but_not_list_is_told_what_cannot_be_known() {
    let app = on_azure(GOOD, None);
    app.fail_with(Fault::DenyListing("ForbiddenByRbac"));
    expect(
        &app,
        "Initialized",
        "cannot tell whether ExternalApiKey exists without reading its value",
        "refresh",
    )
    .await;
}

#[tokio::test]
async fn the_fix_enables_the_pinned_version_and_not_the_latest() {
    let disabled = NewSecret {
        attributes: Attributes {
            enabled: false,
            ..Attributes::default()
        },
        ..NewSecret::of("canary")
    };
    let vault = keyvault_functions::dev_vault::DevVault::seeded().expect("randomness");
    let version = vault.store().set("Pinned", disabled).expect("set");
    vault
        .store()
        .set("Pinned", NewSecret::of("canary"))
        .expect("set");
    let value = format!(
        "@Microsoft.KeyVault(VaultName=embedded;SecretName=Pinned;SecretVersion={version})"
    );
    let app = InProcess::on(
        vault,
        Setup {
            settings: vec![setting(&value, None)],
            ..Setup::default()
        },
    );
    let command = format!("--name Pinned --version {version} --enabled true");
    expect(&app, "OtherReasons", "is disabled", &command).await;
}

#[tokio::test]
async fn a_spelling_that_the_platform_may_not_know_is_named() {
    let value = "@Microsoft.KeyVault(vaultname=embedded; SecretName=ExternalApiKey)";
    let set =
        "--settings \"KEY=@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)\"";
    expect(
        &on_azure(value, None),
        "InvalidSyntax",
        "not spelt as documented",
        set,
    )
    .await;
}

/// The handler tries with its own identity, but on Azure it never puts a value in place.
#[tokio::test]
async fn on_azure_no_reference_is_resolved_by_the_handler() {
    let app = InProcess::with(Setup {
        settings: vec![AppSetting::new("EXTERNAL_API_KEY", GOOD.to_owned().into())],
        ..Setup::default()
    });
    for _ in 0..2 {
        let answer = app.get("/api/config-check").await.json();
        assert_eq!(answer["external_api_key_set"], false);
        assert_eq!(answer["api_key_prefix"], "***");
    }
    assert_eq!(
        app.reads(),
        2,
        "may it get, what is listed; then the finding stands"
    );
}

/// A vault in which asking for any version that exists ends the test's hopes.
fn without_values(vault: Router) -> Router {
    vault.layer(middleware::from_fn(|request: Request, next: Next| async {
        let version = request.uri().path().rsplit('/').next().unwrap_or_default();
        let is_harmless = version == "versions" || version == "0".repeat(32);
        if is_harmless || !request.headers().contains_key("authorization") {
            return next.run(request).await;
        }
        StatusCode::IM_A_TEAPOT.into_response()
    }))
}

#[tokio::test]
async fn on_azure_no_value_is_read_to_explain_a_reference() {
    let app = InProcess::with(Setup {
        settings: vec![setting(GOOD, None)],
        wrap: without_values,
        ..Setup::default()
    });
    expect(&app, "Initialized", "can read ExternalApiKey", "").await;
    let reading = app.get("/api/config-check?freshness=true").await;
    assert_eq!(reading.status, 200);
    let get = InProcess::with(Setup {
        source: MetadataSource::Get,
        wrap: without_values,
        ..Setup::default()
    });
    let answer = get.get("/api/secrets/ExternalApiKey").await;
    assert_eq!(answer.status, 502, "the guard of this test works");
}

/// Elsewhere nobody else would.
#[tokio::test]
async fn outside_azure_both_forms_of_a_reference_are_resolved() {
    let uri =
        "@Microsoft.KeyVault(SecretUri=https://embedded.vault.azure.net/secrets/DatabasePassword)";
    let app = InProcess::with(Setup {
        settings: vec![
            AppSetting::new("EXTERNAL_API_KEY", GOOD.to_owned().into()),
            AppSetting::new("DATABASE_PASSWORD", uri.to_owned().into()),
        ],
        resolves: Resolves::Handler,
        ..Setup::default()
    });
    let answer = app.get("/api/config-check").await.json();
    assert_eq!(answer["external_api_key_set"], true);
    assert_eq!(answer["database_password_set"], true);
    assert_eq!(answer["references"][1]["status"], "Resolved");
}
