//! A night that verifies what it reads, and tells whoever must know, once.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::archive_made::event;
use crate::product::{Ended, path, run};
use crate::verify_archive::{FIRST, SIGNING, Site, key_list, log_of};

fn summary(out: &Path) -> Value {
    let text = fs::read_to_string(out.join("summary.json")).expect("a summary");
    serde_json::from_str(&text).expect("JSON")
}

/// A plain copy of a bucket with the metadata of its digests, and the public key beside it.
struct Copied {
    folder: tempfile::TempDir,
}

impl Copied {
    fn of(site: &Site) -> Self {
        let folder = tempfile::tempdir().expect("temp folder");
        site.copy_to(&folder.path().join("copy"));
        for key in site
            .objects
            .keys()
            .filter(|key| key.contains("CloudTrail-Digest"))
        {
            site.write_sidecar(&folder.path().join("copy"), key);
        }
        let list = key_list(SIGNING.public().as_ref());
        fs::write(folder.path().join("keys.json"), list).expect("written");
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn night(&self) -> (Ended, Value) {
        let (copy, lake, out, keys) = (
            self.at("copy"),
            self.at("lake"),
            self.at("out"),
            self.at("keys.json"),
        );
        let ended = run(&[
            "nightly",
            path(&copy),
            "--lake",
            path(&lake),
            "--out",
            path(&out),
            "--verify",
            "--public-keys",
            path(&keys),
            "--topic",
            "evidence",
            "--level",
            "critical",
            "--since",
            "2025-01-01",
        ]);
        (ended, summary(&out))
    }

    /// What `dynatrail verify` says of the same copy.
    fn verified(&self) -> Value {
        let (copy, keys) = (self.at("copy"), self.at("keys.json"));
        let ended = run(&[
            "verify",
            path(&copy),
            "--public-keys",
            path(&keys),
            "--format",
            "json",
        ]);
        let last = ended.stdout.lines().last().expect("a summary");
        serde_json::from_str(last).expect("JSON")
    }
}

/// Conversion hashes what it reads, and no log file is read twice to be verified.
#[test]
fn a_night_verifies_with_the_hashes_of_its_conversion() {
    let copied = Copied::of(&Site::new());
    let (ended, night) = copied.night();
    let integrity = &night["integrity"];
    assert_eq!(integrity["is_sound"], true, "{}{integrity:#}", ended.stderr);
    let logs = integrity["logs_valid"].as_u64().expect("a number");
    assert!(logs > 20);
    assert_eq!(integrity["logs_hashed_on_the_way"], logs);
    let verified = copied.verified();
    assert_eq!(verified["logs_valid"], logs, "{verified:#}");
    let valid = |kind: &str| verified[kind]["valid"].as_u64().unwrap_or(0);
    let digests = valid("digests") + valid("backfill_digests");
    assert_eq!(integrity["digests_valid"], digests, "{verified:#}");

    // The next night reads nothing, and verifies with what the lake remembers.
    let (_, again) = copied.night();
    assert_eq!(again["convert"]["objects"]["converted"], 0);
    assert_eq!(again["integrity"]["logs_hashed_on_the_way"], logs);
    let lake = copied.at("lake");
    let counted = run(&[
        "query",
        "SELECT count(*) AS digests, sum(files_valid) AS files FROM integrity WHERE kind = 'digest'",
        "--lake",
        path(&lake),
        "--format",
        "ndjson",
    ]);
    assert_eq!(counted.json()["files"], logs, "{}", counted.stderr);
}

/// What is missing or altered is told in the words of the aws CLI, and keeps the night from being
/// complete.
#[test]
fn a_night_tells_what_was_tampered_with() {
    let mut site = Site::new();
    let altered = log_of(FIRST, 1, 0);
    site.get(&altered).bytes = crate::verify_archive::gzip(b"{\"Records\":[]} ");
    let missing = log_of(FIRST, 3, 1);
    site.objects.remove(&missing);
    let copied = Copied::of(&site);
    let (ended, night) = copied.night();
    assert_eq!(
        (ended.code, &night["status"]),
        (3, &json!("incomplete")),
        "{}",
        ended.stderr
    );
    let problems = night["integrity"]["problems"].to_string();
    assert!(problems.contains("INVALID: hash value doesn't match") && problems.contains(&altered));
    assert!(problems.contains("INVALID: not found") && problems.contains(&missing));
    assert!(ended.stderr.contains(&missing), "{}", ended.stderr);
    let gaps = night["coverage_gaps"].to_string();
    assert!(
        gaps.contains("2 log files are missing, altered or not vouched for"),
        "{gaps}"
    );
    let lake = copied.at("lake");
    let rows = run(&[
        "query",
        "SELECT object, status FROM integrity WHERE kind = 'log' ORDER BY status",
        "--lake",
        path(&lake),
        "--format",
        "ndjson",
    ]);
    let statuses: Vec<Value> = rows
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["status"].clone())
        .collect();
    assert_eq!(statuses, ["hash_mismatch", "not_found"], "{}", rows.stdout);

    // Log files delivered soon after a window may hold its last events.
    for (until, expected) in [
        ("2025-01-01", json!(2)),
        ("2024-12-31", json!(2)),
        ("2024-12-30", Value::Null),
    ] {
        let arguments = [
            "report",
            "coverage",
            "--format",
            "json",
            "--lake",
            path(&lake),
        ];
        let narrow = ["--until", until];
        let evidence = &run(&[&arguments[..], &narrow].concat()).json()["evidence"];
        assert_eq!(evidence["integrity"]["files_wrong"], expected, "{until}");
    }
}

fn days_ago(days: i32) -> Date {
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    today.checked_sub(days.days()).expect("a day")
}

/// A site whose nights are told to a program that keeps what it hears.
struct Told {
    folder: tempfile::TempDir,
}

impl Told {
    fn new() -> Self {
        let told = Self {
            folder: tempfile::tempdir().expect("temp folder"),
        };
        fs::create_dir(told.at("heard")).expect("created");
        told.deliver("a", &["GetItem"]);
        let config = format!(
            "[nightly]\nsources = [{archive:?}]\nlake = {lake:?}\nout = {out:?}\ntopic = [\"destruction\"]\nlevel = \"high\"\n\n\
             [[notify]]\nkind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", \"cat > \\\"$1/$(ls $1 | wc -l).json\\\"\", \"sh\", {heard:?}]\nlevel = \"high\"\n",
            archive = path(&told.at("archive")),
            lake = path(&told.at("lake")),
            out = path(&told.at("out")),
            heard = path(&told.at("heard")),
        );
        fs::write(told.at("dynatrail.toml"), config).expect("written");
        told
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Delivers calls of yesterday.
    fn deliver(&self, name: &str, calls: &[&str]) {
        self.deliver_on(days_ago(1), name, calls);
    }

    fn deliver_on(&self, day: Date, name: &str, calls: &[&str]) -> PathBuf {
        let folder = self.at("archive").join(format!(
            "AWSLogs/111122223333/CloudTrail/us-east-1/{}",
            day.strftime("%Y/%m/%d")
        ));
        fs::create_dir_all(&folder).expect("created");
        let records: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(number, call)| {
                let mut record = event(&format!("{name}-{number}"), 1);
                record["eventName"] = json!(call);
                record["eventTime"] = json!(format!("{day}T10:00:0{number}Z"));
                if *call == "DeleteTable" {
                    record["managementEvent"] = json!(true);
                    record["eventCategory"] = json!("Management");
                    record["requestParameters"] =
                        json!({"tableName": format!("table-{name}-{number}")});
                }
                record
            })
            .collect();
        let file = format!(
            "111122223333_CloudTrail_us-east-1_{}T1010Z_{name:0>16}.json",
            day.strftime("%Y%m%d")
        );
        let file = folder.join(file);
        fs::write(&file, json!({"Records": records}).to_string()).expect("written");
        file
    }

    /// Delivers an object of yesterday that breaks off.
    fn deliver_torn(&self, name: &str) {
        let file = self.deliver_on(days_ago(1), name, &["GetItem", "GetItem"]);
        let text = fs::read(&file).expect("readable");
        fs::write(file, &text[..text.len() / 2]).expect("written");
    }

    fn night(&self) -> (Ended, Value) {
        self.night_with(&[])
    }

    fn night_with(&self, more: &[&str]) -> (Ended, Value) {
        let config = self.at("dynatrail.toml");
        let fixed = ["nightly", "--config", path(&config), "--quiet"];
        let ended = run(&[&fixed, more].concat());
        (ended, summary(&self.at("out")))
    }

    fn heard(&self) -> Vec<Value> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.at("heard"))
            .expect("readable")
            .map(|e| e.expect("readable").path())
            .collect();
        files.sort();
        files
            .iter()
            .map(|file| serde_json::from_slice(&fs::read(file).expect("readable")).expect("JSON"))
            .collect()
    }
}

/// A finding is told when it is new, and not again while it stays; what comes later is told alone.
#[test]
fn a_finding_is_told_once() {
    let told = Told::new();
    told.deliver("b", &["DeleteTable"]);
    let (ended, first) = told.night();
    assert_eq!(first["findings"]["new"], 1, "{}{first:#}", ended.stderr);
    assert_eq!(first["deliveries"][0]["outcome"], "sent");
    let heard = told.heard();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].to_string().contains("table-b-0"), "{:#}", heard[0]);

    let (_, second) = told.night();
    assert_eq!(
        (
            &second["findings"]["new"],
            &second["findings"]["continuing"]
        ),
        (&json!(0), &json!(1))
    );
    assert_eq!(second["deliveries"][0]["outcome"], "nothing");
    assert_eq!(told.heard().len(), 1, "nothing is told twice");

    told.deliver("c", &["DeleteTable"]);
    let (_, third) = told.night();
    assert_eq!(
        (&third["findings"]["new"], &third["findings"]["continuing"]),
        (&json!(1), &json!(1))
    );
    let last = told.heard().pop().expect("a message").to_string();
    assert!(
        last.contains("table-c-0") && !last.contains("table-b-0"),
        "{last}"
    );
}

/// A night that fails is told, and its summary says why.
#[test]
fn a_failed_night_is_told() {
    let told = Told::new();
    told.night();
    let before = told.heard().len();
    fs::remove_dir_all(told.at("archive")).expect("removed");
    let (ended, night) = told.night();
    assert_eq!(
        (ended.code, &night["status"]),
        (1, &json!("failed")),
        "{}",
        ended.stderr
    );
    assert!(
        night["error"].to_string().contains("could be listed"),
        "{night:#}"
    );
    let heard = told.heard();
    assert_eq!(heard.len(), before + 1);
    assert!(
        heard[before].to_string().contains("could be listed"),
        "{:#}",
        heard[before]
    );
}

/// A back-fill of other days ends nothing, so that the next night has nothing to tell again.
#[test]
fn a_back_fill_does_not_make_known_findings_new() {
    let told = Told::new();
    told.deliver("b", &["DeleteTable", "DeleteTable"]);
    told.night();
    assert_eq!(told.heard().len(), 1);
    let day = days_ago(20);
    told.deliver_on(day, "old", &["GetItem"]);
    let day = day.to_string();
    let (ended, back_fill) = told.night_with(&["--since", &day, "--until", &day]);
    let findings = &back_fill["findings"];
    assert_eq!(back_fill["reports"]["until"], day, "{}", ended.stderr);
    assert_eq!(
        (&findings["ended"], &findings["continuing"]),
        (&json!(0), &json!(2)),
        "{findings:#}"
    );
    let (_, after) = told.night();
    assert_eq!(after["findings"]["new"], 0, "{:#}", after["findings"]);
    assert_eq!(after["deliveries"][0]["outcome"], "nothing");

    // Without a first day all days to the last one are looked at.
    let (_, first) = told.night_with(&["--until", &day]);
    assert_eq!(first["reports"]["since"], day, "{:#}", first["reports"]);
}

/// Each object that is lost is told, also where one is known already; and none again.
#[test]
fn a_known_loss_hides_no_new_one() {
    let told = Told::new();
    let heard_of = |name: &str| {
        let messages = told
            .heard()
            .into_iter()
            .map(|message| message["coverage"].to_string());
        messages
            .filter(|coverage| coverage.contains(&format!("{name:0>16}")))
            .count()
    };
    told.deliver_torn("torn-1");
    let (ended, first) = told.night();
    assert_eq!((ended.code, heard_of("torn-1")), (3, 1), "{first:#}");
    told.deliver_torn("torn-2");
    told.deliver_torn("torn-3");
    let (_, second) = told.night();
    assert!(
        second["coverage_gaps"].to_string().contains("torn-3"),
        "{second:#}"
    );
    told.night();
    let heard = ["torn-1", "torn-2", "torn-3"].map(heard_of);
    assert_eq!(heard, [1, 1, 1], "{:#?}", told.heard());
}

/// A night whose alarm cannot be given is not complete, and says why; nor is one whose book cannot be
/// read, which does not know either what is new.
#[test]
fn a_dead_alarm_is_no_good_night() {
    let told = Told::new();
    let config = fs::read_to_string(told.at("dynatrail.toml")).expect("readable");
    let broken = config.replace("cat > ", "exit 7; cat > ");
    fs::write(told.at("dynatrail.toml"), broken).expect("written");
    told.deliver("b", &["DeleteTable"]);
    let metrics = told.at("metrics.prom");
    let (ended, night) = told.night_with(&["--metrics", path(&metrics)]);
    assert_eq!(
        (ended.code, &night["status"]),
        (3, &json!("incomplete")),
        "{night:#}"
    );
    assert_eq!(night["coverage_gaps"], json!([]), "nothing else is wrong");
    let problem = night["signal_problems"][0].to_string();
    assert!(problem.contains("exit code 7"), "{problem}");
    let text = fs::read_to_string(&metrics).expect("metrics");
    assert!(
        text.contains("dynatrail_deliveries{outcome=\"failed\"} 1"),
        "{text}"
    );
    assert!(text.contains("dynatrail_signal_problems 1"), "{text}");

    fs::write(told.at("dynatrail.toml"), config).expect("written");
    let (ended, night) = told.night();
    assert_eq!((ended.code, told.heard().len()), (0, 1), "{night:#}");
    assert_eq!(night["signal_problems"], json!([]));

    let book = told.at("lake").join("_dynatrail/nightly/findings.json.zst");
    fs::write(&book, "no book").expect("written");
    let (ended, night) = told.night();
    assert_eq!(
        (ended.code, &night["findings"]),
        (3, &Value::Null),
        "{night:#}"
    );
    let problem = night["signal_problems"][0].to_string();
    assert!(problem.contains("no book of findings"), "{problem}");
    assert_eq!(told.heard().len(), 1, "who knows what is new?");
    assert_eq!(fs::read(&book).expect("readable"), b"no book");
}
