//! The only place where sizes multiply.

use super::{Config, Error};
use std::ops::Range;

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

/// The sizes of one pass, with those of one layer: seen to multiply without overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dims {
    /// T
    pub(crate) steps: usize,
    /// B
    pub(crate) batch: usize,
    /// Features of the layer's input.
    pub(crate) input: usize,
    /// H
    pub(crate) hidden: usize,
    /// Features of h: P with a projection, else H.
    pub(crate) features: usize,
    /// Features of the layer's output: D * R, or R where the directions are merged into one.
    pub(crate) output: usize,
    /// Features of h and of c in all directions of the layers below; of c 0 where there is none.
    below: [usize; 2],
    /// Likewise of all layers.
    all: [usize; 2],
    /// Whether there is a c of H features beside h.
    pub(crate) has_c: bool,
    /// Saved values per unit and step.
    pub(crate) saved: usize,
    /// Layers.
    pub(crate) layers: usize,
    /// D, directions.
    pub(crate) directions: usize,
}

impl Dims {
    /// The sizes of a pass and of its last layer, whose outputs are the network's.
    pub(crate) fn new(config: &Config, steps: usize, batch: usize) -> Result<Dims, Error> {
        let spec = config.spec();
        let (layers, directions, saved) = (config.num_layers, config.directions(), spec.saved());
        let widest = config.hidden_sizes.iter().copied().fold(config.hidden_size, usize::max);
        product("the tape", &[steps.saturating_add(2), batch.max(1), widest, saved, layers, directions])?;
        product("input", &[steps, batch.max(1), config.input_size])?;
        let has_c = spec.has_cell_state();
        let pass = Dims { steps, batch, has_c, saved, layers, directions, ..Dims::default() };
        let all = pass.up_to(config, layers);
        Ok(Dims { all, ..pass }.of(config, layers - 1))
    }

    /// The same pass, and the sizes of another layer.
    pub(crate) fn of(self, config: &Config, layer: usize) -> Dims {
        Dims {
            input: config.layer_input(layer),
            hidden: config.hidden_size_of(layer),
            features: config.state_size_of(layer),
            output: config.layer_output(layer),
            below: self.up_to(config, layer),
            ..self
        }
    }

    /// The same for a part of the steps.
    pub(crate) fn with_steps(self, steps: usize) -> Dims {
        Dims { steps, ..self }
    }

    /// The same for another batch.
    pub(crate) fn with_batch(self, batch: usize) -> Dims {
        Dims { batch, ..self }
    }

    /// The same pass, and for each size the largest of any layer: what room is made by.
    pub(crate) fn widest(self, config: &Config) -> Dims {
        (0..self.layers).map(|layer| self.of(config, layer)).fold(self, |most, of| Dims {
            input: most.input.max(of.input),
            hidden: most.hidden.max(of.hidden),
            features: most.features.max(of.features),
            output: most.output.max(of.output),
            ..self
        })
    }

    /// Features of h and of c in all directions of the first layers.
    fn up_to(&self, config: &Config, layers: usize) -> [usize; 2] {
        let sum = |size: &dyn Fn(usize) -> usize| match config.hidden_sizes.is_empty() {
            true => layers * size(0),
            false => (0..layers).map(size).sum(),
        };
        let h = sum(&|layer| config.state_size_of(layer));
        let c = if self.has_c { sum(&|layer| config.hidden_size_of(layer)) } else { 0 };
        [self.directions * h, self.directions * c]
    }

    /// Floats of the layer's h in one direction: B * R.
    pub(crate) fn state(&self) -> usize {
        self.batch * self.features
    }

    /// Floats of the layer's c in one direction: B * H; 0 where there is none.
    pub(crate) fn cell_state(&self) -> usize {
        self.batch * self.cell_width()
    }

    /// Features of the layer's c in one direction; 0 where there is none.
    pub(crate) fn cell_width(&self) -> usize {
        if self.has_c { self.hidden } else { 0 }
    }

    /// Floats of h of all layers.
    pub(crate) fn states(&self) -> usize {
        self.batch * self.all[0]
    }

    /// Floats of c of all layers; 0 where there is none.
    pub(crate) fn cell_states(&self) -> usize {
        self.batch * self.all[1]
    }

    /// Features of the layer's h in all directions: D * R.
    pub(crate) fn side_by_side(&self) -> usize {
        self.directions * self.features
    }

    /// Whether the directions become one.
    pub(crate) fn is_merged(&self) -> bool {
        self.output != self.side_by_side()
    }

    /// Floats of the layer's h of all steps: T * B * D * R.
    pub(crate) fn sides(&self) -> usize {
        self.steps * self.batch * self.side_by_side()
    }

    /// Floats of the layer's outputs: as many, or T * B * R.
    pub(crate) fn outputs(&self) -> usize {
        self.steps * self.batch * self.output
    }

    /// Floats of the layer's inputs.
    pub(crate) fn inputs(&self) -> usize {
        self.sequence(self.input)
    }

    /// Floats of a sequence of that many features.
    pub(crate) fn sequence(&self, width: usize) -> usize {
        self.steps * self.batch * width
    }

    /// The axes of a sequence of these sizes in a network's layout.
    pub(crate) fn shape(&self, width: usize, batch_first: bool) -> [usize; 3] {
        if batch_first { [self.batch, self.steps, width] } else { [self.steps, self.batch, width] }
    }

    /// Floats of one direction's c of all steps: T * B * H; 0 where there is none.
    pub(crate) fn cells(&self) -> usize {
        self.steps * self.cell_state()
    }

    /// Floats that the layer saves for backward in one direction.
    pub(crate) fn gates(&self) -> usize {
        self.steps * self.batch * self.hidden * self.saved
    }

    /// Where the layer's h in a direction stands among those of all layers.
    pub(crate) fn state_at(&self, direction: usize) -> Range<usize> {
        let begin = self.batch * self.below[0] + direction * self.state();
        begin..begin + self.state()
    }

    /// Where its c in a direction stands.
    pub(crate) fn cell_state_at(&self, direction: usize) -> Range<usize> {
        let begin = self.batch * self.below[1] + direction * self.cell_state();
        begin..begin + self.cell_state()
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

/// Makes a list exactly `len` long; new items are the default.
pub(crate) fn resize_list<T: Default>(
    what: &'static str,
    list: &mut Vec<T>,
    len: usize,
) -> Result<(), Error> {
    reserve(what, list, len.saturating_sub(list.len()))?;
    list.resize_with(len, T::default);
    Ok(())
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
