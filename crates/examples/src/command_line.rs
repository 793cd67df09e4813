//! Command lines: what is wrong with one is said in one line.

use clap::builder::TypedValueParser;

/// Why there are no options to run with.
#[derive(Debug)]
pub enum Unusable {
    /// Help was asked for: its text.
    Help(String),
    /// Something is wrong with the command line, in one line.
    Usage(String),
}

impl From<clap::Error> for Unusable {
    fn from(error: clap::Error) -> Unusable {
        let text = error.render().to_string();
        if !error.use_stderr() {
            return Unusable::Help(text);
        }
        let line = text.split("\n\n").next().unwrap_or_default();
        let line = line.strip_prefix("error:").unwrap_or(line);
        Unusable::Usage(line.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// A number of things of which there must be one at least.
pub fn size() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u64).range(1..=1 << 24).map(|size| size as usize)
}

/// A number of layers. Of more than a thousand each step waits for all those before it, and a gradient passes through all of them: they
/// take time and memory, and learn nothing.
pub fn layers() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u64).range(1..=1024).map(|layers| layers as usize)
}

/// A number of threads; 0 is one per core. More than a thousand would only wait for each other.
pub fn threads() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u64).range(0..=1024).map(|threads| threads as usize)
}

/// A finite number above 0.
///
/// # Errors
/// What was expected.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number above 0".to_string()),
    }
}

/// A finite number, 0 or above.
///
/// # Errors
/// What was expected.
pub fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number that is 0 or above".to_string()),
    }
}
