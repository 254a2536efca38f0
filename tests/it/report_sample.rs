//! Over the sample archive the incident is found by the reports that should find it, and by no
//! others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

const INTRUDER: &str = "arn:aws:iam::111122223333:user/legacy-reporting";

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data")
}

/// A run of all reports over the sample archive, with the shop's own configuration.
fn run() -> &'static Value {
    static RUN: OnceLock<Value> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder: TempDir = tempfile::tempdir().expect("a folder");
        let lake = folder.path().join("lake");
        let dynatrail = |arguments: &[&str]| {
            Command::new(env!("CARGO_BIN_EXE_dynatrail"))
                .args(arguments)
                .arg("--lake")
                .arg(&lake)
                .current_dir(sample())
                .output()
                .expect("the binary runs")
        };
        let output = dynatrail(&["convert", "archive", "--all", "--quiet"]);
        assert!(output.status.success(), "{output:?}");
        let output = dynatrail(&["report", "--all", "--format", "json"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("JSON")
    })
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

fn report(name: &str) -> &'static Value {
    let reports = run()["reports"].as_array().expect("reports");
    reports
        .iter()
        .find(|report| text(report, "report") == name)
        .unwrap_or_else(|| panic!("no report {name}"))
}

fn rows(name: &str) -> Vec<&'static Value> {
    let rows = report(name)["rows"].as_array().expect("rows");
    rows.iter().map(|row| &row["row"]).collect()
}
