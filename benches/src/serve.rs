//! The side of a peer in the protocol of [`compare::peer`](crate::compare::peer).

use crate::timing;
use std::io::{BufRead, Write};

/// Says that the peer is ready.
///
/// # Errors
/// If the standard output is gone.
pub fn ready(system: &str, version: &str, note: &str) -> Result<(), String> {
    let hello = serde_json::json!({ "ready": true, "system": system, "version": version, "note": note });
    say(&hello.to_string())
}

/// Says that the peer does not do this.
///
/// # Errors
/// If the standard output is gone.
pub fn refuse(why: &str) -> Result<(), String> {
    say(&serde_json::json!({ "ready": false, "why": why }).to_string())
}

/// Runs calls as the standard input says, until it ends.
///
/// # Errors
/// One line: a call failed, or a line holds no number.
pub fn serve(mut call: impl FnMut()) -> Result<(), String> {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let calls: usize =
            line.trim().parse().map_err(|_| format!("{line:?}: expected a number of calls"))?;
        say(&timing::repetition(calls, &mut call).to_string())?;
    }
    Ok(())
}

fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}
