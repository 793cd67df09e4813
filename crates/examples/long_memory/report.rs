//! What a run found out, as plain data: one JSON per cell, and the summary.

use crate::options::Options;
use crate::tasks::Task;
use gatewise::{
    Cell, ClipGroup, GateReport, GradientFlow, LagHistory, LagInfluence, Lyapunov, Recurrent, Spike,
};
use serde::Serialize;

/// The share of the influence of lag 0 that ends the effective memory.
pub(crate) const FADED: f64 = 0.01;

/// What was trained, and how.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) task: &'static str,
    pub(crate) length: usize,
    /// What losses are measured in.
    pub(crate) unit: &'static str,
    pub(crate) cell: &'static str,
    hidden: usize,
    parameters: usize,
    updates: usize,
    batch: usize,
    optimizer: &'static str,
    lr: f64,
    /// `null`: no clipping.
    clip: Option<f64>,
    seed: u64,
    recurrent: &'static str,
    recurrent_scale: f32,
    /// `null`: the cell has no forget gate.
    forget_bias: Option<f32>,
}

/// The end of a training before its last update.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Divergence {
    /// The number of the update, from 1.
    pub(crate) update: usize,
    /// What was no finite number, and where it began.
    pub(crate) what: String,
}

/// A line of the summary.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) cell: &'static str,
    /// The loss on rows that were not learned from; `null` after a divergence.
    #[serde(serialize_with = "gatewise::numbers::serialize")]
    pub(crate) final_loss: Option<f64>,
    pub(crate) baseline: f64,
    /// Steps after which the influence of the state has fallen below a hundredth; `null` if it has not.
    pub(crate) effective_memory: Option<usize>,
    pub(crate) share_clipped: f64,
    pub(crate) diverged: Option<Divergence>,
    pub(crate) verdict: &'static str,
    pub(crate) seconds: f64,
}

/// The norms of the updates' gradients before clipping, as far as the ledger keeps them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Norms {
    /// (q, the norm that a share q of the updates is not above).
    percentiles: Vec<(f64, f64)>,
    /// A threshold to try; `null` if there was no update.
    suggested_threshold: Option<f64>,
}

impl Norms {
    pub(crate) fn of(group: &ClipGroup) -> Norms {
        let percentile = |q| Some((q, group.percentile(q)?));
        Norms {
            percentiles: [0.1, 0.5, 0.9, 0.99, 1.0].into_iter().filter_map(percentile).collect(),
            suggested_threshold: group.suggested_threshold(),
        }
    }
}

/// Sudden jumps, by update, counted from 0.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Spikes {
    pub(crate) train_loss: Vec<Spike>,
    pub(crate) norm: Vec<Spike>,
}

/// Everything about the training of one cell.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) setting: Setting,
    pub(crate) result: Line,
    /// The loss of each update's rows before the update.
    #[serde(serialize_with = "gatewise::numbers::serialize")]
    pub(crate) train_loss: Vec<f64>,
    /// (updates done, loss on rows that are not learned from).
    #[serde(serialize_with = "gatewise::numbers::serialize")]
    pub(crate) test_loss: Vec<(usize, f64)>,
    pub(crate) clipping: ClipGroup,
    pub(crate) norms: Norms,
    pub(crate) spikes: Spikes,
    /// Influence of earlier states as training went on.
    pub(crate) lag_history: LagHistory,
    /// What the last model does with the test rows.
    pub(crate) influence: LagInfluence,
    /// The leading exponents of its state map along some of them.
    pub(crate) lyapunov: Lyapunov,
    pub(crate) flow: GradientFlow,
    pub(crate) gates: GateReport,
}

impl Setting {
    pub(crate) fn new(task: &Task, cell: Cell, parameters: usize, options: &Options) -> Setting {
        let init = options.init(cell);
        Setting {
            task: task.name.name(),
            length: task.length,
            unit: task.unit(),
            cell: cell.name(),
            hidden: options.hidden,
            parameters,
            updates: options.steps,
            batch: options.batch,
            optimizer: options.optimizer.name(),
            lr: options.lr(cell),
            clip: options.max_norm(),
            seed: options.seed,
            recurrent: match init.recurrent {
                Recurrent::Uniform => "uniform",
                Recurrent::Orthogonal => "orthogonal",
                Recurrent::Identity => "identity",
            },
            recurrent_scale: init.recurrent_scale,
            forget_bias: init.forget_bias,
        }
    }
}

impl Line {
    /// What the loss means, in a few words.
    pub(crate) fn judge(loss: Option<f64>, baseline: f64) -> &'static str {
        match loss.filter(|loss| loss.is_finite()).map(|loss| loss / baseline) {
            None => "diverged",
            Some(ratio) if ratio < 0.12 => "remembers",
            Some(ratio) if ratio < 0.9 => "remembers in part",
            Some(ratio) if ratio < 1.5 => "no better than the baseline",
            Some(ratio) if ratio < 10.0 => "worse than the baseline",
            Some(_) => "far above the baseline",
        }
    }
}

/// Any of these as JSON that ends with a line break. A number that is not finite is "inf", "-inf" or "nan".
pub(crate) fn json(value: &impl Serialize) -> Result<String, String> {
    let text = serde_json::to_string_pretty(value);
    Ok(text.map_err(|error| error.to_string())? + "\n")
}

/// The summary as a table for the terminal.
pub(crate) fn table(lines: &[Line], steps: usize) -> String {
    let mut table = format!(
        "{:<10} {:>12} {:>12} {:>18} {:>10}  {}\n",
        "cell", "final loss", "baseline", "effective memory", "clipped", "verdict"
    );
    for line in lines {
        let loss = line.final_loss.map_or("-".to_string(), number);
        let memory = match (line.effective_memory, line.final_loss) {
            (Some(lag), _) => format!("{lag} steps"),
            (None, Some(loss)) if loss.is_finite() => format!("all {steps} steps"),
            (None, _) => "-".to_string(),
        };
        let (baseline, clipped) = (number(line.baseline), format!("{:.0} %", 100.0 * line.share_clipped));
        table += &format!(
            "{:<10} {loss:>12} {baseline:>12} {memory:>18} {clipped:>10}  {}\n",
            line.cell, line.verdict
        );
    }
    table
}

/// Four digits, in plain notation while that is short.
fn number(x: f64) -> String {
    if (1e-4..1e4).contains(&x) { format!("{x:.4}") } else { format!("{x:.2e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_are_not_finite_are_words() {
        #[derive(Serialize)]
        struct Losses(#[serde(serialize_with = "gatewise::numbers::serialize")] Vec<f64>);
        let losses = Losses(vec![0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!(serde_json::to_string(&losses).unwrap(), r#"[0.5,"nan","inf","-inf"]"#);
        let line = Line {
            cell: "lstm",
            final_loss: Some(f64::INFINITY),
            baseline: 1.0,
            effective_memory: None,
            share_clipped: 0.0,
            diverged: None,
            verdict: "diverged",
            seconds: 1.0,
        };
        assert!(json(&line).unwrap().contains(r#""final_loss": "inf""#));
        let line = Line { final_loss: None, ..line };
        assert!(json(&line).unwrap().contains(r#""final_loss": null"#));
        assert_eq!(Line::judge(Some(f64::INFINITY), 1.0), "diverged");
    }
}
