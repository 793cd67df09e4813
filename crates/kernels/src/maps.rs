//! Whole slices: an activation of each element, sums of rows, and of their squares.

use crate::dispatch::wrong_entry;
use crate::error::Error;
use crate::gemm::check_rows;
use crate::kernels::Kernels;
use crate::rows::{Entry, Row};

impl Kernels {
    /// e^x of each element.
    ///
    /// # Errors
    /// [`Error::Shape`] if the slices differ in length.
    ///
    /// # Examples
    /// ```
    /// let mut y = [0.0; 2];
    /// gatewise_kernels::Kernels::auto()?.exp(&[0.0, 1.0], &mut y)?;
    /// assert!((y[0] - 1.0).abs() < 1e-6 && (y[1] - std::f32::consts::E).abs() < 1e-6);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn exp(&self, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        map(self.common().exp, x, out)
    }

    /// 1 / (1 + e^-x) of each element.
    ///
    /// # Errors
    /// [`Error::Shape`] if the slices differ in length.
    ///
    /// # Examples
    /// ```
    /// let mut y = [0.0; 2];
    /// gatewise_kernels::Kernels::auto()?.sigmoid(&[0.0, 1.0], &mut y)?;
    /// assert!((y[0] - 0.5).abs() < 1e-6 && (y[1] - 0.731_059).abs() < 1e-6);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn sigmoid(&self, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        map(self.common().sigmoid, x, out)
    }

    /// Hyperbolic tangent of each element.
    ///
    /// # Errors
    /// [`Error::Shape`] if the slices differ in length.
    ///
    /// # Examples
    /// ```
    /// let mut y = [0.0; 2];
    /// gatewise_kernels::Kernels::auto()?.tanh(&[0.0, 1.0], &mut y)?;
    /// assert!(y[0] == 0.0 && (y[1] - 0.761_594).abs() < 1e-6);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn tanh(&self, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        map(self.common().tanh, x, out)
    }

    /// `out[j] += data[row + j]` for each of `rows` in turn.
    ///
    /// # Errors
    /// [`Error::Shape`] if a row does not lie within `data`.
    ///
    /// # Examples
    /// ```
    /// let mut sum = [0.5, 0.5];
    /// let data = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    /// gatewise_kernels::Kernels::auto()?.sum_rows(&data, &[0, 4], &mut sum)?;
    /// assert_eq!(sum, [0.5 + 1.0 + 5.0, 0.5 + 2.0 + 6.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn sum_rows(&self, data: &[f32], rows: &[usize], out: &mut [f32]) -> Result<(), Error> {
        check_rows("data", data, rows, out.len())?;
        let Entry::SumRows(sum_rows) = self.common().sum_rows.entry else {
            wrong_entry(self.common().sum_rows)
        };
        // SAFETY: the CPU has the row's instructions; slices carry their own bounds.
        unsafe { sum_rows(data, rows, out) };
        Ok(())
    }

    /// `out[i]` = the sum of squares of row i of `data`, [rows, width], in f64, which holds the square of any f32: it is not finite
    /// only if a value is not. The order of the sums is fixed: the bits depend on the values only.
    ///
    /// # Errors
    /// [`Error::Shape`] if `data` is not as many rows of equal width as `out` has elements.
    ///
    /// # Examples
    /// ```
    /// let mut squares = [0.0; 2];
    /// gatewise_kernels::Kernels::auto()?.sum_squares(&[3.0, 4.0, 1.0, -1.0], &mut squares)?;
    /// assert_eq!(squares, [25.0, 2.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn sum_squares(&self, data: &[f32], out: &mut [f64]) -> Result<(), Error> {
        self.squares(data, out, false)
    }

    /// `out[i]` = the L2 norm of row i of `data`, [rows, width]: the square root of what [`Kernels::sum_squares`] gives. Of rows of up to
    /// 1024 values, with a norm from 2^-30 on whose square is finite in f32, the squares are added up in f32, in the same order: it is
    /// off by less than 2^-18 of itself at worst. The bits depend on the row's values only, and it is not finite only if a value is not.
    ///
    /// # Errors
    /// [`Error::Shape`] if `data` is not as many rows of equal width as `out` has elements.
    ///
    /// # Examples
    /// ```
    /// let mut norms = [0.0; 2];
    /// gatewise_kernels::Kernels::auto()?.norms(&[3.0, 4.0, 5.0, 12.0], &mut norms)?;
    /// assert_eq!(norms, [5.0, 13.0]);
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn norms(&self, data: &[f32], out: &mut [f64]) -> Result<(), Error> {
        self.squares(data, out, true)
    }

    fn squares(&self, data: &[f32], out: &mut [f64], root: bool) -> Result<(), Error> {
        let width = data.len().checked_div(out.len()).unwrap_or(0);
        if data.len() != width * out.len() {
            let (dim, expected) = ("number of elements", width * out.len());
            return Err(Error::Shape { arg: "data", dim, expected, got: data.len() });
        }
        let Entry::SumSquares(sum_squares) = self.common().sum_squares.entry else {
            wrong_entry(self.common().sum_squares)
        };
        // SAFETY: the CPU has the row's instructions; slices carry their own bounds.
        unsafe { sum_squares(data, out, root) };
        Ok(())
    }
}

fn map(row: &'static Row, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
    let Entry::Map(map) = row.entry else { wrong_entry(row) };
    if x.len() != out.len() {
        return Err(Error::Shape { arg: "out", dim: "length", expected: x.len(), got: out.len() });
    }
    // SAFETY: the CPU has the row's instructions; slices carry their own bounds.
    unsafe { map(x, out) };
    Ok(())
}
