//! Reads a PartiQL statement, as CloudTrail logs it: verb, table, index, visible key values.
//!
//! Grammar (Amazon DynamoDB developer guide, PartiQL reference):
//! `SELECT … FROM <table>[.<index>] [WHERE …] [ORDER BY …]`, `INSERT INTO <table> VALUE {…}`,
//! `UPDATE <table> SET|REMOVE … [WHERE …] [RETURNING …]`, `DELETE FROM <table> [WHERE …]
//! [RETURNING …]`, and `EXISTS(SELECT …)` in transactions. Values that are no key values are
//! logged as `***(Redacted)`; an INSERT has even its key values redacted.

use std::borrow::Cow;

use super::catalogue::Verb;
use super::json_text;
use super::partiql_condition::Operand;
use super::partiql_token::{Token, Tokens};

/// Longest statement that is read beyond its verb, in bytes. DynamoDB's own limit is 8,192
/// characters, of at most four bytes each.
pub const MAX_STATEMENT_BYTES: usize = 32 * 1024;

/// What a statement says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement<'d> {
    /// Also of a statement that is not understood, when its first word is a verb.
    pub verb: Option<Verb>,
    /// A name, or an ARN.
    pub table: Option<Cow<'d, str>>,
    pub index: Option<Cow<'d, str>>,
    /// JSON text: the equality predicates that must hold for any item touched, or the visible
    /// values of an INSERT.
    pub key: Option<String>,
    /// Top-level names of the attributes selected or set, sorted, each once; empty for `*`.
    pub attributes: Vec<Cow<'d, str>>,
    /// A write that depends on more than visible equality, or an EXISTS.
    pub is_conditional: bool,
    /// A SELECT whose WHERE has more than visible equality.
    pub has_filter: bool,
    pub is_understood: bool,
}

/// Reads a statement. Never fails: `is_understood` tells.
pub fn read(text: &str) -> Statement<'_> {
    let mut reader = Reader {
        tokens: Tokens::new(text),
        statement: Statement::default(),
        equalities: Vec::new(),
        has_other_predicate: false,
    };
    let is_understood = reader.statement().is_some();
    let mut statement = reader.statement;
    statement.is_understood = is_understood;
    if !is_understood {
        // What a broken rest would have said of these is unknown.
        statement.attributes.clear();
        statement.is_conditional = false;
        return statement;
    }
    statement.attributes.sort_unstable();
    statement.attributes.dedup();
    if !reader.equalities.is_empty() {
        statement.key = Some(json_text::flat_object(reader.equalities));
    }
    match statement.verb {
        Some(Verb::PartiqlSelect) => statement.has_filter = reader.has_other_predicate,
        _ => statement.is_conditional |= reader.has_other_predicate,
    }
    statement
}

pub(super) struct Reader<'d> {
    pub tokens: Tokens<'d>,
    statement: Statement<'d>,
    /// Attribute name and the JSON text of its value.
    pub equalities: Vec<(Cow<'d, str>, Cow<'d, str>)>,
    pub has_other_predicate: bool,
}

/// The words that may follow a target.
const AFTER_TARGET: [&str; 7] = [
    "WHERE",
    "SET",
    "REMOVE",
    "VALUE",
    "ORDER",
    "RETURNING",
    "LIMIT",
];

/// None: not understood.
impl<'d> Reader<'d> {
    fn statement(&mut self) -> Option<()> {
        let first = self.word()?;
        self.statement.verb = verb(first);
        if self.tokens.left() > MAX_STATEMENT_BYTES {
            return None;
        }
        match self.statement.verb? {
            Verb::PartiqlSelect if first.eq_ignore_ascii_case("EXISTS") => {
                self.statement.is_conditional = true;
                self.expect(Token::Open)?;
                self.keyword("SELECT")?;
                self.select()?;
                self.expect(Token::Close)?;
            }
            Verb::PartiqlSelect => self.select()?,
            Verb::PartiqlInsert => self.insert()?,
            Verb::PartiqlUpdate => self.update()?,
            _ => {
                self.keyword("FROM")?;
                self.target()?;
                self.tail()?;
            }
        }
        if self.tokens.peek() == Token::Operator(';') {
            self.tokens.next();
        }
        self.expect(Token::End)
    }

    fn select(&mut self) -> Option<()> {
        loop {
            match self.tokens.next() {
                Token::Star => {}
                // A function, such as size().
                Token::Word(_) if self.tokens.opens_with('(') => self.skip_brackets()?,
                Token::Word(name) => self.path_of_list(Cow::Borrowed(name))?,
                Token::Name(name) => self.path_of_list(name)?,
                _ => return None,
            }
            match self.tokens.next() {
                Token::Comma => {}
                Token::Word(word) if word.eq_ignore_ascii_case("FROM") => break,
                _ => return None,
            }
        }
        self.target()?;
        self.tail()
    }

    fn path_of_list(&mut self, name: Cow<'d, str>) -> Option<()> {
        self.path()?;
        self.statement.attributes.push(name);
        Some(())
    }

    fn insert(&mut self) -> Option<()> {
        self.keyword("INTO")?;
        self.target()?;
        self.keyword("VALUE")?;
        if self.tokens.peek() == Token::Placeholder {
            self.tokens.next();
            return Some(());
        }
        if !self.tokens.opens_with('{') {
            return None;
        }
        self.tokens.next();
        if self.tokens.peek() == Token::Close {
            self.tokens.next();
            return Some(());
        }
        loop {
            let name = match self.tokens.next() {
                Token::Text(name) | Token::Name(name) => name,
                Token::Word(name) => Cow::Borrowed(name),
                _ => return None,
            };
            self.expect(Token::Colon)?;
            if let Operand::Literal(value) = self.expression()? {
                self.equalities.push((name.clone(), value));
            }
            self.statement.attributes.push(name);
            match self.tokens.next() {
                Token::Comma => {}
                Token::Close => return Some(()),
                _ => return None,
            }
        }
    }

    fn update(&mut self) -> Option<()> {
        self.target()?;
        while let Token::Word(word) = self.tokens.peek() {
            let is_set = word.eq_ignore_ascii_case("SET");
            if !is_set && !word.eq_ignore_ascii_case("REMOVE") {
                break;
            }
            self.tokens.next();
            loop {
                let name = self.name()?;
                self.path_of_list(name)?;
                if is_set {
                    self.expect(Token::Equals)?;
                    self.expression()?;
                }
                if self.tokens.peek() != Token::Comma {
                    break;
                }
                self.tokens.next();
            }
        }
        self.tail()
    }

    /// `<table>[.<index>]`; DynamoDB has no aliases.
    fn target(&mut self) -> Option<()> {
        let table = self.name()?;
        let mut index = None;
        if self.tokens.peek() == Token::Dot {
            self.tokens.next();
            index = Some(self.name()?);
        }
        // Only what follows shows that the name has ended: `my-table` needs quotes.
        let is_ended = match self.tokens.peek() {
            Token::End | Token::Close | Token::Operator(';') => true,
            Token::Word(word) => AFTER_TARGET.iter().any(|w| word.eq_ignore_ascii_case(w)),
            _ => false,
        };
        if !is_ended {
            return None;
        }
        self.statement.table = Some(table);
        self.statement.index = index;
        Some(())
    }

    /// What may follow a target: WHERE, and clauses that name no table and no key.
    fn tail(&mut self) -> Option<()> {
        if self.is_at("WHERE") {
            self.tokens.next();
            self.disjunction(0)?;
        }
        if ["ORDER", "RETURNING", "LIMIT"]
            .iter()
            .any(|clause| self.is_at(clause))
        {
            while !matches!(
                self.tokens.peek(),
                Token::End | Token::Broken | Token::Close | Token::Operator(';')
            ) {
                self.tokens.next();
            }
        }
        Some(())
    }

    /// Skips the rest of a path (`.name`, `[0]`); says whether there was any.
    pub fn path(&mut self) -> Option<bool> {
        let mut is_nested = false;
        loop {
            if self.tokens.peek() == Token::Dot {
                self.tokens.next();
                self.name()?;
            } else if self.tokens.opens_with('[') {
                self.skip_brackets()?;
            } else {
                return Some(is_nested);
            }
            is_nested = true;
        }
    }

    /// Skips from an opening bracket to the one that closes it, by count alone.
    pub fn skip_brackets(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            match self.tokens.next() {
                Token::Open => open += 1,
                Token::Close => open = open.checked_sub(1)?,
                Token::End | Token::Broken => return None,
                _ => {}
            }
            if open == 0 {
                return Some(());
            }
        }
    }

    pub fn name(&mut self) -> Option<Cow<'d, str>> {
        match self.tokens.next() {
            Token::Word(word) => Some(Cow::Borrowed(word)),
            Token::Name(name) => Some(name),
            _ => None,
        }
    }

    pub fn word(&mut self) -> Option<&'d str> {
        match self.tokens.next() {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    pub fn word_ahead(&self) -> Option<&'d str> {
        match self.tokens.peek() {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    pub fn is_at(&self, keyword: &str) -> bool {
        self.word_ahead()
            .is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }

    pub fn keyword(&mut self, keyword: &str) -> Option<()> {
        self.word()?.eq_ignore_ascii_case(keyword).then_some(())
    }

    pub fn expect(&mut self, token: Token<'d>) -> Option<()> {
        (self.tokens.next() == token).then_some(())
    }
}

fn verb(word: &str) -> Option<Verb> {
    [
        ("SELECT", Verb::PartiqlSelect),
        ("EXISTS", Verb::PartiqlSelect),
        ("INSERT", Verb::PartiqlInsert),
        ("UPDATE", Verb::PartiqlUpdate),
        ("DELETE", Verb::PartiqlDelete),
    ]
    .into_iter()
    .find_map(|(keyword, verb)| word.eq_ignore_ascii_case(keyword).then_some(verb))
}
