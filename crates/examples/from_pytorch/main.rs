//! A model trained by PyTorch (`train.py`, beside this file) gives the same numbers here, is trained on, and goes back:
//!
//! ```sh
//! cargo run --release --example from_pytorch
//! python crates/examples/from_pytorch/train.py check target/from_pytorch
//! ```

use examples::print::{complain, say};
use gatewise::{
    Adam, Linear, LinearRoom, Lstm, NonFinite, Norm, Optimizer, Tensors, Upstream, View, WeightFile,
    clip_grad_norm, mse, save_weights,
};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

const HIDDEN: usize = 8;

/// `Model` of `train.py`: an LSTM of two layers and a linear head.
struct Model {
    lstm: Lstm,
    head: Linear,
}

/// The samples that lie in the file beside the model: an input, and what the model makes of it, both [40, 4, 1].
fn sample(file: &WeightFile) -> Result<Tensors, gatewise::Error> {
    let mut sample = Tensors::default();
    for name in ["input", "output"] {
        sample.add(name, &[40, 4, 1], vec![0.0; 160])?;
    }
    file.load("sample.", &mut sample)?;
    Ok(sample)
}

impl Model {
    fn load(file: &WeightFile) -> Result<Model, gatewise::Error> {
        let mut lstm = Lstm::builder(1, HIDDEN).num_layers(2).build()?;
        let mut head = Linear::new(HIDDEN, 1, 0)?;
        file.load("lstm.", &mut lstm.params_mut())?;
        file.load("head.", &mut head.params_mut())?;
        Ok(Model { lstm, head })
    }

    fn run(&self, x: &[f32], shape: [usize; 3]) -> Result<Vec<f32>, gatewise::Error> {
        let (h, _) = self.lstm.forward(View::new(x, shape)?, None)?;
        let rows = shape[0] * shape[1];
        let mut y = vec![0.0; rows];
        self.head.forward(rows, h.data(), &mut y)?;
        Ok(y)
    }

    /// Trains it to say the next value of each row; answers the last loss.
    fn train(&mut self, x: &[f32], updates: usize) -> Result<f64, gatewise::Error> {
        const ROWS: usize = 39 * 4;
        let (x, target) = (&x[..ROWS], &x[x.len() - ROWS..]);
        let (mut adam, mut room, mut last) = (Adam::new(1e-3), LinearRoom::default(), 0.0);
        for _ in 0..updates {
            let mut tape = self.lstm.forward_train(View::new(x, [39, 4, 1])?, None)?;
            let (mut y, mut dy, mut dh) = ([0.0; ROWS], [0.0; ROWS], [0.0; ROWS * HIDDEN]);
            self.head.forward(ROWS, tape.output().data(), &mut y)?;
            last = mse(&y, target, &mut dy)?;
            let (mut of_lstm, mut of_head) =
                (self.lstm.params().zeros_like(), self.head.params().zeros_like());
            let h = tape.output().data();
            self.head.backward(ROWS, h, &dy, Some(&mut dh), &mut of_head, &mut room)?;
            let upstream = Upstream::output(View::new(&dh, [39, 4, HIDDEN])?);
            self.lstm.backward(&mut tape, upstream, &mut of_lstm)?;
            clip_grad_norm(&mut [&mut of_lstm, &mut of_head], 1.0, Norm::L2, NonFinite::Error)?;
            let mut params = (self.lstm.params_mut(), self.head.params_mut());
            adam.step(&mut [&mut params.0, &mut params.1], &[&of_lstm, &of_head])?;
        }
        Ok(last)
    }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |most, (a, b)| (a - b).abs().max(most))
}

fn run(folder: &Path) -> Result<(f32, f64), gatewise::Error> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("from_pytorch/model.safetensors");
    let file = WeightFile::read(beside)?;
    let mut model = Model::load(&file)?;
    let mut sample = sample(&file)?;
    let [x, expected] =
        ["input", "output"].map(|name| sample.get(name).map_or(vec![], |t| t.data().to_vec()));
    let difference = largest_difference(&model.run(&x, [40, 4, 1])?, &expected);

    let loss = model.train(&x, 20)?;
    let output = model.run(&x, [40, 4, 1])?;
    if let Some(to) = sample.get_mut("output") {
        to.data_mut().copy_from_slice(&output);
    }
    let lists = [("lstm.", model.lstm.params()), ("head.", model.head.params()), ("sample.", &sample)];
    save_weights(folder.join("model.safetensors"), &lists)?;
    Ok((difference, loss))
}

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain("from_pytorch", error);
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("target/from_pytorch");
    std::fs::create_dir_all(folder)?;
    let (difference, loss) = run(folder)?;
    say(format!("largest difference from PyTorch's outputs {difference:.1e}"))?;
    say(format!("loss after 20 updates more {loss:.6}; the model is in {}", folder.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outputs_are_pytorchs() {
        let folder = std::env::temp_dir().join(format!("from_pytorch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (difference, loss) = run(&folder).unwrap();
        assert!(difference <= 1e-5, "{difference}");
        assert!(loss < 0.05, "{loss}");
        let back = WeightFile::read(folder.join("model.safetensors")).unwrap();
        let model = Model::load(&back).unwrap();
        let sample = sample(&back).unwrap();
        let again = model.run(sample.get("input").unwrap().data(), [40, 4, 1]).unwrap();
        assert_eq!(again, sample.get("output").unwrap().data());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
