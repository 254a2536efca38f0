//! Signals: what is new is told to every sink once, whatever happens to a run or to a sink, and
//! neither a secret nor a name of the log gets out of hand.

mod book;
mod channels;
mod found;
mod hook;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dynatrail::lake::Store;
use dynatrail::report::finding::{Finding, RunFindings};
use dynatrail::report::header::Level;
use dynatrail::signal::{Book, CoverageLoss, Night, Sinks, Window, config};
use jiff::civil::date;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What a hostile name may look like.
const HOSTILE: &str = "<!channel> <https://evil.example|ok> @here &amp; \u{1b}[2J\u{202e}x\r\n";

/// A lake's folder, a runtime, and nights in a row.
struct Site {
    folder: TempDir,
    store: Store,
    runtime: Runtime,
}

impl Site {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            store: Store::local(folder.path().join("lake")),
            runtime: Runtime::new().unwrap(),
            folder,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The sinks of a configuration file's text.
    fn sinks(&self, text: &str) -> Sinks {
        let notifies = config::parse(&sections(text)).unwrap();
        let handle = self.runtime.handle().clone();
        Sinks::open(notifies, &Default::default(), handle).unwrap()
    }

    /// A file with the address of a webhook.
    fn url_file(&self, name: &str, url: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, format!("{url}\n")).unwrap();
        path.display().to_string()
    }

    fn book(&self) -> Book {
        Book::load(&self.store).unwrap()
    }
}

fn sections(text: &str) -> Vec<toml::Table> {
    let file: toml::Table = toml::from_str(text).unwrap();
    let sections = file["notify"].as_array().unwrap();
    let tables = sections.iter().map(|section| section.as_table().unwrap());
    tables.cloned().collect()
}

fn finding(id: &str, report: &str, level: Level) -> Finding {
    Finding {
        id: id.to_owned(),
        report: report.to_owned(),
        level,
        title: format!("Title of {report}"),
        facts: vec![("table_name".to_owned(), format!("table-{id}"))],
        span: None,
    }
}

/// Findings of reports that all answered.
fn findings(found: &[Finding]) -> RunFindings {
    RunFindings {
        findings: found.to_vec(),
        answered: BTreeSet::from(["grave".to_owned(), "small".to_owned()]),
        beyond: BTreeMap::new(),
    }
}

fn night<'n>(label: &'n str, findings: &'n RunFindings) -> Night<'n> {
    Night {
        label,
        lake: "s3://lake",
        place: Some("/reports"),
        window: Some(Window {
            first: date(2025, 3, 1),
            last: None,
            is_back_fill: false,
        }),
        today: date(2025, 3, 7),
        findings,
        coverage: Some(&[]),
        failure: None,
    }
}

fn loss(id: &str, sentence: &str) -> CoverageLoss {
    CoverageLoss {
        id: id.to_owned(),
        sentence: sentence.to_owned(),
        date: None,
    }
}
