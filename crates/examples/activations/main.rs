//! Draws sigmoid, tanh and relu, their slopes, and their errors, from the kernels themselves.
//!
//! ```sh
//! cargo run --release --example activations
//! ```
//! A vanilla network of one unit whose only weight is 1 is its activation: forward gives f(x), backward f'(x).

use clap::Parser;
use examples::chart::{Chart, Corner, Line};
use examples::command_line::Unusable;
use examples::files;
use examples::print::{complain, say};
use gatewise::{Activation, Network, Rnn, Upstream, View};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// Draw sigmoid, tanh and relu, their slopes, and their errors, from the kernels themselves.
#[derive(Parser)]
#[command(name = "activations")]
struct Options {
    /// Folder of the pictures
    #[arg(long, value_name = "DIR", default_value = "target/activations")]
    out: PathBuf,
}

/// A function and its slope in f64, to hold the kernels against.
struct Function {
    name: &'static str,
    activation: Activation,
    value: fn(f64) -> f64,
    slope: fn(f64) -> f64,
}

const FUNCTIONS: [Function; 3] = [
    Function {
        name: "sigmoid",
        activation: Activation::Sigmoid,
        value: |x| 1.0 / (1.0 + (-x).exp()),
        slope: |x| 1.0 / ((1.0 + (-x).exp()) * (1.0 + x.exp())),
    },
    Function {
        name: "tanh",
        activation: Activation::Tanh,
        value: f64::tanh,
        slope: |x| 1.0 / (x.cosh() * x.cosh()),
    },
    Function {
        name: "relu",
        activation: Activation::Relu,
        value: |x| x.max(0.0),
        slope: |x| if x > 0.0 { 1.0 } else { 0.0 },
    },
];

/// Pieces of the x axis, and points in each that the largest error is taken over.
const PIECES: usize = 240;
const POINTS: usize = 1024;

fn main() -> ExitCode {
    let options = match Options::try_parse().map_err(Unusable::from) {
        Ok(options) => options,
        Err(Unusable::Help(text)) => return exit(say(text.trim_end())),
        Err(Unusable::Usage(line)) => {
            complain("activations", line);
            return ExitCode::from(2);
        }
    };
    exit(work(&options).map_err(|error| error.to_string()))
}

fn exit(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain("activations", error);
            ExitCode::FAILURE
        }
    }
}

fn work(options: &Options) -> Result<(), Box<dyn Error>> {
    files::prepare(&options.out)?;
    let mut values = chart("Sigmoid, tanh and relu", "f(x)", Corner::UpperLeft);
    let mut slopes = chart("Slopes of sigmoid, tanh and relu", "f'(x)", Corner::UpperLeft);
    let mut errors = chart("Largest errors of sigmoid, tanh and relu", "error (ULP)", Corner::Beside);
    errors.level = Some(("the bound", 2.0));
    say(format!("{:<8} {:>18} {:>28}", "function", "value: most ULP", "slope: most |error|"))?;
    for function in &FUNCTIONS {
        let coarse: Vec<f32> = (0..=PIECES).map(|i| at(i as f64)).collect();
        let (f, slope) = run(function.activation, &coarse)?;
        // A relu goes on upwards; what is shown of it is what the others need.
        let line = |ys: &[f32]| Line {
            name: function.name.to_string(),
            points: coarse
                .iter()
                .zip(ys)
                .map(|(&x, &y)| (f64::from(x), f64::from(y)))
                .filter(|point| point.1 <= 1.5)
                .collect(),
        };
        values.lines.push(line(&f));
        slopes.lines.push(line(&slope));

        let fine: Vec<f32> = (0..PIECES * POINTS).map(|i| at(i as f64 / POINTS as f64)).collect();
        let (f, slope) = run(function.activation, &fine)?;
        let of_values: Vec<f64> =
            fine.iter().zip(&f).map(|(&x, &y)| ulps(y, (function.value)(f64::from(x)))).collect();
        let of_slopes = fine
            .iter()
            .zip(&slope)
            .map(|(&x, &y)| (f64::from(y) - (function.slope)(f64::from(x))).abs())
            .fold(0.0, f64::max);
        let largest = of_values.iter().copied().fold(0.0, f64::max);
        say(format!("{:<8} {largest:>18.2} {of_slopes:>28.1e}", function.name))?;
        let points = of_values
            .chunks(POINTS)
            .enumerate()
            .map(|(i, errors)| (f64::from(at(i as f64 + 0.5)), errors.iter().copied().fold(0.0, f64::max)));
        errors.lines.push(Line { name: function.name.to_string(), points: points.collect() });
    }
    for (name, chart) in [("values", values), ("slopes", slopes), ("errors", errors)] {
        files::write(&options.out.join(format!("activations-{name}.svg")), &chart.draw()?)?;
    }
    say(format!("{} is written", options.out.display()))?;
    Ok(())
}

/// The x axis: -8 to 8.
fn at(piece: f64) -> f32 {
    (16.0 * piece / PIECES as f64 - 8.0) as f32
}

fn chart<'a>(title: &'a str, y: &'a str, legend: Corner) -> Chart<'a> {
    let (lines, size) = (Vec::new(), (760, 400));
    Chart { title, axes: ["x", y], lines, level: None, decades: None, legend, size }
}

/// f and f' of each x, as the kernels compute them.
fn run(activation: Activation, xs: &[f32]) -> Result<(Vec<f32>, Vec<f32>), gatewise::Error> {
    let mut unit: Network<_> = Rnn::builder(1, 1).activation(activation).bias(false).build()?;
    for (name, weight) in [("weight_ih_l0", 1.0), ("weight_hh_l0", 0.0)] {
        if let Some(tensor) = unit.params_mut().get_mut(name) {
            tensor.data_mut().fill(weight);
        }
    }
    let mut tape = unit.forward_train(View::new(xs, [1, xs.len(), 1])?, None)?;
    let f = tape.output().data().to_vec();
    let ones = vec![1.0; xs.len()];
    let upstream = Upstream::output(View::new(&ones, [1, xs.len(), 1])?);
    unit.backward(&mut tape, upstream, &mut unit.params().zeros_like())?;
    let slope = tape.grad_input().map_or(Vec::new(), |dx| dx.data().to_vec());
    Ok((f, slope))
}

/// The error in units in the last place of the exact value: the spacing of f32 in its binade.
fn ulps(got: f32, exact: f64) -> f64 {
    let exponent = (exact.abs().log2().floor() as i32).max(-126);
    (f64::from(got) - exact).abs() / 2.0_f64.powi(exponent - 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_are_these_functions() {
        let xs: Vec<f32> = (0..=PIECES).map(|i| at(i as f64)).collect();
        for function in &FUNCTIONS {
            let (f, slope) = run(function.activation, &xs).unwrap();
            for ((&x, &y), &slope) in xs.iter().zip(&f).zip(&slope) {
                let x = f64::from(x);
                assert!(ulps(y, (function.value)(x)) <= 2.0, "{} of {x}", function.name);
                // A slope follows from a value below 1 that is within 2 ULP: of 1 - y^2 that is 2 * 2 * 2^-24 and three roundings.
                let error = (f64::from(slope) - (function.slope)(x)).abs();
                assert!(error <= 8.0 * 2.0_f64.powi(-24), "{}' of {x}: {error}", function.name);
            }
        }
    }

    #[test]
    fn units_in_the_last_place() {
        assert_eq!(ulps(1.0, 1.0), 0.0);
        assert_eq!(ulps(1.0 + f32::EPSILON, 1.0), 1.0);
        assert_eq!(ulps(0.5 - f32::EPSILON / 4.0, 0.5), 0.5);
        assert_eq!(ulps(0.0, 0.0), 0.0);
    }
}
