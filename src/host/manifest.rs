//! `host.json` and every `<function>/function.json`: the only place where routes,
//! methods and auth levels are written.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use axum::http::Method;
use axum::routing::MethodFilter;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    authorization::AuthLevel,
    route::{Route, RouteError},
};
use crate::{jsonc, system};

/// The functions of one app, as its manifests describe them.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// First segment of every route; `api` unless `host.json` says otherwise, and empty if there
    /// is none.
    pub route_prefix: String,
    /// By name, which is the folder's name.
    pub functions: BTreeMap<String, FunctionManifest>,
}

/// One `function.json`.
#[derive(Debug, Clone)]
pub struct FunctionManifest {
    /// Below the route prefix.
    pub route: Route,
    /// What the trigger accepts, in the order of the file.
    pub methods: Vec<Method>,
    /// Who may call.
    pub auth_level: AuthLevel,
    /// Name of the trigger binding: the key under `Data` in an envelope.
    pub input: String,
    /// Name of the HTTP output binding: the key under `Outputs`, or `$return`.
    pub output: String,
}

impl FunctionManifest {
    /// The methods as axum takes them.
    #[must_use]
    pub fn method_filter(&self) -> Option<MethodFilter> {
        self.methods
            .iter()
            .filter_map(|method| MethodFilter::try_from(method.clone()).ok())
            .reduce(MethodFilter::or)
    }
}

/// One thing that is wrong with a manifest, and what to do about it.
#[derive(Debug)]
pub struct ManifestError {
    file: PathBuf,
    kind: ManifestErrorKind,
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestErrorKind {
    /// The file or folder cannot be read.
    #[error(
        "cannot be read: {why}; start the handler in the app's root folder or set FUNCTIONS_APP_ROOT_PATH",
        why = system::reason(*.0)
    )]
    Unreadable(io::ErrorKind),
    /// Not JSON, or not of the manifest's shape.
    #[error(
        "line {line}, column {column}: {cause}; compare it with the one in the repository",
        line = .0.line, column = .0.column, cause = .0.cause
    )]
    Invalid(jsonc::Invalid),
    /// `routePrefix` has several segments, or characters that would be escaped.
    #[error("extensions.http.routePrefix must be empty or one plain segment")]
    RoutePrefix,
    /// No `httpTrigger` binding.
    #[error("needs exactly one binding of type httpTrigger; this handler answers HTTP only")]
    NoHttpTrigger,
    /// No `http` output binding.
    #[error("needs exactly one output binding of type http")]
    NoHttpOutput,
    /// The route template.
    #[error("route: {0}")]
    Route(#[from] RouteError),
    /// The list of methods.
    #[error("methods: {0:?} is not one of get, post, put, patch, delete, head, options")]
    Methods(String),
    /// The auth level.
    #[error("authLevel: {0:?} is not one of anonymous, function, admin")]
    AuthLevel(String),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.kind)
    }
}

impl std::error::Error for ManifestError {}

impl Manifest {
    /// Reads `host.json` and each folder with a `function.json` under `root`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, not only the first thing.
    pub fn read(root: &Path) -> Result<Self, Vec<ManifestError>> {
        let functions = folders(root).unwrap_or_default().into_iter();
        let functions = functions.filter_map(|name| {
            let file = root.join(&name).join("function.json");
            file.exists().then(|| (name, read_text(&file)))
        });
        Self::of(read_text(&root.join("host.json")), functions)
    }

    /// Like [`Manifest::read`], with the texts of `host.json` and of each `function.json` by
    /// its folder's name.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, not only the first thing.
    pub fn parse(host: &str, functions: &[(&str, &str)]) -> Result<Self, Vec<ManifestError>> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), Ok((*text).to_owned()));
        Self::of(Ok(host.to_owned()), functions.iter().map(owned))
    }

    fn of(
        host: Text,
        texts: impl Iterator<Item = (String, Text)>,
    ) -> Result<Self, Vec<ManifestError>> {
        let mut errors = Vec::new();
        let mut functions = BTreeMap::new();
        let route_prefix = host
            .and_then(|text| parse_json::<HostJson>(&text)?.route_prefix())
            .unwrap_or_else(|kind| {
                let file = PathBuf::from("host.json");
                errors.push(ManifestError { file, kind });
                String::new()
            });
        for (name, text) in texts {
            match text.and_then(|text| parse_json::<FunctionJson>(&text)?.check(&name)) {
                Ok(function) => drop(functions.insert(name, function)),
                Err(kind) => {
                    let file = Path::new(&name).join("function.json");
                    errors.push(ManifestError { file, kind });
                }
            }
        }
        if errors.is_empty() {
            Ok(Self {
                route_prefix,
                functions,
            })
        } else {
            Err(errors)
        }
    }
}

/// What a file holds, if it can be read.
type Text = Result<String, ManifestErrorKind>;

fn folders(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn read_text(file: &Path) -> Text {
    fs::read_to_string(file).map_err(|error| ManifestErrorKind::Unreadable(error.kind()))
}

fn parse_json<T: DeserializeOwned>(text: &str) -> Result<T, ManifestErrorKind> {
    jsonc::parse(text).map_err(ManifestErrorKind::Invalid)
}

#[derive(Deserialize)]
struct HostJson {
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize, Default)]
struct Extensions {
    #[serde(default)]
    http: HttpExtension,
}

#[derive(Deserialize, Default)]
struct HttpExtension {
    #[serde(rename = "routePrefix")]
    route_prefix: Option<String>,
}

impl HostJson {
    fn route_prefix(self) -> Result<String, ManifestErrorKind> {
        let prefix = self
            .extensions
            .http
            .route_prefix
            .unwrap_or_else(|| "api".to_owned());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !prefix.chars().all(is_plain) {
            return Err(ManifestErrorKind::RoutePrefix);
        }
        Ok(prefix)
    }
}

#[derive(Deserialize)]
struct FunctionJson {
    bindings: Vec<Binding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    route: Option<String>,
    methods: Option<Vec<String>>,
    auth_level: Option<String>,
}

impl FunctionJson {
    fn check(self, name: &str) -> Result<FunctionManifest, ManifestErrorKind> {
        let only = |kind: &str| {
            let mut found = self
                .bindings
                .iter()
                .filter(|binding| binding.kind.eq_ignore_ascii_case(kind));
            found.next().filter(|_| found.next().is_none())
        };
        let trigger = only("httpTrigger").ok_or(ManifestErrorKind::NoHttpTrigger)?;
        let output = only("http").ok_or(ManifestErrorKind::NoHttpOutput)?;
        Ok(FunctionManifest {
            route: Route::parse(trigger.route.as_deref().unwrap_or(name))?,
            methods: methods(trigger.methods.as_deref())?,
            auth_level: auth_level(trigger.auth_level.as_deref())?,
            input: trigger.name.clone(),
            output: output.name.clone(),
        })
    }
}

fn methods(names: Option<&[String]>) -> Result<Vec<Method>, ManifestErrorKind> {
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    match names {
        // No list, or an empty one, means every method.
        None | Some([]) => Ok(known.to_vec()),
        Some(names) => names
            .iter()
            .map(|name| {
                known
                    .iter()
                    .find(|method| method.as_str().eq_ignore_ascii_case(name))
                    .cloned()
                    .ok_or_else(|| ManifestErrorKind::Methods(name.clone()))
            })
            .collect(),
    }
}

fn auth_level(name: Option<&str>) -> Result<AuthLevel, ManifestErrorKind> {
    match name.map(str::to_ascii_lowercase).as_deref() {
        Some("anonymous") => Ok(AuthLevel::Anonymous),
        // What the host does when the level is missing.
        Some("function") | None => Ok(AuthLevel::Function),
        Some("admin") => Ok(AuthLevel::Admin),
        Some(other) => Err(ManifestErrorKind::AuthLevel(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(json: &str) -> Result<FunctionManifest, ManifestErrorKind> {
        parse_json::<FunctionJson>(json)?.check("hello")
    }

    #[test]
    fn this_repository_describes_its_two_functions() {
        let manifest = Manifest::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("valid");
        assert_eq!(manifest.route_prefix, "api");
        assert_eq!(
            manifest.functions["config-check"].auth_level,
            AuthLevel::Function
        );
        let metadata = &manifest.functions["secrets-metadata"];
        assert_eq!(metadata.auth_level, AuthLevel::Admin);
        assert_eq!(metadata.methods, [Method::GET]);
    }

    #[test]
    fn what_a_function_leaves_out_is_what_the_host_assumes() {
        let json =
            r#"{"bindings":[{"type":"httpTrigger","name":"req"},{"type":"http","name":"res"}]}"#;
        let function = function(json).expect("valid");
        assert_eq!(function.route.to_string(), "hello");
        assert_eq!(function.auth_level, AuthLevel::Function);
        assert_eq!(function.methods.len(), 7);
    }

    #[test]
    fn each_defect_is_named() {
        let with = |trigger: &str| {
            function(&format!(
                r#"{{"bindings":[{{"type":"httpTrigger","name":"req",{trigger}}},{{"type":"http","name":"res"}}]}}"#
            ))
            .expect_err(trigger)
            .to_string()
        };
        assert!(with(r#""methods":["fetch"]"#).contains("fetch"));
        assert!(with(r#""authLevel":"root""#).contains("root"));
        assert!(with(r#""route":"{id?}""#).contains("{id?}"));
        assert!(matches!(
            function(r#"{"bindings":[{"type":"queueTrigger","name":"q"}]}"#),
            Err(ManifestErrorKind::NoHttpTrigger)
        ));
        assert!(matches!(
            function("{"),
            Err(ManifestErrorKind::Invalid(jsonc::Invalid { line: 1, .. }))
        ));
    }

    #[test]
    fn every_defect_is_reported_at_once() {
        let root = std::env::temp_dir().join(format!("manifest-{}", std::process::id()));
        fs::create_dir_all(root.join("a")).expect("folder");
        fs::create_dir_all(root.join("b")).expect("folder");
        fs::write(root.join("a/function.json"), "{}").expect("file");
        fs::write(root.join("b/function.json"), "[").expect("file");
        let errors = Manifest::read(&root).expect_err("three defects");
        fs::remove_dir_all(&root).expect("cleaned");
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[0].starts_with("host.json: cannot be read"),
            "{lines:?}"
        );
    }
}
