//! The report for a person: 80 columns, colours at a terminal.

use std::fmt::Write as _;

use keyvault_functions::diagnosis::{Fix, IdentityReport, PathReport};

use super::report::{Checked, CheckedAs, Report, Row, UsedSecret};

const COLUMNS: usize = 80;
const GOOD: &str = "\x1b[32m";
const SOON: &str = "\x1b[33m";
const BAD: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

pub(super) fn of(
    report: &Report<'_>,
    checked_as: Option<&CheckedAs>,
    by_secret: bool,
    paints: bool,
) -> String {
    let mut text = String::new();
    let rows: usize = report.apps.iter().map(|app| app.rows.len()).sum();
    if by_secret {
        for secret in &report.secrets {
            of_secret(&mut text, secret, paints);
        }
        let others = report.apps.iter();
        let others = others.flat_map(|app| app.others().map(|row| (&app.app.title, row)));
        for (app, row) in others {
            let (sign, state) = painted(row, paints);
            let setting = row.setting.name();
            let _ = writeln!(text, "{sign} {app}: {setting}\n  {state}");
            if let Some(detail) = &row.detail {
                explanation(&mut text, detail, row);
            }
            text.push('\n');
        }
        for app in report.apps.iter().filter(|app| app.rows.is_empty()) {
            of_app(&mut text, app, paints);
        }
    } else {
        for app in &report.apps {
            of_app(&mut text, app, paints);
        }
    }
    if rows == 0 {
        return text.trim_end().to_owned();
    }
    let as_whom = checked_as.map_or_else(String::new, |who| {
        let identity = who.identity.as_ref().map(IdentityReport::details);
        let identity = identity.filter(|details| !details.is_empty());
        let identity = identity.map_or_else(String::new, |details| format!(": {details}"));
        format!(" with {}{identity}", who.credential)
    });
    wrap(
        &mut text,
        &format!(
            "Checked from here{as_whom}. No value was read. The app's own identity may see otherwise, and only the platform can say that a reference is resolved."
        ),
        0,
    );
    text.trim_end().to_owned()
}

fn of_app(text: &mut String, checked: &Checked<'_>, paints: bool) {
    let app = checked.app;
    let Ok(listing) = &app.settings else {
        let _ = writeln!(text, "{}: not understood, so not checked\n", app.title);
        return;
    };
    if checked.rows.is_empty() {
        let settings = listing.settings;
        let _ = writeln!(
            text,
            "{}: none of {settings} settings is a reference\n",
            app.title
        );
        return;
    }
    let broken = checked.rows.iter().filter(|row| !row.is_fine()).count();
    let _ = writeln!(
        text,
        "{}: {} of {} settings are references, {}",
        app.title,
        checked.rows.len(),
        listing.settings,
        match broken {
            0 => "nothing is wrong with them".to_owned(),
            1 => "1 cannot be read".to_owned(),
            broken => format!("{broken} cannot be read"),
        }
    );
    let mut vaults: Vec<&str> = Vec::new();
    for row in &checked.rows {
        let vault = vault_of(row);
        if !vaults.contains(&vault) {
            vaults.push(vault);
        }
    }
    for vault in vaults {
        let _ = writeln!(text, "\n  {vault}");
        let rows: Vec<_> = checked
            .rows
            .iter()
            .filter(|row| vault_of(row) == vault)
            .collect();
        of_vault(text, &rows, paints);
    }
    text.push('\n');
}

fn vault_of<'a>(row: &Row<'a>) -> &'a str {
    row.reference
        .map_or("no vault", |reference| reference.vault.authority())
}

/// The rows of one vault. What is wrong with several of them for one reason is said once.
fn of_vault(text: &mut String, rows: &[&Row<'_>], paints: bool) {
    let longest = |texts: &mut dyn Iterator<Item = String>| {
        texts
            .map(|text| text.chars().count())
            .max()
            .unwrap_or_default()
    };
    let state = longest(&mut rows.iter().map(|row| state_of(row)));
    // Two blanks, a sign and a blank before, two blanks between.
    let room = COLUMNS.saturating_sub(4 + 2 + 2 + state);
    let names = longest(&mut rows.iter().map(|row| row.setting.name().to_owned()));
    let secrets = longest(&mut rows.iter().map(|row| secret_of(row)));
    let widths = if names + secrets <= room {
        (names, secrets)
    } else {
        (names.min(room / 2), secrets.min(room - room / 2))
    };
    let mut said: Vec<(&str, Option<&Fix>)> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let _ = writeln!(text, "  {}", line(row, widths, paints));
        let Some(detail) = &row.detail else { continue };
        let this = (detail.as_str(), row.fix.as_ref());
        let next = rows.get(index + 1);
        let next = next.and_then(|next| Some((next.detail.as_deref()?, next.fix.as_ref())));
        // The last of a run says it.
        if next == Some(this) || said.contains(&this) {
            continue;
        }
        said.push(this);
        explanation(text, detail, row);
    }
}

fn secret_of(row: &Row<'_>) -> String {
    let Some(reference) = row.reference else {
        return String::new();
    };
    match &reference.version {
        // A person recognises a version by its beginning.
        Some(version) => format!("{}/{:.8}", reference.name, version),
        None => reference.name.to_string(),
    }
}

fn state_of(row: &Row<'_>) -> String {
    match row.days_left {
        None => row.state.to_owned(),
        Some(days @ ..0) => format!("{}, expired {} d ago", row.state, -days - 1),
        Some(days) => format!("{}, {days} d left", row.state),
    }
}

/// The sign and the state of a row.
fn painted(row: &Row<'_>, paints: bool) -> (String, String) {
    let (sign, colour) = match row {
        row if !row.is_fine() => ("✗", BAD),
        row if row.days_left.is_some_and(|days| days < 0) => ("!", BAD),
        row if row.expires_soon() => ("!", SOON),
        row if row.is_readable() => ("✓", GOOD),
        _ => ("?", SOON),
    };
    let paint = |text: &str| {
        if paints {
            format!("{colour}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    };
    (paint(sign), paint(&state_of(row)))
}

fn line(row: &Row<'_>, widths: (usize, usize), paints: bool) -> String {
    let (sign, state) = painted(row, paints);
    let (first, secret) = (row.setting.name(), secret_of(row));
    let (of_first, of_secret) = widths;
    if first.chars().count() > of_first || secret.chars().count() > of_secret {
        // Too long for a column: the state has a line of its own.
        return format!("{sign} {first}\n      {secret}\n      {state}");
    }
    format!("{sign} {first:of_first$}  {secret:of_secret$}  {state}")
}

fn explanation(text: &mut String, detail: &str, row: &Row<'_>) {
    wrap(text, detail, 6);
    let path = row.path.as_ref().map(PathReport::line).unwrap_or_default();
    if !path.is_empty() {
        wrap(text, &format!("Path from here: {path}."), 6);
    }
    if let Some(fix) = &row.fix {
        wrap(text, &fix.sentence, 6);
        for command in &fix.commands {
            // A command is pasted as it is.
            let _ = writeln!(text, "        {command}");
        }
    }
}

fn of_secret(text: &mut String, secret: &UsedSecret<'_>, paints: bool) {
    let row = &secret.row;
    let (sign, state) = painted(row, paints);
    let (name, vault) = (secret_of(row), vault_of(row));
    let is_long = name.chars().count() + vault.chars().count() > COLUMNS - "?  in ".len();
    let gap = if is_long { "\n  " } else { " " };
    let _ = writeln!(text, "{sign} {name}{gap}in {vault}\n  {state}");
    for (app, setting) in &secret.used_by {
        let _ = writeln!(text, "    {app}: {setting}");
    }
    if let Some(detail) = &row.detail {
        explanation(text, detail, row);
    }
    text.push('\n');
}

/// Words in lines of the terminal's width.
fn wrap(text: &mut String, words: &str, indent: usize) {
    let mut column = 0;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column == 0 {
            let _ = write!(text, "{:indent$}{word}", "");
            column = indent + length;
        } else if column + 1 + length > COLUMNS {
            let _ = write!(text, "\n{:indent$}{word}", "");
            column = indent + length;
        } else {
            let _ = write!(text, " {word}");
            column += 1 + length;
        }
    }
    text.push('\n');
}
