//! candle-nn: its LSTM and GRU, and its autodiff for training.

use crate::{Ready, Result, Unsupported, directions, swapped, weight};
use benches::case::{Case, Pass};
use benches::problem::Problem;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::rnn::{GRUState, LSTMState};
use candle_nn::{GRU, GRUConfig, LSTM, LSTMConfig, RNN, VarBuilder};
use gatewise::Cell;
use std::collections::HashMap;
use std::rc::Rc;

const CPU: Device = Device::Cpu;

/// One direction of a layer.
enum Net {
    Lstm(LSTM),
    Gru(GRU),
}

/// h, and c of an LSTM.
type State = (Tensor, Option<Tensor>);

pub fn prepare(case: &Case, problem: &Problem) -> Result<Ready> {
    if candle_core::utils::get_num_threads() != case.threads {
        return Err(format!("candle reads RAYON_NUM_THREADS: expected {}", case.threads).into());
    }
    match case.pass {
        Pass::Step => step(case, problem),
        Pass::Forward => forward(case, problem),
        Pass::Train => train(case, problem),
    }
}

fn ready(
    note: &'static str,
    outputs: Vec<(String, Vec<f32>)>,
    call: impl FnMut() -> Result<()> + 'static,
) -> Ready {
    Ready { package: "candle-nn", note, outputs, call: Box::new(call) }
}

/// All directions of all layers, made of variables where they are to be trained.
fn nets(case: &Case, problem: &Problem, variables: &mut Vec<(String, Var)>) -> Result<Vec<Vec<Net>>> {
    let mut of_direction = |layer: usize, ending: &str| {
        let mut weights = HashMap::new();
        let rows = case.cell.cell().gates() * case.hidden;
        for (what, shape) in [
            ("weight_ih", vec![rows, case.layer_input(layer)]),
            ("weight_hh", vec![rows, case.hidden]),
            ("bias_ih", vec![rows]),
            ("bias_hh", vec![rows]),
        ] {
            let name = format!("{what}_l{layer}{ending}");
            let mut tensor = Tensor::from_slice(weight(problem, &name), shape, &CPU)?;
            if case.pass == Pass::Train {
                let variable = Var::from_tensor(&tensor)?;
                tensor = variable.as_tensor().clone();
                variables.push((name, variable));
            }
            // Each layer here is a network of its own: candle's GRU knows the names of a first layer only.
            weights.insert(format!("{what}_l0"), tensor);
        }
        let (weights, input) = (VarBuilder::from_tensors(weights, DType::F32, &CPU), case.layer_input(layer));
        Ok(match case.cell.cell() {
            Cell::Lstm => Net::Lstm(candle_nn::lstm(input, case.hidden, LSTMConfig::default(), weights)?),
            Cell::Gru => Net::Gru(candle_nn::gru(input, case.hidden, GRUConfig::default(), weights)?),
            Cell::RnnTanh | Cell::RnnRelu => return Err(Unsupported("it has no vanilla network").into()),
        })
    };
    let mut layer = |layer| directions(case).iter().map(|ending| of_direction(layer, ending)).collect();
    (0..case.layers).map(&mut layer).collect()
}

impl Net {
    fn step(&self, x: &Tensor, (h, c): &State) -> Result<State> {
        Ok(match (self, c) {
            (Net::Lstm(net), Some(c)) => {
                let LSTMState { h, c } = net.step(x, &LSTMState::new(h.clone(), c.clone()))?;
                (h, Some(c))
            }
            (Net::Gru(net), _) => (net.step(x, &GRUState { h: h.clone() })?.h, None),
            (Net::Lstm(_), None) => return Err("an LSTM has a cell state".into()),
        })
    }

    /// [B, T, I] to [B, T, H]
    fn seq(&self, x: &Tensor, (h, c): &State) -> Result<Tensor> {
        let (batch, steps, _) = x.dims3()?;
        Ok(match (self, c) {
            (Net::Lstm(net), Some(c)) => {
                net.states_to_tensor(&net.seq_init(x, &LSTMState::new(h.clone(), c.clone()))?)?
            }
            // This one lays the steps side by side.
            (Net::Gru(net), _) => net
                .states_to_tensor(&net.seq_init(x, &GRUState { h: h.clone() })?)?
                .reshape((batch, steps, ()))?,
            (Net::Lstm(_), None) => return Err("an LSTM has a cell state".into()),
        })
    }
}

/// All layers over a sequence [B, T, I], each direction from its own state.
fn run(nets: &[Vec<Net>], x: &Tensor, states: &[Vec<State>]) -> Result<Tensor> {
    let mut x = x.clone();
    for (nets, states) in nets.iter().zip(states) {
        let forward = nets[0].seq(&x, &states[0])?;
        x = match nets.get(1) {
            None => forward,
            Some(net) => {
                let reverse = net.seq(&x.flip(&[1])?, &states[1])?.flip(&[1])?;
                Tensor::cat(&[forward, reverse], 2)?
            }
        };
    }
    Ok(x)
}

fn zero_states(case: &Case, zeros: &mut impl FnMut() -> Result<Tensor>) -> Result<Vec<Vec<State>>> {
    let mut state = || {
        let h = zeros()?;
        let c = if case.cell.cell().has_cell_state() { Some(zeros()?) } else { None };
        Ok((h, c))
    };
    (0..case.layers).map(|_| directions(case).iter().map(|_| state()).collect()).collect()
}

fn step(case: &Case, problem: &Problem) -> Result<Ready> {
    if case.bidirectional {
        return Err(Unsupported("a step has one direction").into());
    }
    let nets = nets(case, problem, &mut Vec::new())?;
    let x = Tensor::from_slice(&problem.x, (case.batch, case.input), &CPU)?;
    let zeros = || Ok(Tensor::zeros((case.batch, case.hidden), DType::F32, &CPU)?);
    let mut states = zero_states(case, &mut { zeros })?;
    let mut call = move || -> Result<Tensor> {
        let mut y = x.clone();
        for (nets, states) in nets.iter().zip(&mut states) {
            states[0] = nets[0].step(&y, &states[0])?;
            y = states[0].0.clone();
        }
        Ok(y)
    };
    let y = call()?.flatten_all()?.to_vec1()?;
    Ok(ready("step", vec![("y".to_string(), y)], move || call().map(drop)))
}

fn forward(case: &Case, problem: &Problem) -> Result<Ready> {
    let nets = nets(case, problem, &mut Vec::new())?;
    let x = batch_first(&problem.x, case)?;
    let zeros = || Ok(Tensor::zeros((case.batch, case.hidden), DType::F32, &CPU)?);
    let states = zero_states(case, &mut { zeros })?;
    let y = time_first(&run(&nets, &x, &states)?)?;
    Ok(ready("seq_init", vec![("y".to_string(), y)], move || run(&nets, &x, &states).map(drop)))
}

fn train(case: &Case, problem: &Problem) -> Result<Ready> {
    let mut variables = Vec::new();
    let nets = nets(case, problem, &mut variables)?;
    let x = Var::from_tensor(&batch_first(&problem.x, case)?)?;
    let dy = batch_first(&problem.dy, case)?;
    // Gradients flow to the initial state too.
    let mut initial = Vec::new();
    let mut zeros = || {
        let zeros = Var::zeros((case.batch, case.hidden), DType::F32, &CPU)?;
        initial.push(zeros.clone());
        Ok(zeros.as_tensor().clone())
    };
    let states = zero_states(case, &mut zeros)?;
    let x_of_call = x.clone();
    let call = Rc::new(move || -> Result<_> {
        let y = run(&nets, x_of_call.as_tensor(), &states)?;
        let grads = (&y * &dy)?.sum_all()?.backward()?;
        Ok((y, grads))
    });
    let (y, grads) = call()?;
    let mut outputs = vec![("y".to_string(), time_first(&y)?)];
    let missing = |name: &str| format!("no gradient of {name}");
    for (name, variable) in &variables {
        let grad = grads.get(variable.as_tensor()).ok_or_else(|| missing(name))?;
        outputs.push((format!("grad.{name}"), grad.flatten_all()?.to_vec1()?));
    }
    let dx = grads.get(x.as_tensor()).ok_or_else(|| missing("x"))?;
    outputs.push(("grad.x".to_string(), time_first(dx)?));
    for initial in &initial {
        grads.get(initial.as_tensor()).ok_or_else(|| missing("the initial state"))?;
    }
    Ok(ready("seq_init, autodiff", outputs, move || call().map(drop)))
}

fn batch_first(values: &[f32], case: &Case) -> Result<Tensor> {
    let values = swapped(values, [case.seq, case.batch]);
    let width = values.len() / (case.seq * case.batch);
    Ok(Tensor::from_vec(values, (case.batch, case.seq, width), &CPU)?)
}

fn time_first(values: &Tensor) -> Result<Vec<f32>> {
    Ok(values.transpose(0, 1)?.flatten_all()?.to_vec1()?)
}
