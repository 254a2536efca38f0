//! `--event-selectors` over the built binary: what is kept is what a plain walk expects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::AsArray;
use dynatrail::event::schema::{Events, Table};
use dynatrail::lake::settle::read_part;
use dynatrail::lake::{LakeState, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::convert_s3::{log_records, sample};
use crate::product::{Ended, convert, path, run};

const TABLE: &str = "AWS::DynamoDB::Table";
const STREAM: &str = "AWS::DynamoDB::Stream";

/// Recipient account and event ID.
type Id = (String, String);

/// How an event stands in the lake: `selection` and `notes`.
type Standing = (String, String);

/// A lake of the sample with these selectors: how each event stands in it.
fn kept(selectors: &Value) -> BTreeMap<Id, Standing> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("selectors.json");
    std::fs::write(&file, selectors.to_string()).unwrap();
    let lake = folder.path().join("lake");
    let (ended, _) = convert(&sample(), &lake, &["--event-selectors", path(&file)]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    standings(&lake)
}

fn standings(lake: &Path) -> BTreeMap<Id, Standing> {
    let store = Store::local(lake);
    let state = LakeState::load(&store).unwrap();
    let columns = ["recipient_account_id", "event_id", "selection", "notes"];
    let mut found = BTreeMap::new();
    for part in state.parts() {
        if part.table != Events::NAME {
            continue;
        }
        for batch in read_part(&store, &part, Some(&columns)).unwrap() {
            let batch = batch.unwrap();
            let text = |name: &str, row| {
                let column = batch.column_by_name(name).unwrap().as_string::<i32>();
                column.value(row).to_owned()
            };
            for row in 0..batch.num_rows() {
                let id = (text("recipient_account_id", row), text("event_id", row));
                let standing = (text("selection", row), text("notes", row));
                assert_eq!(found.insert(id, standing), None, "twice in the lake");
            }
        }
    }
    found
}

/// The sample's log records, one copy of each event.
fn records() -> BTreeMap<Id, &'static Value> {
    let mut found = BTreeMap::new();
    for (_, record) in log_records() {
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        found.insert((text("recipientAccountId"), text("eventID")), record);
    }
    found
}

fn ids(is_wanted: impl Fn(&Value) -> bool) -> BTreeSet<Id> {
    let mut records = records();
    records.retain(|_, record| is_wanted(record));
    records.into_keys().collect()
}

/// Checks that exactly these are kept, all of them for certain.
fn assert_selected(selectors: &Value, expected: &BTreeSet<Id>) {
    assert!(expected.len() > 20, "only {} expected", expected.len());
    let kept = kept(selectors);
    let found: BTreeSet<Id> = kept.keys().cloned().collect();
    assert!(
        found == *expected,
        "{selectors}: missing {:?}, beyond {:?}",
        expected.difference(&found).take(3).collect::<Vec<_>>(),
        found.difference(expected).take(3).collect::<Vec<_>>()
    );
    for (id, (selection, _)) in kept {
        assert_eq!(selection, "selected", "{id:?}");
    }
}

fn is(record: &Value, name: &str, wanted: &str) -> bool {
    record[name] == wanted
}

/// Whether the record lists a resource of this type, with this ARN where one is asked for.
fn lists(record: &Value, resource_type: &str, arn: Option<&str>) -> bool {
    let resources = record["resources"].as_array();
    resources.into_iter().flatten().any(|resource| {
        resource["type"] == resource_type && arn.is_none_or(|arn| resource["ARN"] == arn)
    })
}

fn is_on_table(record: &Value) -> bool {
    is(record, "eventCategory", "Data")
        && is(record, "eventSource", "dynamodb.amazonaws.com")
        && lists(record, TABLE, None)
}

fn selector(fields: &[(&str, &str, &[&str])]) -> Value {
    let fields = fields
        .iter()
        .map(|(field, operator, values)| json!({"Field": field, *operator: values}));
    json!({"FieldSelectors": fields.collect::<Vec<_>>()})
}

#[test]
fn writes_to_tables_alone() {
    let selectors = json!([selector(&[
        ("eventCategory", "Equals", &["Data"]),
        ("resources.type", "Equals", &[TABLE]),
        ("readOnly", "Equals", &["false"]),
    ])]);
    let expected = ids(|record| is_on_table(record) && record["readOnly"] == false);
    assert_selected(&selectors, &expected);

    // The same as basic selectors, as `get-event-selectors` prints them.
    let basic = json!({
        "TrailARN": "arn:aws:cloudtrail:us-east-1:111122223333:trail/shop-trail",
        "EventSelectors": [{
            "ReadWriteType": "WriteOnly",
            "IncludeManagementEvents": false,
            "DataResources": [{"Type": TABLE, "Values": ["arn:aws:dynamodb"]}],
            "ExcludeManagementEventSources": []
        }]
    });
    assert_selected(&basic, &expected);
}

#[test]
fn one_table_by_its_arn() {
    for table in ["customers", "inventory"] {
        let arn = format!("arn:aws:dynamodb:us-east-1:111122223333:table/{table}");
        let selectors = json!({"AdvancedEventSelectors": [selector(&[
            ("eventCategory", "Equals", &["Data"]),
            ("resources.type", "Equals", &[TABLE]),
            ("resources.ARN", "Equals", &[&arn]),
        ])]});
        let expected = ids(|record| is_on_table(record) && lists(record, TABLE, Some(&arn)));
        assert_selected(&selectors, &expected);
    }
}

#[test]
fn management_events_of_every_service() {
    let expected = ids(|record| is(record, "eventCategory", "Management"));
    let selectors = json!([selector(&[("eventCategory", "Equals", &["Management"])])]);
    assert_selected(&selectors, &expected);
    // A trail without selectors logs the same.
    let default = json!({"TrailARN": "arn:aws:cloudtrail:us-east-1:111122223333:trail/t", "EventSelectors": []});
    assert_selected(&default, &expected);
}

#[test]
fn other_services_beside_dynamodb_by_several_selectors() {
    let data = selector(&[
        ("eventCategory", "Equals", &["Data"]),
        ("resources.type", "Equals", &[TABLE]),
    ]);
    let management = selector(&[("eventCategory", "Equals", &["Management"])]);
    let expected = ids(|record| is_on_table(record) || is(record, "eventCategory", "Management"));
    for service in ["sts", "kms", "backup", "dynamodb"] {
        let source = format!("{service}.amazonaws.com");
        assert!(
            records()
                .iter()
                .any(|(id, record)| is(record, "eventSource", &source) && expected.contains(id)),
            "nothing of {service}"
        );
    }
    assert_selected(&json!([data, management]), &expected);

    let without_kms = selector(&[
        ("eventCategory", "Equals", &["Management"]),
        ("eventSource", "NotEquals", &["kms.amazonaws.com"]),
    ]);
    let fewer = ids(|record| {
        is_on_table(record)
            || (is(record, "eventCategory", "Management")
                && !is(record, "eventSource", "kms.amazonaws.com"))
    });
    assert!(fewer.len() < expected.len());
    assert_selected(&json!([data, without_kms]), &fewer);
}

#[test]
fn what_the_facts_do_not_decide_is_kept_as_uncertain_with_the_reason() {
    let streams = selector(&[
        ("eventCategory", "Equals", &["Data"]),
        ("resources.type", "Equals", &[STREAM]),
    ]);
    let management = selector(&[("eventCategory", "Equals", &["Management"])]);
    let mut expected = BTreeMap::new();
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, record) in records() {
        let is_stream_call = matches!(
            record["eventName"].as_str().unwrap(),
            "GetRecords" | "GetShardIterator"
        );
        let is_data = is(record, "eventCategory", "Data");
        let note = match (lists(record, STREAM, None), is_stream_call) {
            _ if is(record, "eventCategory", "Management") => "",
            (true, false) if is_data => "stream_selector_on_table_call",
            (false, true) if is_data => "stream_entry_missing",
            _ => continue,
        };
        *times.entry(note).or_default() += 1;
        expected.insert(id, note);
    }
    assert!(
        times.len() == 3 && times.values().all(|count| *count > 100),
        "{times:?}"
    );
    let kept = kept(&json!([streams, management]));
    assert!(kept.keys().eq(expected.keys()));
    for (id, (selection, notes)) in kept {
        let note = expected[&id];
        let wanted = if note.is_empty() {
            "selected"
        } else {
            "uncertain"
        };
        assert_eq!(selection, wanted, "{id:?}");
        let reasons = notes.split(',').filter(|name| name.starts_with("stream_"));
        assert_eq!(reasons.collect::<String>(), note, "{notes}");
    }
}

/// A run with this text as the selectors.
fn run_with(text: &str) -> Ended {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("selectors.json");
    std::fs::write(&file, text).unwrap();
    let lake = folder.path().join("lake");
    let ended = run(&[
        "convert",
        path(&sample()),
        "--lake",
        path(&lake),
        "--event-selectors",
        path(&file),
    ]);
    assert!(!lake.exists(), "a lake was made");
    assert_eq!(ended.stdout, "");
    ended
}

#[test]
fn an_invalid_file_is_refused_with_its_place_and_the_rule() {
    let misspelt = r#"{"AdvancedEventSelectors": [{"FieldSelectors": [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.typ", "Equals": ["AWS::DynamoDB::Table"]}]}]}"#;
    let untyped = r#"[{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}]"#;
    let cases: [(&str, &[&str]); 5] = [
        (
            misspelt,
            &[
                "AdvancedEventSelectors[0].FieldSelectors[1]",
                "resources.typ",
                "did you mean \"resources.type\"?",
            ],
        ),
        (untyped, &["[0]", "resources.type"]),
        // The member that is missing its end stands on the third line.
        (
            "[\n {\"FieldSelectors\":\n  [}\n]",
            &["read as JSON at 3:4", "expected value"],
        ),
        (
            "{\"EventSelectors\": [],\n \"EventSelectors\": []}",
            &["at 2:", "EventSelectors"],
        ),
        ("", &["read as JSON at 1:0", "EOF"]),
    ];
    for (text, told) in cases {
        let ended = run_with(text);
        assert_eq!(ended.code, 1, "{text}: {}", ended.stderr);
        assert!(ended.stderr.contains("selectors.json"), "{}", ended.stderr);
        for words in told {
            assert!(ended.stderr.contains(words), "{words} in {}", ended.stderr);
        }
    }
}

#[test]
fn selectors_that_are_not_there_are_told() {
    let ended = run(&[
        "convert",
        "archive",
        "--lake",
        "lake",
        "--event-selectors",
        "no/such.json",
    ]);
    assert_eq!(ended.code, 1);
    assert!(
        ended
            .stderr
            .contains("cannot read no/such.json: No such file"),
        "{}",
        ended.stderr
    );
}
