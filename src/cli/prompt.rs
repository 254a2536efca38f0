//! The prompt: statements end with a semicolon; history, and completion of tables and columns.

use std::path::PathBuf;

use anyhow::Context;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Editor, Helper};

use super::terminal::tell;
use crate::convert::unit::error_chain;
use crate::query::Session;

/// Statements remembered.
const MAX_HISTORY: usize = 1000;

const WORDS: [&str; 34] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "LEFT JOIN",
    "ON",
    "USING",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "LIKE",
    "IS NULL",
    "IS NOT NULL",
    "DISTINCT",
    "count",
    "min",
    "max",
    "sum",
    "avg",
    "date_trunc",
    "coalesce",
    "json_extract_scalar",
    "regexp_like",
    "EXPLAIN",
    "EXPLAIN ANALYZE",
    "SHOW TABLES",
    "DESCRIBE",
];

const TABLES: &str = "SELECT table_name, table_type FROM information_schema.tables \
                      WHERE table_schema = 'public' ORDER BY table_name";

const HELP: &str = "\
A statement ends with ; and may go over several lines. Tab completes tables and columns.
  \\d          tables
  \\d TABLE    the columns of a table
  \\q          leaves (so does Ctrl-D)";

/// Reads statements until the user leaves; an error in one is told, and the next is read.
pub fn prompt(
    session: &Session,
    answer: impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let config = Config::builder()
        .max_history_size(MAX_HISTORY)
        .context("cannot begin a history")?
        .build();
    let mut editor: Editor<SqlHelper, FileHistory> =
        Editor::with_config(config).context("cannot begin a prompt")?;
    let tables = session.tables();
    editor.set_helper(Some(SqlHelper::new(&tables)));
    let history = history_path();
    if let Some(path) = &history {
        let _ = editor.load_history(path);
    }
    tell("dynatrail query: \\h for help");
    loop {
        match editor.readline("lake> ") {
            Ok(text) => {
                let _ = editor.add_history_entry(text.trim());
                match text.trim().trim_end_matches(';').trim() {
                    "" => {}
                    "\\q" | "quit" | "exit" => break,
                    "\\h" | "help" | "\\?" => tell(HELP),
                    "\\d" => report(answer(TABLES)),
                    text => match text.strip_prefix("\\d ") {
                        Some(table) => report(describe(&tables, table.trim(), &answer)),
                        None => report(answer(text)),
                    },
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("cannot read from the terminal"),
        }
    }
    if let Some(path) = &history {
        // A history that cannot be kept stops no work.
        let _ = path.parent().map(std::fs::create_dir_all);
        let _ = editor.save_history(path);
    }
    Ok(())
}

fn report(outcome: anyhow::Result<()>) {
    if let Err(error) = outcome {
        tell(&format!("dynatrail: {}", error_chain(error.as_ref())));
    }
}

fn describe(
    tables: &[(String, Vec<String>)],
    table: &str,
    answer: &impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        tables.iter().any(|(name, _)| name == table),
        "no table {table:?}"
    );
    answer(&format!("DESCRIBE {table}"))
}

/// `$XDG_STATE_HOME/dynatrail/history`, or below `~/.local/state`.
fn history_path() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("dynatrail/history"))
}

struct SqlHelper {
    tables: Vec<String>,
    /// Everything else that can be completed, sorted.
    words: Vec<String>,
}

impl SqlHelper {
    fn new(tables: &[(String, Vec<String>)]) -> Self {
        let columns = tables.iter().flat_map(|(_, columns)| columns.clone());
        let mut words: Vec<String> = columns.chain(WORDS.map(str::to_owned)).collect();
        words.sort();
        words.dedup();
        Self {
            tables: tables.iter().map(|(name, _)| name.clone()).collect(),
            words,
        }
    }
}

impl Completer for SqlHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..cursor];
        let begin = before
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(0, |at| {
                at + before[at..].chars().next().map_or(1, char::len_utf8)
            });
        let word = before[begin..].to_lowercase();
        if word.is_empty() {
            return Ok((cursor, Vec::new()));
        }
        let before = before[..begin].trim_end().to_uppercase();
        let words = match before.ends_with("FROM") || before.ends_with("JOIN") {
            true => &self.tables,
            false => &self.words,
        };
        let fitting = words
            .iter()
            .filter(|known| known.to_lowercase().starts_with(&word));
        let pairs = fitting.map(|known| Pair {
            display: known.clone(),
            replacement: known.clone(),
        });
        Ok((begin, pairs.collect()))
    }
}

impl Validator for SqlHelper {
    /// A statement goes on until its semicolon.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let is_whole = text.is_empty()
            || text.starts_with('\\')
            || text.ends_with(';')
            || matches!(text, "quit" | "exit" | "help");
        Ok(match is_whole {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Hinter for SqlHelper {
    type Hint = String;
}

impl Highlighter for SqlHelper {}

impl Helper for SqlHelper {}
