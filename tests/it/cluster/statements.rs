//! Questions: the same rows as one machine finds.

use super::*;

fn query(site: &Site, sql: &str, more: &[&str]) -> Ended {
    let fixed = [
        "query",
        sql,
        "--lake",
        "s3://lakes/alone",
        "--format",
        "json",
    ];
    run_on(&site.server, &[&fixed, more].concat())
}

/// What plans for a cluster must mind: nested functions, the partition column, sources of nothing,
/// joins, windows, subqueries; and what is about this process alone.
#[test]
fn statements_have_the_same_rows() {
    let site = Site::start(2);
    let address = site.cluster.address();
    for sql in [
        "SELECT count(*) AS n FROM events",
        "SELECT dt, count(*) AS n FROM events GROUP BY dt ORDER BY dt",
        "SELECT event_name, cardinality(array_agg(DISTINCT dt)) AS days FROM events \
         GROUP BY 1 ORDER BY 1",
        "SELECT count(DISTINCT principal) AS p, count(DISTINCT event_id) AS e FROM events",
        "SELECT n, count(*) AS c FROM (VALUES (1), (2), (3)) AS v(n) \
         JOIN events ON n = events.read_only::int GROUP BY n ORDER BY n",
        "SELECT 1 AS a UNION ALL SELECT count(*) FROM operations UNION ALL SELECT 2 ORDER BY 1",
        "SELECT table_name, dt, sum(count(*)) OVER (PARTITION BY table_name ORDER BY dt) AS s \
         FROM operations GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT e.event_name, o.table_name, count(*) AS n FROM events e JOIN operations o \
         USING (event_id) GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT count(*) AS n FROM events WHERE principal NOT IN \
         (SELECT principal FROM events WHERE error_code IS NOT NULL)",
        "SELECT count(*) AS n FROM (SELECT DISTINCT table_name AS t FROM operations) a \
         WHERE length(a.t) NOT IN (SELECT nullif(length(event_name), 3) FROM events \
         WHERE event_name <> a.t)",
        "SELECT a.t, count(*) AS c, count(b.n) AS bn FROM (SELECT DISTINCT table_name AS t \
         FROM operations) a FULL JOIN (SELECT event_name AS n FROM events WHERE dt < '2025-03-06') b \
         ON length(a.t) < length(b.n) - 12 GROUP BY 1 ORDER BY 1",
        "SELECT a.t, count(*) AS c, count(b.n) AS bn FROM (SELECT event_name AS n FROM events \
         WHERE dt < '2025-03-06') b LEFT JOIN (SELECT DISTINCT table_name AS t FROM operations) a \
         ON length(a.t) < length(b.n) - 12 GROUP BY 1 ORDER BY 1",
        "SELECT count(*) AS n FROM (SELECT DISTINCT table_name AS t FROM operations) a WHERE NOT EXISTS \
         (SELECT 1 FROM events WHERE length(event_name) > length(a.t) + 9)",
        "SELECT useridentity.arn AS arn, count(*) AS n FROM cloudtrail GROUP BY 1 ORDER BY 1",
        "SELECT json_extract_scalar(request_parameters, '$.tableName') AS t, count(*) AS n \
         FROM events GROUP BY 1 ORDER BY 1",
        "SELECT * FROM sightings ORDER BY ALL LIMIT 20",
        "SELECT max(event_time) AS last FROM events WHERE dt = '1970-01-01'",
        "SELECT table_name FROM information_schema.tables ORDER BY 1",
        "SELECT 1 AS one",
    ] {
        let alone = query(&site, sql, &[]);
        let cluster = query(
            &site,
            sql,
            &["--cluster", &address, "--cluster-partitions", "3"],
        );
        assert_eq!(alone.code, cluster.code, "{sql}\n{}", cluster.stderr);
        assert_eq!(alone.stdout, cluster.stdout, "{sql}\n{}", cluster.stderr);
    }
}

/// The whole pack has the same rows, also where an executor is killed in the middle.
#[test]
fn the_whole_pack_has_the_same_rows() {
    let mut site = Site::start(2);
    let out = TempDir::new().expect("a folder");
    let report = |folder: &str, more: &[&str]| {
        let mut command = dynatrail();
        command
            .envs(site.server.environment())
            .args(["report", "--all", "--lake", "s3://lakes/alone"])
            .args(["--format", "json", "--out", path(&out.path().join(folder))])
            .args(more);
        command
    };
    let alone = ended(&mut report("alone", &[]));
    let address = site.cluster.address();
    let more = ["--cluster", &address, "--cluster-partitions", "3"];
    let running = begun(&mut report("cluster", &more));
    std::thread::sleep(Duration::from_secs(15));
    site.cluster.kill_executor(0);
    let cluster = finished(running);
    assert_eq!(alone.code, cluster.code, "{}", cluster.stderr);
    let (one, other) = (
        files(&out.path().join("alone")),
        files(&out.path().join("cluster")),
    );
    assert!(one.len() > 80, "the whole pack");
    assert_eq!(one.len(), other.len());
    for ((name, bytes), (_, others)) in one.iter().zip(&other) {
        assert_eq!(
            String::from_utf8_lossy(bytes),
            String::from_utf8_lossy(others),
            "{}",
            name.display()
        );
    }
}

/// A secret is not sent to others.
#[test]
fn nothing_is_redacted_by_others() {
    let site = Site::start(0);
    let address = site.cluster.address();
    let more = ["--redact", "keys", "--cluster", &address];
    let refused = query(&site, "SELECT 1", &more);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("cannot redact"),
        "{}",
        refused.stderr
    );
}

/// A night by a cluster: the same lake, the same findings.
#[test]
fn a_night_is_the_same() {
    let site = Site::start(2);
    let out = TempDir::new().expect("a folder");
    let address = site.cluster.address();
    let night = |name: &str, more: &[&str]| {
        let lake = format!("s3://lakes/night-{name}");
        let folder = out.path().join(name);
        let ended = ended(
            dynatrail()
                .envs(site.server.environment())
                .args(["nightly", "s3://trail-logs", "--lake", &lake])
                .args(["--out", path(&folder), "--topic", "evidence"])
                .args(["--since", "2025-01-01"])
                .args(more),
        );
        let summary = fs::read_to_string(folder.join("summary.json")).expect("a summary");
        let summary: Value = serde_json::from_str(&summary).expect("JSON");
        (ended.code, summary)
    };
    let (alone, own) = night("alone", &[]);
    let (code, summary) = night("cluster", &["--cluster", &address]);
    assert_eq!(alone, code);
    assert_eq!(own["reports"]["answers"], summary["reports"]["answers"]);
    assert!(units(&summary["convert"]).iter().sum::<u64>() > 0);
    for folder in [
        "events",
        "operations",
        "receipts",
        "_dynatrail/receipts",
        "_dynatrail/sightings",
    ] {
        let files = |name: &str| files(&site.lake(&format!("night-{name}")).join(folder));
        assert!(files("alone") == files("cluster"), "{folder}");
    }
}
