//! `cargo xtask subnormal`: what subnormal numbers cost.
//!
//! Some processors take many times as long for an operation on numbers below 2^-126. Five sets of data run through the same
//! network: ordinary ones; all weights and inputs -0.1; an ordinary network that is left alone after its first step, so that
//! states and gradients decay to nothing; one that starts from subnormal states, which its weights would keep so, and gets a
//! subnormal gradient at every step; and the same with subnormal inputs besides.

use benches::timing::repetition;
use benches::{on_one_thread, say};
use gatewise::{Any, Cell, Error, Kernels, Network, Philox, State, Tape, Tensors, Upstream, View, Workspace};
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
    States,
    Inputs,
}

const ALL: [Data; 5] = [Data::Ordinary, Data::AllEqual, Data::Decaying, Data::States, Data::Inputs];

/// A network, its data, and room for both passes.
struct Job {
    network: Network<Any>,
    start: State,
    state: State,
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
                    Data::States | Data::Inputs => mean,
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
                Data::States if !last => 0.0,
                Data::States | Data::Inputs => 1e-40,
            };
            (0..STEPS * line).map(value).collect()
        };
        let grads = network.params().zeros_like();
        let mut start = network.zero_state(BATCH)?;
        if data == Data::States || data == Data::Inputs {
            start.h_mut().fill(1e-40);
            start.c_mut().fill(1e-40);
        }
        Ok(Job {
            state: start.clone(),
            start,
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
        self.state.clone_from(&self.start);
        let x = View::new(&self.x, [STEPS, BATCH, INPUT])?;
        self.network.forward_into(x, &mut self.state, &mut self.y, &mut self.room)
    }

    fn train(&mut self) -> Result<(), Error> {
        let x = View::new(&self.x, [STEPS, BATCH, INPUT])?;
        let dy = View::new(&self.dy, [STEPS, BATCH, HIDDEN])?;
        self.network.forward_train_into(x, Some(&self.start), &mut self.tape)?;
        self.grads.fill(0.0);
        self.network.backward(&mut self.tape, Upstream::output(dy), &mut self.grads)
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
    say!(
        "Time over that of ordinary data; T {STEPS}, B {BATCH}, I {INPUT}, H {HIDDEN}, the shortest of {ROUNDS} calls in turn.\n"
    );
    say!(
        "| cell | instruction set | pass | ordinary, us | all -0.1 | decaying | states, gradients | inputs too |"
    );
    say!("|---|---|---|---|---|---|---|---|");
    let mut largest: f64 = 0.0;
    for kernels in Kernels::available()? {
        for cell in Cell::ALL {
            let mut jobs =
                ALL.map(|data| Job::new(cell, kernels, data)).into_iter().collect::<Result<Vec<_>, _>>()?;
            for (pass, call) in [("forward", Job::forward as fn(&mut Job) -> _), ("train", Job::train)] {
                let times = times(&mut jobs, call)?;
                let over: Vec<f64> = times.iter().map(|time| time / times[0]).collect();
                largest = over[..4].iter().copied().fold(largest, f64::max);
                say!(
                    "| {} | {} | {pass} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} |",
                    cell.name(),
                    kernels.isa(),
                    times[0],
                    over[1],
                    over[2],
                    over[3],
                    over[4],
                );
            }
        }
    }
    say!("\nlargest, but for subnormal inputs: {largest:.2}");
    Ok(())
}

fn main() -> ExitCode {
    // One thread: what is measured is arithmetic.
    on_one_thread("subnormal", run)
}
