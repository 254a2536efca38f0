//! `dynatrail nightly`: what cron starts.

mod dry_run;
mod out;
mod run;
mod settings;
mod told;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::aws::S3Args;
use super::engine::EngineArgs;
use super::report::choice::{ChoiceArgs, LevelArg, SiteArgs};
use super::selection::SelectionArgs;
use super::terminal::LogFormat;
use super::verified::VerifyArgs;
use super::{Cli, Manner, Outcome};
use crate::archive::parse_since;
use crate::report::config::FILE_NAME;

/// Converts what is new, runs the reports, and leaves a folder to read: for cron.
///
/// Only objects that the lake has not converted are fetched, of the key dates since the last
/// complete run and some days before. Whatever ends a run early, the next goes on from there.
/// Every option may stand in [nightly] of dynatrail.toml under its name.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail nightly s3://my-trail-bucket --lake s3://my-lake/dynamodb --out /var/lib/dynatrail
  dynatrail nightly --config /etc/dynatrail.toml --quiet
  dynatrail nightly s3://my-trail-bucket --lake lake --out out --dry-run
  dynatrail nightly s3://my-trail-bucket --lake lake --out out --since 2025-01-01 --until 2025-03-31")]
pub struct Args {
    /// Folders, files, globs or s3://bucket/prefix.
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,

    /// Where the lake is or shall be: a folder or s3://bucket/prefix.
    #[arg(long, value_name = "LAKE")]
    lake: Option<String>,

    /// The folder for index.html, summary.json and a file a report.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Lists what a run would read, estimates bytes, requests and their cost, and changes nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    what: SelectionArgs,

    #[command(flatten)]
    back_fill: BackFillArgs,

    #[command(flatten)]
    budget: BudgetArgs,

    #[command(flatten)]
    integrity: VerifyArgs,

    #[command(flatten)]
    reports: ReportArgs,

    #[command(flatten)]
    tell: TellArgs,

    #[command(flatten)]
    query: EngineArgs,

    #[command(flatten)]
    s3: S3Args,
}

/// Which key dates are listed instead of those since the last run.
#[derive(clap::Args)]
#[command(next_help_heading = "Selection")]
struct BackFillArgs {
    /// First key date (date of delivery, UTC), or a span back such as -7d, to back-fill; reports
    /// look from there on too.
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = key_date)]
    since: Option<Date>,

    /// Last key date, included.
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = key_date)]
    until: Option<Date>,
}

/// How much a run may do; the next goes on from there.
#[derive(clap::Args)]
#[command(next_help_heading = "Budget")]
struct BudgetArgs {
    /// Begins no unit of conversion after so many minutes.
    #[arg(long, value_name = "N")]
    max_minutes: Option<u32>,

    /// Fetches so many compressed bytes at most, the oldest first: 500MB, 20GB, 1TB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes: Option<u64>,
}

/// Which reports run, and over what.
#[derive(clap::Args)]
#[command(next_help_heading = "Reports")]
struct ReportArgs {
    #[command(flatten)]
    choice: ChoiceArgs,

    #[command(flatten)]
    site: SiteArgs,

    /// Event dates that reports look at, back from today.
    #[arg(long, value_name = "N", default_value_t = 7)]
    days: u16,

    /// Exits with 4 where a report of this level or a graver one has a finding.
    #[arg(long, value_enum, value_name = "LEVEL")]
    fail_on: Option<LevelArg>,
}

/// How a run tells of itself.
#[derive(clap::Args)]
#[command(next_help_heading = "Telling")]
struct TellArgs {
    /// How lines on stderr are written.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// Writes Prometheus metrics into this file, for node_exporter's textfile collector.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
}

/// A date, or the date of an instant or of a span back.
fn key_date(text: &str) -> Result<Date, String> {
    let instant = parse_since(text, Timestamp::now()).map_err(|error| error.to_string())?;
    Ok(TimeZone::UTC.to_datetime(instant).date())
}

/// `500MB`, `20GB`, `1TB`, or bytes.
fn size(text: &str) -> Result<u64, String> {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err("a size such as 500MB, 20GB or 1TB".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a size such as 500MB, 20GB or 1TB".to_owned())?;
    number
        .checked_mul(factor)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "more than nothing, and less than 18 EB".to_owned())
}

/// The arguments with those of the configuration file behind them, if it is a command that reads its
/// options from a file, and there is one.
pub fn with_file(arguments: Vec<OsString>, matches: &ArgMatches) -> anyhow::Result<Option<Cli>> {
    let Some(given) = matches.subcommand_matches("nightly") else {
        return Ok(None);
    };
    let named = given.get_one::<PathBuf>("config").cloned();
    let own = PathBuf::from(FILE_NAME);
    let Some(path) = named.or_else(|| own.is_file().then_some(own)) else {
        return Ok(None);
    };
    let command = Cli::command();
    let nightly = command
        .find_subcommand("nightly")
        .context("the command line has a nightly")?;
    let of_file = settings::arguments_of_file(&path, nightly, given)?;
    let at = arguments.iter().position(|argument| argument == "nightly");
    let at = at.context("the command line says nightly")? + 1;
    let mut merged = arguments;
    merged.splice(at..at, of_file);
    let matches = Cli::command().try_get_matches_from(merged);
    let matches = matches.map_err(|error| {
        let text = error.render().to_string();
        anyhow::anyhow!("with [nightly] of {}: {text}", path.display())
    })?;
    Ok(Some(Cli::from_arg_matches(&matches)?))
}

pub fn run(args: &Args, manner: Manner) -> anyhow::Result<Outcome> {
    let lake = args
        .lake
        .as_deref()
        .context("which lake? Say it with --lake, or as nightly.lake in dynatrail.toml")?;
    anyhow::ensure!(
        !args.sources.is_empty(),
        "which archive? Name a source, or nightly.sources in dynatrail.toml"
    );
    if args.dry_run {
        return dry_run::dry_run(args, lake, manner);
    }
    let out = args
        .out
        .as_deref()
        .context("where to? Say it with --out, or as nightly.out in dynatrail.toml")?;
    run::run(args, lake, out, manner)
}
