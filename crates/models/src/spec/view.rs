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
    /// Floats under a shape, the last axis contiguous.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many floats as the shape says, [`Error::SizeOverflow`] if these cannot be counted.
    ///
    /// # Examples
    /// ```
    /// use gatewise::View;
    ///
    /// assert!(View::new(&[0.5; 6], [3, 1, 2]).is_ok());
    /// let error = View::new(&[0.5; 5], [3, 1, 2]).unwrap_err();
    /// assert_eq!(error.to_string(), "a view's data has inconsistent length: got 5, expected 6");
    /// ```
    pub fn new(data: &'a [f32], shape: [usize; 3]) -> Result<View<'a>, Error> {
        expect_len("a view's data", data.len(), product("a view", &shape)?)?;
        Ok(View { data, shape })
    }

    /// The floats.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::View::new(&[1.0, 2.0], [2, 1, 1])?.data(), [1.0, 2.0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn data(&self) -> &'a [f32] {
        self.data
    }

    /// The sizes of the three axes, [time, batch, feature] or [batch, time, feature].
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::View::new(&[1.0, 2.0], [2, 1, 1])?.shape(), [2, 1, 1]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }
}

/// An owned sequence batch, laid out as [`View`].
///
/// # Examples
/// ```
/// use gatewise::{Gru, View};
///
/// let (y, _) = Gru::new(2, 3)?.forward(View::new(&[0.5; 4 * 2], [4, 1, 2])?, None)?; // four steps of one row
/// assert_eq!((y.shape(), y.data().len()), ([4, 1, 3], 4 * 3));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    data: Vec<f32>,
    shape: [usize; 3],
}

impl Sequence {
    /// Floats under a shape, the last axis contiguous.
    ///
    /// # Errors
    /// As [`View::new`].
    ///
    /// # Examples
    /// ```
    /// use gatewise::Sequence;
    ///
    /// assert_eq!(Sequence::new(vec![0.5; 6], [3, 1, 2])?.shape(), [3, 1, 2]);
    /// assert!(Sequence::new(vec![0.5; 5], [3, 1, 2]).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn new(data: Vec<f32>, shape: [usize; 3]) -> Result<Sequence, Error> {
        View::new(&data, shape)?;
        Ok(Sequence { data, shape })
    }

    /// The floats.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Sequence::new(vec![1.0, 2.0], [2, 1, 1])?.data(), [1.0, 2.0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The sizes of the three axes, as in [`View::shape`].
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Sequence::new(vec![1.0, 2.0], [2, 1, 1])?.shape(), [2, 1, 1]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The sequence, borrowed.
    ///
    /// # Examples
    /// The outputs of one network go into the next:
    /// ```
    /// use gatewise::{Gru, View};
    ///
    /// let (y, _) = Gru::new(1, 3)?.forward(View::new(&[0.5; 4], [4, 1, 1])?, None)?;
    /// let (z, _) = Gru::new(3, 2)?.forward(y.view(), None)?;
    /// assert_eq!(z.shape(), [4, 1, 2]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn view(&self) -> View<'_> {
        View { data: &self.data, shape: self.shape }
    }

    /// The floats, to keep.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Sequence::new(vec![1.0, 2.0], [2, 1, 1])?.into_data(), [1.0, 2.0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}
