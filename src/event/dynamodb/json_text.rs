//! Writes JSON text in one canonical form, so that equal keys are equal texts.

use std::borrow::Cow;

use crate::event::parse::{Json, Kind};

/// Appends `text` as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[written..at]);
        if escape.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        } else {
            out.push_str(escape);
        }
        written = at + 1;
    }
    out.push_str(&text[written..]);
    out.push('"');
}

/// Appends names as a JSON array of strings.
pub fn string_array<S: AsRef<str>>(names: &[S]) -> String {
    let mut out =
        String::with_capacity(2 + names.iter().map(|n| n.as_ref().len() + 3).sum::<usize>());
    out.push('[');
    for (position, name) in names.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        push_string(&mut out, name.as_ref());
    }
    out.push(']');
    out
}

/// A flat JSON object from names and the JSON texts of their values: no space, sorted by name;
/// of a repeated name the first stays.
pub fn flat_object(mut members: Vec<(Cow<'_, str>, Cow<'_, str>)>) -> String {
    members.sort_by(|one, other| one.0.cmp(&other.0));
    members.dedup_by(|later, earlier| later.0 == earlier.0);
    let size: usize = members.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
    let mut out = String::with_capacity(size + 2);
    out.push('{');
    for (position, (name, value)) in members.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        push_string(&mut out, name);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

/// A logged `key` object as canonical text; none when it is not a filled object.
///
/// Records write keys in any member order and may be pretty-printed; the text is sorted by
/// attribute name and compact, so that one key is one text. Type tags (`{"S":"x"}`) go: AWS logs
/// plain values and the same key must read alike. The second answer says whether all values
/// were scalars.
pub fn key_text(key: Json<'_>) -> Option<(Cow<'_, str>, bool)> {
    if !key.is_filled_object() {
        return None;
    }
    let raw = key.raw();
    let mut is_flat = true;
    let mut is_canonical = memchr::memchr(b'\\', raw.as_bytes()).is_none();
    let mut compact_size = 1;
    let mut previous = "";
    for (position, (name, value)) in key.members().enumerate() {
        let is_scalar = !matches!(value.kind(), Kind::Object | Kind::Array);
        is_canonical &= is_scalar && (position == 0 || previous < name);
        is_flat &= is_scalar || untagged(value).is_some();
        compact_size += name.len() + value.raw().len() + 4;
        previous = name;
    }
    if is_canonical && raw.len() == compact_size {
        return Some((Cow::Borrowed(raw), true));
    }
    let members = key
        .members()
        .map(|(name, value)| {
            let value = untagged(value).unwrap_or(value);
            (Cow::Borrowed(name), scalar_text(value))
        })
        .collect();
    Some((Cow::Owned(flat_object(members)), is_flat))
}

/// The value inside a type tag: `{"S":…}`, `{"N":…}` or `{"B":…}`.
fn untagged(value: Json<'_>) -> Option<Json<'_>> {
    let mut members = value.members();
    let (tag, inner) = members.next()?;
    let is_tagged = matches!(tag, "S" | "N" | "B")
        && members.next().is_none()
        && matches!(inner.kind(), Kind::String | Kind::Number);
    is_tagged.then_some(inner)
}

fn scalar_text(value: Json<'_>) -> Cow<'_, str> {
    match value.as_str() {
        // A lone surrogate has no other text than its own.
        Some(text) if !value.is_plain_str() && !text.contains('\u{fffd}') => {
            let mut out = String::with_capacity(text.len() + 8);
            push_string(&mut out, text);
            Cow::Owned(out)
        }
        _ => Cow::Borrowed(value.raw()),
    }
}
