//! What a lake holds is what the generator says it put into the archive: every event, and every
//! item operation of every table, in batches, transactions and PartiQL.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::product::{convert, path, run};
use crate::sample_data::generate;

type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// The generator's word for an item operation of the lake; control-plane calls have none.
fn verb(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "GetItem" => "get",
        "PutItem" => "put",
        "UpdateItem" | "PartiQLUpdate" => "update",
        "DeleteItem" | "PartiQLDelete" => "delete",
        "ConditionCheckItem" => "condition_check",
        "Query" => "query",
        "Scan" => "scan",
        "PartiQLSelect" => "select",
        "PartiQLInsert" => "insert",
        "GetRecords" => "get_records",
        _ => return None,
    })
}

fn sum(value: &Value) -> u64 {
    match value {
        Value::Object(members) => members.values().map(sum).sum(),
        other => other.as_u64().expect("a count"),
    }
}

fn assert_true(archive: &Path, truth: &Path, network_activity: u64) {
    let folder = tempfile::tempdir().expect("temp folder");
    let lake = folder.path().join("lake");
    let (ended, summary) = convert(archive, &lake, &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let held = run(&["show", path(&lake), "--format", "json"]).json();
    let truth = std::fs::read_to_string(truth).expect("the generator writes it");
    let truth: Value = serde_json::from_str(&truth).expect("JSON");

    let events = sum(&truth["dynamodb_events"]) + sum(&truth["dax_events"]) + network_activity;
    assert_eq!(held["totals"]["events"], events);
    let duplicates = sum(&truth["duplicates"]["dynamodb"]) + sum(&truth["duplicates"]["dax"]);
    assert_eq!(summary["records"]["duplicate"], duplicates);

    let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
    for accounts in truth["dynamodb_events"].as_object().expect("days").values() {
        for names in accounts.as_object().expect("accounts").values() {
            for (name, count) in names.as_object().expect("names") {
                *by_name.entry(name.clone()).or_default() += sum(count);
            }
        }
    }
    if network_activity > 0 {
        *by_name.entry("PutItem".to_owned()).or_default() += network_activity;
    }
    for (name, count) in by_name {
        assert_eq!(
            held["events_by_name"][format!("dynamodb:{name}")],
            count,
            "{name}"
        );
    }
    assert_eq!(operations_held(&held), operations_put(&truth));
}

fn operations_put(truth: &Value) -> Counts {
    let tables = truth["operations"].as_object().expect("tables");
    let verbs = |verbs: &Value| {
        let verbs = verbs.as_object().expect("verbs").iter();
        verbs
            .map(|(verb, outcomes)| (verb.clone(), sum(outcomes)))
            .collect()
    };
    tables
        .iter()
        .map(|(table, counts)| (table.clone(), verbs(counts)))
        .collect()
}

fn operations_held(held: &Value) -> Counts {
    let mut counts = Counts::new();
    for (table, operations) in held["operations_by_table"].as_object().expect("tables") {
        for (operation, count) in operations.as_object().expect("operations") {
            if let Some(verb) = verb(operation) {
                let verbs = counts.entry(table.clone()).or_default();
                *verbs.entry(verb.to_owned()).or_default() += sum(count);
            }
        }
    }
    // Network activity and denied calls may not tell their table.
    counts.remove("-");
    counts
}

#[test]
fn the_sample_archive_converts_to_its_truth() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data");
    assert_true(&sample.join("archive"), &sample.join("truth.json"), 1);
}

#[test]
fn a_fresh_archive_converts_to_its_truth() {
    let folder = tempfile::tempdir().expect("temp folder");
    let spec = generate::BenchSpec {
        share: 0.5,
        objects: 6,
        fill: generate::Fill::InflatedBytes(1 << 20),
        days: 3,
        seed: 20_250_301,
        command: "bench".to_owned(),
    };
    generate::bench(folder.path(), &spec).expect("written");
    assert_true(
        &folder.path().join("AWSLogs"),
        &folder.path().join("truth.json"),
        0,
    );
}
