//! Standard output that nobody reads, or that has no room: an error in one line, no panic.

#![cfg(target_os = "linux")]

mod common;

use std::process::Command;

#[test]
fn standard_output_may_be_closed() {
    for (name, all) in [
        ("long_memory", &["--help", "--length 12 --hidden 8 --batch 4 --steps 6 --cell gru"][..]),
        ("activations", &["--help", ""]),
        ("from_pytorch", &[""]),
    ] {
        let folder = common::folder("closed_output", name);
        for words in all {
            let command = || {
                let mut command = Command::new(common::program(name));
                command.args(words.split_whitespace()).current_dir(&folder);
                command
            };
            assert!(!common::success(command().output().unwrap(), words).is_empty());
            // Closed before the program begins, which might be done first.
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let output = command().stdout(writer).output().unwrap();
            common::failure(output, name, words, 1, &["standard output", "Broken pipe"]);
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let output = command().stdout(full).output().unwrap();
            common::failure(output, name, words, 1, &["standard output", "No space left on device"]);
        }
    }
}
