//! The only module that writes to standard output.

use std::io::{Write, stderr, stdout};

use serde::Serialize;

/// Prints a line of the result. Whoever closes the pipe early has read enough.
pub fn line(text: impl std::fmt::Display) {
    let _ = writeln!(stdout(), "{text}");
}

/// Prints a note that is no part of the result.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(stderr(), "{text}");
}

/// Prints one JSON value.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints rows under their headings, columns aligned.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([headings[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let print = |cells: [&str; N]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        line(text.trim_end());
    };
    print(headings);
    for row in rows {
        print(std::array::from_fn(|column| row[column].as_str()));
    }
}

/// Text from outside, made harmless for a terminal: control characters become visible.
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || is_bidi(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time as people read it in Viet Nam; empty for none.
pub fn time(time: Option<prost_types::Timestamp>) -> String {
    let Some(time) = time else {
        return String::new();
    };
    let zone = jiff::tz::Offset::constant(7);
    match jiff::Timestamp::new(time.seconds, time.nanos) {
        Ok(at) => zone
            .to_datetime(at)
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => String::new(),
    }
}

/// The same in RFC 3339, for machines.
pub fn rfc3339(time: Option<prost_types::Timestamp>) -> Option<String> {
    let time = time?;
    jiff::Timestamp::new(time.seconds, time.nanos)
        .ok()
        .map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_reversed_text_are_made_visible() {
        assert_eq!(
            safe("a\u{1b}[2J\u{202e}b\r\n"),
            "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}"
        );
        assert_eq!(safe("Hạc Thành"), "Hạc Thành");
    }
}
