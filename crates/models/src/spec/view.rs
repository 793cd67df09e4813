//! Sequences of feature vectors: borrowed to go in, owned to come out.

use super::Error;
use super::shape::{expect_len, product};

/// A borrowed sequence batch: [time, batch, feature], or [batch, time, feature] for a network that is `batch_first`. The
/// last axis is contiguous, the others follow without gaps.
///
/// # Examples
/// ```
/// use gatewise::View;
///
/// let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let view = View::new(&x, [3, 1, 2])?; // three steps of one row, two features each
/// assert_eq!(view.shape(), [3, 1, 2]);
/// assert!(View::new(&x, [3, 2, 2]).is_err());
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View<'a> {
    data: &'a [f32],
    shape: [usize; 3],
}

impl<'a> View<'a> {
    /// Floats under a shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many floats as the shape says.
    pub fn new(data: &'a [f32], shape: [usize; 3]) -> Result<View<'a>, Error> {
        expect_len("a view's data", data.len(), product("a view", &shape)?)?;
        Ok(View { data, shape })
    }

    /// The floats.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }

    /// The sizes of the three axes.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }
}

/// An owned sequence batch, laid out as [`View`].
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    data: Vec<f32>,
    shape: [usize; 3],
}

impl Sequence {
    /// Floats under a shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many floats as the shape says.
    pub fn new(data: Vec<f32>, shape: [usize; 3]) -> Result<Sequence, Error> {
        View::new(&data, shape)?;
        Ok(Sequence { data, shape })
    }

    /// The floats.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The sizes of the three axes.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The sequence, borrowed.
    pub fn view(&self) -> View<'_> {
        View { data: &self.data, shape: self.shape }
    }

    /// The floats, to keep.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}
