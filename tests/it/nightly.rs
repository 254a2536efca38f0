//! `dynatrail nightly`: what it fetches, refuses, defers, and says of itself.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::archive_made::event;
use crate::product::{Ended, dynatrail, export, files, path, run};
use crate::s3_server::{Faults, S3Server};

/// A bucket, or folder, with a night's objects around today.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub today: Date,
}

impl Site {
    pub fn new() -> Self {
        let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
        let site = Self {
            folder: tempfile::tempdir().expect("temp folder"),
            today: now.date(),
        };
        fs::create_dir_all(site.archive()).expect("created");
        fs::create_dir_all(site.folder.path().join("lakes")).expect("created");
        site
    }

    pub fn archive(&self) -> PathBuf {
        self.folder.path().join("trail-logs")
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Delivers an object some days ago with events of that day.
    pub fn deliver(&self, days_ago: i64, name: &str, ids: &[&str]) -> PathBuf {
        let day = self.today.checked_sub(days_ago.days()).expect("a day");
        let folder = self.archive().join(format!(
            "AWSLogs/111122223333/CloudTrail/us-east-1/{}",
            day.strftime("%Y/%m/%d")
        ));
        fs::create_dir_all(&folder).expect("created");
        let records: Vec<Value> = ids
            .iter()
            .map(|id| {
                let mut record = event(id, 1);
                record["eventTime"] = json!(format!("{day}T10:00:00Z"));
                record
            })
            .collect();
        let stamp = day.strftime("%Y%m%d");
        let name = format!("111122223333_CloudTrail_us-east-1_{stamp}T1010Z_{name:0>16}.json");
        let file = folder.join(name);
        fs::write(&file, json!({ "Records": records }).to_string()).expect("written");
        file
    }

    pub fn night(&self, more: &[&str]) -> (Ended, Value) {
        let (archive, lake, out) = (self.archive(), self.at("lake"), self.at("out"));
        let fixed = [
            "nightly",
            path(&archive),
            "--lake",
            path(&lake),
            "--out",
            path(&out),
        ];
        let ended = run(&[&fixed, &NO_REPORTS[..], more].concat());
        (ended, summary(&out))
    }
}

/// A choice that fits no report: they have tests of their own, and take their time.
pub const NO_REPORTS: [&str; 4] = ["--topic", "evidence", "--level", "critical"];

fn summary(out: &Path) -> Value {
    let text = fs::read_to_string(out.join("summary.json")).expect("a summary");
    serde_json::from_str(&text).expect("JSON")
}

fn ids(lake: &Path) -> Vec<String> {
    let records = export(lake);
    let ids = records
        .iter()
        .map(|r| r["eventID"].as_str().expect("an ID").to_owned());
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids
}

/// Only the dates since the last complete run are listed, and some days back; what came late within
/// them is found by its name, wherever that sorts.
#[test]
fn a_night_lists_since_the_last_one_and_some_days_back() {
    let site = Site::new();
    site.deliver(40, "z", &["old"]);
    site.deliver(1, "m", &["yesterday"]);
    let (ended, first) = site.night(&[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(
        first["listing"]["first_key_date"],
        Value::Null,
        "at first all is listed"
    );
    assert_eq!(first["convert"]["objects"]["converted"], 2);

    site.deliver(1, "a", &["late"]);
    site.deliver(9, "b", &["very-late"]);
    let (_, second) = site.night(&[]);
    let from = site.today.checked_sub(2.days()).expect("a day").to_string();
    assert_eq!(second["listing"]["first_key_date"], from);
    assert_eq!(second["convert"]["objects"]["converted"], 1);
    assert_eq!(second["convert"]["objects"]["already_done"], 1);
    let (_, third) = site.night(&["--late", "30d"]);
    assert_eq!(third["convert"]["objects"]["converted"], 1);
    assert_eq!(
        ids(&site.at("lake")),
        ["late", "old", "very-late", "yesterday"]
    );
    let (ended, fourth) = site.night(&["--late", "60d"]);
    assert_eq!((ended.code, &fourth["status"]), (0, &json!("complete")));
    assert_eq!(fourth["convert"]["objects"]["already_done"], 4);
    assert_eq!(fourth["convert"]["objects"]["converted"], 0);
}

/// An object that could not be read is tried again however old it has become.
#[test]
fn what_failed_is_tried_again_beyond_the_days_back() {
    let site = Site::new();
    site.deliver(20, "frozen", &["frozen"]);
    site.deliver(1, "m", &["yesterday"]);
    let server = S3Server::start(site.folder.path(), Faults::default());
    let key = site.deliver(20, "frozen", &["frozen"]);
    let key = key.strip_prefix(site.archive()).expect("below").to_owned();
    server.set_faults(Faults {
        frozen_keys: vec![path(&key).to_owned()],
        ..Faults::default()
    });
    let out = site.at("out");
    let night = || {
        let output = dynatrail()
            .envs(server.environment())
            .args([
                "nightly",
                "s3://trail-logs",
                "--lake",
                "s3://lakes/one",
                "--out",
                path(&out),
            ])
            .args(NO_REPORTS)
            .output()
            .expect("the binary runs");
        (
            output.status.code(),
            summary(&out),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, first, stderr) = night();
    assert_eq!(code, Some(3), "{stderr}");
    assert!(
        stderr.contains(path(&key)) && stderr.contains("restore it first"),
        "{stderr}"
    );
    assert_eq!(first["status"], "incomplete");
    server.set_faults(Faults::default());
    server.take_requests();
    let (code, second, stderr) = night();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(second["convert"]["objects"]["converted"], 1, "{second:#}");
    let (_, third, _) = night();
    let from = site.today.checked_sub(2.days()).expect("a day").to_string();
    assert_eq!(
        third["listing"]["first_key_date"], from,
        "what is read is no reason to look back"
    );
}

/// An object that changed under its key is refused, and redone by choice: never mixed silently.
#[test]
fn a_changed_object_is_refused_or_redone() {
    let site = Site::new();
    site.deliver(1, "a", &["one", "two", "three"]);
    site.deliver(1, "b", &["three", "four"]);
    site.night(&[]);
    assert_eq!(ids(&site.at("lake")), ["four", "one", "three", "two"]);
    let before = files(&site.at("lake"));

    site.deliver(1, "a", &["one", "new"]);
    let (ended, refused) = site.night(&[]);
    assert_eq!(ended.code, 3);
    assert!(
        ended.stderr.contains("changed since it was converted"),
        "{}",
        ended.stderr
    );
    assert_eq!(refused["convert"]["objects"]["changed"], 1);
    let names =
        |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&files(&site.at("lake"))), names(&before));
    assert_eq!(ids(&site.at("lake")), ["four", "one", "three", "two"]);

    let (ended, redone) = site.night(&["--changed", "redo"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(redone["convert"]["objects"]["converted"], 1);
    assert!(
        redone["convert"]["identities"]
            .as_object()
            .expect("identities")
            .values()
            .all(|v| v == true),
        "{redone:#}"
    );
    let held = ids(&site.at("lake"));
    assert!(
        held.contains(&"new".to_owned()) && !held.contains(&"two".to_owned()),
        "{held:?}"
    );
    assert_eq!(held.iter().filter(|id| *id == "one").count(), 1);
    let (ended, after) = site.night(&[]);
    assert_eq!(
        (ended.code, &after["convert"]["objects"]["already_done"]),
        (0, &json!(2))
    );

    // What the object held first is a change again.
    site.deliver(1, "a", &["one", "two", "three"]);
    assert_eq!(site.night(&[]).0.code, 3);
}

/// A budget leaves the rest to the next runs, which lose nothing.
#[test]
fn budgets_defer_and_the_next_runs_go_on() {
    let site = Site::new();
    for (days_ago, name) in [(3, "a"), (2, "b"), (1, "c")] {
        site.deliver(days_ago, name, &[name]);
    }
    let (ended, first) = site.night(&["--max-bytes", "1"]);
    assert_eq!(
        (ended.code, &first["status"]),
        (3, &json!("incomplete")),
        "{}",
        ended.stderr
    );
    assert_eq!(first["convert"]["objects"]["converted"], 1);
    assert_eq!(first["convert"]["objects"]["deferred"], 2);
    assert_eq!(ids(&site.at("lake")), ["a"], "the oldest first");
    let (ended, none) = site.night(&["--max-minutes", "0"]);
    assert_eq!(
        (ended.code, &none["convert"]["objects"]["deferred"]),
        (3, &json!(2))
    );
    let (ended, last) = site.night(&[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(
        last["convert"]["resumed_units"], 2,
        "the plan that had no time is finished"
    );
    assert_eq!(ids(&site.at("lake")), ["a", "b", "c"]);
}

/// A dry run lists and estimates, and leaves no trace.
#[test]
fn a_dry_run_changes_nothing() {
    let site = Site::new();
    site.deliver(1, "a", &["a"]);
    let (archive, lake, out) = (site.archive(), site.at("lake"), site.at("out"));
    let fixed = [
        "nightly",
        path(&archive),
        "--lake",
        path(&lake),
        "--out",
        path(&out),
        "--dry-run",
    ];
    let estimate = run(&fixed).json();
    assert_eq!(
        (&estimate["new_objects"], &estimate["already_done"]),
        (&json!(1), &json!(0))
    );
    assert!(estimate["new_bytes"].as_u64() > Some(100));
    assert!(!lake.exists() && !out.exists());
    site.night(&[]);
    let before = files(&lake);
    let estimate = run(&fixed).json();
    assert_eq!(
        (&estimate["new_objects"], &estimate["already_done"]),
        (&json!(0), &json!(1))
    );
    assert!(files(&lake) == before);
}

/// Every option may stand in the file; the command line goes before; unknown names are refused.
#[test]
fn the_file_says_what_the_command_line_does_not() {
    let site = Site::new();
    site.deliver(1, "a", &["a"]);
    let file = site.at("dynatrail.toml");
    let text = format!(
        "[nightly]\nsources = [{:?}]\nlake = {:?}\nout = {:?}\nlate = \"5d\"\ntopic = [\"evidence\"]\nlevel = \"critical\"\nlog-format = \"json\"\nmetrics = {:?}\n",
        path(&site.archive()),
        path(&site.at("lake")),
        path(&site.at("out")),
        path(&site.at("metrics.prom"))
    );
    fs::write(&file, &text).expect("written");
    let ended = run(&["nightly", "--config", path(&file), "--late", "3"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(summary(&site.at("out"))["listing"]["late_days"], 3);
    for line in ended.stderr.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is an object");
        assert!(
            line["time"].is_string() && line["level"] == "info",
            "{line}"
        );
    }
    let metrics = fs::read_to_string(site.at("metrics.prom")).expect("metrics");
    assert!(
        metrics.contains("dynatrail_night_status{status=\"complete\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("dynatrail_lake_events 1"), "{metrics}");

    fs::write(&file, text.replace("late =", "lateness =")).expect("written");
    let ended = run(&["nightly", "--config", path(&file)]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("nightly.lateness is unknown"),
        "{}",
        ended.stderr
    );
    fs::write(&file, text.replace("\"5d\"", "\"soon\"")).expect("written");
    let ended = run(&["nightly", "--config", path(&file)]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("a number of days"),
        "{}",
        ended.stderr
    );
}

/// SIGTERM keeps what was converted, and the next run goes on from there.
#[test]
fn a_terminated_night_keeps_its_work() {
    let site = Site::new();
    for days_ago in 0..6 {
        site.deliver(days_ago, "a", &[&format!("{days_ago}")]);
    }
    let server = S3Server::start(
        site.folder.path(),
        Faults {
            get_delay: std::time::Duration::from_millis(700),
            ..Faults::default()
        },
    );
    let (lake, out) = (site.at("lake"), site.at("out"));
    let mut command = dynatrail();
    command
        .envs(server.environment())
        .args([
            "nightly",
            "s3://trail-logs",
            "--lake",
            path(&lake),
            "--out",
            path(&out),
        ])
        .args(NO_REPORTS);
    let mut running = command.spawn().expect("the binary runs");
    let receipts = lake.join("_dynatrail/receipts");
    while fs::read_dir(&receipts).map_or(0, Iterator::count) < 2 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = running.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(killed.expect("kill runs").success());
    let status = running.wait().expect("it ends");
    assert_eq!(status.code(), Some(143));
    assert_eq!(summary(&out)["status"], "interrupted");
    let kept = fs::read_dir(&receipts).expect("receipts").count();
    server.set_faults(Faults::default());
    let ended = command.output().expect("the binary runs");
    assert_eq!(
        ended.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert_eq!(ids(&lake).len(), 6);
    let resumed = summary(&out)["convert"]["resumed_units"]
        .as_u64()
        .expect("a number");
    assert_eq!(
        resumed + kept as u64,
        6,
        "finished units are not done again"
    );
}
