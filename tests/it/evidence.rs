//! Evidence bundles: whole, the same each time, and checked by the very commands of their README.

mod altered;
mod digest_file;
mod limits;
mod remote;
mod signature;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::containers::forms;
use crate::convert_s3::sample;
use crate::product::{convert, export, files, path, run};
use crate::slow;

const DAY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/12";
const DIGESTS: &str = "AWSLogs/111122223333/CloudTrail-Digest";
/// Finds what the sample's incident deleted at 03:11; the digest of 03:31 names the object with it.
const DELETION: &str = "backup-deleted";

/// A folder with an archive, a lake of it, and room for bundles.
struct Case(TempDir);

impl Case {
    /// The day of the sample's incident with its digests.
    fn of_the_incident() -> Self {
        let case = Self(TempDir::new().expect("temp folder"));
        for (name, bytes) in files(&sample()) {
            if name.starts_with(DAY) || name.starts_with(DIGESTS) {
                case.put(path(&name), &bytes);
            }
        }
        case.converted()
    }

    /// The same day as an archive without validation has it.
    fn without_digests() -> Self {
        let case = Self(TempDir::new().expect("temp folder"));
        for (name, bytes) in files(&sample()) {
            if name.starts_with(DAY) {
                case.put(path(&name), &bytes);
            }
        }
        case.converted()
    }

    fn of(objects: &[(&str, Vec<u8>)]) -> Self {
        let case = Self(TempDir::new().expect("temp folder"));
        for (name, bytes) in objects {
            case.put(name, bytes);
        }
        case.converted()
    }

    fn converted(self) -> Self {
        convert(&self.path("archive"), &self.path("lake"), &[]);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let file = self.path("archive").join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, bytes).expect("written");
    }

    /// Writes a bundle; the exit code and what was told.
    fn evidence(&self, out: &str, more: &[&str]) -> (i32, String) {
        let (lake, out) = (self.path("lake"), self.path(out));
        let fixed = ["evidence", "--lake", path(&lake), "--out", path(&out)];
        let ended = run(&[&fixed, more].concat());
        assert_eq!(ended.stdout, "");
        (ended.code, ended.stderr)
    }

    fn manifest(&self, out: &str) -> Value {
        let text = fs::read(self.path(out).join("manifest.json")).expect("a manifest");
        serde_json::from_slice(&text).expect("JSON")
    }

    fn records(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(out).join("records.ndjson")).expect("records");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// Event IDs of the lake, sorted.
    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = export(&self.path("lake"))
            .iter()
            .map(|record| record["eventID"].as_str().expect("an ID").to_owned())
            .collect();
        ids.sort();
        ids
    }
}

/// Runs a script in a bundle's folder with the tools that the README asks for.
fn shell(folder: &Path, script: &str) -> Option<String> {
    for tool in ["bash", "sha256sum", "gzip", "jq", "openssl", "basenc"] {
        let is_there = std::env::var_os("PATH")
            .is_some_and(|paths| std::env::split_paths(&paths).any(|p| p.join(tool).exists()));
        if !is_there {
            assert!(std::env::var("CI").is_err(), "{tool} is not installed");
            println!("skipped: {tool} is not installed");
            return None;
        }
    }
    let output = Command::new("bash")
        .args(["-eu", "-c", script])
        .current_dir(folder)
        .output()
        .expect("bash runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{told}\n{errors}");
    Some(told)
}

/// The commands of a section of the README, a text a block.
fn commands(section: &str) -> Vec<String> {
    let readme = include_str!("../../src/evidence/readme.txt");
    let (_, rest) = readme.split_once(section).expect(section);
    let mut blocks = vec![String::new()];
    for line in rest.lines().skip(2) {
        match line.strip_prefix("    ") {
            Some(command) => {
                let block = blocks.last_mut().expect("one");
                block.push_str(command);
                block.push('\n');
            }
            None if line.starts_with("---") => break,
            None if blocks.last().is_some_and(|block| !block.is_empty()) => {
                blocks.push(String::new());
            }
            None => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// Every check of the README passes on what was just written, and each tells what was changed since.
#[test]
fn a_bundle_is_checked_with_public_tools() {
    let case = Case::of_the_incident();
    let (code, told) = case.evidence("bundle", &["--report", DELETION]);
    assert_eq!(code, 0, "{told}");
    let bundle = case.path("bundle");
    let manifest = case.manifest("bundle");
    let objects = manifest["objects"].as_array().expect("a list");
    assert!(!objects.is_empty());
    for object in objects {
        let copy = fs::read(bundle.join(object["path"].as_str().expect("a path"))).expect("there");
        let original = fs::read(object["uri"].as_str().expect("a path")).expect("there");
        assert!(copy == original, "{object}");
        let digests = object["digests"].as_array().expect("a list");
        assert!(!digests.is_empty(), "{object}");
        assert!(
            digests.iter().all(|digest| digest["matches"] == true),
            "{object}"
        );
    }
    // The digest that names the object, and the one that has its signature.
    let digests = files(&bundle.join("digests"));
    assert_eq!(digests.len(), 2, "{digests:?}");

    let check = |section: &str, bad: &str| {
        let blocks = commands(section);
        let told = shell(&bundle, &blocks[0])?;
        assert!(!told.contains(bad) && !told.is_empty(), "{told}");
        Some(told)
    };
    let Some(sums) = check("1. Nothing", "FAILED") else {
        return;
    };
    let whole = files(&bundle);
    assert_eq!(sums.lines().count() + 1, whole.len());
    let records = check("2. The records", "DIFFERS").expect("tools");
    assert_eq!(records.lines().count(), case.records("bundle").len());
    let logs = check("3. The log files", "DIFFERS").expect("tools");
    assert!(logs.starts_with("same objects/"), "{logs}");
    let id = case.records("bundle")[0]["event_id"]
        .as_str()
        .expect("an ID")
        .to_owned();
    let one = commands("2. The records")[1].replace("EVENT-ID", &id);
    let record: Value = serde_json::from_str(&shell(&bundle, &one).expect("tools")).expect("JSON");
    assert_eq!(record["eventName"], "DeleteBackup");

    let log = bundle.join(objects[0]["path"].as_str().expect("a path"));
    let text = shell(&bundle, &format!("gzip -dc '{}'", path(&log))).expect("tools");
    let text = text.replace("DeleteBackup", "deleteBackup");
    fs::write(&log, text).expect("written");
    for (section, word) in [
        ("2. The records", "DIFFERS"),
        ("3. The log files", "DIFFERS"),
    ] {
        let told = shell(&bundle, &commands(section)[0]).expect("tools");
        assert!(told.contains(word), "{section}: {told}");
    }
    let sums = format!("! {}", commands("1. Nothing")[0]);
    assert!(shell(&bundle, &sums).expect("tools").contains("FAILED"));
}

fn as_map(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = files(folder).into_iter();
    files
        .map(|(name, bytes)| (path(&name).to_owned(), bytes))
        .collect()
}

/// The same lake and archive give the same bytes, as a folder and as a tar.
#[test]
fn the_same_input_gives_the_same_bytes() {
    let case = Case::of_the_incident();
    for out in ["one", "two", "one.tar", "two.tar"] {
        let (code, told) = case.evidence(out, &["--report", DELETION, "--since", "2025-03-12"]);
        assert_eq!(code, 0, "{told}");
    }
    let folder = as_map(&case.path("one"));
    assert_eq!(folder, as_map(&case.path("two")));
    let tar = fs::read(case.path("one.tar")).expect("a tar");
    assert!(tar == fs::read(case.path("two.tar")).expect("a tar"));
    let mut names = Vec::new();
    for entry in tar::Archive::new(&tar[..]).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let header = entry.header().clone();
        let told = (header.mode(), header.mtime(), header.uid(), header.gid());
        assert_eq!(told.0.expect("a mode"), 0o644);
        assert_eq!(
            told.1.expect("a time") + told.2.expect("a user") + told.3.expect("a group"),
            0
        );
        let name = entry.path().expect("a name").into_owned();
        let name = path(&name)
            .strip_prefix("evidence/")
            .expect("one folder")
            .to_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("readable");
        assert!(folder[&name] == bytes, "{name}");
        names.push(name);
    }
    assert!(names.is_sorted());
    assert_eq!(names.len(), folder.len());
    let left: Vec<_> = fs::read_dir(case.0.path()).expect("readable").collect();
    assert_eq!(left.len(), 6, "{left:?}");
}

/// Rows are those of the lake, and the records those that a plain reader finds.
#[test]
fn rows_and_records_are_those_of_the_events() {
    let case = Case::without_digests();
    let ids = case.ids();
    // More than one statement names.
    let wanted: Vec<String> = ids.iter().step_by(2).take(120).cloned().collect();
    assert_eq!(wanted.len(), 120);
    let arguments: Vec<&str> = wanted.iter().flat_map(|id| ["--event-id", id]).collect();
    let (code, told) = case.evidence("bundle", &arguments);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("the archive has no digest"), "{told}");
    assert_eq!(case.manifest("bundle")["digests_found"], 0);
    let rows = |name: &str| -> Vec<Value> {
        let text = fs::read(case.path("bundle/rows").join(name)).expect("rows");
        serde_json::from_slice(&text).expect("JSON")
    };
    let of = |rows: &[Value]| -> Vec<String> {
        rows.iter()
            .map(|row| row["event_id"].as_str().expect("an ID").to_owned())
            .collect()
    };
    assert_eq!(of(&rows("events.json")), wanted);
    let operations: BTreeSet<String> = of(&rows("operations.json")).into_iter().collect();
    assert!(operations.len() > 60 && operations.iter().all(|id| wanted.contains(id)));
    let csv = fs::read_to_string(case.path("bundle/rows/events.csv")).expect("rows");
    assert_eq!(csv.matches("\r\n").count(), wanted.len() + 1);
    let sql = fs::read_to_string(case.path("bundle/rows/events.sql")).expect("SQL");
    let lake = case.path("lake");
    let asked = run(&[
        "query",
        sql.trim(),
        "--lake",
        path(&lake),
        "--format",
        "json",
    ]);
    assert_eq!(asked.json(), Value::from(rows("events.json")));

    let mut expected = BTreeMap::new();
    for (_, bytes) in files(&case.path("archive").join(DAY)) {
        for record in slow::records(&bytes) {
            expected.insert(
                record["eventID"].as_str().unwrap_or_default().to_owned(),
                record,
            );
        }
    }
    let records = case.records("bundle");
    assert_eq!(records.len(), wanted.len());
    for found in records {
        let id = found["event_id"].as_str().expect("an ID");
        assert_eq!(found["record"], expected[id]);
    }
}

/// Whatever wraps the records, the one at the row's position is the row's event.
#[test]
fn records_are_found_in_every_container() {
    for (name, bytes, _) in forms() {
        let case = Case::of(&[("x.json", bytes)]);
        let (code, told) = case.evidence(
            "bundle",
            &["--event-id", "a", "--event-id", "c", "--event-id", "b"],
        );
        assert_eq!(code, 0, "{name}: {told}");
        let records = case.records("bundle");
        let lake = export(&case.path("lake"));
        let found: Vec<&Value> = records.iter().map(|found| &found["record"]).collect();
        assert_eq!(found, lake.iter().collect::<Vec<_>>(), "{name}");
        // gzip does not read zstd, as the README says.
        if name == "records-zstd" {
            continue;
        }
        if let Some(told) = shell(&case.path("bundle"), &commands("2. The records")[0]) {
            assert!(!told.contains("DIFFERS"), "{name}: {told}");
        }
    }
}

/// Names that an attacker chose neither climb out of the bundle nor run in the commands of the README.
#[test]
fn hostile_names_stay_in_the_bundle() {
    let log = |id: &str| {
        let records = [crate::bad_input::record(id)];
        crate::bad_input::wrapped(&records)
    };
    let case = Case::of(&[
        ("$(touch pwned)`id`;.json", log("a")),
        ("a\nb \u{1b}[2J\u{202e}.json", log("b")),
        ("-rf '\" *?.json", log("c")),
        (&"é".repeat(120), log("d")),
    ]);
    let ids = ["a", "b", "c", "d"].map(|id| ["--event-id", id]).concat();
    let (code, told) = case.evidence("bundle", &ids);
    assert_eq!(code, 0, "{told}");
    for name in as_map(&case.path("bundle")).keys() {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.=+,@%/".contains(c);
        assert!(name.chars().all(is_plain), "{name:?}");
    }
    let manifest = fs::read_to_string(case.path("bundle/manifest.json")).expect("there");
    assert!(!manifest.contains(['\u{1b}', '\u{202e}']));
    assert_eq!(case.records("bundle").len(), 4);
    for section in ["1. Nothing", "2. The records"] {
        let Some(told) = shell(&case.path("bundle"), &commands(section)[0]) else {
            return;
        };
        assert_eq!(told.matches("DIFFERS").count(), 0, "{told}");
    }
    assert!(!case.path("bundle/pwned").exists());
}

/// What is gone or altered is named with exit code 3, and everything else is in the bundle.
#[test]
fn missing_and_altered_objects_are_named() {
    let case = Case::of_the_incident();
    let ids = case.ids();
    let arguments: Vec<&str> = ids
        .iter()
        .take(300)
        .flat_map(|id| ["--event-id", id])
        .collect();
    // The sample has the digests of some hours: the objects of the others are told to be in none.
    let (code, told) = case.evidence("whole", &arguments);
    assert_eq!(code, 3, "{told}");
    let whole = case.manifest("whole");
    let objects = whole["objects"].as_array().expect("a list").clone();
    let mut unnamed = 0;
    for object in &objects {
        let about: Vec<&Value> = whole["problems"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|problem| problem["about"] == object["uri"])
            .collect();
        let is_unnamed = object["digests"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(about.len(), usize::from(is_unnamed), "{about:?}");
        unnamed += about.len();
    }
    assert_eq!(whole["problems"].as_array().map(Vec::len), Some(unnamed));
    let with_digest: Vec<&Value> = objects
        .iter()
        .filter(|object| {
            object["digests"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
        })
        .collect();
    let uri = |object: &Value| object["uri"].as_str().expect("a path").to_owned();
    let [gone, grown, altered] = [0, 1, 2].map(|number| uri(with_digest[number]));
    fs::remove_file(&gone).expect("removed");
    let mut bytes = fs::read(&grown).expect("there");
    bytes.push(0);
    fs::write(&grown, bytes).expect("written");
    // As long as before, and sound as gzip: what stands in it tells.
    let size = fs::metadata(&altered).expect("there").len();
    fs::write(&altered, vec![b' '; size as usize]).expect("written");

    let (code, told) = case.evidence(
        "rest",
        &[&arguments[..], &["--event-id", "nobody's"]].concat(),
    );
    assert_eq!(code, 3, "{told}");
    let rest = case.manifest("rest");
    let problems = rest["problems"].as_array().expect("a list");
    let about = |name: &str| -> Vec<&str> {
        let about = problems.iter().filter(|problem| problem["about"] == name);
        about
            .map(|problem| problem["problem"].as_str().expect("words"))
            .collect()
    };
    assert_eq!(about(&gone), ["the object is no longer there"]);
    assert_eq!(
        about(&grown),
        ["the object is no longer the one that was converted"]
    );
    let words = about(&altered).join("\n");
    assert!(
        words.contains("is not the event") && words.contains("has been altered"),
        "{words}"
    );
    assert_eq!(about("nobody's"), ["the lake holds no event of this ID"]);
    for problem in problems {
        assert!(
            told.contains(problem["problem"].as_str().expect("words")),
            "{told}"
        );
    }
    let copies = |folder: &str| files(&case.path(folder).join("objects")).len();
    assert_eq!(copies("rest") + 2, copies("whole"));
    // The digests prove that the missing objects were delivered.
    let missing = rest["objects"].as_array().expect("a list");
    let missing = missing
        .iter()
        .find(|object| object["uri"] == gone)
        .expect("it is named");
    assert_eq!(
        missing["digests"][0]["hash_value"],
        with_digest[0]["inflated_sha256"]
    );
    assert!(missing.get("path").is_none() && missing["digests"][0].get("matches").is_none());
}

/// Rows that stand for several events are told to be without records.
#[test]
fn rows_without_an_event_are_told() {
    let case = Case::of_the_incident();
    let (code, told) = case.evidence("bundle", &["--report", "coverage"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("name none"), "{told}");
    let rows = fs::read(case.path("bundle/rows/report.json")).expect("rows");
    let rows: Vec<Value> = serde_json::from_slice(&rows).expect("JSON");
    assert!(!rows.is_empty());
    let events = fs::read_to_string(case.path("bundle/rows/events.csv")).expect("columns");
    assert!(
        events.starts_with("event_time") || events.contains("event_id"),
        "{events}"
    );
    assert_eq!(events.matches("\r\n").count(), 1);
    let run = fs::read(case.path("bundle/report.json")).expect("a report");
    let run: Value = serde_json::from_slice(&run).expect("JSON");
    assert_eq!(run["reports"][0]["answer"], "finding");
    let sql = fs::read_to_string(case.path("bundle/report.sql")).expect("SQL");
    let lake = case.path("lake");
    let asked = run_query(&sql, &lake);
    assert_eq!(asked.as_array().expect("rows").len(), rows.len());
}

fn run_query(sql: &str, lake: &Path) -> Value {
    run(&[
        "query",
        sql.trim(),
        "--lake",
        path(lake),
        "--format",
        "json",
    ])
    .json()
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let case = Case::of(&[(
        "x.json",
        crate::bad_input::wrapped(&[crate::bad_input::record("a")]),
    )]);
    let id = ["--event-id", "a"];
    fs::create_dir(case.path("empty")).expect("made");
    assert_eq!(case.evidence("empty", &id).0, 0);
    let before = as_map(&case.path("empty"));
    for (out, words) in [
        ("empty", "is there already"),
        ("b.tar.gz", "compress"),
        ("lake", "already"),
    ] {
        let (code, told) = case.evidence(out, &id);
        assert_eq!(code, 1, "{out}");
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(as_map(&case.path("empty")), before);
    fs::create_dir(case.path("late.unfinished")).expect("made");
    let (code, told) = case.evidence("late", &id);
    assert!(code == 1 && told.contains("remove it"), "{told}");
    assert!(case.path("late.unfinished").exists() && !case.path("late").exists());
    for more in [&["--event-id", "a", "--since", "2025-03-01"][..], &[]] {
        assert_eq!(case.evidence("usage", more).0, 2);
    }
    let (code, told) = case.evidence("none", &["--report", "no-such-report"]);
    assert!(code == 1 && told.contains("no-such-report"), "{told}");
    assert!(!case.path("none").exists());
}
