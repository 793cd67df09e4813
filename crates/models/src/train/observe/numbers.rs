//! Numbers as text: JSON and its like have no word for those that are not finite. With the feature `serde`.
//!
//! In a format that people read, a finite number is a number, and the others are the strings `"inf"`, `"-inf"` and `"nan"`. Elsewhere
//! all are plain `f64`. Observations are written so; what stands beside them, a loss for one, can be:
//!
//! ```
//! #[derive(serde::Serialize)]
//! struct Report {
//!     #[serde(with = "gatewise::numbers")]
//!     losses: Vec<f64>,
//! }
//! let report = Report { losses: vec![0.5, f64::INFINITY] };
//! assert_eq!(serde_json::to_string(&report)?, r#"{"losses":[0.5,"inf"]}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// For `#[serde(with = "gatewise::numbers")]`: writes a number, or a list of them.
///
/// # Errors
/// The format's own.
///
/// # Examples
/// ```
/// let mut text = Vec::new();
/// gatewise::numbers::serialize(&[1.0, f64::NAN], &mut serde_json::Serializer::new(&mut text))?;
/// assert_eq!(text, br#"[1.0,"nan"]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn serialize<T: Numbers, S: Serializer>(numbers: &T, to: S) -> Result<S::Ok, S::Error> {
    numbers.write(to)
}

/// For `#[serde(with = "gatewise::numbers")]`: reads what [`serialize`] wrote.
///
/// # Errors
/// The format's own, and what is neither a number nor one of the three words.
///
/// # Examples
/// ```
/// let list: Vec<f64> = gatewise::numbers::deserialize(&mut serde_json::Deserializer::from_str(r#"[1, "-inf"]"#))?;
/// assert_eq!(list, [1.0, f64::NEG_INFINITY]);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn deserialize<'de, T: Numbers, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::read(from)
}

/// What [`serialize`] and [`deserialize`] take: a number, or what is made of such.
///
/// # Examples
/// Losses, each after so many updates, where one may be missing:
/// ```
/// use gatewise::numbers::serialize;
///
/// let losses = vec![(10, Some(0.5)), (20, Some(f64::NAN)), (30, None)];
/// let mut text = Vec::new();
/// serialize(&losses, &mut serde_json::Serializer::new(&mut text))?;
/// assert_eq!(text, br#"[[10,0.5],[20,"nan"],[30,null]]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub trait Numbers: Sized {
    /// Writes it.
    ///
    /// # Errors
    /// The format's own.
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;

    /// Reads what [`write`](Numbers::write) wrote.
    ///
    /// # Errors
    /// The format's own, and what is neither a number nor one of the three words.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

impl Numbers for f64 {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.is_finite() || !to.is_human_readable() {
            to.serialize_f64(*self)
        } else if self.is_nan() {
            to.serialize_str("nan")
        } else {
            to.serialize_str(if *self > 0.0 { "inf" } else { "-inf" })
        }
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        if from.is_human_readable() { from.deserialize_any(Word) } else { f64::deserialize(from) }
    }
}

impl<T: Numbers> Numbers for Vec<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Written))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        let list = Vec::<Read<T>>::deserialize(from)?;
        Ok(list.into_iter().map(|Read(number)| number).collect())
    }
}

impl<T: Numbers> Numbers for [T; 2] {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.each_ref().map(Written).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<[T; 2], D::Error> {
        Ok(<[Read<T>; 2]>::deserialize(from)?.map(|Read(number)| number))
    }
}

impl<T: Numbers> Numbers for Option<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(Written).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        Ok(Option::<Read<T>>::deserialize(from)?.map(|Read(number)| number))
    }
}

/// A number and what it belongs to.
impl<T: Numbers> Numbers for (usize, T) {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.0, Written(&self.1)).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<(usize, T), D::Error> {
        let (of, Read(number)) = Deserialize::deserialize(from)?;
        Ok((of, number))
    }
}

/// An item of a list on its way out.
struct Written<'a, T>(&'a T);

impl<T: Numbers> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.write(to)
    }
}

/// An item of a list on its way in.
struct Read<T>(T);

impl<'de, T: Numbers> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Read<T>, D::Error> {
        T::read(from).map(Read)
    }
}

/// A number, or the word for one that is not finite.
struct Word;

impl Visitor<'_> for Word {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"inf\", \"-inf\" or \"nan\"")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<f64, E> {
        match word {
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            "nan" => Ok(f64::NAN),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
        }
    }
}
