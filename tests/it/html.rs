//! The HTML page of a run: what it says, and that nothing that an attacker chose steers it.
//!
//! A real browser opens it too, where Python has selenium and Chromium is installed.

mod evidence;
mod example;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use dynatrail::render::html::write_html;
use dynatrail::report::header::{ChartKind, Level};
use dynatrail::report::result::{Answer, ReportResult, ReportRun};

fn page(run: &ReportRun) -> String {
    let mut bytes = Vec::new();
    write_html(run, &mut bytes).expect("a page");
    String::from_utf8(bytes).expect("the page is UTF-8")
}

fn run_of(results: Vec<ReportResult>) -> ReportRun {
    ReportRun {
        evidence: evidence::whole(),
        results,
        places: BTreeMap::new(),
    }
}

/// The text between the first `start` and the next `end`.
fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = page
        .split_once(start)
        .unwrap_or_else(|| panic!("{start} in {page}"));
    rest.split_once(end)
        .unwrap_or_else(|| panic!("{end} after {start}"))
        .0
}

/// The page without its own script and style, and without the rows for the script.
fn markup(page: &str) -> String {
    let mut left = page.to_owned();
    for (start, end) in [("<script", "</script>"), ("<style", "</style>")] {
        while let Some((before, rest)) = left.split_once(start) {
            let (_, after) = rest.split_once(end).expect("it ends");
            left = format!("{before}{after}");
        }
    }
    left
}

#[test]
fn same_run_makes_same_page() {
    assert!(page(&example::run()) == page(&example::run()));
}

#[test]
fn hostile_strings_are_text() {
    let page = page(&example::run());
    let markup = markup(&page);
    for element in [
        "<img", "<iframe", "<i>", "<b>x", "<base", "<object", "<link",
    ] {
        assert!(!markup.contains(element), "{element}");
    }
    for text in [
        "onerror=\"",
        "style=",
        " onmouseover='",
        "href=\"javascript:",
        "href=\"http:",
    ] {
        assert!(!markup.contains(text), "{text}");
    }
    assert!(markup.contains("&lt;script&gt;window.hostile = 1; alert(1)&lt;/script&gt;"));
    assert!(markup.contains("invoice\\u{202e}gpj.exe\\u{200b}\\u{2066}\\u{1b}[2J\\u{0}"));
    assert!(markup.contains("{{ 7 * 7 }}{% include &#39;x&#39; %}&lt;!-- parts --&gt;"));
    assert!(markup.contains("line\\u{a}one\\u{9}and\\u{d}\\u{2028}two\\u{2029}"));
    let steering = page
        .chars()
        .find(|c| *c != '\n' && dynatrail::render::sanitize::is_steering(*c));
    assert_eq!(steering, None);
    assert!(page.ends_with("</html>"));
    assert_eq!(page.matches("</html>").count(), 1);
}

#[test]
fn rows_for_the_script_are_whole_and_end_nothing() {
    let page = page(&example::run());
    let json = between(&page, "id=\"report-tables-deleted-rows\">", "</script>");
    assert!(!json.contains('<'), "{json}");
    let data: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let rows = data["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), example::HOSTILE.len());
    let kinds = serde_json::json!([
        "suppression",
        "timestamp",
        "text",
        "number",
        "text",
        "text",
        "text",
        "source"
    ]);
    assert_eq!(data["kinds"], kinds);
    assert_eq!(rows[0][0][2], example::HOSTILE[0]);
    assert_eq!(rows[0][0][1], "2025-03-24T00:00:00Z");
    assert_eq!(rows[1][0][1], "2025-03-24T07:00:00.25Z");
    assert_eq!(rows[2][0][3], serde_json::Value::Null);
    assert_eq!(rows[4][0][3], i64::MAX.to_string());
    assert_eq!(
        rows[6][0][2],
        "invoice\\u{202e}gpj.exe\\u{200b}\\u{2066}\\u{1b}[2J\\u{0}"
    );
    assert_eq!(rows[1][1], 1);
    assert_eq!(
        rows[1][0][0],
        "until 2025-12-31: The migration of March, <b>CHG-1234</b>"
    );
}

#[test]
fn only_two_forms_of_addresses_come_from_logs() {
    let page = page(&example::run());
    let mut addresses: Vec<&str> = page.split("href=\"").skip(1).collect();
    addresses.retain(|address| !address.starts_with('#'));
    assert!(!addresses.is_empty());
    for address in addresses {
        let address = address.split('"').next().expect("it ends");
        let is_known = [
            "https://console.aws.amazon.com/s3/object/trail-logs?prefix=AWSLogs%2F",
            "file:///archive/2025/part%20%231%3F.json.gz",
            "https://docs.aws.amazon.com/amazondynamodb/",
            "https://attack.mitre.org/techniques/T1485/",
            "https://attack.mitre.org/techniques/T1078/004/",
        ]
        .iter()
        .any(|known| address.starts_with(known));
        assert!(is_known, "{address}");
    }
    assert!(page.contains("_a b&amp;c.json.gz · record 7</a>"));
    assert!(page.contains("_a%20b%26c.json.gz\""));
    assert!(
        page.contains(
            "title=\"javascript:window.hostile=1\">javascript:window.hostile=1 · record 3<"
        )
    );
    assert!(page.contains("<span>javascript:window.hostile=1</span>"));
}

#[test]
fn policy_allows_only_the_page_s_own_script_and_style() {
    let page = page(&example::run());
    let policy =
        between(&page, "Content-Security-Policy\" content=\"", "\">").replace("&#39;", "'");
    for directive in [
        "default-src 'none';",
        "base-uri 'none';",
        "form-action 'none';",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
    assert!(page.contains("<meta name=\"referrer\" content=\"no-referrer\">"));
    // One script is run; the others are data.
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page.matches("<style>").count(), 1);
}

#[test]
fn summary_begins_with_what_needs_attention() {
    let page = page(&example::run());
    let list = between(&page, "<ol class=\"attention\">", "</ol>");
    let order: Vec<&str> = list
        .split("<a href=\"#report-")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("it ends"))
        .collect();
    assert_eq!(
        order,
        [
            "backups-deleted",
            "tables-deleted",
            "scans-by-hour",
            "denied",
            "items-deleted-in-bulk",
            "streams-read",
            "exports-to-foreign-buckets",
            "throttled",
            "friday",
            "principals-by-table",
            "hours",
        ]
    );
    assert!(page.contains("4 reports found something: 1 critical, 1 high, 1 medium, 1 low."));
    assert!(page.contains("2 reports could not tell"));
    let topics: Vec<&str> = page
        .split("<section class=\"topic\" id=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("it ends"))
        .collect();
    assert_eq!(
        topics,
        [
            "topic-destruction",
            "topic-exfiltration",
            "topic-access",
            "topic-operations",
            "topic-our--own---checks-"
        ]
    );
}

#[test]
fn what_is_not_in_the_page_is_said() {
    let page = page(&example::run());
    let scans = between(
        &page,
        "<section class=\"report panel answer-finding\" id=\"report-scans-by-hour\"",
        "</section>",
    );
    assert!(
        scans.contains("10,000 of them are not in this page"),
        "{scans}"
    );
    assert!(scans.contains("These are the first 50 of "), "{scans}");
    assert!(scans.contains("Drawn from the first "), "{scans}");
    let rows = between(scans, "<tbody>", "</tbody>").matches("<tr").count();
    assert_eq!(rows, 50);
}

#[test]
fn a_huge_cell_is_cut_with_a_word() {
    let cell = "<x>".repeat(30_000);
    let columns = vec![("statement", example::texts(vec![Some(cell)]))];
    let outcome = (Level::Low, Answer::Finding);
    let page = page(&run_of(vec![example::result(
        "access/huge",
        "Huge",
        outcome,
        columns,
    )]));
    assert!(page.len() < 300_000, "{}", page.len());
    assert_eq!(
        page.matches("… [80000 more characters are not in this page]")
            .count(),
        2
    );
}

#[test]
fn charts_stand_whatever_the_rows_are() {
    let columns = || {
        vec![
            (
                "time",
                example::times(vec![Some(i64::MAX), Some(i64::MIN), None, Some(0)]),
            ),
            (
                "label",
                example::texts(vec![None, Some(""), Some("</svg><script>"), Some("a")]),
            ),
            (
                "value",
                example::counts(vec![Some(i64::MAX), Some(-1), Some(0), None]),
            ),
            (
                "hour",
                example::counts(vec![Some(23), Some(24), Some(-1), Some(0)]),
            ),
        ]
    };
    for (kind, x, y) in [
        (ChartKind::TimeSeries, "time", "label"),
        (ChartKind::TimeSeries, "label", "label"),
        (ChartKind::Bar, "label", "label"),
        (ChartKind::HeatMap, "hour", "hour"),
        (ChartKind::Matrix, "label", "time"),
        (ChartKind::Bar, "absent", "label"),
    ] {
        for value in [None, Some("value"), Some("label")] {
            let outcome = (Level::Low, Answer::Finding);
            let result = example::result("access/odd", "Odd", outcome, columns());
            let result = example::with_chart(result, kind, [Some(x), Some(y), value]);
            let page = markup(&page(&run_of(vec![result])));
            let is_drawn = page.contains("role=\"img\"");
            assert!(
                is_drawn || page.contains("No chart: "),
                "{kind:?} {x} {value:?}"
            );
            assert!(
                !page.contains("</svg><script>") && !page.contains("NaN"),
                "{kind:?}"
            );
        }
    }
}

#[test]
fn an_error_keeps_its_source() {
    /// A disk that is full after some bytes.
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            match taken {
                0 => Err(std::io::ErrorKind::StorageFull.into()),
                _ => Ok(taken),
            }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for room in [0, 100, 200_000] {
        let error = write_html(&example::run(), &mut Full(room)).expect_err("no room");
        let source = std::error::Error::source(&error).expect("a source");
        let source: &std::io::Error = source.downcast_ref().expect("an io error");
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    }
}

#[test]
fn an_empty_run_is_a_page() {
    let page = page(&run_of(Vec::new()));
    assert!(page.contains("No report found anything."));
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Python with selenium and Chromium; none, with a printed word, where they are not installed.
fn browser_python() -> Option<String> {
    let asked = std::env::var("DYNATRAIL_PYTHON").ok();
    let is_required = asked.is_some() && std::env::var("CI").is_ok_and(|ci| ci == "true");
    let python = asked.unwrap_or_else(|| "python3".to_owned());
    let mut missing = Vec::new();
    let found = Command::new(&python)
        .args(["-c", "import selenium"])
        .output();
    if !found.is_ok_and(|output| output.status.success()) {
        missing.push("selenium".to_owned());
    }
    for program in ["/usr/bin/chromium", "/usr/bin/chromedriver"] {
        if !Path::new(program).exists() {
            missing.push(program.to_owned());
        }
    }
    if missing.is_empty() {
        return Some(python);
    }
    assert!(!is_required, "{python} has no {}", missing.join(", "));
    println!("skipped: {python} has no {}", missing.join(", "));
    None
}

#[test]
fn a_browser_finds_its_way_and_nothing_steers_it() {
    let Some(python) = browser_python() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Kept where it is asked for, to be looked at.
    let kept = std::env::var_os("DYNATRAIL_PAGES").map(PathBuf::from);
    let folder = kept.as_deref().unwrap_or(folder.path());
    let (example, large) = (folder.join("example.html"), folder.join("large.html"));
    std::fs::write(&example, page(&example::run())).expect("a page");
    std::fs::write(&large, page(&example::large(50_000))).expect("a page");
    let output = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(repository().join("tests/engines/browser_check.py"))
        .args([&example, &large])
        .output()
        .expect("Python runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "browser_check.py: {stderr}");
}
