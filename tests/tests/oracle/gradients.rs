//! Every gradient of a layer and of a stack against central differences, each option alone and with others.

use tests::oracle::{
    Cell, LayerRun, Merge, Shape, Stack, StackRun, StackShape, Upstream, Weights, backward, forward,
};
use tests::rng::Rng;

use super::finite::{Problem, check};

const STEPS: usize = 4;
const BATCH: usize = 3;
const INPUT: usize = 2;
const HIDDEN: usize = 3;
const PROJ: usize = 2;
/// Unsorted, with a zero and a full length.
const LENGTHS: [usize; BATCH] = [2, 0, 4];
/// `[t][b]`: at a first step, in the middle, twice in a row, and past a length.
const RESETS: [[bool; BATCH]; STEPS] =
    [[false, false, true], [true, false, false], [false, false, true], [false, true, false]];
/// A relu whose argument is closer to 0 than this would not be differentiable at both points.
const KINK: f64 = 1e-3;

struct LayerProblem {
    shape: Shape,
    weights: Weights,
    run: LayerRun,
}

impl Problem for LayerProblem {
    fn outputs(&self) -> Vec<f64> {
        let trace = forward(&self.shape, &self.weights, &self.run);
        [trace.out, trace.h_n, trace.c_n].concat()
    }

    fn variables(&mut self) -> Vec<(String, &mut [f64])> {
        let run = &mut self.run;
        let states = [
            ("x", Some(&mut run.x)),
            ("h0", run.h0.as_mut()),
            ("c0", run.c0.as_mut()),
            ("reset_h", run.reset_h.as_mut()),
            ("reset_c", run.reset_c.as_mut()),
        ];
        let states = states.into_iter().filter_map(|(name, state)| Some((name, state?.as_mut_slice())));
        let all = self.weights.tensors_mut().into_iter().chain(states);
        all.map(|(name, values)| (name.to_string(), values)).collect()
    }

    fn gradients(&self, r: &[f64]) -> Vec<(String, Vec<f64>)> {
        let run = &self.run;
        let trace = forward(&self.shape, &self.weights, run);
        let upstream = split(r, trace.out.len(), trace.h_n.len());
        let grads = backward(&self.shape, &self.weights, run, &trace, &upstream);
        let states = [
            ("x", true, grads.x),
            ("h0", run.h0.is_some(), grads.h0),
            ("c0", run.c0.is_some(), grads.c0),
            ("reset_h", run.reset_h.is_some(), grads.reset_h),
            ("reset_c", run.reset_c.is_some(), grads.reset_c),
        ];
        let weights = grads.weights.tensors().into_iter().map(|(name, grad)| (name, true, grad.to_vec()));
        let all = weights.chain(states).filter(|(_, there, _)| *there);
        all.map(|(name, _, grad)| (name.to_string(), grad)).collect()
    }
}

struct StackProblem {
    stack: Stack,
    run: StackRun,
}

impl Problem for StackProblem {
    fn outputs(&self) -> Vec<f64> {
        let trace = self.stack.forward(&self.run);
        [trace.out, trace.h_n, trace.c_n].concat()
    }

    fn variables(&mut self) -> Vec<(String, &mut [f64])> {
        let run = &mut self.run;
        let states = [
            ("x", Some(&mut run.x)),
            ("h0", run.h0.as_mut()),
            ("c0", run.c0.as_mut()),
            ("reset_h", run.reset_h.as_mut()),
            ("reset_c", run.reset_c.as_mut()),
        ];
        let states =
            states.into_iter().filter_map(|(name, state)| Some((name.to_string(), state?.as_mut_slice())));
        self.stack.tensors_mut().into_iter().chain(states).collect()
    }

    fn gradients(&self, r: &[f64]) -> Vec<(String, Vec<f64>)> {
        let run = &self.run;
        let trace = self.stack.forward(run);
        let upstream = split(r, trace.out.len(), trace.h_n.len());
        let grads = self.stack.backward(run, &trace, &upstream);
        let states = [
            ("x", true, &grads.x),
            ("h0", run.h0.is_some(), &grads.h0),
            ("c0", run.c0.is_some(), &grads.c0),
            ("reset_h", run.reset_h.is_some(), &grads.reset_h),
            ("reset_c", run.reset_c.is_some(), &grads.reset_c),
        ];
        let weights = grads.tensors(&self.stack.shape);
        let weights = weights.into_iter().map(|(name, grad)| (name, grad.to_vec()));
        let states = states.into_iter().filter(|(_, there, _)| *there);
        weights.chain(states.map(|(name, _, grad)| (name.to_string(), grad.clone()))).collect()
    }
}

/// The gradients by `out`, `h_n`, `c_n` from one list.
fn split(r: &[f64], out: usize, h_n: usize) -> Upstream {
    let (r_out, rest) = r.split_at(out);
    let (r_h, r_c) = rest.split_at(h_n);
    Upstream { out: Some(r_out.to_vec()), h_n: Some(r_h.to_vec()), c_n: Some(r_c.to_vec()) }
}

/// Whether every relu argument of every step that was run is far enough from 0.
fn far_from_kink(cell: Cell, run: &LayerRun, xa: &[f64], ha: &[f64]) -> bool {
    let width = xa.len() / (run.steps * run.batch).max(1);
    let at = |t: usize, b: usize| (t * run.batch + b) * width;
    let far = |k: usize| (xa[k] + ha[k]).abs() > KINK;
    cell != Cell::RnnRelu
        || (0..run.batch).all(|b| run.order(b).into_iter().all(|t| (at(t, b)..at(t, b) + width).all(far)))
}

/// How the states at a reset are given.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reset {
    Never,
    ToZero,
    ToState,
}

/// Draws layer problems until one is far from every kink.
fn layer_problem(
    shape: Shape,
    [b_ih, b_hh]: [bool; 2],
    initial: bool,
    reset: Reset,
    base: &LayerRun,
    rng: &mut Rng,
) -> LayerProblem {
    loop {
        let mut weights = Weights::filled(&shape, true, || rng.uniform(-0.8, 0.8));
        weights.b_ih = weights.b_ih.filter(|_| b_ih);
        weights.b_hh = weights.b_hh.filter(|_| b_hh);
        let (steps, batch) = (base.steps, base.batch);
        let mut state = |there: bool, width: usize| there.then(|| rng.vec(batch * width, -1.0, 1.0));
        let to_state = reset == Reset::ToState;
        let run = LayerRun {
            h0: state(initial, shape.state()),
            c0: state(initial, shape.c_state()),
            reset_h: state(to_state, shape.state()),
            reset_c: state(to_state, shape.c_state()),
            x: rng.vec(steps * batch * shape.input, -1.5, 1.5),
            resets: base.resets.clone().filter(|_| reset != Reset::Never),
            ..base.clone()
        };
        let trace = forward(&shape, &weights, &run);
        if far_from_kink(shape.cell, &run, &trace.xa, &trace.ha) {
            return LayerProblem { shape, weights, run };
        }
    }
}

/// All combinations of all options of a layer.
fn layer(cell: Cell) {
    let mut rng = Rng::new(1 + cell as u64);
    let mut elements = 0;
    for bias in [[true, true], [false, false], [true, false], [false, true]] {
        for proj in [None, Some(PROJ)] {
            for lengths in [None, Some(LENGTHS.to_vec())] {
                for reset in [Reset::Never, Reset::ToZero, Reset::ToState] {
                    for [reverse, initial] in [[false, false], [false, true], [true, false], [true, true]] {
                        let shape = Shape { cell, input: INPUT, hidden: HIDDEN, proj };
                        let base = LayerRun {
                            steps: STEPS,
                            batch: BATCH,
                            reverse,
                            lengths: lengths.clone(),
                            resets: Some(RESETS.concat()),
                            ..LayerRun::default()
                        };
                        let label = format!(
                            "{cell:?} biases {bias:?} proj {proj:?} lengths {lengths:?} reset {reset:?} \
                             reverse {reverse} initial {initial}"
                        );
                        let mut problem = layer_problem(shape, bias, initial, reset, &base, &mut rng);
                        elements += check(&mut problem, &mut rng, &label);
                    }
                }
            }
        }
    }
    assert!(elements > 9_000, "only {elements} elements were compared");
}

#[test]
fn layer_rnn_tanh() {
    layer(Cell::RnnTanh);
}

#[test]
fn layer_rnn_relu() {
    layer(Cell::RnnRelu);
}

#[test]
fn layer_lstm() {
    layer(Cell::Lstm);
}

#[test]
fn layer_gru() {
    layer(Cell::Gru);
}

/// Random sizes, also T, B, H of 1 and I of 0, with random options.
#[test]
fn layer_of_any_size() {
    let mut rng = Rng::new(77);
    for case in 0..120 {
        let cell = Cell::ALL[case % 4];
        let hidden = 1 + rng.below(4);
        let proj = rng.chance(0.4).then(|| 1 + rng.below(hidden));
        let shape = Shape { cell, input: rng.below(4), hidden, proj };
        let (steps, batch) = (1 + rng.below(6), 1 + rng.below(3));
        let base = LayerRun {
            steps,
            batch,
            reverse: rng.chance(0.5),
            lengths: rng.chance(0.5).then(|| (0..batch).map(|_| rng.below(steps + 1)).collect()),
            resets: Some((0..steps * batch).map(|_| rng.chance(0.3)).collect()),
            ..LayerRun::default()
        };
        let reset = [Reset::Never, Reset::ToZero, Reset::ToState][rng.below(3)];
        let bias = [rng.chance(0.7), rng.chance(0.7)];
        let initial = rng.chance(0.7);
        let label = format!("{shape:?} T {steps} B {batch} {base:?} {reset:?} biases {bias:?}");
        check(&mut layer_problem(shape, bias, initial, reset, &base, &mut rng), &mut rng, &label);
    }
}

/// The options of a stack that are turned on alone and in pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Opt {
    TwoLayers,
    ThreeLayers,
    Bidirectional,
    NoBias,
    Proj,
    Lengths,
    ResetToZero,
    ResetToState,
    Dropout,
    Taper,
    Sum,
    Mean,
    Product,
    NoInitialState,
}

const OPTS: [Opt; 14] = [
    Opt::TwoLayers,
    Opt::ThreeLayers,
    Opt::Bidirectional,
    Opt::NoBias,
    Opt::Proj,
    Opt::Lengths,
    Opt::ResetToZero,
    Opt::ResetToState,
    Opt::Dropout,
    Opt::Taper,
    Opt::Sum,
    Opt::Mean,
    Opt::Product,
    Opt::NoInitialState,
];

/// Draws stack problems until one is far from every kink.
fn stack_problem(cell: Cell, on: &[Opt], rng: &mut Rng) -> StackProblem {
    let has = |opt: Opt| on.contains(&opt);
    let layers = if has(Opt::ThreeLayers) { 3 } else { 1 + usize::from(has(Opt::TwoLayers)) };
    let proj = has(Opt::Proj).then_some(PROJ);
    let bidirectional = has(Opt::Bidirectional);
    let merges = [(Opt::Sum, Merge::Sum), (Opt::Mean, Merge::Mean), (Opt::Product, Merge::Product)];
    let merge = merges.into_iter().filter(|(opt, _)| has(*opt)).map(|(_, merge)| merge).next_back();
    let taper = usize::from(has(Opt::Taper));
    let hidden = (0..layers).map(|layer| HIDDEN + taper * (layers - 1 - layer)).collect();
    let merge = merge.unwrap_or_default();
    let shape = StackShape { cell, input: INPUT, hidden, proj, bidirectional, merge };
    let of_all = |width: fn(&Shape) -> usize| -> usize {
        shape.directions() * (0..layers).map(|layer| width(&shape.layer(layer))).sum::<usize>()
    };
    let (states, c_states) = (of_all(Shape::state), of_all(Shape::c_state));
    loop {
        let stack = Stack::filled(shape.clone(), !has(Opt::NoBias), || rng.uniform(-0.8, 0.8));
        let mask = |layer: usize, rng: &mut Rng| -> Vec<f64> {
            let len = STEPS * BATCH * shape.output(layer);
            (0..len).map(|_| if rng.chance(0.4) { 0.0 } else { 1.0 / 0.6 }).collect()
        };
        let dropout = has(Opt::Dropout).then(|| (1..layers).map(|layer| mask(layer - 1, rng)).collect());
        let mut state_of = |there: bool, width: usize| there.then(|| rng.vec(BATCH * width, -1.0, 1.0));
        let (initial, to_state) = (!has(Opt::NoInitialState), has(Opt::ResetToState));
        let run = StackRun {
            steps: STEPS,
            batch: BATCH,
            h0: state_of(initial, states),
            c0: state_of(initial, c_states),
            lengths: has(Opt::Lengths).then(|| LENGTHS.to_vec()),
            resets: (to_state || has(Opt::ResetToZero)).then(|| RESETS.concat()),
            reset_h: state_of(to_state, states),
            reset_c: state_of(to_state, c_states),
            flush_below: None,
            options: None,
            x: rng.vec(STEPS * BATCH * INPUT, -1.5, 1.5),
            dropout,
        };
        let trace = stack.forward(&run);
        let mut all = trace.runs.iter().zip(&trace.layers);
        if all.all(|(run, layer)| far_from_kink(cell, run, &layer.xa, &layer.ha)) {
            return StackProblem { stack, run };
        }
    }
}

/// No option, every option alone, every pair, and all at once.
fn stack(cell: Cell) {
    let mut rng = Rng::new(100 + cell as u64);
    let mut elements = 0;
    let mut run = |on: &[Opt]| {
        let mut problem = stack_problem(cell, on, &mut rng);
        elements += check(&mut problem, &mut rng, &format!("{cell:?} {on:?}"));
    };
    run(&[]);
    for (i, &first) in OPTS.iter().enumerate() {
        run(&[first]);
        for &second in &OPTS[i + 1..] {
            run(&[first, second]);
        }
    }
    run(&OPTS[..OPTS.len() - 1]);
    assert!(elements > 4_000, "only {elements} elements were compared");
}

#[test]
fn stack_rnn_tanh() {
    stack(Cell::RnnTanh);
}

#[test]
fn stack_rnn_relu() {
    stack(Cell::RnnRelu);
}

#[test]
fn stack_lstm() {
    stack(Cell::Lstm);
}

#[test]
fn stack_gru() {
    stack(Cell::Gru);
}
