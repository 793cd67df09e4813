//! The arguments of the gate kernels as pointers, once checked: what the kernels are given in place of `args`. Pointers are
//! made and moved here, and followed nowhere.

use super::strided::Strided;
use crate::error::Error;
use crate::math::activation::Activations;

/// A state over time, and where a row's value of it before a step may stand.
#[derive(Clone, Copy)]
pub(crate) struct Carried {
    /// What replaces it where a row is reset.
    pub(crate) reset: Strided,
    /// What it starts from.
    pub(crate) initial: Strided,
    /// What each step leaves.
    pub(crate) steps: Strided,
}

impl Carried {
    fn starting_at(self, row: usize) -> Carried {
        Carried {
            reset: self.reset.starting_at(row),
            initial: self.initial.starting_at(row),
            steps: self.steps.starting_at(row),
        }
    }
}

/// Whether an array is exactly `batch` rows of `width` floats long.
#[inline]
pub(crate) fn check_len(arg: &'static str, got: usize, batch: usize, width: usize) -> Result<(), Error> {
    let expected = batch.checked_mul(width).ok_or(Error::SizeOverflow { what: arg })?;
    if got == expected { Ok(()) } else { Err(Error::Shape { arg, dim: "length", expected, got }) }
}

/// Checks an optional [B, width] argument; `zeros` stands for `None`.
pub(crate) fn state_rows(
    arg: &'static str,
    data: Option<&[f32]>,
    batch: usize,
    width: usize,
    zeros: &[f32],
) -> Result<Strided, Error> {
    match data {
        None => Ok(Strided::rows(zeros, 0)),
        Some(data) => {
            check_len(arg, data.len(), batch, width)?;
            Ok(Strided::rows(data, width))
        }
    }
}

/// Which rows take part in which steps and start anew where: shared by both passes.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    /// `active[t]`, or null: all rows always.
    pub(crate) active: *const usize,
    /// `resets[t * flags + row]`, or null: never.
    pub(crate) resets: *const bool,
    /// Flags of a step.
    pub(crate) flags: usize,
    /// The task's rows are `first_row .. first_row + rows` of the batch.
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
}

impl Schedule {
    /// All rows take part in all steps, and none starts anew.
    pub(crate) fn all(batch: usize) -> Schedule {
        let (active, resets) = (std::ptr::null(), std::ptr::null());
        Schedule { active, resets, flags: 0, first_row: 0, rows: batch }
    }

    /// Whether every row takes part in one piece of time: the counts rise, then fall.
    pub(crate) fn check_no_pause(active: Option<&[usize]>) -> Result<(), Error> {
        let active = active.unwrap_or_default();
        let mut fell = false;
        for pair in active.windows(2) {
            fell |= pair[1] < pair[0];
            if fell && pair[1] > pair[0] {
                return Err(Error::Shape { arg: "active", dim: "rows", expected: pair[0], got: pair[1] });
            }
        }
        Ok(())
    }

    /// Checks the two arguments against the sizes; the schedule of all rows.
    pub(crate) fn checked(
        active: Option<&[usize]>,
        resets: Option<&[bool]>,
        steps: usize,
        batch: usize,
    ) -> Result<Schedule, Error> {
        if let Some(active) = active {
            if active.len() != steps {
                return Err(Error::Shape {
                    arg: "active",
                    dim: "length",
                    expected: steps,
                    got: active.len(),
                });
            }
            if let Some(&most) = active.iter().find(|&&n| n > batch) {
                return Err(Error::Shape { arg: "active", dim: "rows", expected: batch, got: most });
            }
        }
        let got = resets.map_or(0, <[bool]>::len);
        let flags = got.checked_div(steps).unwrap_or(0);
        let is_mask = got == steps * flags && (flags >= batch || steps == 0);
        if resets.is_some() && !is_mask {
            let expected = steps.checked_mul(batch).ok_or(Error::SizeOverflow { what: "resets" })?;
            return Err(Error::Shape { arg: "resets", dim: "length", expected, got });
        }
        Ok(Schedule {
            active: active.map_or(std::ptr::null(), <[usize]>::as_ptr),
            resets: resets.map_or(std::ptr::null(), <[bool]>::as_ptr),
            flags,
            ..Schedule::all(batch)
        })
    }
}

/// [`TableRows`](super::table::TableRows), checked: which row of a table the input part of each row starts from.
#[derive(Clone, Copy)]
pub(crate) struct Picks {
    /// That of step t and a row of the batch at `rows[t * step + row]`, or null: all start from the bias.
    pub(crate) rows: *const usize,
    pub(crate) step: usize,
    /// Floats of a row of the table.
    pub(crate) width: usize,
}

impl Picks {
    pub(crate) const NONE: Picks = Picks { rows: std::ptr::null(), step: 0, width: 0 };

    #[inline(always)]
    pub(crate) fn is_none(&self) -> bool {
        self.rows.is_null()
    }
}

/// [`Forward`](super::args::Forward), checked, for one range of rows; the kernels' argument.
#[derive(Clone, Copy)]
pub(crate) struct ForwardTask {
    pub(crate) begin: usize,
    pub(crate) end: usize,
    pub(crate) input: usize,
    pub(crate) hidden: usize,
    /// Features of h.
    pub(crate) state: usize,
    /// The vectors of units to run, from the first to one past the last: all, or the slice of a member of a team.
    pub(crate) panels: (usize, usize),
    pub(crate) activations: *const Activations,
    pub(crate) schedule: Schedule,
    /// The input, for a kernel that multiplies it itself.
    pub(crate) x: Strided,
    /// The projected input of steps begin .. end, [step][panel][row][gate][lane], for a kernel that does not.
    pub(crate) xa: *const f32,
    /// Floats of a row of it in one step.
    pub(crate) xa_row: usize,
    pub(crate) w_ih: *const f32,
    /// What the chains of the input part start from: the bias, or the table that `picks` picks from.
    pub(crate) b_ih: *const f32,
    pub(crate) picks: Picks,
    pub(crate) w_hh: *const f32,
    pub(crate) b_hh: *const f32,
    /// The projection of the state, or null.
    pub(crate) w_hr: *const f32,
    pub(crate) h: Carried,
    pub(crate) c: Carried,
    pub(crate) gates: Strided,
}

impl ForwardTask {
    /// The part of `rows` rows from `first` on.
    pub(crate) fn shard(&self, first: usize, rows: usize) -> ForwardTask {
        let whole = *self;
        ForwardTask {
            schedule: Schedule { first_row: first, rows, ..whole.schedule },
            x: whole.x.starting_at(first),
            h: whole.h.starting_at(first),
            c: whole.c.starting_at(first),
            gates: whole.gates.starting_at(first),
            ..whole
        }
    }
}

/// A stretch of time of one row that runs through: the argument of the kernels for single rows. It is as small as can be, for it is
/// made for each step of a stream.
#[derive(Clone, Copy)]
pub(crate) struct SingleTask {
    pub(crate) steps: usize,
    pub(crate) input: usize,
    /// The input of the first step, and how far on that of the next one is.
    pub(crate) x: *const f32,
    pub(crate) x_step: isize,
    /// h before the first step.
    pub(crate) h_0: *const f32,
    /// Where the first step leaves it.
    pub(crate) h: *mut f32,
    pub(crate) h_step: isize,
    /// The same of c; null where there is none.
    pub(crate) c_0: *const f32,
    pub(crate) c: *mut f32,
    pub(crate) c_step: isize,
    /// Where the first step saves its values, or null.
    pub(crate) gates: *mut f32,
    pub(crate) gates_step: isize,
    pub(crate) w_ih: *const f32,
    pub(crate) w_hh: *const f32,
    pub(crate) b_hh: *const f32,
    /// What the chains of the input part start from in the first step, and how far on that of the next one is: the bias, a row of a
    /// table, or, where the input was projected before and none of it is left to multiply, all of that part.
    pub(crate) start: *const f32,
    pub(crate) start_step: isize,
}

/// [`Backward`](super::args::Backward), checked, for one range of rows; the kernels' argument.
#[derive(Clone, Copy)]
pub(crate) struct BackwardTask {
    pub(crate) begin: usize,
    pub(crate) end: usize,
    /// The boundaries to pass, from the last to the first of them: from `end` to `begin`, or one of them.
    pub(crate) boundaries: (usize, usize),
    /// As in [`ForwardTask`].
    pub(crate) panels: (usize, usize),
    pub(crate) hidden: usize,
    /// Features of h.
    pub(crate) state: usize,
    pub(crate) activations: *const Activations,
    pub(crate) schedule: Schedule,
    /// W_hh, packed for the product with the gradients of all gates.
    pub(crate) w_hh: *const f32,
    /// The projection of the state, packed for the product with the gradient of h, or null.
    pub(crate) w_hr: *const f32,
    pub(crate) dy: Strided,
    pub(crate) gates: Strided,
    pub(crate) h: Carried,
    pub(crate) c: Carried,
    pub(crate) dh: Strided,
    pub(crate) dc: Strided,
    pub(crate) dh_steps: Strided,
    pub(crate) dc_steps: Strided,
}

impl BackwardTask {
    /// The part of `rows` rows from `first` on.
    pub(crate) fn shard(&self, first: usize, rows: usize) -> BackwardTask {
        let whole = *self;
        BackwardTask {
            schedule: Schedule { first_row: first, rows, ..whole.schedule },
            dy: whole.dy.starting_at(first),
            gates: whole.gates.starting_at(first),
            h: whole.h.starting_at(first),
            c: whole.c.starting_at(first),
            dh: whole.dh.starting_at(first),
            dc: whole.dc.starting_at(first),
            dh_steps: whole.dh_steps.starting_at(first),
            dc_steps: whole.dc_steps.starting_at(first),
            ..whole
        }
    }
}
