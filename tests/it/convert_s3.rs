//! Conversions from S3, and lakes in S3, over the built binary: whatever the server does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::product::{Ended, convert, dynatrail, export, files, path, run};
use crate::s3_server::{Faults, S3Server, Seen};
use crate::slow;

const BUCKET: &str = "trail-logs";
const SOURCE: &str = "s3://trail-logs/";
/// Objects of the sample with API and network-activity events.
const LOG_OBJECTS: u64 = 393;

pub fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data/archive")
}

/// A server root with the sample archive in a bucket, and an empty bucket for lakes.
pub fn buckets() -> TempDir {
    let root = TempDir::new().unwrap();
    for (name, bytes) in files(&sample()) {
        let file = root.path().join(BUCKET).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    fs::create_dir(root.path().join("lakes")).unwrap();
    root
}

/// Runs the binary with the server's credentials and address.
pub fn run_on(server: &S3Server, arguments: &[&str]) -> Ended {
    let output = dynatrail()
        .envs(server.environment())
        .args(arguments)
        .output()
        .expect("the binary runs");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Converts the bucket with a summary in JSON; checks that the identities hold.
fn convert_on(server: &S3Server, lake: &str, more: &[&str]) -> (Ended, Value) {
    let fixed = ["convert", SOURCE, "--lake", lake, "--summary", "json"];
    let ended = run_on(server, &[&fixed, more].concat());
    let summary = ended.json();
    for identity in ["objects", "records", "lake"] {
        assert_eq!(
            summary["identities"][identity], true,
            "{identity} in {summary:#}"
        );
    }
    (ended, summary)
}

fn sorted(records: Vec<Value>) -> Vec<String> {
    let mut texts: Vec<String> = records.iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

fn rows(lake: &Path) -> Vec<String> {
    sorted(export(lake))
}

/// The records of the sample's log objects with their keys, as serde_json reads them.
pub fn log_records() -> &'static [(String, Value)] {
    static RECORDS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
        let mut found = Vec::new();
        for (name, bytes) in files(&sample()) {
            let key = name.to_str().unwrap();
            if key.contains("/CloudTrail/") || key.contains("/CloudTrail-NetworkActivity/") {
                let records = slow::records(&bytes).into_iter();
                found.extend(records.map(|record| (key.to_owned(), record)));
            }
        }
        found
    });
    &RECORDS
}

/// What a walk over the sample's log objects finds: DynamoDB's events, one copy of each, of the
/// keys and records that are wanted.
fn slow_walk(is_wanted: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    let mut found: BTreeMap<(&str, &str), Value> = BTreeMap::new();
    for (key, record) in log_records() {
        if slow::is_dynamodb(record) && is_wanted(key, record) {
            let text = |name: &str| record[name].as_str().unwrap();
            let id = (text("recipientAccountId"), text("eventID"));
            found.insert(id, slow::without_nulls(record.clone()));
        }
    }
    sorted(found.into_values().collect())
}

fn seen_keys(requests: &[Seen], is_asked: impl Fn(&Seen) -> bool) -> BTreeSet<String> {
    let asked = requests.iter().filter(|seen| is_asked(seen));
    asked.map(|seen| seen.key.clone()).collect()
}

fn archive_gets(server: &S3Server) -> BTreeSet<String> {
    let requests = server.take_requests();
    seen_keys(&requests, |seen| {
        seen.is_get() && seen.key.starts_with("AWSLogs/")
    })
}

#[test]
fn a_bucket_converts_to_the_rows_of_the_folder() {
    let root = buckets();
    let server = S3Server::start(root.path(), Faults::default());
    let lakes = TempDir::new().unwrap();
    let (of_folder, of_bucket) = (lakes.path().join("folder"), lakes.path().join("bucket"));
    let (ended, expected) = convert(&sample(), &of_folder, &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let (ended, found) = convert_on(&server, path(&of_bucket), &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    assert_eq!(rows(&of_bucket), slow_walk(|_, _| true));
    assert_eq!(rows(&of_bucket), rows(&of_folder));
    // The folder's digests are passed over as a folder, the bucket's are listed with the rest.
    for member in ["converted", "already_done", "failed", "damaged", "gone"] {
        assert_eq!(
            found["objects"][member], expected["objects"][member],
            "{member}"
        );
    }
    for member in [
        "records",
        "not_selected",
        "kinds",
        "notes",
        "compressed_bytes",
        "inflated_bytes",
        "problems",
    ] {
        assert_eq!(found[member], expected[member], "{member}");
    }
    for member in ["events", "operations", "first_date", "last_date"] {
        assert_eq!(found["lake"][member], expected["lake"][member], "{member}");
    }
    assert_eq!(found["objects"]["converted"], LOG_OBJECTS);
}

#[test]
fn a_lake_in_s3_holds_the_bytes_of_a_lake_in_a_folder() {
    let root = buckets();
    let server = S3Server::start(root.path(), Faults::default());
    let lakes = TempDir::new().unwrap();
    let local = lakes.path().join("lake");
    convert_on(&server, path(&local), &[]);
    // At a prefix of a bucket, and at the top of one.
    fs::create_dir(root.path().join("whole-bucket")).unwrap();
    for (place, folder) in [
        ("s3://lakes/deep/lake", "lakes/deep/lake"),
        ("s3://whole-bucket", "whole-bucket"),
    ] {
        let (ended, _) = convert_on(&server, place, &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_same_files(&root.path().join(folder), &local);
        for format in ["text", "json"] {
            let show = |lake| run_on(&server, &["show", lake, "--format", format]);
            assert_eq!(show(place).stdout, show(path(&local)).stdout);
        }
        let exported = run_on(&server, &["export", place]);
        assert_eq!(exported.code, 0, "{}", exported.stderr);
        assert_eq!(exported.stdout, run(&["export", path(&local)]).stdout);
    }
}

/// Compares file by file, so that a difference is told by name.
pub fn assert_same_files(found: &Path, expected: &Path) {
    let (found, expected) = (files(found), files(expected));
    let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&found), names(&expected));
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        assert!(found == expected, "{} differs", name.display());
    }
}

#[test]
fn a_server_that_fails_now_and_then_changes_no_byte() {
    let root = buckets();
    let server = S3Server::start(root.path(), Faults::default());
    let lakes = TempDir::new().unwrap();
    let whole = lakes.path().join("whole");
    convert_on(&server, path(&whole), &[]);
    server.take_requests();
    for seed in [1, 2] {
        server.set_faults(Faults {
            seed,
            unavailable: 0.1,
            resets: 0.1,
            short_bodies: 0.1,
            ..Faults::default()
        });
        let lake = format!("s3://lakes/{seed}");
        let (ended, summary) = convert_on(&server, &lake, &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(summary["objects"]["converted"], LOG_OBJECTS);
        let requests = server.take_requests();
        let broken = requests.iter().filter(|seen| seen.is_broken).count();
        assert!(broken * 6 > requests.len(), "{broken} requests were broken");
        assert_same_files(&root.path().join("lakes").join(seed.to_string()), &whole);
    }
}

/// Of the requests a fifth gets 503, resets, bodies cut short or lost answers; all are slow, pages are
/// short and list in no order; keys vanish between list and get, and one is refused for ever.
#[test]
fn a_server_at_its_worst_loses_and_doubles_nothing() {
    let root = buckets();
    let keys: Vec<String> = files(&sample())
        .into_iter()
        .map(|(name, _)| path(&name).to_owned())
        .filter(|key| key.contains("/CloudTrail/"))
        .collect();
    let (gone, frozen) = (&keys[3], &keys[40]);
    let server = S3Server::start(root.path(), Faults::default());
    let worst = |seed| Faults {
        seed,
        unavailable: 0.05,
        resets: 0.05,
        short_bodies: 0.05,
        lost_answers: 0.05,
        disorder: true,
        page_keys: Some(7),
        get_delay: std::time::Duration::from_millis(2),
        vanished_keys: vec![gone.clone()],
        frozen_keys: vec![frozen.clone()],
        ..Faults::default()
    };
    let calm = Faults {
        page_keys: Some(1000),
        vanished_keys: vec![gone.clone()],
        frozen_keys: vec![frozen.clone()],
        ..Faults::default()
    };
    server.set_faults(calm);
    let (ended, _) = convert_on(&server, "s3://lakes/calm", &[]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    for seed in [11, 12] {
        server.set_faults(worst(seed));
        let lake = format!("s3://lakes/{seed}");
        let (ended, summary) = convert_on(&server, &lake, &[]);
        assert_eq!(ended.code, 3, "{}", ended.stderr);
        assert_eq!(summary["objects"]["converted"], LOG_OBJECTS - 2);
        assert_eq!(summary["objects"]["failed"], 2);
        assert_eq!(summary["objects"]["gone"], 1);
        for key in [gone, frozen] {
            assert!(ended.stderr.contains(key.as_str()), "{}", ended.stderr);
        }
        let lakes = root.path().join("lakes");
        assert_same_files(&lakes.join(seed.to_string()), &lakes.join("calm"));
    }
}

#[test]
fn a_key_that_vanishes_is_named_and_counted_as_gone() {
    let root = buckets();
    let key = "AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/12/";
    let (file, _) = files(&root.path().join(BUCKET).join(key)).swap_remove(3);
    let key = format!("{key}{}", path(&file));
    let faults = Faults {
        vanished_keys: vec![key.clone()],
        ..Faults::default()
    };
    let server = S3Server::start(root.path(), faults);
    let lakes = TempDir::new().unwrap();
    let lake = lakes.path().join("lake");
    let (ended, summary) = convert_on(&server, path(&lake), &[]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let uri = format!("{SOURCE}{key}");
    assert!(ended.stderr.contains(&uri), "{}", ended.stderr);
    assert_eq!(summary["objects"]["gone"], 1);
    assert_eq!(summary["objects"]["failed"], 1);
    assert_eq!(summary["objects"]["converted"], LOG_OBJECTS - 1);
    assert_eq!(summary["problems"][0]["object"], uri);
    let without = slow_walk(|name, _| name != key);
    assert!(without.len() < slow_walk(|_, _| true).len());
    assert_eq!(rows(&lake), without);

    // It is back: the next run reads it, and nothing else.
    server.set_faults(Faults::default());
    server.take_requests();
    let (ended, summary) = convert_on(&server, path(&lake), &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(summary["objects"]["converted"], 1);
    assert_eq!(archive_gets(&server), BTreeSet::from([key]));
    assert_eq!(rows(&lake), slow_walk(|_, _| true));
}

#[test]
fn a_denied_account_is_named_and_the_rest_is_converted() {
    let root = buckets();
    let denied = "AWSLogs/o-exampleorg1/444455556666/";
    let lakes = TempDir::new().unwrap();
    // Listed at one go, its objects cannot be got; listed folder by folder, it cannot be listed.
    for (page_keys, failed) in [(None, 10), (Some(40), 0)] {
        let faults = Faults {
            denied_prefixes: vec![denied.to_owned()],
            page_keys,
            ..Faults::default()
        };
        let server = S3Server::start(root.path(), faults);
        let lake = lakes.path().join(failed.to_string());
        let (ended, summary) = convert_on(&server, path(&lake), &[]);
        assert_eq!(ended.code, 3, "{}", ended.stderr);
        let place = format!("{SOURCE}{denied}");
        let named = ended.stderr.lines().find(|line| line.contains(&place));
        let named = named.unwrap_or_else(|| panic!("{place} in {}", ended.stderr));
        assert!(named.contains("denied"), "{named}");
        assert_eq!(summary["objects"]["failed"], failed, "{summary:#}");
        assert_eq!(
            rows(&lake),
            slow_walk(|name, _| !name.starts_with(denied)),
            "pages of {page_keys:?}"
        );
    }
}

#[test]
fn a_bucket_that_cannot_be_listed_at_all_is_a_failure_and_makes_no_lake() {
    let root = buckets();
    let faults = Faults {
        denied_prefixes: vec![String::new()],
        ..Faults::default()
    };
    let server = S3Server::start(root.path(), faults);
    let lakes = TempDir::new().unwrap();
    let lake = lakes.path().join("lake");
    for (source, cause) in [(SOURCE, "denied"), ("s3://no-such-bucket/", "not found")] {
        for quiet in [&[][..], &["--quiet"]] {
            let arguments = [&["convert", source, "--lake", path(&lake)], quiet].concat();
            let ended = run_on(&server, &arguments);
            assert_eq!(ended.code, 1, "{}", ended.stderr);
            let told = format!("cannot list {source}: ");
            let named = ended.stderr.lines().find(|line| line.contains(&told));
            let named = named.unwrap_or_else(|| panic!("{told} in {}", ended.stderr));
            assert!(named.contains(cause), "{named}");
            assert_eq!(ended.stdout, "");
            assert!(!lake.exists());
        }
        server.set_faults(Faults::default());
    }
}

#[test]
fn a_lake_that_cannot_be_reached_is_told_once() {
    let root = buckets();
    let server = S3Server::start(root.path(), Faults::default());
    let source = format!("{SOURCE}AWSLogs/o-exampleorg1/");
    let ended = run_on(&server, &["convert", &source, "--lake", "s3://no-bucket/x"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_eq!(
        ended.stderr.matches("NoSuchBucket").count(),
        1,
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("s3://no-bucket/x"),
        "{}",
        ended.stderr
    );
}

/// The days that were listed or whose objects were fetched, as `account/region/day`.
fn days_asked(requests: &[Seen]) -> BTreeSet<String> {
    let mut days = BTreeSet::new();
    for seen in requests {
        let place = match seen.is_list() {
            true => &seen.query["prefix"],
            false => &seen.key,
        };
        let segments: Vec<&str> = place.split('/').collect();
        let Some(at) = segments.iter().position(|name| *name == "CloudTrail") else {
            continue;
        };
        if let [region, _, _, day, ..] = segments[at + 1..] {
            days.insert(format!("{}/{region}/{day}", segments[at - 1]));
        }
    }
    days
}

#[test]
fn a_selection_lists_its_days_alone_and_goes_by_the_events_own_time() {
    let root = buckets();
    let server = S3Server::start(root.path(), Faults::default());
    let lakes = TempDir::new().unwrap();
    let lake = lakes.path().join("one");
    let arguments = [
        "--account",
        "111122223333",
        "--region",
        "us-east-1",
        "--since",
        "2025-03-06T12:00:00Z",
        "--until",
        "2025-03-06T20:30:00Z",
        "--late",
        "1",
    ];
    let (ended, summary) = convert_on(&server, path(&lake), &arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let days = ["06", "07"].map(|day| format!("111122223333/us-east-1/{day}"));
    assert_eq!(
        days_asked(&server.take_requests()),
        BTreeSet::from(days.clone())
    );
    let is_in_time = |record: &Value| {
        ("2025-03-06T12:00:00Z".."2025-03-06T20:30:00Z")
            .contains(&record["eventTime"].as_str().unwrap())
    };
    let expected = slow_walk(|key, record| {
        key.contains("/111122223333/") && key.contains("/us-east-1/") && is_in_time(record)
    });
    assert!(expected.len() > 50, "{}", expected.len());
    assert_eq!(rows(&lake), expected);
    assert!(summary["not_selected"]["event_time"].as_u64().unwrap() > 0);

    // A lake takes a second, other selection on; together they are what either selects.
    let more = [
        "--account",
        "123456789012",
        "--until",
        "2025-03-11",
        "--since",
        "2025-03-11",
    ];
    let (ended, _) = convert_on(&server, path(&lake), &more);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let both = slow_walk(|key, record| {
        let is_of_first =
            key.contains("/111122223333/") && key.contains("/us-east-1/") && is_in_time(record);
        let day = record["eventTime"]
            .as_str()
            .unwrap()
            .starts_with("2025-03-11");
        is_of_first || (key.contains("/123456789012/") && day)
    });
    assert!(both.len() > expected.len());
    assert_eq!(rows(&lake), both);
}

#[test]
fn late_deliveries_are_found_as_many_days_later_as_asked() {
    let root = buckets();
    let server = S3Server::start(root.path(), Faults::default());
    let lakes = TempDir::new().unwrap();
    let of_the_day = slow_walk(|key, record| {
        key.contains("/eu-west-1/")
            && record["eventTime"]
                .as_str()
                .unwrap()
                .starts_with("2025-03-08")
    });
    let in_the_days_folder = slow_walk(|key, record| {
        key.contains("/eu-west-1/2025/03/08/")
            && record["eventTime"]
                .as_str()
                .unwrap()
                .starts_with("2025-03-08")
    });
    // One update of that afternoon came after midnight.
    assert_eq!(of_the_day.len(), in_the_days_folder.len() + 1);
    for (late, expected) in [("0", in_the_days_folder), ("1", of_the_day)] {
        let lake = lakes.path().join(late);
        let arguments = [
            "--region",
            "eu-west-1",
            "--since",
            "2025-03-08",
            "--until",
            "2025-03-08",
            "--late",
            late,
        ];
        let (ended, _) = convert_on(&server, path(&lake), &arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(rows(&lake), expected, "--late {late}");
    }
}

#[test]
fn an_unchanged_bucket_is_not_fetched_again() {
    let root = buckets();
    let server = S3Server::start(root.path(), Faults::default());
    for lake in ["s3://lakes/again", path(&root.path().join("local"))] {
        convert_on(&server, lake, &[]);
        assert_eq!(archive_gets(&server).len() as u64, LOG_OBJECTS);
        let (ended, summary) = convert_on(&server, lake, &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(archive_gets(&server), BTreeSet::new());
        assert_eq!(summary["objects"]["already_done"], LOG_OBJECTS);
        assert_eq!(summary["objects"]["converted"], 0);
        assert_eq!(summary["written"]["parts"], 0);
    }
}

/// A profile that is asked for is the one that is used: it goes before keys in the environment,
/// and where it does not exist nothing stands in for it.
#[test]
fn a_named_profile_is_used_and_no_other_credentials() {
    let root = buckets();
    let server = S3Server::start(root.path(), Faults::default());
    let credentials = root.path().join("credentials");
    let keys: std::collections::HashMap<_, _> = server.environment().into_iter().collect();
    let (id, secret) = (&keys["AWS_ACCESS_KEY_ID"], &keys["AWS_SECRET_ACCESS_KEY"]);
    let profile = format!("[auditor]\naws_access_key_id={id}\naws_secret_access_key={secret}\n");
    fs::write(&credentials, profile).unwrap();
    let lake = root.path().join("lakes/profile");
    let source = "s3://trail-logs/AWSLogs/o-exampleorg1/444455556666";
    let convert_as = |name: &str, key: &str| {
        dynatrail()
            .envs(server.environment())
            .env("AWS_SHARED_CREDENTIALS_FILE", &credentials)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_ACCESS_KEY_ID", key)
            .args(["convert", source, "--lake", path(&lake), "--profile", name])
            .output()
            .expect("the binary runs")
    };
    let right = convert_as("auditor", "NOT-THE-KEY");
    let stderr = String::from_utf8_lossy(&right.stderr);
    assert_eq!(right.status.code(), Some(0), "{stderr}");
    let missing = convert_as("nobody", id);
    let stderr = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("nobody"), "{stderr}");
}
