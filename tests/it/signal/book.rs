//! The book over many nights: each opening is told once, whatever fails.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use dynatrail::report::finding::{Finding, Span};
use dynatrail::report::header::Level;
use dynatrail::signal::{Change, DeliveryOutcome, Night, Window, deliver};
use jiff::civil::{Date, date};
use proptest::prelude::*;
use serde_json::Value;

use super::hook::{Hook, Posted, Reply};
use super::{Site, finding, findings, loss, night};

const BOOK: &str = "_dynatrail/nightly/findings.json.zst";

/// How a sink fares on a night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    Refuses,
    /// The message arrives, and the run is killed before that is written down.
    Killed,
}

/// A night: which of six findings are there, whether each report answered, and each sink's fate.
#[derive(Debug, Clone)]
struct Plan {
    there: [bool; 6],
    answered: [bool; 2],
    fates: [Fate; 2],
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let fate = || {
        prop_oneof![
            6 => Just(Fate::Arrives),
            2 => Just(Fate::Refuses),
            1 => Just(Fate::Killed),
        ]
    };
    let plan = (
        any::<[bool; 6]>(),
        prop::array::uniform2(prop::bool::weighted(0.8)),
        [fate(), fate()],
    );
    let plan = plan.prop_map(|(there, answered, fates)| Plan {
        there,
        answered,
        fates,
    });
    prop::collection::vec(plan, 1..12)
}

const REPORTS: [(&str, Level); 2] = [("grave", Level::Critical), ("small", Level::Medium)];

/// What is expected to be known of a finding.
#[derive(Debug, Clone, Default)]
struct Expected {
    is_open: bool,
    opening: u64,
}

/// The findings of a message: id and opening.
fn told(body: &Value) -> Vec<(String, u64)> {
    let mut told = Vec::new();
    for report in body["dynatrail"]["reports"].as_array().unwrap() {
        for finding in report["findings"].as_array().unwrap() {
            let id = finding["id"].as_str().unwrap().to_owned();
            told.push((id, finding["opening"].as_u64().unwrap()));
        }
    }
    told
}

/// A server that lets the sinks fare as it is told, and keeps the stored book of the moment in which
/// a message arrives that shall be the last thing a run does.
struct World {
    hook: Hook,
    fates: Arc<Mutex<[Fate; 2]>>,
    snapshot: Arc<Mutex<Option<Vec<u8>>>>,
}

impl World {
    fn over(book: PathBuf) -> Self {
        let fates = Arc::new(Mutex::new([Fate::Arrives; 2]));
        let snapshot = Arc::new(Mutex::new(None));
        let (known, kept) = (fates.clone(), snapshot.clone());
        let hook = Hook::start(
            move |posted, _| match known.lock().unwrap()[sink_of(posted)] {
                Fate::Arrives => Reply::status(200),
                Fate::Refuses => Reply::status(400),
                Fate::Killed => {
                    let mut kept = kept.lock().unwrap();
                    kept.get_or_insert_with(|| std::fs::read(&book).unwrap());
                    Reply::status(200)
                }
            },
        );
        Self {
            hook,
            fates,
            snapshot,
        }
    }
}

fn sink_of(posted: &Posted) -> usize {
    usize::from(posted.path == "/all")
}

fn check(plans: &[Plan]) {
    let site = Site::new();
    let book_path = site.path().join("lake").join(BOOK);
    let world = World::over(book_path.clone());
    let config = format!(
        "[[notify]]\nkind = \"webhook\"\nurl_file = {:?}\n\
         [[notify]]\nkind = \"webhook\"\nurl_file = {:?}\nlevel = \"low\"\n",
        site.url_file("grave", &format!("{}/grave", world.hook.endpoint)),
        site.url_file("all", &format!("{}/all", world.hook.endpoint)),
    );
    let sinks = site.sinks(&config);
    let mut expected: BTreeMap<usize, Expected> = BTreeMap::new();
    let mut last_told: [BTreeMap<String, u64>; 2] = Default::default();
    let mut in_doubt = [false; 2];
    // In the end all is told.
    let quiet = Plan {
        there: [false; 6],
        answered: [false; 2],
        fates: [Fate::Arrives; 2],
    };
    for (number, plan) in plans.iter().chain([&quiet]).enumerate() {
        let label = format!("2025-03-{:02}T02:00:00Z", number + 1);
        let mut found = Vec::new();
        for (place, is_there) in plan.there.iter().enumerate() {
            let known = expected.entry(place).or_default();
            let (report, level) = REPORTS[place % 2];
            if *is_there {
                known.opening += u64::from(!known.is_open);
                known.is_open = true;
                found.push(finding(&place.to_string(), report, level));
            } else if plan.answered[place % 2] {
                known.is_open = false;
            }
        }
        let mut found = findings(&found);
        for ((report, _), answered) in REPORTS.iter().zip(plan.answered) {
            if !answered {
                found.answered.remove(*report);
            }
        }
        *world.fates.lock().unwrap() = plan.fates;
        let mut book = site.book();
        let night = night(&label, &found);
        book.turn(&night);
        let deliveries = deliver(&mut book, &site.store, &sinks, &night);
        let killed = world.snapshot.lock().unwrap().take();
        let mut is_dead = false;
        for posted in world.hook.take() {
            let sink = sink_of(&posted);
            // What a dead run would have done never was.
            if is_dead || plan.fates[sink] == Fate::Refuses {
                continue;
            }
            let may_repeat = posted.body["dynatrail"]["may_repeat"].as_bool().unwrap();
            assert_eq!(may_repeat, in_doubt[sink], "{plans:?}");
            for (id, opening) in told(&posted.body) {
                let before = last_told[sink].insert(id.clone(), opening).unwrap_or(0);
                assert!(
                    before < opening || (may_repeat && before == opening),
                    "sink {sink}: {id}: {before}, {opening}: {plans:?}"
                );
            }
            is_dead = plan.fates[sink] == Fate::Killed;
            in_doubt[sink] = is_dead;
        }
        if let Some(snapshot) = killed {
            std::fs::write(&book_path, snapshot).unwrap();
            continue;
        }
        for (sink, delivery) in deliveries.iter().enumerate() {
            let is_refused = plan.fates[sink] == Fate::Refuses;
            let outcome = match (delivery.told, is_refused) {
                (0, _) => DeliveryOutcome::Nothing,
                (_, true) => DeliveryOutcome::Failed,
                (_, false) => DeliveryOutcome::Sent,
            };
            assert_eq!(delivery.outcome, outcome);
            if is_refused {
                continue;
            }
            for (place, known) in &expected {
                let told = last_told[sink].get(&place.to_string()).copied();
                let wanted = sink == 1 || place % 2 == 0;
                let opening = (wanted && known.opening > 0).then_some(known.opening);
                assert_eq!(told, opening, "sink {sink}: {place}: {plans:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each finding is told once an opening and sink; again only where a run was killed, and then it
    /// says so.
    #[test]
    fn every_opening_is_told_once(plans in plans()) {
        check(&plans);
    }
}

fn ids(changes: &[Change]) -> String {
    let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
    ids.join(" ")
}

fn window(first: Date, last: Option<Date>) -> Option<Window> {
    Some(Window {
        first,
        last,
        is_back_fill: last.is_some(),
    })
}

fn of_days(id: &str, first: Date, last: Date) -> Finding {
    Finding {
        span: Some(Span { first, last }),
        ..finding(id, "grave", Level::Critical)
    }
}

/// A back-fill ends what it looked at and did not find, and nothing else: not a finding of other days,
/// nor one of days of which it looked at some, nor a loss.
#[test]
fn a_back_fill_ends_nothing_of_other_days() {
    let site = Site::new();
    let mut book = site.book();
    let day = |day| date(2025, 3, day);
    let found = findings(&[
        of_days("1", day(3), day(3)),
        of_days("2", day(2), day(6)),
        finding("3", "grave", Level::High),
    ]);
    let none = findings(&[]);
    let lost = [loss("a", "3 hours are missing")];
    let both = Night {
        coverage: Some(&lost),
        ..night("2025-03-07T02", &found)
    };
    assert_eq!(ids(&book.turn(&both).new), "1 2 3");
    for (label, days, ended) in [
        ("2025-03-07T03", (date(2025, 1, 10), date(2025, 1, 12)), ""),
        ("2025-03-07T04", (day(5), day(7)), ""),
        ("2025-03-07T05", (day(3), day(5)), "1"),
        ("2025-03-07T06", (day(1), day(7)), "2 3"),
    ] {
        let back_fill = Night {
            window: window(days.0, Some(days.1)),
            ..night(label, &none)
        };
        let changes = book.turn(&back_fill);
        assert_eq!(ids(&changes.ended), ended, "{label}");
        assert_eq!(changes.past, 0, "{label}");
    }
    let again = book.turn(&Night {
        label: "2025-03-07T07",
        ..both
    });
    assert_eq!(ids(&again.new), "1 2 3", "what ended is new again");
}

/// What a night does not look at any more has not ended: seen again of the same days, it is no news.
#[test]
fn what_the_window_leaves_behind_is_not_told_again() {
    let site = Site::new();
    let hook = Hook::start(|_, _| Reply::status(200));
    let url = site.url_file("url", &format!("{}/x", hook.endpoint));
    let sinks = site.sinks(&format!(
        "[[notify]]\nkind = \"webhook\"\nurl_file = {url:?}\n"
    ));
    let day = |day| date(2025, 3, day);
    let old = findings(&[of_days("1", day(1), day(1)), of_days("2", day(1), day(4))]);
    let later = findings(&[of_days("2", day(8), day(8))]);
    let none = findings(&[]);
    for (label, days, found, told, past) in [
        ("2025-03-07", (day(1), None), &old, "1 2", 0),
        // One has left the window; of the other one what is left of it was looked at.
        ("2025-03-08", (day(2), None), &none, "", 2),
        ("2025-03-09", (day(1), Some(day(7))), &old, "", 0),
        ("2025-03-10", (day(4), None), &none, "", 2),
        ("2025-03-11", (day(5), None), &later, "2", 0),
    ] {
        let night = Night {
            window: window(days.0, days.1),
            ..night(label, found)
        };
        let mut book = site.book();
        let changes = book.turn(&night);
        assert_eq!(
            (changes.past, ids(&changes.ended)),
            (past, String::new()),
            "{label}"
        );
        deliver(&mut book, &site.store, &sinks, &night);
        let posted = hook.take();
        let heard: Vec<String> = posted
            .iter()
            .flat_map(|posted| self::told(&posted.body))
            .map(|(id, _)| id)
            .collect();
        assert_eq!(heard.join(" "), told, "{label}");
    }
}

#[test]
fn a_night_says_what_is_new_continues_and_ended() {
    let site = Site::new();
    let mut book = site.book();
    let (one, two) = (
        finding("1", "grave", Level::Critical),
        finding("2", "small", Level::Low),
    );
    let both = findings(&[two.clone(), one.clone()]);
    let only_one = findings(std::slice::from_ref(&one));
    let mut unanswered = findings(&[]);
    unanswered.answered.clear();
    for (label, found, expected) in [
        ("2025-03-01", &only_one, ["1", "", ""]),
        ("2025-03-02", &both, ["2", "1", ""]),
        // The same night again says the same.
        ("2025-03-02", &both, ["2", "1", ""]),
        ("2025-03-03", &only_one, ["", "1", "2"]),
        ("2025-03-04", &unanswered, ["", "1", ""]),
        ("2025-03-05", &both, ["2", "1", ""]),
    ] {
        let changes = book.turn(&night(label, found));
        let got = [
            ids(&changes.new),
            ids(&changes.continuing),
            ids(&changes.ended),
        ];
        assert_eq!(got, expected, "{label}");
        book.store(&site.store).unwrap();
        let again = site.book();
        assert_eq!(again, book);
    }
    let changes = book.turn(&night("2025-03-06", &both));
    assert_eq!(changes.continuing[1].opening, 2);
    assert_eq!(changes.continuing[1].first_night, "2025-03-05");
}

#[test]
fn a_full_book_lets_the_oldest_ended_go_and_counts_what_it_has_no_room_for() {
    use dynatrail::signal::book::MAX_ENTRIES;
    let site = Site::new();
    let mut book = site.book();
    let many = |from: usize, count: usize| {
        let found: Vec<_> = (from..from + count)
            .map(|number| finding(&format!("{number:06}"), "grave", Level::High))
            .collect();
        findings(&found)
    };
    assert_eq!(book.turn(&night("2025-03-01", &many(0, 2))).new.len(), 2);
    book.turn(&night("2025-03-02", &many(1, 2)));
    // 0 and 1 have ended; 2 has not; only 0, the older, must go.
    let most = many(2, MAX_ENTRIES - 1);
    let changes = book.turn(&night("2025-03-03", &most));
    assert_eq!((changes.left_out, changes.ended.len()), (0, 1));
    let changes = book.turn(&night("2025-03-04", &many(0, MAX_ENTRIES + 1)));
    assert_eq!(changes.left_out, 1);
    assert_eq!(changes.new.len() + changes.continuing.len(), MAX_ENTRIES);
    assert!(changes.ended.is_empty());
}

#[test]
fn coverage_and_failures_are_told_as_they_change() {
    let site = Site::new();
    let hook = Hook::start(|_, _| Reply::status(200));
    let url = site.url_file("url", &format!("{}/x", hook.endpoint));
    let sinks = site.sinks(&format!(
        "[[notify]]\nkind = \"webhook\"\nurl_file = {url:?}\n"
    ));
    let none = findings(&[]);
    let lost = [loss("a", "3 hours are missing")];
    let more = [loss("a", "4 hours are missing"), loss("b", "b is missing")];
    for (day, coverage, failure, expected) in [
        (1, Some(&lost[..]), None, Some("dynatrail: coverage fell")),
        (2, Some(&lost[..]), None, None),
        (
            3,
            None,
            Some("no disk left after 17 s"),
            Some("dynatrail: run failed"),
        ),
        (
            4,
            None,
            Some("no disk left after 21 s"),
            Some("dynatrail: run still failing, night 2"),
        ),
        (5, None, Some("no network"), Some("dynatrail: run failed")),
        (6, Some(&more[..]), None, Some("dynatrail: coverage fell")),
        (7, Some(&[][..]), None, None),
        (8, Some(&lost[..]), None, Some("dynatrail: coverage fell")),
    ] {
        let label = format!("2025-03-0{day}");
        let night = Night {
            coverage,
            failure,
            ..night(&label, &none)
        };
        let mut book = site.book();
        book.turn(&night);
        deliver(&mut book, &site.store, &sinks, &night);
        let posted = hook.take();
        let subjects: Vec<_> = posted
            .iter()
            .map(|posted| posted.body["text"].clone())
            .collect();
        let expected: Vec<_> = expected.into_iter().map(Value::from).collect();
        assert_eq!(subjects, expected, "{label}");
        if day == 6 {
            let losses = &posted[0].body["dynatrail"]["coverage"];
            assert_eq!(losses.as_array().unwrap().len(), 1, "{losses}");
            assert_eq!(losses[0]["sentence"], "b is missing");
        }
    }
}

#[test]
fn a_book_that_cannot_be_kept_holds_back_all_but_a_failure() {
    let site = Site::new();
    let hook = Hook::start(|_, _| Reply::status(200));
    let url = site.url_file("url", &format!("{}/x", hook.endpoint));
    let sinks = site.sinks(&format!(
        "[[notify]]\nkind = \"webhook\"\nurl_file = {url:?}\n"
    ));
    let found = findings(&[finding("1", "grave", Level::Critical)]);
    let failed = Night {
        failure: Some("no lake"),
        ..night("2025-03-01", &found)
    };
    // A file stands where the store's folder should be.
    std::fs::write(site.path().join("lake"), "").unwrap();
    for (book, night, told) in [
        (
            dynatrail::signal::Book::detached("unreadable".to_owned()),
            failed,
            Some(1),
        ),
        (
            dynatrail::signal::Book::detached("unreadable".to_owned()),
            night("2025-03-01", &found),
            None,
        ),
    ] {
        let mut book = book;
        book.turn(&night);
        let deliveries = deliver(&mut book, &site.store, &sinks, &night);
        assert!(deliveries[0].problem.is_some());
        let posted = hook.take();
        assert_eq!(posted.len() as u64, told.unwrap_or(0));
        if let Some(told) = told {
            assert_eq!((deliveries[0].told, deliveries[0].may_repeat), (told, true));
        } else {
            assert_eq!(deliveries[0].outcome, DeliveryOutcome::Failed);
        }
    }
    // The same where the book was read, but cannot be written.
    let other = Site::new();
    let mut book = other.book();
    book.turn(&failed);
    let deliveries = deliver(&mut book, &site.store, &sinks, &failed);
    assert_eq!(deliveries[0].outcome, DeliveryOutcome::Sent);
    let body = &hook.take()[0].body;
    assert_eq!(body["dynatrail"]["finding_count"], 0);
    assert_eq!(body["dynatrail"]["failures"][0]["error"], "no lake");
}

#[test]
fn a_book_that_is_none_is_not_begun_anew() {
    let site = Site::new();
    site.store.put(BOOK, b"no book").unwrap();
    let error = dynatrail::signal::Book::load(&site.store).unwrap_err();
    assert!(error.to_string().contains("no book of findings"), "{error}");
    let newer = zstd::bulk::compress(br#"{"version":2,"pages":[]}"#, 3).unwrap();
    site.store.put(BOOK, &newer).unwrap();
    let error = dynatrail::signal::Book::load(&site.store).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}
