//! Over the sample archive the incident is found by the reports that should find it, and by no
//! others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

const INTRUDER: &str = "arn:aws:iam::111122223333:user/legacy-reporting";

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

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
            // Some baselines are longer than the two weeks of the archive.
            Some(3),
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

/// Reports of at least medium level that find the incident, and how many rows each has.
const FINDERS: [(&str, u64); 22] = [
    ("backup-deleted", 3),
    ("backup-list-then-delete", 4),
    ("deletes-per-principal", 1),
    ("deletion-protection-off", 1),
    ("disable-then-delete", 1),
    ("pitr-disabled", 1),
    ("recovery-removed-then-items-destroyed", 1),
    ("table-deleted", 1),
    ("ttl-changed", 1),
    ("export-to-s3", 1),
    ("full-scan-returning-data", 1),
    ("list-then-read", 1),
    ("scan-by-new-principal", 1),
    ("access-denied-breadth", 1),
    ("access-denied-spikes", 1),
    ("new-access-key-per-table", 3),
    ("new-ip-per-table", 5),
    ("new-principal-per-table", 4),
    ("new-user-agent-per-table", 5),
    ("no-mfa-writes", 7),
    ("recon-denied", 1),
    ("role-multi-useragent", 2),
];

/// Reports that find what is no part of the incident, though it happened that night: somebody of
/// an account that nobody knows was refused by the endpoint's policy.
const OTHER_FINDERS: [&str; 2] = ["cross-account-access", "vpce-denied"];

#[test]
fn the_incident_is_found_by_those_that_should_and_by_no_others() {
    let grave = ["medium", "high", "critical"];
    let reports = run()["reports"].as_array().expect("reports");
    let mut found: Vec<(&str, u64)> = reports
        .iter()
        .filter(|report| grave.contains(&text(report, "level")))
        .filter(|report| text(report, "answer") == "finding")
        .filter(|report| !OTHER_FINDERS.contains(&text(report, "report")))
        .map(|report| {
            let rows = report["rows_found"].as_u64().expect("a number");
            (text(report, "report"), rows)
        })
        .collect();
    let mut expected: Vec<(&str, u64)> = FINDERS.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn what_is_found_is_the_intruder_s() {
    for (name, _) in FINDERS {
        for row in rows(name) {
            let line = row.to_string();
            // Who answers the incident is new to the tables too.
            let is_answer = name.starts_with("new-") && line.contains("AWSReservedSSO_Security_");
            assert!(
                line.contains(INTRUDER) || line.contains(KEY) || is_answer,
                "{name}: {line}"
            );
        }
    }
}

#[test]
fn every_deleted_item_is_counted() {
    let truth = std::fs::read_to_string(sample().join("truth.json")).expect("the truth");
    let truth: Value = serde_json::from_str(&truth).expect("JSON");
    assert!(truth["incident"].is_object());
    let rows = rows("deletes-per-principal");
    let items = rows[0]["items_deleted"].as_i64().expect("a number");
    // 40 batches of 25, 12 statements and 4 batches of 25 statements, 30 single items.
    assert_eq!(items, 40 * 25 + 12 + 4 * 25 + 30);
}

#[test]
fn nothing_is_clean_where_nothing_was_recorded() {
    for (name, answer) in [
        ("permission-set-changes", "not_recorded"),
        ("autoscaling-changed", "not_recorded"),
        ("decoy-table-touched", "not_recorded"),
        ("bulk-read-per-minute", "incomplete"),
        ("mass-table-deletion", "clean"),
    ] {
        assert_eq!(text(report(name), "answer"), answer, "{name}");
    }
}

#[test]
fn every_row_of_a_report_has_an_id_of_its_own() {
    let mut ids = std::collections::BTreeMap::new();
    for report in run()["reports"].as_array().expect("reports") {
        let is_inventory = text(report, "level") == "informational";
        for row in report["rows"].as_array().expect("rows") {
            let id = text(row, "finding_id");
            assert_eq!(id.is_empty(), is_inventory, "{row}");
            if let Some(other) = ids.insert(id, row)
                && !is_inventory
            {
                panic!("{other}\nhas the id of {row}");
            }
        }
    }
    assert!(ids.len() > 100, "{}", ids.len());
}
