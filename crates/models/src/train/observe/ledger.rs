//! What clipping did, group by group.

use super::flow::GradientFlow;
use crate::spec::{Error, Place, Tensors};
use crate::train::{NonFinite, Norm, clip_grad_norm};
use std::collections::VecDeque;

/// What clipping did to the gradients of one update.
///
/// # Examples
/// ```
/// use gatewise::{ClipLedger, NonFinite, Norm, Rnn};
///
/// let mut grads = Rnn::new(1, 2)?.params().zeros_like();
/// grads.fill(1.0); // ten of them
/// let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Error, 10);
/// let clipped = ledger.clip("rnn", &mut [&mut grads], 1.0, None)?;
/// assert!((clipped.norm - 10_f64.sqrt()).abs() < 1e-6 && (clipped.scale * clipped.norm - 1.0).abs() < 1e-6);
/// assert!(clipped.is_clipped && clipped.non_finite.is_none());
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Clipped {
    /// The norm before.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub norm: f64,
    /// What the gradients were multiplied by; 1 if they are as they were.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub scale: f64,
    /// Whether they are others now.
    pub is_clipped: bool,
    /// Whether the update is to be left out, for the norm is not finite and the ledger's policy is [`NonFinite::Skip`]: the gradients
    /// are as they were.
    pub is_skipped: bool,
    /// Where the first value stood that was not finite, if one was.
    pub non_finite: Option<Place>,
}

/// One update in a ledger.
///
/// # Examples
/// ```
/// use gatewise::{ClipLedger, NonFinite, Norm, Rnn};
///
/// let mut grads = Rnn::new(1, 2)?.params().zeros_like();
/// let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Error, 10);
/// ledger.clip("rnn", &mut [&mut grads], 0.5, None)?;
/// let entry = ledger.groups()[0].entries[0];
/// assert_eq!((entry.update, entry.norm, entry.max_norm, entry.scale), (0, 0.0, 0.5, 1.0));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClipEntry {
    /// The number of the update in its group, counted from 0.
    pub update: u64,
    /// The norm before.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub norm: f64,
    /// The largest norm that was allowed.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub max_norm: f64,
    /// What the gradients were multiplied by.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub scale: f64,
}

/// What clipping did to one group of parameters.
///
/// # Examples
/// ```
/// use gatewise::{ClipLedger, NonFinite, Norm, Rnn};
///
/// let mut grads = Rnn::new(1, 2)?.params().zeros_like();
/// let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Skip, 2);
/// for size in [0.0, 1.0, f32::NAN] {
///     grads.fill(size);
///     ledger.clip("rnn", &mut [&mut grads], 1.0, None)?;
/// }
/// let group = &ledger.groups()[0];
/// assert_eq!((group.updates, group.clipped, group.skipped), (3, 1, 1));
/// assert_eq!(group.entries.len(), 2); // a window of two
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClipGroup {
    /// Its name.
    pub name: String,
    /// Updates so far, clipped or not, left out or not.
    pub updates: u64,
    /// Of these, clipped.
    pub clipped: u64,
    /// Of these, left out because their norm was not finite.
    pub skipped: u64,
    /// The last updates, as many as the ledger's window, oldest first.
    pub entries: VecDeque<ClipEntry>,
}

impl ClipGroup {
    /// The share of the updates that were clipped; 0 before the first.
    ///
    /// # Examples
    /// ```
    /// let group = gatewise::ClipGroup { updates: 8, clipped: 2, ..Default::default() };
    /// assert_eq!(group.share_clipped(), 0.25);
    /// ```
    pub fn share_clipped(&self) -> f64 {
        if self.updates == 0 { 0.0 } else { self.clipped as f64 / self.updates as f64 }
    }

    /// The norm that a share `q` of the norms in the window is not above, by linear interpolation between neighbours; norms that are not
    /// finite are left out. `None` without one, or if q is not in 0 ..= 1.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{ClipEntry, ClipGroup};
    ///
    /// let entry = |norm| ClipEntry { update: 0, norm, max_norm: 1.0, scale: 1.0 };
    /// let group = ClipGroup { entries: [4.0, 1.0, f64::INFINITY, 2.0].map(entry).into(), ..ClipGroup::default() };
    /// assert_eq!((group.percentile(0.5), group.percentile(0.75)), (Some(2.0), Some(3.0)));
    /// assert_eq!(group.percentile(1.5), None);
    /// ```
    pub fn percentile(&self, q: f64) -> Option<f64> {
        let mut norms: Vec<f64> =
            self.entries.iter().map(|entry| entry.norm).filter(|norm| norm.is_finite()).collect();
        if norms.is_empty() || !(0.0..=1.0).contains(&q) {
            return None;
        }
        norms.sort_unstable_by(f64::total_cmp);
        let place = q * (norms.len() - 1) as f64;
        let (low, high) = (norms[place.floor() as usize], norms[place.ceil() as usize]);
        Some(low + (high - low) * place.fract())
    }

    /// A threshold to try: the 90th percentile of the norms in the window, so that one update of ten is clipped, the largest ones. A run
    /// whose norms jump needs less, one that never diverges none. `None` without a norm.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{ClipEntry, ClipGroup};
    ///
    /// let entry = |norm: i32| ClipEntry { update: 0, norm: norm.into(), max_norm: 9.0, scale: 1.0 };
    /// let group = ClipGroup { entries: (0..=10).map(entry).collect(), ..ClipGroup::default() };
    /// assert_eq!(group.suggested_threshold(), Some(9.0)); // only 10 is above
    /// ```
    pub fn suggested_threshold(&self) -> Option<f64> {
        self.percentile(0.9)
    }
}

/// Clips gradients by their norm and keeps the account: how large they were, what was done, how often. Allocates when a group comes for
/// the first time, and not after.
///
/// # Examples
/// ```
/// use gatewise::{ClipLedger, Lstm, NonFinite, Norm};
///
/// let mut grads = Lstm::new(2, 4)?.params().zeros_like();
/// let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Skip, 1000);
/// for size in [0.01, 1.0, 2.0] {
///     grads.fill(size);
///     let clipped = ledger.clip("lstm", &mut [&mut grads], 1.0, None)?;
///     if clipped.is_skipped {
///         continue; // no step of the optimizer
///     }
///     assert_eq!(clipped.is_clipped, size > 0.1);
/// }
/// let group = ledger.group("lstm").expect("it was clipped three times");
/// assert_eq!((group.updates, group.clipped), (3, 2));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClipLedger {
    norm: Norm,
    non_finite: NonFinite,
    window: usize,
    groups: Vec<ClipGroup>,
}

impl ClipLedger {
    /// Updates of a group that a ledger keeps at most. Room for them is made when the group comes for the first time, so a window as
    /// long as a training that has no end takes 2 MiB.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::ClipLedger::LONGEST_WINDOW, 65_536);
    /// ```
    pub const LONGEST_WINDOW: usize = 1 << 16;

    /// An empty ledger that keeps the last `window` updates of each group, one at least and
    /// [`LONGEST_WINDOW`](ClipLedger::LONGEST_WINDOW) at most; it counts all of them.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{ClipLedger, NonFinite, Norm};
    ///
    /// let ledger = ClipLedger::new(Norm::L2, NonFinite::Error, usize::MAX); // keeps 65,536
    /// assert!(ledger.groups().is_empty());
    /// ```
    pub fn new(norm: Norm, non_finite: NonFinite, window: usize) -> ClipLedger {
        let window = window.clamp(1, ClipLedger::LONGEST_WINDOW);
        ClipLedger { norm, non_finite, window, groups: Vec::new() }
    }

    /// Clips the gradients of a group as [`clip_grad_norm`] does, bit for bit, and enters it. `flow`, that of the backward pass which
    /// made the gradients, tells where a value that is not finite came from; without it the first such gradient is named.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if the norm is not finite and the policy is [`NonFinite::Error`]; [`Error::Config`] if `max_norm` is negative
    /// or NaN. Gradients and ledger are as they were then.
    ///
    /// # Examples
    /// A group for each network; what is not finite is refused by default, and nothing has changed:
    /// ```
    /// use gatewise::{ClipLedger, Error, Gru, NonFinite, Norm};
    ///
    /// let mut grads = Gru::new(1, 2)?.params().zeros_like();
    /// let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Error, 10);
    /// ledger.clip("encoder", &mut [&mut grads], 1.0, None)?;
    /// grads.fill(f32::INFINITY);
    /// let error = ledger.clip("decoder", &mut [&mut grads], 1.0, None).unwrap_err();
    /// assert!(matches!(error, Error::NonFinite { ref place, .. } if place.tensor.contains("weight_ih_l0")));
    /// assert!(ledger.group("decoder").is_none());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn clip(
        &mut self,
        group: &str,
        grads: &mut [&mut Tensors],
        max_norm: f64,
        flow: Option<&GradientFlow>,
    ) -> Result<Clipped, Error> {
        let result = clip_grad_norm(grads, max_norm, self.norm, self.non_finite);
        let norm = match result {
            Err(Error::NonFiniteNorm { norm }) => {
                // The squares of finite f32 have a finite sum in f64, so there is such a value.
                return match first_non_finite(grads, flow) {
                    Some(place) => Err(Error::NonFinite { norm, place }),
                    None => Err(Error::NonFiniteNorm { norm }),
                };
            }
            other => other?,
        };
        let is_skipped = !norm.is_finite() && self.non_finite == NonFinite::Skip;
        let factor = max_norm / (norm + 1e-6);
        let is_clipped = !is_skipped && (factor < 1.0 || factor.is_nan());
        let scale = if is_clipped { factor } else { 1.0 };
        let non_finite = if norm.is_finite() { None } else { first_non_finite(grads, flow) };
        let window = self.window;
        let group = self.group_mut(group);
        if group.entries.len() == window {
            group.entries.pop_front();
        }
        group.entries.push_back(ClipEntry { update: group.updates, norm, max_norm, scale });
        group.updates += 1;
        group.clipped += u64::from(is_clipped);
        group.skipped += u64::from(is_skipped);
        Ok(Clipped { norm, scale, is_clipped, is_skipped, non_finite })
    }

    fn group_mut(&mut self, name: &str) -> &mut ClipGroup {
        let place = self.groups.iter().position(|group| group.name == name).unwrap_or_else(|| {
            let entries = VecDeque::with_capacity(self.window);
            self.groups.push(ClipGroup { name: name.to_string(), entries, ..ClipGroup::default() });
            self.groups.len() - 1
        });
        &mut self.groups[place]
    }

    /// A group by its name; `None` if it was never clipped.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{ClipLedger, NonFinite, Norm, Rnn};
    ///
    /// let mut grads = Rnn::new(1, 2)?.params().zeros_like();
    /// let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Error, 10);
    /// ledger.clip("rnn", &mut [&mut grads], 1.0, None)?;
    /// assert_eq!(ledger.group("rnn").map(|group| group.updates), Some(1));
    /// assert!(ledger.group("head").is_none());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn group(&self, name: &str) -> Option<&ClipGroup> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// All groups, in the order in which they came.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{ClipLedger, NonFinite, Norm, Rnn};
    ///
    /// let mut grads = Rnn::new(1, 2)?.params().zeros_like();
    /// let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Error, 10);
    /// for name in ["rnn", "head", "rnn"] {
    ///     ledger.clip(name, &mut [&mut grads], 1.0, None)?;
    /// }
    /// let names: Vec<_> = ledger.groups().iter().map(|group| (&group.name[..], group.updates)).collect();
    /// assert_eq!(names, [("rnn", 2), ("head", 1)]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn groups(&self) -> &[ClipGroup] {
        &self.groups
    }
}

/// Where the first value stood that is not finite: in the pass, or among the gradients themselves.
fn first_non_finite(grads: &[&mut Tensors], flow: Option<&GradientFlow>) -> Option<Place> {
    if let Some(place) = flow.and_then(|flow| flow.non_finite.clone()) {
        return Some(place);
    }
    let mut all = grads.iter().flat_map(|grads| grads.iter());
    let bad = all.find(|tensor| tensor.data().iter().any(|value| !value.is_finite()))?;
    Some(Place::of(&format!("the gradient of {}", bad.name())))
}
