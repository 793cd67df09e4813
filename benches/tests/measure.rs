//! `measure` as a program: what it answers, and what it says to options that make no sense.

use benches::report::Report;
use std::process::{Command, Output};

fn measure(options: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_measure"));
    command.args(options.split_whitespace()).output().expect("it starts")
}

#[test]
fn the_last_line_is_a_report() {
    for (options, dir, lengths) in [
        (
            "--cell gru --pass train --batch 3 --seq 4 --layers 2 --bidirectional --lengths ragged",
            2,
            "ragged",
        ),
        ("--cell lstm --pass step --kernel any-size --isa portable", 1, "full"),
        ("--cell rnn_relu --pass forward --batch 2 --seq 6 --chunk 2 --explain", 1, "full"),
        ("--cell lstm --pass train --batch 3 --seq 4 --bidirectional --lengths ragged --proj 5", 2, "ragged"),
    ] {
        let output = measure(&format!("{options} --input 3 --hidden 8 --reps 1"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{options}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Report = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((report.H, report.dir, &report.lengths[..]), (8, dir, lengths), "{options}");
        assert_eq!(report.P, options.contains("--proj").then_some(5), "{options}");
        assert!(report.median_us > 0.0 && report.floor_us.unwrap() > 0.0 && report.gflops > 0.0, "{text}");
        assert!(options.contains(&report.cell) && options.contains(&report.pass), "{text}");
        if options.contains("portable") {
            assert!(report.isa == "portable" && report.kernel == "f32-lstm-step-hn-portable", "{text}");
        }
    }
}

#[test]
fn wrong_options_are_one_clear_line() {
    for (options, code, says) in [
        ("--cell elman --pass step --input 1 --hidden 8", 2, "elman"),
        ("--cell lstm --pass sideways --input 1 --hidden 8", 2, "sideways"),
        ("--cell lstm --pass step --input 1", 2, "--hidden"),
        ("--cell lstm --pass step --input x --hidden 8", 2, "--input"),
        ("--cell lstm --pass step --input 1 --hidden -8", 2, "-8"),
        ("--cell lstm --pass step --input 1 --hidden 8 --reps 0", 2, "--reps"),
        ("--cell lstm --pass forward --input 1 --hidden 8 --chunk 0", 2, "--chunk"),
        ("--cell lstm --pass step --input 1 --hidden 99999999999999999999999", 2, "--hidden"),
        ("--cell lstm --pass step --input 1 --hidden 0", 1, "--hidden 0"),
        ("--cell lstm --pass train --input 1 --hidden 8 --seq 0", 1, "--seq 0"),
        ("--cell lstm --pass step --input 1 --hidden 1000000000", 1, "GB"),
        ("--cell lstm --pass train --input 8 --hidden 8 --batch 10000000000 --seq 10000000000", 1, "GB"),
        ("--cell lstm --pass step --input 1 --hidden 8 --threads 4096", 1, "--threads 4096"),
        ("--cell lstm --pass step --input 1 --hidden 8 --isa sse9", 1, "--isa sse9"),
        ("--cell lstm --pass step --input 1 --hidden 8 --bidirectional", 1, "--bidirectional"),
        ("--cell lstm --pass step --input 1 --hidden 8 --lengths ragged", 1, "--lengths ragged"),
        ("--cell lstm --pass step --input 1 --hidden 8 --proj 8", 1, "--proj 8"),
        (
            "--cell lstm --pass forward --input 1 --hidden 8 --reps 1 --out /no/such/folder/y",
            1,
            "/no/such/folder/y",
        ),
    ] {
        let output = measure(options);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{options}: {error}");
        assert!(error.contains(says) && !error.contains("panicked"), "{options}: {error}");
        assert!(code != 1 || error.lines().count() == 1, "{options}: {error}");
        assert!(output.stdout.is_empty(), "{options}");
    }
}
