//! The code of `src` as the compiler reads it: what only tests use, comments and texts are no code.

use std::{collections::BTreeSet, fs, path::Path};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::repository;

/// A file of `src`, without what is compiled for tests only.
pub(crate) struct Source {
    /// Below `src`.
    pub(crate) path: String,
    pub(crate) tokens: Vec<TokenTree>,
}

impl Source {
    fn parse(path: &str, text: &str) -> (Self, Vec<String>) {
        let stream: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut of_tests = Vec::new();
        let tokens = production(stream, &mut of_tests);
        let path = path.to_owned();
        (Self { path, tokens }, of_tests)
    }

    /// How many modules lie above what is in this file.
    fn depth(&self) -> usize {
        let module = self.path.trim_end_matches("/mod.rs");
        match module {
            "main.rs" | "lib.rs" => 0,
            _ => module.split('/').count(),
        }
    }

    /// How many lines have code.
    pub(crate) fn lines(&self) -> usize {
        let mut lines = BTreeSet::new();
        visit(&self.tokens, &mut |tokens| {
            for token in tokens {
                let spans = match token {
                    TokenTree::Group(group) => vec![group.span_open(), group.span_close()],
                    other => vec![other.span()],
                };
                for span in spans {
                    lines.extend(span.start().line..=span.end().line);
                }
            }
        });
        lines.len()
    }

    /// What this file names at the root of the library.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        visit(&self.tokens, &mut |tokens| {
            for start in 0..tokens.len() {
                if let Some(rest) = below_the_root(&tokens[start..], self.depth()) {
                    names.extend(first_names(rest));
                }
            }
        });
        names
    }
}

/// The tokens without comments and without items for tests. A module for tests that has a file of
/// its own goes into `of_tests`.
fn production(stream: TokenStream, of_tests: &mut Vec<String>) -> Vec<TokenTree> {
    let tokens: Vec<_> = stream.into_iter().collect();
    let mut kept = Vec::new();
    let mut rest = tokens.as_slice();
    while let [token, after @ ..] = rest {
        rest = match (attribute(rest), token) {
            (Some((text, after)), _) if text.starts_with("doc=") => after,
            (Some((text, after)), _)
                if text == "cfg(test)" || text.starts_with("cfg(all(test,") =>
            {
                let item_end = end_of_item(after);
                let item: Vec<_> = after[..item_end].iter().map(ToString::to_string).collect();
                if let [.., module, name, end] = item.as_slice()
                    && (module.as_str(), end.as_str()) == ("mod", ";")
                {
                    of_tests.push(name.clone());
                }
                &after[item_end..]
            }
            (_, TokenTree::Group(group)) => {
                let inner = production(group.stream(), of_tests).into_iter().collect();
                let mut without_tests = proc_macro2::Group::new(group.delimiter(), inner);
                without_tests.set_span(group.span());
                kept.push(without_tests.into());
                after
            }
            _ => {
                kept.push(token.clone());
                after
            }
        };
    }
    kept
}

/// The attribute that stands here, without blanks, and what comes after it.
fn attribute(tokens: &[TokenTree]) -> Option<(String, &[TokenTree])> {
    let rest = match tokens {
        [hash, bang, rest @ ..] if is(hash, '#') && is(bang, '!') => rest,
        [hash, rest @ ..] if is(hash, '#') => rest,
        _ => return None,
    };
    match rest {
        [TokenTree::Group(group), after @ ..] if group.delimiter() == Delimiter::Bracket => {
            Some((group.stream().to_string().replace(' ', ""), after))
        }
        _ => None,
    }
}

/// An item ends with `;`, or with its braces if it is no `use`.
fn end_of_item(tokens: &[TokenTree]) -> usize {
    let is_use = tokens
        .iter()
        .take_while(|token| !is(token, ';'))
        .any(|token| ident(token) == "use");
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_use,
        other => is(other, ';'),
    };
    tokens
        .iter()
        .position(ends)
        .map_or(tokens.len(), |last| last + 1)
}

fn is(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

pub(crate) fn ident(token: &TokenTree) -> String {
    match token {
        TokenTree::Ident(ident) => ident.to_string(),
        _ => String::new(),
    }
}

/// What follows `crate::`, the crate's name, or as many `super::` as lead to the root.
fn below_the_root(tokens: &[TokenTree], depth: usize) -> Option<&[TokenTree]> {
    let after = |tokens: &'_ [TokenTree], name: &str| match tokens {
        [first, colon, colons, ..] if ident(first) == name && is(colon, ':') && is(colons, ':') => {
            Some(3)
        }
        _ => None,
    };
    if let Some(used) = after(tokens, "crate").or_else(|| after(tokens, "keyvault_functions")) {
        return Some(&tokens[used..]);
    }
    let mut rest = tokens;
    for _ in 0..depth {
        rest = &rest[after(rest, "super")?..];
    }
    (depth > 0).then_some(rest)
}

/// The name that a path goes on with, or the names of its braces.
fn first_names(path: &[TokenTree]) -> Vec<String> {
    match path {
        [TokenTree::Ident(name), ..] => vec![name.to_string()],
        [TokenTree::Group(group), ..] => {
            let tokens: Vec<_> = group.stream().into_iter().collect();
            let paths = tokens.split(|token| is(token, ','));
            paths.flat_map(first_names).collect()
        }
        _ => Vec::new(),
    }
}

/// Every list of tokens, whatever it stands in.
fn visit(tokens: &[TokenTree], see: &mut impl FnMut(&[TokenTree])) {
    see(tokens);
    for token in tokens {
        if let TokenTree::Group(group) = token {
            visit(&group.stream().into_iter().collect::<Vec<_>>(), see);
        }
    }
}

/// Every file of `src` that is compiled without tests.
pub(crate) fn sources() -> Vec<Source> {
    fn read(folder: &Path, prefix: &str, found: &mut Vec<Source>, of_tests: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry").path();
            let name = entry
                .file_name()
                .and_then(|name| name.to_str())
                .expect("text");
            let path = format!("{prefix}{name}");
            if entry.is_dir() {
                read(&entry, &format!("{path}/"), found, of_tests);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&entry).expect("text");
                let (source, modules) = Source::parse(&path, &text);
                let own_folder = match name {
                    "mod.rs" | "lib.rs" | "main.rs" => prefix.to_owned(),
                    _ => format!("{}/", path.trim_end_matches(".rs")),
                };
                of_tests.extend(modules.iter().map(|module| format!("{own_folder}{module}")));
                found.push(source);
            }
        }
    }
    let (mut found, mut of_tests) = (Vec::new(), BTreeSet::new());
    read(&repository().join("src"), "", &mut found, &mut of_tests);
    found.retain(|source| {
        let module = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let is_below = |test: &String| Path::new(module).starts_with(test);
        !of_tests.iter().any(is_below)
    });
    assert!(found.len() > 20, "the files of src");
    found
}

#[test]
fn imports_are_read_as_the_compiler_reads_them() {
    let text = r#"
        //! crate::in_a_comment
        #![allow(missing_docs)]
        use crate::{a, b::{self, inner}, c::*};
        use super::super::d;
        use super::of_this_room;
        #[cfg(test)]
        use crate::{for_tests, more::x};
        #[cfg(any(test, unix))]
        fn f() -> crate::e::E { g!("crate::in_a_text", crate::f::new()) /* crate::x */ }
        #[cfg(test)]
        mod tests { use crate::tested; }
        #[cfg(test)]
        mod in_a_file;
        pub(crate) const TEXT: &str = r"
        ";
        fn last<'a>(x: &'a keyvault_functions::g::G) -> char { '"' }
    "#;
    let (source, of_tests) = Source::parse("room/file.rs", text);
    let names: Vec<_> = source.names().into_iter().collect();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(of_tests, ["in_a_file"]);
    assert_eq!(source.lines(), 9);
}
