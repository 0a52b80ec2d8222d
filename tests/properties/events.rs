//! Whatever Event Grid, or who poses as it, posts: the answer is one that the contract lists, what is
//! counted is what came, and no text of the body comes back.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
};
use keyvault_functions::{
    diagnosis::Surroundings,
    functions::{self, AppState, MetadataOptions, Rotation},
    host::{
        invocation::{Access, Limits},
        manifest::Manifest,
        router::Entry,
    },
    key_vault::{Error, VaultUrl, Vaults},
    management::{ManagementUrl, ResourceManager, SiteId},
    references::{AppSetting, Inspector, Resolves},
};
use serde_json::Value;
use tower::ServiceExt;

/// Nothing is asked: neither a vault nor Azure.
static ROUTER: LazyLock<Entry> = LazyLock::new(|| {
    let vaults = Arc::new(Vaults::new(|| std::future::ready(Err(Error::TimedOut))));
    let reference = "@Microsoft.KeyVault(VaultName=your-kv;SecretName=A)";
    let settings = vec![AppSetting::new("A", reference.to_owned().into())];
    let surroundings = Surroundings::default();
    let references = Inspector::new(settings, Resolves::Platform, &vaults, surroundings);
    let options = MetadataOptions::default();
    let url = VaultUrl::of_public_vault("your-kv").expect("a vault");
    let manager = ResourceManager::new(
        ManagementUrl::public().expect("a cloud"),
        SiteId::new("s", "rg", "func", None).expect("names"),
        |_| std::future::ready(Err(Error::TimedOut)),
    );
    let rotation = Rotation::new(Some(manager));
    let app = AppState::new(references, vaults, Ok(url), options, rotation, Vec::new());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = root
        .ancestors()
        .find(|folder| folder.join("host.json").exists());
    let manifest = Manifest::read(root.expect("the repository")).expect("valid");
    functions::all()
        .router(&manifest, &app, &Access::Host, Limits::default())
        .expect("fitting")
});

pub(crate) fn holds(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let request = Request::post("/api/events").body(Body::from(data.to_vec()));
    let (status, body) = runtime.block_on(async {
        let answer = ROUTER.clone().oneshot(request.expect("a request")).await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), usize::MAX);
        (status, body.await.expect("a body"))
    });
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    match status {
        200 if answer["validationResponse"].is_string() => {}
        200 => {
            let counted: u64 = ["accepted", "ignored", "duplicates", "malformed"]
                .iter()
                .map(|member| answer[*member].as_u64().expect("a number"))
                .sum();
            let given: Value = serde_json::from_slice(data).expect("JSON");
            let came = given.as_array().map_or(1, Vec::len);
            assert_eq!(counted, came as u64, "{answer}");
        }
        400 => assert_eq!(answer["code"], "InvalidEvents"),
        403 => assert_eq!(answer["code"], "EventsOfAnotherVault"),
        other => panic!("{other}: {answer}"),
    }
}
