//! burn-nn on the flex backend, and its autodiff for training.

use crate::{Ready, Result, Unsupported, directions, swapped, weight};
use ::burn::module::Param;
use ::burn::nn::activation::ActivationConfig;
use ::burn::nn::{
    BiGru, BiGruConfig, BiLstm, BiLstmConfig, BiRnn, BiRnnConfig, GateController, Gru, GruConfig, Linear,
    Lstm, LstmConfig, LstmState, Rnn, RnnConfig, RnnState,
};
use ::burn::tensor::{Device, Tensor, TensorData};
use benches::case::{Case, Pass};
use benches::problem::Problem;
use gatewise::Cell;

/// One layer, with batches first.
enum Net {
    Lstm(Lstm),
    Gru(Gru),
    Rnn(Rnn),
    BiLstm(BiLstm),
    BiGru(BiGru),
    BiRnn(BiRnn),
}

/// h, and c of an LSTM, [directions, B, H].
#[derive(Clone)]
struct State {
    h: Tensor<3>,
    c: Option<Tensor<3>>,
}

pub fn prepare(case: &Case, problem: &Problem) -> Result<Ready> {
    let is_training = case.pass == Pass::Train;
    let device = if is_training { Device::flex().autodiff() } else { Device::flex() };
    let nets: Vec<Net> = (0..case.layers).map(|layer| net(case, problem, layer, &device)).collect();
    match case.pass {
        Pass::Step => step(case, problem, nets, &device),
        Pass::Forward => {
            let x = batch_first(&problem.x, case, &device);
            let call = move || run(&nets, x.clone(), None);
            let outputs = vec![("y".to_string(), time_first(call(), case))];
            Ok(ready("flex", outputs, move || drop(call())))
        }
        Pass::Train => Ok(train(case, problem, nets, &device)),
    }
}

fn ready(note: &'static str, outputs: Vec<(String, Vec<f32>)>, mut call: impl FnMut() + 'static) -> Ready {
    let call = Box::new(move || {
        call();
        Ok(())
    });
    Ready { package: "burn", note, outputs, call }
}

fn net(case: &Case, problem: &Problem, layer: usize, device: &Device) -> Net {
    let (input, hidden) = (case.layer_input(layer), case.hidden);
    let gates: Vec<Vec<GateController>> = directions(case)
        .iter()
        .map(|ending| gates(case, problem, &format!("l{layer}{ending}"), device))
        .collect();
    let lstm = |lstm: &mut Lstm, gates: &[GateController]| {
        lstm.input_gate = gates[0].clone();
        lstm.forget_gate = Some(gates[1].clone());
        lstm.cell_gate = gates[2].clone();
        lstm.output_gate = gates[3].clone();
    };
    let gru = |gru: &mut Gru, gates: &[GateController]| {
        gru.reset_gate = gates[0].clone();
        gru.update_gate = gates[1].clone();
        gru.new_gate = gates[2].clone();
    };
    let activation =
        if case.cell.cell() == Cell::RnnRelu { ActivationConfig::Relu } else { ActivationConfig::Tanh };
    match (case.cell.cell(), &gates[..]) {
        (Cell::Lstm, [gates]) => {
            let mut net = LstmConfig::new(input, hidden, true).init(device);
            lstm(&mut net, gates);
            Net::Lstm(net)
        }
        (Cell::Lstm, both) => {
            let mut net = BiLstmConfig::new(input, hidden, true).init(device);
            lstm(&mut net.forward, &both[0]);
            lstm(&mut net.reverse, &both[1]);
            Net::BiLstm(net)
        }
        (Cell::Gru, [gates]) => {
            let mut net = GruConfig::new(input, hidden, true).init(device);
            gru(&mut net, gates);
            Net::Gru(net)
        }
        (Cell::Gru, both) => {
            let mut net = BiGruConfig::new(input, hidden, true).init(device);
            gru(&mut net.forward, &both[0]);
            gru(&mut net.reverse, &both[1]);
            Net::BiGru(net)
        }
        (Cell::RnnTanh | Cell::RnnRelu, [gates]) => {
            let mut net = RnnConfig::new(input, hidden, true).with_hidden_activation(activation).init(device);
            net.gate = gates[0].clone();
            Net::Rnn(net)
        }
        (Cell::RnnTanh | Cell::RnnRelu, both) => {
            let mut net =
                BiRnnConfig::new(input, hidden, true).with_hidden_activation(activation).init(device);
            net.forward.gate = both[0][0].clone();
            net.reverse.gate = both[1][0].clone();
            Net::BiRnn(net)
        }
    }
}

/// The gates of one direction of a layer, in PyTorch's order; burn has each gate's weights in a matrix of its own.
fn gates(case: &Case, problem: &Problem, ending: &str, device: &Device) -> Vec<GateController> {
    let linear = |gate: usize, what: &str| {
        let part = |kind: &str| {
            let all = weight(problem, &format!("{kind}_{what}_{ending}"));
            let len = all.len() / case.cell.cell().gates();
            &all[gate * len..][..len]
        };
        let inputs = part("weight").len() / case.hidden;
        // [outputs, inputs] to [inputs, outputs]
        let weights = swapped(part("weight"), [case.hidden, inputs]);
        Linear {
            weight: Param::from_data(TensorData::new(weights, [inputs, case.hidden]), device),
            bias: Some(Param::from_data(TensorData::new(part("bias").to_vec(), [case.hidden]), device)),
        }
    };
    let gate =
        |gate| GateController { input_transform: linear(gate, "ih"), hidden_transform: linear(gate, "hh") };
    (0..case.cell.cell().gates()).map(gate).collect()
}

impl Net {
    /// [B, T, I] to [B, T, directions * H] and the state after the last step. burn's GRU of one direction keeps its state for
    /// itself: it is the last output.
    fn forward(&self, x: Tensor<3>, state: Option<State>) -> (Tensor<3>, State) {
        let one = |tensor: Tensor<3>| tensor.squeeze_dim::<2>(0);
        let lstm_of_one = |state: State| LstmState::new(one(state.c.expect("an LSTM has c")), one(state.h));
        match self {
            Net::Lstm(net) => {
                let (y, state) = net.forward(x, state.map(lstm_of_one));
                (y, State { h: state.hidden.unsqueeze_dim(0), c: Some(state.cell.unsqueeze_dim(0)) })
            }
            Net::Gru(net) => {
                let y = net.forward(x, state.map(|state| one(state.h)));
                let steps = y.dims()[1];
                let h = y.clone().narrow(1, steps - 1, 1).swap_dims(0, 1);
                (y, State { h, c: None })
            }
            Net::Rnn(net) => {
                let (y, state) = net.forward(x, state.map(|state| RnnState::new(one(state.h))));
                (y, State { h: state.hidden.unsqueeze_dim(0), c: None })
            }
            Net::BiLstm(net) => {
                let state = state.map(|state| LstmState::new(state.c.expect("an LSTM has c"), state.h));
                let (y, state) = net.forward(x, state);
                (y, State { h: state.hidden, c: Some(state.cell) })
            }
            Net::BiGru(net) => {
                let (y, h) = net.forward(x, state.map(|state| state.h));
                (y, State { h, c: None })
            }
            Net::BiRnn(net) => {
                let (y, state) = net.forward(x, state.map(|state| RnnState::new(state.h)));
                (y, State { h: state.hidden, c: None })
            }
        }
    }

    /// The gates of each direction in PyTorch's order.
    fn gates(&self) -> Vec<Vec<&GateController>> {
        fn lstm(net: &Lstm) -> Vec<&GateController> {
            let forget = net.forget_gate.as_ref().expect("it was set");
            vec![&net.input_gate, forget, &net.cell_gate, &net.output_gate]
        }
        fn gru(net: &Gru) -> Vec<&GateController> {
            vec![&net.reset_gate, &net.update_gate, &net.new_gate]
        }
        match self {
            Net::Lstm(net) => vec![lstm(net)],
            Net::Gru(net) => vec![gru(net)],
            Net::Rnn(net) => vec![vec![&net.gate]],
            Net::BiLstm(net) => vec![lstm(&net.forward), lstm(&net.reverse)],
            Net::BiGru(net) => vec![gru(&net.forward), gru(&net.reverse)],
            Net::BiRnn(net) => vec![vec![&net.forward.gate], vec![&net.reverse.gate]],
        }
    }
}

/// All layers over a sequence [B, T, I].
fn run(nets: &[Net], x: Tensor<3>, states: Option<&[State]>) -> Tensor<3> {
    nets.iter().enumerate().fold(x, |x, (at, net)| net.forward(x, states.map(|states| states[at].clone())).0)
}

fn zero_state(case: &Case, device: &Device) -> State {
    let zeros = || Tensor::zeros([directions(case).len(), case.batch, case.hidden], device);
    State { h: zeros(), c: case.cell.cell().has_cell_state().then(zeros) }
}

fn step(case: &Case, problem: &Problem, nets: Vec<Net>, device: &Device) -> Result<Ready> {
    if case.bidirectional {
        return Err(Unsupported("a step has one direction").into());
    }
    let x = batch_first(&problem.x, case, device);
    let mut states: Vec<State> = nets.iter().map(|_| zero_state(case, device)).collect();
    let mut call = move || {
        let mut y = x.clone();
        for (net, state) in nets.iter().zip(&mut states) {
            (y, *state) = net.forward(y, Some(state.clone()));
        }
        y
    };
    let outputs = vec![("y".to_string(), values(call()))];
    Ok(ready("flex", outputs, move || drop(call())))
}

fn train(case: &Case, problem: &Problem, nets: Vec<Net>, device: &Device) -> Ready {
    let x = batch_first(&problem.x, case, device).require_grad();
    let dy = batch_first(&problem.dy, case, device);
    // Gradients flow to the initial state too.
    let states: Vec<State> = nets
        .iter()
        .map(|_| {
            let State { h, c } = zero_state(case, device);
            State { h: h.require_grad(), c: c.map(Tensor::require_grad) }
        })
        .collect();
    let pass = {
        let x = x.clone();
        move |nets: &[Net]| {
            let y = run(nets, x.clone(), Some(&states));
            let grads = (y.clone() * dy.clone()).sum().backward();
            (y, grads)
        }
    };
    let (y, grads) = pass(&nets);
    let mut outputs = vec![("y".to_string(), time_first(y, case))];
    for (layer, net) in nets.iter().enumerate() {
        for (gates, ending) in net.gates().into_iter().zip(directions(case)) {
            let mut add = |what: &str, part: &dyn Fn(&GateController) -> Vec<f32>| {
                let all = gates.iter().flat_map(|gate| part(gate)).collect();
                outputs.push((format!("grad.{what}_l{layer}{ending}"), all));
            };
            let of_weight = |linear: &Linear| {
                let grad = linear.weight.val().grad(&grads).expect("the gradient of a weight");
                values(grad.transpose())
            };
            let of_bias = |linear: &Linear| {
                let bias = linear.bias.as_ref().expect("it was set");
                values(bias.val().grad(&grads).expect("the gradient of a bias"))
            };
            add("weight_ih", &|gate| of_weight(&gate.input_transform));
            add("weight_hh", &|gate| of_weight(&gate.hidden_transform));
            add("bias_ih", &|gate| of_bias(&gate.input_transform));
            add("bias_hh", &|gate| of_bias(&gate.hidden_transform));
        }
    }
    let dx = x.grad(&grads).expect("the gradient of the input");
    outputs.push(("grad.x".to_string(), time_first(dx, case)));
    ready("flex, autodiff", outputs, move || drop(pass(&nets)))
}

/// [T, B, ..] as a tensor [B, T, ..].
fn batch_first(all: &[f32], case: &Case, device: &Device) -> Tensor<3> {
    let (steps, batch) = (case.steps(), case.batch);
    let width = all.len() / (steps * batch);
    Tensor::from_data(TensorData::new(swapped(all, [steps, batch]), [batch, steps, width]), device)
}

fn time_first(tensor: Tensor<3>, case: &Case) -> Vec<f32> {
    swapped(&values(tensor), [case.batch, case.steps()])
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("the tensors are of f32")
}
