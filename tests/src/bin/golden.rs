//! Runs every case of a folder in the layout of `tests/data/torch-golden` on every instruction set up to the ceiling:
//! `cargo run --release -p tests --bin golden -- DIR`.
//!
//! One line for each failure: an array that is too far off, or a case that cannot be read or run. The last line is
//! `golden <passed>/<total> max_rel <x>`, a case passing where it passes on all instruction sets. The exit code is 1 if any fails or
//! there is none, 2 for wrong arguments.

use gatewise::Kernels;
use std::process::ExitCode;
use tests::{golden, golden_run};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [folder] = &arguments[..] else {
        eprintln!("golden: expected a folder of cases: golden DIR");
        return ExitCode::from(2);
    };
    let (cases, available) = match (golden::load_each(folder), Kernels::available()) {
        (Ok(cases), Ok(available)) => (cases, available),
        (Err(error), _) => return fail(&error),
        (_, Err(error)) => return fail(&error.to_string()),
    };
    if cases.is_empty() {
        return fail(&format!("{}: no cases in the index", folder.display()));
    }
    let (mut passed, mut max_rel) = (0, 0.0_f64);
    for case in &cases {
        let case = match case {
            Ok(case) => case,
            Err(error) => {
                println!("{error}");
                continue;
            }
        };
        let mut is_passed = true;
        for kernels in &available {
            match golden_run::run(case, *kernels) {
                Ok(outcome) => {
                    max_rel = max_rel.max(outcome.max_rel);
                    for failure in &outcome.failures {
                        println!("{} on {}: {failure}", case.name, kernels.isa());
                    }
                    is_passed &= outcome.failures.is_empty();
                }
                Err(error) => {
                    println!("{error} ({})", kernels.isa());
                    is_passed = false;
                }
            }
        }
        passed += usize::from(is_passed);
    }
    println!("golden {passed}/{} max_rel {max_rel:.2e}", cases.len());
    ExitCode::from(u8::from(passed != cases.len()))
}

fn fail(error: &str) -> ExitCode {
    eprintln!("golden: {error}");
    ExitCode::FAILURE
}
