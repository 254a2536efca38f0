//! The course of many nights: what one refuses, defers or back-fills, the next ones know.

use std::fs;

use jiff::ToSpan;
use serde_json::{Value, json};

use crate::nightly::{NO_REPORTS, Site};
use crate::product::{path, run};
use crate::verify_archive::{SIGNING, key_list};

impl Site {
    fn day(&self, days_ago: i64) -> String {
        let day = self.today.checked_sub(days_ago.days()).expect("a day");
        day.to_string()
    }

    /// The exit code, the first key date that was listed, and how many objects were refused.
    fn course(&self, more: &[&str]) -> (i32, Value, Value) {
        let (ended, summary) = self.night(more);
        let changed = summary["convert"]["objects"]["changed"].clone();
        (
            ended.code,
            summary["listing"]["first_key_date"].clone(),
            changed,
        )
    }
}

/// An altered object is named every night, however old it has become, until it is redone or as it
/// was; also where it has vanished since.
#[test]
fn what_was_refused_is_named_until_somebody_decides() {
    let site = Site::new();
    site.deliver(0, "b", &["today"]);
    let file = site.deliver(5, "a", &["one", "two"]);
    let original = fs::read(&file).expect("read");
    let alter = || site.deliver(5, "a", &["one", "other", "another"]);
    // Nothing but this day is listed, if nothing is open.
    let today = ["--late", "0"];
    let from = |days_ago: i64| json!(site.day(days_ago));

    assert_eq!(site.course(&[]), (0, Value::Null, json!(0)));
    alter();
    assert_eq!(site.course(&today), (0, from(0), json!(0)));
    assert_eq!(site.course(&["--late", "7d"]), (3, from(7), json!(1)));
    for _ in 0..2 {
        assert_eq!(site.course(&today), (3, from(5), json!(1)));
    }
    // A back-fill of other dates does not forget it.
    let other = ["--since", "-1d", "--until", &site.day(0)];
    assert_eq!(site.course(&other), (0, from(1), json!(0)));

    fs::write(&file, &original).expect("written");
    assert_eq!(site.course(&today), (0, from(5), json!(0)));
    assert_eq!(site.course(&today), (0, from(0), json!(0)), "it is settled");

    alter();
    assert_eq!(site.course(&["--late", "7d"]).0, 3);
    fs::remove_file(&file).expect("removed");
    for _ in 0..2 {
        let (ended, summary) = site.night(&today);
        assert_eq!((ended.code, &summary["status"]), (3, &json!("incomplete")));
        assert!(
            ended.stderr.contains(path(&file)) && ended.stderr.contains("now it is not listed"),
            "{}",
            ended.stderr
        );
    }
    let redo = ["--late", "0", "--changed", "redo"];
    assert_eq!(site.course(&redo), (0, from(5), json!(0)));
    assert_eq!(site.course(&today), (0, from(0), json!(0)));

    alter();
    assert_eq!(site.course(&["--late", "7d"]).0, 3);
    assert_eq!(site.course(&redo), (0, from(5), json!(0)));
    assert_eq!(site.course(&today), (0, from(0), json!(0)));
}

/// Ten days with a delivery each, the last of them thirty-one days ago.
fn delivered_daily() -> Site {
    let site = Site::new();
    for days_ago in 31..=40 {
        site.deliver(days_ago, "a", &[&format!("{days_ago}")]);
    }
    site
}

/// Of dates that were not asked for, and of objects that are left for the next run, nothing is said to
/// be silent.
#[test]
fn a_back_fill_takes_nothing_for_silent() {
    let site = delivered_daily();
    let since = site.day(40);
    let (ended, summary) = site.night(&["--since", &since, "--until", &site.day(31)]);
    assert_eq!(summary["coverage_gaps"], json!([]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    // Up to now, they are silent.
    let (ended, summary) = site.night(&["--since", &since]);
    let gaps = summary["coverage_gaps"].to_string();
    assert!(
        gaps.contains("nothing was delivered of 111122223333 us-east-1"),
        "{gaps}"
    );
    assert_eq!(ended.code, 3);

    let site = delivered_daily();
    let file = site.deliver(40, "a", &["40"]);
    let eight = (fs::metadata(file).expect("there").len() * 8).to_string();
    let (ended, summary) = site.night(&["--since", &since, "--max-bytes", &eight]);
    assert_eq!(summary["convert"]["objects"]["deferred"], 2);
    let gaps = summary["coverage_gaps"].to_string();
    assert!(!gaps.contains("nothing was delivered"), "{gaps}");
    assert_eq!(ended.code, 3);
}

/// After a back-fill up to now the nights go on from there; after one of some dates they do not.
#[test]
fn the_nights_go_on_from_a_complete_back_fill() {
    let site = Site::new();
    site.deliver(40, "a", &["old"]);
    site.deliver(20, "a", &["older"]);
    site.deliver(0, "a", &["new"]);
    let (first, last) = (site.day(40), site.day(30));
    site.night(&["--since", &first, "--until", &last]);
    let (_, incomplete) = site.night(&["--since", "-7d", "--max-minutes", "0"]);
    assert_eq!(incomplete["convert"]["objects"]["deferred"], 1);
    let listed = site.at("lake/_dynatrail/nightly/listed.json");
    let through = || -> Value {
        let text = fs::read_to_string(&listed).expect("remembered");
        let listed: Value = serde_json::from_str(&text).expect("JSON");
        listed["scopes"][0]["through"].clone()
    };
    assert_eq!(through(), Value::Null, "neither is up to now");

    let (ended, week) = site.night(&["--since", "-7d"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(week["convert"]["resumed_units"], 1);
    let (_, plain) = site.night(&[]);
    assert_eq!(plain["listing"]["first_key_date"], site.day(2));
    assert_eq!(plain["convert"]["objects"]["already_done"], 1);
    let (_, whole) = site.night(&["--since", &first]);
    assert_eq!(whole["convert"]["objects"]["converted"], 1);
    assert_eq!(through(), json!(site.day(0)));
}

/// What an earlier run has left counts by the budget too, a unit at least.
#[test]
fn a_budget_of_bytes_holds_for_what_an_earlier_run_left() {
    let site = Site::new();
    for (days_ago, name) in [(3, "a"), (2, "b"), (1, "c")] {
        site.deliver(days_ago, name, &[name]);
    }
    site.night(&["--max-minutes", "0"]);
    site.deliver(0, "d", &["d"]);
    let course = |more: &[&str]| {
        let (ended, summary) = site.night(more);
        let convert = &summary["convert"];
        let counts = [
            &convert["resumed_units"],
            &convert["objects"]["converted"],
            &convert["objects"]["deferred"],
        ];
        (ended.code, counts.map(|count| count.as_u64()))
    };
    let left = || {
        let (archive, lake) = (site.archive(), site.at("lake"));
        let asked = ["nightly", path(&archive), "--lake", path(&lake)];
        run(&[&asked[..], &["--dry-run"]].concat()).json()["objects_left_by_earlier_runs"].clone()
    };
    assert_eq!(left(), 3);
    let little = ["--max-bytes", "1"];
    assert_eq!(course(&little), (3, [Some(1), Some(0), Some(3)]));
    assert_eq!(left(), 2, "what has a receipt is not left");
    assert_eq!(course(&little), (3, [Some(1), Some(0), Some(2)]));
    assert_eq!(course(&little), (3, [Some(1), Some(0), Some(1)]));
    assert_eq!(left(), 0);
    assert_eq!(course(&little), (0, [Some(0), Some(1), Some(0)]));
}

/// An option of the command line may require what stands in the file.
#[test]
fn what_an_option_requires_may_stand_in_the_file() {
    let site = Site::new();
    site.deliver(0, "a", &["a"]);
    let (archive, lake, out) = (site.archive(), site.at("lake"), site.at("out"));
    let (file, keys, secret) = (
        site.at("dynatrail.toml"),
        site.at("keys.json"),
        site.at("secret"),
    );
    fs::write(&keys, key_list(SIGNING.public().as_ref())).expect("written");
    fs::write(&secret, "sixteen bytes at least").expect("written");
    let night = |text: &str| {
        fs::write(&file, text).expect("written");
        let asked = [
            "nightly",
            path(&archive),
            "--lake",
            path(&lake),
            "--out",
            path(&out),
            "--config",
            path(&file),
            "--public-keys",
            path(&keys),
            "--redact-key-file",
            path(&secret),
        ];
        run(&[&asked[..], &NO_REPORTS[..]].concat())
    };
    let ended = night("[nightly]\nverify = true\n");
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("--redact"), "{}", ended.stderr);
    let ended = night("[nightly]\nverify = true\nredact = \"keys\"\n");
    assert!(matches!(ended.code, 0 | 3), "{}", ended.stderr);
    let summary = fs::read_to_string(out.join("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert!(summary["integrity"].is_object(), "{summary:#}");

    let ended = run(&["nightly", path(&archive), "--public-keys", path(&keys)]);
    assert_eq!(ended.code, 2, "without a file");
    assert!(ended.stderr.contains("--verify"), "{}", ended.stderr);
}
