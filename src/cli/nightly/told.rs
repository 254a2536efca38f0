//! What is told of a night, and what it means for the night if somebody could not be told.

use super::run::Steps;
use crate::cli::Outcome;
use crate::cli::terminal::tell;
use crate::convert::unit::error_chain;
use crate::lake::Store;
use crate::nightly::summary::Findings;
use crate::signal::{self, Book, Sinks};

/// The lake's book; where it cannot be read, one that says why and is never written.
pub fn open_book(store: &Store) -> Book {
    Book::load(store).unwrap_or_else(|error| Book::detached(error_chain(&error)))
}

impl Steps<'_> {
    /// Turns the book to this night, and tells the sinks what is new to them. A night that could not
    /// tell somebody is not complete: a dead alarm must not look like a good night.
    pub(super) fn signal(
        &mut self,
        store: &Store,
        book: &mut Book,
        sinks: &Sinks,
        ended: anyhow::Result<Outcome>,
    ) -> anyhow::Result<Outcome> {
        let failure = ended.as_ref().err();
        let failure = failure.map(|error| error_chain(error.as_ref()));
        let page = self.folder.join("index.html");
        let page = page.display().to_string();
        let night = signal::Night {
            label: &self.clock.label(),
            lake: self.place,
            place: self.night.reports.is_some().then_some(page.as_str()),
            window: self.looked,
            today: self.clock.today(),
            findings: &self.found,
            coverage: self.losses.as_deref(),
            failure: failure.as_deref(),
        };
        // Beside an empty book everything would be new.
        let is_known = book.problem().is_none();
        let changes = book.turn(&night);
        self.night.deliveries = signal::deliver(book, store, sinks, &night);
        let mut problems: Vec<String> = book.problem().map(str::to_owned).into_iter().collect();
        for delivery in &self.night.deliveries {
            let problem = delivery.problem.as_deref();
            if let Some(problem) = problem.filter(|problem| book.problem() != Some(problem)) {
                problems.push(format!("{}: {problem}", delivery.sink));
            }
        }
        if changes.left_out > 0 {
            problems.push(format!(
                "{} new ones find no room in the book of findings: suppress what is known",
                changes.left_out
            ));
        }
        for problem in &problems {
            tell(&format!("dynatrail: {problem}"));
        }
        if self.night.reports.is_some() && is_known {
            self.night.findings = Some(Findings::of(&changes, &self.found.beyond));
        }
        self.night.signal_problems = problems;
        match ended {
            Ok(Outcome::Complete) if !self.night.signal_problems.is_empty() => {
                Ok(Outcome::Incomplete)
            }
            ended => ended,
        }
    }
}
