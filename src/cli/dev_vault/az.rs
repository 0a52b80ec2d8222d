//! The stand-in for the Azure CLI.

use std::{fs, io, path::Path};

use crate::cli::failure::{Failure, exit};

/// No token is in it: it asks the identity endpoint that its environment names.
const SCRIPT: &str = include_str!("az.sh");

/// Writes it to `folder` under the name `az`, unless another program has that name there. Returns the
/// folder's whole path.
pub(super) fn write(folder: &Path) -> Result<String, Failure> {
    let refused = |why: &str| {
        let what = format!("--az-out {}: {why}", folder.display());
        Failure::new(exit::CANNOT_CREATE, what)
    };
    let failed = |error: &io::Error| {
        let what = format!("--az-out {} cannot be written", folder.display());
        Failure::of_system(exit::CANNOT_CREATE, &what, error)
    };
    let found = fs::create_dir_all(folder).and_then(|()| fs::canonicalize(folder));
    let found = found.map_err(|error| failed(&error))?;
    let path = found.to_string_lossy().into_owned();
    if path.contains(':') {
        return Err(refused("PATH cannot have a folder with a colon"));
    }
    let file = found.join("az");
    if fs::symlink_metadata(&file).is_ok() && !is_ours(&file) {
        return Err(refused("another program is called az there"));
    }
    let new = found.join("az.new");
    let written = fs::write(&new, SCRIPT)
        .and_then(|()| make_executable(&new))
        .and_then(|()| fs::rename(&new, &file));
    written.map_err(|error| failed(&error))?;
    Ok(path)
}

/// Whether an earlier start has written `file`.
fn is_ours(file: &Path) -> bool {
    let begins = SCRIPT.lines().take(2);
    let is_file = fs::symlink_metadata(file).is_ok_and(|found| found.is_file());
    is_file && fs::read_to_string(file).is_ok_and(|text| text.lines().take(2).eq(begins))
}

#[cfg(unix)]
fn make_executable(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn make_executable(_: &Path) -> io::Result<()> {
    Ok(())
}
