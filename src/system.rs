//! What the operating system refuses, in words for a person.

use std::io::ErrorKind;

/// The reason as the end of a sentence. Rust's own words for it (`entity not found`) are written
/// for programmers.
#[must_use]
pub fn reason(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "there is no such file or folder",
        ErrorKind::PermissionDenied => "this user has no permission",
        ErrorKind::IsADirectory => "it is a folder",
        ErrorKind::NotADirectory => "a part of its path is not a folder",
        ErrorKind::InvalidData => "it is not UTF-8 text",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full",
        ErrorKind::AddrInUse => "another process uses it",
        ErrorKind::OutOfMemory | ErrorKind::WouldBlock => "the system has nothing left to give",
        _ => "the operating system refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_not_rusts_own() {
        let kinds = [
            ErrorKind::NotFound,
            ErrorKind::InvalidData,
            ErrorKind::Other,
        ];
        for kind in kinds {
            assert_ne!(reason(kind), kind.to_string());
        }
    }
}
