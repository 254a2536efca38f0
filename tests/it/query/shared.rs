//! Expressions that a statement reads in several places, and joins in little memory.

use std::path::Path;

use tempfile::TempDir;

use super::{answer, dynatrail, path};

/// Statements with expressions that are read in several places, and what each must answer: what
/// the same statement answers with the expressions written out.
#[test]
fn an_expression_read_twice_is_run_once_and_answers_the_same() {
    const COUNTED: &str =
        "SELECT dt, principal, count(*) AS n FROM operations GROUP BY dt, principal";
    const ROWS: &str = "SELECT dt, event_id, table_name FROM operations WHERE plane = 'data'";
    let statements = [
        (
            COUNTED,
            "SELECT a.dt, a.n, b.n AS m FROM {x} a JOIN {x} b ON a.dt = b.dt ORDER BY 1, 2, 3",
        ),
        (
            COUNTED,
            "SELECT dt FROM {x} t WHERE n = (SELECT max(n) FROM {x} u) ORDER BY dt",
        ),
        (
            COUNTED,
            "SELECT n FROM {x} t WHERE dt IN (SELECT max(dt) FROM {x} u) ORDER BY n",
        ),
        (
            COUNTED,
            "SELECT principal FROM {x} t UNION ALL SELECT dt FROM {x} u ORDER BY 1",
        ),
        (
            ROWS,
            "SELECT count(*) AS n FROM {x} a JOIN {x} b ON a.event_id = b.event_id",
        ),
        (
            ROWS,
            "SELECT a.dt, (SELECT count(*) FROM {x} b WHERE b.dt = a.dt) AS n FROM {x} a ORDER BY 1",
        ),
    ];
    for (expression, statement) in statements {
        let named = format!(
            "WITH shared AS ({expression}) {}",
            statement.replace("{x}", "shared")
        );
        let written_out = statement.replace("{x}", &format!("({expression})"));
        let rows = answer(&named, &["--format", "ndjson"]);
        assert!(!rows.is_empty(), "{named}");
        assert_eq!(
            rows,
            answer(&written_out, &["--format", "ndjson"]),
            "{named}"
        );
        let plan = answer(&format!("EXPLAIN ANALYZE {named}"), &["--format", "json"]);
        assert!(plan.contains("SharedExec: shared, rows="), "{plan}");
        // Explained only, nothing is run.
        let plan = answer(&format!("EXPLAIN {named}"), &["--format", "json"]);
        assert!(
            plan.contains("SharedExec: shared") && !plan.contains("rows="),
            "{plan}"
        );
    }
}

#[test]
fn expressions_may_read_each_other_and_themselves() {
    let nested = "WITH a AS (SELECT dt, count(*) AS n FROM operations GROUP BY dt), \
         b AS (SELECT x.dt, x.n + y.n AS n FROM a x JOIN a y ON x.dt = y.dt) \
         SELECT max(l.n) AS most, min(r.n) AS least, count(*) AS days FROM b l JOIN b r ON l.dt = r.dt";
    let rows = answer(nested, &["--format", "ndjson"]);
    assert_eq!(rows.trim(), r#"{"most":44,"least":40,"days":5}"#);
    let recursive = "WITH RECURSIVE days AS (SELECT 1 AS day UNION ALL SELECT day + 1 FROM days WHERE day < 4) \
         SELECT count(*) AS n FROM days a JOIN days b ON a.day <= b.day";
    assert_eq!(
        answer(recursive, &["--format", "ndjson"]).trim(),
        r#"{"n":10}"#
    );
}

#[test]
fn expressions_of_many_rows_are_kept_on_disk_or_found_anew() {
    let keys = "SELECT a.event_id || b.event_id || c.event_id AS k FROM events a \
                CROSS JOIN events b CROSS JOIN (SELECT * FROM events WHERE dt = '2025-03-10') c";
    let little = [
        "--memory-limit",
        "24",
        "--threads",
        "1",
        "--format",
        "ndjson",
    ];
    let readers = "SELECT count(*) AS n FROM x UNION ALL SELECT count(k) AS n FROM x";
    let expected = "{\"n\":208080}\n{\"n\":208080}\n";
    // Grouped rows are dear: they go to disk. The plan tells in how many files.
    let grouped = format!("WITH x AS (SELECT k FROM ({keys}) GROUP BY k) {readers}");
    assert_eq!(answer(&grouped, &little), expected);
    let plan = answer(&format!("EXPLAIN ANALYZE {grouped}"), &little);
    let files = plan
        .split("spill_files=")
        .nth(1)
        .expect("a shared expression");
    assert!(!files.starts_with('0'), "{plan}");
    // Rows as they are read are found again.
    let plain = format!("WITH x AS ({keys}) {readers}");
    assert_eq!(answer(&plain, &little), expected);
    let plan = answer(&format!("EXPLAIN ANALYZE {plain}"), &little);
    assert!(!plan.contains("SharedExec"), "{plan}");
    // Joined in little memory, the answer is the same.
    let joined = format!("SELECT count(*) AS n FROM ({keys}) l JOIN ({keys}) r ON l.k = r.k");
    let some = [
        "--memory-limit",
        "64",
        "--threads",
        "1",
        "--format",
        "ndjson",
    ];
    assert_eq!(answer(&joined, &some), "{\"n\":208080}\n");
}

/// Of groups that are joined it is known how many there are, so that what they are joined to need not
/// be divided.
#[test]
fn groups_that_are_joined_are_found_first() {
    let cores = ["--threads", "4", "--format", "ndjson"];
    for condition in ["n > 0", "n > 3", "n < 0"] {
        let having = condition.replace('n', "count(*)");
        let statement = format!(
            "SELECT o.dt, o.table_name, count(DISTINCT o.event_id) AS events, max(g.n) AS n \
             FROM operations o LEFT JOIN (SELECT dt, table_name, count(*) AS n FROM events \
             GROUP BY dt, table_name HAVING {having}) g \
             ON o.dt = g.dt AND o.table_name = g.table_name \
             GROUP BY o.dt, o.table_name ORDER BY 1, 2"
        );
        let plan = answer(&format!("EXPLAIN ANALYZE {statement}"), &cores);
        assert!(plan.contains("SharedExec: g, rows="), "{plan}");
        assert!(plan.contains("HashJoinExec: mode=CollectLeft"), "{plan}");
        assert!(!plan.contains("HashJoinExec: mode=Partitioned"), "{plan}");
        let by_rows = format!(
            "SELECT dt, table_name, events, CASE WHEN {condition} THEN n END AS n FROM \
             (SELECT o.dt, o.table_name, count(DISTINCT o.event_id) AS events, \
             count(DISTINCT e.event_id) AS n FROM operations o LEFT JOIN events e \
             ON o.dt = e.dt AND o.table_name = e.table_name GROUP BY o.dt, o.table_name) \
             ORDER BY 1, 2"
        );
        let rows = answer(&statement, &cores);
        assert!(!rows.is_empty(), "{statement}");
        assert_eq!(rows, answer(&by_rows, &cores), "{statement}");
    }
    // No more is read for them than is asked for.
    let one_day = "EXPLAIN ANALYZE SELECT o.event_id FROM operations o \
         JOIN (SELECT dt, table_name FROM events GROUP BY dt, table_name) g \
         ON o.dt = g.dt AND o.table_name = g.table_name WHERE g.dt = '2025-03-10'";
    let plan = answer(one_day, &cores);
    assert!(plan.contains("SharedExec: g, rows="), "{plan}");
    assert!(plan.contains("events/dt=2025-03-10"), "{plan}");
    assert!(!plan.contains("events/dt=2025-03-09"), "{plan}");
    assert!(!plan.contains("events/dt=2025-03-11"), "{plan}");
}

/// Rows that are divided queue up where one thread gets nearly all of them and sorts; the queue is
/// short, and what is more than that goes to disk and comes back.
#[test]
fn divided_rows_that_queue_up_are_kept_on_disk() {
    // Nothing above the divided rows keeps them (count(DISTINCT) would): equal keys lie in one
    // part, side by side.
    let sql = "SELECT count(*) AS n, count(*) FILTER (WHERE k = before) AS twice, \
         max(place) AS last FROM \
         (SELECT k, row_number() OVER (PARTITION BY part ORDER BY k) AS place, \
         lag(k) OVER (PARTITION BY part ORDER BY k) AS before FROM \
         (SELECT a.event_id || b.event_id || c.event_id AS k, \
         CASE WHEN a.event_id = b.event_id THEN c.event_id ELSE 'most' END AS part FROM events a \
         CROSS JOIN events b CROSS JOIN (SELECT * FROM events LIMIT 40) c))";
    let little = [
        "--memory-limit",
        "32",
        "--threads",
        "4",
        "--format",
        "ndjson",
    ];
    let expected = "{\"n\":416160,\"twice\":0,\"last\":412080}\n";
    assert_eq!(answer(sql, &little), expected);
    let plan = answer(&format!("EXPLAIN ANALYZE {sql}"), &little);
    let divided = plan.split("RepartitionExec: partitioning=Hash").skip(1);
    let spilled = divided.filter(|plan| {
        let count = plan.split("spill_count=").nth(1).expect("it counts");
        !count.starts_with('0')
    });
    assert!(spilled.count() > 0, "{plan}");
}

/// Of a join it is the filtered events that are held, not the operations, of which there are more
/// in smaller files.
#[test]
fn a_join_holds_the_side_of_fewer_rows() {
    let folder = TempDir::new().expect("a folder");
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/sample-data/archive");
    let lake = path(folder.path());
    let converted = dynatrail(&["convert", archive, "--lake", lake, "--quiet"]);
    assert!(converted.status.success(), "{converted:?}");
    let bytes = |table| bytes_of(&folder.path().join(table));
    assert!(bytes("events") > bytes("operations"));
    for tables in ["events e JOIN operations o", "operations o JOIN events e"] {
        let statement = format!(
            "EXPLAIN SELECT o.item_key FROM {tables} ON o.event_id = e.event_id \
             WHERE e.user_agent = 'x' AND o.access = 'write'"
        );
        let answer = dynatrail(&["query", &statement, "--lake", lake, "--format", "json"]);
        let plan = String::from_utf8(answer.stdout).expect("text");
        let held = plan.split("HashJoinExec").nth(1).expect("a hash join");
        let events = held.find("events/dt=").expect("it reads events");
        let operations = held.find("operations/dt=").expect("it reads operations");
        assert!(events < operations, "{plan}");
    }
}

/// Bytes of all parts of a table.
fn bytes_of(table: &Path) -> u64 {
    let entries = |folder: &Path| std::fs::read_dir(folder).expect("a folder");
    entries(table)
        .flat_map(|date| entries(&date.expect("a date").path()))
        .map(|part| part.and_then(|part| part.metadata()).expect("a part").len())
        .sum()
}
