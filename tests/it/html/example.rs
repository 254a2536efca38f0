//! Runs of reports, made by hand: one that looks like a real one, and a large one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use dynatrail::report::catalogue::Report;
use dynatrail::report::header::{
    Chart, ChartKind, DeclaredParameter, Header, Level, Need, Ordered, ParameterType,
};
use dynatrail::report::result::{Answer, AppliedSuppression, Place, ReportResult, ReportRun};
use dynatrail::report::rows::RowKeeper;
use dynatrail::report::template::Template;

use super::evidence;

/// Strings that attackers choose.
pub const HOSTILE: [&str; 9] = [
    "<script>window.hostile = 1; alert(1)</script>",
    "</script><script>window.hostile = 1</script><!--",
    "\"><img src=x onerror=\"window.hostile = 1\">",
    "' onmouseover='window.hostile = 1' x='",
    "</td></tr></table><iframe srcdoc='<script>top.hostile = 1</script>'></iframe>",
    "javascript:window.hostile=1",
    "invoice\u{202e}gpj.exe\u{200b}\u{2066}\u{1b}[2J\u{0}",
    "line\none\tand\r\u{2028}two\u{2029}",
    "{{ 7 * 7 }}{% include 'x' %}<!-- parts -->&lt;b&gt;\\u{202e}",
];

/// 2025-03-24, a Monday, in milliseconds since 1970.
const MONDAY: i64 = 1_742_774_400_000;
const HOUR: i64 = 3_600_000;

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

pub fn times(times: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))
}

pub fn texts<T: AsRef<str>>(texts: Vec<Option<T>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(texts))
}

pub fn counts(counts: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from(counts))
}

/// A report with these columns as its rows.
pub fn result(
    place: &str,
    title: &str,
    (level, answer): (Level, Answer),
    columns: Vec<(&str, ArrayRef)>,
) -> ReportResult {
    let (topic, name) = place.split_once('/').expect("topic/name");
    let meanings = columns.iter().map(|(name, _)| {
        let words = name.replace('_', " ");
        ((*name).to_owned(), format!("The event's {words}"))
    });
    let header = Header {
        title: title.to_owned(),
        description: "Every call of this kind that succeeded, with what it left behind.\nIt is \
                      read from control-plane events.\n\nCalls by pipelines that are expected to \
                      make them are left out."
            .to_owned(),
        level,
        attack: vec!["T1485".to_owned(), "T1078.004".to_owned()],
        references: vec!["https://docs.aws.amazon.com/amazondynamodb/".to_owned()],
        false_positives: vec!["Temporary tables that a test makes and deletes.".to_owned()],
        needs: vec![Need::Control],
        identity: Vec::new(),
        optional: vec![Need::DataRead],
        asks: Vec::new(),
        baseline_days: None,
        recorded_days: None,
        parameters: Ordered(vec![("threshold".to_owned(), threshold())]),
        columns: Ordered(meanings.collect()),
        chart: None,
    };
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .expect("columns of one length");
    let mut keeper = RowKeeper::new(batch.schema()).expect("they are text and numbers");
    keeper.keep(&batch).expect("they are text and numbers");
    ReportResult {
        report: Arc::new(Report {
            name: name.to_owned(),
            topic: topic.to_owned(),
            header,
            sql: "SELECT * FROM events".to_owned(),
            parameters: Vec::new(),
            template: Template::parse("SELECT * FROM events", |_| false).expect("a statement"),
        }),
        answer,
        has_failed: false,
        reasons: Vec::new(),
        parameters: vec![("threshold".to_owned(), "100".to_owned())],
        sql: "SELECT\n  event_time,\n  principal\nFROM events\nWHERE dt BETWEEN '2025-03-01' AND '2025-03-31'\n  AND calls > 100\nORDER BY event_time NULLS LAST, event_id NULLS LAST".to_owned(),
        schema: batch.schema(),
        rows: keeper.finish().expect("they are text and numbers"),
        row_count: batch.num_rows() as u64,
        suppressed: vec![None; batch.num_rows()],
        suppressions: Vec::new(),
    }
}

fn threshold() -> DeclaredParameter {
    DeclaredParameter {
        kind: ParameterType::Integer,
        default: toml::Value::Integer(100),
        about: "Calls an hour above which a principal is shown".to_owned(),
    }
}

/// The header, to be changed while the run is built.
pub fn header(result: &mut ReportResult) -> &mut Header {
    let report = Arc::get_mut(&mut result.report).expect("one owner while the run is built");
    &mut report.header
}

pub fn with_chart(
    mut result: ReportResult,
    kind: ChartKind,
    columns: [Option<&str>; 3],
) -> ReportResult {
    let [x, y, value] = columns.map(|name| name.map(str::to_owned));
    let x = x.expect("every chart has an x");
    header(&mut result).chart = Some(Chart { kind, x, y, value });
    result
}

pub fn empty(
    place: &str,
    title: &str,
    outcome: (Level, Answer),
    reason: Option<&str>,
) -> ReportResult {
    let columns = vec![
        ("event_time", times(vec![])),
        ("event_id", texts::<&str>(vec![])),
    ];
    let mut result = result(place, title, outcome, columns);
    result.reasons.extend(reason.map(str::to_owned));
    result
}

/// A run with every answer, level and chart.
pub fn run() -> ReportRun {
    let mut numbers = Numbers(20_250_330);
    ReportRun {
        evidence: evidence::whole(),
        results: vec![
            backups_deleted(),
            empty(
                "destruction/items-deleted-in-bulk",
                "Items deleted in bulk",
                (Level::High, Answer::Incomplete),
                Some("2 objects of the window could not be read."),
            ),
            tables_deleted(),
            empty(
                "exfiltration/exports-to-foreign-buckets",
                "Exports to buckets of other accounts",
                (Level::High, Answer::Clean),
                None,
            ),
            scans(&mut numbers),
            empty(
                "exfiltration/streams-read",
                "Streams read by new principals",
                (Level::Medium, Answer::NotRecorded),
                Some("DynamoDB Streams events were not recorded."),
            ),
            denied(&mut numbers),
            principals(&mut numbers),
            hours(&mut numbers),
            empty(
                "operations/throttled",
                "Calls throttled",
                (Level::Low, Answer::Clean),
                None,
            ),
            empty(
                "our \"own\" <checks>/friday",
                "Deployments on a Friday",
                (Level::Low, Answer::Clean),
                None,
            ),
        ],
        places: BTreeMap::from([
            place(
                "e-0",
                "s3://trail-logs/AWSLogs/111122223333/CloudTrail/eu-west-1/2025/03/30/111122223333_CloudTrail_eu-west-1_20250330T0300Z_a b&c.json.gz",
                7,
            ),
            place("e-1", "/archive/2025/part #1?.json.gz", 0),
            place("e-2", "javascript:window.hostile=1", 3),
        ]),
    }
}

fn place(id: &str, source: &str, position: i64) -> (String, Place) {
    let source = source.to_owned();
    (id.to_owned(), Place { source, position })
}

fn backups_deleted() -> ReportResult {
    let ids = ["e-0", "e-7", "e-8"];
    let columns = vec![
        (
            "event_time",
            times(
                (0..3)
                    .map(|n| Some(MONDAY + 5 * 24 * HOUR + n * 61_000))
                    .collect(),
            ),
        ),
        (
            "table_name",
            texts(vec![Some("orders"), Some("customers"), Some("ledger")]),
        ),
        (
            "backup_bytes",
            counts(vec![Some(48_318_382_080), Some(9_663_676_416), None]),
        ),
        (
            "principal",
            texts(vec![
                Some("arn:aws:sts::111122223333:assumed-role/admin/eve");
                3
            ]),
        ),
        ("source_ip_address", texts(vec![Some("198.51.100.23"); 3])),
        ("event_id", texts(ids.map(Some).to_vec())),
    ];
    let outcome = (Level::Critical, Answer::Finding);
    result(
        "destruction/backups-deleted",
        "Backups deleted",
        outcome,
        columns,
    )
}

/// Rows with everything that attackers choose, two of them suppressed.
fn tables_deleted() -> ReportResult {
    let rows = HOSTILE.len();
    let index = |n: usize| i64::try_from(n).expect("few rows");
    let ids: Vec<String> = (0..rows).map(|n| format!("e-{n}")).collect();
    let sizes = [
        Some(9),
        Some(100),
        None,
        Some(20),
        Some(i64::MAX),
        Some(i64::MAX - 1),
        Some(-3),
        Some(0),
        Some(1),
    ];
    let mut agents: Vec<Option<String>> = HOSTILE
        .iter()
        .map(|text| Some((*text).to_owned()))
        .collect();
    agents[3] = Some(format!("Boto3/1.34 {}", "<b>x</b> ".repeat(40)));
    let columns = vec![
        (
            "event_time",
            times(
                (0..rows)
                    .map(|n| Some(MONDAY + index(n) * 7 * HOUR + 250 * index(n % 2)))
                    .collect(),
            ),
        ),
        ("table_name", texts(HOSTILE.iter().map(Some).collect())),
        ("item_count", counts(sizes.to_vec())),
        (
            "principal",
            texts(
                (0..rows)
                    .map(|n| Some(format!("arn:aws:iam::111122223333:user/user-{}", n % 3)))
                    .collect(),
            ),
        ),
        ("user_agent", texts(agents)),
        ("event_id", texts(ids.iter().map(Some).collect())),
    ];
    let outcome = (Level::High, Answer::Finding);
    let mut result = result(
        "destruction/tables-deleted",
        "Tables deleted",
        outcome,
        columns,
    );
    result.suppressed[1] = Some(0);
    result.suppressed[4] = Some(0);
    result.suppressions = vec![AppliedSuppression {
        reason: "The migration of March, <b>CHG-1234</b>".to_owned(),
        until: "2025-12-31".to_owned(),
        rows: 2,
    }];
    header(&mut result)
        .references
        .push("javascript:window.hostile=1".to_owned());
    with_chart(result, ChartKind::Bar, [Some("table_name"), None, None])
}

fn scans(numbers: &mut Numbers) -> ReportResult {
    let mut rows = Vec::new();
    for hour in 0..14 * 24_i64 {
        let night = (20..24).contains(&(hour % 24)) && hour > 9 * 24;
        for role in 0..9 {
            if numbers.below(9) > role || (night && role == 0) {
                let calls = 20 + numbers.below(60) + if night { 400 } else { 0 };
                rows.push((MONDAY + hour * HOUR, format!("role/reader-{role}"), calls));
            }
        }
    }
    let columns = vec![
        ("hour", times(rows.iter().map(|row| Some(row.0)).collect())),
        (
            "principal",
            texts(rows.iter().map(|row| Some(&row.1)).collect()),
        ),
        (
            "calls",
            counts(rows.iter().map(|row| i64::try_from(row.2).ok()).collect()),
        ),
    ];
    let outcome = (Level::Medium, Answer::Finding);
    let mut result = result(
        "exfiltration/scans-by-hour",
        "Scans by hour and principal",
        outcome,
        columns,
    );
    result.row_count += 10_000;
    result
        .reasons
        .push("Data events of 3 tables were not recorded.".to_owned());
    with_chart(
        result,
        ChartKind::TimeSeries,
        [Some("hour"), Some("principal"), Some("calls")],
    )
}

fn denied(numbers: &mut Numbers) -> ReportResult {
    let calls: Vec<Option<i64>> = (0..27)
        .map(|_| i64::try_from(numbers.below(500)).ok())
        .collect();
    let columns = vec![
        (
            "principal",
            texts(
                (0..27)
                    .map(|n| {
                        Some(format!(
                            "arn:aws:sts::444455556666:assumed-role/service-{n:02}/i-0abc"
                        ))
                    })
                    .collect(),
            ),
        ),
        ("denied_calls", counts(calls)),
    ];
    let outcome = (Level::Low, Answer::Finding);
    let result = result("access/denied", "Calls denied", outcome, columns);
    with_chart(
        result,
        ChartKind::Bar,
        [Some("principal"), None, Some("denied_calls")],
    )
}

fn principals(numbers: &mut Numbers) -> ReportResult {
    let mut rows = Vec::new();
    for principal in 0..23 {
        for table in 0..17 {
            if numbers.below(4) == 0 {
                let name =
                    format!("arn:aws:sts::111122223333:assumed-role/service-{principal}/session");
                rows.push((
                    name,
                    format!("table-{table}-of-a-shop"),
                    numbers.below(9000),
                ));
            }
        }
    }
    let columns = vec![
        (
            "principal",
            texts(rows.iter().map(|row| Some(&row.0)).collect()),
        ),
        (
            "table_name",
            texts(rows.iter().map(|row| Some(&row.1)).collect()),
        ),
        (
            "calls",
            counts(rows.iter().map(|row| i64::try_from(row.2).ok()).collect()),
        ),
    ];
    let outcome = (Level::Informational, Answer::Finding);
    let result = result(
        "access/principals-by-table",
        "Principals by table",
        outcome,
        columns,
    );
    with_chart(
        result,
        ChartKind::Matrix,
        [Some("principal"), Some("table_name"), Some("calls")],
    )
}

fn hours(numbers: &mut Numbers) -> ReportResult {
    let mut rows = Vec::new();
    for weekday in 1..=7_i64 {
        for hour in 0..24_i64 {
            let busy = if weekday < 6 && (7..18).contains(&hour) {
                900
            } else {
                40
            };
            let calls = i64::try_from(numbers.below(busy)).expect("few calls");
            if calls > 4 {
                rows.push((weekday, hour, calls));
            }
        }
    }
    let column = |pick: fn(&(i64, i64, i64)) -> i64| {
        counts(rows.iter().map(|row| Some(pick(row))).collect())
    };
    let columns = vec![
        ("weekday", column(|row| row.0)),
        ("hour", column(|row| row.1)),
        ("calls", column(|row| row.2)),
    ];
    let outcome = (Level::Informational, Answer::Finding);
    let title = "Calls by hour of the week";
    let result = result("access/hours", title, outcome, columns);
    with_chart(
        result,
        ChartKind::HeatMap,
        [Some("hour"), Some("weekday"), Some("calls")],
    )
}

/// One report of many rows and 15 columns.
pub fn large(rows: usize) -> ReportRun {
    let mut numbers = Numbers(20_250_330);
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let index = |n: usize| i64::try_from(n).expect("few rows");
    columns.push((
        "event_time".to_owned(),
        times((0..rows).map(|n| Some(MONDAY + index(n) * 1000)).collect()),
    ));
    columns.push((
        "number".to_owned(),
        counts(
            (0..rows)
                .map(|_| Some(index(numbers.below(1_000_000))))
                .collect(),
        ),
    ));
    for column in 2..15 {
        let values =
            (0..rows).map(|n| Some(format!("value-{}-of-{column}-{n}", numbers.below(1000))));
        columns.push((format!("column_{column}"), texts(values.collect())));
    }
    let columns = columns
        .iter()
        .map(|(name, array)| (name.as_str(), Arc::clone(array)))
        .collect();
    let outcome = (Level::High, Answer::Finding);
    let result = result("exfiltration/large", "A large report", outcome, columns);
    ReportRun {
        evidence: evidence::whole(),
        results: vec![with_chart(
            result,
            ChartKind::TimeSeries,
            [Some("event_time"), None, None],
        )],
        places: BTreeMap::new(),
    }
}
