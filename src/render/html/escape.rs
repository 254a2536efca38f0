//! Text made fit for markup and for JSON inside a script element.

use std::borrow::Cow;

use crate::render::sanitize::printable;

/// Text for an element's content or a quoted attribute: nothing in it is markup, and nothing in
/// it steers.
pub fn markup(text: &str) -> String {
    let text = printable(text);
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// JSON for a script element: `<` ends no element and begins no comment. In JSON these characters
/// stand in strings only, where an escape means the same.
pub fn json_in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// At most `limit` characters of a text, with a mark where it was cut. More is kept of the end: it
/// is where names that begin alike, such as ARNs, differ.
pub fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= limit {
        return Cow::Borrowed(text);
    }
    let kept = limit.saturating_sub(1);
    let (head, tail) = (kept / 3, kept - kept / 3);
    let mut short: String = text.chars().take(head).collect();
    short.push('…');
    short.extend(text.chars().skip(count - tail));
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(
            markup("<b a=\"x\" b='y'>&\u{202e}"),
            "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;\\u{202e}"
        );
        assert_eq!(
            json_in_script("[\"</script>\u{2028}\u{2029}\"]"),
            "[\"\\u003c/script>\\u2028\\u2029\"]"
        );
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(shortened("表表表", 3), "表表表");
        assert_eq!(shortened("表あいう表", 4), "表…う表");
    }
}
