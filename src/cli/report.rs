//! `dynatrail report`: runs packaged reports over a lake, lists them, or prints their SQL.

mod catalogue;
pub mod choice;
pub mod output;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use jiff::civil::Date;

use self::choice::{ChoiceArgs, LevelArg, SiteArgs};
use super::Outcome;
use super::aws::{S3Args, runtime};
use super::engine::EngineArgs;
use crate::lake::LakeState;
use crate::query::Session;
use crate::render::Format;
use crate::report::catalogue::{Catalogue, Report};
use crate::report::gather::Scope;
use crate::report::parameter::Engine;
use crate::report::result::Answer;
use crate::report::run::{MAX_ROWS, Request, run as run_reports};

/// Runs packaged reports over a lake. Each ends in finding, clean, not recorded or incomplete, and
/// says what that rests on.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail report --list
  dynatrail report table-deleted deletes-per-principal --lake /tmp/lake
  dynatrail report --topic destruction --lake /tmp/lake --since 2025-03-12 --format html > page.html
  dynatrail report --all --lake s3://my-lake/dynamodb --out reports --format csv --fail-on high
  dynatrail report item-history --lake /tmp/lake --table orders --param key_value=o-1042
  dynatrail report --sql table-deleted --engine athena")]
pub struct Args {
    /// Names of reports.
    #[arg(conflicts_with_all = ["all", "topic", "tag", "level"])]
    names: Vec<String>,

    /// Runs all reports.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    choice: ChoiceArgs,

    #[command(flatten)]
    site: SiteArgs,

    /// Lists the reports instead of running them.
    #[arg(long, conflicts_with_all = ["show", "sql", "catalogue"])]
    list: bool,

    /// Shows what a report is: its description, parameters and columns.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["sql", "catalogue"])]
    show: Option<String>,

    /// Prints a report's SQL with the parameters in their places.
    #[arg(long, value_name = "NAME", conflicts_with = "catalogue")]
    sql: Option<String>,

    /// Whose SQL --sql prints.
    #[arg(long, value_enum, default_value = "datafusion")]
    engine: EngineArg,

    /// Prints the catalogue page.
    #[arg(long, hide = true)]
    catalogue: bool,

    /// A folder or s3://bucket/prefix.
    #[arg(long, value_name = "LAKE")]
    lake: Option<String>,

    #[command(flatten)]
    scope: ScopeArgs,

    /// A report's parameter, as name=value; again for each value of a list.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    param: Vec<(String, String)>,

    #[arg(long, value_enum, default_value = "table")]
    format: ReportFormat,

    /// Writes a file a report, and summary.json, into this folder; HTML as one page.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Exits with 4 where a report of this level or a graver one has a finding.
    #[arg(long, value_enum, value_name = "LEVEL")]
    fail_on: Option<LevelArg>,

    /// Rows that a table on the terminal shows; those beyond are counted.
    #[arg(long, value_name = "N", default_value_t = 50)]
    max_rows: usize,

    #[command(flatten)]
    query: EngineArgs,

    #[command(flatten)]
    s3: S3Args,
}

/// Which events the reports look at.
#[derive(clap::Args)]
#[command(next_help_heading = "Scope")]
pub(super) struct ScopeArgs {
    /// First event date, UTC: YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    pub(super) since: Option<Date>,

    /// Last event date, UTC, included.
    #[arg(long, value_name = "DATE")]
    pub(super) until: Option<Date>,

    /// Only events recorded for this account.
    #[arg(long, value_name = "ID", default_value = "")]
    pub(super) account: String,

    #[arg(long, value_name = "NAME", default_value = "")]
    pub(super) region: String,

    #[arg(long, value_name = "NAME", default_value = "")]
    pub(super) table: String,

    /// As in the column principal: a role's or user's ARN, or a service.
    #[arg(long, value_name = "ARN", default_value = "")]
    pub(super) principal: String,
}

impl ScopeArgs {
    pub(super) fn scope(&self) -> anyhow::Result<Scope> {
        if let (Some(since), Some(until)) = (self.since, self.until) {
            anyhow::ensure!(since <= until, "--since {since} is after --until {until}");
        }
        Ok(Scope {
            since: self.since.map(|date| date.to_string()),
            until: self.until.map(|date| date.to_string()),
            account: self.account.clone(),
            region: self.region.clone(),
            table: self.table.clone(),
            principal: self.principal.clone(),
        })
    }
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum ReportFormat {
    Table,
    Json,
    /// One object a line: a report, then its rows.
    Ndjson,
    Csv,
    Markdown,
    /// One page for the run.
    Html,
    Parquet,
}

impl ReportFormat {
    fn format(self) -> Format {
        match self {
            Self::Table => Format::Table,
            Self::Json => Format::Json,
            Self::Ndjson => Format::Ndjson,
            Self::Csv => Format::Csv,
            Self::Markdown => Format::Markdown,
            Self::Html => Format::Html,
            Self::Parquet => Format::Parquet,
        }
    }
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum EngineArg {
    Athena,
    Duckdb,
    Datafusion,
    Spark,
}

impl EngineArg {
    fn engine(self) -> Engine {
        match self {
            Self::Athena => Engine::Athena,
            Self::Duckdb => Engine::DuckDb,
            Self::Datafusion => Engine::DataFusion,
            Self::Spark => Engine::Spark,
        }
    }
}

pub(super) fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let catalogue = args.site.catalogue()?;
    if args.catalogue {
        return catalogue::write_page(&catalogue);
    }
    if let Some(name) = &args.show {
        return catalogue::show(&*catalogue.find(name)?);
    }
    if args.list {
        return catalogue::list(&wanted(args, &catalogue)?);
    }
    let reports = match &args.sql {
        Some(name) => vec![catalogue.find(name)?],
        None => wanted(args, &catalogue)?,
    };
    let request = request(args, &catalogue, reports)?;
    if args.sql.is_some() {
        return print_sql(args, &request);
    }
    anyhow::ensure!(
        !args.names.is_empty() || args.all || args.choice.is_narrowed(),
        "which reports? Name some, or say --all, --topic, --level or --tag; --list shows them"
    );
    let place = args
        .lake
        .as_deref()
        .context("which lake? Say it with --lake")?;
    output::check(
        args.format.format(),
        args.out.as_deref(),
        request.reports.len(),
    )?;
    let runtime = runtime()?;
    let store = args.s3.open_store(place, runtime.handle())?;
    let lake = LakeState::load(&store)?;
    let session = Session::open(&store, &lake, &args.query.options(place, runtime.handle())?)?;
    let run = run_reports(&session, &lake, place, &request)?;
    output::write(
        &run,
        args.format.format(),
        args.out.as_deref(),
        args.max_rows,
    )?;
    for result in run.results.iter().filter(|result| result.has_failed) {
        let reason = result.reasons.first().map_or("", String::as_str);
        super::terminal::tell(&format!("dynatrail: {}: {reason}", result.report.name));
    }
    let fails = args.fail_on.map(LevelArg::level);
    if fails.is_some_and(|level| run.gravest_finding().is_some_and(|found| found >= level)) {
        return Ok(Outcome::Findings);
    }
    let is_incomplete = run
        .results
        .iter()
        .any(|result| result.answer == Answer::Incomplete);
    Ok(match is_incomplete || !run.evidence.gaps.is_empty() {
        true => Outcome::Incomplete,
        false => Outcome::Complete,
    })
}

/// The reports that are named, or that the topics, levels and tags admit.
fn wanted(args: &Args, catalogue: &Catalogue) -> anyhow::Result<Vec<Arc<Report>>> {
    if args.names.is_empty() {
        return args.choice.fitting(catalogue);
    }
    let mut named: Vec<Arc<Report>> = Vec::new();
    for name in &args.names {
        let report = catalogue.find(name)?;
        if !named.iter().any(|other| other.name == report.name) {
            named.push(report);
        }
    }
    Ok(named)
}

fn request(
    args: &Args,
    catalogue: &Catalogue,
    reports: Vec<Arc<Report>>,
) -> anyhow::Result<Request> {
    Ok(Request {
        reports,
        scope: args.scope.scope()?,
        parameters: parameters(&args.param),
        config: args.site.read_config(catalogue)?,
        today: jiff::Timestamp::now()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date(),
        max_rows: MAX_ROWS,
        interrupted: Arc::default(),
        with_places: matches!(
            args.format,
            ReportFormat::Html | ReportFormat::Json | ReportFormat::Ndjson
        ),
    })
}

/// The texts of each parameter.
pub(super) fn parameters(pairs: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs {
        let texts = parameters.entry(name.clone()).or_default();
        texts.push(value.clone());
    }
    parameters
}

/// Prints one report's statement; patterns of the site are resolved where a lake is given.
fn print_sql(args: &Args, request: &Request) -> anyhow::Result<Outcome> {
    use std::io::Write;
    let session = match &args.lake {
        Some(place) => {
            let runtime = runtime()?;
            let store = args.s3.open_store(place, runtime.handle())?;
            let lake = LakeState::load(&store)?;
            let options = args.query.options(place, runtime.handle())?;
            Some(Session::open(&store, &lake, &options)?)
        }
        None => None,
    };
    let text = crate::report::run::statement(session.as_ref(), request, args.engine.engine())?;
    writeln!(std::io::stdout(), "{}", super::terminal::printable(&text))?;
    Ok(Outcome::Complete)
}
