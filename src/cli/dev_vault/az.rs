//! The stand-in for the Azure CLI.

use std::{fs, io, path::Path};

use crate::cli::failure::{Failure, exit};

/// No token is in it: it asks the identity endpoint that its environment names.
const SCRIPT: &str = include_str!("az.sh");

/// Writes it to `folder` under the name `az`. Returns the folder's whole path.
pub(super) fn write(folder: &Path) -> Result<String, Failure> {
    let write = || {
        fs::create_dir_all(folder)?;
        let file = folder.join("az");
        fs::write(&file, SCRIPT)?;
        make_executable(&file)?;
        fs::canonicalize(folder)
    };
    let written = write().map_err(|error| {
        let what = format!(
            "the stand-in for az cannot be written to {}",
            folder.display()
        );
        Failure::of_system(exit::CANNOT_CREATE, &what, &error)
    })?;
    Ok(written.to_string_lossy().into_owned())
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
