//! The only place where sizes multiply.

use super::{Config, Error};

/// The product of sizes, if an array of that many f32 can exist.
pub(crate) fn product(what: &'static str, sizes: &[usize]) -> Result<usize, Error> {
    // A size of 0 makes the array empty, whatever the others are.
    if sizes.contains(&0) {
        return Ok(0);
    }
    let floats = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    let limit = isize::MAX.unsigned_abs() / size_of::<f32>();
    floats.filter(|&floats| floats <= limit).ok_or(Error::SizeOverflow { what })
}

/// The sizes of one pass: seen to multiply without overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dims {
    /// T
    pub(crate) steps: usize,
    /// B
    pub(crate) batch: usize,
    /// H
    pub(crate) hidden: usize,
    /// Features of h: P with a projection, else H.
    pub(crate) features: usize,
    /// Whether there is a c of H features beside it.
    pub(crate) has_c: bool,
    /// Saved values per unit and step.
    pub(crate) saved: usize,
    /// Layers.
    pub(crate) layers: usize,
    /// D, directions.
    pub(crate) directions: usize,
}

impl Dims {
    pub(crate) fn new(config: &Config, steps: usize, batch: usize) -> Result<Dims, Error> {
        let spec = config.spec();
        let (hidden, saved) = (config.hidden_size, spec.saved());
        let (features, has_c) = (config.state_size(), spec.has_cell_state());
        let (layers, directions) = (config.num_layers, config.directions());
        product("the tape", &[steps.saturating_add(2), batch.max(1), hidden, saved, layers, directions])?;
        product("input", &[steps, batch.max(1), config.input_size])?;
        Ok(Dims { steps, batch, hidden, features, has_c, saved, layers, directions })
    }

    /// Floats of a layer's h in one direction: B * R.
    pub(crate) fn state(&self) -> usize {
        self.batch * self.features
    }

    /// Floats of a layer's c in one direction: B * H; 0 where there is none.
    pub(crate) fn cell_state(&self) -> usize {
        if self.has_c { self.batch * self.hidden } else { 0 }
    }

    /// Floats of h of all layers.
    pub(crate) fn states(&self) -> usize {
        self.layers * self.directions * self.state()
    }

    /// Floats of c of all layers; 0 where there is none.
    pub(crate) fn cell_states(&self) -> usize {
        self.layers * self.directions * self.cell_state()
    }

    /// Features of a layer's output: D * R.
    pub(crate) fn output_size(&self) -> usize {
        self.directions * self.features
    }

    /// Floats of a layer's outputs: T * B * D * R.
    pub(crate) fn outputs(&self) -> usize {
        self.steps * self.batch * self.output_size()
    }

    /// The axes of a sequence of these sizes in a network's layout.
    pub(crate) fn shape(&self, width: usize, batch_first: bool) -> [usize; 3] {
        if batch_first { [self.batch, self.steps, width] } else { [self.steps, self.batch, width] }
    }

    /// Floats of one direction's c of all steps: T * B * H; 0 where there is none.
    pub(crate) fn cells(&self) -> usize {
        self.steps * self.cell_state()
    }

    /// Floats that a layer saves for backward in one direction.
    pub(crate) fn gates(&self) -> usize {
        self.steps * self.batch * self.hidden * self.saved
    }

    /// Where h of a layer in a direction stands among those of all.
    pub(crate) fn state_at(&self, layer: usize, direction: usize) -> std::ops::Range<usize> {
        let begin = (layer * self.directions + direction) * self.state();
        begin..begin + self.state()
    }

    /// Where c of a layer in a direction stands among those of all.
    pub(crate) fn cell_state_at(&self, layer: usize, direction: usize) -> std::ops::Range<usize> {
        let begin = (layer * self.directions + direction) * self.cell_state();
        begin..begin + self.cell_state()
    }

    /// Floats of an input of that many features.
    pub(crate) fn input(&self, features: usize) -> usize {
        self.steps * self.batch * features
    }
}

/// A buffer of `len` zeros, or an error where the memory cannot be had.
pub(crate) fn zeros(what: &'static str, len: usize) -> Result<Vec<f32>, Error> {
    let mut buffer = Vec::new();
    resize(what, &mut buffer, len)?;
    Ok(buffer)
}

/// Makes room in an empty list for `len` items.
pub(crate) fn reserve<T>(what: &'static str, list: &mut Vec<T>, len: usize) -> Result<(), Error> {
    list.try_reserve_exact(len).map_err(|_| Error::SizeOverflow { what })
}

/// Makes a buffer exactly `len` long; new floats are 0. Allocates only to grow beyond what it once was.
pub(crate) fn resize(what: &'static str, buffer: &mut Vec<f32>, len: usize) -> Result<(), Error> {
    if len > buffer.len() {
        buffer.try_reserve_exact(len - buffer.len()).map_err(|_| Error::SizeOverflow { what })?;
    }
    buffer.resize(len, 0.0);
    Ok(())
}

/// Checks the length of an argument.
pub(crate) fn expect_len(arg: &'static str, got: usize, expected: usize) -> Result<(), Error> {
    expect(arg, "length", got, expected)
}

/// Checks one size of an argument.
pub(crate) fn expect(arg: &'static str, dim: &'static str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected { Ok(()) } else { Err(Error::Shape { arg, dim, expected, got }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_that_do_not_fit_are_refused() {
        assert_eq!(product("x", &[usize::MAX, 2]), Err(Error::SizeOverflow { what: "x" }));
        assert_eq!(product("x", &[usize::MAX / 4, 1]), Err(Error::SizeOverflow { what: "x" }));
        assert_eq!(product("x", &[usize::MAX, usize::MAX, 0]), Ok(0));
        assert_eq!(product("x", &[3, 5, 7]), Ok(105));
    }
}
