//! PyTorch's `PackedSequence`: the valid steps of rows of any length, without gaps. Networks here take padded sequences with lengths
//! as they are; this is for data that comes packed, or is to go so.

use crate::spec::shape::{expect, expect_len, product, zeros};
use crate::spec::{Error, Sequence, View};

/// What `torch.nn.utils.rnn.PackedSequence` holds: of each step the rows that take part in it, the longest first.
///
/// # Examples
/// ```
/// use gatewise::{PackedSequence, View};
///
/// let x = [1.0, 10.0, 0.0, 20.0, 0.0, 30.0]; // [time 3, batch 2, feature 1]: rows of 1 and 3 steps
/// let packed = PackedSequence::pack(View::new(&x, [3, 2, 1])?, &[1, 3], false)?;
/// assert_eq!(packed.data(), [10.0, 1.0, 20.0, 30.0]);
/// assert_eq!(packed.batch_sizes(), [2, 1, 1]);
/// assert_eq!((packed.sorted_indices(), packed.unsorted_indices()), (&[1, 0][..], &[1, 0][..]));
/// let (padded, lengths) = packed.pad(false)?;
/// assert_eq!((padded.data(), &lengths[..]), (&x[..], &[1, 3][..]));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PackedSequence {
    data: Vec<f32>,
    width: usize,
    batch_sizes: Vec<usize>,
    sorted_indices: Vec<usize>,
    unsorted_indices: Vec<usize>,
}

impl PackedSequence {
    /// Packs a padded sequence, as `pack_padded_sequence(.., enforce_sorted=False)`; rows of the same length keep their order.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not one length for each row, or one is beyond the sequence; [`Error::Config`] if one is 0, which
    /// PyTorch's format has no place for.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{PackedSequence, View};
    ///
    /// let x = [1.0, 2.0, 3.0, 9.0, 0.0, 0.0]; // [batch 2, time 3, feature 1]: rows of 3 and 1 steps
    /// let packed = PackedSequence::pack(View::new(&x, [2, 3, 1])?, &[3, 1], true)?;
    /// assert_eq!((packed.data(), packed.batch_sizes()), (&[1.0, 9.0, 2.0, 3.0][..], &[2, 1, 1][..]));
    /// assert!(PackedSequence::pack(View::new(&x, [2, 3, 1])?, &[3, 0], true).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn pack(sequence: View<'_>, lengths: &[usize], batch_first: bool) -> Result<PackedSequence, Error> {
        let [first, second, width] = sequence.shape();
        let (steps, batch) = if batch_first { (second, first) } else { (first, second) };
        expect("lengths", "batch size", lengths.len(), batch)?;
        if let Some(&got) = lengths.iter().find(|&&length| length > steps) {
            return Err(Error::Shape { arg: "lengths", dim: "sequence length", expected: steps, got });
        }
        if lengths.contains(&0) {
            let expected = "greater than 0 for all samples";
            return Err(Error::Config { arg: "lengths", expected, got: "0".to_string() });
        }
        let mut sorted_indices: Vec<usize> = (0..batch).collect();
        sorted_indices.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
        let mut batch_sizes = Vec::new();
        let mut data = Vec::with_capacity(lengths.iter().sum::<usize>() * width);
        for t in 0..lengths.iter().copied().max().unwrap_or(0) {
            let rows = sorted_indices.partition_point(|&row| lengths[row] > t);
            for &row in &sorted_indices[..rows] {
                let at = if batch_first { row * steps + t } else { t * batch + row };
                data.extend_from_slice(&sequence.data()[at * width..][..width]);
            }
            batch_sizes.push(rows);
        }
        let unsorted_indices = inverse(&sorted_indices);
        Ok(PackedSequence { data, width, batch_sizes, sorted_indices, unsorted_indices })
    }

    /// Takes over the parts of one: `data` is [sum of batch_sizes, width]; `sorted_indices` says which row stands at each place, and
    /// `None` that all stand where they were.
    ///
    /// # Errors
    /// [`Error::Shape`] if the parts do not fit each other; [`Error::Config`] if batch_sizes grow or hold a 0, or sorted_indices do
    /// not name each row once.
    ///
    /// # Examples
    /// ```
    /// use gatewise::PackedSequence;
    ///
    /// let packed = PackedSequence::from_parts(vec![1.0, 9.0, 2.0], 1, vec![2, 1], Some(vec![1, 0]))?;
    /// let (padded, lengths) = packed.pad(false)?;
    /// assert_eq!((padded.data(), padded.shape()), (&[9.0, 1.0, 0.0, 2.0][..], [2, 2, 1]));
    /// assert_eq!(lengths, [1, 2]);
    /// assert!(PackedSequence::from_parts(vec![1.0], 1, vec![1], Some(vec![1])).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn from_parts(
        data: Vec<f32>,
        width: usize,
        batch_sizes: Vec<usize>,
        sorted_indices: Option<Vec<usize>>,
    ) -> Result<PackedSequence, Error> {
        if batch_sizes.contains(&0) || !batch_sizes.is_sorted_by(|a, b| a >= b) {
            let expected = "decreasing and greater than 0";
            return Err(Error::Config { arg: "batch_sizes", expected, got: format!("{batch_sizes:?}") });
        }
        let batch = batch_sizes.first().copied().unwrap_or(0);
        let vectors = batch_sizes.iter().try_fold(0_usize, |sum, &rows| sum.checked_add(rows));
        let vectors = vectors.ok_or(Error::SizeOverflow { what: "data" })?;
        expect_len("data", data.len(), product("data", &[vectors, width])?)?;
        let sorted_indices = sorted_indices.unwrap_or_else(|| (0..batch).collect());
        expect_len("sorted_indices", sorted_indices.len(), batch)?;
        let mut seen = vec![false; batch];
        for &row in &sorted_indices {
            if seen.get(row).copied() != Some(false) {
                let expected = "each row once";
                let got = format!("{sorted_indices:?}");
                return Err(Error::Config { arg: "sorted_indices", expected, got });
            }
            seen[row] = true;
        }
        let unsorted_indices = inverse(&sorted_indices);
        Ok(PackedSequence { data, width, batch_sizes, sorted_indices, unsorted_indices })
    }

    /// The way back, as `pad_packed_sequence`: the padded sequence, zeros beyond each length, and the lengths.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if it does not fit in memory.
    ///
    /// # Examples
    /// ```
    /// let packed = gatewise::PackedSequence::from_parts(vec![1.0, 9.0, 2.0], 1, vec![2, 1], None)?;
    /// let (padded, lengths) = packed.pad(true)?;
    /// assert_eq!((padded.data(), padded.shape()), (&[1.0, 2.0, 9.0, 0.0][..], [2, 2, 1]));
    /// assert_eq!(lengths, [2, 1]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn pad(&self, batch_first: bool) -> Result<(Sequence, Vec<usize>), Error> {
        let (steps, batch) = (self.batch_sizes.len(), self.sorted_indices.len());
        let [first, second] = if batch_first { [batch, steps] } else { [steps, batch] };
        let shape = [first, second, self.width];
        let mut data = zeros("a sequence", product("a sequence", &shape)?)?;
        let mut lengths = vec![0; batch];
        let mut from = 0;
        for (t, &rows) in self.batch_sizes.iter().enumerate() {
            for &row in &self.sorted_indices[..rows] {
                let at = if batch_first { row * steps + t } else { t * batch + row };
                data[at * self.width..][..self.width].copy_from_slice(&self.data[from..][..self.width]);
                from += self.width;
                lengths[row] = t + 1;
            }
        }
        Ok((Sequence::new(data, shape)?, lengths))
    }

    /// [sum of batch_sizes, width]: step after step, the longest row first.
    ///
    /// # Examples
    /// ```
    /// let packed = gatewise::PackedSequence::from_parts(vec![1.0, 9.0, 2.0], 1, vec![2, 1], None)?;
    /// assert_eq!(packed.data(), [1.0, 9.0, 2.0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Features of a step.
    ///
    /// # Examples
    /// ```
    /// let packed = gatewise::PackedSequence::from_parts(vec![0.5; 3 * 2], 2, vec![2, 1], None)?;
    /// assert_eq!(packed.width(), 2);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows that take part in each step.
    ///
    /// # Examples
    /// ```
    /// let packed = gatewise::PackedSequence::from_parts(vec![0.5; 3], 1, vec![2, 1], None)?;
    /// assert_eq!(packed.batch_sizes(), [2, 1]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn batch_sizes(&self) -> &[usize] {
        &self.batch_sizes
    }

    /// The row of the batch that stands at each place.
    ///
    /// # Examples
    /// ```
    /// let x = gatewise::View::new(&[0.5; 3 * 3], [3, 3, 1])?;
    /// let packed = gatewise::PackedSequence::pack(x, &[1, 2, 3], false)?;
    /// assert_eq!(packed.sorted_indices(), [2, 1, 0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn sorted_indices(&self) -> &[usize] {
        &self.sorted_indices
    }

    /// The place at which each row of the batch stands.
    ///
    /// # Examples
    /// ```
    /// let x = gatewise::View::new(&[0.5; 3 * 3], [3, 3, 1])?;
    /// let packed = gatewise::PackedSequence::pack(x, &[2, 1, 3], false)?;
    /// assert_eq!((packed.sorted_indices(), packed.unsorted_indices()), (&[2, 0, 1][..], &[1, 2, 0][..]));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn unsorted_indices(&self) -> &[usize] {
        &self.unsorted_indices
    }
}

fn inverse(permutation: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; permutation.len()];
    for (place, &row) in permutation.iter().enumerate() {
        inverse[row] = place;
    }
    inverse
}
