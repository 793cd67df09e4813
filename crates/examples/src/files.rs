//! Files that are written whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes a file beside its place and then moves it there: an error, or a power cut, leaves the old one as it was.
///
/// # Errors
/// One line that names the file.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    let mut beside = path.as_os_str().to_os_string();
    beside.push(".part");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        format!("{}: {error}", path.display())
    })
}

/// Makes the folder, and sees before an hour of training that files can be written there.
///
/// # Errors
/// One line that names the folder.
pub fn prepare(folder: &Path) -> Result<(), String> {
    let probe = folder.join("probe.part");
    fs::create_dir_all(folder)
        .and_then(|()| File::create(&probe))
        .and_then(|_| fs::remove_file(&probe))
        .map_err(|error| format!("{}: {error}", folder.display()))
}
