//! Reads one record's text as JSON; the only place that names the JSON crate.
//!
//! A record is parsed onto simd-json's tape, in buffers that one worker reuses for every record.
//! The tape gives validated, unescaped values. The raw text of a value (number spelling included)
//! is wanted of a few only, and is then found from the strings around it: the parser leaves the
//! unescaped text of a string in the buffer where the string began.

use std::ops::Range;

use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape};
use simdutf8::compat::from_utf8;

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
}

impl Default for Parser {
    fn default() -> Self {
        Self {
            scratch: Vec::new(),
            buffers: Buffers::with_max_depth(0, MAX_NESTING),
            tape: Tape(Vec::new()),
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
        self.parse_but(text, Hints::default(), read)
    }

    /// The same, with what is known of the text before.
    pub fn parse_but<R>(
        &mut self,
        text: &[u8],
        hints: Hints,
        read: impl FnOnce(Json<'_>) -> R,
    ) -> Result<R, ParseError> {
        let text = from_utf8(text).map_err(|e| ParseError::Utf8(e.valid_up_to()))?;
        let mut cut = hints.known_object.map_or(Cut::default(), Cut::inside);
        let mut strings = self.load(text, cut);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let mut is_neutralised = false;
        let mut outcome = simd_json::fill_tape_padded(
            &mut self.scratch,
            text.len() - cut.length,
            &mut self.buffers,
            &mut tape,
        )
        .map_err(|error| syntax_error(text, &error));
        if outcome.is_err() {
            // Numbers beyond 64 bits and lone surrogates are JSON all the same: their text is
            // kept, so the tape only has to accept the rest.
            self.tape = tape.reset();
            cut = Cut::default();
            strings = self.load(text, cut);
            is_neutralised = neutralise(&mut self.scratch[..text.len()]);
            if is_neutralised {
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
            let document = Document {
                text,
                nodes: &tape.0,
                strings,
                cut,
                has_escapes: !hints.has_no_backslash,
                is_neutralised,
            };
            read(Json {
                document: &document,
                at: 0,
                from: 0,
            })
        });
        self.tape = tape.reset();
        result
    }

    /// Fills the buffer with the text that remains; answers its address.
    fn load(&mut self, text: &str, cut: Cut) -> usize {
        let text = text.as_bytes();
        self.scratch.clear();
        self.scratch.extend_from_slice(&text[..cut.at]);
        self.scratch.extend_from_slice(&text[cut.at + cut.length..]);
        let length = self.scratch.len();
        self.scratch.resize(length + INPUT_PADDING, 0);
        self.scratch.as_ptr().addr()
    }
}

/// What is known of a text before it is parsed.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// Where an object stands that was parsed before: its members are not read again, so that it
    /// has none, and its `raw()` alone.
    pub known_object: Option<Range<usize>>,
    pub has_no_backslash: bool,
}

/// What is left out of a text before it is parsed: `length` bytes from `at` on.
#[derive(Clone, Copy, Default)]
struct Cut {
    at: usize,
    length: usize,
}

impl Cut {
    /// What stands between the braces of an object.
    fn inside(object: Range<usize>) -> Self {
        Self {
            at: object.start + 1,
            length: object.len().saturating_sub(2),
        }
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

/// A parsed record.
struct Document<'d> {
    text: &'d str,
    nodes: &'d [Node<'d>],
    /// The address of the buffer that holds the strings' unescaped texts, each at the place that
    /// the string has in `text` without what is cut out.
    strings: usize,
    cut: Cut,
    /// Whether there may be escapes.
    has_escapes: bool,
    /// Whether the strings' unescaped texts are of a text that was neutralised.
    is_neutralised: bool,
}

impl Document<'_> {
    /// Where the text of a string begins, after its opening quote.
    fn place(&self, string: &str) -> usize {
        let place = string.as_ptr().addr() - self.strings;
        match place < self.cut.at {
            true => place,
            false => place + self.cut.length,
        }
    }

    /// Whether a string is written as it is read, with nothing escaped.
    fn is_plain(&self, string: &str) -> bool {
        if !self.has_escapes {
            return true;
        }
        let (text, start) = (self.text.as_bytes(), self.place(string));
        let end = start + string.len();
        text[end] == b'"' && memchr::memchr(b'\\', &text[start..end]).is_none()
    }

    /// The place after a string's closing quote.
    fn end_of_string(&self, string: &str) -> usize {
        let mut at = self.place(string);
        if self.is_plain(string) {
            return at + string.len() + 1;
        }
        let text = self.text.as_bytes();
        while let Some(found) = memchr::memchr2(b'"', b'\\', &text[at..]) {
            at += found;
            if text[at] == b'"' {
                return at + 1;
            }
            at += 2;
        }
        text.len()
    }

    /// The name of a member, by its place on the tape.
    fn name(&self, at: u32) -> &str {
        match self.nodes[at as usize] {
            Node::String(name) => name,
            _ => unreachable!("the tape has a name before each member's value"),
        }
    }

    /// The place after the last byte before `at` that is none of `skipped`.
    fn skip_back(&self, at: usize, skipped: impl Fn(u8) -> bool) -> usize {
        let mut before = self.text.as_bytes()[..at].iter();
        before
            .rposition(|byte| !skipped(*byte))
            .map_or(0, |last| last + 1)
    }

    /// The first place from `at` on whose byte is none of `skipped`.
    fn skip(&self, at: usize, skipped: impl Fn(u8) -> bool) -> usize {
        let rest = &self.text.as_bytes()[at..];
        let found = rest.iter().position(|byte| !skipped(*byte));
        at + found.unwrap_or(rest.len())
    }
}

/// One JSON value of a parsed record. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Json<'d> {
    document: &'d Document<'d>,
    /// Its place on the tape.
    at: u32,
    /// Of an element (and the whole): a place before its text, with at most white space or a
    /// comma between; of no meaning for a string. Of a member's value: [`MEMBER`] or
    /// [`LAST_MEMBER`].
    from: u32,
}

/// Says that the value stands between its own name and another member's.
const MEMBER: u32 = u32::MAX;
/// Says that the value stands between its own name and the object's end.
const LAST_MEMBER: u32 = u32::MAX - 1;

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
    fn node(self) -> &'d Node<'d> {
        &self.document.nodes[self.at as usize]
    }

    pub fn kind(self) -> Kind {
        match self.node() {
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
        &self.document.text[self.start()..self.end()]
    }

    /// The name of a member as the record spells it, in its quotes; nothing for other values.
    pub fn raw_name(self) -> Option<&'d str> {
        matches!(self.from, MEMBER | LAST_MEMBER).then(|| {
            let name = self.document.name(self.at - 1);
            &self.document.text[self.document.place(name) - 1..self.document.end_of_string(name)]
        })
    }

    fn start(self) -> usize {
        let from = match (self.node(), self.from) {
            (Node::String(text), _) => return self.document.place(text) - 1,
            (_, MEMBER | LAST_MEMBER) => {
                self.document.end_of_string(self.document.name(self.at - 1))
            }
            (_, from) => from as usize,
        };
        let is_between = |byte| is_json_space(byte) || matches!(byte, b':' | b',');
        self.document.skip(from, is_between)
    }

    fn end(self) -> usize {
        let last = match self.node() {
            Node::String(text) => return self.document.end_of_string(text),
            _ if self.from == MEMBER => {
                let next = self.document.place(self.document.name(self.after())) - 1;
                return self
                    .document
                    .skip_back(next, |byte| is_json_space(byte) || byte == b',');
            }
            Node::Static(_) => {
                let is_inside = |byte| !is_json_space(byte) && !matches!(byte, b',' | b']' | b'}');
                return self.document.skip(self.start(), is_inside);
            }
            Node::Object { .. } => self.members().last().map(|(_, value)| value),
            Node::Array { .. } => self.elements().last(),
        };
        let inside = last.map_or_else(|| self.start() + 1, Json::end);
        self.document.skip(inside, is_json_space) + 1
    }

    /// The unescaped text of a string.
    pub fn as_str(self) -> Option<&'d str> {
        match *self.node() {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether `raw()` is exactly the text of `as_str()` between quotes, with nothing escaped.
    pub fn is_plain_str(self) -> bool {
        self.as_str()
            .is_some_and(|text| self.document.is_plain(text))
    }

    /// Whether a lone surrogate of a string had to be replaced, so that `as_str()` has lost it.
    pub fn has_lone_surrogate(self) -> bool {
        self.document.is_neutralised
            && !self.is_plain_str()
            && self.as_str().is_some_and(|text| text.contains('\u{fffd}'))
            && self.raw().to_ascii_lowercase().contains("\\ud")
    }

    pub fn as_bool(self) -> Option<bool> {
        match *self.node() {
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
        matches!(self.node(), Node::Object { len, .. } if *len > 0)
    }

    /// Members of an object in the order written; none for anything else.
    pub fn members(self) -> Members<'d> {
        let left = match *self.node() {
            Node::Object { len, .. } => len,
            _ => 0,
        };
        Members {
            document: self.document,
            at: self.at + 1,
            left,
        }
    }

    /// Elements of an array in order; none for anything else.
    pub fn elements(self) -> Elements<'d> {
        let left = match *self.node() {
            Node::Array { len, .. } => len,
            _ => 0,
        };
        Elements {
            array: self,
            previous: None,
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
        let (mut exact, mut alike) = (None, None);
        for (member, value) in self.members() {
            if member.eq_ignore_ascii_case(name) {
                let found = if member == name {
                    &mut exact
                } else {
                    &mut alike
                };
                *found = Some(value);
            }
        }
        exact.or(alike)
    }

    /// The tape position after the value.
    fn after(self) -> u32 {
        match *self.node() {
            Node::Object { count, .. } | Node::Array { count, .. } => self.at + count as u32 + 1,
            _ => self.at + 1,
        }
    }
}

/// The members of an object: name and value.
pub struct Members<'d> {
    document: &'d Document<'d>,
    at: u32,
    left: usize,
}

impl<'d> Iterator for Members<'d> {
    type Item = (&'d str, Json<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let Node::String(name) = self.document.nodes[self.at as usize] else {
            return None;
        };
        let member = Json {
            document: self.document,
            at: self.at + 1,
            from: if self.left == 0 { LAST_MEMBER } else { MEMBER },
        };
        self.at = member.after();
        Some((name, member))
    }
}

/// The elements of an array.
pub struct Elements<'d> {
    array: Json<'d>,
    previous: Option<Json<'d>>,
    left: usize,
}

impl<'d> Iterator for Elements<'d> {
    type Item = Json<'d>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let mut element = Json {
            document: self.array.document,
            at: self.previous.map_or(self.array.at + 1, Json::after),
            from: 0,
        };
        if element.as_str().is_none() {
            element.from = match self.previous {
                Some(previous) => previous.end() as u32,
                None => self.array.start() as u32 + 1,
            };
        }
        self.previous = Some(element);
        Some(element)
    }
}

fn is_json_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests;
