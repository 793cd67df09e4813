//! The affine layer.

use crate::spec::shape::{expect_len, product};
use crate::spec::{Error, Pack, ParamsMut, Tensors, init};
use gatewise_kernels::{Kernels, Matrix, MatrixMut, OuterProducts, OuterScratch, PackedB};

/// `torch.nn.Linear`: y = x W^T + b, with `weight` `[out_features, in_features]` and `bias` `[out_features]`.
///
/// # Examples
/// ```
/// use gatewise::{Linear, LinearRoom};
///
/// let head = Linear::new(3, 2, 0)?; // in_features, out_features, seed
/// let (x, mut y) = ([0.5; 4 * 3], [0.0; 4 * 2]); // four rows
/// head.forward(4, &x, &mut y)?;
///
/// let (mut dx, mut grads) = ([0.0; 4 * 3], head.params().zeros_like());
/// head.backward(4, &x, &[1.0; 4 * 2], Some(&mut dx), &mut grads, &mut LinearRoom::default())?;
/// assert_eq!(grads.get("bias").unwrap().data(), [4.0, 4.0]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    params: Tensors,
    packed: Packed,
}

/// The weights as the kernels want them.
#[derive(Clone, Debug)]
struct Packed {
    kernels: Kernels,
    in_features: usize,
    out_features: usize,
    /// W^T, for y.
    forward: PackedB,
    /// W, for dx.
    backward: PackedB,
}

/// Room for the backward pass of a linear layer, kept from call to call.
///
/// # Examples
/// ```
/// use gatewise::{Linear, LinearRoom};
///
/// let (head, mut room) = (Linear::new(3, 2, 0)?, LinearRoom::default());
/// for rows in [4, 1] {
///     let (x, dy, mut grads) = (vec![0.5; rows * 3], vec![1.0; rows * 2], head.params().zeros_like());
///     head.backward(rows, &x, &dy, None, &mut grads, &mut room)?;
///     assert_eq!(grads.get("weight").unwrap().data(), [0.5 * rows as f32; 2 * 3]);
/// }
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LinearRoom {
    x_rows: Vec<usize>,
    y_rows: Vec<usize>,
    outer: OuterScratch,
}

impl Linear {
    /// A layer with a bias, its parameters uniform in +-1/sqrt(in_features) from a seed, on the kernels of this machine.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if it does not fit in memory, [`Error::UnknownIsa`] if the environment's ceiling names no
    /// instruction set.
    ///
    /// # Examples
    /// ```
    /// let head = gatewise::Linear::new(3, 2, 0)?; // in_features, out_features, seed
    /// assert_eq!(head.params().get("weight").unwrap().shape(), [2, 3]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn new(in_features: usize, out_features: usize, seed: u64) -> Result<Linear, Error> {
        Linear::with_kernels(in_features, out_features, seed, Kernels::auto()?)
    }

    /// The same on given kernels.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if it does not fit in memory.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Isa, Kernels, Linear};
    ///
    /// let head = Linear::with_kernels(3, 2, 7, Kernels::with_isa(Isa::Portable)?)?;
    /// assert_eq!(head.params(), Linear::new(3, 2, 7)?.params()); // the same on all of them
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn with_kernels(
        in_features: usize,
        out_features: usize,
        seed: u64,
        kernels: Kernels,
    ) -> Result<Linear, Error> {
        let mut params = Tensors::default();
        params.push("weight".to_string(), &[out_features, in_features])?;
        params.push("bias".to_string(), &[out_features])?;
        init::uniform(&mut params, |_| in_features, seed);
        let weight = Matrix::row_major(params.at(0), in_features);
        let forward = kernels.pack_b(in_features, out_features, weight.transposed())?;
        let backward = kernels.pack_b(out_features, in_features, weight)?;
        let packed = Packed { kernels, in_features, out_features, forward, backward };
        Ok(Linear { params, packed })
    }

    /// The parameters `weight`, [out_features, in_features], and `bias`, `[out_features]`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Linear::new(3, 2, 0)?.params().num_elements(), 2 * 3 + 2);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn params(&self) -> &Tensors {
        &self.params
    }

    /// The parameters, to change. They are packed for the kernels when the guard goes.
    ///
    /// # Examples
    /// ```
    /// let (mut head, mut y) = (gatewise::Linear::new(3, 2, 0)?, [0.0; 2]);
    /// head.params_mut().fill(0.5);
    /// head.forward(1, &[1.0, 2.0, 4.0], &mut y)?;
    /// assert_eq!(y, [0.5 * 7.0 + 0.5; 2]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn params_mut(&mut self) -> ParamsMut<'_> {
        ParamsMut::new(&mut self.packed, &mut self.params)
    }

    /// `output`, [rows, out_features], from `input`, [rows, in_features]. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Shape`] if the two do not fit. Nothing is written then.
    ///
    /// # Examples
    /// ```
    /// let (mut head, mut y) = (gatewise::Linear::new(2, 1, 0)?, [0.0; 3]);
    /// head.params_mut().get_mut("weight").unwrap().data_mut().copy_from_slice(&[1.0, 10.0]);
    /// head.params_mut().get_mut("bias").unwrap().data_mut()[0] = 0.5;
    /// head.forward(3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut y)?; // three rows
    /// assert_eq!(y, [21.5, 43.5, 65.5]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward(&self, rows: usize, input: &[f32], output: &mut [f32]) -> Result<(), Error> {
        let Packed { kernels, in_features, out_features, .. } = self.packed;
        expect_len("input", input.len(), product("input", &[rows, in_features])?)?;
        expect_len("output", output.len(), product("output", &[rows, out_features])?)?;
        for row in output.chunks_exact_mut(out_features.max(1)) {
            row.copy_from_slice(self.params.at(1));
        }
        let (x, y) = (Matrix::row_major(input, in_features), MatrixMut::row_major(output, out_features));
        Ok(kernels.matmul_packed(rows, x, &self.packed.forward, 1.0, y, self.threads(rows))?)
    }

    /// Adds the gradients of the parameters to `grads`, rows ascending, from `input`, [rows, in_features], and `grad_output`, [rows,
    /// out_features]; writes dL/d input, [rows, in_features], where wanted.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::TensorMismatch`] if an argument does not fit, [`Error::SizeOverflow`] if the room cannot be had.
    /// Nothing is written then.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Linear, LinearRoom};
    ///
    /// let (head, mut dx) = (Linear::new(2, 1, 0)?, [0.0; 3 * 2]);
    /// let (mut grads, x) = (head.params().zeros_like(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]); // three rows
    /// head.backward(3, &x, &[1.0; 3], Some(&mut dx), &mut grads, &mut LinearRoom::default())?;
    /// assert_eq!(grads.get("weight").unwrap().data(), [1.0 + 3.0 + 5.0, 2.0 + 4.0 + 6.0]);
    /// assert_eq!(dx[..2], *head.params().get("weight").unwrap().data());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn backward(
        &self,
        rows: usize,
        input: &[f32],
        grad_output: &[f32],
        grad_input: Option<&mut [f32]>,
        grads: &mut Tensors,
        room: &mut LinearRoom,
    ) -> Result<(), Error> {
        let Packed { kernels, in_features, out_features, .. } = self.packed;
        let inputs = product("input", &[rows, in_features])?;
        expect_len("input", input.len(), inputs)?;
        expect_len("grad_output", grad_output.len(), product("grad_output", &[rows, out_features])?)?;
        expect_len("grad_input", grad_input.as_ref().map_or(inputs, |grad| grad.len()), inputs)?;
        self.params.check_alike(grads)?;
        if in_features == 0 && out_features == 0 {
            // Rows of nothing have no gradient, however many they are.
            return Ok(());
        }
        // Once something is written, no allocation may fail.
        for (starts, width) in [(&mut room.x_rows, in_features), (&mut room.y_rows, out_features)] {
            starts.clear();
            starts.try_reserve(rows).map_err(|_| Error::SizeOverflow { what: "the rows" })?;
            starts.extend((0..rows).map(|row| row * width));
        }
        kernels.reserve_outer(&mut room.outer, rows, out_features, in_features)?;
        let threads = self.threads(rows);
        if let Some(grad_input) = grad_input {
            let dy = Matrix::row_major(grad_output, out_features);
            let dx = MatrixMut::row_major(grad_input, in_features);
            kernels.matmul_packed(rows, dy, &self.packed.backward, 0.0, dx, threads)?;
        }
        let d_weight = OuterProducts {
            m: out_features,
            n: in_features,
            a: grad_output,
            a_rows: &room.y_rows,
            b: input,
            b_rows: &room.x_rows,
            c: grads.at_mut(0),
        };
        kernels.add_outer_products(d_weight, &mut room.outer, threads)?;
        Ok(kernels.sum_rows(grad_output, &room.y_rows, grads.at_mut(1))?)
    }

    /// Threads that are worth their start for that many rows.
    fn threads(&self, rows: usize) -> usize {
        let Packed { in_features, out_features, .. } = self.packed;
        gatewise_kernels::plan::matmul_threads(rows, out_features, in_features, rayon::current_num_threads())
    }
}

impl Pack for Packed {
    fn repack(&mut self, params: &Tensors) {
        let Packed { kernels, in_features, out_features, forward, backward } = self;
        let weight = Matrix::row_major(params.at(0), *in_features);
        let packed = kernels
            .repack_b(forward, *in_features, *out_features, weight.transposed())
            .and_then(|()| kernels.repack_b(backward, *out_features, *in_features, weight));
        packed.expect("a layer's parameters keep their sizes");
    }
}
