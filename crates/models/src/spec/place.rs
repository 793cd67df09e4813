//! Where in a network a value stands, in words.

use std::fmt;

/// Where in a network a value stands: what it is, and as far as these are known its layer, direction and time step. Prints itself:
/// `dL/dh of layer 1, reverse, at step 17`.
///
/// # Examples
/// ```
/// use gatewise::Place;
///
/// let (layer, direction, step) = (Some(1), Some(1), Some(17));
/// let place = Place { tensor: "dL/dh".to_string(), layer, direction, step };
/// assert_eq!(place.to_string(), "dL/dh of layer 1, reverse, at step 17");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Place {
    /// `input`, `h`, `c`, `dL/dh`, `dL/dc`, `dL/dx`, .., or the name of a parameter.
    pub tensor: String,
    /// The layer, counted from 0.
    pub layer: Option<usize>,
    /// 0 forward, 1 reverse.
    pub direction: Option<usize>,
    /// The step in time, counted from 0.
    pub step: Option<usize>,
}

impl Place {
    /// A whole tensor.
    pub(crate) fn of(tensor: &str) -> Place {
        Place { tensor: tensor.to_string(), layer: None, direction: None, step: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tensor)?;
        if let Some(layer) = self.layer {
            write!(f, " of layer {layer}")?;
        }
        if let Some(direction) = self.direction {
            write!(f, ", {}", if direction == 0 { "forward" } else { "reverse" })?;
        }
        match self.step {
            Some(step) => write!(f, ", at step {step}"),
            None => Ok(()),
        }
    }
}
