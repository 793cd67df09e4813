//! Every wrong argument of the gate kernels is an error that names it, and nothing is written then.

use super::problem::{Options, Problem, Sizes};
use super::run::{ForwardMemory, Way, forward, pack};
use super::run_back::BackwardMemory;
use super::support::{assert_bits, available};
use gatewise_kernels::plan::{BackwardPlan, ForwardPlan, Projection};
use gatewise_kernels::{Backward, Cell, CellSpec, Error, Forward, Kernels, SeqMut, Step, Weights};

const SIZES: Sizes = Sizes { steps: 3, batch: 4, input: 2, hidden: 5 };
const PLAN: ForwardPlan = ForwardPlan {
    projection: Projection::Chunked { chunk: 2 },
    shards: 2,
    slices: 1,
    shard_scratch: 2 * 2 * 4 * 16,
    single_row: false,
};

const BACK: BackwardPlan = BackwardPlan { chunk: 1, shards: 1, slices: 1, threads: 1 };

fn problem() -> Problem {
    let options = Options { bias: true, state: true, resets: true, reset_state: true, dy: true, rows: 1 };
    Problem::draw(Cell::Lstm, SIZES, options, 1)
}

/// The argument that an error names.
#[track_caller]
pub(super) fn named(result: Result<(), Error>) -> &'static str {
    match result {
        Err(Error::Shape { arg, .. }) => arg,
        Err(Error::SizeOverflow { what }) => what,
        other => panic!("expected an error that names an argument, got {other:?}"),
    }
}

fn shorter(data: &mut &mut [f32]) {
    let all = std::mem::take(data);
    let len = all.len() - 1;
    *data = &mut all[..len];
}

fn overlap(seq: &mut SeqMut<'_>) {
    seq.row -= 1;
}

type BreakForward = (&'static str, for<'a> fn(&mut Forward<'a>));
type BreakBackward = (&'static str, for<'a> fn(&mut Backward<'a>));
type BreakStep = (&'static str, for<'a> fn(&mut Step<'a>));
type BreakWeights = (&'static str, for<'a> fn(&mut Weights<'a>));

#[test]
fn forward_refuses_wrong_arguments() {
    let breaks: &[BreakForward] = &[
        ("input", |args| args.x.data = &args.x.data[1..]),
        ("input", |args| args.x.offset = 1),
        ("input", |args| args.x.offset = usize::MAX),
        ("input", |args| args.x.row += 1),
        ("input", |args| args.x.row = usize::MAX),
        ("input", |args| args.x.step += 1),
        ("input", |args| args.x.step = -1),
        ("input", |args| args.x.step = isize::MAX),
        ("input", |args| args.x.step = isize::MIN),
        ("input", |args| args.steps += 1),
        ("input", |args| args.steps = usize::MAX),
        ("input", |args| args.batch += 1),
        ("input", |args| args.batch = usize::MAX),
        ("h_0", |args| args.h_0 = args.h_0.map(|h| &h[1..])),
        ("c_0", |args| args.c_0 = args.c_0.map(|c| &c[1..])),
        ("output", |args| shorter(&mut args.y.data)),
        ("output", |args| overlap(&mut args.y)),
        ("output", |args| args.y.row = 0),
        ("output", |args| args.y.step = 1),
        ("output", |args| args.y.step = -1),
        // A step that writes where it reads, and one place for any number of steps.
        ("output", |args| args.y.step = 0),
        ("output", |args| {
            args.steps = usize::MAX;
            (args.x.step, args.y.step) = (0, 0);
        }),
        ("output", |args| args.y.offset = 1),
        ("c", |args| args.c = None),
        ("c", |args| args.c.iter_mut().for_each(|c| shorter(&mut c.data))),
        ("c", |args| args.c.iter_mut().for_each(overlap)),
        ("gates", |args| args.gates.iter_mut().for_each(|gates| shorter(&mut gates.data))),
        ("gates", |args| args.gates.iter_mut().for_each(overlap)),
        ("active", |args| args.active = args.active.map(|active| &active[1..])),
        ("active", |args| args.active = Some(&[4, 5, 1])),
        ("active", |args| args.active = Some(&[4, usize::MAX, 1])),
        // Without a c_0 there is none to start again from.
        ("active", |args| {
            args.c_0 = None;
            args.active = Some(&[4, 3, 4]);
        }),
        ("resets", |args| args.resets = args.resets.map(|resets| &resets[1..])),
        ("reset_h", |args| args.reset_h = args.reset_h.map(|h| &h[1..])),
        ("reset_c", |args| args.reset_c = args.reset_c.map(|c| &c[1..])),
        ("scratch", |args| shorter(&mut args.scratch)),
    ];
    let problem = problem();
    for kernels in available() {
        let packed = pack(kernels, &problem);
        let plan =
            ForwardPlan { shard_scratch: 2 * 2 * 4 * 8_usize.next_multiple_of(packed.lanes()), ..PLAN };
        let mut memory = ForwardMemory::new(&problem, &Way::default(), plan.scratch());
        let before = memory.outputs();
        for (i, (arg, wrong)) in breaks.iter().enumerate() {
            let mut args = memory.args();
            wrong(&mut args);
            assert_eq!(named(kernels.forward(&packed, &plan, args)), *arg, "case {i}");
            assert_bits(arg, &memory.outputs(), &before);
        }
        let chunked = |chunk, shard_scratch| ForwardPlan {
            projection: Projection::Chunked { chunk },
            shard_scratch,
            ..plan
        };
        for wrong in
            [chunked(0, 1000), chunked(2, 1), chunked(usize::MAX, 1000), chunked(usize::MAX, usize::MAX)]
        {
            let arg = named(kernels.forward(&packed, &wrong, memory.args()));
            assert!(["plan", "scratch"].contains(&arg), "{arg}");
            assert_bits("an odd plan", &memory.outputs(), &before);
        }
        for (shards, slices) in [(0, 0), (3, 1), (1000, 1), (1, 3), (1, 1000), (5, 5)] {
            let plan = ForwardPlan {
                projection: Projection::Fused,
                shards,
                slices,
                shard_scratch: 0,
                single_row: true,
            };
            kernels.forward(&packed, &plan, memory.args()).expect("a number of shards is a wish");
        }
    }
}

#[test]
fn backward_refuses_wrong_arguments() {
    let breaks: &[BreakBackward] = &[
        ("steps", |args| args.begin = 4),
        ("steps", |args| args.end = 4),
        ("steps", |args| args.end = usize::MAX),
        ("steps", |args| (args.begin, args.end) = (usize::MAX, 0)),
        ("grad_output", |args| args.dy.iter_mut().for_each(|dy| dy.data = &dy.data[1..])),
        ("grad_output", |args| args.dy.iter_mut().for_each(|dy| dy.step = isize::MIN)),
        ("gates", |args| args.gates.step = 0),
        ("gates", |args| shorter(&mut args.gates.data)),
        ("gates", |args| overlap(&mut args.gates)),
        ("output", |args| args.y.data = &args.y.data[1..]),
        ("output", |args| args.y.row = usize::MAX),
        ("h_0", |args| args.h_0 = args.h_0.map(|h| &h[1..])),
        ("c_0", |args| args.c_0 = args.c_0.map(|c| &c[1..])),
        ("c", |args| args.c = None),
        ("c", |args| args.c.iter_mut().for_each(|c| c.data = &c.data[1..])),
        ("dh", |args| shorter(&mut args.dh)),
        ("dc", |args| args.dc = None),
        ("dc", |args| args.dc.iter_mut().for_each(shorter)),
        ("dh_steps", |args| args.dh_steps.iter_mut().for_each(|dh| shorter(&mut dh.data))),
        ("dh_steps", |args| args.dh_steps.iter_mut().for_each(overlap)),
        ("dc_steps", |args| args.dc_steps.iter_mut().for_each(|dc| shorter(&mut dc.data))),
        ("active", |args| args.active = args.active.map(|active| &active[1..])),
        ("active", |args| args.active = Some(&[5, 1, 1])),
        ("resets", |args| args.resets = args.resets.map(|resets| &resets[1..])),
        ("reset_h", |args| args.reset_h = args.reset_h.map(|h| &h[1..])),
        ("reset_c", |args| args.reset_c = args.reset_c.map(|c| &c[1..])),
    ];
    let problem = problem();
    for kernels in available() {
        let packed = pack(kernels, &problem);
        let run = forward(kernels, &packed, &problem, &Way::default());
        let mut memory = BackwardMemory::new(&problem, &run, &Way::default());
        let before = memory.outputs();
        for (i, (arg, wrong)) in breaks.iter().enumerate() {
            let mut args = memory.args(0, SIZES.steps);
            wrong(&mut args);
            assert_eq!(named(kernels.backward(&packed, SIZES.steps, &BACK, args)), *arg, "case {i}");
            assert_bits(arg, &memory.outputs(), &before);
        }
        let untrained =
            kernels.pack_cell(Cell::Lstm, SIZES.input, SIZES.hidden, problem.weights()).expect("fits");
        assert_eq!(named(kernels.backward(&untrained, SIZES.steps, &BACK, memory.args(0, 3))), "weights");
        assert_eq!(named(kernels.backward(&packed, usize::MAX, &BACK, memory.args(0, 3))), "active");
        assert_bits("outputs", &memory.outputs(), &before);
    }
}

#[test]
fn step_refuses_wrong_arguments() {
    let breaks: &[BreakStep] = &[
        ("input", |args| args.x = &args.x[1..]),
        ("input", |args| args.batch += 1),
        ("input", |args| args.batch = usize::MAX),
        ("h_0", |args| args.h_0 = &args.h_0[1..]),
        ("output", |args| shorter(&mut args.h_1)),
        ("c", |args| shorter(&mut args.c)),
        ("c", |args| args.c = &mut []),
    ];
    let problem = problem();
    for kernels in available() {
        let packed = pack(kernels, &problem);
        let (x, h_0) = ([0.5; 8], [0.5; 20]);
        let (mut h_1, mut c) = ([7.0; 20], [8.0; 20]);
        for (i, (arg, wrong)) in breaks.iter().enumerate() {
            let mut args = Step { batch: 4, x: &x, h_0: &h_0, h_1: &mut h_1, c: &mut c };
            wrong(&mut args);
            assert_eq!(named(kernels.step(&packed, args, 1)), *arg, "case {i}");
            assert_eq!((h_1, c), ([7.0; 20], [8.0; 20]), "case {i}");
        }
        let rnn = Problem::draw(Cell::Gru, SIZES, Options::default(), 1);
        let args = Step { batch: 4, x: &x, h_0: &h_0, h_1: &mut h_1, c: &mut c };
        assert_eq!(named(kernels.step(&pack(kernels, &rnn), args, 1)), "c", "a cell without c has none");
        assert_eq!((h_1, c), ([7.0; 20], [8.0; 20]));
    }
}

/// A projection has features and units, and its weights are there; without one, no weights are looked at.
#[test]
fn packing_refuses_empty_projections() {
    let weights = Weights { w_hh: &[0.5; 4 * 8 * 8], ..Weights::default() };
    let lstm = CellSpec::from(Cell::Lstm);
    let gru = CellSpec { linear_before_reset: false, ..CellSpec::from(Cell::Gru) };
    for kernels in available() {
        let refused = |spec, hidden, weights| named(kernels.pack_cell(spec, 0, hidden, weights).map(drop));
        let of_size = |spec, size| CellSpec { proj_size: Some(size), ..spec };
        let none = Weights::default();
        for w_hr in [None, Some(&[][..])] {
            assert_eq!(refused(of_size(lstm, 0), 8, Weights { w_hr, ..none }), "proj_size");
            assert_eq!(refused(of_size(lstm, 2), 0, Weights { w_hr, ..none }), "proj_size");
            assert_eq!(refused(of_size(lstm, 8), 8, Weights { w_hr, ..weights }), "weight_hr");
        }
        for size in [0, 2, 8] {
            let w_hr = Some(&[0.5; 64][..8 * size]);
            let weights = Weights { w_hh: &weights.w_hh[..3 * 8 * size], w_hr, ..none };
            assert_eq!(refused(of_size(gru, size), 8, weights), "proj_size");
        }
        let mut plain = kernels.pack_cell(lstm, 0, 8, weights).expect("no projection");
        let empty = Weights { w_hr: Some(&[]), ..weights };
        plain.prepare_training(empty).expect("an empty one beside it");
        plain.repack(empty).expect("an empty one beside it");
        assert!(plain.is_ready_for_training());
    }
}

#[test]
fn packing_refuses_wrong_weights() {
    let breaks: &[BreakWeights] = &[
        ("weight_ih", |weights| weights.w_ih = &weights.w_ih[1..]),
        ("weight_hh", |weights| weights.w_hh = &[]),
        ("bias_ih", |weights| weights.b_ih = weights.b_ih.map(|b| &b[1..])),
        ("bias_hh", |weights| weights.b_hh = Some(&[])),
    ];
    let problem = problem();
    let Sizes { input, hidden, .. } = SIZES;
    for kernels in available() {
        let mut packed = pack(kernels, &problem);
        let before = forward(kernels, &packed, &problem, &Way::default());
        for (arg, wrong) in breaks {
            let mut weights = problem.weights();
            wrong(&mut weights);
            assert_eq!(named(kernels.pack_cell(Cell::Lstm, input, hidden, weights).map(drop)), *arg);
            assert_eq!(named(packed.repack(weights)), *arg);
            assert_eq!(named(packed.prepare_training(weights)), *arg);
        }
        assert!(packed.is_ready_for_training());
        assert_bits("y", &forward(kernels, &packed, &problem, &Way::default()).y, &before.y);
        // Sizes that do not multiply, and sizes that do but fit no weight: refused before any room is taken.
        for (input, hidden, arg) in [
            (2, usize::MAX, "weights"),
            (usize::MAX, 5, "weights"),
            (2, usize::MAX / 32, "weights"),
            (usize::MAX / 64, 5, "weight_ih"),
            (2, 1 << 20, "weight_ih"),
        ] {
            let packed = kernels.pack_cell(Cell::Lstm, input, hidden, problem.weights()).map(drop);
            assert_eq!(named(packed), arg, "{input} {hidden}");
        }
    }
}

/// Weights packed for one instruction set are refused by another's kernels.
#[test]
fn weights_of_another_instruction_set_are_refused() {
    let problem = problem();
    let all = available();
    for &own in &all {
        for &other in all.iter().filter(|other| other.isa() != own.isa()) {
            let (packed, refused) = (pack(own, &problem), Err(Error::IsaUnavailable { isa: own.isa() }));
            let plan = ForwardPlan { projection: Projection::Fused, shards: 1, shard_scratch: 0, ..PLAN };
            let mut memory = ForwardMemory::new(&problem, &Way::default(), 0);
            assert_eq!(other.forward(&packed, &plan, memory.args()), refused);
            let run = forward(own, &packed, &problem, &Way::default());
            let mut memory = BackwardMemory::new(&problem, &run, &Way::default());
            assert_eq!(other.backward(&packed, SIZES.steps, &BACK, memory.args(0, 3)), refused);
            let (mut h_1, mut c) = ([0.0; 20], [0.0; 20]);
            let args = Step { batch: 4, x: &[0.0; 8], h_0: &[0.0; 20], h_1: &mut h_1, c: &mut c };
            assert_eq!(other.step(&packed, args, 1), refused);
        }
    }
}

/// Sizes without elements are fine, however large the others are, and take no time.
#[test]
fn nothing_to_do_is_done_at_once() {
    for kernels in available() {
        for cell in Cell::ALL {
            let of = |batch, hidden| {
                Problem::draw(cell, Sizes { steps: 1, batch, input: 0, hidden }, Options::default(), 1)
            };
            for (problem, batch) in [(of(0, 5), 0), (of(1, 0), usize::MAX)] {
                let packed = pack(kernels, &problem);
                run_nothing(kernels, &packed, &problem, batch);
            }
        }
    }
}

fn run_nothing(kernels: Kernels, packed: &gatewise_kernels::PackedCell, problem: &Problem, batch: usize) {
    let way = Way::default();
    for (projection, single_row) in
        [(Projection::Fused, true), (Projection::Fused, false), (Projection::Chunked { chunk: 1 }, false)]
    {
        let plan = ForwardPlan { projection, shards: 1, slices: 2, shard_scratch: 0, single_row };
        let mut memory = ForwardMemory::new(problem, &way, 0);
        let args = Forward { steps: usize::MAX, batch, ..memory.args() };
        kernels.forward(packed, &plan, args).expect("no element is missing");
    }
    let run = forward(kernels, packed, problem, &way);
    let mut memory = BackwardMemory::new(problem, &run, &way);
    let args = Backward { batch, ..memory.args(0, usize::MAX) };
    kernels.backward(packed, usize::MAX, &BACK, args).expect("no element is missing");
    let args = Step { batch, x: &[], h_0: &[], h_1: &mut [], c: &mut [] };
    kernels.step(packed, args, 1).expect("no element is missing");
}

/// A backward pass has one dL/dh_0 a row, so a row may start late and end early, but not pause.
#[test]
fn backward_refuses_a_row_that_pauses() {
    let problem = Problem::draw(Cell::Lstm, SIZES, Options { dy: true, ..Options::default() }, 1);
    for kernels in available() {
        let packed = pack(kernels, &problem);
        let run = forward(kernels, &packed, &problem, &Way::default());
        let mut memory = BackwardMemory::new(&problem, &run, &Way::default());
        let before = memory.outputs();
        for active in [[4, 3, 4], [2, 0, 1]] {
            let args = Backward { active: Some(&active), ..memory.args(0, 3) };
            assert_eq!(named(kernels.backward(&packed, SIZES.steps, &BACK, args)), "active");
            assert_bits("outputs", &memory.outputs(), &before);
        }
        for active in [[4, 3, 3], [0, 1, 1], [1, 3, 2]] {
            let args = Backward { active: Some(&active), ..memory.args(0, 3) };
            kernels.backward(&packed, SIZES.steps, &BACK, args).expect("every row runs in one piece");
        }
    }
}
