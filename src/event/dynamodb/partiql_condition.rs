//! Reads the conditions and values of PartiQL: which equalities must hold, and for which values.

use std::borrow::Cow;

use super::json_text;
use super::partiql::Reader;
use super::partiql_token::{REDACTED, Token};

/// Deepest nesting of parentheses and NOTs in a condition.
pub const MAX_CONDITION_DEPTH: usize = 32;

/// One side of a comparison.
pub enum Operand<'d> {
    /// A top-level attribute.
    Attribute(Cow<'d, str>),
    /// JSON text of a literal.
    Literal(Cow<'d, str>),
    Redacted,
    /// `?`: whether it fixes a key cannot be told, as the parameters are not logged.
    Placeholder,
    Other,
}

/// None: not understood.
impl<'d> Reader<'d> {
    /// Predicates joined by AND and OR. Under an OR none of them must hold.
    pub fn disjunction(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_CONDITION_DEPTH {
            return None;
        }
        let before = self.equalities.len();
        let mut has_or = false;
        loop {
            self.predicate(depth)?;
            if self.is_at("OR") {
                has_or = true;
            } else if !self.is_at("AND") {
                break;
            }
            self.tokens.next();
        }
        if has_or {
            self.give_up(before);
        }
        Some(())
    }

    fn predicate(&mut self, depth: usize) -> Option<()> {
        let before = self.equalities.len();
        if self.is_at("NOT") {
            if depth > MAX_CONDITION_DEPTH {
                return None;
            }
            self.tokens.next();
            self.predicate(depth + 1)?;
            self.give_up(before);
            return Some(());
        }
        let left = if self.tokens.opens_with('(') {
            self.tokens.next();
            self.disjunction(depth + 1)?;
            self.expect(Token::Close)?;
            if !matches!(
                self.tokens.peek(),
                Token::Equals | Token::Operator(_) | Token::Star
            ) {
                return Some(());
            }
            // The parentheses held an operand, no predicate.
            self.give_up(before);
            Operand::Other
        } else {
            self.expression()?
        };
        self.comparison(left)
    }

    fn comparison(&mut self, left: Operand<'d>) -> Option<()> {
        match self.tokens.peek() {
            Token::Equals => {
                self.tokens.next();
                let right = self.expression()?;
                self.equality(left, right);
                return Some(());
            }
            Token::Operator('<' | '>' | '!') => {
                self.tokens.next();
                while matches!(self.tokens.peek(), Token::Equals | Token::Operator('>')) {
                    self.tokens.next();
                }
                self.expression()?;
            }
            Token::Word(word) => self.word_comparison(word)?,
            _ => {}
        }
        self.has_other_predicate = true;
        Some(())
    }

    fn word_comparison(&mut self, word: &str) -> Option<()> {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        if is("BETWEEN") {
            self.tokens.next();
            self.expression()?;
            self.keyword("AND")?;
            self.expression()?;
        } else if is("IN") || is("LIKE") {
            self.tokens.next();
            self.expression()?;
        } else if is("IS") {
            self.tokens.next();
            if self.is_at("NOT") {
                self.tokens.next();
            }
            self.word()?;
        } else if is("NOT") {
            self.tokens.next();
            let next = self.word_ahead()?;
            if next.eq_ignore_ascii_case("NOT") {
                return None;
            }
            self.word_comparison(next)?;
        }
        Some(())
    }

    fn equality(&mut self, left: Operand<'d>, right: Operand<'d>) {
        match (left, right) {
            (Operand::Attribute(name), Operand::Literal(value))
            | (Operand::Literal(value), Operand::Attribute(name)) => {
                self.equalities.push((name, value));
            }
            (Operand::Attribute(name), Operand::Redacted)
            | (Operand::Redacted, Operand::Attribute(name)) => {
                // Values of key attributes are logged: this is another one.
                let mut value = String::new();
                json_text::push_string(&mut value, REDACTED);
                self.equalities.push((name, Cow::Owned(value)));
                self.has_other_predicate = true;
            }
            (Operand::Attribute(_), Operand::Placeholder)
            | (Operand::Placeholder, Operand::Attribute(_)) => {}
            _ => self.has_other_predicate = true,
        }
    }

    /// Drops the equalities found since `before`: they need not hold.
    fn give_up(&mut self, before: usize) {
        self.equalities.truncate(before);
        self.has_other_predicate = true;
    }

    /// Operands joined by arithmetic or `||`.
    pub fn expression(&mut self) -> Option<Operand<'d>> {
        let mut operand = self.operand()?;
        while matches!(
            self.tokens.peek(),
            Token::Operator('+' | '-' | '/' | '|' | '%') | Token::Star
        ) {
            while matches!(self.tokens.peek(), Token::Operator('|')) {
                self.tokens.next();
            }
            if matches!(
                self.tokens.peek(),
                Token::Operator('+' | '-' | '/' | '%') | Token::Star
            ) {
                self.tokens.next();
            }
            self.operand()?;
            operand = Operand::Other;
        }
        Some(operand)
    }

    fn operand(&mut self) -> Option<Operand<'d>> {
        if self.tokens.peek() == Token::Open {
            self.skip_brackets()?;
            return Some(Operand::Other);
        }
        Some(match self.tokens.next() {
            Token::Text(text) => {
                let mut value = String::with_capacity(text.len() + 2);
                json_text::push_string(&mut value, &text);
                Operand::Literal(Cow::Owned(value))
            }
            Token::Redacted => Operand::Redacted,
            Token::Placeholder => Operand::Placeholder,
            Token::Operator('-') => match self.tokens.next() {
                Token::Word(word) if is_number(word) => {
                    Operand::Literal(Cow::Owned(format!("-{word}")))
                }
                _ => return None,
            },
            Token::Word(word) if word.starts_with(|c: char| c.is_ascii_digit()) => {
                if !is_number(word) {
                    return None;
                }
                Operand::Literal(Cow::Borrowed(word))
            }
            Token::Word(word) => match constant(word) {
                Some(constant) => constant,
                None if self.tokens.opens_with('(') => {
                    self.skip_brackets()?;
                    Operand::Other
                }
                None => self.attribute(Cow::Borrowed(word))?,
            },
            Token::Name(name) => self.attribute(name)?,
            _ => return None,
        })
    }

    fn attribute(&mut self, name: Cow<'d, str>) -> Option<Operand<'d>> {
        Some(match self.path()? {
            true => Operand::Other,
            false => Operand::Attribute(name),
        })
    }
}

fn constant<'d>(word: &str) -> Option<Operand<'d>> {
    if word.eq_ignore_ascii_case("missing") {
        return Some(Operand::Other);
    }
    ["true", "false", "null"]
        .into_iter()
        .find(|constant| word.eq_ignore_ascii_case(constant))
        .map(|constant| Operand::Literal(Cow::Borrowed(constant)))
}

/// Whether the word is a number that JSON would write the same way.
fn is_number(word: &str) -> bool {
    let (mantissa, exponent) = word
        .split_once(['e', 'E'])
        .map_or((word, None), |(mantissa, exponent)| {
            (mantissa, Some(exponent))
        });
    let (whole, fraction) = mantissa
        .split_once('.')
        .map_or((mantissa, None), |(whole, fraction)| {
            (whole, Some(fraction))
        });
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(|text| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}
