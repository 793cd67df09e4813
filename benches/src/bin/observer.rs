//! `cargo xtask observer`: what it costs to look at a backward pass.
//!
//! A training step, forward and backward, with an `Observer` and without in turn, so that whatever else the machine does falls on both.
//! The gradient of the input is asked for, and its norms are taken too.

use benches::timing::median;
use benches::{on_one_thread, say};
use gatewise::{Any, Cell, Error, Network, Observer, Philox, Tape, Tensors, Upstream, View};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// T; as many inputs as units.
const STEPS: usize = 100;
/// H and B.
const SIZES: [(usize, usize); 7] = [(16, 1), (64, 1), (256, 1), (16, 32), (64, 32), (128, 32), (256, 32)];
/// Jobs alike, each elsewhere in memory: where arrays lie to one another makes a difference of a few hundred nanoseconds.
const PLACES: usize = 5;
/// Pairs of repetitions of each job, and how long one takes at least.
const ROUNDS: usize = 25;
const LEAST: Duration = Duration::from_millis(2);

/// A network, its data, and room for a step.
struct Job {
    network: Network<Any>,
    shape: [usize; 3],
    x: Vec<f32>,
    dy: Vec<f32>,
    tape: Tape,
    grads: Tensors,
    observer: Observer,
}

impl Job {
    fn new(cell: Cell, hidden: usize, batch: usize) -> Result<Job, Error> {
        let network = Network::with_cell(cell, hidden, hidden).seed(1).build()?;
        let values = |stream: u64| -> Vec<f32> {
            let mut random = Philox::new(1, stream);
            (0..STEPS * batch * hidden).map(|_| random.normal()).collect()
        };
        Ok(Job {
            shape: [STEPS, batch, hidden],
            x: values(0),
            dy: values(1),
            tape: Tape::default(),
            grads: network.params().zeros_like(),
            observer: Observer::new(&network),
            network,
        })
    }

    /// The times of forward and of backward.
    fn step(&mut self, is_observed: bool) -> Result<[Duration; 2], Error> {
        let Job { network, shape, x, dy, tape, grads, observer } = self;
        grads.fill(0.0);
        let start = Instant::now();
        network.forward_train_into(View::new(x, *shape)?, None, tape)?;
        let middle = Instant::now();
        let upstream = Upstream::output(View::new(dy, *shape)?);
        if is_observed {
            observer.backward(network, tape, upstream, grads)?;
        } else {
            network.backward(tape, upstream, grads)?;
        }
        Ok([middle - start, middle.elapsed()])
    }

    /// The mean times of backward and of the whole step, in microseconds.
    fn repetition(&mut self, calls: u32, is_observed: bool) -> Result<[f64; 2], Error> {
        let mut sums = [Duration::ZERO; 2];
        for _ in 0..calls {
            let times = self.step(is_observed)?;
            sums = [sums[0] + times[0], sums[1] + times[1]];
        }
        Ok([sums[1], sums[0] + sums[1]].map(|sum| sum.as_secs_f64() * 1e6 / f64::from(calls)))
    }
}

/// The times of backward and of the whole step, and what looking adds to each, in percent.
fn measure(job: &mut Job) -> Result<[[f64; 2]; 2], Error> {
    job.step(true)?;
    let [_, once] = job.repetition(3, false)?;
    let calls = (LEAST.as_secs_f64() * 1e6 / once).ceil().max(1.0) as u32;
    let (mut alone, mut added) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for _ in 0..ROUNDS {
        let (plain, seen) = (job.repetition(calls, false)?, job.repetition(calls, true)?);
        for i in 0..2 {
            alone[i].push(plain[i]);
            added[i].push(100.0 * (seen[i] / plain[i] - 1.0));
        }
    }
    Ok([alone.map(|times| median(&times)), added.map(|shares| median(&shares))])
}

fn run() -> Result<(), Error> {
    say!(
        "T {STEPS}, I = H, one thread. Time unobserved, and what an observer adds: medians of {ROUNDS} pairs, the median of {PLACES} \
         networks in as many places of memory, and the most of any.\n"
    );
    say!("| cell | H | B | backward, us | observed | most | training step, us | observed | most |");
    say!("|---|---|---|---|---|---|---|---|---|");
    for cell in Cell::ALL {
        for (hidden, batch) in SIZES {
            let mut jobs =
                (0..PLACES).map(|_| Job::new(cell, hidden, batch)).collect::<Result<Vec<Job>, Error>>()?;
            let all = jobs.iter_mut().map(measure).collect::<Result<Vec<_>, Error>>()?;
            let of = |what: usize, i: usize| all.iter().map(|job| job[what][i]).collect::<Vec<f64>>();
            let cells = [0, 1].map(|i| {
                let (time, added) = (median(&of(0, i)), of(1, i));
                let most = added.iter().copied().fold(f64::MIN, f64::max);
                format!("{time:.1} | {:+.1} % | {most:+.1} %", median(&added))
            });
            say!("| {} | {hidden} | {batch} | {} |", cell.name(), cells.join(" | "));
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    on_one_thread("observer", run)
}
