//! Where the rows of reports come from, and what a report without any costs the others.

use serde_json::{Value, json};

use super::{Site, delete_table, errors};

#[test]
fn rows_lead_to_their_record() {
    let site = Site::of(json!([delete_table("2025-03-12T10:00:00Z", "orders")]));
    let run = site.json(&["table-deleted"]);
    let place = &run["reports"][0]["rows"][0]["place"];
    let source = place["source"].as_str().expect("a source");
    assert!(source.ends_with(".json.gz"), "{place}");
    assert_eq!(place["position"], json!(0));
}

/// More events than a statement names: they are found by reading all.
#[test]
fn every_row_of_many_leads_to_its_own_record() {
    let delete = json!({
        "at": "2025-03-12T10:00:00Z",
        "who": "alice",
        "call": "dynamodb:DeleteTable",
        "request": {"tableName": "table-{n}"},
        "repeat": {"times": 250, "every_s": 60},
    });
    let site = Site::of(json!([delete]));
    let run = site.json(&["table-deleted"]);
    let rows = run["reports"][0]["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 250);
    let sql = "SELECT event_id, source, source_position FROM events";
    let query = ["query", sql, "--lake", "lake", "--format", "json"];
    let events: Value = serde_json::from_slice(&site.run(&query).stdout).expect("JSON");
    for row in rows {
        let events = events.as_array().expect("events").iter();
        let mut same = events.filter(|event| event["event_id"] == row["row"]["event_id"]);
        let event = same.next().expect("the row's event");
        assert_eq!(row["place"]["source"], event["source"], "{row}");
        assert_eq!(row["place"]["position"], event["source_position"], "{row}");
    }
}

#[test]
fn a_report_that_fails_costs_itself_alone() {
    let own = "/*\ntitle = \"Fails\"\ndescription = \"\"\nlevel = \"low\"\nattack = []\nreferences = []\n\
               false_positives = []\nneeds = [\"any\"]\n[columns]\nn = \"\"\n*/\n\
               SELECT CAST(event_name AS bigint) AS n FROM events";
    let site = Site::of(json!([delete_table("2025-03-12T10:00:00Z", "orders")]));
    site.write("own/mine/fails.sql", own);
    let both = ["fails", "table-deleted", "--queries", "own"];
    let run = site.json(&both);
    let reports = run["reports"].as_array().expect("reports").iter();
    let answer = |name: &str| {
        let mut named = reports.clone().filter(|report| report["report"] == name);
        named.next().expect("the report")
    };
    assert_eq!(answer("table-deleted")["answer"], "finding");
    assert_eq!(answer("fails")["answer"], "incomplete");
    let reason = answer("fails")["reasons"][0].as_str().expect("a reason");
    assert!(reason.starts_with("the report failed: "), "{reason}");
    let output = site.report(&both);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(errors(&output).contains("dynatrail: fails: the report failed"));
    // Alone, it fails the run.
    let alone = site.report(&["fails", "--queries", "own"]);
    assert_eq!(alone.status.code(), Some(1), "{alone:?}");
}
