//! "Clean" is never said where nothing was recorded: unreadable, late and missing deliveries.

use std::fs;
use std::path::PathBuf;

use jiff::civil::{Date, date};
use jiff::{Span, ToSpan};
use serde_json::{Value, json};

use crate::archive_made::event;
use crate::product::{Ended, path, run};

const A: &str = "111122223333";
const B: &str = "444455556666";

/// The first day of every archive that is not of today.
const FIRST: Date = date(2025, 3, 1);

/// A folder with an archive and its lake.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temp folder"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The bytes of a log file delivered ten minutes after the hour so many hours after a day's begin.
    fn write(&self, account: &str, (day, hour): (Date, i64), bytes: &[u8]) {
        let time = day.at(0, 10, 0, 0) + Span::new().hours(hour);
        let folder = self.at("archive").join(format!(
            "AWSLogs/{account}/CloudTrail/us-east-1/{}",
            time.strftime("%Y/%m/%d")
        ));
        fs::create_dir_all(&folder).expect("created");
        let stamp = time.strftime("%Y%m%dT%H%MZ");
        let name = format!("{account}_CloudTrail_us-east-1_{stamp}_AAAAAAAAAAAAAAAA.json");
        fs::write(folder.join(name), bytes).expect("written");
    }

    /// A log file with one event of the hour before.
    fn deliver(&self, account: &str, (day, hour): (Date, i64)) {
        let time = day.at(0, 2, 0, 0) + Span::new().hours(hour);
        let mut record = event(&format!("{account}-{time}"), 1);
        record["eventName"] = json!("DescribeTable");
        record["eventCategory"] = json!("Management");
        record["managementEvent"] = json!(true);
        record["requestParameters"] = json!({"tableName": "Orders"});
        record["eventTime"] = json!(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        record["recipientAccountId"] = json!(account);
        let text = json!({ "Records": [record] }).to_string();
        self.write(account, (day, hour), text.as_bytes());
    }

    fn convert(&self) {
        let (archive, lake) = (self.at("archive"), self.at("lake"));
        let ended = run(&[
            "convert",
            path(&archive),
            "--lake",
            path(&lake),
            "--all",
            "--quiet",
        ]);
        assert!(matches!(ended.code, 0 | 3), "{}", ended.stderr);
    }

    fn report(&self, arguments: &[&str]) -> Value {
        let lake = self.at("lake");
        let fixed = ["report", "--lake", path(&lake), "--format", "json"];
        run(&[&fixed, arguments].concat()).json()
    }

    /// Answer and reasons of a report on tables that no archive here has a finding for.
    fn answer(&self, arguments: &[&str]) -> (String, Vec<String>) {
        let run = self.report(&[&["table-deleted"], arguments].concat());
        let report = &run["reports"][0];
        let reasons = report["reasons"].as_array().expect("reasons").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&report["answer"]), reasons.map(text).collect())
    }

    /// Hours of `coverage-hours` by state.
    fn states(&self, arguments: &[&str]) -> Vec<(String, usize)> {
        let run = self.report(&[&["coverage-hours"], arguments].concat());
        let rows = run["reports"][0]["rows"].as_array().expect("rows").iter();
        let mut states = std::collections::BTreeMap::<String, usize>::new();
        for row in rows {
            let state = row["row"]["state"].as_str().expect("a state");
            *states.entry(state.to_owned()).or_default() += 1;
        }
        states.into_iter().collect()
    }

    /// The one row of `coverage` on an account.
    fn coverage(&self, account: &str) -> Value {
        let run = self.report(&["coverage", "--account", account]);
        run["reports"][0]["rows"][0]["row"].clone()
    }

    fn night(&self, more: &[&str]) -> (Ended, Vec<String>) {
        let (archive, lake, out) = (self.at("archive"), self.at("lake"), self.at("out"));
        let fixed = [
            "nightly",
            path(&archive),
            "--lake",
            path(&lake),
            "--out",
            path(&out),
            "--topic",
            "evidence",
            "--level",
            "critical",
            "--quiet",
        ];
        let ended = run(&[&fixed, more].concat());
        let text = fs::read_to_string(out.join("summary.json")).expect("a summary");
        let summary: Value = serde_json::from_str(&text).expect("JSON");
        let gaps = summary["coverage_gaps"].as_array().expect("gaps").iter();
        let gaps = gaps.map(|gap| gap.as_str().expect("a text").to_owned());
        (ended, gaps.collect())
    }
}

fn state(name: &str, hours: usize) -> (String, usize) {
    (name.to_owned(), hours)
}

fn silence(account: &str, since: &str, every_hours: u32) -> String {
    format!(
        "nothing was delivered of {account} us-east-1 since {since}, though it usually comes every {every_hours} hours"
    )
}

/// CloudTrail writes no file without records: one by its name that has none lost them.
#[test]
fn an_emptied_or_overwritten_log_file_is_a_gap() {
    let site = Site::new();
    site.deliver(A, (FIRST, 10));
    let notes = site.at("archive").join("AWSLogs").join(A).join("notes.txt");
    fs::write(notes, "no log by its name either").expect("written");
    site.convert();
    assert_eq!(site.answer(&[]), ("clean".to_owned(), Vec::new()));

    site.write(A, (FIRST, 11), b"");
    site.write(A, (FIRST, 12), b"pwned");
    site.convert();
    let (answer, reasons) = site.answer(&[]);
    assert_eq!(answer, "incomplete");
    assert_eq!(reasons, ["2 objects could not be read"]);
    let run = site.report(&["table-deleted"]);
    let objects = &run["evidence"]["objects"];
    assert_eq!(
        (&objects["failed"], &objects["not_logs"]),
        (&json!(2), &json!(1))
    );
    let hours = [state("delivered", 1), state("incomplete", 2)];
    assert_eq!(site.states(&[]), hours);
    let row = site.coverage(A);
    assert_eq!((&row["objects"], &row["failed"]), (&json!(3), &json!(2)));
}

/// What is delivered after the window may hold its last events.
#[test]
fn an_unreadable_object_delivered_soon_after_the_window_is_a_gap() {
    for (days_later, expected) in [
        (0, "incomplete"),
        (1, "incomplete"),
        (2, "incomplete"),
        (3, "clean"),
    ] {
        let site = Site::new();
        site.deliver(A, (FIRST, 10));
        let later = FIRST.checked_add(days_later.days()).expect("a day");
        site.write(A, (later, 0), br#"{"Records": [{"eventID""#);
        site.convert();
        let (answer, reasons) = site.answer(&["--until", "2025-03-01"]);
        assert_eq!(answer, expected, "{days_later} {reasons:?}");
    }
}

/// One account of two that goes silent within the window, with nothing before it.
#[test]
fn an_account_that_goes_silent_is_told() {
    let site = Site::new();
    for hour in 0..168 {
        site.deliver(B, (FIRST, hour));
        if hour < 96 {
            site.deliver(A, (FIRST, hour));
        }
    }
    site.convert();
    let (answer, reasons) = site.answer(&[]);
    assert_eq!(answer, "incomplete");
    assert_eq!(reasons, [silence(A, "2025-03-04T23:00:00Z", 1)]);
    // The whole archive ends with B: that is no silence of it.
    assert_eq!(site.answer(&["--account", B]).0, "clean");
    assert_eq!(site.answer(&["--until", "2025-03-04"]).0, "clean");
    let hours = [state("delivered", 96), state("silent", 72)];
    assert_eq!(site.states(&["--account", A]), hours);
    assert_eq!(site.coverage(A)["silent_hours"], 72);
    assert_eq!(site.coverage(B)["silent_hours"], 0);
}

/// The silence of an account does not end because the window has moved past its last delivery.
#[test]
fn an_account_that_was_silent_before_the_window_is_told() {
    let site = Site::new();
    for hour in 0..50 {
        site.deliver(A, (FIRST, hour));
    }
    for day in 0..45 {
        site.deliver(B, (FIRST, 24 * day + 12));
    }
    site.convert();
    let told = [silence(A, "2025-03-03T01:00:00Z", 1)];
    for since in ["2025-03-10", "2025-03-31"] {
        let (answer, reasons) = site.answer(&["--since", since]);
        assert_eq!(
            (answer.as_str(), &reasons[..]),
            ("incomplete", &told[..]),
            "{since}"
        );
    }
    let run = site.report(&["coverage", "--since", "2025-03-10", "--account", A]);
    let row = &run["reports"][0]["rows"][0]["row"];
    assert_eq!(
        (&row["objects"], &row["every_hours"]),
        (&json!(0), &json!(1))
    );
    // What was a month before the window tells nothing of it.
    assert_eq!(site.answer(&["--since", "2025-04-10"]).0, "clean");
}

/// A long hole does not hide itself, and is the same one in the evidence and in both reports.
#[test]
fn a_hole_is_the_same_everywhere() {
    let site = Site::new();
    for hour in (0..72).filter(|hour| !(30..40).contains(hour)) {
        site.deliver(A, (FIRST, hour));
    }
    site.convert();
    assert_eq!(site.answer(&[]).0, "incomplete");
    let run = site.report(&["table-deleted"]);
    let hole =
        json!([{"account": A, "region": "us-east-1", "from": "2025-03-02T06:00Z", "hours": 10}]);
    assert_eq!(run["evidence"]["holes"], hole);
    let row = site.coverage(A);
    assert_eq!((&row["holes"], &row["hole_hours"]), (&json!(1), &json!(10)));
    assert_eq!(
        site.states(&[]),
        [state("delivered", 62), state("hole", 10)]
    );
    // A window that a hole reaches into has it, one behind it has not.
    let since = ["--since", "2025-03-02"];
    assert_eq!(
        site.report(&[&["table-deleted"], &since[..]].concat())["evidence"]["holes"],
        hole
    );
    assert_eq!(
        site.states(&since),
        [state("delivered", 38), state("hole", 10)]
    );
    assert_eq!(site.answer(&["--since", "2025-03-03"]).0, "clean");
}

/// A night tells the silence of an account once, also a week after it began; one that looks at old
/// dates alone tells none of today.
#[test]
fn a_night_tells_a_silence_once() {
    let site = Site::new();
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let begin = today.checked_sub(12.days()).expect("a day");
    for hour in 0..72 {
        site.deliver(A, (begin, hour));
    }
    for day in 0..13 {
        site.deliver(B, (begin, 24 * day));
    }
    let (ended, gaps) = site.night(&[]);
    let last = begin.at(23, 0, 0, 0) + 2.days();
    assert_eq!(
        gaps,
        [silence(A, &format!("{last}Z"), 1)],
        "{}",
        ended.stderr
    );
    assert_eq!(ended.code, 3);

    let until = begin.checked_add(2.days()).expect("a day").to_string();
    let (_, gaps) = site.night(&["--since", &begin.to_string(), "--until", &until]);
    assert!(gaps.is_empty(), "{gaps:?}");
}
