//! Bad input costs itself alone: it is named, counted, quarantined, and everything else is kept.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::product::{convert, export, path, run};

/// A temp folder with an archive and a place for a lake.
pub struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("temp folder");
        std::fs::create_dir(folder.path().join("archive")).expect("created");
        Self { folder }
    }

    pub fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    pub fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    pub fn with(self, name: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.archive().join(name), bytes).expect("written");
        self
    }

    /// Converts; the exit code, the summary, and the IDs of the events kept.
    pub fn converted(&self) -> (i32, Value, Vec<String>) {
        let (ended, summary) = convert(&self.archive(), &self.lake(), &[]);
        let mut ids: Vec<String> = export(&self.lake())
            .iter()
            .map(|record| record["eventID"].as_str().unwrap_or("-").to_owned())
            .collect();
        ids.sort();
        (ended.code, summary, ids)
    }

    /// The only problem of a run: it must name the object.
    fn only_problem(&self, summary: &Value, object: &str) -> String {
        let problems = summary["problems"].as_array().expect("a list");
        assert_eq!(problems.len(), 1, "{summary:#}");
        let name = problems[0]["object"].as_str().expect("a name");
        assert!(name.ends_with(object), "{name}");
        problems[0]["problem"].as_str().expect("words").to_owned()
    }

    pub fn quarantine(&self) -> Vec<Value> {
        let ended = run(&["show", path(&self.lake()), "--quarantine"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON lines"))
            .collect()
    }
}

pub fn record(id: &str) -> String {
    json!({
        "eventVersion": "1.11", "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/a",
        "accountId": "111122223333", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"},
        "eventTime": "2025-03-05T10:00:00Z", "eventSource": "dynamodb.amazonaws.com",
        "eventName": "GetItem", "awsRegion": "us-east-1", "sourceIPAddress": "192.0.2.1",
        "requestParameters": {"tableName": "Orders", "key": {"id": "7"}}, "responseElements": null,
        "eventID": id, "readOnly": true, "eventType": "AwsApiCall", "managementEvent": false,
        "recipientAccountId": "111122223333", "eventCategory": "Data"
    })
    .to_string()
}

pub fn wrapped(records: &[String]) -> Vec<u8> {
    format!("{{\"Records\":[{}]}}", records.join(",")).into_bytes()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_inflates_of_truncated_gzip_is_used() {
    let many: Vec<String> = (0..200).map(|n| record(&format!("id-{n:03}"))).collect();
    let whole = gzip(&wrapped(&many));
    let case = Case::new()
        .with("cut.json.gz", &whole[..whole.len() * 2 / 3])
        .with("good.json.gz", &gzip(&wrapped(&[record("good")])));
    let (code, summary, kept) = case.converted();
    assert_eq!(code, 3);
    assert!(kept.len() > 20 && kept.len() < 201, "{}", kept.len());
    assert!(kept.contains(&"good".to_owned()) && kept.contains(&"id-000".to_owned()));
    assert_eq!(summary["objects"]["damaged"], 1);
    let problems = summary["problems"].to_string();
    assert!(
        problems.contains("gzip data ends in the middle"),
        "{problems}"
    );
}

#[test]
fn a_wrong_checksum_is_told_and_the_records_are_kept() {
    let mut bytes = gzip(&wrapped(&[record("a"), record("b")]));
    let at = bytes.len() - 6;
    bytes[at] ^= 0xff;
    let case = Case::new().with("sum.json.gz", &bytes);
    let (code, summary, kept) = case.converted();
    assert_eq!((code, kept), (3, ids(&["a", "b"])));
    let problem = case.only_problem(&summary, "sum.json.gz");
    assert!(problem.contains("corrupt"), "{problem}");
}

#[test]
fn further_gzip_members_are_read_and_reported() {
    let mut bytes = gzip(&wrapped(&[record("a")]));
    bytes.extend(gzip(&wrapped(&[record("b")])));
    let case = Case::new().with("two.json.gz", &bytes);
    let (code, summary, kept) = case.converted();
    assert_eq!((code, kept), (0, ids(&["a", "b"])));
    assert_eq!(summary["multi_member_objects"], 1);
    let trailing = [bytes, b"garbage".to_vec()].concat();
    let case = Case::new().with("two.json.gz", &trailing);
    let (code, summary, kept) = case.converted();
    assert_eq!((code, kept), (3, ids(&["a", "b"])));
    let problem = case.only_problem(&summary, "two.json.gz");
    assert!(problem.contains("7 bytes after the gzip data"), "{problem}");
}

#[test]
fn whole_records_before_the_cut_of_truncated_json_are_kept() {
    let text = wrapped(&[record("a"), record("b"), record("c")]);
    let case = Case::new().with("cut.json", &text[..text.len() - 100]);
    let (code, _, kept) = case.converted();
    assert_eq!((code, kept), (3, ids(&["a", "b"])));
    let quarantine = case.quarantine();
    assert_eq!(quarantine.len(), 1);
    assert_eq!(quarantine[0]["record"], 2);
    assert!(
        quarantine[0]["text"]
            .as_str()
            .expect("text")
            .starts_with("{\"")
    );
    assert!(
        quarantine[0]["object"]
            .as_str()
            .expect("name")
            .ends_with("cut.json")
    );
}

/// Broken in every way that leaves the others findable: each is quarantined alone.
#[test]
fn one_broken_record_among_good_ones_is_quarantined_alone() {
    let good = record("broken");
    for broken in [
        good.replace("true", "tru"),
        good.replace("\"eventName\":", "\"eventName\""),
        good[..good.len() - 1].to_owned(),
        good.replacen("\"eventVersion\":\"1.11\"", "\"eventVersion\":\"1.11", 1),
        good.replacen("\"GetItem\"", "\"Get\"Item\"", 1),
        format!("{good}}}"),
        format!("{good}]"),
        good.replace("GetItem", "Get\nItem"),
        good.replace("\"1.11\"", "\"2.0\""),
    ] {
        let text = wrapped(&[record("a"), broken.clone(), record("b"), record("c")]);
        let case = Case::new().with("one.json.gz", &gzip(&text));
        let (code, summary, kept) = case.converted();
        let survivors: Vec<&String> = kept.iter().filter(|id| *id != "broken").collect();
        assert_eq!(survivors, ["a", "b", "c"], "{broken}");
        assert_eq!(code, 3, "{broken}");
        let quarantined = summary["records"]["quarantined"].as_u64().expect("a count");
        assert_eq!(quarantined, 1, "{broken}\n{:#?}", case.quarantine());
    }
}

#[test]
fn invalid_utf8_is_quarantined_with_its_bytes() {
    let text = wrapped(&[record("a"), record("bad"), record("b")]);
    let at = text.windows(3).position(|w| w == b"bad").expect("there");
    let mut bytes = text;
    bytes[at] = 0xff;
    let case = Case::new().with("utf8.json.gz", &gzip(&bytes));
    let (code, _, kept) = case.converted();
    assert_eq!((code, kept), (3, ids(&["a", "b"])));
    let quarantine = case.quarantine();
    assert!(
        quarantine[0]["reason"]
            .as_str()
            .expect("words")
            .contains("not valid UTF-8")
    );
    assert!(
        quarantine[0]["hex"]
            .as_str()
            .expect("hex")
            .contains("ff6164")
    );
}

/// Names that differ in a lone surrogate are two members, and each comes back by its name.
#[test]
fn member_names_with_lone_surrogates_come_back_as_written() {
    let odd = record("a").replace(
        "\"readOnly\":true",
        "\"x\\ud800\":1,\"x\\udc00\":2,\"x\\ufffd\":3,\"readOnly\":true",
    );
    let case = Case::new().with("odd.json.gz", &gzip(&wrapped(&[odd])));
    let (ended, summary) = convert(&case.archive(), &case.lake(), &[]);
    assert_eq!(ended.code, 0, "{summary:#}");
    let text = run(&["export", path(&case.lake())]).stdout;
    for member in ["\"x\\ud800\":1", "\"x\\udc00\":2", "\"x\\ufffd\":3"] {
        assert!(text.contains(member), "{member} in {text}");
    }
}

/// A record of another service that lacks a quote takes the beginning of the next one with it: that one
/// is kept all the same.
#[test]
fn a_broken_record_of_another_service_takes_none_with_it() {
    let other = record("other").replace("dynamodb.amazonaws.com", "s3.amazonaws.com");
    let broken = other.replace("\"eventVersion\":\"", "\"eventVersion\":");
    let next = record("kept").replace(
        "\"userIdentity\":",
        "\"note\":\"{\\\"eventSource\\\": \\\"}\",\"userIdentity\":",
    );
    let objects =
        [&broken, &next, &record("last")].map(|record| wrapped(std::slice::from_ref(record)));
    let case = Case::new().with("odd.json.gz", &gzip(&objects.concat()));
    let (code, _, ids) = case.converted();
    assert_eq!((code, ids), (3, vec!["kept".to_owned(), "last".to_owned()]));
}

/// White space between numbers is no white space between values: `1 2` is not 12.
#[test]
fn numbers_apart_are_no_number() {
    let spaced = record("a").replace("{\"id\":\"7\"}", "{ \"id\": 1 2}");
    let case = Case::new().with("odd.json.gz", &gzip(&wrapped(&[spaced, record("b")])));
    let (code, _, ids) = case.converted();
    assert_eq!((code, ids), (3, vec!["b".to_owned()]));
    assert!(
        case.quarantine()[0]["text"]
            .as_str()
            .expect("a text")
            .contains("1 2")
    );
}

#[test]
fn lone_surrogates_and_long_numbers_come_back_as_written() {
    let odd = record("a")
        .replace("\"Orders\"", "\"Ord\\ud800ers\"")
        .replace("\"192.0.2.1\"", "\"192\\udc00.0\"")
        .replace("\"7\"", "18446744073709551616,\"e\":1e400,\"f\":5.0");
    let case = Case::new().with("odd.json.gz", &gzip(&wrapped(&[odd, record("b")])));
    let (ended, summary) = convert(&case.archive(), &case.lake(), &[]);
    assert_eq!(ended.code, 0, "{summary:#}");
    let text = run(&["export", path(&case.lake())]).stdout;
    for spelled in [
        "\"Ord\\ud800ers\"",
        "\"192\\udc00.0\"",
        "18446744073709551616",
        "1e400",
        "5.0",
    ] {
        assert!(text.contains(spelled), "{spelled} in {text}");
    }
}

#[test]
fn the_last_of_duplicate_members_counts_and_is_noted() {
    let doubled = record("a").replacen(
        '{',
        "{\"eventName\":\"Scan\",\"eventSource\":\"ec2.amazonaws.com\",\"x\":1,\"x\":2,",
        1,
    );
    let case = Case::new().with(
        "double.json.gz",
        &gzip(&wrapped(std::slice::from_ref(&doubled))),
    );
    let (_, summary, kept) = case.converted();
    assert_eq!(kept, ids(&["a"]));
    assert_eq!(summary["notes"]["duplicate_member"], 1);
    let expected: Value = serde_json::from_str(&doubled).expect("JSON");
    assert_eq!(
        crate::slow::without_nulls(expected),
        export(&case.lake())[0]
    );
}

#[test]
fn a_user_identity_of_any_kind_comes_back_however_often_it_is_repeated() {
    for odd in [
        "true",
        "12345",
        r#""a text""#,
        "[1,2,3]",
        "null",
        "{}",
        r#"{"type":"Root","n":5.0}"#,
    ] {
        let texts: Vec<String> = (0..3)
            .map(|n| {
                format!(
                    r#"{{"eventVersion":"1.11","userIdentity":{odd},"eventTime":"2025-03-05T10:00:0{n}Z","eventSource":"dynamodb.amazonaws.com","eventName":"ListTables","eventID":"{n}","recipientAccountId":"111122223333"}}"#
                )
            })
            .collect();
        let case = Case::new().with("a.json", &wrapped(&texts));
        let (code, summary, _) = case.converted();
        assert_eq!(
            (code, summary["records"]["kept"].as_u64()),
            (0, Some(3)),
            "{odd}"
        );
        let ended = run(&["export", path(&case.lake())]);
        if odd != "null" {
            let identity = format!(r#""userIdentity":{odd}"#);
            assert_eq!(
                ended.stdout.matches(&identity).count(),
                3,
                "{}",
                ended.stdout
            );
        }
    }
}

#[test]
fn nesting_beyond_the_limit_is_quarantined() {
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let record_with = record("deep").replace("{\"id\":\"7\"}", &deep);
    let case = Case::new().with("deep.json.gz", &gzip(&wrapped(&[record_with, record("a")])));
    let (code, _, kept) = case.converted();
    assert_eq!((code, kept), (3, ids(&["a"])));
    let reason = case.quarantine()[0]["reason"].to_string();
    assert!(reason.contains("nested deeper than 128"), "{reason}");
}

#[test]
fn empty_and_foreign_files_are_named() {
    let html = b"<!DOCTYPE html><html><body>Access \x1b[31mdenied</body></html>";
    let case = Case::new()
        .with("empty.json.gz", b"")
        .with("page.json.gz", html)
        .with("zipped-page.json.gz", &gzip(html))
        .with("other.json", b"{\"name\":\"package\"}")
        .with("good.json", &wrapped(&[record("a")]));
    std::fs::create_dir(case.archive().join("folder.json.gz")).expect("created");
    std::fs::write(
        case.archive().join("folder.json.gz/b.json"),
        wrapped(&[record("b")]),
    )
    .expect("written");
    let (code, summary, kept) = case.converted();
    assert_eq!((code, kept), (3, ids(&["a", "b"])));
    assert_eq!(
        summary["objects"]["out_of_selection_by_reason"]["not_a_log"], 3,
        "{summary:#}"
    );
    let problems = summary["problems"].to_string();
    for words in [
        "the object is empty",
        "not a CloudTrail log",
        "<!DOCTYPE",
        "1 records quarantined",
    ] {
        assert!(problems.contains(words), "{words} in {problems}");
    }
    let (ended, _) = convert(&case.archive(), &case.folder.path().join("again"), &[]);
    assert!(
        !ended.stderr.contains('\u{1b}'),
        "terminal escapes are dead"
    );
}

#[test]
fn hostile_names_and_far_dates_stay_in_the_lake() {
    let climbing = record("climb")
        .replace("\"us-east-1\"", "\"../../../../tmp/x\"")
        .replace(
            "\"recipientAccountId\":\"111122223333\"",
            "\"recipientAccountId\":\"../../etc\"",
        );
    let early = record("early").replace("2025-03-05", "0001-01-01");
    let late = record("late").replace("2025-03-05", "9999-12-31");
    let dateless = record("none").replace("2025-03-05T10:00:00Z", "../../../dt");
    let case = Case::new().with("far.json", &wrapped(&[climbing, early, late, dateless]));
    let (code, summary, kept) = case.converted();
    assert_eq!((code, kept), (0, ids(&["climb", "early", "late", "none"])));
    assert_eq!(summary["notes"]["event_time_not_understood"], 1);
    let mut dates: Vec<String> = std::fs::read_dir(case.lake().join("events"))
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    dates.sort();
    let expected = [
        "dt=0001-01-01",
        "dt=2025-03-05",
        "dt=9999-12-31",
        "dt=__HIVE_DEFAULT_PARTITION__",
    ];
    assert_eq!(dates, expected);
    let mut beside: Vec<_> = std::fs::read_dir(case.folder.path())
        .expect("readable")
        .map(|e| e.expect("readable").file_name())
        .collect();
    beside.sort();
    assert_eq!(beside, ["archive", "lake"]);
}

#[test]
fn a_lake_that_cannot_be_written_is_told() {
    let case = Case::new().with("a.json", &wrapped(&[record("a")]));
    let lake = case.archive().join("a.json/lake");
    let ended = run(&["convert", path(&case.archive()), "--lake", path(&lake)]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("a.json/lake"), "{}", ended.stderr);
    let ended = run(&[
        "convert",
        path(&case.archive()),
        "--lake",
        path(&case.archive()),
    ]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("holds files but is no lake"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_lake_of_a_newer_format_is_left_alone() {
    let case = Case::new().with("a.json", &wrapped(&[record("a")]));
    case.converted();
    let description = case.lake().join("_dynatrail/lake.json");
    let text = std::fs::read_to_string(&description)
        .expect("readable")
        .replace("\"format\": 1", "\"format\": 7");
    std::fs::write(&description, &text).expect("written");
    for arguments in [
        vec!["convert", path(&case.archive()), "--lake"],
        vec!["show"],
        vec!["export"],
    ] {
        let lake = case.lake();
        let ended = run(&[&arguments[..], &[path(&lake)]].concat());
        assert_eq!(ended.code, 1, "{arguments:?}");
        assert!(ended.stderr.contains("format 7"), "{}", ended.stderr);
    }
}

/// A source that is not there is an error, not a clean run over nothing.
#[test]
fn nothing_to_read_is_a_failure() {
    let case = Case::new();
    for source in [case.archive(), Path::new("/nonexistent/archive").to_owned()] {
        let ended = run(&["convert", path(&source), "--lake", path(&case.lake())]);
        assert_ne!(ended.code, 0, "{}", source.display());
        assert!(!ended.stderr.is_empty());
    }
}
