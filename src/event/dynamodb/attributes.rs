//! Collects the attribute names that a request writes or asks for.

use std::borrow::Cow;

use super::json_text;
use super::operation::Unclear;
use super::request::Request;
use crate::event::parse::{Json, Kind};

/// The longest expression that is read, in bytes. DynamoDB refuses expressions over 4 KB.
pub const MAX_EXPRESSION_BYTES: usize = 8 * 1024;

/// JSON array text of the top-level attribute names that the request writes or asks for: of the
/// item, the update (expression or legacy) and the projection. Each stands once, in order: AWS
/// logs an item's attributes in no order. None when it names none.
pub(super) fn attributes_of<'d>(
    request: &Request<'d>,
    unclear: &mut Unclear,
) -> Option<Cow<'d, str>> {
    let mut names: Vec<&'d str> = Vec::new();
    let listed = request.item.or(request.attributes_to_get);
    if let Some(list) = listed {
        let has_expressions =
            request.update_expression.is_some() || request.projection_expression.is_some();
        if !has_expressions && is_compact_array_of_plain_strings(list) && is_sorted(list) {
            return Some(Cow::Borrowed(list.raw()));
        }
        push_listed(list, &mut names, unclear);
    }
    if let Some(updates) = request.attribute_updates {
        names.extend(updates.members().map(|(name, _)| name));
    }
    for expression in [request.update_expression, request.projection_expression] {
        let Some(expression) = expression else {
            continue;
        };
        if expression.len() > MAX_EXPRESSION_BYTES {
            unclear.note("expression longer than 8 KiB");
            continue;
        }
        push_named(expression, request.attribute_names, &mut names, unclear);
    }
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then(|| Cow::Owned(json_text::string_array(&names)))
}

/// Whether the names stand in order, each once.
fn is_sorted(list: Json<'_>) -> bool {
    list.elements()
        .map(Json::as_str)
        .is_sorted_by(|name, next| name < next)
}

/// Whether the array's own text is already the canonical text of a list of names.
fn is_compact_array_of_plain_strings(list: Json<'_>) -> bool {
    let mut size = 1;
    for element in list.elements() {
        match element.as_str() {
            Some(name) if element.is_plain_str() => size += name.len() + 3,
            _ => return false,
        }
    }
    size > 1 && list.raw().len() == size
}

/// Names out of `item`, `items` or `attributesToGet`: an array of names in genuine records, an
/// object in the API.
fn push_listed<'d>(list: Json<'d>, names: &mut Vec<&'d str>, unclear: &mut Unclear) {
    match list.kind() {
        Kind::Object => names.extend(list.members().map(|(name, _)| name)),
        Kind::Array => {
            for element in list.elements() {
                match element.as_str() {
                    Some(name) => names.push(name),
                    None => unclear.note("requestParameters.items"),
                }
            }
        }
        Kind::Null => {}
        _ => unclear.note("requestParameters.items"),
    }
}

/// Adds the top-level attribute names of an update or projection expression, each once.
///
/// Grammar: names are plain words or `#placeholders`; `:values`, clause keywords, functions and
/// what follows a `.` or stands in `[]` are no top-level names. The clause keywords are reserved
/// words, so a plain word of that spelling cannot be an attribute.
fn push_named<'d>(
    expression: &'d str,
    placeholders: Option<Json<'d>>,
    names: &mut Vec<&'d str>,
    unclear: &mut Unclear,
) {
    let bytes = expression.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let first = bytes[at];
        at += 1;
        if first == b'[' {
            at += bytes[at..].iter().take_while(|b| **b != b']').count();
            continue;
        }
        if !(is_name_byte(first) || matches!(first, b'#' | b':' | b'.')) {
            continue;
        }
        at += bytes[at..].iter().take_while(|b| is_name_byte(**b)).count();
        let word = &expression[start..at];
        let next = bytes[at..].iter().find(|b| !b.is_ascii_whitespace());
        let is_nested = first == b'.';
        if is_nested || first == b':' || first.is_ascii_digit() || next == Some(&b'(') {
            // `.#name`: the placeholder after the dot belongs to the path.
            if word == "." && bytes.get(at) == Some(&b'#') {
                at += 1;
                at += bytes[at..].iter().take_while(|b| is_name_byte(**b)).count();
            }
            continue;
        }
        let name = if first == b'#' {
            match placeholders.and_then(|names| names.get(word)?.as_str()) {
                Some(name) => name,
                None => {
                    unclear.note("requestParameters.expressionAttributeNames");
                    word
                }
            }
        } else if is_clause(word) {
            continue;
        } else {
            word
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn is_clause(word: &str) -> bool {
    ["SET", "REMOVE", "ADD", "DELETE"]
        .iter()
        .any(|clause| word.eq_ignore_ascii_case(clause))
}
