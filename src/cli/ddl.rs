//! `dynatrail ddl`: SQL that declares a lake to Athena, DuckDB or Spark.

use std::io::Write;

use anyhow::{Context, bail};

use super::Outcome;
use super::aws::{S3Args, runtime};
use crate::lake::LakeState;
use crate::lake::ddl::{Declaration, Dialect, Relation};

/// Prints SQL that declares a lake to Athena, DuckDB or Spark.
///
/// It declares the tables events, operations and receipts, the view cloudtrail, which has the columns
/// that AWS documents for CloudTrail tables, so that published queries run on the lake, and the view
/// sightings, of who was seen at which table on which day, which some reports read.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail ddl duckdb --lake /tmp/lake > lake.sql && duckdb -init lake.sql
  dynatrail ddl spark --lake s3://my-lake/dynamodb --location s3a://my-lake/dynamodb > lake.sql
  dynatrail ddl athena --lake /tmp/lake --location s3://my-lake/dynamodb --prefix ddb_
  dynatrail ddl athena --lake s3://my-lake/dynamodb --only cloudtrail")]
pub struct Args {
    /// Whose SQL.
    #[arg(value_enum)]
    engine: Engine,

    /// A folder or s3://bucket/prefix.
    #[arg(long, value_name = "LAKE")]
    lake: String,

    /// Where the engine shall read, if elsewhere: s3://bucket/prefix of a lake that is still in
    /// a folder.
    #[arg(long, value_name = "PLACE")]
    location: Option<String>,

    /// Stands before each name: ddb_ for ddb_events, ddb_operations, ddb_receipts, ddb_cloudtrail and
    /// ddb_sightings.
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = prefix)]
    prefix: String,

    /// Prints this one's statement alone, without comments and semicolon.
    #[arg(long, value_enum, value_name = "NAME")]
    only: Option<Only>,

    #[command(flatten)]
    s3: S3Args,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum Engine {
    Athena,
    Duckdb,
    Spark,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum Only {
    Events,
    Operations,
    Receipts,
    Integrity,
    Cloudtrail,
    Sightings,
}

fn prefix(text: &str) -> Result<String, String> {
    let is_name = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    match is_name && !text.starts_with(|c: char| c.is_ascii_digit() || c == '_') {
        true => Ok(text.to_owned()),
        false => Err("lower-case letters, digits and _, a letter first".to_owned()),
    }
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let store = args.s3.open_store(&args.lake, runtime.handle())?;
    let location = location(args)?;
    let state = LakeState::load(&store)?;
    if !state.unfinished.is_empty() {
        eprintln!(
            "dynatrail: an earlier convert into this lake has not ended: until one does, \
             other engines may see events twice or not at all"
        );
    }
    let dialect = match args.engine {
        Engine::Athena => Dialect::Athena,
        Engine::Duckdb => Dialect::DuckDb,
        Engine::Spark => Dialect::Spark,
    };
    let today = jiff::Timestamp::now().to_string();
    let parts = state.parts();
    let declaration =
        Declaration::new(dialect, &location, &parts, &today[..10])?.with_prefix(&args.prefix);
    let mut sql = match args.only {
        None => declaration.script(),
        Some(Only::Events) => declaration.statement(Relation::Events),
        Some(Only::Operations) => declaration.statement(Relation::Operations),
        Some(Only::Receipts) => declaration.statement(Relation::Receipts),
        Some(Only::Integrity) => declaration.statement(Relation::Integrity),
        Some(Only::Cloudtrail) => declaration.statement(Relation::CloudTrail),
        Some(Only::Sightings) => declaration.statement(Relation::Sightings),
    };
    if !sql.ends_with('\n') {
        sql.push('\n');
    }
    std::io::stdout().write_all(sql.as_bytes())?;
    Ok(Outcome::Complete)
}

/// Where the engine reads: a URI, or a folder's absolute path, since an engine may be started
/// anywhere.
fn location(args: &Args) -> anyhow::Result<String> {
    let place = args.location.as_deref().unwrap_or(&args.lake);
    if matches!(args.engine, Engine::Athena) {
        let bucket = place.strip_prefix("s3://").unwrap_or_default();
        if bucket.is_empty() || bucket.starts_with('/') {
            bail!(
                "Athena reads S3 only, and {place} is not there: \
                 say with --location s3://bucket/prefix where the lake will be"
            );
        }
    }
    if place.contains("://") {
        return Ok(place.to_owned());
    }
    let path = std::path::absolute(place).with_context(|| format!("cannot resolve {place}"))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))
}
