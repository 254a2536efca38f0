//! The same reports over the same lakes in DuckDB and Spark, and as Athena's SQL.

use std::process::Command;

use dynatrail::report::parameter::Engine;
use serde_json::{Value, json};

use super::{Case, cases, sql_of};

/// The Python that has the engines; none where the test cannot run, which is said.
fn python() -> Option<String> {
    match std::env::var("DYNATRAIL_PYTHON") {
        Ok(python) => Some(python),
        Err(_) => {
            println!("skipped: DYNATRAIL_PYTHON names no Python with the engines");
            None
        }
    }
}

fn ddl(engine: &str, case: &Case) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dynatrail"))
        .args(["ddl", engine, "--lake"])
        .arg(&case.lake)
        .output()
        .expect("the binary runs");
    String::from_utf8(output.stdout).expect("SQL is text")
}

/// Runs the cases in an engine; each gives its rows or the engine's error.
fn assert_same(engine: Engine, name: &str, cases: &[&Case]) {
    let Some(python) = python() else { return };
    let asked = cases.iter().map(|case| {
        json!({
            "name": format!("{}: {}", case.report.name, case.name),
            "ddl": ddl(name, case),
            "sql": sql_of(case, engine),
            "rows": case.expected_rows,
        })
    });
    let asked: Value = asked.collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cases.json");
    std::fs::write(&file, asked.to_string()).expect("a file is written");
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/engines/reports_check.py"
    );
    let output = Command::new(python)
        .args([script, name])
        .arg(&file)
        .output()
        .expect("Python runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{stdout}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        stdout.trim(),
        format!("{} of {} agree", cases.len(), cases.len())
    );
}

#[test]
fn duckdb_gives_the_same_rows() {
    let cases: Vec<&Case> = cases().cases.iter().collect();
    assert_same(Engine::DuckDb, "duckdb", &cases);
}

/// Of each report the first case that finds something: Spark takes its time.
#[test]
fn spark_gives_the_same_rows() {
    let mut chosen: Vec<&Case> = Vec::new();
    for case in &cases().cases {
        let is_chosen = chosen
            .iter()
            .any(|other| other.report.name == case.report.name);
        if !is_chosen && case.expected_answer == "finding" {
            chosen.push(case);
        }
    }
    assert_same(Engine::Spark, "spark", &chosen);
}

#[test]
fn athena_would_parse_them() {
    let Some(python) = python() else { return };
    let texts: Value = cases()
        .cases
        .iter()
        .map(|case| sql_of(case, Engine::Athena))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("texts.json");
    std::fs::write(&file, texts.to_string()).expect("a file is written");
    let script = "import json, sys, sqlglot\n\
                  for text in json.load(open(sys.argv[1])):\n    \
                  assert len(sqlglot.parse(text, read='athena')) == 1, text\n";
    let output = Command::new(python)
        .args(["-c", script])
        .arg(&file)
        .output()
        .expect("Python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
