//! Two-way SQL: a statement that runs as it stands, in which `/*:name*/` marks the literal behind
//! it as a parameter's default.
//!
//! One literal is swapped for a bound value, or for a literal of another engine. Nothing is ever
//! pasted into the text.

use super::parameter::{Engine, ParameterValue};
use crate::query::Value;

/// The names by which engines know the functions that reports call by Athena's names.
const FUNCTIONS: [(&str, &[(Engine, &str)]); 4] = [
    (
        "json_extract_scalar",
        &[
            (Engine::DuckDb, "json_extract_string"),
            (Engine::Spark, "get_json_object"),
        ],
    ),
    ("regexp_like", &[(Engine::DuckDb, "regexp_matches")]),
    ("starts_with", &[(Engine::Spark, "startswith")]),
    ("strpos", &[(Engine::Spark, "instr")]),
];

/// What is wrong with a statement's markers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TemplateError {
    /// Counted from the statement's first line, from 1.
    pub line: usize,
    pub problem: String,
}

/// A statement with its parameters' places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A function that engines have by different names: its place in `FUNCTIONS`.
    Function(usize),
    Parameter(Parameter),
}

/// A parameter's place in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    /// The literal or literals behind the marker, as written.
    pub default: String,
    pub line: usize,
}

impl Template {
    /// Takes a statement apart; `is_list` says of which parameters a list of literals stands.
    pub fn parse(sql: &str, is_list: impl Fn(&str) -> bool) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut scanner = Scanner { sql, at: 0 };
        let mut text_begun = 0;
        while scanner.at < sql.len() {
            let begun = scanner.at;
            let token = scanner.token()?;
            let piece = match token {
                Token::Other => continue,
                Token::Word(word) => match FUNCTIONS.iter().position(|(name, _)| *name == word) {
                    Some(function) => Piece::Function(function),
                    None => continue,
                },
                Token::Marker(name) => {
                    // The marker stays in the text; what is behind it is the parameter.
                    let line = scanner.line(begun);
                    let name = name.to_owned();
                    scanner.space();
                    pieces.push(Piece::Text(sql[text_begun..scanner.at].to_owned()));
                    let default = scanner.literals(is_list(&name)).ok_or(TemplateError {
                        line,
                        problem: format!("no literal stands behind /*:{name}*/"),
                    })?;
                    text_begun = scanner.at;
                    pieces.push(Piece::Parameter(Parameter {
                        name,
                        default: default.to_owned(),
                        line,
                    }));
                    continue;
                }
            };
            pieces.push(Piece::Text(sql[text_begun..begun].to_owned()));
            pieces.push(piece);
            text_begun = scanner.at;
        }
        pieces.push(Piece::Text(sql[text_begun..].to_owned()));
        Ok(Self(pieces))
    }

    /// The places of parameters, in order; a name may come several times.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Parameter(parameter) => Some(parameter),
            Piece::Text(_) | Piece::Function(_) => None,
        })
    }

    /// The statement with places for bound values, and the values.
    pub fn bind<'v>(
        &self,
        value: impl Fn(&str) -> Option<&'v ParameterValue>,
    ) -> (String, Vec<(String, Value)>) {
        let mut values = Vec::new();
        let sql = self.write(Engine::DataFusion, |parameter| {
            match value(&parameter.name) {
                Some(value) => {
                    let (places, bound) = value.bind(&parameter.name);
                    for entry in bound {
                        if !values.contains(&entry) {
                            values.push(entry);
                        }
                    }
                    places
                }
                None => parameter.default.clone(),
            }
        });
        (sql, values)
    }

    /// The statement as text of an engine's SQL, with values as literals.
    pub fn text<'v>(
        &self,
        engine: Engine,
        value: impl Fn(&str) -> Option<&'v ParameterValue>,
    ) -> String {
        self.write(engine, |parameter| {
            value(&parameter.name)
                .map_or_else(|| parameter.default.clone(), |value| value.literal(engine))
        })
    }

    fn write(&self, engine: Engine, mut parameter: impl FnMut(&Parameter) -> String) -> String {
        let mut sql = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => sql.push_str(text),
                Piece::Function(function) => {
                    let (name, others) = FUNCTIONS[*function];
                    let other = others.iter().find(|(other, _)| *other == engine);
                    sql.push_str(other.map_or(name, |(_, name)| name));
                }
                Piece::Parameter(place) => sql.push_str(&parameter(place)),
            }
        }
        sql
    }
}

enum Token<'s> {
    /// A name outside of quotes.
    Word(&'s str),
    /// `/*:name*/`.
    Marker(&'s str),
    Other,
}

struct Scanner<'s> {
    sql: &'s str,
    at: usize,
}

impl<'s> Scanner<'s> {
    fn rest(&self) -> &'s str {
        &self.sql[self.at..]
    }

    fn line(&self, at: usize) -> usize {
        self.sql[..at].matches('\n').count() + 1
    }

    fn wrong(&self, problem: &str) -> TemplateError {
        TemplateError {
            line: self.line(self.at),
            problem: problem.to_owned(),
        }
    }

    fn token(&mut self) -> Result<Token<'s>, TemplateError> {
        let rest = self.rest();
        if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment
                .find("*/")
                .ok_or_else(|| self.wrong("a comment is not closed"))?;
            self.at += end + 4;
            let name = comment[..end].strip_prefix(':').map(str::trim);
            return Ok(match name {
                Some(name) if is_name(name) => Token::Marker(name),
                Some(name) => {
                    return Err(self.wrong(&format!("{name:?} is no parameter's name")));
                }
                None => Token::Other,
            });
        }
        if rest.starts_with("--") {
            self.at += rest.find('\n').unwrap_or(rest.len());
            return Ok(Token::Other);
        }
        let first = rest.chars().next().unwrap_or(' ');
        if first == '\'' || first == '"' {
            let end = quoted_end(rest, first).ok_or_else(|| self.wrong("a quote is not closed"))?;
            self.at += end;
            return Ok(Token::Other);
        }
        if first.is_alphanumeric() || first == '_' {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            self.at += end;
            return Ok(Token::Word(&rest[..end]));
        }
        self.at += first.len_utf8();
        Ok(Token::Other)
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes the literal at hand, or the literals of a list.
    fn literals(&mut self, is_list: bool) -> Option<&'s str> {
        let begun = self.at;
        self.literal()?;
        let mut end = self.at;
        if is_list {
            while self.next_in_list() {
                end = self.at;
            }
        }
        self.at = end;
        Some(&self.sql[begun..end])
    }

    /// Takes a comma and the literal behind it, if they are next.
    fn next_in_list(&mut self) -> bool {
        self.space();
        if !self.rest().starts_with(',') {
            return false;
        }
        self.at += 1;
        self.space();
        self.literal().is_some()
    }

    fn literal(&mut self) -> Option<()> {
        for kind in ["timestamp", "date"] {
            if self.rest().starts_with(kind) {
                self.at += kind.len();
                self.space();
                self.at += quoted_end(self.rest(), '\'')?;
                return Some(());
            }
        }
        let rest = self.rest();
        if rest.starts_with('\'') {
            self.at += quoted_end(rest, '\'')?;
            return Some(());
        }
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
            .unwrap_or(rest.len());
        let word = &rest[..end];
        let is_number =
            word.starts_with(|c: char| c.is_ascii_digit()) && word.parse::<f64>().is_ok();
        if is_number || word == "true" || word == "false" {
            self.at += end;
            return Some(());
        }
        None
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Where a quoted text ends that begins here; a doubled quote stands for one.
fn quoted_end(text: &str, quote: char) -> Option<usize> {
    let mut at = text.strip_prefix(quote).map(|_| 1)?;
    loop {
        at += text[at..].find(quote)? + 1;
        if !text[at..].starts_with(quote) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "SELECT json_extract_scalar(a, '$.json_extract_scalar') -- /*:no*/\n\
        FROM t WHERE x IN (/*:names*/ 'a', 'it''s') AND n >= /*:least*/ 5\n\
        AND at > /*:at*/ timestamp '2025-01-01 00:00:00' AND '/*:no*/' <> /*:text*/ ''";

    fn template() -> Template {
        Template::parse(SQL, |name| name == "names").expect("a template")
    }

    #[test]
    fn the_text_stays_as_it_is_without_values() {
        assert_eq!(template().text(Engine::Athena, |_| None), SQL);
        let names: Vec<&str> = template_names();
        assert_eq!(names, ["names", "least", "at", "text"]);
    }

    fn template_names() -> Vec<&'static str> {
        ["names", "least", "at", "text"]
            .into_iter()
            .filter(|name| template().parameters().any(|p| p.name == *name))
            .collect()
    }

    #[test]
    fn one_literal_is_swapped_for_one_value() {
        let names = ParameterValue::TextList(vec!["b".to_owned(), "') OR ('1'='1".to_owned()]);
        let least = ParameterValue::Integer(7);
        let value = |name: &str| match name {
            "names" => Some(&names),
            "least" => Some(&least),
            _ => None,
        };
        let (sql, values) = template().bind(value);
        assert!(sql.contains("IN (/*:names*/ $names_1, $names_2)"), "{sql}");
        assert!(sql.contains(">= /*:least*/ $least\n"), "{sql}");
        assert_eq!(values.len(), 3);
        let text = template().text(Engine::DuckDb, value);
        assert!(
            text.contains("('b', ''') OR (''1''=''1')")
                || text.contains("IN (/*:names*/ 'b', ''') OR (''1''=''1')"),
            "{text}"
        );
        assert!(text.starts_with("SELECT json_extract_string(a, '$.json_extract_scalar')"));
    }

    #[test]
    fn markers_need_a_literal() {
        for (sql, line) in [
            ("SELECT 1\nWHERE a = /*:x*/ b", 2),
            ("SELECT /*:x*/", 1),
            ("SELECT /*:X y*/ 1", 1),
            ("SELECT 'open", 1),
            ("SELECT /* open", 1),
        ] {
            let error = Template::parse(sql, |_| false).expect_err(sql);
            assert_eq!(error.line, line, "{error}");
        }
    }
}
