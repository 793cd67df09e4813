//! Files that are written whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file beside its place and then moves it there, so that whoever reads sees the old file or the new one, and an error
/// leaves the old one. What is no regular file, such as a pipe, is written to directly.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(old) if !old.is_file() => return fs::write(path, bytes),
        _ => {}
    }
    // A link stays one: the file that it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut beside = OsString::from(path.as_os_str());
    beside.push(".part");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    });
    if written.is_err() {
        // What is left of it is of no use; that it cannot be removed is not what went wrong.
        let _ = fs::remove_file(&beside);
    }
    written
}
