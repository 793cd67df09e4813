//! Whether a tune is well-formed ABC notation (the standard, version 2.1): what any reader of ABC takes.
//!
//! A header whose fields are in order, X first, T second, K last, in which key, metre and unit of length can be read; then music of
//! notes, rests, chords, grace notes, tuplets, slurs, bar lines and repeats, in which everything that opens is closed, and which ends
//! with a bar line. How long the bars are, whether each repeat has its other end, and what is tied to what are matters of music, not of
//! notation, and not checked.

/// The fields that a header may have (section 3 of the standard).
const FIELDS: &str = "ABCDFGHIKLMNOPQRrSsTUVWwXZm";

/// Checks a tune; the error says what is wrong and in which line.
pub(crate) fn check(tune: &str) -> Result<(), String> {
    let lines: Vec<&str> = tune.trim_end().lines().collect();
    let at = |line: usize, what: &str| format!("line {}: {what}", line + 1);
    let key = lines.iter().position(|line| line.starts_with("K:"));
    let key = key.ok_or("no field K ends the header")?;
    for (i, line) in lines[..=key].iter().enumerate() {
        let field = field(line).ok_or_else(|| at(i, "no field, and the header has no K yet"))?;
        match (i, field) {
            (0, 'X') if line[2..].trim().parse::<u32>().is_ok() => {}
            (0, 'X') => return Err(at(i, "X is no number")),
            (0, _) => return Err(at(i, "the first field is not X")),
            (1, 'T') => {}
            (1, _) => return Err(at(i, "the second field is not T")),
            (_, 'X') => return Err(at(i, "a second X")),
            _ => check_value(field, &line[2..]).map_err(|what| at(i, &what))?,
        }
    }
    let mut music = Music::default();
    for (i, line) in lines.iter().enumerate().skip(key + 1) {
        if line.trim().is_empty() {
            return Err(at(i, "an empty line inside the tune"));
        }
        match field(line) {
            Some('K') => check_value('K', &line[2..]).map_err(|what| at(i, &what))?,
            Some(_) => {}
            None => music.line(line).map_err(|what| at(i, &what))?,
        }
    }
    music.end().map_err(|what| at(lines.len() - 1, what))
}

/// The letter of a line that is a field. A note before a bar line such as `A:|` is none.
fn field(line: &str) -> Option<char> {
    let mut characters = line.chars();
    let letter = characters.next().filter(|&c| FIELDS.contains(c))?;
    (characters.next() == Some(':') && !matches!(characters.next(), Some('|' | ':'))).then_some(letter)
}

/// Whether a key, a metre or a unit of length is one: without them no reader knows what the notes mean.
fn check_value(field: char, value: &str) -> Result<(), String> {
    let value = value.split('%').next().unwrap_or_default().trim();
    let is_right = match field {
        'K' => is_key(value),
        'M' => matches!(value, "" | "C" | "C|" | "none") || is_fraction(value),
        'L' => is_fraction(value) || value == "1",
        _ => true,
    };
    if is_right { Ok(()) } else { Err(format!("{field} is no {}: {value:?}", meaning(field))) }
}

fn meaning(field: char) -> &'static str {
    match field {
        'K' => "key",
        'M' => "metre",
        _ => "length",
    }
}

/// A tonic and a mode, of which three letters count, and whatever comes behind: `D`, `F# minor`, `Gmix`, `Am`, `D exp ^f`.
fn is_key(value: &str) -> bool {
    if matches!(value, "" | "none" | "HP" | "Hp") {
        return true;
    }
    let Some(rest) = value.strip_prefix(|c| matches!(c, 'A'..='G')) else { return false };
    let rest = rest.strip_prefix(['#', 'b']).unwrap_or(rest).trim_start();
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    // A word such as `clef` in `clef=bass` is no mode.
    if word.is_empty() || rest[word.len()..].starts_with('=') {
        return true;
    }
    let word = word.to_ascii_lowercase();
    const MODES: [&str; 10] = ["maj", "min", "ion", "dor", "phr", "lyd", "mix", "aeo", "loc", "exp"];
    const CLEFS: [&str; 5] = ["treble", "bass", "alto", "tenor", "perc"];
    word == "m" || CLEFS.contains(&word.as_str()) || MODES.iter().any(|mode| word.starts_with(mode))
}

/// `6/8`, or `2+3/8`.
fn is_fraction(value: &str) -> bool {
    let is_number = |text: &str| text.trim().parse::<u16>().is_ok_and(|number| number > 0);
    let parts = value.split_once('/').map(|(above, below)| (above.trim_matches(['(', ')']), below));
    let is_note = |text: &str| text.trim().parse::<u16>().is_ok_and(u16::is_power_of_two);
    parts.is_some_and(|(above, below)| above.split('+').all(is_number) && is_note(below))
}

/// What is open while music is read.
#[derive(Default)]
struct Music {
    notes: usize,
    slurs: usize,
    /// Whether the last thing was a bar line.
    is_closed: bool,
}

impl Music {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut rest = line.split('%').next().unwrap_or_default().trim_end();
        // A line may end with a break or a continuation.
        rest = rest.strip_suffix(['!', '\\']).unwrap_or(rest);
        while !rest.is_empty() {
            rest = self.token(rest)?;
        }
        Ok(())
    }

    /// Takes one token off the front.
    fn token<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        if let Some(rest) = bar_line(text) {
            self.is_closed = true;
            return Ok(rest);
        }
        if let Some(rest) = note(text) {
            (self.notes, self.is_closed) = (self.notes + 1, false);
            return Ok(rest);
        }
        let first = text.chars().next().unwrap_or_default();
        let rest = &text[first.len_utf8()..];
        match first {
            ' ' | '\t' | '`' | 'y' => Ok(rest),
            // A tie, a broken rhythm, a decoration.
            '-' | '<' | '>' | '.' | '~' | 'H' | 'L' | 'M' | 'O' | 'P' | 'S' | 'T' | 'u' | 'v' => Ok(rest),
            '(' if rest.starts_with(|c: char| c.is_ascii_digit()) => {
                let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
                let notes = rest[..rest.len() - behind.len()].split(':').next().unwrap_or_default();
                match notes {
                    "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" => Ok(behind),
                    _ => Err(format!("a tuplet of {notes} notes")),
                }
            }
            '(' => {
                self.slurs += 1;
                Ok(rest)
            }
            ')' => {
                self.slurs = self.slurs.checked_sub(1).ok_or("a slur ends that did not begin")?;
                Ok(rest)
            }
            '"' => Ok(closed(rest, '"')?.1),
            '!' => Ok(closed(rest, '!')?.1),
            '{' => {
                let (inside, rest) = closed(rest, '}')?;
                all_notes(inside.trim_start_matches('/'), "grace notes")?;
                Ok(rest)
            }
            '[' => {
                let (inside, rest) = closed(rest, ']')?;
                if field(inside).is_none() {
                    all_notes(inside, "a chord")?;
                    (self.notes, self.is_closed) = (self.notes + 1, false);
                }
                Ok(length(rest))
            }
            other => Err(format!("{other:?} is no music")),
        }
    }

    fn end(&self) -> Result<(), &'static str> {
        match self {
            Music { notes: 0, .. } => Err("there are no notes"),
            Music { slurs: 1.., .. } => Err("a slur is not closed"),
            Music { is_closed: false, .. } => Err("the last bar is not closed"),
            _ => Ok(()),
        }
    }
}

/// The text up to what closes it, and the text behind.
fn closed(text: &str, by: char) -> Result<(&str, &str), String> {
    text.split_once(by).ok_or_else(|| format!("there is no {by:?} to close what was opened"))
}

/// A bar line: `|`, `||`, `[|`, `|]`, `|:`, `:|`, `::`, with the number of an ending behind it, or such a number alone: `[1`.
fn bar_line(text: &str) -> Option<&str> {
    let is_ending = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let behind = text.strip_prefix("[|").or_else(|| {
        let line = text.trim_start_matches([':', '|']);
        let taken = &text[..text.len() - line.len()];
        (taken.contains('|') || taken == "::").then_some(line)
    });
    let behind = match behind {
        Some(behind) => behind.strip_prefix(']').unwrap_or(behind),
        None => text.strip_prefix('[').filter(|behind| is_ending(behind))?,
    };
    let behind = behind.strip_prefix('[').filter(|behind| is_ending(behind)).unwrap_or(behind);
    let is_of_ending = |c: char| c.is_ascii_digit() || c == ',' || c == '-';
    Some(if is_ending(behind) { behind.trim_start_matches(is_of_ending) } else { behind })
}

/// A note or a rest: accidental, letter, octave, length.
fn note(text: &str) -> Option<&str> {
    let letter = ["^^", "__", "^", "_", "="].into_iter().find_map(|mark| text.strip_prefix(mark));
    let rest = match letter {
        Some(letter) => letter.strip_prefix(|c| matches!(c, 'A'..='G' | 'a'..='g'))?,
        None => text.strip_prefix(|c| matches!(c, 'A'..='G' | 'a'..='g' | 'z' | 'Z' | 'x'))?,
    };
    Some(length(rest.trim_start_matches(['\'', ','])))
}

/// A length such as `2`, `/`, `3/2`.
fn length(text: &str) -> &str {
    let text = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let text = text.trim_start_matches('/');
    text.trim_start_matches(|c: char| c.is_ascii_digit())
}

fn all_notes(mut text: &str, what: &str) -> Result<(), String> {
    while !text.is_empty() {
        text = note(text)
            .or_else(|| text.strip_prefix([' ', '-', '(', ')', '>', '<', '~', '.']))
            .ok_or_else(|| format!("{what} of something else than notes: {text:?}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::tests::TUNES;

    const HEAD: &str = "X:1\nT:A tune\nM:C|\nL:1/8\nK:D\n";

    #[test]
    fn music_that_is_well_formed() {
        for music in [
            "ABc|",
            "(3:2:3ABc (5ABcde|",
            "(3ABc d2 e/2f3/2|[1 ~g=a _b:|[2 ^^c,, d''||",
            "|:A2 z4 [Ace]2 {gf}e|\"Am\"A>B c<d|1 A-A:|2 (AB) c|]",
            "A|!\nK:G\nB|!\n",
            "A::B|]",
            "!trill!A [K:G] B :|",
            "[|A|]",
            "A:|\nB2:|",
        ] {
            assert_eq!(check(&format!("{HEAD}{music}\n")), Ok(()), "{music}");
        }
    }

    #[test]
    fn what_is_not_closed_or_no_music_is_found() {
        for (music, problem) in [
            ("ABc|de", "line 6: the last bar is not closed"),
            ("(ABc|", "line 6: a slur is not closed"),
            ("ABc)|", "line 6: a slur ends that did not begin"),
            ("A|\n\"Am A|", "line 7: there is no '\"' to close what was opened"),
            ("A{gf|", "line 6: there is no '}' to close what was opened"),
            ("[Aq]|", "line 6: a chord of something else than notes: \"q\""),
            ("A|k|", "line 6: 'k' is no music"),
            ("(1ABc|", "line 6: a tuplet of 1 notes"),
            ("(32:3 ABc|", "line 6: a tuplet of 32 notes"),
            ("|", "line 6: there are no notes"),
            ("A|\n\nB|", "line 7: an empty line inside the tune"),
        ] {
            assert_eq!(check(&format!("{HEAD}{music}\n")), Err(problem.to_string()), "{music}");
        }
    }

    #[test]
    fn headers_have_an_order() {
        for (tune, problem) in [
            ("T:a\nX:1\nK:D\nA|", "line 1: the first field is not X"),
            ("X:1\nM:C\nT:a\nK:D\nA|", "line 2: the second field is not T"),
            ("X:1\nT:a\nX:2\nK:D\nA|", "line 3: a second X"),
            ("X:one\nT:a\nK:D\nA|", "line 1: X is no number"),
            ("X:1\nT:a\nA|\nK:D\n", "line 3: no field, and the header has no K yet"),
            ("X:1\nT:a\nA|\n", "no field K ends the header"),
            ("X:1\nT:a\nK:G Dajor\nA|\n", "line 3: K is no key: \"G Dajor\""),
            ("X:1\nT:a\nK:H\nA|\n", "line 3: K is no key: \"H\""),
            ("X:1\nT:a\nM:6//8\nK:D\nA|\n", "line 3: M is no metre: \"6//8\""),
            ("X:1\nT:a\nM:6/9\nK:D\nA|\n", "line 3: M is no metre: \"6/9\""),
            ("X:1\nT:a\nL:8\nK:D\nA|\n", "line 3: L is no length: \"8\""),
            ("X:1\nT:a\nK:D\nA|\nK:Q\nA|\n", "line 5: K is no key: \"Q\""),
            ("", "no field K ends the header"),
        ] {
            assert_eq!(check(tune), Err(problem.to_string()), "{tune:?}");
        }
    }

    #[test]
    fn values_that_readers_know() {
        for (field, values) in [
            (
                'K',
                "D|F# minor|Gmix|Am|Bb Dorian|D exp ^f|G clef=bass|C bass|none|HP| A Mixolydian % hornpipe",
            ),
            ('M', "C|6/8|2+3/8|(2+3)/8|none|"),
            ('L', "1/8|1|1/16"),
        ] {
            for value in values.split('|') {
                assert_eq!(check_value(field, value), Ok(()), "{field}:{value}");
            }
        }
        assert_eq!(check_value('M', "C|"), Ok(()));
        assert_eq!(check_value('K', "D minnow"), Ok(()), "three letters of a mode count");
        assert!(["7", "d", "D Bajor", "Dmo"].iter().all(|key| check_value('K', key).is_err()));
    }

    /// The checker takes what people wrote. Two of the tunes have a header and no music, and one has an `s` among its notes.
    #[test]
    fn the_tunes_of_the_corpus_are_well_formed() {
        let tunes: Vec<&str> =
            TUNES.split("\n\n").map(str::trim).filter(|tune| tune.starts_with("X:")).collect();
        let problems: Vec<String> = tunes.iter().filter_map(|tune| check(tune).err()).collect();
        assert_eq!(tunes.len(), 804);
        let expected =
            ["line 6: there are no notes", "line 9: 's' is no music", "line 6: there are no notes"];
        assert_eq!(problems, expected);
    }
}
