//! The view `sightings` and its files: with them, without them and with some of them the answers are
//! the same, and they are the lake's.

mod baseline;
mod random;
mod slow;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use dynatrail::lake::{LakeState, Store};
use dynatrail::query::{Dates, QueryOptions, RedactionKey, Session};
use serde_json::Value;
use tempfile::TempDir;

use crate::archive_made::{Archive, event};
use crate::convert_s3::{buckets, run_on, sample};
use crate::product::{convert, dynatrail, files, path, run};
use crate::s3_server::{Faults, S3Server};

const FOLDER: &str = "_dynatrail/sightings";

const ROWS: &str = "SELECT * FROM sightings ORDER BY dt, kind, recipient_account_id, aws_region, \
                    table_name, value, principal, is_service_made";

/// The view's rows, a line of JSON each.
fn rows(lake: &Path) -> Vec<String> {
    let ended = run(&["query", ROWS, "--lake", path(lake), "--format", "ndjson"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let lines = ended.stdout.lines();
    lines.map(|line| parse(line).to_string()).collect()
}

/// What a rebuild says: dates written, up to date, and files removed.
fn rebuild(lake: &Path, more: &[&str]) -> [usize; 3] {
    let ended = run(&[&["rebuild", path(lake)], more].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    counts(&ended.stdout)
}

fn counts(line: &str) -> [usize; 3] {
    let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
    [(); 3].map(|()| {
        numbers
            .next()
            .unwrap_or_else(|| panic!("three counts: {line}"))
    })
}

fn state(lake: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = lake.join(FOLDER);
    match folder.is_dir() {
        true => files(&folder),
        false => Vec::new(),
    }
}

fn forget(lake: &Path) {
    fs::remove_dir_all(lake.join(FOLDER)).expect("removed");
}

/// Removes every second file.
fn forget_some(lake: &Path) {
    for (name, _) in state(lake).iter().step_by(2) {
        fs::remove_file(lake.join(FOLDER).join(name)).expect("removed");
    }
}

/// A lake of the sample archive.
fn sample_lake() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = folder.path().join("lake");
    convert(&sample(), &lake, &["--all"]);
    (folder, lake)
}

#[test]
fn the_files_change_no_answer() {
    let (_folder, lake) = sample_lake();
    let defined = rows(&lake);
    assert_eq!(defined, slow::sightings(&lake));
    assert_eq!(rebuild(&lake, &[]), [14, 0, 0]);
    assert_eq!(rows(&lake), defined);
    forget_some(&lake);
    assert_eq!(rows(&lake), defined);
    assert_eq!(rebuild(&lake, &[]), [7, 7, 0]);
    assert_eq!(rebuild(&lake, &[]), [0, 14, 0]);
    forget(&lake);
    assert_eq!(rows(&lake), defined);
}

#[test]
fn a_rebuild_gives_the_same_bytes() {
    let (_folder, lake) = sample_lake();
    rebuild(&lake, &["--threads", "1"]);
    let before = state(&lake);
    assert_eq!(before.len(), 14);
    assert_eq!(rebuild(&lake, &["--force", "--threads", "3"]), [14, 0, 0]);
    assert!(state(&lake) == before, "other bytes");
    forget(&lake);
    // A session that hides item keys writes the same: the files hold none.
    let store = Store::local(&lake);
    let held = LakeState::load(&store).expect("a lake");
    let options = QueryOptions {
        redaction: Some(RedactionKey::new(b"0123456789abcdef")),
        ..QueryOptions::default()
    };
    let mut session = Session::open(&store, &held, &options).expect("a session");
    let renewed = session.renew_sightings(&store, &held, Dates::Missing, &AtomicBool::new(false));
    assert_eq!(renewed.expect("written").written, 14);
    assert!(state(&lake) == before, "other bytes with redaction");
}

#[test]
fn a_late_event_makes_its_date_s_file_stale() {
    let archive = Archive::new();
    for day in 1..=4 {
        let records = [
            event(&format!("a{day}"), day),
            event(&format!("b{day}"), day),
        ];
        archive.object("111122223333", day, "first", &records);
    }
    let lake = archive.lake("lake");
    convert(&archive.root(), &lake, &[]);
    assert_eq!(rebuild(&lake, &[]), [4, 0, 0]);
    let before = state(&lake);
    // One late event of the second day, and copies of the third's which go away again.
    let late = [event("late", 2), event("a3", 3), event("b3", 3)];
    archive.object("111122223333", 4, "second", &late);
    convert(&archive.root(), &lake, &[]);
    let answers = rows(&lake);
    assert_eq!(answers, slow::sightings(&lake));
    let of_second = answers.iter().filter(|row| row.contains("2025-03-02"));
    assert!(of_second.clone().count() > 0);
    for row in of_second {
        let row: Value = serde_json::from_str(row).expect("JSON");
        assert_eq!(row["operations"], 3, "{row}");
    }
    assert_eq!(rebuild(&lake, &[]), [1, 3, 1]);
    assert_eq!(rows(&lake), answers);
    let after = state(&lake);
    let kept = after.iter().filter(|file| before.contains(file)).count();
    assert_eq!((after.len(), kept), (4, 3));
}

/// Whatever is found in the folder and is not of the expected name is no state.
#[test]
fn other_files_are_ignored_and_removed() {
    let (_folder, lake) = sample_lake();
    rebuild(&lake, &[]);
    let answers = rows(&lake);
    let (name, bytes) = state(&lake).remove(0);
    let old = lake.join(FOLDER).join(name);
    fs::write(old.with_file_name("0123456789abcdef.parquet"), bytes).expect("written");
    fs::write(old.with_file_name("notes.txt"), "no rows").expect("written");
    let gone = lake.join(FOLDER).join("dt=1999-01-01");
    fs::create_dir(&gone).expect("created");
    fs::write(gone.join("x.parquet"), "no rows").expect("written");
    assert_eq!(rows(&lake), answers);
    assert_eq!(rebuild(&lake, &[]), [0, 14, 3]);
    assert_eq!(state(&lake).len(), 14);
}

#[test]
fn a_killed_rebuild_leaves_nothing_wrong() {
    let (_folder, lake) = sample_lake();
    let answers = rows(&lake);
    let begun = Instant::now();
    rebuild(&lake, &[]);
    let whole = begun.elapsed();
    let expected = state(&lake);
    let mut partly = 0;
    for point in 1..=10 {
        forget(&lake);
        let mut running = dynatrail()
            .args(["rebuild", path(&lake)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(whole * point / 11);
        running.kill().expect("killed");
        running.wait().expect("it ends");
        let left = state(&lake);
        assert!(
            left.iter().all(|file| expected.contains(file)),
            "point {point}"
        );
        if !left.is_empty() && left.len() < expected.len() {
            partly += 1;
            assert_eq!(rows(&lake), answers, "point {point}");
        }
        let [written, held, removed] = rebuild(&lake, &[]);
        assert_eq!((written + held, held, removed), (14, left.len(), 0));
        assert!(state(&lake) == expected, "point {point}");
        let staged = lake.join("_dynatrail/tmp");
        let is_clear = !staged.is_dir() || files(&staged).is_empty();
        assert!(is_clear, "point {point}");
    }
    assert!(partly > 0, "no run was killed between two dates");
}

#[test]
fn a_terminated_rebuild_keeps_its_dates() {
    let (_folder, lake) = sample_lake();
    let running = dynatrail()
        .args(["rebuild", path(&lake)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let begun = Instant::now();
    while state(&lake).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no file");
        std::thread::sleep(Duration::from_millis(5));
    }
    let process = running.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &process])
        .status();
    assert!(sent.expect("kill runs").success());
    let output = running.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{told}");
    assert!(told.contains("interrupted with"), "{told}");
    let [written, ..] = counts(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(state(&lake).len(), written);
    assert_eq!(rebuild(&lake, &[]), [14 - written, written, 0]);
}

/// A rebuild writes: one run at a time, and into lakes only.
#[test]
fn a_rebuild_needs_a_lake_that_nobody_writes_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let nothing = folder.path().join("nothing");
    let ended = run(&["rebuild", path(&nothing)]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("is not a lake"), "{}", ended.stderr);
    assert!(!nothing.exists());
    let (_folder, lake) = sample_lake();
    let lock = fs::File::open(lake.join("_dynatrail/lock")).expect("a lock");
    lock.lock().expect("held");
    let ended = run(&["rebuild", path(&lake)]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("one run at a time"),
        "{}",
        ended.stderr
    );
    drop(lock);
    assert_eq!(rebuild(&lake, &[])[0], 14);
}

#[test]
fn files_in_s3_are_as_those_in_a_folder() {
    let (_folder, lake) = sample_lake();
    rebuild(&lake, &[]);
    let expected = state(&lake);
    let root = buckets();
    for (name, bytes) in files(&lake) {
        let file = root.path().join("lakes/lake").join(&name);
        if !name.starts_with(FOLDER) && !name.ends_with("lock") {
            fs::create_dir_all(file.parent().expect("a folder")).expect("created");
            fs::write(file, bytes).expect("written");
        }
    }
    let stale = root
        .path()
        .join("lakes/lake")
        .join(FOLDER)
        .join("dt=2025-03-11");
    fs::create_dir_all(&stale).expect("created");
    fs::write(stale.join("stale.parquet"), "no rows").expect("written");
    let server = S3Server::start(root.path(), Faults::default());
    let ended = run_on(&server, &["rebuild", "s3://lakes/lake"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(counts(&ended.stdout), [14, 0, 1]);
    let mut found = state(&root.path().join("lakes/lake"));
    found.retain(|(name, _)| name.extension().is_some_and(|ending| ending == "parquet"));
    assert!(found == expected, "other bytes");
    let ended = run_on(
        &server,
        &[
            "query",
            ROWS,
            "--lake",
            "s3://lakes/lake",
            "--format",
            "ndjson",
        ],
    );
    let same = run(&["query", ROWS, "--lake", path(&lake), "--format", "ndjson"]);
    assert_eq!(ended.stdout, same.stdout);
}

#[test]
fn only_the_files_of_asked_dates_are_read() {
    let (_folder, lake) = sample_lake();
    rebuild(&lake, &[]);
    let plan = |sql: &str| {
        let ended = run(&["query", sql, "--lake", path(&lake)]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    };
    let asked = "EXPLAIN SELECT * FROM sightings WHERE kind = 'address' AND";
    let some = plan(&format!("{asked} dt BETWEEN '2025-03-11' AND '2025-03-12'"));
    assert_eq!(some.matches(".parquet").count(), 2, "{some}");
    assert!(!some.contains("operations/dt="), "{some}");
    // A date without its file is made of its own parts alone, and of those that the kind is in.
    let of_date = lake.join(FOLDER).join("dt=2025-03-12");
    fs::remove_dir_all(of_date).expect("removed");
    let some = plan(&format!("{asked} dt BETWEEN '2025-03-11' AND '2025-03-12'"));
    assert_eq!(some.matches(".parquet").count(), 2, "{some}");
    assert!(some.contains("[[operations/dt=2025-03-12/"), "{some}");
    assert!(!some.contains("events/dt="), "{some}");
    let other = plan(&format!("{asked} dt = '2025-03-13'"));
    assert!(!other.contains("operations/dt="), "{other}");
}

#[test]
fn a_night_writes_the_files_before_its_reports() {
    let archive = Archive::new();
    for day in 1..=3 {
        archive.object("111122223333", day, "a", &[event(&format!("a{day}"), day)]);
    }
    let (lake, out) = (archive.lake("lake"), archive.lake("out"));
    let night = || {
        let ended = run(&[
            "nightly",
            path(&archive.root()),
            "--lake",
            path(&lake),
            "--out",
            path(&out),
            "--late",
            "10000d",
            "--topic",
            "evidence",
            "--level",
            "critical",
            "--quiet",
        ]);
        assert!(matches!(ended.code, 0 | 3), "{}", ended.stderr);
    };
    night();
    assert_eq!(state(&lake).len(), 3);
    archive.object("111122223333", 3, "b", &[event("b2", 2)]);
    night();
    assert_eq!(rebuild(&lake, &[]), [0, 3, 0]);
    assert_eq!(rows(&lake), slow::sightings(&lake));
}

/// Item keys are in no column, hashed or not.
#[test]
fn no_item_key_is_shown() {
    let archive = Archive::new();
    archive.object("111122223333", 1, "a", &[event("hidden-key", 1)]);
    let lake = archive.lake("lake");
    convert(&archive.root(), &lake, &[]);
    let sql = "SELECT * EXCEPT (event_id) FROM sightings ORDER BY kind";
    let shown = |more: &[&str]| {
        let fixed = ["query", sql, "--lake", path(&lake), "--format", "json"];
        run(&[&fixed, more].concat()).stdout
    };
    let open = shown(&[]);
    assert!(
        open.contains("Orders") && !open.contains("hidden-key"),
        "{open}"
    );
    assert_eq!(shown(&["--redact", "keys"]), open);
    rebuild(&lake, &[]);
    assert_eq!(shown(&["--redact", "keys"]), open);
}

#[test]
fn every_column_is_explained() {
    let (_folder, lake) = sample_lake();
    let sql = "SELECT column_name FROM information_schema.columns WHERE table_name = 'sightings'";
    let ended = run(&["query", sql, "--lake", path(&lake), "--format", "json"]);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lake.md");
    let page = fs::read_to_string(page).expect("docs/lake.md");
    let columns = ended.json();
    let columns = columns.as_array().expect("rows");
    assert_eq!(columns.len(), 21);
    for column in columns {
        let name = column["column_name"].as_str().expect("a name");
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
