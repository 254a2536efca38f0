//! `dynatrail ddl` and the documentation pages: the SQL is run by real engines, where Python has
//! them (tests/engines/requirements.txt), and answers as a plain walk over the records does.

mod answers;
mod records;

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use answers::assert_answers;
use records::{LONE_SURROGATE, UNREADABLE_IDENTITY, records};

/// A name with everything that a path, a pattern and a text literal could stumble over.
const LAKE: &str = "it's [a] lake {b} *?";

fn dynatrail(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dynatrail"))
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn stdout_of(arguments: &[&str]) -> String {
    let output = dynatrail(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("the SQL is UTF-8")
}

/// A folder with the records as an archive and the lake made from them.
struct Converted {
    folder: TempDir,
}

impl Converted {
    fn new(records: &[Value]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder
            .path()
            .join("AWSLogs/111122223333/CloudTrail/eu-west-1/2025/03/30");
        std::fs::create_dir_all(&log).expect("an archive");
        let text = json!({ "Records": records }).to_string();
        // A value of serde_json holds no lone surrogate: it is escaped here.
        let text = text.replace(LONE_SURROGATE, "\\ud800");
        std::fs::write(
            log.join("111122223333_CloudTrail_eu-west-1_20250330T0300Z_a.json"),
            text,
        )
        .expect("an object");
        let converted = Self { folder };
        let archive = converted.path("AWSLogs");
        stdout_of(&[
            "convert",
            &archive,
            "--lake",
            &converted.lake(),
            "--all",
            "-q",
        ]);
        converted
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("a name in UTF-8").to_owned()
    }

    fn lake(&self) -> String {
        self.path(LAKE)
    }

    /// The rows of the view sightings as dynatrail answers what the engines are asked.
    fn sightings(&self) -> Value {
        let published = repository().join("tests/engines/published.py");
        let published = std::fs::read_to_string(published).expect("the queries");
        let (_, query) = published
            .split_once("\"sightings\": \"\"\"")
            .expect("the query");
        let (query, _) = query.split_once("\"\"\"").expect("its end");
        let lake = self.lake();
        let rows = stdout_of(&["query", query, "--lake", &lake, "--format", "json"]);
        let rows: Value = serde_json::from_str(&rows).expect("JSON");
        assert!(rows.as_array().is_some_and(|rows| rows.len() > 8));
        rows
    }

    fn sql(&self, arguments: &[&str]) -> String {
        let lake = self.lake();
        stdout_of(&[&["ddl", "--lake", &lake], arguments].concat())
    }

    /// Writes the SQL for an engine to a file and gives its path.
    fn script(&self, arguments: &[&str]) -> String {
        let path = self.path(&format!("{}.sql", arguments[0]));
        std::fs::write(&path, self.sql(arguments)).expect("a script");
        path
    }
}

/// Runs a check of tests/engines; nothing where Python has no such packages.
fn check(name: &str, packages: &str, arguments: &[&str]) -> Option<Value> {
    let python = std::env::var("DYNATRAIL_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let import = format!("import {packages}");
    let found = Command::new(&python).args(["-c", &import]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has no {packages}");
        return None;
    }
    let script = repository().join("tests/engines").join(name);
    let output = Command::new(&python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .args(arguments)
        .output()
        .expect("Python runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {stderr}");
    Some(serde_json::from_slice(&output.stdout).expect("a check prints JSON"))
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn duckdb_answers_published_queries() {
    let converted = Converted::new(&records());
    let script = converted.script(&["duckdb"]);
    if let Some(answers) = check("duckdb_check.py", "duckdb, sqlglot", &[&script]) {
        assert_answers(&answers, &records());
        assert_eq!(answers["sightings"], converted.sightings());
    }
}

#[test]
fn spark_answers_published_queries() {
    let converted = Converted::new(&records());
    let script = converted.script(&["spark"]);
    if let Some(answers) = check("spark_check.py", "pyspark, sqlglot", &[&script]) {
        assert_answers(&answers, &records());
        assert_eq!(answers["sightings"], converted.sightings());
    }
}

/// The view for Athena, translated to DuckDB; whose JSON functions, unlike Athena's, fail on a lone
/// surrogate.
#[test]
fn athena_sql_parses_and_means_the_same() {
    let mut records = records();
    records.retain(|record| record["eventID"] != UNREADABLE_IDENTITY);
    let converted = Converted::new(&records);
    let athena = converted.script(&["athena", "--location", "s3://bucket/it's"]);
    let duckdb = converted.script(&["duckdb"]);
    let arguments = [athena.as_str(), &duckdb];
    if let Some(answers) = check("athena_check.py", "duckdb, sqlglot", &arguments) {
        assert_answers(&answers, &records);
        assert_eq!(answers["sightings"], converted.sightings());
    }
}

/// A lake of management events of other services has no operations.
#[test]
fn empty_tables_are_declared_too() {
    let mut record = records().remove(0);
    record["eventSource"] = json!("s3.amazonaws.com");
    let converted = Converted::new(&[record]);
    for (engine, name, packages) in [
        ("duckdb", "duckdb_check.py", "duckdb, sqlglot"),
        ("spark", "spark_check.py", "pyspark, sqlglot"),
    ] {
        let script = converted.script(&[engine]);
        if let Some(answers) = check(name, packages, &[&script]) {
            assert_eq!(answers["operations"], json!([]), "{engine}");
            assert_eq!(
                answers["events"].as_array().map(Vec::len),
                Some(1),
                "{engine}"
            );
        }
    }
}

#[test]
fn athena_is_told_where_and_when() {
    let converted = Converted::new(&records());
    let sql = converted.sql(&[
        "athena",
        "--location",
        "s3://bucket/it's/",
        "--prefix",
        "ddb_",
    ]);
    for expected in [
        "`ddb_events`",
        "CREATE OR REPLACE VIEW \"ddb_cloudtrail\"",
        "FROM \"ddb_events\"",
        "LOCATION 's3://bucket/it\\'s/operations/'",
        "'storage.location.template'='s3://bucket/it\\'s/events/dt=${dt}/'",
        "'projection.dt.range'='2025-02-28,NOW'",
    ] {
        assert!(sql.contains(expected), "{expected} in {sql}");
    }
    let only = converted.sql(&["athena", "--location", "s3://bucket", "--only", "events"]);
    assert!(only.starts_with("CREATE EXTERNAL TABLE"), "{only}");
    assert!(
        only.ends_with(")\n") && !only.contains("operations"),
        "{only}"
    );
}

#[test]
fn athena_sees_events_that_are_yet_to_come() {
    let mut record = records().remove(0);
    record["eventTime"] = json!("9000-01-02T00:00:00Z");
    let converted = Converted::new(&[record]);
    let sql = converted.sql(&["athena", "--location", "s3://bucket"]);
    assert!(
        sql.contains("'projection.dt.range'='9000-01-02,9000-01-02'"),
        "{sql}"
    );
}

#[test]
fn places_that_an_engine_cannot_read_are_refused() {
    let converted = Converted::new(&records());
    let lake = converted.lake();
    for (engine, location, complaint) in [
        ("athena", None, "--location"),
        ("athena", Some("/folder"), "--location"),
        ("athena", Some("s3:///prefix"), "--location"),
        ("athena", Some("s3://bucket/${dt}"), "${"),
        (
            "athena",
            Some("s3://bucket/a\nDROP TABLE x"),
            "control character",
        ),
        ("duckdb", Some("/a\nDROP TABLE x"), "control character"),
        ("duckdb", Some("/a\\b"), "backslash"),
    ] {
        let mut arguments = vec!["ddl", engine, "--lake", &lake];
        if let Some(location) = location {
            arguments.extend(["--location", location]);
        }
        let output = dynatrail(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr.contains(complaint), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_page_of_columns_is_the_program_s() {
    let page = std::fs::read_to_string(repository().join("docs/columns.md"));
    assert!(
        page.expect("docs/columns.md") == stdout_of(&["columns"]),
        "run: dynatrail columns > docs/columns.md"
    );
}
