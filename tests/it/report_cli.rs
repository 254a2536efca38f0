//! `dynatrail report`: what a run answers, what it is told, and how it is written.

mod rows;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::report::records;

/// A folder with an archive, its lake and whatever a test puts beside them.
struct Site(TempDir);

impl Site {
    /// A lake of everything in the records.
    fn of(records: Value) -> Self {
        let site = Self(tempfile::tempdir().expect("a folder"));
        records::write_archive(&records::expand(&records), &site.path("archive"));
        site.convert();
        site
    }

    fn convert(&self) {
        let output = self.run(&["convert", "archive", "--lake", "lake", "--all", "--quiet"]);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().expect("a folder")).expect("a folder");
        std::fs::write(self.path(name), text).expect("a file is written");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dynatrail"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs")
    }

    fn report(&self, arguments: &[&str]) -> Output {
        self.run(&[&["report", "--lake", "lake"], arguments].concat())
    }

    /// The run as JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.report(&[arguments, &["--format", "json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Answer and reasons of the one report asked for.
    fn answer(&self, arguments: &[&str]) -> (String, Vec<String>) {
        let run = self.json(arguments);
        let report = &run["reports"][0];
        let reasons = report["reasons"].as_array().expect("reasons").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&report["answer"]), reasons.map(text).collect())
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn delete_table(at: &str, table: &str) -> Value {
    json!({"at": at, "who": "alice", "call": "dynamodb:DeleteTable", "request": {"tableName": table}})
}

fn describe_table(at: &str) -> Value {
    json!({"at": at, "who": "app", "call": "dynamodb:DescribeTable", "request": {"tableName": "orders"}})
}

fn get_item(at: &str, table: &str) -> Value {
    json!({"at": at, "who": "app", "call": "dynamodb:GetItem", "request": {"tableName": table, "key": {"pk": "1"}}})
}

#[test]
fn an_answer_is_one_of_four() {
    let site = Site::of(json!([
        delete_table("2025-03-12T10:00:00Z", "orders"),
        get_item("2025-03-13T10:00:00Z", "orders"),
    ]));
    let (answer, _) = site.answer(&["table-deleted"]);
    assert_eq!(answer, "finding");
    // On the day after only items were read: silence on the control plane says nothing.
    let (answer, reasons) = site.answer(&["table-deleted", "--since", "2025-03-13"]);
    assert_eq!(answer, "not_recorded");
    assert_eq!(reasons, ["control-plane events were not recorded"]);

    let site = Site::of(json!([describe_table("2025-03-12T10:00:00Z")]));
    let (answer, reasons) = site.answer(&["table-deleted"]);
    assert_eq!(
        (answer.as_str(), reasons.len()),
        ("clean", 0),
        "{reasons:?}"
    );
    // Of days before the lake nothing is known.
    let (answer, reasons) = site.answer(&["table-deleted", "--since", "2025-03-01"]);
    assert_eq!(answer, "incomplete");
    assert_eq!(reasons, ["the lake begins on 2025-03-12"]);
    assert_eq!(
        site.report(&["table-deleted", "--since", "2025-03-01"])
            .status
            .code(),
        Some(3)
    );
}

#[test]
fn what_could_not_be_read_makes_an_answer_incomplete() {
    let site = Site::of(json!([describe_table("2025-03-12T10:00:00Z")]));
    let folder = "archive/AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/12";
    let name = "111122223333_CloudTrail_us-east-1_20250312T1200Z_BBBBBBBBBBBBBBBB.json.gz";
    site.write(&format!("{folder}/{name}"), "\u{1f}no gzip");
    site.convert();
    let (answer, reasons) = site.answer(&["table-deleted"]);
    let is_told = reasons.iter().any(|reason| reason.contains("objects"));
    assert!(answer == "incomplete" || !is_told, "{answer} {reasons:?}");
    let cut = std::fs::read(site.path(&format!(
        "{folder}/111122223333_CloudTrail_us-east-1_20250312T2355Z_AAAAAAAAAAAAAAAA.json.gz"
    )))
    .expect("an object");
    let name = "111122223333_CloudTrail_us-east-1_20250312T1300Z_CCCCCCCCCCCCCCCC.json.gz";
    std::fs::write(
        site.path(&format!("{folder}/{name}")),
        &cut[..cut.len() / 2],
    )
    .expect("a file");
    site.convert();
    let (answer, reasons) = site.answer(&["table-deleted"]);
    assert_eq!(answer, "incomplete", "{reasons:?}");
    assert!(
        reasons.iter().any(|reason| reason.contains("damaged")),
        "{reasons:?}"
    );
}

#[test]
fn hours_without_objects_are_told_where_there_usually_are_some() {
    let hours = (0..72).filter(|hour| !(30..33).contains(hour));
    let site = Site(tempfile::tempdir().expect("a folder"));
    for hour in hours {
        let day = 12 + hour / 24;
        let at = format!("2025-03-{day}T{:02}:10:00Z", hour % 24);
        let records = records::expand(&json!([describe_table(&at)]));
        let archive = site.path(&format!("hour-{hour}"));
        records::write_archive(&records, &archive);
        let folder = format!("AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/{day}");
        let from = archive.join(&folder).join(format!(
            "111122223333_CloudTrail_us-east-1_202503{day}T2355Z_AAAAAAAAAAAAAAAA.json.gz"
        ));
        let to = site.path("archive").join(&folder);
        std::fs::create_dir_all(&to).expect("a folder");
        let name = format!(
            "111122223333_CloudTrail_us-east-1_202503{day}T{:02}15Z_AAAAAAAAAAAAAAAA.json.gz",
            hour % 24
        );
        std::fs::rename(from, to.join(name)).expect("a file is moved");
    }
    site.convert();
    let (answer, _) = site.answer(&["table-deleted"]);
    assert_eq!(answer, "incomplete");
    let run = site.json(&["table-deleted"]);
    assert_eq!(
        run["evidence"]["holes"],
        json!([{"account": "111122223333", "region": "us-east-1", "from": "2025-03-13T06:00Z", "hours": 3}])
    );
}

#[test]
fn a_table_without_data_events_is_not_clean() {
    let own = "/*\ntitle = \"Reads\"\ndescription = \"\"\nlevel = \"low\"\nattack = []\nreferences = []\n\
               false_positives = []\nneeds = [\"data.read\"]\n[columns]\nevent_id = \"\"\n*/\n\
               SELECT event_id FROM operations WHERE operation = 'Scan' AND /*:table*/ '' IN ('', table_name)";
    let site = Site::of(json!([
        get_item("2025-03-12T10:00:00Z", "orders"),
        describe_table("2025-03-12T10:00:00Z"),
    ]));
    site.write("own/mine/reads.sql", own);
    let arguments = ["reads", "--queries", "own", "--table"];
    let (answer, _) = site.answer(&[&arguments[..], &["orders"]].concat());
    assert_eq!(answer, "clean");
    let (answer, reasons) = site.answer(&[&arguments[..], &["carts"]].concat());
    assert_eq!(answer, "not_recorded");
    assert_eq!(
        reasons,
        ["data-plane reads of table carts were not recorded"]
    );
}

#[test]
fn parameters_are_values_and_never_text() {
    let site = Site::of(json!([
        delete_table("2025-03-12T10:00:00Z", "orders"),
        delete_table("2025-03-12T11:00:00Z", "it's"),
    ]));
    let rows = |arguments: &[&str]| {
        let run = site.json(&[&["table-deleted"], arguments].concat());
        run["reports"][0]["rows_found"].as_u64().expect("a number")
    };
    assert_eq!(rows(&[]), 2);
    assert_eq!(rows(&["--table", "orders"]), 1);
    assert_eq!(rows(&["--table", "it's"]), 1);
    assert_eq!(rows(&["--table", "x' OR '1'='1"]), 0);
    assert_eq!(rows(&["--param", "table=orders"]), 1);
    let output = site.report(&["table-deleted", "--param", "nothing=1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("no parameter \"nothing\": there are"),
        "{}",
        errors(&output)
    );
    let output = site.report(&["table-deletd"]);
    assert!(
        errors(&output).contains("table-deleted, "),
        "{}",
        errors(&output)
    );
    let output = site.report(&[
        "table-deleted",
        "--since",
        "2025-03-12",
        "--until",
        "2025-03-01",
    ]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn printed_sql_holds_its_values_as_literals() {
    let site = Site(tempfile::tempdir().expect("a folder"));
    for (engine, literal, function) in [
        ("athena", "/*:table*/ 'a\\''b'", "json_extract_scalar("),
        ("duckdb", "/*:table*/ 'a\\''b'", "json_extract_string("),
        ("datafusion", "/*:table*/ 'a\\''b'", "json_extract_scalar("),
        ("spark", "/*:table*/ 'a\\\\\\'b'", "get_json_object("),
    ] {
        let output = site.run(&[
            "report",
            "--sql",
            "table-deleted",
            "--engine",
            engine,
            "--table",
            "a\\'b",
        ]);
        let sql = String::from_utf8(output.stdout).expect("text");
        assert!(sql.contains(literal), "{engine}: {sql}");
        assert!(sql.contains(function), "{engine}: {sql}");
    }
}

#[test]
fn a_site_says_what_is_its_own() {
    let site = Site::of(json!([
        {"at": "2025-03-12T10:00:00Z", "who": "deploy", "call": "dynamodb:DeleteTable", "request": {"tableName": "tmp-1"}},
        delete_table("2025-03-12T11:00:00Z", "orders"),
        delete_table("2025-03-12T12:00:00Z", "carts"),
    ]));
    site.write(
        "dynatrail.toml",
        "[site]\npipeline_roles = [\"*:role/deploy\"]\n\
         [[suppress]]\nreport = \"table-deleted\"\nwhere = { table_name = \"car*\" }\n\
         reason = \"carts moved\"\nuntil = 2999-12-31\n\
         [[suppress]]\nreport = \"table-deleted\"\nwhere = { table_name = \"orders\" }\n\
         reason = \"long ago\"\nuntil = \"2020-01-01\"\n",
    );
    let run = site.json(&["table-deleted"]);
    let report = &run["reports"][0];
    assert_eq!(report["rows_found"], json!(2), "the pipeline's is left out");
    assert_eq!(report["rows_suppressed"], json!(1));
    assert_eq!(
        report["suppressions"],
        json!([{"reason": "carts moved", "until": "2999-12-31", "rows": 1}])
    );
    assert_eq!(report["rows"][1]["suppressed"], json!("carts moved"));
    assert_eq!(report["rows"][0]["suppressed"], Value::Null);
    assert!(
        report["reasons"]
            .to_string()
            .contains("a suppression ended on 2020-01-01: long ago"),
        "{report}"
    );
    // All rows suppressed: shown, but no finding.
    let (answer, _) = site.answer(&["table-deleted", "--table", "carts"]);
    assert_eq!(answer, "clean");
    let text = site.report(&["table-deleted", "--table", "carts"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("1 rows are suppressed until 2999-12-31: carts moved"),
        "{text}"
    );
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    let site = Site::of(json!([describe_table("2025-03-12T10:00:00Z")]));
    for (text, words) in [
        ("[site]\nown_acounts = []\n", "site.own_acounts is unknown"),
        ("[site]\nown_accounts = [1]\n", "site.own_accounts"),
        ("[sites]\n", "unknown field `sites`"),
        ("[reports.nothing]\nx = 1\n", "no report \"nothing\""),
        ("[reports.table-deleted]\nx = 1\n", "has no such parameter"),
        (
            "[[suppress]]\nreport = \"table-deleted\"\nwhere = {}\nreason = \"x\"\nuntil = \"2999-01-01\"\n",
            "every row",
        ),
        (
            "[[suppress]]\nreport = \"table-deleted\"\nwhere = { x = \"1\" }\nreason = \"x\"\nuntil = \"2999-01-01\"\n",
            "no column \"x\"",
        ),
        (
            "[[suppress]]\nreport = \"table-deleted\"\nwhere = { event_id = \"1\" }\nreason = \" \"\nuntil = \"2999-01-01\"\n",
            "needs a reason",
        ),
        (
            "[[suppress]]\nreport = \"table-deleted\"\nwhere = { event_id = \"1\" }\nreason = \"x\"\n",
            "missing field `until`",
        ),
    ] {
        site.write("dynatrail.toml", text);
        let output = site.report(&["table-deleted"]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            errors(&output).contains(words),
            "{text}: {}",
            errors(&output)
        );
    }
}

#[test]
fn a_mistake_in_a_report_is_named_with_its_place() {
    let site = Site(tempfile::tempdir().expect("a folder"));
    let header = |more: &str| {
        format!(
            "/*\ntitle = \"x\"\ndescription = \"\"\nlevel = \"low\"\nattack = []\nreferences = []\n\
             false_positives = []\nneeds = [\"any\"]\n{more}\n[columns]\na = \"\"\n*/\n"
        )
    };
    for (text, words) in [
        ("SELECT 1".to_owned(), "begins with no /*"),
        (
            header("colour = \"red\"") + "SELECT 1 AS a",
            "unknown field `colour`",
        ),
        (
            header("") + "SELECT\n  /*:nobody*/ 1 AS a",
            "bad.sql:14: parameter \"nobody\" is not declared",
        ),
        (
            header("") + "SELECT /*:since*/ '2020-01-01' AS a",
            "the literal of \"since\"",
        ),
        (
            header("[parameters.n]\ntype = \"integer\"\ndefault = 1\nabout = \"\"")
                + "SELECT 1 AS a",
            "parameter \"n\" is not read",
        ),
        (
            header("[parameters.n]\ntype = \"integer\"\ndefault = \"x\"\nabout = \"\"")
                + "SELECT /*:n*/ 1 AS a",
            "parameter \"n\"",
        ),
        (
            header("identity = [\"b\"]") + "SELECT 1 AS a",
            "identity: no column \"b\"",
        ),
        (
            header("identity = [\"a\", \"a\"]") + "SELECT 1 AS a",
            "identity: column \"a\" is named twice",
        ),
        (
            header("optional = [\"everything\"]") + "SELECT 1 AS a",
            "unknown need",
        ),
    ] {
        site.write("own/bad.sql", &text);
        let output = site.run(&["report", "--list", "--queries", "own"]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            errors(&output).contains(words),
            "{text}: {}",
            errors(&output)
        );
    }
}

#[test]
fn findings_decide_the_exit_code() {
    let site = Site::of(json!([delete_table("2025-03-12T10:00:00Z", "orders")]));
    for (level, code) in [("informational", 4), ("high", 4), ("critical", 0)] {
        let output = site.report(&["table-deleted", "--fail-on", level]);
        assert_eq!(output.status.code(), Some(code), "{level}");
    }
}

#[test]
fn a_folder_holds_a_file_a_report() {
    let site = Site::of(json!([delete_table("2025-03-12T10:00:00Z", "=orders")]));
    for format in ["csv", "markdown", "json", "parquet", "table", "ndjson"] {
        let output = site.report(&[
            "--topic",
            "destruction",
            "--format",
            format,
            "--out",
            format,
        ]);
        assert!(
            output.status.code().is_some_and(|code| code != 1),
            "{}",
            errors(&output)
        );
        assert!(output.stdout.is_empty());
        let summary = std::fs::read_to_string(site.path(format).join("summary.json"));
        let summary: Value = serde_json::from_str(&summary.expect("a summary")).expect("JSON");
        assert!(summary["evidence"]["objects"]["listed"].as_u64() > Some(0));
    }
    let csv = std::fs::read_to_string(site.path("csv/destruction/table-deleted.csv"));
    assert!(csv.expect("a file").contains(",'=orders,"));
    let output = site.report(&[
        "--topic",
        "destruction",
        "--format",
        "html",
        "--out",
        "page",
    ]);
    assert!(output.status.code().is_some_and(|code| code != 1));
    assert!(site.path("page/index.html").is_file());
    // One table cannot hold several reports.
    let output = site.report(&["--all", "--format", "csv"]);
    assert_eq!(output.status.code(), Some(1));
    // The same lake gives the same bytes.
    let again = [
        "--topic",
        "destruction",
        "--format",
        "html",
        "--out",
        "again",
    ];
    site.report(&again);
    let read = |path: &Path| std::fs::read(path).expect("a page");
    assert_eq!(
        read(&site.path("page/index.html")),
        read(&site.path("again/index.html"))
    );
}

#[test]
fn the_list_and_the_page_are_those_of_the_headers() {
    let site = Site(tempfile::tempdir().expect("a folder"));
    let list = |arguments: &[&str]| {
        let output = site.run(&[&["report", "--list"], arguments].concat());
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(list(&[]).contains("table-deleted"));
    assert!(
        list(&[
            "--topic",
            "destruction",
            "--tag",
            "t1485",
            "--level",
            "high"
        ])
        .contains("table-deleted")
    );
    assert!(!list(&["--level", "critical"]).contains("  table-deleted  "));
    assert!(!list(&["--tag", "T148"]).contains("table-deleted"));
    let output = site.run(&["report", "--show", "table-deleted"]);
    let shown = String::from_utf8(output.stdout).expect("text");
    for words in [
        "level     high",
        "T1485",
        "Parameters",
        "since (text",
        "Columns",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    let page = site.run(&["report", "--catalogue"]).stdout;
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/README.md");
    let kept = std::fs::read(kept).expect("the page of the catalogue");
    assert!(
        page == kept,
        "queries/README.md is old: write it anew with dynatrail report --catalogue"
    );
}
