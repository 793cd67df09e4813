//! An estimate of the least time that a pass can take on this machine: the one place where the model is written down.
//!
//! ```text
//! forward   max(recurrent FLOPs / FMA peak, T * bytes of W_hh / BW)      the recurrence: it computes or it reads
//!           + max(W_hr FLOPs / FMA peak, T * bytes of W_hr / BW)         the projection of the state, where there is one
//!           + projection FLOPs / FMA peak                                W_ih x, one matmul for all steps
//!           + gate vectors * throughput of their activations
//! train     forward, and the same recurrence and projection once more against W_hh^T and W_hr^T
//!           + (dW_ih, dW_hh, dW_hr and dx FLOPs) / FMA peak
//!           + gate vectors * throughput of what backward evaluates (tanh c' for an LSTM)
//! step      max(FLOPs / FMA peak, bytes of the weights / BW, the longest chain of multiply-adds)
//!           + latency of h (and of what is projected to it) through memory into a broadcast, and of the activations one after
//!           the other
//! ```
//! It is an estimate and no strict lower bound: the terms of the gates take the throughput of `Kernels::sigmoid` and `tanh` over
//! slices, whose loads, stores and call fused gates do not pay, and what overlaps is added up.
//!
//! BW is the read bandwidth measured at exactly the footprint of those weights. With n threads the peak and the bandwidth are
//! those of n threads, and the gates are shared out among them. Layers and directions add up. Where rows differ in length, only
//! their valid steps count, and W_hh and W_hr are read in every step of the longest.

use crate::case::{Case, Pass};
use crate::machine::{self, Cost};
use gatewise::Cell;
use gatewise_kernels::{Isa, Kernels};

/// What of the machine the model needs.
#[derive(Clone, Copy, Debug)]
pub struct Ceilings {
    /// The instruction set.
    pub isa: Isa,
    /// Lanes of its vectors.
    pub lanes: usize,
    /// Threads.
    pub threads: usize,
    /// GFLOP/s of those threads.
    pub fma_peak: f64,
    /// ns
    pub fma_latency: f64,
    /// From a store through a broadcast load, ns.
    pub broadcast: f64,
    /// Of one vector.
    pub sigmoid: Cost,
    /// Of one vector.
    pub tanh: Cost,
}

impl Ceilings {
    /// Measures them.
    pub fn measure(kernels: Kernels, threads: usize) -> Ceilings {
        let isa = kernels.isa();
        let (fma_latency, broadcast) = machine::latencies(isa);
        Ceilings {
            isa,
            lanes: kernels.lanes(),
            threads,
            fma_peak: machine::fma_peak(isa, threads),
            fma_latency,
            broadcast,
            sigmoid: machine::activation(kernels, Kernels::sigmoid),
            tanh: machine::activation(kernels, Kernels::tanh),
        }
    }
}

/// One summand of the floor, in microseconds, and how it comes about.
#[derive(Clone, Debug)]
pub struct Term {
    /// What it is.
    pub name: String,
    /// us
    pub us: f64,
    /// The figures behind it.
    pub from: String,
}

/// The summands of a case's floor.
pub fn terms(case: &Case, ceilings: &Ceilings) -> Vec<Term> {
    let mut all = Vec::new();
    for layer in 0..case.layers {
        for direction in 0..case.directions() {
            Layer { case, ceilings, input: case.layer_input(layer), layer, direction }.terms(&mut all);
        }
    }
    all
}

struct Layer<'a> {
    case: &'a Case,
    ceilings: &'a Ceilings,
    input: usize,
    layer: usize,
    direction: usize,
}

impl Layer<'_> {
    fn terms(&self, all: &mut Vec<Term>) {
        match self.case.pass {
            Pass::Step => self.step(all),
            Pass::Forward => self.forward(all),
            Pass::Train => {
                self.forward(all);
                self.backward(all);
            }
        }
    }

    fn forward(&self, all: &mut Vec<Term>) {
        self.recurrence("recurrence", all);
        self.projection("state projection", all);
        self.flops("input projection", self.input, all);
        let (sigmoids, tanhs) = forward_activations(self.case.cell.cell());
        self.gates("gates", sigmoids, tanhs, all);
    }

    fn backward(&self, all: &mut Vec<Term>) {
        self.recurrence("backward recurrence", all);
        self.projection("backward state projection", all);
        self.flops("dW_hh", self.case.state(), all);
        if self.case.proj.is_some() {
            self.matmul("dW_hr", self.case.projection(), all);
        }
        self.flops("dW_ih", self.input, all);
        self.flops("dx", self.input, all);
        let tanhs = usize::from(self.case.cell.cell().has_cell_state());
        self.gates("backward gates", 0, tanhs, all);
    }

    fn step(&self, all: &mut Vec<Term>) {
        let Ceilings { fma_latency, broadcast, sigmoid, tanh, fma_peak, .. } = *self.ceilings;
        let width = self.case.cell.cell().gates() * self.case.hidden;
        let weights = width * (self.input + self.case.state()) + self.case.projection();
        let compute = 2.0 * (weights * self.case.batch) as f64 / fma_peak / 1e3;
        let bandwidth = self.bandwidth(4 * weights);
        let read = 4.0 * weights as f64 / bandwidth / 1e3;
        // The projection sums over H once the gates are through.
        let projected = self.case.proj.map_or(0, |_| self.case.hidden);
        let chain = (self.input.max(self.case.state()) + projected) as f64 * fma_latency / 1e3;
        self.push(
            "products",
            compute.max(read).max(chain),
            format!("compute {compute:.3}, read {read:.3} at {bandwidth:.0} GB/s, longest chain {chain:.3}"),
            all,
        );
        // The longest way through the gates: LSTM sigmoid or tanh, then tanh c'; GRU r, then n.
        let (sigmoids, tanhs) = match self.case.cell.cell() {
            Cell::RnnTanh => (0.0, 1.0),
            Cell::RnnRelu => (0.0, 0.0),
            Cell::Lstm | Cell::Gru => (1.0, 1.0),
        };
        let ways = 1.0 + f64::from(u8::from(self.case.proj.is_some()));
        let latency = (ways * broadcast + sigmoids * sigmoid.latency + tanhs * tanh.latency) / 1e3;
        let from = format!(
            "{ways} broadcast of {broadcast:.1} ns, {sigmoids} sigmoid of {:.1} ns, {tanhs} tanh of {:.1} ns",
            sigmoid.latency, tanh.latency
        );
        self.push("latency", latency, from, all);
    }

    /// The product of all steps with W_hh or its transpose.
    fn recurrence(&self, name: &str, all: &mut Vec<Term>) {
        self.every_step(name, self.case.cell.cell().gates() * self.case.hidden * self.case.state(), all);
    }

    /// The product of all steps with W_hr or its transpose, if the state is projected.
    fn projection(&self, name: &str, all: &mut Vec<Term>) {
        if self.case.proj.is_some() {
            self.every_step(name, self.case.projection(), all);
        }
    }

    /// A product with that many weights, one step after the other.
    fn every_step(&self, name: &str, weights: usize, all: &mut Vec<Term>) {
        let steps = self.case.longest() as f64;
        let flops = 2.0 * weights as f64 * self.case.row_steps() as f64;
        let compute = flops / self.ceilings.fma_peak / 1e3;
        let bandwidth = self.bandwidth(4 * weights);
        let read = 4.0 * weights as f64 * steps / bandwidth / 1e3;
        let from = format!("compute {compute:.2}, read {read:.2} at {bandwidth:.0} GB/s");
        self.push(name, compute.max(read), from, all);
    }

    fn bandwidth(&self, bytes: usize) -> f64 {
        machine::read_bandwidth(self.ceilings.isa, bytes, self.ceilings.threads)
    }

    /// A matmul of all steps and rows with weights of that many columns.
    fn flops(&self, name: &str, columns: usize, all: &mut Vec<Term>) {
        self.matmul(name, self.case.cell.cell().gates() * self.case.hidden * columns, all);
    }

    /// A matmul of all steps and rows with that many weights.
    fn matmul(&self, name: &str, weights: usize, all: &mut Vec<Term>) {
        let flops = 2.0 * weights as f64 * self.case.row_steps() as f64;
        let peak = self.ceilings.fma_peak;
        self.push(name, flops / peak / 1e3, format!("{:.3} GFLOP at {peak:.0} GFLOP/s", flops / 1e9), all);
    }

    fn gates(&self, name: &str, sigmoids: usize, tanhs: usize, all: &mut Vec<Term>) {
        let Ceilings { sigmoid, tanh, threads, lanes, .. } = *self.ceilings;
        let vectors = (self.case.hidden.div_ceil(lanes) * self.case.row_steps()) as f64;
        let per_vector = sigmoids as f64 * sigmoid.throughput + tanhs as f64 * tanh.throughput;
        let from =
            format!("{vectors} vectors of {sigmoids} sigmoid and {tanhs} tanh, {per_vector:.1} ns each");
        self.push(name, vectors * per_vector / threads as f64 / 1e3, from, all);
    }

    fn push(&self, name: &str, us: f64, from: String, all: &mut Vec<Term>) {
        let direction = if self.direction == 0 { "" } else { " reverse" };
        all.push(Term { name: format!("layer {}{direction} {name}", self.layer), us, from });
    }
}

/// Sigmoids and tanhs of one unit and step.
fn forward_activations(cell: Cell) -> (usize, usize) {
    match cell {
        Cell::RnnTanh => (0, 1),
        Cell::RnnRelu => (0, 0),
        Cell::Lstm => (3, 2),
        Cell::Gru => (2, 1),
    }
}
