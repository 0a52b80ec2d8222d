//! No `WEBSITE_KEYVAULT_REFERENCES` keeps the handler from starting, takes it long, or puts more
//! than a word into an answer.

use keyvault_functions::{
    references::{
        AppSetting,
        status::{PlatformStatus, read_platform_report},
    },
    settings::{Environment, Settings},
};

pub(crate) fn holds(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let report = read_platform_report(&text);
    for entry in &report {
        if let Some(PlatformStatus::Unknown(word)) = &entry.status {
            assert!((1..=64).contains(&word.len()), "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }
    let environment = Environment::of(&[
        ("WEBSITE_KEYVAULT_REFERENCES", &text),
        ("EXTERNAL_API_KEY", "a value"),
    ]);
    let settings = Settings::read(&environment).expect("the report is never refused");
    let settings = settings.app_settings;
    // The recipe's setting is there, even behind as many as are listed.
    assert!(settings.listed.len() <= 1_001);
    assert!(settings.not_listed == 0 || settings.listed.len() >= 1_000);
    let mut names: Vec<_> = settings.listed.iter().map(AppSetting::name).collect();
    assert!(names.contains(&"EXTERNAL_API_KEY"), "{names:?}");
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "each setting once");
}
