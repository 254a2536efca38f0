//! Reads one record's text as JSON; the only place that names the JSON crate.
//!
//! A record is parsed onto simd-json's tape, in buffers that one worker reuses for every record.
//! The tape gives validated, unescaped values; the raw text of any value (number spelling
//! included) is found again through the structural offsets that the parser has computed anyway.

use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape};

use super::spelling::neutralise;

/// Deepest nesting of arrays and objects that a record may have.
///
/// CloudTrail's own records stay below 20.
pub const MAX_NESTING: usize = 128;

/// Why a text is not a JSON value that can be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("not valid UTF-8 at byte {0} of the record")]
    Utf8(usize),
    #[error("nested deeper than {MAX_NESTING} levels")]
    TooDeep,
    #[error("not valid JSON near byte {at} of the record: {what}")]
    Syntax { at: usize, what: String },
}

/// Reused buffers of one worker.
pub struct Parser {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    spans: Vec<Span>,
    open: Vec<u32>,
}

/// Where a tape node's text stands in the record: `start..end` in bytes.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            scratch: Vec::new(),
            buffers: Buffers::with_max_depth(0, MAX_NESTING),
            tape: Tape(Vec::new()),
            spans: Vec::new(),
            open: Vec::new(),
        }
    }
}

impl Parser {
    /// Parses `text` (one JSON value, at most 4 GiB) and hands the value to `read`.
    pub fn parse<R>(
        &mut self,
        text: &[u8],
        read: impl FnOnce(Json<'_>) -> R,
    ) -> Result<R, ParseError> {
        let text = std::str::from_utf8(text).map_err(|e| ParseError::Utf8(e.valid_up_to()))?;
        self.load(text);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let mut outcome = simd_json::fill_tape_padded(
            &mut self.scratch,
            text.len(),
            &mut self.buffers,
            &mut tape,
        )
        .map_err(|error| syntax_error(text, &error));
        if outcome.is_err() {
            // Numbers beyond 64 bits and lone surrogates are JSON all the same: their text is
            // kept, so the tape only has to accept the rest.
            self.tape = tape.reset();
            self.load(text);
            if neutralise(&mut self.scratch[..text.len()]) {
                let mut retried = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
                outcome = simd_json::fill_tape_padded(
                    &mut self.scratch,
                    text.len(),
                    &mut self.buffers,
                    &mut retried,
                )
                .map_err(|error| syntax_error(text, &error));
                tape = retried;
            } else {
                tape = Tape(Vec::new());
            }
        }
        let result = outcome.map(|()| {
            locate(
                text,
                self.buffers.structural_indexes(),
                &mut self.spans,
                &mut self.open,
            );
            debug_assert_eq!(self.spans.len(), tape.0.len());
            read(Json {
                text,
                nodes: &tape.0,
                spans: &self.spans,
                at: 0,
            })
        });
        self.tape = tape.reset();
        result
    }

    fn load(&mut self, text: &str) {
        self.scratch.clear();
        self.scratch.extend_from_slice(text.as_bytes());
        self.scratch.resize(text.len() + INPUT_PADDING, 0);
    }
}

fn syntax_error(text: &str, error: &simd_json::Error) -> ParseError {
    let what = format!("{:?}", error.error());
    if what.contains("epth") {
        return ParseError::TooDeep;
    }
    ParseError::Syntax {
        at: error.index().min(text.len()),
        what,
    }
}

/// Finds the text of every tape node, in tape order, from the parser's structural offsets.
fn locate(text: &str, structurals: &[u32], spans: &mut Vec<Span>, open: &mut Vec<u32>) {
    spans.clear();
    open.clear();
    let bytes = text.as_bytes();
    let mut scalar_pending = false;
    for &at in structurals {
        let Some(&byte) = bytes.get(at as usize) else {
            break;
        };
        let is_structural = matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':');
        if is_structural && scalar_pending {
            if let Some(scalar) = spans.last_mut() {
                scalar.end = at;
            }
            scalar_pending = false;
        }
        match byte {
            b',' | b':' => {}
            b'}' | b']' => {
                if let Some(container) = open.pop() {
                    spans[container as usize].end = at + 1;
                }
            }
            b'{' | b'[' => {
                open.push(spans.len() as u32);
                spans.push(Span { start: at, end: at });
            }
            _ => {
                spans.push(Span {
                    start: at,
                    end: bytes.len() as u32,
                });
                scalar_pending = true;
            }
        }
    }
}

/// One JSON value of a parsed record. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Json<'d> {
    text: &'d str,
    nodes: &'d [Node<'d>],
    spans: &'d [Span],
    at: usize,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl<'d> Json<'d> {
    pub fn kind(self) -> Kind {
        match &self.nodes[self.at] {
            Node::String(_) => Kind::String,
            Node::Object { .. } => Kind::Object,
            Node::Array { .. } => Kind::Array,
            Node::Static(StaticNode::Null) => Kind::Null,
            Node::Static(StaticNode::Bool(_)) => Kind::Bool,
            Node::Static(_) => Kind::Number,
        }
    }

    /// The value's own text, as the record spells it.
    pub fn raw(self) -> &'d str {
        let span = self.spans[self.at];
        self.text[span.start as usize..span.end as usize].trim_end_matches(is_json_space)
    }

    /// The unescaped text of a string.
    pub fn as_str(self) -> Option<&'d str> {
        match self.nodes[self.at] {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether `raw()` is exactly the text of `as_str()` between quotes, with nothing escaped.
    pub fn is_plain_str(self) -> bool {
        match self.nodes[self.at] {
            Node::String(text) => self.raw().len() == text.len() + 2,
            _ => false,
        }
    }

    pub fn as_bool(self) -> Option<bool> {
        match self.nodes[self.at] {
            Node::Static(StaticNode::Bool(value)) => Some(value),
            _ => None,
        }
    }

    /// An integer written as such (`5`, not `5.0`) that fits 64 bits.
    pub fn as_i64(self) -> Option<i64> {
        match self.kind() {
            Kind::Number => self.raw().parse().ok(),
            _ => None,
        }
    }

    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// An object, and not an empty one.
    pub fn is_filled_object(self) -> bool {
        matches!(self.nodes[self.at], Node::Object { len, .. } if len > 0)
    }

    /// Members of an object in the order written; none for anything else.
    pub fn members(self) -> Members<'d> {
        let left = match self.nodes[self.at] {
            Node::Object { len, .. } => len,
            _ => 0,
        };
        Members {
            value: self,
            at: self.at + 1,
            left,
        }
    }

    /// Elements of an array in order; none for anything else.
    pub fn elements(self) -> Elements<'d> {
        let left = match self.nodes[self.at] {
            Node::Array { len, .. } => len,
            _ => 0,
        };
        Elements {
            value: self,
            at: self.at + 1,
            left,
        }
    }

    /// The member of that exact name; the last one where a name is repeated, as parsers have it.
    pub fn get(self, name: &str) -> Option<Json<'d>> {
        self.members()
            .filter(|(member, _)| *member == name)
            .last()
            .map(|(_, value)| value)
    }

    /// The member of that name whatever its ASCII letter case; an exact match wins.
    pub fn get_ignore_case(self, name: &str) -> Option<Json<'d>> {
        self.get(name).or_else(|| {
            self.members()
                .filter(|(member, _)| member.eq_ignore_ascii_case(name))
                .last()
                .map(|(_, value)| value)
        })
    }

    /// The tape position after the value at `at`.
    fn after(self, at: usize) -> usize {
        match self.nodes[at] {
            Node::Object { count, .. } | Node::Array { count, .. } => at + count + 1,
            _ => at + 1,
        }
    }
}

/// The members of an object: name and value.
pub struct Members<'d> {
    value: Json<'d>,
    at: usize,
    left: usize,
}

impl<'d> Iterator for Members<'d> {
    type Item = (&'d str, Json<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let Node::String(name) = self.value.nodes[self.at] else {
            return None;
        };
        let member = Json {
            at: self.at + 1,
            ..self.value
        };
        self.at = self.value.after(self.at + 1);
        Some((name, member))
    }
}

/// The elements of an array.
pub struct Elements<'d> {
    value: Json<'d>,
    at: usize,
    left: usize,
}

impl<'d> Iterator for Elements<'d> {
    type Item = Json<'d>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let element = Json {
            at: self.at,
            ..self.value
        };
        self.at = self.value.after(self.at);
        Some(element)
    }
}

fn is_json_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks the value by our own accessors into serde_json's, through the raw text of scalars.
    fn rebuild(value: Json<'_>) -> serde_json::Value {
        match value.kind() {
            Kind::Object => value
                .members()
                .map(|(name, member)| (name.to_owned(), rebuild(member)))
                .collect(),
            Kind::Array => value.elements().map(rebuild).collect(),
            Kind::String => value.as_str().map_or(serde_json::Value::Null, Into::into),
            _ => serde_json::from_str(value.raw()).expect("a scalar's raw text is JSON"),
        }
    }

    #[test]
    fn tape_and_spans_agree_with_serde_json() {
        let mut parser = Parser::default();
        for text in [
            r#"{}"#,
            r#"[]"#,
            r#"{"a":{},"b":[],"c":[[],{}],"d":""}"#,
            r#" { "a" : [ 1 , -2.50 , true , null , "x\"y\\" ] , "b" : { "c" : "é\u00e9" } } "#,
            "{\"k\":\"\\/\\b\\n\",\"tail\":[{\"x\":1},{\"x\":[2,3]}],\"z\":5.0}",
            r#""only a string""#,
            r#"42"#,
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).expect("valid");
            parser
                .parse(text.as_bytes(), |value| {
                    assert_eq!(rebuild(value), expected, "{text}");
                    assert_eq!(
                        serde_json::from_str::<serde_json::Value>(value.raw()).expect("raw"),
                        expected
                    );
                    for (name, member) in value.members() {
                        let raw: serde_json::Value =
                            serde_json::from_str(member.raw()).expect("raw member");
                        assert_eq!(raw, expected[name], "{text} at {name}");
                    }
                })
                .expect("parses");
        }
    }

    #[test]
    fn odd_numbers_and_lone_surrogates_keep_their_text() {
        let mut parser = Parser::default();
        let text = r#"{"a":18446744073709551616,"b":1e400,"c":"x\ud800y","d":-0.10E+5,"e":"\ud83d\ude00"}"#;
        parser
            .parse(text.as_bytes(), |value| {
                let raw = |name| value.get(name).expect("member").raw();
                assert_eq!(raw("a"), "18446744073709551616");
                assert_eq!(raw("b"), "1e400");
                assert_eq!(raw("c"), r#""x\ud800y""#);
                assert_eq!(raw("d"), "-0.10E+5");
                assert_eq!(value.get("c").and_then(Json::as_str), Some("x\u{fffd}y"));
                assert_eq!(value.get("e").and_then(Json::as_str), Some("😀"));
            })
            .expect("parses");
    }

    #[test]
    fn broken_texts_are_refused() {
        let mut parser = Parser::default();
        for text in [
            "",
            "{",
            r#"{"a":}"#,
            r#"{"a":01}"#,
            r#"{"a":1}x"#,
            r#"{"a":1e}"#,
            "{\"a\":\"\n\"}",
        ] {
            assert!(
                matches!(
                    parser.parse(text.as_bytes(), |_| ()),
                    Err(ParseError::Syntax { .. })
                ),
                "{text}"
            );
        }
        let deep = "[".repeat(MAX_NESTING + 10) + &"]".repeat(MAX_NESTING + 10);
        assert_eq!(
            parser.parse(deep.as_bytes(), |_| ()),
            Err(ParseError::TooDeep)
        );
        assert_eq!(
            parser.parse(b"{\"a\":\"\xff\"}", |_| ()),
            Err(ParseError::Utf8(6))
        );
        assert!(parser.parse(b"{\"still\":\"works\"}", |_| ()).is_ok());
    }
}
