//! That there is too little to compare with is said, of the whole lake and of each place.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::rebuild;
use crate::archive_made::{Archive, event};
use crate::product::{convert, path, run};

const NEWCOMERS: [&str; 5] = [
    "new-principal-per-table",
    "new-ip-per-table",
    "new-region-per-table",
    "new-user-agent-per-table",
    "new-access-key-per-table",
];

/// That history is too short is said by the whole lake, not by the days that are asked for.
#[test]
fn the_baseline_is_the_whole_lake() {
    let archive = Archive::new();
    for day in 4..=12 {
        archive.object("111122223333", day, "a", &[event(&format!("a{day}"), day)]);
    }
    let lake = archive.lake("lake");
    convert(&archive.root(), &lake, &[]);
    for has_files in [false, true] {
        if has_files {
            rebuild(&lake, &[]);
        }
        for (since, words) in [
            ("2025-03-11", None),
            ("2025-03-12", None),
            (
                "2025-03-10",
                Some("too short: 6 of 7 days before 2025-03-10"),
            ),
            (
                "2025-03-04",
                Some("too short: 0 of 7 days before 2025-03-04"),
            ),
        ] {
            let mut arguments = vec!["report", "--lake", path(&lake), "--format", "json"];
            arguments.extend(["--since", since, "--until", "2025-03-12"]);
            arguments.extend(NEWCOMERS);
            let answer = run(&arguments).json();
            let reports = answer["reports"].as_array().expect("reports");
            assert_eq!(reports.len(), NEWCOMERS.len());
            for report in reports {
                let reasons = report["reasons"].to_string();
                match words {
                    Some(words) => assert!(reasons.contains(words), "{since}: {report:#}"),
                    None => assert!(!reasons.contains("baseline"), "{since}: {report:#}"),
                }
            }
        }
    }
}

/// A write to a table by a user.
fn write(day: u32, table: &str, user: &str) -> Value {
    let mut event = event(&format!("{table}-{user}-{day}"), day);
    event["requestParameters"]["tableName"] = json!(table);
    event["userIdentity"] = json!({
        "type": "IAMUser", "accountId": "111122223333", "userName": user,
        "arn": format!("arn:aws:iam::111122223333:user/{user}"),
    });
    event
}

fn of_name(mut event: Value, name: &str, is_data: bool) -> Value {
    event["eventID"] = json!(format!("{name}-{}", event["eventID"]));
    event["eventName"] = json!(name);
    event["managementEvent"] = json!(!is_data);
    event["eventCategory"] = json!(if is_data { "Data" } else { "Management" });
    event
}

/// A lake of the events, an object a day.
fn lake_of(archive: &Archive, days: impl Iterator<Item = (u32, Vec<Value>)>) -> PathBuf {
    for (day, events) in days {
        archive.object("111122223333", day, "a", &events);
    }
    let lake = archive.lake("lake");
    convert(&archive.root(), &lake, &[]);
    lake
}

/// Answers and reasons of reports on the 20th, with the files of the view and without them.
fn ended(lake: &Path, names: &[&str], more: &[&str]) -> Vec<(String, String)> {
    let fixed = ["report", "--lake", path(lake), "--format", "json"];
    let window = ["--since", "2025-03-20", "--until", "2025-03-20"];
    let asked = [&fixed[..], &window[..], more, names].concat();
    let ended = || {
        let answer = run(&asked).json();
        let reports = answer["reports"].as_array().expect("reports").iter();
        let ended: Vec<(String, String)> = reports
            .map(|report| {
                let answer = report["answer"].as_str().expect("an answer").to_owned();
                (answer, report["reasons"].to_string())
            })
            .collect();
        ended
    };
    let without_files = ended();
    assert_eq!(without_files.len(), names.len());
    rebuild(lake, &[]);
    assert_eq!(ended(), without_files);
    without_files
}

fn assert_short(ended: &[(String, String)], words: &str) {
    for (answer, reasons) in ended {
        assert_eq!(answer, "incomplete", "{reasons}");
        assert!(reasons.contains(words), "{words}: {reasons}");
    }
}

/// Nothing is said of what came before; hours without objects are another matter.
fn assert_long_enough(ended: &[(String, String)]) {
    for (_, reasons) in ended {
        assert!(!reasons.contains("baseline"), "{reasons}");
    }
}

#[test]
fn a_table_with_few_days_is_said_in_a_long_lake() {
    let archive = Archive::new();
    let lake = lake_of(
        &archive,
        (1..=20).map(|day| {
            let payroll = match day {
                20 => vec![write(20, "payroll", "mallory")],
                17..20 => vec![write(day, "payroll", "alice")],
                _ => Vec::new(),
            };
            (day, [vec![write(day, "Orders", "alice")], payroll].concat())
        }),
    );
    let all = ended(&lake, &NEWCOMERS, &[]);
    for (name, ended) in NEWCOMERS.iter().zip(&all) {
        let words = match *name {
            "new-region-per-table" => {
                "1 table name has fewer than 7 recorded days before 2025-03-20: 111122223333 payroll"
            }
            _ => {
                "1 table has fewer than 7 recorded days before 2025-03-20: 111122223333 us-east-1 payroll"
            }
        };
        assert_short(std::slice::from_ref(ended), words);
    }
    assert_eq!(ended(&lake, &NEWCOMERS, &["--table", "payroll"]), all);
    let named = NEWCOMERS.map(|_| ("clean".to_owned(), "[]".to_owned()));
    assert_eq!(ended(&lake, &NEWCOMERS, &["--table", "Orders"]), named);
    // Fewer days are asked for.
    let fewer = ["--param", "history_days=3"];
    let found = ended(&lake, &NEWCOMERS[..1], &fewer);
    assert_eq!(found, [("finding".to_owned(), "[]".to_owned())]);
}

#[test]
fn days_without_a_record_are_no_history() {
    let archive = Archive::new();
    let days = [1, 19, 20].into_iter();
    let lake = lake_of(
        &archive,
        days.map(|day| (day, vec![write(day, "Orders", &format!("user{day}"))])),
    );
    assert_short(
        &ended(&lake, &NEWCOMERS[..1], &[]),
        "1 table has fewer than 7 recorded days before 2025-03-20",
    );
}

/// Days of the control plane say nothing of who reads and writes items.
#[test]
fn data_events_that_were_just_switched_on_have_no_history() {
    for (last, is_short) in [
        (write(20, "Orders", "mallory"), true),
        (
            of_name(write(20, "Orders", "mallory"), "UpdateTable", false),
            false,
        ),
    ] {
        let archive = Archive::new();
        let lake = lake_of(
            &archive,
            (1..=20).map(|day| {
                let described = of_name(write(day, "Orders", "alice"), "UpdateTable", false);
                let events = match day {
                    20 => vec![last.clone()],
                    18 | 19 => vec![described, write(day, "Orders", "alice")],
                    _ => vec![described],
                };
                (day, events)
            }),
        );
        let ended = ended(&lake, &NEWCOMERS[..1], &[]);
        match is_short {
            true => assert_short(&ended, "1 table has fewer than 7 recorded days"),
            false => assert_eq!(ended[0].0, "finding", "{}", ended[0].1),
        }
    }
}

/// Reports on readers need days with reads, those on who deletes days with writes.
#[test]
fn an_account_needs_days_of_what_a_report_reads() {
    let archive = Archive::new();
    let lake = lake_of(
        &archive,
        (1..=20).map(|day| {
            let mut events = vec![write(day, "Orders", "alice")];
            if day >= 18 {
                events.push(of_name(write(day, "Orders", "alice"), "GetItem", true));
            }
            (day, events)
        }),
    );
    assert_short(
        &ended(&lake, &["read-breadth", "scan-by-new-principal"], &[]),
        "1 account has fewer than 7 recorded days before 2025-03-20: 111122223333",
    );
    assert_long_enough(&ended(
        &lake,
        &["deletes-per-principal", "not-via-vpce"],
        &[],
    ));
}

#[test]
fn many_short_tables_are_counted() {
    let archive = Archive::new();
    let lake = lake_of(
        &archive,
        (1..=20).map(|day| {
            let mut events = vec![write(day, "Orders", "alice")];
            if day == 20 {
                events.extend((1..=5).map(|n| write(day, &format!("table{n}"), "alice")));
            }
            (day, events)
        }),
    );
    assert_short(
        &ended(&lake, &NEWCOMERS[..1], &[]),
        "5 tables have fewer than 7 recorded days before 2025-03-20: 111122223333 us-east-1 table1, \
         111122223333 us-east-1 table2, 111122223333 us-east-1 table3 and 2 more",
    );
}
