//! Says why a selectors document is refused: its place, the rule, and the nearest right spelling.

use super::document::MAX_DOCUMENT_BYTES;

/// Why a text is not a document of event selectors that CloudTrail would take for a trail.
#[derive(Debug, thiserror::Error)]
pub enum SelectorError {
    #[error("event selectors of {bytes} bytes are longer than {MAX_DOCUMENT_BYTES} bytes")]
    TooLong { bytes: usize },
    /// Not JSON, or an object with the same member twice.
    #[error("event selectors cannot be read as JSON at {line}:{column}")]
    Text {
        line: usize,
        column: usize,
        source: serde_json::Error,
    },
    /// `place` is like `AdvancedEventSelectors[1].FieldSelectors[2].Equals[0]`.
    #[error("{place}: {rule}")]
    Rule { place: String, rule: String },
}

impl SelectorError {
    /// A broken rule at a place.
    pub(super) fn at(place: &str, rule: impl Into<String>) -> SelectorError {
        SelectorError::Rule {
            place: place.to_owned(),
            rule: rule.into(),
        }
    }
}

/// Longest part of a person's text that an error repeats, in characters.
const QUOTED_CHARS: usize = 80;

/// The text in quotes, escaped for a terminal and cut at [`QUOTED_CHARS`].
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// `, did you mean "…"?` for the choice that is nearest to `text`, or nothing.
pub(super) fn did_you_mean(text: &str, choices: &[&str]) -> String {
    let mut nearest: Option<(usize, &str)> = None;
    for choice in choices {
        let distance = edits(text, choice);
        if distance <= choice.len() / 3 && nearest.is_none_or(|(least, _)| distance < least) {
            nearest = Some((distance, choice));
        }
    }
    nearest.map_or(String::new(), |(_, choice)| {
        format!(", did you mean {choice:?}?")
    })
}

/// Edit distance without regard to ASCII case; texts too long to be a misspelling are far.
fn edits(text: &str, choice: &str) -> usize {
    if text.len() > 2 * choice.len() {
        return usize::MAX;
    }
    let choice: Vec<char> = choice.to_ascii_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=choice.len()).collect();
    for (above, letter) in text.to_ascii_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, wanted) in choice.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[choice.len()]
}
