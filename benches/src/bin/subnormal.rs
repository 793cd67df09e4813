//! `cargo xtask subnormal`: what subnormal numbers cost.
//!
//! Some processors take many times as long for an operation on numbers below 2^-126. Four sets of data run through the same
//! network: ordinary ones; all weights and inputs -0.1; an ordinary network that is left alone after its first step, so that
//! states and gradients decay to nothing; and one in which every input, state and gradient is subnormal at every step.

use benches::timing::repetition;
use gatewise::{Any, Cell, Error, Kernels, Network, Philox, Tape, Tensors, Upstream, View, Workspace};
use std::process::ExitCode;

/// T, B, I, H: a call takes about a millisecond, so that little else happens during it.
const STEPS: usize = 64;
const BATCH: usize = 8;
const INPUT: usize = 32;
const HIDDEN: usize = 64;

/// Repetitions of each set of data, in turn with the others.
const ROUNDS: usize = 101;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Ordinary,
    AllEqual,
    Decaying,
    Subnormal,
}

const ALL: [Data; 4] = [Data::Ordinary, Data::AllEqual, Data::Decaying, Data::Subnormal];

/// A network, its data, and room for both passes.
struct Job {
    network: Network<Any>,
    x: Vec<f32>,
    dy: Vec<f32>,
    y: Vec<f32>,
    room: Workspace,
    tape: Tape,
    grads: Tensors,
}

impl Job {
    fn new(cell: Cell, kernels: Kernels, data: Data) -> Result<Job, Error> {
        let bias = data == Data::Ordinary || data == Data::AllEqual;
        let mut network = Network::with_cell(cell, INPUT, HIDDEN).bias(bias).kernels(kernels).build()?;
        for (i, tensor) in network.params_mut().iter_mut().enumerate() {
            let mut random = Philox::new(1, i as u64);
            let bound = 1.0 / (HIDDEN as f32).sqrt();
            let mean = 1.0 / tensor.shape().last().map_or(1.0, |&k| k as f32);
            for weight in tensor.data_mut() {
                *weight = match data {
                    Data::Ordinary | Data::Decaying => bound * (2.0 * random.uniform() - 1.0),
                    Data::AllEqual => -0.1,
                    // A mean: what is subnormal stays so.
                    Data::Subnormal => mean,
                };
            }
        }
        let values = |width: usize, stream: u64, last: bool| -> Vec<f32> {
            let mut random = Philox::new(2, stream);
            let line = BATCH * width;
            let value = |at: usize| match data {
                Data::Ordinary => 2.0 * random.uniform() - 1.0,
                Data::AllEqual => -0.1,
                Data::Decaying if at / line == (if last { STEPS - 1 } else { 0 }) => {
                    2.0 * random.uniform() - 1.0
                }
                Data::Decaying => 0.0,
                Data::Subnormal => 1e-40,
            };
            (0..STEPS * line).map(value).collect()
        };
        let grads = network.params().zeros_like();
        Ok(Job {
            x: values(INPUT, 1, false),
            dy: values(HIDDEN, 2, true),
            y: vec![0.0; STEPS * BATCH * HIDDEN],
            room: Workspace::default(),
            tape: Tape::default(),
            grads,
            network,
        })
    }

    fn forward(&mut self) -> Result<(), Error> {
        let mut state = self.network.zero_state(BATCH)?;
        let x = View::new(&self.x, [STEPS, BATCH, INPUT])?;
        self.network.forward_into(x, &mut state, &mut self.y, &mut self.room)
    }

    fn train(&mut self) -> Result<(), Error> {
        let x = View::new(&self.x, [STEPS, BATCH, INPUT])?;
        let dy = View::new(&self.dy, [STEPS, BATCH, HIDDEN])?;
        self.network.forward_train_into(x, None, &mut self.tape)?;
        self.grads.fill(0.0);
        self.network.backward(&mut self.tape, Upstream::output(dy), &mut self.grads)
    }

    /// The share of its outputs and gradients that are subnormal.
    fn subnormal_share(&self) -> f64 {
        let grads = self.grads.iter().flat_map(|tensor| tensor.data());
        let all = || self.y.iter().chain(grads.clone());
        all().filter(|x| x.is_subnormal()).count() as f64 / all().count() as f64
    }
}

/// The shortest time of a call, by data, taken in turn: whatever else the machine does can only make a call longer.
fn times(jobs: &mut [Job], call: fn(&mut Job) -> Result<(), Error>) -> Result<Vec<f64>, Error> {
    let mut all = vec![f64::INFINITY; jobs.len()];
    for round in 0..=ROUNDS {
        for (job, shortest) in jobs.iter_mut().zip(&mut all) {
            let mut result = Ok(());
            let time = repetition(1, || result = call(job));
            result?;
            // The first round only warms up.
            if round > 0 {
                *shortest = shortest.min(time);
            }
        }
    }
    Ok(all)
}

fn run() -> Result<(), Error> {
    println!(
        "Time over that of ordinary data; T {STEPS}, B {BATCH}, I {INPUT}, H {HIDDEN}, the shortest of {ROUNDS} calls in turn.\n"
    );
    println!(
        "| cell | instruction set | pass | ordinary, us | all -0.1 | decaying | all subnormal | share subnormal |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut largest: f64 = 0.0;
    for kernels in Kernels::available()? {
        for cell in Cell::ALL {
            let mut jobs =
                ALL.map(|data| Job::new(cell, kernels, data)).into_iter().collect::<Result<Vec<_>, _>>()?;
            for (pass, call) in [("forward", Job::forward as fn(&mut Job) -> _), ("train", Job::train)] {
                let times = times(&mut jobs, call)?;
                let over: Vec<f64> = times.iter().map(|time| time / times[0]).collect();
                largest = over.iter().copied().fold(largest, f64::max);
                println!(
                    "| {} | {} | {pass} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} % |",
                    cell.name(),
                    kernels.isa(),
                    times[0],
                    over[1],
                    over[2],
                    over[3],
                    100.0 * jobs[3].subnormal_share(),
                );
            }
        }
    }
    println!("\nlargest {largest:.2}");
    Ok(())
}

fn main() -> ExitCode {
    // One thread: what is measured is arithmetic.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let result = match pool {
        Ok(pool) => pool.install(run),
        Err(error) => {
            eprintln!("subnormal: {error}");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("subnormal: {error}");
            ExitCode::FAILURE
        }
    }
}
