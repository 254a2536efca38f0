//! Cuts PartiQL text, as CloudTrail logs it, into tokens.

use std::borrow::Cow;

/// How CloudTrail writes a value that it withholds. Not PartiQL: it stands where a literal would.
pub const REDACTED: &str = "***(Redacted)";

#[derive(Debug, Clone, PartialEq)]
pub enum Token<'d> {
    /// A keyword, an unquoted name, or a number (they begin with a digit).
    Word(&'d str),
    /// `"…"`, unescaped.
    Name(Cow<'d, str>),
    /// `'…'`, unescaped.
    Text(Cow<'d, str>),
    Redacted,
    /// `?`, whose value stands in the parameters, which are not logged.
    Placeholder,
    /// `(`, `[`, `{` or `<<`.
    Open,
    /// `)`, `]`, `}` or `>>`.
    Close,
    Comma,
    Dot,
    Colon,
    Equals,
    Star,
    /// Any other operator, one character each.
    Operator(char),
    End,
    /// A quote that is never closed.
    Broken,
}

/// The text that is left to read.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'d> {
    rest: &'d str,
}

impl<'d> Tokens<'d> {
    pub fn new(text: &'d str) -> Self {
        Tokens { rest: text }
    }

    pub fn next(&mut self) -> Token<'d> {
        self.rest = self.rest.trim_start();
        let Some(first) = self.rest.chars().next() else {
            return Token::End;
        };
        if is_word_char(first) {
            return self.word(first);
        }
        if matches!(first, '\'' | '"') {
            return self.quoted(first);
        }
        if self.starts_with_ignore_case(REDACTED) {
            self.rest = &self.rest[REDACTED.len()..];
            return Token::Redacted;
        }
        for (sign, token) in [("<<", Token::Open), (">>", Token::Close)] {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest;
                return token;
            }
        }
        self.rest = &self.rest[first.len_utf8()..];
        match first {
            '(' | '[' | '{' => Token::Open,
            ')' | ']' | '}' => Token::Close,
            ',' => Token::Comma,
            '.' => Token::Dot,
            ':' => Token::Colon,
            '=' => Token::Equals,
            '*' => Token::Star,
            '?' => Token::Placeholder,
            other => Token::Operator(other),
        }
    }

    pub fn peek(&self) -> Token<'d> {
        let mut ahead = *self;
        ahead.next()
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether the next token begins with `bracket`.
    pub fn opens_with(&self, bracket: char) -> bool {
        self.rest.trim_start().starts_with(bracket)
    }

    fn starts_with_ignore_case(&self, prefix: &str) -> bool {
        self.rest
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }

    fn word(&mut self, first: char) -> Token<'d> {
        let is_number = first.is_ascii_digit();
        let mut previous = first;
        let end = self.rest[first.len_utf8()..]
            .find(|c: char| {
                let is_part = is_word_char(c)
                    || (is_number
                        && (c == '.' || (matches!(c, '+' | '-') && matches!(previous, 'e' | 'E'))));
                previous = c;
                !is_part
            })
            .map_or(self.rest.len(), |at| at + first.len_utf8());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Token::Word(word)
    }

    /// A quote inside is written twice.
    fn quoted(&mut self, quote: char) -> Token<'d> {
        let body = &self.rest[1..];
        let mut at = 0;
        let mut is_escaped = false;
        loop {
            let Some(found) = body[at..].find(quote) else {
                self.rest = "";
                return Token::Broken;
            };
            at += found + 1;
            if !body[at..].starts_with(quote) {
                break;
            }
            is_escaped = true;
            at += 1;
        }
        self.rest = &body[at..];
        let inside = &body[..at - 1];
        let inside = if is_escaped {
            let (twice, once) = if quote == '"' {
                ("\"\"", "\"")
            } else {
                ("''", "'")
            };
            Cow::Owned(inside.replace(twice, once))
        } else {
            Cow::Borrowed(inside)
        };
        if quote == '"' {
            Token::Name(inside)
        } else if inside == REDACTED {
            Token::Redacted
        } else {
            Token::Text(inside)
        }
    }
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || c == '#' || c == '@'
}
