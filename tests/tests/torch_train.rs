//! Three short trainings that PyTorch recorded, done again from the same initial parameters: the loss of every step, the norm of
//! the gradients before clipping, the first gradients, the parameters at the end. `tests/data/torch-train/SOURCE.md` says what
//! each run is.
//!
//! PyTorch's f64 results are the yardstick. What our f32 may be off by:
//!
//! ```text
//! losses, norms                        OWN times what PyTorch's own f32 run is off by at most, over all steps
//! first gradients, final parameters    2 (ATOL + RTOL |value|), as the gradients of the golden cases
//! carried state                        ATOL + RTOL |value|, as the states of the golden cases
//! ```

use gatewise::{
    Adam, AdamW, Embedding, Gru, Input, Kernels, Linear, LinearRoom, Lstm, NonFinite, Norm, Optimizer, Sgd,
    Tape, Tensors, Upstream, View, clip_grad_norm, cross_entropy, mse,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tests::golden::{Tensor, read_tensors};

const OWN: f64 = 4.0;
const RTOL: f64 = 1.3e-6;
const ATOL: f64 = 1e-5;

/// A recorded run.
struct Recorded {
    entry: Value,
    tensors: BTreeMap<String, Tensor>,
}

fn recorded(name: &str) -> Recorded {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/torch-train");
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let runs = index["runs"].as_array().unwrap();
    let entry = runs.iter().find(|run| run["name"] == name).expect("a run of that name").clone();
    Recorded { entry, tensors: read_tensors(folder.join(format!("{name}.safetensors"))).unwrap() }
}

impl Recorded {
    fn number(&self, key: &str) -> f64 {
        self.entry[key].as_f64().unwrap_or_else(|| panic!("no number {key}"))
    }

    fn f64(&self, name: &str) -> Vec<f64> {
        self.tensors[name].f64()
    }

    /// Sets parameters to the recorded initial ones.
    fn start(&self, prefix: &str, params: &mut Tensors) {
        for tensor in params.iter_mut() {
            let from = &self.tensors[&format!("init.{prefix}{}", tensor.name())];
            assert_eq!(from.shape, tensor.shape(), "{prefix}{}", tensor.name());
            tensor.data_mut().copy_from_slice(from.f32());
        }
    }

    /// The largest number by which PyTorch's f32 run is off.
    fn own(&self, key: &str) -> f64 {
        let pairs = self.f64(&format!("f64.{key}")).into_iter().zip(self.f64(&format!("f32.{key}")));
        pairs.fold(0.0, |most, (a, b)| most.max((a - b).abs()))
    }

    /// Holds losses or norms against the recorded ones, step by step.
    fn check_steps(&self, key: &str, got: &[f64]) {
        let (expected, allowed) = (self.f64(&format!("f64.{key}")), OWN * self.own(key));
        assert_eq!(got.len(), expected.len(), "steps of {key}");
        for (step, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let error = (got - expected).abs();
            assert!(
                error <= allowed,
                "{key} of step {step}: {got}, expected {expected}: {error:e} > {allowed:e}"
            );
        }
    }

    /// Holds lists of tensors against the recorded ones of that kind; every recorded one must be there.
    fn check_tensors(&self, kind: &str, lists: &[(&str, &Tensors)]) {
        let mut left: Vec<&str> = self.tensors.keys().filter_map(|key| key.strip_prefix(kind)).collect();
        for (prefix, list) in lists {
            for tensor in list.iter() {
                let name = format!("{prefix}{}", tensor.name());
                left.retain(|left| *left != name);
                let expected = self.f64(&format!("{kind}{name}"));
                assert_eq!(tensor.data().len(), expected.len(), "{kind}{name}");
                for (k, (got, expected)) in tensor.data().iter().zip(&expected).enumerate() {
                    let error = (f64::from(*got) - expected).abs();
                    let allowed = 2.0 * (ATOL + RTOL * expected.abs());
                    assert!(
                        error <= allowed,
                        "{kind}{name}[{k}]: {got}, expected {expected}: {error:e} > {allowed:e}"
                    );
                }
            }
        }
        assert!(left.is_empty(), "recorded, but not here: {left:?}");
    }
}

fn pairs(value: &Value) -> (f64, f64) {
    (value[0].as_f64().unwrap(), value[1].as_f64().unwrap())
}

/// SGD with Nesterov's momentum, an LSTM, no clipping: the next value of a series, at every step.
#[test]
fn sgd_nesterov_lstm_sunspots() {
    let run = recorded("sgd-nesterov-lstm-sunspots");
    for kernels in Kernels::available().unwrap() {
        let mut lstm = Lstm::builder(1, 9).batch_first(true).kernels(kernels).build().unwrap();
        let mut head = Linear::with_kernels(9, 1, 0, kernels).unwrap();
        run.start("rnn.", &mut lstm.params_mut());
        run.start("head.", &mut head.params_mut());
        let mut sgd = Sgd::new(run.number("lr"));
        (sgd.momentum, sgd.nesterov) = (run.number("momentum"), run.entry["nesterov"] == true);
        let windows = run.tensors["windows"].f32();
        let (mut tape, mut room) = (Tape::default(), LinearRoom::default());
        let (mut losses, mut norms) = (vec![], vec![]);
        for step in 0..run.number("steps") as usize {
            let batch = &windows[step % 10 * 8 * 25..][..8 * 25];
            let x: Vec<f32> = batch.chunks(25).flat_map(|window| &window[..24]).copied().collect();
            let target: Vec<f32> = batch.chunks(25).flat_map(|window| &window[1..]).copied().collect();
            lstm.forward_train_into(View::new(&x, [8, 24, 1]).unwrap(), None, &mut tape).unwrap();
            let h = tape.output().data().to_vec();
            let (mut y, mut dy, mut dh) = ([0.0; 192], [0.0; 192], [0.0; 192 * 9]);
            head.forward(192, &h, &mut y).unwrap();
            losses.push(mse(&y, &target, &mut dy).unwrap());
            let (mut d_lstm, mut d_head) = (lstm.params().zeros_like(), head.params().zeros_like());
            head.backward(192, &h, &dy, Some(&mut dh), &mut d_head, &mut room).unwrap();
            let upstream = Upstream::output(View::new(&dh, [8, 24, 9]).unwrap());
            lstm.backward(&mut tape, upstream, &mut d_lstm).unwrap();
            let all = &mut [&mut d_lstm, &mut d_head];
            norms.push(clip_grad_norm(all, f64::INFINITY, Norm::L2, NonFinite::Error).unwrap());
            if step == 0 {
                run.check_tensors("f64.grad0.", &[("rnn.", &d_lstm), ("head.", &d_head)]);
            }
            sgd.step(&mut [&mut lstm.params_mut(), &mut head.params_mut()], &[&d_lstm, &d_head]).unwrap();
        }
        run.check_steps("loss", &losses);
        run.check_steps("grad_norm", &norms);
        run.check_tensors("f64.final.", &[("rnn.", lstm.params()), ("head.", head.params())]);
    }
}

/// Adam, an embedding and a GRU, clipping, truncated BPTT: characters, the state carried from window to window.
#[test]
fn adam_gru_abc_tbptt() {
    let run = recorded("adam-gru-abc-tbptt");
    for kernels in Kernels::available().unwrap() {
        let mut gru = Gru::builder(12, 17).batch_first(true).kernels(kernels).build().unwrap();
        let (mut table, mut out) =
            (Embedding::new(57, 12, 0).unwrap(), Linear::with_kernels(17, 57, 0, kernels).unwrap());
        run.start("emb.", table.params_mut());
        run.start("rnn.", &mut gru.params_mut());
        run.start("out.", &mut out.params_mut());
        let mut adam = Adam::new(run.number("lr"));
        (adam.betas, adam.eps) = (pairs(&run.entry["betas"]), run.number("eps"));
        let ids: Vec<usize> = run.tensors["ids"].i64().iter().map(|&id| id as usize).collect();
        let (mut tape, mut room, mut state) =
            (Tape::default(), LinearRoom::default(), gru.zero_state(4).unwrap());
        let (mut losses, mut norms) = (vec![], vec![]);
        for step in 0..run.number("steps") as usize {
            let columns = |from: usize| -> Vec<usize> {
                ids.chunks(641).flat_map(|row| &row[step * 16 + from..][..16]).copied().collect()
            };
            let (inputs, targets) = (columns(0), columns(1));
            let mut x = vec![0.0; 64 * 12];
            table.forward(&inputs, &mut x).unwrap();
            gru.forward_train_into(View::new(&x, [4, 16, 12]).unwrap(), Some(&state), &mut tape).unwrap();
            tape.final_state(&mut state).unwrap();
            let h = tape.output().data().to_vec();
            let (mut logits, mut d_logits, mut dh) =
                (vec![0.0; 64 * 57], vec![0.0; 64 * 57], vec![0.0; 64 * 17]);
            out.forward(64, &h, &mut logits).unwrap();
            losses.push(cross_entropy(kernels, &logits, 57, &targets, &mut d_logits).unwrap());
            let mut grads =
                [table.params().zeros_like(), gru.params().zeros_like(), out.params().zeros_like()];
            let [d_table, d_gru, d_out] = &mut grads;
            out.backward(64, &h, &d_logits, Some(&mut dh), d_out, &mut room).unwrap();
            let upstream = Upstream::output(View::new(&dh, [4, 16, 17]).unwrap());
            gru.backward(&mut tape, upstream, d_gru).unwrap();
            table.backward(&inputs, tape.grad_input().unwrap().data(), d_table).unwrap();
            let all = &mut [d_table, d_gru, d_out];
            norms.push(clip_grad_norm(all, run.number("clip"), Norm::L2, NonFinite::Error).unwrap());
            let [d_table, d_gru, d_out] = &grads;
            if step == 0 {
                run.check_tensors("f64.grad0.", &[("emb.", d_table), ("rnn.", d_gru), ("out.", d_out)]);
            }
            let params = &mut [table.params_mut(), &mut *gru.params_mut(), &mut *out.params_mut()];
            adam.step(params, &[d_table, d_gru, d_out]).unwrap();
        }
        run.check_steps("loss", &losses);
        run.check_steps("grad_norm", &norms);
        let lists = [("emb.", table.params()), ("rnn.", gru.params()), ("out.", out.params())];
        run.check_tensors("f64.final.", &lists);
        let carried = run.f64("f64.carry0");
        assert_eq!(state.h().len(), carried.len());
        for (got, expected) in state.h().iter().zip(&carried) {
            let allowed = ATOL + RTOL * expected.abs();
            assert!(
                (f64::from(*got) - expected).abs() <= allowed,
                "carried state {got}, expected {expected}"
            );
        }
    }
}

/// AdamW, two layers in both directions, rows of different lengths, clipping: which speaker, from the last states.
#[test]
fn adam_w_bilstm2_vowels() {
    let run = recorded("adamw-bilstm2-vowels");
    for kernels in Kernels::available().unwrap() {
        let builder = Lstm::builder(12, 8).num_layers(2).bidirectional(true).batch_first(true);
        let mut lstm = builder.kernels(kernels).build().unwrap();
        let mut head = Linear::with_kernels(16, 9, 0, kernels).unwrap();
        run.start("rnn.", &mut lstm.params_mut());
        run.start("head.", &mut head.params_mut());
        let mut adam_w = AdamW::new(run.number("lr"));
        (adam_w.adam.betas, adam_w.adam.eps) = (pairs(&run.entry["betas"]), run.number("eps"));
        adam_w.weight_decay = run.number("weight_decay");
        let sizes =
            |name: &str| -> Vec<usize> { run.tensors[name].i64().iter().map(|&n| n as usize).collect() };
        let (lengths, labels, x) = (sizes("lengths"), sizes("labels"), run.tensors["x"].f32());
        let (mut tape, mut room, mut end) =
            (Tape::default(), LinearRoom::default(), lstm.zero_state(12).unwrap());
        let (mut losses, mut norms) = (vec![], vec![]);
        for step in 0..run.number("steps") as usize {
            let first = step % 4 * 12;
            let x = View::new(&x[first * 23 * 12..][..12 * 23 * 12], [12, 23, 12]).unwrap();
            let input = Input::from(x).lengths(&lengths[first..first + 12]);
            lstm.forward_train_into(input, None, &mut tape).unwrap();
            tape.final_state(&mut end).unwrap();
            // h_n is [layer * 2 + direction, row, 8]; the head reads the last layer's two directions side by side.
            let last = |row: usize, d: usize| (2 + d) * 12 * 8 + row * 8;
            let sides = (0..12).flat_map(|row| [last(row, 0), last(row, 1)]);
            let h: Vec<f32> = sides.clone().flat_map(|at| &end.h()[at..at + 8]).copied().collect();
            let (mut logits, mut d_logits, mut dh) = ([0.0; 108], [0.0; 108], [0.0; 192]);
            head.forward(12, &h, &mut logits).unwrap();
            losses
                .push(cross_entropy(kernels, &logits, 9, &labels[first..first + 12], &mut d_logits).unwrap());
            let (mut d_lstm, mut d_head) = (lstm.params().zeros_like(), head.params().zeros_like());
            head.backward(12, &h, &d_logits, Some(&mut dh), &mut d_head, &mut room).unwrap();
            let mut dh_n = [0.0; 4 * 12 * 8];
            for (at, dh) in sides.zip(dh.chunks(8)) {
                dh_n[at..at + 8].copy_from_slice(dh);
            }
            let upstream = Upstream { h_n: Some(&dh_n), ..Upstream::default() };
            lstm.backward(&mut tape, upstream, &mut d_lstm).unwrap();
            let all = &mut [&mut d_lstm, &mut d_head];
            norms.push(clip_grad_norm(all, run.number("clip"), Norm::L2, NonFinite::Error).unwrap());
            if step == 0 {
                run.check_tensors("f64.grad0.", &[("rnn.", &d_lstm), ("head.", &d_head)]);
            }
            adam_w.step(&mut [&mut lstm.params_mut(), &mut head.params_mut()], &[&d_lstm, &d_head]).unwrap();
        }
        run.check_steps("loss", &losses);
        run.check_steps("grad_norm", &norms);
        run.check_tensors("f64.final.", &[("rnn.", lstm.params()), ("head.", head.params())]);
    }
}
