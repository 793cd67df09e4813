//! How much code the kernels are: the sizes of their symbols in the release library.

use crate::spawn;
use std::path::Path;

/// Bytes of the code of generated functions, and of what they run apart (`Vector::apart`); `None` where objects are not ELF.
pub(super) fn of_kernels(root: &Path) -> Result<Option<(usize, usize)>, String> {
    let mut cargo = spawn::cargo(root, "build");
    cargo.args(["--quiet", "--release", "--package", "gatewise-kernels"]);
    cargo.arg("--target-dir").arg(root.join("target"));
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo build: {status}"));
    }
    let path = root.join("target/release/libgatewise_kernels.rlib");
    let archive = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (mut generated, mut apart, mut is_elf) = (0, 0, false);
    for object in objects(&archive) {
        is_elf = true;
        for (name, size) in functions(object).ok_or(format!("{}: a broken object", path.display()))? {
            if name.contains("9generated") {
                generated += size;
            } else if name.contains("9run_apart") {
                apart += size;
            }
        }
    }
    Ok(is_elf.then_some((generated, apart)))
}

/// The ELF files in an `ar` archive.
fn objects(archive: &[u8]) -> Vec<&[u8]> {
    let (mut all, mut at) = (Vec::new(), b"!<arch>\n".len());
    while let Some(header) = archive.get(at..at + 60) {
        let size =
            std::str::from_utf8(&header[48..58]).ok().and_then(|text| text.trim().parse::<usize>().ok());
        let Some(body) = size.and_then(|size| archive.get(at + 60..at + 60 + size)) else { break };
        if body.starts_with(b"\x7fELF\x02\x01") {
            all.push(body);
        }
        at += 60 + body.len().next_multiple_of(2);
    }
    all
}

/// Names and sizes of the functions of a 64-bit little-endian ELF file.
fn functions(elf: &[u8]) -> Option<Vec<(String, usize)>> {
    const SYMBOL_TABLE: usize = 2;
    const FUNCTION: u8 = 2;
    let number = |at: usize, bytes: usize| {
        let mut all = [0; 8];
        all[..bytes].copy_from_slice(elf.get(at..at + bytes)?);
        usize::try_from(u64::from_le_bytes(all)).ok()
    };
    let (sections, entry, count) = (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?);
    let section = |index: usize| sections + index * entry;
    let mut all = Vec::new();
    for index in 0..count {
        let head = section(index);
        if number(head + 4, 4)? != SYMBOL_TABLE {
            continue;
        }
        let (start, size) = (number(head + 0x18, 8)?, number(head + 0x20, 8)?);
        let names = number(section(number(head + 0x28, 4)?) + 0x18, 8)?;
        for symbol in (start..start + size).step_by(24) {
            if elf.get(symbol + 4)? & 0xf == FUNCTION {
                let name = elf.get(names + number(symbol, 4)?..)?.split(|&b| b == 0).next()?;
                all.push((String::from_utf8_lossy(name).to_string(), number(symbol + 16, 8)?));
            }
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_taken_apart() {
        let mut archive = b"!<arch>\n".to_vec();
        for body in [&b"abc"[..], b"\x7fELF\x02\x01rest"] {
            archive.extend(format!("{:<48}{:<10}`\n", "name/", body.len()).bytes());
            archive.extend(body);
            archive.resize(archive.len().next_multiple_of(2), b'\n');
        }
        assert_eq!(objects(&archive), [b"\x7fELF\x02\x01rest"]);
        assert_eq!(functions(b"\x7fELF"), None);
    }
}
