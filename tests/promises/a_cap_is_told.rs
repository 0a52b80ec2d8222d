//! Nothing is left out in silence: what is not listed is counted, and a gate does not pass on it.

use keyvault_functions::references::AppSetting;
use serde_json::{Map, Value, json};

use super::support::{ClientRequest, Fault, FunctionsHost, InProcess, MODES, Setup};

/// More than are listed.
const MANY: usize = 1_020;

fn report() -> String {
    let resolved = json!({"status": "Resolved", "rawReference": "@Microsoft.KeyVault(VaultName=abc;SecretName=n)"});
    let entries = (0..MANY).map(|number| (format!("KEY_{number:04}"), resolved.clone()));
    json!(entries.collect::<Map<_, _>>()).to_string()
}

#[tokio::test]
async fn references_beyond_the_cap_are_counted_and_fail_strict() {
    let report = report();
    let names: Vec<_> = (0..MANY).map(|number| format!("KEY_{number:04}")).collect();
    let mut environment: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), "canary-of-a-key"))
        .collect();
    environment.push(("WEBSITE_KEYVAULT_REFERENCES", &report));
    // The recipe's two settings are looked at wherever they stand.
    environment.push(("EXTERNAL_API_KEY", "canary-of-the-key"));
    let host = FunctionsHost::start(&environment).await;
    for mode in MODES {
        let request = ClientRequest::config_check();
        let answer = host.call(mode, &request).await.json();
        let listed = answer["references"].as_array().expect("an array");
        assert!(listed.iter().all(|one| one["status"] == "Resolved"));
        assert_eq!((listed.len(), &answer["not_listed"]), (1_000, &json!(20)));
        assert_eq!(answer["external_api_key_set"], true, "{mode:?}");
        let strict = host.call(mode, &request.with_query("strict", "true")).await;
        assert_eq!(strict.status, 503, "{mode:?}");
    }
    let page = ClientRequest::config_check().with_header("accept", "text/html");
    let page = host.call(MODES[0], &page).await.body;
    assert!(page.contains("20 more references are not listed"), "{page}");
    assert!(!page.contains("All 1000 references"), "{page}");
}

#[tokio::test]
async fn not_listed_is_left_out_below_the_cap() {
    let host = FunctionsHost::start(&[]).await;
    let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
    assert!(answer.json().get("not_listed").is_none(), "{answer:?}");
}

/// As many references to the same secret, in an app of its own.
fn app(references: usize) -> InProcess {
    let value = "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)";
    let settings = (0..references).map(|number| {
        let name = format!("KEY_{number:04}");
        AppSetting::new(name, value.to_owned().into())
    });
    InProcess::with(Setup {
        settings: settings.collect(),
        ..Setup::default()
    })
}

/// How many references have this status, and how many say that the budget is spent.
async fn counted(app: &InProcess, status: &str) -> (usize, usize) {
    let answer = app.get("/api/config-check").await.json();
    let listed = answer["references"].as_array().expect("an array");
    let is_untried = |one: &&Value| one["detail"].to_string().contains("400 in 10 s");
    (
        listed.iter().filter(|one| one["status"] == status).count(),
        listed.iter().filter(is_untried).count(),
    )
}

/// A missing secret takes three requests, and config-check has 200 in 10 s.
#[tokio::test(start_paused = true)]
async fn references_are_explained_up_to_the_budget_of_requests() {
    let app = app(66);
    assert_eq!(counted(&app, "SecretNotFound").await, (66, 0));
    assert_eq!(app.reads(), 198);
}

/// Whoever may not read a vault may read none of its secrets. That takes one request each.
#[tokio::test(start_paused = true)]
async fn references_beyond_the_budget_say_so_and_come_in_their_turn() {
    let app = app(1_000);
    app.fail_with(Fault::Deny("ForbiddenByRbac"));
    let mut explained = 0;
    for round in 1..=5 {
        let (denied, untried) = counted(&app, "AccessToKeyVaultDenied").await;
        assert_eq!(denied + untried, 1_000, "round {round}");
        assert!(denied >= explained + 190, "round {round}: {denied}");
        explained = denied;
        // The probes leave as much to secrets/<name>.
        assert!(app.reads() <= 210 * round, "round {round}: {}", app.reads());
        tokio::time::advance(std::time::Duration::from_secs(11)).await;
    }
    assert!(counted(&app, "AccessToKeyVaultDenied").await.0 >= 990);
}
