//! `dynatrail query`: any SQL over a lake, once or at a prompt.

use std::io::{BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::Outcome;
use super::aws::{S3Args, runtime};
use super::engine::EngineArgs;
use super::prompt::prompt;
use super::terminal;
use crate::lake::LakeState;
use crate::query::{Rows, Schema, Session};
use crate::render::{Format, Layout, RowWriter, cell};

/// Answers SQL over a lake: the tables events, operations and receipts, the view cloudtrail, which
/// has the columns that AWS documents for CloudTrail tables, and the view sightings, of who was seen
/// at which table on which day.
///
/// Without a statement it reads statements at a prompt, or from a pipe. A lake can only be read.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail query 'SELECT principal, count(*) AS calls FROM events GROUP BY 1' --lake /tmp/lake
  dynatrail query --file question.sql --lake s3://my-lake/dynamodb --format csv > answer.csv
  dynatrail query \"EXPLAIN ANALYZE SELECT count(*) FROM events WHERE dt = '2025-03-12'\" --lake lake
  dynatrail query --lake /tmp/lake")]
pub struct Args {
    /// The statement.
    #[arg(conflicts_with = "file")]
    sql: Option<String>,

    /// Reads the statement from a file.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// A folder or s3://bucket/prefix.
    #[arg(long, value_name = "LAKE")]
    lake: String,

    #[arg(long, value_enum, default_value = "table")]
    format: RowFormat,

    /// Rows that a table shows; those beyond are counted. Other formats write all.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_rows: usize,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    s3: S3Args,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    Table,
    /// An array of objects.
    Json,
    /// One object a line.
    Ndjson,
    Csv,
    Markdown,
    Parquet,
}

impl RowFormat {
    fn format(self) -> Format {
        match self {
            Self::Table => Format::Table,
            Self::Json => Format::Json,
            Self::Ndjson => Format::Ndjson,
            Self::Csv => Format::Csv,
            Self::Markdown => Format::Markdown,
            Self::Parquet => Format::Parquet,
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let stdout = std::io::stdout();
    if args.format == RowFormat::Parquet && stdout.is_terminal() {
        bail!("Parquet is no text: send it to a file with > answer.parquet");
    }
    let statement = match (&args.sql, &args.file) {
        (Some(sql), _) => Some(sql.clone()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path);
            Some(text.with_context(|| format!("cannot read {}", path.display()))?)
        }
        (None, None) if std::io::stdin().is_terminal() => None,
        (None, None) => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.context("cannot read the statement from stdin")?;
            Some(text)
        }
    };
    let runtime = runtime()?;
    let store = args.s3.open_store(&args.lake, runtime.handle())?;
    let lake = LakeState::load(&store)?;
    let session = Session::open(
        &store,
        &lake,
        &args.engine.options(&args.lake, runtime.handle())?,
    )?;
    match statement {
        Some(statement) => answer(&session, &statement, args)?,
        None => prompt(&session, |statement| answer(&session, statement, args))?,
    }
    Ok(Outcome::Complete)
}

/// Writes the answer to one statement.
fn answer(session: &Session, statement: &str, args: &Args) -> anyhow::Result<()> {
    let layout = Layout {
        width: terminal::width(),
        max_rows: args.max_rows,
        color: terminal::wants_color_on_stdout(),
    };
    let rows = session.run(statement.trim().trim_end_matches(';'), &[])?;
    let mut out = BufWriter::new(std::io::stdout());
    let schema = rows.schema();
    if args.format == RowFormat::Table && is_plan(&schema) {
        return write_plan(rows, &mut out);
    }
    let mut writer = RowWriter::new(args.format.format(), &schema, layout, &mut out)?;
    for batch in rows {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    out.flush()?;
    Ok(())
}

/// Whether rows are what EXPLAIN answers.
fn is_plan(schema: &Schema) -> bool {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    names.eq(["plan_type", "plan"])
}

/// Writes a plan as the tree that it is.
fn write_plan(rows: Rows<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    for batch in rows {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                let text = cell::text(column, row).unwrap_or_default();
                writeln!(out, "{}", terminal::printable(text.trim_end()))?;
            }
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(())
}
