//! What the kernels made for one hidden size gain over the one for any size; `cargo xtask codegen --measure` keeps what it prints.
//!
//! Both run in turn, and every other time the other one first, so that whatever else the machine does falls on both. A ratio is the
//! time of the kernel for any size over the time of the other one.

use benches::calls::Calls;
use benches::points::{Point, points};
use benches::timing::{calibrate, lower_quartile, median};
use benches::{machine, on_one_thread, say};
use gatewise_kernels::{Error, Kernels};
use std::process::ExitCode;
use std::time::Duration;

/// Ratios of a kernel, and how long each of the two times of one is at least.
const PAIRS: usize = 15;
const LEAST: Duration = Duration::from_millis(5);

fn ratios(point: Point) -> Result<Vec<f64>, Error> {
    let any = Point { kernels: point.kernels.any_size(), ..point };
    let mut both = [Calls::new(point)?, Calls::new(any)?];
    assert!(both[0].row().id == point.row.id && both[1].row().hidden.is_none(), "{}", point.row.id);
    let mut result = Ok(Duration::ZERO);
    let calls = calibrate(LEAST, || result = both[0].time(1));
    result?;
    let pair = |i: usize| {
        let mut times = [Duration::ZERO; 2];
        for which in [i % 2, 1 - i % 2] {
            // What the other one read is in the caches.
            both[which].time(1)?;
            times[which] = both[which].time(calls)?;
        }
        Ok(times[1].as_secs_f64() / times[0].as_secs_f64())
    };
    (0..PAIRS).map(pair).collect()
}

fn run() -> Result<(), Error> {
    for kernels in Kernels::available()? {
        say!("{}: {}", kernels.isa(), machine::name());
    }
    for point in points(true)?.into_iter().filter(|point| point.row.hidden.is_some()) {
        let ratios = ratios(point)?;
        let (id, batch, steps) = (point.row.id, point.batch(), point.steps());
        say!("{id} {batch} {steps} {:.2} {:.2}", median(&ratios), lower_quartile(&ratios));
    }
    Ok(())
}

fn main() -> ExitCode {
    on_one_thread("gains", run)
}
