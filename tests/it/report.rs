//! Every packaged report is proven by its cases, and gives the same rows in every engine.
//!
//! A case file `tests/report/<topic>/<name>.json` has records that must be found and near misses
//! that must not; a lake is built from them by the real converter, and the rows are compared in
//! full.

mod engines;
pub mod records;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use dynatrail::lake::{LakeState, Store};
use dynatrail::query::{QueryOptions, Session};
use dynatrail::render::json;
use dynatrail::report::catalogue::{Catalogue, Report};
use dynatrail::report::config::Config;
use dynatrail::report::finding::finding_id;
use dynatrail::report::gather::Scope;
use dynatrail::report::header::Level;
use dynatrail::report::parameter::{Engine, ParameterValue};
use dynatrail::report::result::ReportRun;
use dynatrail::report::run::{MAX_ROWS, Request, run, statement};
use dynatrail::report::standard;
use rayon::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

/// A case with the lake that was built for it.
struct Case {
    report: Arc<Report>,
    name: String,
    parameters: BTreeMap<String, Vec<String>>,
    expected_answer: String,
    expected_rows: Vec<Value>,
    lake: PathBuf,
}

struct Cases {
    cases: Vec<Case>,
    _folder: TempDir,
}

fn catalogue() -> Catalogue {
    Catalogue::packaged().expect("the packaged reports are sound")
}

/// The cases of all reports, with their lakes; built once.
fn cases() -> &'static Cases {
    static CASES: OnceLock<Cases> = OnceLock::new();
    CASES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let reports = catalogue().reports;
        let files: Vec<(Arc<Report>, Value)> = reports
            .into_iter()
            .map(|report| {
                let path = format!("tests/report/{}/{}.json", report.topic, report.name);
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
                let text = std::fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let file = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                (report, file)
            })
            .collect();
        let cases = files
            .par_iter()
            .flat_map_iter(|(report, file)| {
                let cases = file["cases"].as_array().expect("a list of cases");
                cases.iter().enumerate().map(|(number, case)| {
                    let place = folder.path().join(format!("{}-{number}", report.name));
                    build(report, case, &place)
                })
            })
            .collect();
        Cases {
            cases,
            _folder: folder,
        }
    })
}

fn build(report: &Arc<Report>, case: &Value, place: &Path) -> Case {
    let records = records::expand(&case["records"]);
    records::write_archive(&records, &place.join("archive"));
    let output = Command::new(env!("CARGO_BIN_EXE_dynatrail"))
        .args(["convert", "archive", "--lake", "lake", "--all", "--quiet"])
        .current_dir(place)
        .output()
        .expect("the binary runs");
    assert!(
        output.status.success(),
        "{}: {}",
        report.name,
        String::from_utf8_lossy(&output.stderr)
    );
    let parameters = case["parameters"].as_object().cloned().unwrap_or_default();
    let parameters = parameters.into_iter().map(|(name, value)| {
        let texts = match value {
            Value::Array(values) => values.iter().map(text).collect(),
            value => vec![text(&value)],
        };
        (name, texts)
    });
    let text = |member: &str| case[member].as_str().unwrap_or_default().to_owned();
    Case {
        report: report.clone(),
        name: text("name"),
        parameters: parameters.collect(),
        expected_answer: text("answer"),
        expected_rows: case["rows"].as_array().expect("a list of rows").clone(),
        lake: place.join("lake"),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The request of a case: what the command line would make of its parameters.
fn request(case: &Case) -> Request {
    let mut parameters = case.parameters.clone();
    let mut config = Config::default();
    let site: Vec<String> = parameters
        .keys()
        .filter(|name| {
            standard::find(name).is_some_and(|known| matches!(known.of, standard::Of::Site(_)))
        })
        .cloned()
        .collect();
    for name in site {
        let texts = parameters.remove(&name).expect("it is there");
        let kind = standard::find(&name).expect("it is standard").kind;
        let value = ParameterValue::parse(kind, &texts).expect("a value of its type");
        config.site.insert(name, value);
    }
    let mut take = |name: &str| parameters.remove(name).map(|mut texts| texts.remove(0));
    let scope = Scope {
        since: take("since"),
        until: take("until"),
        account: take("account").unwrap_or_default(),
        region: take("region").unwrap_or_default(),
        table: take("table").unwrap_or_default(),
        principal: take("principal").unwrap_or_default(),
    };
    Request {
        reports: vec![case.report.clone()],
        scope,
        parameters,
        config,
        today: jiff::civil::date(2025, 3, 31),
        max_rows: MAX_ROWS,
        interrupted: Default::default(),
        with_places: false,
    }
}

fn run_case(case: &Case) -> ReportRun {
    run_request(case, |_| ())
}

/// Runs a case in another scope than its own.
fn run_request(case: &Case, change: impl Fn(&mut Scope)) -> ReportRun {
    let mut request = request(case);
    change(&mut request.scope);
    let store = Store::local(&case.lake);
    let lake = LakeState::load(&store).expect("a lake");
    let options = QueryOptions {
        threads: Some(1),
        ..QueryOptions::default()
    };
    let session = Session::open(&store, &lake, &options).expect("a session");
    run(&session, &lake, "lake", &request).unwrap_or_else(|error| {
        let mut text = format!("{}: {}: {error}", case.report.name, case.name);
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        panic!("{text}")
    })
}

fn rows(run: &ReportRun) -> Vec<Value> {
    let result = &run.results[0];
    let mut rows = Vec::new();
    for batch in result.rows.batches() {
        for row in 0..batch.num_rows() {
            let text = json::object(&result.schema, &batch, row);
            rows.push(serde_json::from_str(&text).expect("a row is JSON"));
        }
    }
    rows
}

#[test]
fn every_report_finds_what_its_cases_say() {
    let failures: Vec<String> = cases()
        .cases
        .par_iter()
        .filter_map(|case| {
            let run = run_case(case);
            let (rows, answer) = (rows(&run), run.results[0].answer.as_str());
            let schema = &run.results[0].schema;
            let found: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            let header = case.report.header.columns.0.iter();
            let declared: Vec<&str> = header.map(|(name, _)| name.as_str()).collect();
            if found != declared {
                return Some(format!("{}: {found:?} but {declared:?}", case.report.name));
            }
            if let Some(problem) = shared_identity(&run) {
                return Some(format!("{}: {}: {problem}", case.report.name, case.name));
            }
            let lines = |rows: &[Value]| {
                let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
                lines.join("\n    ")
            };
            if rows == case.expected_rows && answer == case.expected_answer {
                return None;
            }
            Some(format!(
                "{}: {}\n  {answer} {:?}, expected {}\n  found\n    {}\n  expected\n    {}",
                case.report.name,
                case.name,
                run.results[0].reasons,
                case.expected_answer,
                lines(&rows),
                lines(&case.expected_rows),
            ))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(!cases().cases.is_empty());
}

#[test]
fn every_report_is_proven_by_what_it_finds_and_what_it_does_not() {
    let mut answers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for case in &cases().cases {
        answers
            .entry(&case.report.name)
            .or_default()
            .push(&case.expected_answer);
    }
    for report in &catalogue().reports {
        let answers = &answers[report.name.as_str()];
        assert!(
            answers.contains(&"finding"),
            "{}: nothing is found",
            report.name
        );
        assert!(
            answers.iter().any(|answer| *answer != "finding"),
            "{}: nothing is not found",
            report.name
        );
    }
}

#[test]
fn every_report_that_suspects_says_which_finding_a_row_is() {
    // What grows, is one of several, or moves with the window.
    let unstable = ["last_seen", "calls", "events", "operations", "threshold"];
    for report in &catalogue().reports {
        let header = &report.header;
        let suspects = header.level > Level::Informational;
        assert_eq!(suspects, !header.identity.is_empty(), "{}", report.name);
        for column in &header.identity {
            assert!(
                !unstable.contains(&column.as_str()),
                "{}: {column}",
                report.name
            );
            let mut columns = header.columns.0.iter();
            let (_, about) = columns
                .find(|(name, _)| name == column)
                .expect("the header was checked");
            let mut of_samples = ["one of", "One of", "How many"].iter();
            let is_sample = of_samples.any(|words| about.contains(words));
            assert!(!is_sample, "{}: {column}: {about}", report.name);
        }
    }
}

/// What is wrong where two rows share an identity, which no rows do.
fn shared_identity(run: &ReportRun) -> Option<String> {
    let result = &run.results[0];
    let mut ids = BTreeMap::new();
    for batch in result.rows.batches() {
        for row in 0..batch.num_rows() {
            let id = finding_id(&result.report, &batch, row).expect("plain types");
            let text = json::object(&result.schema, &batch, row);
            if let Some(id) = id
                && let Some(other) = ids.insert(id, text.clone())
            {
                return Some(format!("one identity: {other}\n    {text}"));
            }
        }
    }
    None
}

/// Ids and rows of a case, with another window.
fn ids_within(case: &Case, since: Option<&str>, until: Option<&str>) -> BTreeMap<String, String> {
    let run = run_request(case, |scope| {
        scope.since = since.map(str::to_owned);
        scope.until = until.map(str::to_owned);
    });
    let result = &run.results[0];
    let mut ids = BTreeMap::new();
    for batch in result.rows.batches() {
        for row in 0..batch.num_rows() {
            let id = finding_id(&case.report, &batch, row).expect("plain types");
            let text = json::object(&result.schema, &batch, row);
            ids.extend(id.map(|id| (id, text)));
        }
    }
    ids
}

#[test]
fn an_identity_stays_as_the_window_moves() {
    let failures: Vec<String> = cases()
        .cases
        .par_iter()
        .filter_map(|case| {
            let text = serde_json::to_string(&case.expected_rows).expect("JSON");
            let days = (1..=31).map(|day| format!("2025-03-{day:02}"));
            let days: Vec<String> = days.filter(|day| text.contains(day.as_str())).collect();
            let is_windowed = ["since", "until"]
                .iter()
                .any(|name| case.parameters.contains_key(*name));
            let (Some(first), Some(last)) = (days.first(), days.last()) else {
                return None;
            };
            if first == last || is_windowed || case.report.header.identity.is_empty() {
                return None;
            }
            let whole = ids_within(case, None, None);
            let mut narrow = ids_within(case, Some(last), None);
            narrow.extend(ids_within(case, None, Some(first)));
            narrow.retain(|id, _| !whole.contains_key(id));
            let (name, rows) = (&case.report.name, narrow.values());
            let rows = rows.cloned().collect::<Vec<_>>().join("\n  ");
            (!rows.is_empty()).then(|| format!("{name}: {}\n  {rows}", case.name))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A case's statement as text of an engine's SQL.
fn sql_of(case: &Case, engine: Engine) -> String {
    statement(None, &request(case), engine).expect("the parameters are of their types")
}
