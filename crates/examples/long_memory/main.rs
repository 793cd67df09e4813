//! Trains recurrent networks on problems whose answer depends on what was read long before, and shows whether the gradient
//! reaches back that far.
//!
//! ```sh
//! cargo run --release --example long_memory
//! cargo run --release --example long_memory -- --help
//! ```

mod model;
mod options;
mod pictures;
mod progress;
mod report;
mod run;
mod tasks;

use examples::command_line::Unusable;
use examples::files;
use examples::print::{complain, say};
use options::Options;
use report::{Line, Report};
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(Unusable::Help(text)) => return exit(say(text.trim_end())),
        Err(Unusable::Usage(line)) => {
            complain("long_memory", line);
            return ExitCode::from(2);
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let done = match pool {
        Ok(pool) => pool.install(|| work(&options).map_err(|error| error.to_string())),
        Err(error) => Err(error.to_string()),
    };
    exit(done)
}

fn exit(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain("long_memory", error);
            ExitCode::FAILURE
        }
    }
}

fn work(options: &Options) -> Result<(), Box<dyn Error>> {
    files::prepare(&options.out)?;
    let task = options.task();
    say(format!(
        "{}, T = {}: {} steps a row; the baseline is {:.4} ({})",
        task.name.name(),
        task.length,
        task.steps(),
        task.baseline(),
        task.unit()
    ))?;
    let mut reports = Vec::new();
    for cell in options.cells() {
        let report = run::train(cell, options)?;
        if let Some(diverged) = &report.result.diverged {
            say(format!("{} diverged at update {}: {}", cell.name(), diverged.update, diverged.what))?;
        }
        write(&report, options)?;
        reports.push(report);
    }
    if reports.len() > 1 {
        let (loss, memory) = pictures::compare(&reports)?;
        files::write(&options.out.join("loss.svg"), &loss)?;
        files::write(&options.out.join("memory.svg"), &memory)?;
    }
    let lines: Vec<Line> = reports.into_iter().map(|report| report.result).collect();
    files::write(&options.out.join("summary.json"), &report::json(&lines)?)?;
    say(format!("\n{}\n{} is written", report::table(&lines, task.steps()), options.out.display()))?;
    Ok(())
}

/// The files of one cell.
fn write(report: &Report, options: &Options) -> Result<(), Box<dyn Error>> {
    let cell = report.result.cell;
    files::write(&options.out.join(format!("{cell}.json")), &report::json(report)?)?;
    for (name, picture) in pictures::draw(report)? {
        files::write(&options.out.join(format!("{cell}-{name}.svg")), &picture)?;
    }
    Ok(())
}
