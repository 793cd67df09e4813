//! Sudden jumps of a loss or a norm, found by a robust z-score.

use std::collections::VecDeque;

/// For values from a normal distribution the median absolute deviation is this share of the standard deviation.
const MAD_OF_NORMAL: f64 = 0.674_489_750_196_081_7;
/// A median means little of fewer values.
const FEWEST: usize = 8;
/// Each value is held against all others of the window, and room for them is made in the beginning.
const MOST: usize = 1 << 16;
/// A series that hardly moves: its deviation counts as this share of its median at least, so that noise of rounding is no spike.
const LEAST_DEVIATION: f64 = 1e-3;

/// A value that stands out.
///
/// # Examples
/// ```
/// let spike = gatewise::SpikeDetector::new(8, 6.0).push(f64::NAN).expect("no number is one");
/// assert!(spike.index == 0 && spike.value.is_nan() && spike.z == f64::INFINITY);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Spike {
    /// The number of the value, counted from 0.
    pub index: u64,
    /// The value.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub value: f64,
    /// Its robust z-score; infinite for a value that is not finite.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub z: f64,
}

/// Finds values far above those before them. With the median m of the last values, and MAD the median of |value - m|,
///
/// ```text
/// z = 0.6745 (value - m) / max(MAD, 0.001 |m|)
/// ```
/// which for values from a normal distribution is how many standard deviations a value is off. Median and MAD do not notice the few
/// spikes among the values, as mean and deviation would. Nothing is a spike before eight values have come; a value that is not finite
/// always is one, and does not enter the window.
///
/// # Examples
/// ```
/// use gatewise::SpikeDetector;
///
/// let mut losses = SpikeDetector::new(50, 6.0);
/// for step in 0..100 {
///     assert!(losses.push(1.0 + 0.01 * f64::from(step % 7)).is_none());
/// }
/// let spike = losses.push(2.0).expect("twice the loss");
/// assert!(spike.index == 100 && spike.z > 6.0);
/// ```
#[derive(Clone, Debug)]
pub struct SpikeDetector {
    window: usize,
    threshold: f64,
    values: VecDeque<f64>,
    sorted: Vec<f64>,
    count: u64,
}

impl SpikeDetector {
    /// Looks at the last `window` values, 8 at least and 65,536 at most, and takes a z above `threshold` for a spike; 6 is a usual one.
    ///
    /// # Examples
    /// ```
    /// use gatewise::SpikeDetector;
    ///
    /// let mut norms = SpikeDetector::new(0, 6.0); // eight values
    /// (0..8).for_each(|value| assert!(norms.push(f64::from(value)).is_none()));
    /// assert!(norms.push(100.0).is_some());
    /// ```
    pub fn new(window: usize, threshold: f64) -> SpikeDetector {
        let window = window.clamp(FEWEST, MOST);
        let (values, sorted) = (VecDeque::with_capacity(window), Vec::with_capacity(window));
        SpikeDetector { window, threshold, values, sorted, count: 0 }
    }

    /// Takes the next value; answers the spike, if it is one. Allocates nothing.
    ///
    /// # Examples
    /// ```
    /// use gatewise::SpikeDetector;
    ///
    /// let mut losses = SpikeDetector::new(50, 6.0);
    /// assert!((0..20).all(|step| losses.push(2.0 - 0.01 * f64::from(step)).is_none()));
    /// assert_eq!(losses.push(4.0).map(|spike| spike.index), Some(20));
    /// assert!(losses.push(0.1).is_none()); // far below the others
    /// ```
    pub fn push(&mut self, value: f64) -> Option<Spike> {
        let index = self.count;
        self.count += 1;
        if !value.is_finite() {
            return Some(Spike { index, value, z: f64::INFINITY });
        }
        let z = if self.values.len() < FEWEST { 0.0 } else { self.z_score(value) };
        if self.values.len() == self.window {
            self.values.pop_front();
        }
        self.values.push_back(value);
        (z > self.threshold).then_some(Spike { index, value, z })
    }

    fn z_score(&mut self, value: f64) -> f64 {
        self.sorted.clear();
        self.sorted.extend(&self.values);
        let middle = median(&mut self.sorted);
        self.sorted.iter_mut().for_each(|value| *value = (*value - middle).abs());
        let deviation = median(&mut self.sorted).max(LEAST_DEVIATION * middle.abs());
        if value > middle { MAD_OF_NORMAL * (value - middle) / deviation } else { 0.0 }
    }
}

/// The middle value, or the mean of the two.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}
