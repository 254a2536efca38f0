//! Real records come back from a lake as they went in.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::product::{convert, corpus, export, files};
use crate::slow;

/// A file whose JSON is broken in many places; its records are found by recovery.
const BROKEN: &str = "samples-large.json";

fn sorted(records: impl IntoIterator<Item = Value>) -> BTreeMap<String, usize> {
    let mut sorted = BTreeMap::new();
    for record in records {
        *sorted
            .entry(slow::without_nulls(record).to_string())
            .or_default() += 1;
    }
    sorted
}

/// Every record of every real file is rebuilt equal as JSON, alone in its lake.
#[test]
fn every_record_of_the_corpus_round_trips() {
    let Some(corpus) = corpus() else { return };
    let lakes = tempfile::tempdir().expect("temp folder");
    let mut records = 0;
    for (name, bytes) in files(&corpus) {
        if name.ends_with(BROKEN) || !name.to_string_lossy().contains(".json") {
            continue;
        }
        let mut expected = slow::records(&bytes);
        expected.retain(|record| !slow::is_aggregate(record));
        if expected.is_empty() {
            continue;
        }
        let lake = lakes.path().join(records.to_string());
        let (_, summary) = convert(&corpus.join(&name), &lake, &["--all"]);
        let duplicates = summary["records"]["duplicate"].as_u64().expect("a count") as usize;
        let exported = export(&lake);
        assert_eq!(
            exported.len() + duplicates,
            expected.len(),
            "{}",
            name.display()
        );
        let (exported, expected) = (sorted(exported), sorted(expected.clone()));
        for record in exported.keys() {
            assert!(
                expected.contains_key(record),
                "{}: changed to {record}",
                name.display()
            );
        }
        for record in expected.keys() {
            assert!(
                exported.contains_key(record) || duplicates > 0,
                "{}: lost {record}",
                name.display()
            );
        }
        records += expected.len();
    }
    assert!(records > 3000, "only {records} records were looked at");
}

/// With and without the gate that skips records by their text, the same events are kept.
#[test]
fn the_gate_keeps_what_the_slow_reader_keeps() {
    let Some(corpus) = corpus() else { return };
    let lake = tempfile::tempdir().expect("temp folder");
    let (_, summary) = convert(&corpus, lake.path(), &[]);
    let duplicates = summary["records"]["duplicate"].as_u64().expect("a count") as usize;
    let exported = export(lake.path());
    let mut expected: Vec<Value> = files(&corpus)
        .iter()
        .filter(|(name, _)| name.to_string_lossy().contains(".json"))
        .flat_map(|(_, bytes)| slow::records(bytes))
        .collect();
    expected.retain(|record| slow::is_dynamodb(record) && !slow::is_aggregate(record));
    assert!(expected.len() > 30);
    assert_eq!(exported.len() + duplicates, expected.len());
    let (exported, expected) = (sorted(exported), sorted(expected));
    for record in exported.keys() {
        assert!(expected.contains_key(record), "changed to {record}");
    }
}
