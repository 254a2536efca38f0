//! Writes JSON by pushing text; values are never built as trees, for a benchmark archive has gigabytes of them.

use std::fmt::{Display, Write};

/// A JSON object under construction; members stay in the order in which they are added.
pub struct Object {
    text: String,
}

impl Object {
    pub fn new() -> Object {
        Object {
            text: String::from("{"),
        }
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        quote(&mut self.text, name);
        self.text.push(':');
    }

    pub fn text(mut self, name: &str, value: &str) -> Object {
        self.name(name);
        quote(&mut self.text, value);
        self
    }

    /// A member whose value is already JSON.
    pub fn json(mut self, name: &str, value: &str) -> Object {
        self.name(name);
        self.text.push_str(value);
        self
    }

    /// A number or a boolean.
    pub fn bare(mut self, name: &str, value: impl Display) -> Object {
        self.name(name);
        write!(self.text, "{value}").expect("a String takes all text");
        self
    }

    pub fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// Appends a JSON string. Like CloudTrail's own writer it spells `<`, `>` and `&` as `\u003c`, `\u003e`, `\u0026`.
pub fn quote(into: &mut String, value: &str) {
    into.push('"');
    let mut plain_from = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\t' => "\\t",
            b'<' => "\\u003c",
            b'>' => "\\u003e",
            b'&' => "\\u0026",
            _ => continue,
        };
        into.push_str(&value[plain_from..at]);
        into.push_str(escape);
        plain_from = at + 1;
    }
    into.push_str(&value[plain_from..]);
    into.push('"');
}

/// An array of values that are already JSON.
pub fn array(values: impl IntoIterator<Item = String>) -> String {
    let mut text = String::from("[");
    for value in values {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&value);
    }
    text.push(']');
    text
}

/// An array of strings.
pub fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    array(values.into_iter().map(|value| {
        let mut text = String::new();
        quote(&mut text, value);
        text
    }))
}
