//! From a caller's arguments to a kernel's task: every check, all of them before anything is written.

use crate::error::Error;
use crate::gates::args::{Backward, Forward, Step};
use crate::gates::checked::{
    BackwardTask, Carried, ForwardTask, Picks, Schedule, SingleTask, check_len, state_rows,
};
use crate::gates::strided::Strided;
use crate::gates::table::TableRows;
use crate::gemm::block::{ColumnMap, GemmTask, RowMap, Start};
use crate::plan::{ForwardPlan, Projection};
use crate::weights::PackedCell;

/// What the input part starts from: the bias, or rows of a table.
#[inline]
fn input_start(
    weights: &PackedCell,
    rows: Option<TableRows<'_>>,
    active: Option<&[usize]>,
    sizes: (usize, usize),
) -> Result<(*const f32, Picks), Error> {
    let Some(rows) = rows else { return Ok((weights.b_ih.as_ptr(), Picks::NONE)) };
    let picks = rows.checked((weights.isa, weights.b_ih.len()), active, sizes)?;
    Ok((rows.table.data.as_ptr(), picks))
}

/// Features that are multiplied: none of those of a table.
fn features(weights: &PackedCell, rows: Option<TableRows<'_>>) -> usize {
    if rows.is_some() { 0 } else { weights.input }
}

/// The whole batch's forward task.
pub(crate) fn forward_task(
    weights: &PackedCell,
    plan: &ForwardPlan,
    rows: Option<TableRows<'_>>,
    args: &mut Forward<'_>,
) -> Result<ForwardTask, Error> {
    let (steps, batch) = (args.steps, args.batch);
    let (input, hidden, state) = (features(weights, rows), weights.hidden, weights.state_size());
    let zeros = &weights.zeros;
    let x = Strided::read("input", &args.x, steps, batch, input)?;
    let y = Strided::write_steps("output", &mut args.y, steps, batch, state)?;
    let c = match &mut args.c {
        Some(c) => Strided::write("c", c, steps, batch, hidden)?,
        None => absent_cell_state("c", weights)?,
    };
    if args.c_0.is_none() && weights.spec.has_cell_state() {
        // A row that starts again would find the c that it left, not c_0.
        Schedule::check_no_pause(args.active)?;
    }
    let c_0 = match args.c_0 {
        Some(c_0) => state_rows("c_0", Some(c_0), batch, hidden, zeros)?,
        None => c,
    };
    let saved = weights.spec.saved() * hidden;
    let gates = match &mut args.gates {
        Some(gates) => Strided::write("gates", gates, steps, batch, saved)?,
        None if weights.spec.needs_gates() => {
            return Err(Error::Shape { arg: "gates", dim: "length", expected: saved, got: 0 });
        }
        None => Strided::ABSENT,
    };
    check_scratch(weights, plan, batch, args.scratch.len())?;
    let schedule = Schedule::checked(args.active, args.resets, steps, batch)?;
    let (b_ih, picks) = input_start(weights, rows, args.active, (steps, batch))?;
    Ok(ForwardTask {
        begin: 0,
        end: steps,
        input,
        hidden,
        state,
        panels: (0, weights.panels()),
        activations: &raw const weights.spec.activations,
        schedule,
        x,
        xa: std::ptr::null(),
        xa_row: weights.xa_row(),
        w_ih: weights.w_ih.as_ptr(),
        b_ih,
        picks,
        w_hh: weights.w_hh.as_ptr(),
        b_hh: weights.b_hh.as_ptr(),
        w_hr: weights.projection_weights(),
        h: Carried {
            reset: state_rows("reset_h", args.reset_h, batch, state, zeros)?,
            initial: state_rows("h_0", args.h_0, batch, state, zeros)?,
            steps: y,
        },
        c: Carried {
            reset: state_rows("reset_c", args.reset_c, batch, hidden, zeros)?,
            initial: c_0,
            steps: c,
        },
        gates,
    })
}

/// Checks the arguments of one step.
#[inline]
fn check_step(weights: &PackedCell, input: usize, args: &Step<'_>) -> Result<(), Error> {
    let (batch, hidden) = (args.batch, weights.hidden);
    let rows_of_c = if weights.spec.cell.has_cell_state() { hidden } else { 0 };
    for (arg, len, width) in [
        ("input", args.x.len(), input),
        ("h_0", args.h_0.len(), hidden),
        ("output", args.h_1.len(), hidden),
        ("c", args.c.len(), rows_of_c),
    ] {
        check_len(arg, len, batch, width)?;
    }
    Ok(())
}

/// The task of one step of a single row, for a kernel of its hidden size.
#[inline]
pub(crate) fn single_step_task(weights: &PackedCell, args: &mut Step<'_>) -> Result<SingleTask, Error> {
    check_step(weights, weights.input, args)?;
    Ok(single_task(weights, weights.input, weights.b_ih.as_ptr(), args))
}

/// The same where the input is a row of a table.
#[inline]
pub(crate) fn single_row_task(
    weights: &PackedCell,
    rows: TableRows<'_>,
    args: &mut Step<'_>,
) -> Result<SingleTask, Error> {
    check_step(weights, 0, args)?;
    let (table, picks) = input_start(weights, Some(rows), None, (1, 1))?;
    Ok(single_task(weights, 0, table.wrapping_add(rows.rows[0] * picks.width), args))
}

#[inline]
fn single_task(weights: &PackedCell, input: usize, start: *const f32, args: &mut Step<'_>) -> SingleTask {
    let c = args.c.as_mut_ptr();
    SingleTask {
        steps: 1,
        input,
        x: args.x.as_ptr(),
        x_step: 0,
        h_0: args.h_0.as_ptr(),
        h: args.h_1.as_mut_ptr(),
        h_step: 0,
        c_0: c,
        c,
        c_step: 0,
        gates: std::ptr::null_mut(),
        gates_step: 0,
        w_ih: weights.w_ih.as_ptr(),
        start,
        start_step: 0,
        w_hh: weights.w_hh.as_ptr(),
        b_hh: weights.b_hh.as_ptr(),
    }
}

/// The task of one step: nothing is optional and nothing strided, so that little has to be checked.
pub(crate) fn step_task(
    weights: &PackedCell,
    rows: Option<TableRows<'_>>,
    args: &mut Step<'_>,
) -> Result<ForwardTask, Error> {
    if weights.spec.needs_gates() {
        let expected = weights.spec.saved() * weights.hidden;
        return Err(Error::Shape { arg: "gates", dim: "length", expected, got: 0 });
    }
    let (batch, input, hidden) = (args.batch, features(weights, rows), weights.hidden);
    check_step(weights, input, args)?;
    let (b_ih, picks) = input_start(weights, rows, None, (1, batch))?;
    let has_c = weights.spec.cell.has_cell_state();
    let c = if has_c { Strided::rows_mut(args.c, hidden) } else { Strided::ABSENT };
    Ok(ForwardTask {
        begin: 0,
        end: 1,
        input,
        hidden,
        state: hidden,
        panels: (0, weights.panels()),
        activations: &raw const weights.spec.activations,
        schedule: Schedule::all(batch),
        x: Strided::rows(args.x, input),
        xa: std::ptr::null(),
        xa_row: weights.xa_row(),
        w_ih: weights.w_ih.as_ptr(),
        b_ih,
        picks,
        w_hh: weights.w_hh.as_ptr(),
        b_hh: weights.b_hh.as_ptr(),
        w_hr: std::ptr::null(),
        h: Carried {
            reset: Strided::ABSENT,
            initial: Strided::rows(args.h_0, hidden),
            steps: Strided::rows_mut(args.h_1, hidden),
        },
        c: Carried { reset: Strided::ABSENT, initial: c, steps: c },
        gates: Strided::ABSENT,
    })
}

/// The plan must be one for these sizes: the scratch of all shards together holds a chunk of all rows.
fn check_scratch(weights: &PackedCell, plan: &ForwardPlan, batch: usize, len: usize) -> Result<(), Error> {
    let Projection::Chunked { chunk } = weights.projection(plan) else { return Ok(()) };
    let shards = plan.shards.clamp(1, batch.max(1));
    if chunk == 0 {
        return Err(Error::Shape { arg: "plan", dim: "chunk", expected: 1, got: 0 });
    }
    let needed = batch.div_ceil(shards).saturating_mul(chunk).saturating_mul(weights.xa_row());
    if plan.shard_scratch < needed {
        return Err(Error::Shape { arg: "plan", dim: "scratch", expected: needed, got: plan.shard_scratch });
    }
    let expected = plan.shard_scratch.saturating_mul(shards);
    if len < expected {
        return Err(Error::Shape { arg: "scratch", dim: "length", expected, got: len });
    }
    Ok(())
}

fn absent_cell_state(arg: &'static str, weights: &PackedCell) -> Result<Strided, Error> {
    if weights.spec.has_cell_state() {
        return Err(Error::Shape { arg, dim: "length", expected: weights.hidden, got: 0 });
    }
    Ok(Strided::ABSENT)
}

/// The input projection of steps `begin .. end` of a shard's task into `xa`, [step][panel][row][gate][lane]: in the order in
/// which the recurrence reads it.
pub(crate) fn projection_task(
    weights: &PackedCell,
    task: &ForwardTask,
    (begin, end): (usize, usize),
    xa: *mut f32,
) -> GemmTask {
    let rows = task.schedule.rows;
    let (lanes, gates) = (weights.lanes, weights.spec.gates());
    let panels = weights.panels();
    let row = gates * lanes;
    let step = panels * rows * row;
    GemmTask {
        rows: (end - begin) * rows,
        vectors: panels * gates,
        depth: weights.input,
        a: task.x.at(begin, 0),
        first_row: 0,
        a_rows: RowMap { inner: rows, outer: task.x.step(), row: task.x.row_stride() },
        a_step: 1,
        b: task.w_ih,
        b_step: weights.nr * lanes,
        strip: weights.input * weights.nr * lanes,
        start: Start::Bias(task.b_ih),
        c: xa,
        c_rows: RowMap { inner: rows, outer: step.cast_signed(), row },
        c_columns: ColumnMap { run: gates, outer: rows * row },
        columns: panels * row,
    }
}

/// The input part of `rows` rows of a table into `out`, each laid out as the packed bias is: a product for each part that the
/// weights are packed in.
pub(crate) fn table_tasks(
    weights: &PackedCell,
    rows: usize,
    table: &[f32],
    out: &mut [f32],
) -> [GemmTask; 2] {
    let (depth, width) = (weights.input, weights.b_ih.len());
    let mut at = 0;
    weights.parts().map(|shape| {
        let vectors = shape.vectors();
        let task = GemmTask {
            rows,
            vectors,
            depth,
            a: table.as_ptr(),
            first_row: 0,
            a_rows: RowMap::even(depth),
            a_step: 1,
            b: weights.w_ih.as_ptr().wrapping_add(at * depth),
            b_step: weights.nr * weights.lanes,
            strip: depth * weights.nr * weights.lanes,
            start: Start::Bias(weights.b_ih.as_ptr().wrapping_add(at)),
            c: out.as_mut_ptr().wrapping_add(at),
            c_rows: RowMap::even(width),
            c_columns: ColumnMap::EVEN,
            columns: vectors * weights.lanes,
        };
        at += shape.len().unwrap_or(0);
        task
    })
}

/// The whole batch's backward task; `steps` is T of the whole sequence.
pub(crate) fn backward_task(
    weights: &PackedCell,
    steps: usize,
    args: &mut Backward<'_>,
) -> Result<BackwardTask, Error> {
    let (batch, hidden, state) = (args.batch, weights.hidden, weights.state_size());
    let zeros = &weights.zeros;
    let Some(transposed) = &weights.for_training else {
        return Err(Error::Shape { arg: "weights", dim: "training panels", expected: 1, got: 0 });
    };
    if args.begin > args.end || args.end > steps {
        return Err(Error::Shape {
            arg: "steps",
            dim: "length",
            expected: steps,
            got: args.end.max(args.begin),
        });
    }
    Schedule::check_no_pause(args.active)?;
    let optional = |arg, seq: &mut Option<_>, width| match seq {
        Some(seq) => {
            let walk = Strided::write(arg, seq, args.end - args.begin, batch, width)?;
            Ok(walk.counted_from(args.begin))
        }
        None => Ok(Strided::ABSENT),
    };
    let carried = |arg, data: &mut [f32], width| {
        check_len(arg, data.len(), batch, width)?;
        Ok(Strided::rows_mut(data, width))
    };
    Ok(BackwardTask {
        begin: args.begin,
        end: args.end,
        boundaries: (args.end, args.begin),
        panels: (0, weights.panels()),
        hidden,
        state,
        activations: &raw const weights.spec.activations,
        schedule: Schedule::checked(args.active, args.resets, steps, batch)?,
        w_hh: transposed.w_hh.panels.as_ptr(),
        w_hr: match &transposed.w_hr {
            Some(w_hr) => w_hr.panels.as_ptr(),
            None => std::ptr::null(),
        },
        dy: match &args.dy {
            Some(dy) => Strided::read("grad_output", dy, steps, batch, state)?,
            None => Strided::ABSENT,
        },
        gates: Strided::write_steps("gates", &mut args.gates, steps, batch, weights.spec.saved() * hidden)?,
        h: Carried {
            reset: state_rows("reset_h", args.reset_h, batch, state, zeros)?,
            initial: state_rows("h_0", args.h_0, batch, state, zeros)?,
            steps: Strided::read("output", &args.y, steps, batch, state)?,
        },
        c: Carried {
            reset: state_rows("reset_c", args.reset_c, batch, hidden, zeros)?,
            initial: state_rows("c_0", args.c_0, batch, hidden, zeros)?,
            steps: match &args.c {
                Some(c) => Strided::read("c", c, steps, batch, hidden)?,
                None => absent_cell_state("c", weights)?,
            },
        },
        dh: carried("dh", args.dh, state)?,
        dc: match &mut args.dc {
            Some(dc) => carried("dc", dc, hidden)?,
            None => absent_cell_state("dc", weights)?,
        },
        dh_steps: optional("dh_steps", &mut args.dh_steps, state)?,
        dc_steps: optional("dc_steps", &mut args.dc_steps, hidden)?,
    })
}
