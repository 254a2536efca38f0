//! Spellings of JSON: white space, which columns do not keep, and what parsers refuse: numbers beyond
//! 64 bits, lone surrogates.

/// Replaces, at equal length, valid numbers that do not fit 64 bits by `0` and lone surrogate
/// escapes by U+FFFD; says whether anything was replaced.
pub fn neutralise(text: &mut [u8]) -> bool {
    let mut changed = false;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at = neutralise_string(text, at + 1, &mut changed),
            b'-' | b'0'..=b'9' => {
                let end = text[at..]
                    .iter()
                    .position(|b| !matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                    .map_or(text.len(), |length| at + length);
                if is_json_number(&text[at..end]) {
                    text[at] = b'0';
                    text[at + 1..end].fill(b' ');
                    changed = true;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    changed
}

/// Walks a string from after its opening quote; returns the place after its closing quote.
fn neutralise_string(text: &mut [u8], mut at: usize, changed: &mut bool) -> usize {
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => match surrogate(text, at) {
                Some(0xD800..=0xDBFF)
                    if matches!(surrogate(text, at + 6), Some(0xDC00..=0xDFFF)) =>
                {
                    at += 12;
                }
                Some(_) => {
                    text[at + 2..at + 6].copy_from_slice(b"fffd");
                    *changed = true;
                    at += 6;
                }
                None => at += 2,
            },
            _ => at += 1,
        }
    }
    at
}

/// The surrogate code unit that the escape at `at` writes, if it is one.
fn surrogate(text: &[u8], at: usize) -> Option<u16> {
    let escape = text.get(at..at + 6)?;
    if !escape.starts_with(b"\\u") {
        return None;
    }
    let digits = std::str::from_utf8(&escape[2..]).ok()?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}

/// Whether `text` is a number as RFC 8259 section 6 writes it.
fn is_json_number(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> usize {
        text.iter().take_while(|b| b.is_ascii_digit()).count()
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent = exponent
            .strip_prefix(b"+")
            .or_else(|| exponent.strip_prefix(b"-"))
            .unwrap_or(exponent);
        let length = digits(exponent);
        if length == 0 {
            return false;
        }
        rest = &exponent[length..];
    }
    rest.is_empty()
}

/// The text without the white space between its values, where it has any: columns hold JSON
/// text as AWS writes it, however a record was stored.
pub fn minified(text: &[u8]) -> Option<Vec<u8>> {
    let first_colon = memchr::memchr(b':', text)?;
    let is_spaced = text.get(1).is_some_and(u8::is_ascii_whitespace)
        || text.get(first_colon + 1) == Some(&b' ')
        || memchr::memchr(b'\n', text).is_some();
    if !is_spaced {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let (mut in_string, mut escaped, mut is_spaced) = (false, false, false);
    for &byte in text {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            is_spaced = true;
            continue;
        } else {
            in_string = byte == b'"';
            // `1 2` is no JSON and must not become it.
            if is_spaced && is_of_a_word(byte) && out.last().is_some_and(|last| is_of_a_word(*last))
            {
                out.push(b' ');
            }
        }
        is_spaced = false;
        out.push(byte);
    }
    Some(out)
}

/// Whether a byte can stand in a number or in `true`, `false` and `null`, or in what is none of them.
fn is_of_a_word(byte: u8) -> bool {
    !matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"')
}

#[cfg(test)]
mod tests {
    use super::minified;

    #[test]
    fn white_space_goes_and_what_is_no_json_stays_so() {
        let cases = [
            (
                "{ \"a\" : [ 1 ,\n 2 ] , \"b c\" : \" d\\\" \" }",
                "{\"a\":[1,2],\"b c\":\" d\\\" \"}",
            ),
            ("{\"a\": 1 2}", "{\"a\":1 2}"),
            ("{\"a\": t\r\n rue}", "{\"a\":t rue}"),
            ("{\"a\": - 1}", "{\"a\":- 1}"),
            ("{\"a\": true }", "{\"a\":true}"),
        ];
        for (text, expected) in cases {
            let found = minified(text.as_bytes()).expect("it is spaced");
            assert_eq!(String::from_utf8_lossy(&found), expected);
        }
        assert_eq!(minified(b"{\"a\":1}"), None);
    }
}
