//! Runs reports over a lake and says what each ends in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::Schema;
use jiff::civil::Date;

use super::catalogue::Report;
use super::config::{Config, matches};
use super::evidence::Evidence;
use super::gather::{Recorded, Scope, gather};
use super::header::Need;
use super::history::History;
use super::parameter::{Engine, ParameterValue};
use super::place::find_places;
use super::result::{Answer, ReportResult, ReportRun};
use super::rows::{KeptRows, RowKeeper};
use super::standard::{self, Of, Pattern};
use super::suppress;
use crate::lake::LakeState;
use crate::query::{QueryError, Session};

/// Rows of a report that are kept; those beyond are counted.
pub const MAX_ROWS: usize = 50_000;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("report {report}")]
    Query {
        report: String,
        source: Box<QueryError>,
    },
    #[error(transparent)]
    Lake(Box<QueryError>),
    #[error("{0}")]
    Parameter(String),
    #[error("interrupted between two reports")]
    Interrupted,
}

impl From<QueryError> for ReportError {
    fn from(error: QueryError) -> Self {
        Self::Lake(Box::new(error))
    }
}

/// What is asked of a run.
pub struct Request {
    pub reports: Vec<Arc<Report>>,
    pub scope: Scope,
    /// `--param`: name and texts; each must be read by one of the reports.
    pub parameters: BTreeMap<String, Vec<String>>,
    pub config: Config,
    /// The day on which suppressions are looked at.
    pub today: Date,
    /// Rows kept of a report.
    pub max_rows: usize,
    /// Whether to look up where the events of the rows stand in the archive.
    pub with_places: bool,
    /// Set to end the run before the next report.
    pub interrupted: Arc<AtomicBool>,
}

/// Runs the reports over a lake; `place` is the lake as the user named it.
pub fn run(
    session: &Session,
    lake: &LakeState,
    place: &str,
    request: &Request,
) -> Result<ReportRun, ReportError> {
    check_parameters(request)?;
    let (evidence, recorded) = gather(session, lake, place, &request.scope)?;
    let history = History::gather(session, &request.scope, &evidence, &request.reports)?;
    let site = resolve_site(session, request)?;
    let mut results = Vec::new();
    for report in &request.reports {
        if request.interrupted.load(Ordering::Relaxed) {
            return Err(ReportError::Interrupted);
        }
        let values = values_of(report, request, &site)?;
        let mut result = match rows_of(session, report, &values, request) {
            Ok(result) => result,
            // One that fails costs itself alone.
            Err(error) if request.reports.len() > 1 => failed(report, &values, &error),
            Err(source) => {
                return Err(ReportError::Query {
                    report: report.name.clone(),
                    source: Box::new(source),
                });
            }
        };
        let basis = Basis {
            evidence: &evidence,
            recorded: &recorded,
            history: &history,
        };
        conclude(&mut result, &basis, request, &values);
        results.push(result);
    }
    let places = match request.with_places {
        true => find_places(session, &results, &request.scope)?,
        false => BTreeMap::new(),
    };
    Ok(ReportRun {
        evidence,
        results,
        places,
    })
}

/// The one report's statement with its parameters as literals. Without a lake the site's patterns
/// cannot be resolved, and only what has none is taken.
pub fn statement(
    session: Option<&Session>,
    request: &Request,
    engine: Engine,
) -> Result<String, ReportError> {
    check_parameters(request)?;
    let site = match session {
        Some(session) => resolve_site(session, request)?,
        None => request.config.site.clone(),
    };
    let mut text = String::new();
    for report in &request.reports {
        let values = values_of(report, request, &site)?;
        text.push_str(&report.template.text(engine, |name| values.get(name)));
    }
    Ok(text)
}

/// A parameter that no report reads is a mistake.
fn check_parameters(request: &Request) -> Result<(), ReportError> {
    for name in request.parameters.keys() {
        if !request.reports.iter().any(|report| report.reads(name)) {
            let known = request.reports.iter().flat_map(|report| &report.parameters);
            let known: BTreeSet<&str> = known.map(|known| known.name.as_str()).collect();
            let known: Vec<&str> = known.into_iter().collect();
            return Err(ReportError::Parameter(format!(
                "no parameter {name:?}: there are {}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// The values that a report's parameters have: of the command line, of the configuration for the
/// report, of the site, or the default.
pub fn values_of(
    report: &Report,
    request: &Request,
    site: &BTreeMap<String, ParameterValue>,
) -> Result<BTreeMap<String, ParameterValue>, ReportError> {
    let configured = request.config.reports.get(&report.name);
    let mut values = BTreeMap::new();
    for parameter in &report.parameters {
        let name = &parameter.name;
        let value = if let Some(texts) = request.parameters.get(name) {
            ParameterValue::parse(parameter.kind, texts)
                .map_err(|problem| ReportError::Parameter(format!("{name}: {problem}")))?
        } else if let Some(value) = scope_value(&request.scope, name) {
            ParameterValue::Text(value)
        } else if let Some(value) = configured.and_then(|values| values.get(name)) {
            value.clone()
        } else if let Some(value) = site.get(name) {
            value.clone()
        } else {
            parameter.default.clone()
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn scope_value(scope: &Scope, name: &str) -> Option<String> {
    match name {
        "since" => scope.since.clone(),
        "until" => scope.until.clone(),
        "account" => Some(scope.account.clone()),
        "region" => Some(scope.region.clone()),
        "table" => Some(scope.table.clone()),
        "principal" => Some(scope.principal.clone()),
        _ => None,
    }
}

/// The site's settings with its patterns resolved to what the lake holds, so that statements
/// compare exact values in every engine.
fn resolve_site(
    session: &Session,
    request: &Request,
) -> Result<BTreeMap<String, ParameterValue>, ReportError> {
    let mut site = request.config.site.clone();
    for (name, value) in &mut site {
        let Some(Of::Site(pattern)) = standard::find(name).map(|standard| standard.of) else {
            continue;
        };
        let (ParameterValue::TextList(texts), Some(column)) = (value, pattern.column()) else {
            continue;
        };
        let is_read = request.reports.iter().any(|report| report.reads(name));
        if texts.is_empty() || !is_read {
            continue;
        }
        let held = held(session, column)?;
        let wanted = held.into_iter().filter(|text| {
            let mut patterns = texts.iter();
            patterns.any(|wanted| pattern.holds(wanted, text))
        });
        let mut resolved: BTreeSet<String> = wanted.collect();
        // What the lake does not hold yet stands in the printed statement all the same.
        resolved.extend(
            texts
                .iter()
                .filter(|text| !text.contains(['*', '/']))
                .cloned(),
        );
        *texts = resolved.into_iter().collect();
    }
    Ok(site)
}

impl Pattern {
    /// The column of `operations` that has the values for the pattern.
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Exact => None,
            Self::Principal => Some("principal"),
            Self::Table => Some("table_name"),
            Self::Address => Some("source_ip_address"),
        }
    }

    fn holds(self, pattern: &str, text: &str) -> bool {
        match self {
            Self::Exact => pattern == text,
            Self::Principal | Self::Table => matches(pattern, text),
            Self::Address => pattern == text || is_within(pattern, text).unwrap_or(false),
        }
    }
}

/// Whether an address lies in a CIDR block such as 10.0.0.0/8 or 2001:db8::/32.
fn is_within(block: &str, address: &str) -> Option<bool> {
    use std::net::IpAddr;
    let (network, length) = block.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let (network, width) = bits(network.parse().ok()?);
    let (address, own_width) = bits(address.parse().ok()?);
    if width != own_width || length > width {
        return Some(false);
    }
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    Some(network & mask == address & mask)
}

/// The distinct values of a column of `events`.
fn held(session: &Session, column: &str) -> Result<Vec<String>, QueryError> {
    let sql = format!("SELECT DISTINCT {column} FROM events WHERE {column} IS NOT NULL");
    let mut held = Vec::new();
    for batch in session.run(&sql, &[])? {
        let batch = batch?;
        let texts = batch.column(0).as_string::<i32>();
        held.extend(texts.iter().flatten().map(str::to_owned));
    }
    Ok(held)
}

fn rows_of(
    session: &Session,
    report: &Arc<Report>,
    values: &BTreeMap<String, ParameterValue>,
    request: &Request,
) -> Result<ReportResult, QueryError> {
    let value = |name: &str| values.get(name);
    let (sql, bound) = report.template.bind(value);
    let rows = session.run(&sql, &bound)?;
    let mut result = without_rows(report, values);
    result.schema = rows.schema();
    let mut suppressor = suppress::Suppressor::new(report, &request.config, request.today);
    let mut keeper = RowKeeper::new(rows.schema())?;
    // Without what it asks for, a report would list everything there is.
    let batches = rows.take(if is_asked(report, values) {
        usize::MAX
    } else {
        0
    });
    for batch in batches {
        let batch = batch?;
        result.row_count += batch.num_rows() as u64;
        let suppressed = suppressor.look(&batch)?;
        let room = batch.num_rows().min(request.max_rows - keeper.count());
        keeper.keep(&batch.slice(0, room))?;
        result.suppressed.extend(suppressed.into_iter().take(room));
    }
    result.rows = keeper.finish()?;
    if result.suppressed.iter().all(Option::is_none) {
        result.suppressed = Vec::new();
    }
    (result.suppressions, result.reasons) = suppressor.finish();
    Ok(result)
}

/// A report's result before any row is found.
fn without_rows(report: &Arc<Report>, values: &BTreeMap<String, ParameterValue>) -> ReportResult {
    let parameters = report.parameters.iter().map(|parameter| {
        let value = values.get(&parameter.name).unwrap_or(&parameter.default);
        (parameter.name.clone(), value.in_words())
    });
    ReportResult {
        report: report.clone(),
        answer: Answer::Clean,
        has_failed: false,
        reasons: Vec::new(),
        parameters: parameters.collect(),
        sql: report
            .template
            .text(Engine::DataFusion, |name| values.get(name)),
        schema: Arc::new(Schema::empty()),
        rows: KeptRows::default(),
        row_count: 0,
        suppressed: Vec::new(),
        suppressions: Vec::new(),
    }
}

fn failed(
    report: &Arc<Report>,
    values: &BTreeMap<String, ParameterValue>,
    error: &QueryError,
) -> ReportResult {
    let mut result = without_rows(report, values);
    result.has_failed = true;
    result.reasons.push(format!("the report failed: {error}"));
    result
}

/// What an answer rests on beside the rows.
struct Basis<'r> {
    evidence: &'r Evidence,
    recorded: &'r Recorded,
    history: &'r History,
}

/// Says what a report ends in, and why.
fn conclude(
    result: &mut ReportResult,
    basis: &Basis,
    request: &Request,
    values: &BTreeMap<String, ParameterValue>,
) {
    let (evidence, recorded) = (basis.evidence, basis.recorded);
    let report = result.report.clone();
    let scope = &request.scope;
    let table = match report.reads("table") {
        true => scope.table.as_str(),
        false => "",
    };
    let needs = &report.header.needs;
    let missing: Vec<&Need> = needs
        .iter()
        .filter(|need| !recorded.has(need, table))
        .collect();
    let of_table = match table {
        "" => String::new(),
        table => format!(" of table {table}"),
    };
    for need in &missing {
        let reason = format!("{}{of_table} were not recorded", need.in_words());
        result.reasons.push(reason);
    }
    let is_asked = is_asked(&report, values);
    if !is_asked {
        let asks = report.header.asks.join(", ");
        result
            .reasons
            .push(format!("there is nothing to look for: give {asks}"));
    }
    for need in needs.iter().filter(|need| !missing.contains(need)) {
        let without = recorded.places_without(need);
        if matches!(need, Need::Control | Need::DataRead | Need::DataWrite) && !without.is_empty() {
            let reason = format!(
                "{} were not recorded in {}",
                need.in_words(),
                without.join(", ")
            );
            result.reasons.push(reason);
        }
    }
    let baseline = basis.history.too_short(&report, values);
    let is_whole = evidence.gaps.is_empty() && baseline.is_none();
    result.reasons.extend(baseline);
    result.reasons.extend(evidence.gaps.iter().cloned());
    for (name, value) in [("table", &scope.table), ("principal", &scope.principal)] {
        if !value.is_empty() && !report.reads(name) {
            result.reasons.push(format!("not narrowed by --{name}"));
        }
    }
    result.answer = if result.has_failed {
        Answer::Incomplete
    } else if result.open_rows() > 0 {
        Answer::Finding
    } else if !missing.is_empty() || !is_asked {
        Answer::NotRecorded
    } else if !is_whole {
        Answer::Incomplete
    } else {
        Answer::Clean
    };
}

/// Whether one of the parameters without which a report looks for nothing is given.
fn is_asked(report: &Report, values: &BTreeMap<String, ParameterValue>) -> bool {
    let asks = &report.header.asks;
    asks.is_empty()
        || report.parameters.iter().any(|parameter| {
            asks.contains(&parameter.name)
                && values.get(&parameter.name) != Some(&parameter.default)
        })
}

#[cfg(test)]
mod tests {
    use super::is_within;

    #[test]
    fn addresses_lie_in_blocks() {
        for (block, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", Some(true)),
            ("10.0.0.0/8", "11.0.0.1", Some(false)),
            ("0.0.0.0/0", "203.0.113.9", Some(true)),
            ("203.0.113.9/32", "203.0.113.9", Some(true)),
            ("203.0.113.9/33", "203.0.113.9", Some(false)),
            ("2001:db8::/32", "2001:db8:1::1", Some(true)),
            ("2001:db8::/32", "10.0.0.1", Some(false)),
            ("::/0", "10.0.0.1", Some(false)),
            ("10.0.0.0/8", "dynamodb.amazonaws.com", None),
            ("10.0.0.1", "10.0.0.1", None),
        ] {
            assert_eq!(is_within(block, address), expected, "{block} {address}");
        }
    }
}
