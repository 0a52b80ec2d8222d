//! The picture in `docs/architecture.md` is true: its arrows are the imports between the rooms of
//! `src`, all of them and no other. And no file of `src` has two jobs.
//!
//! A room is a module that `lib.rs` declares. Everything else in `src` is the program, the room
//! `main`. What only tests use does not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::support::{
    repository,
    sources::{Source, ident, sources},
};

/// A file with more lines than this, without tests, comments and blanks, has two jobs.
const LINES: usize = 400;
/// Who imports whom, and a file in which it does.
type Imports = BTreeMap<(String, String), String>;

/// The modules that `lib.rs` declares.
fn rooms(sources: &[Source]) -> BTreeSet<String> {
    let library = sources.iter().find(|source| source.path == "lib.rs");
    let tokens = &library.expect("lib.rs").tokens;
    let declared = tokens.windows(2).filter(|pair| ident(&pair[0]) == "mod");
    let rooms: BTreeSet<_> = declared.map(|pair| ident(&pair[1])).collect();
    assert!(
        rooms.contains("host") && rooms.contains("key_vault"),
        "{rooms:?}"
    );
    rooms
}

/// Which room a file belongs to.
fn room<'a>(source: &Source, rooms: &'a BTreeSet<String>) -> &'a str {
    let first = source.path.split(['/', '.']).next().unwrap_or_default();
    rooms.get(first).map_or("main", String::as_str)
}

fn imports() -> Imports {
    let sources = sources();
    let rooms = rooms(&sources);
    let mut imports = Imports::new();
    for source in sources.iter().filter(|source| source.path != "lib.rs") {
        let from = room(source, &rooms);
        for to in source.names().intersection(&rooms) {
            if to != from {
                imports.insert((from.to_owned(), to.clone()), source.path.clone());
            }
        }
    }
    imports
}

/// `A --> B & C` from one room to others. What is dotted is no import, and what is outside of the
/// handler is no room.
fn arrows(document: &str, rooms: &BTreeSet<String>) -> BTreeSet<(String, String)> {
    let picture = document.split("```mermaid\n").nth(1).expect("a picture");
    let picture = picture.split("```").next().expect("its end");
    let ids = |side: &str| -> Vec<String> {
        let ids = side.split(" & ").map(|node| {
            let id: String = node
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            assert!(!id.is_empty(), "one node or several with & between: {side}");
            id
        });
        ids.filter(|id| id == "main" || rooms.contains(id))
            .collect()
    };
    let mut arrows = BTreeSet::new();
    for line in picture.lines() {
        let Some((from, to)) = line.split_once("-->") else {
            continue;
        };
        assert!(!to.contains("-->"), "one arrow a line: {line}");
        let to = to.rsplit('|').next().unwrap_or(to);
        for from in ids(from) {
            arrows.extend(ids(to).into_iter().map(|to| (from.clone(), to)));
        }
    }
    arrows
}

/// As it stands in the picture.
fn drawn<'a>(arrows: impl IntoIterator<Item = &'a (String, String)>) -> String {
    let lines = arrows
        .into_iter()
        .map(|(from, to)| format!("    {from} --> {to}\n"));
    lines.collect()
}

#[test]
fn every_import_between_rooms_is_an_arrow_and_every_arrow_an_import() {
    let document = fs::read_to_string(repository().join("docs/architecture.md")).expect("there");
    let arrows = arrows(&document, &rooms(&sources()));
    let imports = imports();
    let undrawn: Vec<_> = imports
        .iter()
        .filter(|(import, _)| !arrows.contains(import))
        .map(|((from, to), file)| format!("{from} --> {to} (src/{file})"))
        .collect();
    let untrue: Vec<_> = arrows
        .iter()
        .filter(|arrow| !imports.contains_key(arrow))
        .map(|(from, to)| format!("{from} --> {to}"))
        .collect();
    assert!(
        undrawn.is_empty() && untrue.is_empty(),
        "docs/architecture.md\nimports without an arrow: {undrawn:#?}\n\
         arrows without an import: {untrue:#?}"
    );
}

#[test]
fn host_and_key_vault_never_import_each_other() {
    let imports = imports();
    for (from, to) in [("host", "key_vault"), ("key_vault", "host")] {
        let file = imports.get(&(from.to_owned(), to.to_owned()));
        assert_eq!(file, None, "{from} imports {to}");
    }
}

#[test]
fn no_rooms_import_each_other_in_a_circle() {
    let mut left: BTreeSet<_> = imports().into_keys().collect();
    loop {
        // A room that imports nobody who is left is in no circle.
        let importing: BTreeSet<_> = left.iter().map(|(from, _)| from.clone()).collect();
        let before = left.len();
        left.retain(|(_, to)| importing.contains(to));
        if left.len() == before {
            break;
        }
    }
    assert!(
        left.is_empty(),
        "in a circle, or on the way to one:\n{}",
        drawn(&left)
    );
}

#[test]
fn no_file_has_more_than_400_lines_of_production_code() {
    let lengths: BTreeMap<_, _> = sources()
        .into_iter()
        .map(|source| (source.path.clone(), source.lines()))
        .collect();
    let longer: Vec<_> = lengths
        .iter()
        .filter(|(_, lines)| **lines > LINES)
        .collect();
    assert!(
        longer.is_empty(),
        "files of more than {LINES} lines: {longer:?}"
    );
}

#[test]
fn arrows_are_read_as_mermaid_draws_them() {
    let rooms = ["a", "b", "c"].map(str::to_owned).into();
    let document = "```mermaid\nflowchart TD\n    main[x --- y] --> a[\"A (1)\"]\n    a -->|t & u| b & c\n    \
                    b -.-> a\n    b --> outside[(C)]\n```\n```mermaid\n    c --> a\n```\n";
    let found = arrows(document, &rooms);
    assert_eq!(drawn(&found), "    a --> b\n    a --> c\n    main --> a\n");
}
