//! What a lake promises: the same bytes for the same input, every event once, nothing redone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use dynatrail::lake::{LakeState, Store};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::archive_made::{Archive, event};
use crate::product::{convert, export, files, path, run};
use crate::slow::without_nulls;

/// The events' IDs and source objects' names, from DuckDB's point of view: rows of the parts.
fn ids(lake: &Path) -> Vec<String> {
    let mut ids: Vec<String> = export(lake)
        .iter()
        .map(|record| record["eventID"].as_str().expect("an ID").to_owned())
        .collect();
    ids.sort();
    ids
}

fn many(archive: &Archive) {
    for day in 1..=4 {
        for object in 0..6 {
            let records: Vec<Value> = (0..40)
                .map(|n| {
                    event(
                        &format!("{day}-{object}-{n}"),
                        if n % 7 == 0 { day.max(2) - 1 } else { day },
                    )
                })
                .collect();
            archive.object("111122223333", day, &format!("{object}"), &records);
        }
    }
}

/// The same input gives the same bytes, whatever the number of threads and the order of sources.
#[test]
fn the_same_input_gives_the_same_bytes() {
    let archive = Archive::new();
    many(&archive);
    convert(&archive.root(), &archive.lake("one"), &["--threads", "1"]);
    convert(&archive.root(), &archive.lake("four"), &["--threads", "4"]);
    let (one, four) = (files(&archive.lake("one")), files(&archive.lake("four")));
    assert!(one.len() > 10);
    assert_eq!(
        one.iter().map(|f| &f.0).collect::<Vec<_>>(),
        four.iter().map(|f| &f.0).collect::<Vec<_>>()
    );
    assert!(one == four, "same names, other bytes");
    let days: Vec<String> = (1..=4)
        .rev()
        .map(|day| {
            path(&archive.root()).to_owned()
                + &format!("/AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/{day:02}")
        })
        .collect();
    let lake = archive.lake("parts");
    let mut arguments = vec!["convert", "--lake", path(&lake)];
    arguments.extend(days.iter().map(String::as_str));
    assert_eq!(run(&arguments).code, 0);
    assert!(files(&lake) == one, "the order of sources changes nothing");
}

/// An event delivered twice, in one object, in one unit, in two units or in two runs, is kept
/// once, and the copy with the smallest source stays.
#[test]
fn every_event_is_kept_once() {
    let archive = Archive::new();
    archive.object(
        "111122223333",
        2,
        "b",
        &[event("x", 2), event("x", 2), event("y", 2)],
    );
    archive.object("111122223333", 2, "c", &[event("y", 2), event("z", 2)]);
    archive.object("111122223333", 3, "a", &[event("z", 2), event("w", 3)]);
    let lake = archive.lake("lake");
    let (_, summary) = convert(&archive.root(), &lake, &[]);
    assert_eq!(ids(&lake), ["w", "x", "y", "z"]);
    assert_eq!(summary["records"]["duplicate"], 3);
    assert_eq!(summary["lake"]["operations"], 4);

    // Later the same events once more, under a key that sorts before all others.
    archive.object(
        "011122223333",
        9,
        "a",
        &[event("x", 2), event("z", 2), event("v", 9)],
    );
    let (_, summary) = convert(&archive.root(), &lake, &[]);
    assert_eq!(summary["objects"]["already_done"], 3);
    assert_eq!(summary["records"]["duplicate"], 2);
    assert_eq!(ids(&lake), ["v", "w", "x", "y", "z"]);
    assert_eq!(summary["lake"]["operations"], 5);
    let parts: BTreeSet<String> = files(&lake)
        .into_iter()
        .map(|(name, _)| name.display().to_string())
        .collect();
    assert!(
        parts.iter().any(|name| name.contains(".s")),
        "the losing part is rewritten: {parts:?}"
    );

    // Whether they came at once or in two runs, the same copies stay.
    let at_once = archive.lake("at-once");
    convert(&archive.root(), &at_once, &[]);
    let sorted = |lake: &Path| {
        let mut records: Vec<String> = export(lake).iter().map(Value::to_string).collect();
        records.sort();
        records
    };
    assert_eq!(sorted(&lake), sorted(&at_once));
}

/// One ID on two different events, as in documents, does not lose either.
#[test]
fn different_events_of_one_id_stay_two() {
    let archive = Archive::new();
    let mut other = event("same", 2);
    other["eventName"] = json!("DeleteItem");
    archive.object("111122223333", 2, "a", &[event("same", 2), other]);
    convert(&archive.root(), &archive.lake("lake"), &[]);
    assert_eq!(export(&archive.lake("lake")).len(), 2);
}

/// Events without an ID, as before version 1.01, are all kept, and of an object that is read twice
/// once.
#[test]
fn events_without_an_id_are_told_by_where_they_stand() {
    let archive = Archive::new();
    let mut old = event("-", 2);
    old.as_object_mut().expect("an object").remove("eventID");
    archive.object("111122223333", 2, "a", &[old.clone(), event("1", 2), old]);
    let lake = archive.lake("lake");
    let narrow = ["--until", "2025-03-02"];
    let (_, summary) = convert(&archive.root(), &lake, &narrow);
    assert_eq!(summary["records"]["kept"], 3);
    for (source, more) in [(".", narrow.as_slice()), (".", &[]), (".//./", &[])] {
        let (_, summary) = convert(&archive.root().join(source), &lake, more);
        assert_eq!(summary["lake"]["events"], 3, "{source} {more:?}");
    }
    let (_, summary) = convert(&archive.root(), &lake, &[]);
    assert_eq!(summary["objects"]["already_done"], 1);
}

/// A part that loses rows again and again keeps a name that can be stored, and its operations go
/// with its events.
#[test]
fn a_unit_is_settled_however_often() {
    let archive = Archive::new();
    let events: Vec<Value> = (0..30).map(|n| event(&format!("e{n}"), 2)).collect();
    archive.object("111122223333", 2, "z", &events);
    let lake = archive.lake("lake");
    convert(&archive.root(), &lake, &[]);
    for night in 0..30 {
        // Copies under names that sort before, so that those of the first object go.
        archive.object(
            "111122223333",
            2,
            &format!("a{night:02}"),
            &events[night..=night],
        );
        let (ended, summary) = convert(&archive.root(), &lake, &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(summary["lake"]["events"], 30);
        assert_eq!(summary["lake"]["operations"], 30);
        assert_eq!(summary["records"]["duplicate"], 1);
    }
}

/// Whoever reads while a run writes sees every event that was there before.
#[test]
fn a_reader_beside_a_run_misses_nothing() {
    let archive = Archive::new();
    archive.object("111122223333", 2, "z", &[event("known", 2)]);
    let lake = archive.lake("lake");
    convert(&archive.root(), &lake, &[]);
    let runs = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for night in 0..12 {
                let name = format!("{:02}", 50 - night);
                archive.object("111122223333", 2, &name, &[event("known", 2)]);
                convert(&archive.root(), &lake, &[]);
            }
        });
        let store = Store::local(&lake);
        let mut runs = 0;
        while !writer.is_finished() {
            let state = LakeState::load(&store).expect("a lake");
            let events = state
                .parts()
                .into_iter()
                .filter(|part| part.table == "events");
            let copies: u64 = events.map(|part| part.rows).sum();
            assert!(
                copies == 1 || (copies > 1 && !state.unfinished.is_empty()),
                "{copies}"
            );
            runs += 1;
        }
        writer.join().expect("every run ended well");
        runs
    });
    assert!(runs > 12, "{runs}");
}

#[test]
fn an_unchanged_archive_is_not_read_again() {
    let archive = Archive::new();
    many(&archive);
    let lake = archive.lake("lake");
    convert(&archive.root(), &lake, &[]);
    let before = files(&lake);
    let (ended, summary) = convert(&archive.root(), &lake, &[]);
    assert_eq!(ended.code, 0);
    assert_eq!(summary["objects"]["already_done"], 24);
    assert_eq!(
        (
            &summary["objects"]["converted"],
            &summary["records"]["seen"]
        ),
        (&json!(0), &json!(0))
    );
    assert!(files(&lake) == before);
}

/// A run with a narrower window does not hide events from a later, wider one, nor doubles any.
#[test]
fn a_wider_window_reads_again_and_doubles_nothing() {
    let archive = Archive::new();
    many(&archive);
    let lake = archive.lake("lake");
    let (_, narrow) = convert(
        &archive.root(),
        &lake,
        &["--since", "2025-03-02", "--until", "2025-03-02"],
    );
    assert!(
        narrow["records"]["kept"].as_u64() < Some(480)
            && narrow["records"]["kept"].as_u64() > Some(0)
    );
    let (_, wide) = convert(&archive.root(), &lake, &[]);
    assert_eq!(wide["lake"]["events"], 960);
    assert_eq!(ids(&lake).iter().collect::<BTreeSet<_>>().len(), 960);
}

/// A run that fails in the middle is finished by the next, to the bytes of an undisturbed one.
#[test]
fn an_interrupted_run_is_finished_with_the_same_bytes() {
    let archive = Archive::new();
    many(&archive);
    let (whole, broken) = (archive.lake("whole"), archive.lake("broken"));
    convert(&archive.root(), &whole, &[]);
    convert(&archive.root(), &broken, &[]);
    // As if the run had ended after its first two units: plan there, two receipts missing, one
    // part of them written, one half written.
    let receipts = broken.join("_dynatrail/receipts");
    let mut units: Vec<_> = std::fs::read_dir(&receipts)
        .expect("readable")
        .map(|e| e.expect("readable").path())
        .collect();
    units.sort();
    let plan = plan_of(&broken, &units);
    std::fs::create_dir_all(broken.join("_dynatrail/plans")).expect("created");
    std::fs::write(broken.join("_dynatrail/plans/interrupted.json.zst"), plan).expect("written");
    for unit in &units[2..] {
        std::fs::remove_file(unit).expect("removed");
    }
    std::fs::create_dir_all(broken.join("_dynatrail/tmp")).expect("created");
    std::fs::write(broken.join("_dynatrail/tmp/half"), b"PAR1").expect("written");
    let (_, summary) = convert(&archive.root(), &broken, &[]);
    assert_eq!(summary["resumed_units"], 2);
    assert!(files(&whole) == files(&broken));
}

/// The plan that the units of these receipts came from.
fn plan_of(lake: &Path, receipts: &[PathBuf]) -> Vec<u8> {
    let units: Vec<Value> = receipts
        .iter()
        .map(|receipt| {
            let packed = std::fs::read(receipt).expect("readable");
            let text = zstd::stream::decode_all(&packed[..]).expect("zstd");
            let receipt: Value = serde_json::from_slice(&text).expect("JSON");
            let objects: Vec<Value> = receipt["objects"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|object| json!({"uri": object["uri"], "size_bytes": object["size_bytes"]}))
                .collect();
            json!({"unit": receipt["unit"], "objects": objects})
        })
        .collect();
    assert!(
        units.len() == 4,
        "{} has {} units",
        lake.display(),
        units.len()
    );
    let plan = json!({"format": 1, "filter": {}, "units": units}).to_string();
    zstd::bulk::compress(plan.as_bytes(), 3).expect("into memory")
}

/// A lake keeps one selection: another is refused, never mixed in.
#[test]
fn another_selection_is_refused() {
    let archive = Archive::new();
    many(&archive);
    let lake = archive.lake("lake");
    convert(&archive.root(), &lake, &[]);
    let ended = run(&[
        "convert",
        path(&archive.root()),
        "--lake",
        path(&lake),
        "--all",
    ]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("the lake keeps other events"),
        "{}",
        ended.stderr
    );
}

/// Export writes what CloudTrail writes: a gzipped file of Records a part.
#[test]
fn export_writes_records_files_that_convert_reads_again() {
    let archive = Archive::new();
    many(&archive);
    let (lake, out, again) = (
        archive.lake("lake"),
        archive.lake("out"),
        archive.lake("again"),
    );
    convert(&archive.root(), &lake, &[]);
    let ended = run(&[
        "export",
        path(&lake),
        "--format",
        "records",
        "--out",
        path(&out),
    ]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(files(&out).iter().all(|(name, bytes)| {
        name.to_string_lossy().ends_with(".json.gz") && bytes.starts_with(&[0x1f, 0x8b])
    }));
    convert(&out, &again, &[]);
    assert_eq!(ids(&lake), ids(&again));
    let one_day = run(&[
        "export",
        path(&lake),
        "--since",
        "2025-03-03",
        "--until",
        "2025-03-03",
    ]);
    assert!(one_day.stdout.lines().count() > 100);
    assert!(
        one_day
            .stdout
            .lines()
            .all(|line| line.contains("2025-03-03T"))
    );
}

/// A record written as AWS writes it: version, identity, time, and some text of its own.
fn genuine(number: usize, date: &str, filler: &str) -> String {
    let session = number / 7 % 40;
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROA:s{session}","arn":"arn:aws:sts::111122223333:assumed-role/app/s{session}","accountId":"111122223333","sessionContext":{{"sessionIssuer":{{"arn":"arn:aws:iam::111122223333:role/app"}}}}}},"eventTime":"{date}T10:{:02}:{:02}Z","eventSource":"dynamodb.amazonaws.com","eventName":"BatchGetItem","awsRegion":"us-east-1","requestParameters":{{"requestItems":[{{"tableName":"Orders","key":{{"id":"{number}"}}}},{{"tableName":"Items","key":{{"id":"{filler}{number}"}}}}]}},"responseElements":null,"eventID":"id-{number}","recipientAccountId":"111122223333"}}"#,
        number * 31 / 60 % 60,
        number * 31 % 60,
    )
}

/// Converts one object of these records and holds export, principals and operations against them.
fn check_object(records: &[String]) {
    let archive = Archive::new();
    archive.object("111122223333", 1, "a", &[]);
    let object = std::fs::read_dir(
        archive
            .root()
            .join("AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/01"),
    )
    .expect("a folder")
    .map(|entry| entry.expect("a file").path())
    .next()
    .expect("the object");
    std::fs::write(object, format!(r#"{{"Records":[{}]}}"#, records.join(","))).expect("written");
    let lake = archive.lake("lake");
    let (_, summary) = convert(&archive.root(), &lake, &[]);
    assert_eq!(summary["records"]["kept"], records.len());
    let by_id = |records: Vec<Value>| -> std::collections::BTreeMap<String, Value> {
        let id = |record: &Value| record["eventID"].as_str().expect("an ID").to_owned();
        records
            .into_iter()
            .map(|record| (id(&record), without_nulls(record)))
            .collect()
    };
    let written = records
        .iter()
        .map(|text| serde_json::from_str(text).expect("JSON"));
    assert!(
        by_id(export(&lake)) == by_id(written.collect()),
        "the records come back"
    );
    // The columns that follow from what is stored once.
    for (table, each) in [("events", 1), ("operations", 2)] {
        let mut rows = 0;
        for (file, bytes) in files(&lake.join(table)) {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
                .expect("a part")
                .build()
                .expect("reads");
            for batch in reader {
                let batch = batch.expect("a batch");
                let text = |name: &str| {
                    batch
                        .column_by_name(name)
                        .expect(name)
                        .as_string::<i32>()
                        .clone()
                };
                let (ids, sessions) = (text("event_id"), text("session_name"));
                for row in 0..batch.num_rows() {
                    let number: usize = ids.value(row)[3..].parse().expect("a number");
                    assert_eq!(
                        sessions.value(row),
                        format!("s{}", number / 7 % 40),
                        "{file:?}"
                    );
                }
                rows += batch.num_rows();
            }
        }
        assert_eq!(rows, each * records.len());
    }
}

#[test]
fn dates_that_take_turns_in_one_object_are_all_kept() {
    // More dates than may be open at once: parts are closed and further ones begun.
    let records: Vec<String> = (0..400)
        .map(|n| {
            genuine(
                n,
                &format!("2025-0{}-{:02}", 1 + n / 28 % 2, 1 + n % 28),
                "",
            )
        })
        .collect();
    check_object(&records);
}

#[test]
fn many_rows_are_written_in_several_row_groups() {
    // More than may wait: the large date is written, the few rows of the others wait on.
    let filler = "long-".repeat(120);
    let records: Vec<String> = (0..24_000)
        .map(|n| {
            let date = if n % 50 == 0 {
                "2025-02-28"
            } else {
                "2025-03-01"
            };
            genuine(n, date, &filler)
        })
        .collect();
    check_object(&records);
}

/// A run that was killed while it described a new lake leaves no lake, but one that can be made.
#[test]
fn a_lake_that_was_not_yet_described_is_made_by_the_next_run() {
    let archive = Archive::new();
    archive.object("111122223333", 2, "a", &[event("x", 2)]);
    let lake = archive.lake("lake");
    std::fs::create_dir_all(lake.join("_dynatrail/tmp")).expect("created");
    std::fs::write(lake.join("_dynatrail/lock"), "").expect("written");
    std::fs::write(lake.join("_dynatrail/tmp/_dynatrail~lake.json"), "{\"for").expect("written");
    convert(&archive.root(), &lake, &[]);
    assert_eq!(ids(&lake), ["x"]);
    // A folder with files of others is left alone.
    let other = archive.lake("other");
    std::fs::create_dir_all(&other).expect("created");
    std::fs::write(other.join("thesis.txt"), "mine").expect("written");
    let ended = run(&["convert", path(&archive.root()), "--lake", path(&other)]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("is no lake"), "{}", ended.stderr);
    assert_eq!(files(&other).len(), 1);
}
