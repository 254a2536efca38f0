//! `dynatrail evidence`: what proves events or a report's rows, in one folder or tar for the file.

use std::path::PathBuf;

use jiff::civil::Date;

use super::aws::{S3Args, runtime};
use super::report::choice::SiteArgs;
use super::report::{ScopeArgs, name_and_value, parameters};
use super::terminal::tell;
use super::{Manner, Outcome};
use crate::evidence::{Asked, Gathered, Limits, Sources, write};
use crate::lake::LakeState;
use crate::query::{QueryOptions, Session};
use crate::report::run::{MAX_ROWS, Request, run as run_reports};

/// Writes what proves events, or the rows of a report, into one folder or tar: the source objects
/// byte for byte, the records, the rows, the statements and CloudTrail's digests, all with hashes.
///
/// README.txt in it says how to check it with sha256sum, gzip, jq and openssl alone. The same lake
/// and archive give the same bytes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail evidence --lake /tmp/lake --event-id 3d2f0a51-7b1e-4c55-9f0e-1d2c3b4a5f60 --out case-17
  dynatrail evidence --lake s3://my-lake/dynamodb --report table-deleted --since 2025-03-12 --out case-17.tar
  dynatrail evidence --lake /tmp/lake --report item-history --table orders --param key_value=o-1042 --out case-18")]
pub struct Args {
    /// The ID of an event; again for more.
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "report",
        conflicts_with_all = ["report", "since", "until", "account", "region", "table", "principal", "param", "config", "queries"]
    )]
    event_id: Vec<String>,

    /// The report whose rows are to be proved. Its suppressions are not applied.
    #[arg(long, value_name = "NAME")]
    report: Option<String>,

    /// A folder or s3://bucket/prefix.
    #[arg(long, value_name = "LAKE")]
    lake: String,

    /// The new folder, or the file that ends with .tar.
    #[arg(long, value_name = "DIR|FILE.tar")]
    out: PathBuf,

    #[command(flatten)]
    scope: ScopeArgs,

    /// The report's parameter, as name=value; again for each value of a list.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    param: Vec<(String, String)>,

    #[command(flatten)]
    site: SiteArgs,

    #[command(flatten)]
    s3: S3Args,
}

pub fn run(args: &Args, manner: Manner) -> anyhow::Result<Outcome> {
    let request = match &args.report {
        Some(name) => Some(request(args, name)?),
        None => None,
    };
    let runtime = runtime()?;
    let store = args.s3.open_store(&args.lake, runtime.handle())?;
    let lake = LakeState::load(&store)?;
    let session = Session::open(&store, &lake, &QueryOptions::default())?;
    let run = match &request {
        Some(request) => Some(run_reports(&session, &lake, &args.lake, request)?),
        None => None,
    };
    let asked = Asked {
        event_ids: args.event_id.clone(),
        run,
        arguments: arguments(args),
        limits: Limits::default(),
        out: args.out.clone(),
    };
    let sources = Sources {
        session: &session,
        store: &store,
        lake: &lake,
        place: &args.lake,
        s3: args.s3.options(),
        runtime: runtime.handle().clone(),
    };
    let gathered = args
        .s3
        .name_profile(write(&sources, &asked).map_err(Into::into))?;
    if !manner.quiet {
        told(&gathered, args);
    }
    Ok(match gathered.problems.is_empty() {
        true => Outcome::Complete,
        false => Outcome::Incomplete,
    })
}

/// A run of one report that no day and no suppression changes.
fn request(args: &Args, name: &str) -> anyhow::Result<Request> {
    let catalogue = args.site.catalogue()?;
    let mut config = args.site.read_config(&catalogue)?;
    config.suppressions.clear();
    Ok(Request {
        reports: vec![catalogue.find(name)?],
        scope: args.scope.scope()?,
        parameters: parameters(&args.param),
        config,
        today: Date::MIN,
        max_rows: MAX_ROWS,
        with_places: true,
        interrupted: Default::default(),
    })
}

/// The arguments that decide what is in the bundle: not where it stands, nor how S3 is reached.
fn arguments(args: &Args) -> Vec<(String, String)> {
    let scope = &args.scope;
    let date = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
    let mut arguments = vec![("lake".to_owned(), args.lake.clone())];
    for id in &args.event_id {
        arguments.push(("event-id".to_owned(), id.clone()));
    }
    let named = [
        ("report", args.report.clone().unwrap_or_default()),
        ("since", date(scope.since)),
        ("until", date(scope.until)),
        ("account", scope.account.clone()),
        ("region", scope.region.clone()),
        ("table", scope.table.clone()),
        ("principal", scope.principal.clone()),
    ];
    for (name, value) in named.into_iter().filter(|(_, value)| !value.is_empty()) {
        arguments.push((name.to_owned(), value));
    }
    for (name, value) in &args.param {
        arguments.push(("param".to_owned(), format!("{name}={value}")));
    }
    arguments
}

fn told(gathered: &Gathered, args: &Args) {
    for problem in &gathered.problems {
        tell(problem);
    }
    if gathered.digests_found == 0 && gathered.objects > 0 {
        tell(
            "the archive has no digest where those of the objects would be: nothing in the bundle \
             shows that CloudTrail delivered them",
        );
    }
    tell(&format!(
        "{} events, {} records, {} objects and {} digests are in {}",
        gathered.events,
        gathered.records,
        gathered.objects,
        gathered.digests,
        args.out.display()
    ));
}
