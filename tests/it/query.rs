//! `dynatrail query`: SQL over a lake reads only what it must, and can do nothing but read.

mod shared;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::report::records;

fn dynatrail(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dynatrail"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

/// A lake of five days of one table, with an item key to hide.
fn lake() -> &'static Path {
    static LAKE: OnceLock<TempDir> = OnceLock::new();
    let folder = LAKE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let days = ["2025-03-10", "2025-03-11", "2025-03-12", "2025-03-13", "2025-03-14"];
        let records: Value = days
            .iter()
            .map(|day| {
                json!({
                    "at": format!("{day}T10:00:00Z"),
                    "who": "app",
                    "call": "dynamodb:DeleteItem",
                    "request": {"tableName": "orders", "key": {"pk": format!("hidden-{day}")}},
                    "repeat": {"times": 20, "every_s": 60},
                })
            })
            .chain([
                json!({
                    "at": "2025-03-12T11:00:00Z",
                    "who": "alice",
                    "call": "dynamodb:ExecuteStatement",
                    "request": {"statement": "DELETE FROM \"orders\" WHERE pk='hidden-2025-03-12'"},
                }),
                json!({
                    "at": "2025-03-12T12:00:00Z",
                    "who": "alice",
                    "call": "dynamodb:DescribeTable",
                    "request": {"tableName": "orders"},
                    "with": {"userAgent": "\u{1b}[31m=cmd|'/c calc'!A1\u{202e}`|<script>alert(1)</script>"},
                }),
            ])
            .collect();
        records::write_archive(&records::expand(&records), &folder.path().join("archive"));
        let archive = folder.path().join("archive");
        let lake = folder.path().join("lake");
        let arguments = ["convert", path(&archive), "--lake", path(&lake), "--quiet"];
        let output = dynatrail(&arguments);
        assert!(output.status.success(), "{output:?}");
        folder
    });
    static PATH: OnceLock<std::path::PathBuf> = OnceLock::new();
    PATH.get_or_init(|| folder.path().join("lake"))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn query(sql: &str, more: &[&str]) -> Output {
    let mut arguments = vec!["query", sql, "--lake", path(lake())];
    arguments.extend(more);
    dynatrail(&arguments)
}

fn answer(sql: &str, more: &[&str]) -> String {
    let output = query(sql, more);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{sql}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_question_about_one_day_reads_one_day() {
    let plan = answer(
        "EXPLAIN ANALYZE SELECT count(*) FROM events WHERE dt = '2025-03-12' AND event_name = 'DeleteItem'",
        &[],
    );
    assert_eq!(plan.matches(".parquet").count(), 1, "{plan}");
    assert!(plan.contains("events/dt=2025-03-12/"), "{plan}");
    // Times narrow as dates do, by what the receipts say of the parts.
    for filter in [
        "event_time BETWEEN timestamp '2025-03-11 00:00:00' AND timestamp '2025-03-11 23:59:59'",
        "event_time_ms >= 1741910400000",
        "dt BETWEEN '2025-03-12' AND '2025-03-12'",
        "dt IN ('2025-03-10')",
        "'2025-03-13' < dt",
    ] {
        let plan = answer(
            &format!("EXPLAIN SELECT max(event_id) FROM events WHERE {filter}"),
            &[],
        );
        assert_eq!(plan.matches(".parquet").count(), 1, "{filter}: {plan}");
    }
}

#[test]
fn an_unknown_id_is_ruled_out_by_bloom_filters() {
    let plan = answer(
        "EXPLAIN ANALYZE SELECT event_name FROM events WHERE event_id = '00000000-0000-4000-8000-999999999999'",
        &[],
    );
    assert!(
        plan.contains("row_groups_pruned_bloom_filter=5 total → 0 matched"),
        "{plan}"
    );
}

#[test]
fn a_lake_can_only_be_read() {
    let outside = lake().join("outside.parquet");
    for sql in [
        "CREATE TABLE x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE VIEW x AS SELECT 1",
        "DROP TABLE events",
        "INSERT INTO events SELECT * FROM events",
        "DELETE FROM events",
        "UPDATE events SET event_id = ''",
        &format!("COPY events TO '{}'", outside.display()),
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/never.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT 1; SELECT 2",
    ] {
        let output = query(sql, &[]);
        assert_eq!(output.status.code(), Some(1), "{sql}: {output:?}");
        assert!(output.stdout.is_empty(), "{sql}");
    }
    // What writes is told so, even where it could not be planned.
    for sql in [
        "COPY events TO '/tmp/never'",
        "EXPLAIN COPY events TO '/tmp/never'",
        "INSERT INTO events VALUES (1)",
        "UPDATE nothing SET a = 1",
        "DELETE FROM nothing",
    ] {
        let errors = query(sql, &[]).stderr;
        let errors = String::from_utf8(errors).expect("text");
        assert!(
            errors.contains("a lake can only be read"),
            "{sql}: {errors}"
        );
    }
    assert!(!outside.exists() && !Path::new("/tmp/never.csv").exists());
}

#[test]
fn every_table_answers() {
    let tables = answer("SHOW TABLES", &["--format", "json"]);
    for table in ["events", "operations", "receipts", "cloudtrail"] {
        assert!(
            tables.contains(&format!("\"table_name\":\"{table}\"")),
            "{tables}"
        );
    }
    let rows = answer(
        "SELECT eventname, useridentity.sessioncontext.sessionissuer.username AS role, \
         resources[1]['arn'] AS arn, eventtime, \"timestamp\" FROM cloudtrail \
         WHERE eventsource = 'dynamodb.amazonaws.com' ORDER BY eventtime LIMIT 1",
        &["--format", "ndjson"],
    );
    let row: Value = serde_json::from_str(&rows).expect("JSON");
    assert_eq!(
        row,
        json!({
            "eventname": "DeleteItem",
            "role": "app",
            "arn": "arn:aws:dynamodb:us-east-1:111122223333:table/orders",
            "eventtime": "2025-03-10T10:00:00Z",
            "timestamp": "2025/03/10",
        })
    );
    let receipts = answer(
        "SELECT count(*) AS objects, CAST(sum(records_kept) AS bigint) AS kept FROM receipts",
        &["--format", "ndjson"],
    );
    assert_eq!(receipts, "{\"objects\":5,\"kept\":102}\n");
}

#[test]
fn every_format_has_the_same_rows() {
    let sql = "SELECT dt, count(*) AS n, min(event_time) AS first, CAST(NULL AS varchar) AS nothing \
               FROM events GROUP BY dt ORDER BY dt LIMIT 2";
    let csv = answer(sql, &["--format", "csv"]);
    assert_eq!(
        csv,
        "dt,n,first,nothing\r\n2025-03-10,20,2025-03-10T10:00:00.000Z,\r\n\
         2025-03-11,20,2025-03-11T10:00:00.000Z,\r\n"
    );
    let json = answer(sql, &["--format", "json"]);
    let rows: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(rows[1]["n"], json!(20));
    assert_eq!(rows[1]["nothing"], Value::Null);
    let markdown = answer(sql, &["--format", "markdown"]);
    assert_eq!(markdown.lines().count(), 4);
    assert!(
        markdown.contains("| `2025-03-10` | 20 | `2025-03-10T10:00:00.000Z` |  |"),
        "{markdown}"
    );
    let table = answer(sql, &[]);
    assert_eq!(table.lines().count(), 3, "{table}");
    let parquet = query(sql, &["--format", "parquet"]);
    assert!(parquet.stdout.starts_with(b"PAR1"));
    let cut = answer("SELECT event_id FROM events", &["--max-rows", "3"]);
    assert!(
        cut.ends_with("… and 99 more rows, which are not shown\n"),
        "{cut}"
    );
    assert_eq!(answer("SELECT 1 WHERE false", &[]), "no rows\n");
}

#[test]
fn hostile_text_is_dead_in_every_format() {
    let sql = "SELECT user_agent FROM events WHERE event_name = 'DescribeTable'";
    for format in ["table", "json", "ndjson", "csv", "markdown"] {
        let text = answer(sql, &["--format", format]);
        for steering in ['\u{1b}', '\u{202e}'] {
            assert!(!text.contains(steering), "{format}: {text:?}");
        }
    }
    let formula = "SELECT '=1+1' AS a, '@x' AS b, -1 AS c, '-1' AS \"=d\"";
    assert_eq!(
        answer(formula, &["--format", "csv"]),
        "a,b,c,'=d\r\n'=1+1,'@x,-1,'-1\r\n"
    );
    let link = "SELECT '[x](javascript:alert(1)) `|` <img src=x> https://example.com' AS a";
    assert_eq!(
        answer(link, &["--format", "markdown"]).lines().last(),
        Some("| ``[x](javascript:alert(1)) `\\|` <img src=x> https://example.com`` |")
    );
    let json = answer(sql, &["--format", "json"]);
    let rows: Value = serde_json::from_str(&json).expect("JSON");
    let agent = rows[0]["user_agent"].as_str().expect("a text");
    assert!(
        agent.starts_with('\u{1b}'),
        "JSON gives back what was logged"
    );
}

#[test]
fn redacted_keys_are_nowhere() {
    let key = lake().join("../key");
    std::fs::write(&key, "0123456789abcdef").expect("a file is written");
    let redact = [
        "--redact",
        "keys",
        "--redact-key-file",
        path(&key),
        "--format",
        "ndjson",
    ];
    for table in ["events", "operations", "cloudtrail"] {
        let text = answer(&format!("SELECT * FROM {table}"), &redact);
        assert!(!text.contains("hidden"), "{table}");
        assert!(answer(&format!("SELECT * FROM {table}"), &redact[4..]).contains("hidden"));
    }
    // The same key has the same hash in a call's key and in a statement.
    let keys = answer(
        "SELECT DISTINCT json_extract_scalar(item_key, '$.pk') AS pk FROM operations \
         WHERE dt = '2025-03-12' AND item_key IS NOT NULL",
        &redact,
    );
    assert_eq!(keys.lines().count(), 1, "{keys}");
    // What is hidden cannot be looked for.
    let found = answer(
        "SELECT 1 FROM operations WHERE item_key LIKE '%hidden%'",
        &redact,
    );
    assert_eq!(found, "");
    let short = lake().join("../short");
    std::fs::write(&short, "short").expect("a file is written");
    let output = query(
        "SELECT 1",
        &["--redact", "keys", "--redact-key-file", path(&short)],
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn errors_say_what_is_wrong() {
    for (sql, words) in [
        ("SELECT nothing FROM events", "nothing"),
        ("SELEC 1", "SELEC"),
        ("SELECT * FROM nowhere", "nowhere"),
        (
            "SELECT json_extract_scalar(extra, 'x') FROM events",
            "no path",
        ),
        ("", "statement"),
    ] {
        let output = query(sql, &[]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{sql}");
        assert!(errors.contains(words), "{sql}: {errors}");
        assert!(errors.lines().count() <= 3, "{errors}");
    }
}

#[test]
fn little_memory_spills_or_says_so() {
    let cross = "SELECT a.event_id AS x, b.event_id AS y, c.event_id AS z FROM events a \
                 CROSS JOIN events b CROSS JOIN (SELECT * FROM events LIMIT 40) c";
    let sql = format!(
        "SELECT count(*) AS n, max(place) AS last FROM \
         (SELECT row_number() OVER (ORDER BY z, y, x) AS place FROM ({cross}))"
    );
    let little = [
        "--memory-limit",
        "24",
        "--format",
        "ndjson",
        "--threads",
        "1",
    ];
    let spilled = answer(&sql, &little);
    assert_eq!(spilled, "{\"n\":416160,\"last\":416160}\n");
    let plan = answer(&format!("EXPLAIN ANALYZE {sql}"), &little);
    let count = plan
        .split("spill_count=")
        .nth(1)
        .expect("sorting counts its spills");
    assert!(!count.starts_with('0'), "{plan}");
    let output = query(
        "SELECT count(DISTINCT a.event_id || b.event_id || c.dt) FROM events a, events b, events c",
        &["--memory-limit", "1", "--threads", "1"],
    );
    assert!(
        output.status.success()
            || String::from_utf8_lossy(&output.stderr).contains("--memory-limit"),
        "{output:?}"
    );
}

#[test]
fn a_statement_comes_from_a_file_or_a_pipe() {
    let file = lake().join("../question.sql");
    std::fs::write(&file, "SELECT count(*) AS n FROM events;\n").expect("a file is written");
    let output = dynatrail(&[
        "query",
        "--file",
        path(&file),
        "--lake",
        path(lake()),
        "--format",
        "csv",
    ]);
    assert_eq!(output.stdout, b"n\r\n102\r\n");
    let mut child = Command::new(env!("CARGO_BIN_EXE_dynatrail"))
        .args(["query", "--lake", path(lake()), "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    use std::io::Write;
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"SELECT 1 AS n;").expect("a pipe");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.stdout, b"n\r\n1\r\n");
}

#[test]
fn the_prompt_answers_completes_and_remembers() {
    use std::io::Write;
    let home = tempfile::tempdir().expect("a folder");
    let command = format!(
        "{} query --lake {}",
        env!("CARGO_BIN_EXE_dynatrail"),
        path(lake())
    );
    let child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("XDG_STATE_HOME", home.path())
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: there is no script(1) to make a terminal");
        return;
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    // Over two lines, with the table's name completed; then a mistake, which ends nothing.
    for text in [
        "SELECT count(*) AS calls\n",
        "FROM operat\t;\n",
        "SELECT nothing;\n",
        "\\d\n",
        "\\q\n",
    ] {
        stdin.write_all(text.as_bytes()).expect("a pipe");
        stdin.flush().expect("a pipe");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let output = child.wait_with_output().expect("it ends");
    drop(stdin);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in ["calls", "102", "nothing", "receipts"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    let history = std::fs::read_to_string(home.path().join("dynatrail/history"));
    let history = history.expect("a history");
    assert!(history.contains("FROM operations"), "{history}");
}
