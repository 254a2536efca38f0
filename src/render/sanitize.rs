//! Log content is hostile: what may be written to terminals, spreadsheets and Markdown.

use std::borrow::Cow;

/// Whether a character could steer a terminal or a reader: control characters, and those that
/// reorder or hide text.
pub fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}'
            | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with every character escaped that could steer a terminal; line ends stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_steering(c) && c != '\n')
}

/// The text on one line, with every character escaped that could steer a terminal.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_steering)
}

/// The first characters of a text on one line, none of which steers a terminal; `…` stands for the rest.
pub fn beginning(text: &str, characters: usize) -> String {
    let safe = one_line(text);
    match safe.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &safe[..end]),
        None => safe.into_owned(),
    }
}

fn escaped(text: &str, steers: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&steers) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match steers(c) {
            true => safe.extend(c.escape_unicode()),
            false => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// A text cell of a CSV file: what spreadsheets would take for a formula begins with an
/// apostrophe, which they show as the mark of a text.
pub fn spreadsheet(text: &str) -> Cow<'_, str> {
    let safe = one_line(text);
    let first = safe.trim_start_matches(' ').chars().next();
    let is_formula = first.is_some_and(|first| {
        matches!(
            first,
            '=' | '+' | '-' | '@' | '|' | '%' | '＝' | '＋' | '－' | '＠' | '\\'
        )
    });
    match is_formula {
        true => Cow::Owned(format!("'{safe}")),
        false => safe,
    }
}

/// A text as a code span of Markdown, in which nothing is a link, markup or HTML; fit for a cell
/// of a table.
pub fn code_span(text: &str) -> String {
    let safe = one_line(text).replace('|', "\\|");
    if safe.is_empty() {
        return String::new();
    }
    // A fence longer than any run of backticks inside.
    let longest = safe.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = match safe.starts_with(['`', ' ']) || safe.ends_with(['`', ' ']) {
        true => " ",
        false => "",
    };
    format!("{fence}{pad}{safe}{pad}{fence}")
}

/// A JSON text in which characters that steer are escapes: equal as JSON, harmless on a terminal.
pub fn json_text(json: &str) -> Cow<'_, str> {
    if !json.chars().any(|c| is_steering(c) && c != '\n') {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_steering(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\u{1b}[2J\u{9b}31m\u{202e}gpj.exe\r\u{7}\u{200b}\u{e0041}";

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(printable("plain é 表\n"), "plain é 表\n");
        for safe in [printable(HOSTILE), one_line(HOSTILE)] {
            assert!(
                safe.is_ascii() && !safe.contains(['\u{1b}', '\r', '\u{7}']),
                "{safe}"
            );
            assert!(safe.contains("gpj.exe"));
        }
        assert_eq!(one_line("a\nb\tc"), "a\\u{a}b\\u{9}c");
        assert_eq!(beginning("äöü", 3), "äöü");
        assert_eq!(beginning("äöüß", 3), "äöü…");
        assert_eq!(beginning("a\nb", 4), "a\\u{…");
        let json = serde_json::to_string(HOSTILE).expect("a text");
        let safe = json_text(&json);
        assert!(safe.is_ascii());
        let back: String = serde_json::from_str(&safe).expect("still JSON");
        assert_eq!(back, HOSTILE);
    }

    #[test]
    fn nothing_is_a_formula() {
        for formula in [
            "=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "\r=1", "|x", "＝1",
        ] {
            let safe = spreadsheet(formula);
            assert!(safe.starts_with('\''), "{safe}");
        }
        assert_eq!(
            spreadsheet("arn:aws:iam::1:user/a"),
            "arn:aws:iam::1:user/a"
        );
    }

    #[test]
    fn nothing_is_markup() {
        assert_eq!(code_span("a|b"), "`a\\|b`");
        assert_eq!(
            code_span("`` [x](javascript:1)"),
            "``` `` [x](javascript:1) ```"
        );
        assert_eq!(code_span("a\n# b"), "`a\\u{a}# b`");
        assert_eq!(code_span(""), "");
    }
}
