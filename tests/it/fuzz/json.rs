//! A slow, obvious JSON reader (RFC 8259) that loses nothing: numbers stay text, strings stay units of
//! UTF-16, so that lone surrogates compare too.

use std::collections::BTreeMap;

/// A value; of repeated members the last one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(Vec<u16>),
    Array(Vec<Json>),
    Object(BTreeMap<Vec<u16>, Json>),
}

impl Json {
    /// Reads a text that is one value and nothing else.
    pub fn parse(text: &[u8]) -> Option<Json> {
        let mut reader = Reader::new(text)?;
        let value = reader.value(0)?;
        reader.space();
        (reader.at == reader.text.len()).then_some(value)
    }

    pub fn member(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.get(&units(name)),
            _ => None,
        }
    }

    /// The text, where it is one without lone surrogates.
    pub fn text(&self) -> Option<String> {
        match self {
            Json::Text(units) => String::from_utf16(units).ok(),
            _ => None,
        }
    }

    /// The value without null members at its top: they may come back absent.
    pub fn without_nulls(mut self) -> Json {
        if let Json::Object(members) = &mut self {
            members.retain(|_, member| *member != Json::Null);
        }
        self
    }
}

pub fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Deeper nesting is read by nobody here.
const MAX_DEPTH: usize = 200;

/// Reads values one after another.
pub struct Reader<'t> {
    text: &'t [u8],
    pub at: usize,
}

impl<'t> Reader<'t> {
    /// None where the text is not UTF-8.
    pub fn new(text: &'t [u8]) -> Option<Self> {
        std::str::from_utf8(text).ok()?;
        Some(Self { text, at: 0 })
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    pub fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Json::Text),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        self.text[self.at..].starts_with(word.as_bytes()).then(|| {
            self.at += word.len();
            value
        })
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.eat(b'{')?;
        let mut members = BTreeMap::new();
        if self.eat(b'}').is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.eat(b':')?;
            members.insert(name, self.value(depth + 1)?);
            if self.eat(b',').is_none() {
                self.eat(b'}')?;
                return Some(Json::Object(members));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        self.eat(b'[')?;
        let mut elements = Vec::new();
        if self.eat(b']').is_some() {
            return Some(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            if self.eat(b',').is_none() {
                self.eat(b']')?;
                return Some(Json::Array(elements));
            }
        }
    }

    fn string(&mut self) -> Option<Vec<u16>> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut units = Vec::new();
        loop {
            let rest = std::str::from_utf8(&self.text[self.at..]).ok()?;
            let c = rest.chars().next()?;
            self.at += c.len_utf8();
            match c {
                '"' => return Some(units),
                '\\' => units.push(self.escape()?),
                c if c < ' ' => return None,
                c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        let byte = self.peek()?;
        self.at += 1;
        Some(u16::from(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 4;
                let digits = std::str::from_utf8(digits).ok()?;
                return u16::from_str_radix(digits, 16).ok();
            }
            _ => return None,
        }))
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        Some(Json::Number(text.to_owned()))
    }
}

/// The texts of the objects that a text holds, where it is one of the plainest forms: objects one after
/// another, one array of objects, or `{"Records":[…]}` alone. None where it is anything else.
pub fn top_values(text: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader::new(text)?;
    let mut values = Vec::new();
    reader.space();
    let close = match reader.peek()? {
        b'[' => {
            reader.at += 1;
            "]"
        }
        _ if text[reader.at..].starts_with(b"{\"Records\":[") => {
            reader.at += b"{\"Records\":[".len();
            "]}"
        }
        _ => "",
    };
    loop {
        reader.space();
        match reader.peek() {
            None if close.is_empty() => return Some(values),
            Some(b']') if !close.is_empty() => {
                let rest = text[reader.at..].trim_ascii_end();
                // A comma before the end is no JSON; behind the array nothing else may stand.
                let is_end = rest == close.as_bytes() && !before(text, reader.at).ends_with(b",");
                return is_end.then_some(values);
            }
            _ => {}
        }
        if !close.is_empty() && !values.is_empty() {
            reader.eat(b',')?;
            reader.space();
        }
        let start = reader.at;
        let Json::Object(_) = reader.value(0)? else {
            return None;
        };
        let value = &text[start..reader.at];
        // One of these may be a wrapper in turn.
        let is_wrapper = ["Records", "Events", "events", "Messages"];
        let inside = value[1..].trim_ascii_start();
        if close.is_empty()
            && is_wrapper
                .iter()
                .any(|name| inside.starts_with(format!("\"{name}\"").as_bytes()))
        {
            return None;
        }
        values.push(value);
    }
}

fn before(text: &[u8], at: usize) -> &[u8] {
    text[..at].trim_ascii_end()
}
