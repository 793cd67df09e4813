//! The training of one cell, and what it looks like from inside.

use crate::model::{Grads, Model, Room};
use crate::options::{OptimizerName, Options};
use crate::progress::Progress;
use crate::report::{Divergence, FADED, Line, Norms, Report, Setting, Spikes};
use crate::tasks::Task;
use gatewise::{
    Adam, Cell, ClipLedger, GateReport, LagHistory, LagProbe, NonFinite, Norm, Observer, Optimizer, Philox,
    Probes, Sgd, Spike, SpikeDetector, View, lyapunov_exponents,
};
use std::error::Error;
use std::time::Instant;

/// Rows that a loss is reported of: so many batches of so many rows.
const TEST_BATCHES: u64 = 16;
pub(crate) const TEST_ROWS: usize = 64;
/// Times that influence and test loss are looked at while a network learns.
const LOOKS: usize = 20;

/// Rows that Lyapunov exponents are taken along, and how many of them: together less than the work of an update.
const LYAPUNOV_ROWS: usize = 8;
const EXPONENTS: usize = 4;

/// The streams of random numbers that the test rows are drawn from, far from those of the updates.
fn test_stream(batch: u64) -> u64 {
    u64::MAX - batch
}

/// A training on its way.
struct Run<'a> {
    options: &'a Options,
    task: Task,
    model: Model,
    optimizer: Box<dyn Optimizer>,
    observer: Observer,
    probe: LagProbe,
    ledger: ClipLedger,
    loss_jumps: Jumps,
    norm_jumps: Jumps,
    room: Room,
    grads: Grads,
    train_loss: Vec<f64>,
    test_loss: Vec<(usize, f64)>,
    history: LagHistory,
}

/// The sudden jumps of a series.
struct Jumps {
    detector: SpikeDetector,
    found: Vec<Spike>,
}

impl Jumps {
    fn new() -> Jumps {
        Jumps { detector: SpikeDetector::new(50, 6.0), found: Vec::new() }
    }

    fn push(&mut self, value: f64) {
        self.found.extend(self.detector.push(value));
    }
}

/// The name of the only group of parameters in the ledger.
const ALL: &str = "all";

/// Trains a cell from its first parameters to the last update, or until a number is not finite.
pub(crate) fn train(cell: Cell, options: &Options) -> Result<Report, Box<dyn Error>> {
    let start = Instant::now();
    let mut run = Run::new(cell, options)?;
    let mut progress = Progress::new(cell.name(), options.steps);
    let mut diverged = None;
    run.look(0)?;
    for update in 0..options.steps {
        match run.update(update) {
            Ok((loss, norm)) => {
                let share = run.ledger.group(ALL).map_or(0.0, |group| group.share_clipped());
                progress.update(update + 1, loss, norm, share)?;
            }
            Err(error @ (gatewise::Error::NonFinite { .. } | gatewise::Error::NonFiniteNorm { .. })) => {
                diverged = Some(Divergence { update: update + 1, what: error.to_string() });
                break;
            }
            Err(error) => return Err(error.into()),
        }
        if (update + 1).is_multiple_of((options.steps / LOOKS).max(1)) || update + 1 == options.steps {
            run.look(update + 1)?;
        }
    }
    progress.finish();
    Ok(run.report(cell, diverged, start)?)
}

impl<'a> Run<'a> {
    fn new(cell: Cell, options: &'a Options) -> Result<Run<'a>, gatewise::Error> {
        let task = options.task();
        let model = Model::new(cell, &task, options)?;
        let optimizer: Box<dyn Optimizer> = match options.optimizer {
            OptimizerName::Adam => Box::new(Adam::new(options.lr(cell))),
            OptimizerName::Sgd => Box::new(Sgd::new(options.lr(cell))),
        };
        Ok(Run {
            options,
            task,
            optimizer,
            observer: Observer::new(&model.network),
            probe: LagProbe::new(&model.network, task.steps() - 1, Probes::Random(1), options.seed)?,
            ledger: ClipLedger::new(Norm::L2, NonFinite::Error, options.steps),
            loss_jumps: Jumps::new(),
            norm_jumps: Jumps::new(),
            room: Room::default(),
            grads: model.zero_grads(),
            train_loss: Vec::new(),
            test_loss: Vec::new(),
            history: LagHistory::default(),
            model,
        })
    }

    /// One update; answers its loss, and the norm of its gradient before clipping.
    fn update(&mut self, update: usize) -> Result<(f64, f64), gatewise::Error> {
        let Run { options, task, model, room, grads, .. } = self;
        let batch = task.draw(options.batch, &mut Philox::new(options.seed, update as u64));
        let loss = model.forward(task, &batch, options.batch, task.learned(), room)?;
        model.backward(task, options.batch, room, &mut self.observer, grads)?;
        let max_norm = options.max_norm().unwrap_or(f64::INFINITY);
        let both = &mut [&mut grads.network, &mut grads.head];
        let clipped = self.ledger.clip(ALL, both, max_norm, Some(self.observer.flow()))?;
        self.loss_jumps.push(loss);
        self.norm_jumps.push(clipped.norm);
        let optimizer = &mut self.optimizer;
        model.update(|params| optimizer.step(params, &[&grads.network, &grads.head]))?;
        self.train_loss.push(loss);
        Ok((loss, clipped.norm))
    }

    /// Measures loss and influence on rows that are not learned from.
    fn look(&mut self, done: usize) -> Result<(), gatewise::Error> {
        let Run { options, task, model, room, .. } = self;
        let mut loss = 0.0;
        for i in 0..TEST_BATCHES {
            let batch = task.draw(TEST_ROWS, &mut Philox::new(options.seed, test_stream(i)));
            loss += model.forward(task, &batch, TEST_ROWS, task.scored(), room)? / TEST_BATCHES as f64;
        }
        self.test_loss.push((done, loss));
        let influence = self.probe.measure(&model.network, &room.tape)?;
        self.history.push(done as u64, influence.tracks[0].state());
        Ok(())
    }

    /// What there is to say in the end.
    fn report(
        self,
        cell: Cell,
        diverged: Option<Divergence>,
        start: Instant,
    ) -> Result<Report, gatewise::Error> {
        let Run { options, task, model, mut observer, mut probe, mut room, mut grads, .. } = self;
        let batch = task.draw(TEST_ROWS, &mut Philox::new(options.seed, test_stream(0)));
        model.forward(&task, &batch, TEST_ROWS, task.learned(), &mut room)?;
        let gates = GateReport::new(&model.network, &room.tape)?;
        let influence = probe.measure(&model.network, &room.tape)?.clone();
        model.backward(&task, TEST_ROWS, &mut room, &mut observer, &mut grads)?;
        let rows = task.draw(LYAPUNOV_ROWS, &mut Philox::new(options.seed, test_stream(0)));
        let rows = View::new(&rows.input, [task.steps(), LYAPUNOV_ROWS, task.features()])?;
        let count = EXPONENTS.min(options.hidden);
        let lyapunov = lyapunov_exponents(&model.network, rows, None, count, options.seed)?;
        let baseline = task.baseline();
        let last = self.test_loss.last().map(|&(_, loss)| loss);
        let final_loss = last.filter(|_| diverged.is_none());
        let clipping = self.ledger.group(ALL).cloned().unwrap_or_default();
        let result = Line {
            cell: cell.name(),
            final_loss,
            baseline,
            effective_memory: influence.tracks[0].memory(FADED),
            share_clipped: clipping.share_clipped(),
            diverged,
            verdict: Line::judge(final_loss, baseline),
            seconds: start.elapsed().as_secs_f64(),
        };
        Ok(Report {
            setting: Setting::new(&task, cell, model.num_parameters(), options),
            result,
            train_loss: self.train_loss,
            test_loss: self.test_loss,
            norms: Norms::of(&clipping),
            spikes: Spikes { train_loss: self.loss_jumps.found, norm: self.norm_jumps.found },
            clipping,
            lag_history: self.history,
            influence,
            lyapunov,
            flow: observer.flow().clone(),
            gates,
        })
    }
}
