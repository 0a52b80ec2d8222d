//! Finds a secret in whatever form it was written: raw, base64, URL-encoded, JSON-escaped, HTML,
//! hexadecimal, as a list of bytes, or as a piece of it.

use std::sync::LazyLock;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// What no answer and no log line may contain: the recipe's demo values, and `canary`, a
/// part of every secret, key and token that a test makes up.
const SECRETS: [&str; 3] = ["sk-abc123def456", "super-secret-password", "canary"];

/// Secrets that are longer than this are looked for in pieces too.
const PIECE: usize = 12;

static ALWAYS: LazyLock<Vec<Form>> =
    LazyLock::new(|| SECRETS.into_iter().flat_map(forms).collect());

/// One way to write a secret.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    name: &'static str,
    text: String,
}

/// Fails if `text` has one of the secrets that no test may see, or of `more`, in any form.
#[track_caller]
pub(crate) fn assert_none(what: &str, text: &str, more: &[String]) {
    let more: Vec<_> = more.iter().flat_map(|secret| forms(secret)).collect();
    if let Some((form, line)) = find(text, ALWAYS.iter().chain(&more)) {
        panic!("a secret in {what}, {form}: {line}");
    }
}

/// The form that is found first and the line that it is in.
fn find<'a, 't>(
    text: &'t str,
    forms: impl IntoIterator<Item = &'a Form>,
) -> Option<(&'static str, &'t str)> {
    forms.into_iter().find_map(|form| {
        let at = text.find(&form.text)?;
        let begin = text[..at].rfind('\n').map_or(0, |line| line + 1);
        let end = text[at..].find('\n').map_or(text.len(), |line| at + line);
        Some((form.name, &text[begin..end]))
    })
}

/// The ways to write `secret`, each once.
pub(crate) fn forms(secret: &str) -> Vec<Form> {
    let bytes = secret.as_bytes();
    let every = |write: &dyn Fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect();
    let json = |text: &str| {
        let quoted = serde_json::to_string(text).expect("JSON");
        quoted[1..quoted.len() - 1].to_owned()
    };
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let form: String = form_urlencoded::byte_serialize(bytes).collect();
    let units = |write: &dyn Fn(u16) -> String| secret.encode_utf16().map(write).collect();
    let html = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    let decimal: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let debug = format!("{secret:?}");
    let mut all = vec![
        ("raw", secret.to_owned()),
        ("lower case", secret.to_lowercase()),
        ("upper case", secret.to_uppercase()),
        ("JSON", json(secret)),
        ("JSON in JSON", json(&json(secret))),
        ("JSON, all escaped", units(&|unit| format!("\\u{unit:04x}"))),
        ("JSON, all escaped", units(&|unit| format!("\\u{unit:04X}"))),
        ("Debug", debug[1..debug.len() - 1].to_owned()),
        ("HTML", html),
        ("URL-encoded", percent.to_lowercase()),
        ("URL-encoded", percent),
        ("URL-encoded form", form),
        ("URL-encoded, all", every(&|byte| format!("%{byte:02X}"))),
        ("URL-encoded, all", every(&|byte| format!("%{byte:02x}"))),
        ("hexadecimal", every(&|byte| format!("{byte:02x}"))),
        ("hexadecimal", every(&|byte| format!("{byte:02X}"))),
        ("escaped bytes", every(&|byte| format!("\\x{byte:02x}"))),
        ("a list of bytes", decimal.join(", ")),
        ("a list of bytes", decimal.join(",")),
    ];
    for shift in 0..3 {
        all.push(("base64", in_base64(&STANDARD_NO_PAD, bytes, shift)));
        all.push(("base64url", in_base64(&URL_SAFE_NO_PAD, bytes, shift)));
    }
    if secret.is_ascii() && secret.len() >= 2 * PIECE {
        all.push(("its beginning", secret[..PIECE].to_owned()));
        all.push(("its end", secret[secret.len() - PIECE..].to_owned()));
    }
    let mut forms: Vec<Form> = Vec::new();
    for (name, text) in all {
        if !forms.iter().any(|form| form.text == text) {
            forms.push(Form { name, text });
        }
    }
    forms
}

/// The characters that depend on `bytes` alone where `shift` other bytes stand before them.
fn in_base64(engine: &impl Engine, bytes: &[u8], shift: usize) -> String {
    let mut shifted = vec![0; shift];
    shifted.extend_from_slice(bytes);
    let whole = shifted.len() * 8 / 6;
    let begin = (shift * 8).div_ceil(6);
    engine.encode(shifted)[begin..whole].to_owned()
}

#[test]
fn each_form_is_found() {
    let secret = "canary \"q\" \\ +/=?&% é <b>";
    let found = |text: &str| find(text, &forms(secret)).is_some();
    for shift in ["", "x", "xy", "xyz"] {
        let text = format!("{shift}{secret}{shift}");
        let hex = |text: &str| {
            let bytes: Vec<_> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            bytes.concat()
        };
        for written in [
            text.clone(),
            STANDARD_NO_PAD.encode(&text),
            URL_SAFE_NO_PAD.encode(&text),
            hex(&text),
            hex(&text).to_uppercase(),
            format!("{text:?}"),
            format!("{:?}", text.as_bytes()),
            serde_json::to_string(&text).expect("JSON"),
            serde_json::json!({"body": serde_json::to_string(&text).expect("JSON")}).to_string(),
            utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string(),
            form_urlencoded::byte_serialize(text.as_bytes()).collect(),
            maud::html! { p title=(text) { (text) } }.into_string(),
        ] {
            assert!(found(&format!("before\n{written}\nafter")), "{written}");
        }
    }
    assert!(!found("canar y and nothing else"));
    let token = "0123456789abcdef0123456789abcdef";
    assert!(find("only 0123456789ab", &forms(token)).is_some());
}
