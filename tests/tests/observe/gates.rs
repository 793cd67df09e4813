//! Gates against the oracle's trace.

use super::jacobian::recorded;
use gatewise::{Cell, GateReport, GateRole, Kernels, Memory, Rnn, Tape, View};
use tests::oracle::StackTrace;
use tests::problem::Problem;
use tests::setup::Setup;

/// The oracle's values of a gate in a track, [valid steps and rows][units].
fn values(problem: &Problem, trace: &StackTrace, track: usize, gate: usize) -> Vec<Vec<f64>> {
    let (run, layer) = (&trace.runs[track], &trace.layers[track]);
    let (hidden, gates) = (problem.setup.hidden, problem.setup.cell.gates());
    let mut all = Vec::new();
    for b in 0..run.batch {
        for t in run.order(b) {
            let at = (t * run.batch + b) * gates * hidden + gate * hidden;
            all.push(layer.gates[at..at + hidden].to_vec());
        }
    }
    all
}

fn roles(cell: Cell) -> &'static [GateRole] {
    match cell {
        Cell::Lstm => &[GateRole::Input, GateRole::Forget, GateRole::Cell, GateRole::Output],
        Cell::Gru => &[GateRole::Relevance, GateRole::Update, GateRole::Cell],
        _ => &[GateRole::State],
    }
}

/// Means are within rounding of one value; shares and counts are exact, where no value is nearer to an edge than that.
#[test]
fn every_gate_is_the_oracles() {
    for cell in Cell::ALL {
        let options = Setup { layers: 2, bidirectional: true, ragged: true, ..Setup::default() };
        let setup = Setup { cell, hidden: 6, steps: 15, batch: 4, seed: 5, ..options };
        let mut problem = setup.problem();
        // Larger weights, so that some values are saturated.
        for weights in &mut problem.stack.weights {
            for (_, values) in weights.tensors_mut() {
                values.iter_mut().for_each(|value| *value *= if cell == Cell::RnnRelu { 1.0 } else { 3.0 });
            }
        }
        let (network, tape, trace) = recorded(&problem);
        let report = GateReport::new(&network, &tape).unwrap();
        assert_eq!(report.tracks.len(), 4);
        let mut saturated = 0.0;
        for (track, got) in report.tracks.iter().enumerate() {
            assert_eq!((got.layer, got.direction), (track / 2, track % 2));
            for (place, role) in roles(cell).iter().enumerate() {
                let gate = report.gate(track / 2, track % 2, *role).unwrap();
                assert_eq!(gate.role, *role);
                let rows = values(&problem, &trace, track, place);
                let count = (rows.len() * setup.hidden) as f64;
                let all = || rows.iter().flatten().copied();
                let largest = all().fold(1.0_f64, |most, value| most.max(value.abs()));
                let near = 64.0 * (setup.steps as f64) * f64::from(f32::EPSILON) * largest;
                assert!((gate.mean - all().sum::<f64>() / count).abs() <= near, "{cell:?} {role:?}");
                for unit in 0..setup.hidden {
                    let mean = rows.iter().map(|row| row[unit]).sum::<f64>() / rows.len() as f64;
                    assert!((gate.unit_means[unit] - mean).abs() <= near);
                }
                let (low, high) = match (cell, role) {
                    (Cell::RnnRelu, _) => (0.0, f64::INFINITY),
                    (_, GateRole::Cell | GateRole::State) => (-0.9, 0.9),
                    _ => (0.1, 0.9),
                };
                let share =
                    |is: &dyn Fn(f64) -> bool| all().filter(|value| is(*value)).count() as f64 / count;
                for (got, tight, wide) in [
                    (gate.saturated[0], share(&|v| v <= low - near), share(&|v| v <= low + near)),
                    (gate.saturated[1], share(&|v| v >= high + near), share(&|v| v >= high - near)),
                ] {
                    assert!((tight..=wide).contains(&got), "{cell:?} {role:?}: {got} in {tight}..={wide}");
                    saturated += got;
                }
                let is_dead = |unit: usize| {
                    rows.iter().all(|row| row[unit] <= low) || rows.iter().all(|row| row[unit] >= high)
                };
                let dead: Vec<usize> = (0..setup.hidden).filter(|&unit| is_dead(unit)).collect();
                assert_eq!(gate.dead, dead, "{cell:?} {role:?}");
                assert_eq!(gate.histogram.iter().sum::<u64>() as f64, count);
                let [from, to] = gate.range;
                let width = (to - from) / gate.histogram.len() as f64;
                for (bin, &got) in gate.histogram.iter().enumerate() {
                    let (edge, is_last) = (from + bin as f64 * width, bin + 1 == gate.histogram.len());
                    let inside = |v: f64, slack: f64| {
                        (v >= edge - slack || bin == 0) && (v < edge + width + slack || is_last)
                    };
                    let within = |slack: f64| all().filter(|v| inside(*v, slack)).count() as u64;
                    assert!((within(-near)..=within(near)).contains(&got), "{cell:?} {role:?}, bin {bin}");
                }
            }
            let keeper = got.gates.iter().find(|g| matches!(g.role, GateRole::Forget | GateRole::Update));
            match keeper {
                Some(gate) => {
                    let memory: Vec<f64> = gate.unit_means.iter().map(|mean| 1.0 / (1.0 - mean)).collect();
                    assert_eq!(got.memory, memory);
                }
                None => assert!(got.memory.is_empty()),
            }
        }
        assert!(saturated > 0.0, "{cell:?}: nothing is saturated, so nothing is proved");
    }
}

/// A tape in segments shows the same gates.
#[test]
fn a_tape_in_segments() {
    let setup = Setup { layers: 2, steps: 60, ragged: true, ..Setup::default() };
    let problem = setup.problem();
    let (network, tape, _) = recorded(&problem);
    let x = problem.layout(&problem.x, setup.input);
    let mut cut = Tape::with_memory(Memory::Budget(1));
    let state = problem.state(&network);
    let error = network.forward_train_into(problem.input(&x), state.as_ref(), &mut cut).unwrap_err();
    let gatewise::Error::MemoryBudget { needed, .. } = error else { panic!("{error}") };
    cut = Tape::with_memory(Memory::Budget(needed));
    network.forward_train_into(problem.input(&x), state.as_ref(), &mut cut).unwrap();
    assert!(cut.segment_len().is_some());
    assert_eq!(GateReport::new(&network, &tape), GateReport::new(&network, &cut));
}

/// A relu unit that is never on is dead, and so is a tanh at its limit.
#[test]
fn dead_units() {
    for (nonlinearity, bias) in [(gatewise::Nonlinearity::Relu, -5.0), (gatewise::Nonlinearity::Tanh, 5.0)] {
        let builder = Rnn::builder(1, 4).nonlinearity(nonlinearity).kernels(Kernels::auto().unwrap());
        let mut rnn = builder.build().unwrap();
        let mut params = rnn.params_mut();
        params.fill(0.1);
        params.get_mut("bias_ih_l0").unwrap().data_mut()[2] = bias;
        drop(params);
        let x = [0.3; 10];
        let tape = rnn.forward_train(View::new(&x, [10, 1, 1]).unwrap(), None).unwrap();
        let report = GateReport::new(&rnn, &tape).unwrap();
        assert_eq!(report.gate(0, 0, GateRole::State).unwrap().dead, [2], "{nonlinearity:?}");
    }
}
