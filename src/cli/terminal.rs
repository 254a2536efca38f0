//! What may be written to a terminal: log content is hostile.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

/// Whether stderr is a terminal that may be coloured (<https://no-color.org>).
pub fn wants_color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Writes a line to stderr. Whoever has stopped reading it (`2>&1 | head`) stops no work.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(line));
}

/// The text with every character escaped that could steer a terminal: control characters but
/// line ends, and those that reorder or hide text.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn steers(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{061c}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(printable("plain é 表"), "plain é 表");
        let hostile = "\u{1b}[2J\u{9b}31m\u{202e}gpj.exe\r\u{7}\u{200b}";
        let safe = printable(hostile);
        assert!(
            safe.is_ascii() && !safe.contains(['\u{1b}', '\r', '\u{7}']),
            "{safe}"
        );
        assert!(safe.contains("gpj.exe"));
    }
}
