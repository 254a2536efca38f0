//! The findings of a run: each row that nobody has suppressed, as many as are kept.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use dynatrail::lake::{LakeState, Store};
use dynatrail::query::{QueryOptions, Session};
use dynatrail::report::catalogue::Catalogue;
use dynatrail::report::config::Config;
use dynatrail::report::finding::{MAX_UNKNOWN, RunFindings};
use dynatrail::report::gather::Scope;
use dynatrail::report::run::{MAX_ROWS, Request, run};
use tempfile::TempDir;

const SITE: &str = include_str!("../../../sample-data/dynatrail.toml");

/// The lake of the sample archive, and the packaged reports with two more.
struct Sample {
    _folder: TempDir,
    store: Store,
    lake: LakeState,
    catalogue: Catalogue,
}

/// A report of one's own that lists all events.
fn every_event(identity: &str) -> String {
    format!(
        "/*\ntitle = \"Every event\"\ndescription = \"\"\nlevel = \"low\"\nattack = []\n\
         references = []\nfalse_positives = []\nneeds = [\"any\"]\n{identity}\n[columns]\n\
         event_id = \"\"\n*/\nSELECT event_id FROM events ORDER BY event_id\n"
    )
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_dynatrail"))
            .args(["convert", "archive", "--all", "--quiet", "--lake"])
            .arg(folder.path().join("lake"))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let queries = folder.path().join("queries");
        std::fs::create_dir(&queries).unwrap();
        let identity = "identity = [\"event_id\"]";
        for (name, identity) in [("told-apart", identity), ("all-alike", "")] {
            let path = queries.join(format!("{name}.sql"));
            std::fs::write(path, every_event(identity)).unwrap();
        }
        let mut catalogue = Catalogue::packaged().unwrap();
        catalogue.add_folder(&queries).unwrap();
        let store = Store::local(folder.path().join("lake"));
        Self {
            lake: LakeState::load(&store).unwrap(),
            store,
            catalogue,
            _folder: folder,
        }
    }

    fn findings(&self, names: &[&str], change: impl Fn(&mut Request)) -> RunFindings {
        self.findings_beside(names, change, &|_| false)
    }

    fn findings_beside(
        &self,
        names: &[&str],
        change: impl Fn(&mut Request),
        is_known: &dyn Fn(&str) -> bool,
    ) -> RunFindings {
        let session = Session::open(&self.store, &self.lake, &QueryOptions::default()).unwrap();
        let reports = names.iter().map(|name| self.catalogue.find(name).unwrap());
        let mut request = Request {
            reports: reports.map(|report| Arc::clone(&report)).collect(),
            scope: Scope::default(),
            parameters: Default::default(),
            config: Config::parse(SITE, &self.catalogue).unwrap(),
            today: jiff::civil::date(2025, 3, 31),
            max_rows: MAX_ROWS,
            with_places: false,
            interrupted: Default::default(),
        };
        change(&mut request);
        let run = run(&session, &self.lake, "lake", &request).unwrap();
        RunFindings::of(&run, is_known).unwrap()
    }
}

#[test]
fn findings_are_the_open_rows_of_a_run() {
    let sample = Sample::new();
    let names = [
        "table-deleted",
        "mass-table-deletion",
        "top-events",
        "autoscaling-changed",
    ];
    let found = sample.findings(&names, |_| ());
    assert_eq!(found.findings.len(), 1, "{found:?}");
    let deleted = &found.findings[0];
    assert_eq!(deleted.report, "table-deleted");
    let facts: Vec<&str> = deleted
        .facts
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        "event_time",
        "recipient_account_id",
        "aws_region",
        "table_name",
        "principal",
        "source_ip_address",
        "event_id",
    ];
    assert_eq!(facts, expected);
    // The one that found, and the clean one; not the inventory, nor what was not recorded.
    let answered: Vec<&String> = found.answered.iter().collect();
    assert_eq!(answered, ["mass-table-deletion", "table-deleted"]);

    let suppressed = sample.findings(&["table-deleted"], |request| {
        let text = format!(
            "{SITE}\n[[suppress]]\nreport = \"table-deleted\"\n\
             where = {{ table_name = \"*\" }}\nreason = \"known\"\nuntil = \"2025-12-31\"\n"
        );
        request.config = Config::parse(&text, &sample.catalogue).unwrap();
    });
    assert!(suppressed.findings.is_empty());
    assert!(suppressed.answered.contains("table-deleted"));

    let early = sample.findings(&["table-deleted"], |request| {
        request.scope.since = Some("2024-01-01".to_owned());
    });
    assert_eq!(early.findings, found.findings);
    assert!(early.answered.is_empty(), "the lake begins later");
}

#[test]
fn rows_beyond_are_counted_and_end_nothing() {
    let sample = Sample::new();
    let found = sample.findings(&["told-apart"], |_| ());
    assert_eq!(found.findings.len(), MAX_UNKNOWN);
    assert!(found.answered.is_empty());
    let beyond = found.beyond["told-apart"];
    let all = beyond + MAX_UNKNOWN as u64;
    // That rows were not kept is a finding of its own.
    for kept in [10, MAX_UNKNOWN] {
        let found = sample.findings(&["told-apart"], |request| request.max_rows = kept);
        assert_eq!(found.findings.len(), kept + 1);
        let rows = (all - kept as u64).to_string();
        let facts = &found.findings[kept].facts;
        assert_eq!(*facts, [("rows_not_looked_at".to_owned(), rows)]);
        assert_eq!(found.beyond["told-apart"], all - kept as u64);
    }
    // Rows that cannot be told apart are one finding.
    let found = sample.findings(&["all-alike"], |_| ());
    assert_eq!(found.findings.len(), 1);
    assert_eq!(
        found.findings[0].facts,
        [("rows".to_owned(), all.to_string())]
    );
    assert!(found.answered.contains("all-alike"));
}

/// However many rows are known, the new ones behind them are found; what one run has no room for is
/// the next one's.
#[test]
fn known_rows_hide_no_new_ones() {
    let sample = Sample::new();
    let mut known = std::collections::BTreeSet::new();
    let mut all = 0;
    for night in 0.. {
        let found = sample.findings_beside(&["told-apart"], |_| (), &|id| known.contains(id));
        let new = found.findings.iter().filter(|f| !known.contains(&f.id));
        let new: Vec<String> = new.map(|finding| finding.id.clone()).collect();
        assert_eq!(found.findings.len(), known.len() + new.len());
        known.extend(new);
        all = known.len() as u64 + found.beyond.get("told-apart").unwrap_or(&0);
        if found.answered.contains("told-apart") {
            assert!(night > 0 && found.beyond.is_empty());
            break;
        }
        assert_eq!(known.len(), (night + 1) * MAX_UNKNOWN);
    }
    assert_eq!(known.len() as u64, all);
}

/// A finding has the dates that its row tells, in UTC.
#[test]
fn a_finding_has_the_dates_of_its_row() {
    let sample = Sample::new();
    let found = sample.findings(&["table-deleted"], |_| ());
    let finding = &found.findings[0];
    let span = finding.span.expect("it has an event_time");
    let time = &finding.facts[0].1;
    assert_eq!(span.first, span.last);
    assert!(time.starts_with(&span.first.to_string()), "{time}");
}
