//! Many nights give the rows of one run over everything, however the deliveries are grouped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::archive_made::event;
use crate::product::{export, path, run};

/// One delivery: a file with events, which come to the archive in a night.
#[derive(Debug, Clone)]
struct Delivery {
    night: usize,
    /// The day in its key: its events' own or later ones.
    day: u32,
    account: &'static str,
    events: Vec<u8>,
}

const NIGHTS: usize = 3;

/// Events have the day that follows from their number.
fn day_of(event: u8) -> u32 {
    1 + u32::from(event) % 5
}

fn deliveries() -> impl Strategy<Value = Vec<Delivery>> {
    let account = prop_oneof![
        Just("111122223333"),
        Just("011122223333"),
        Just("444455556666")
    ];
    let events = proptest::collection::vec(0..40_u8, 1..12);
    let delivery =
        (0..NIGHTS, 0..4_u32, account, events).prop_map(|(night, late, account, events)| {
            Delivery {
                night,
                day: late + events.iter().map(|event| day_of(*event)).max().unwrap_or(1),
                account,
                events,
            }
        });
    proptest::collection::vec(delivery, 1..14)
}

fn record(number: u8) -> Value {
    let mut record = event(&format!("e{number}"), day_of(number));
    if number.is_multiple_of(7) {
        // A call that is logged in two accounts is two events, with IDs of their own.
        record["sharedEventID"] = json!(format!("shared-{}", number / 14));
        record["recipientAccountId"] =
            json!(["111122223333", "444455556666"][usize::from(number / 7 % 2)]);
    }
    record
}

fn deliver(archive: &Path, number: usize, delivery: &Delivery) {
    let Delivery {
        day,
        account,
        events,
        ..
    } = delivery;
    let folder = archive.join(format!(
        "AWSLogs/{account}/CloudTrail/us-east-1/2025/03/{day:02}"
    ));
    fs::create_dir_all(&folder).expect("created");
    let records: Vec<Value> = events.iter().map(|number| record(*number)).collect();
    let name = format!("{account}_CloudTrail_us-east-1_202503{day:02}T1010Z_{number:0>16}.json");
    fs::write(folder.join(name), json!({"Records": records}).to_string()).expect("written");
}

/// A night without reports, which the rows do not depend on.
fn night(archive: &Path, lake: &Path, out: &Path) -> Value {
    let ended = run(&[
        "nightly",
        path(archive),
        "--lake",
        path(lake),
        "--out",
        path(out),
        "--late",
        "10000d",
        "--topic",
        "evidence",
        "--level",
        "critical",
        "--quiet",
    ]);
    assert!(matches!(ended.code, 0 | 3), "{}", ended.stderr);
    let text = fs::read_to_string(out.join("summary.json")).expect("a summary");
    serde_json::from_str(&text).expect("JSON")
}

fn rows(lake: &Path) -> Vec<String> {
    let mut rows: Vec<String> = export(lake).iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any order and grouping of deliveries, with duplicates and lateness, over any number of nights
    /// gives the same rows as one run over everything.
    #[test]
    fn any_grouping_of_deliveries_gives_the_same_rows(deliveries in deliveries()) {
        let folder = tempfile::tempdir().expect("temp folder");
        let at = |name: &str| folder.path().join(name);
        let archive = at("archive");
        let mut seen = 0;
        for turn in 0..NIGHTS {
            for (number, delivery) in deliveries.iter().enumerate().filter(|(_, d)| d.night == turn) {
                deliver(&archive, number, delivery);
            }
            if archive.exists() {
                let summary = night(&archive, &at("nights"), &at("out"));
                let convert = &summary["convert"];
                for identity in ["objects", "records", "lake"] {
                    prop_assert_eq!(&convert["identities"][identity], true);
                }
                seen += convert["records"]["seen"].as_u64().expect("a number");
            }
        }
        let summary = night(&archive, &at("once"), &at("out"));
        prop_assert_eq!(summary["convert"]["records"]["seen"].as_u64(), Some(seen));
        prop_assert_eq!(rows(&at("nights")), rows(&at("once")));
        // And what both hold is every event that was delivered, once.
        let delivered: BTreeMap<u8, ()> = deliveries.iter().flat_map(|d| &d.events).map(|e| (*e, ())).collect();
        prop_assert_eq!(rows(&at("once")).len(), delivered.len());
    }
}
