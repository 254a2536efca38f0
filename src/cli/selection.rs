//! Options of what a conversion reads and keeps, and the listing they ask for.

use std::path::PathBuf;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::Manner;
use super::terminal::tell;
use crate::archive::{Archive, Listing, Selection, parse_since, parse_until};
use crate::convert::OnChange;
use crate::convert::keep::Keep;
use crate::convert::unit::error_chain;
use crate::lake::receipt::{EventFilter, EventWindow};
use crate::select::Selectors;

/// Which objects are read, and which of their events are kept.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Selection")]
pub struct SelectionArgs {
    /// Only this account's events; may be repeated.
    #[arg(long, value_name = "ID", value_parser = account_id)]
    account: Vec<String>,

    /// Only this region's events; may be repeated. The region to sign for is found by itself, or
    /// given by --aws-region.
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,

    /// How many days late events may be delivered; further key dates are not listed.
    #[arg(long, value_name = "DAYS", default_value = "2", value_parser = days)]
    pub late: u32,

    /// Keeps what these event selectors would log: the JSON of put-event-selectors or the output
    /// of get-event-selectors.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    event_selectors: Option<PathBuf>,

    /// Keeps every API event of every service.
    #[arg(long)]
    all: bool,

    /// What to do with an object that was converted with another size or ETag.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "refuse")]
    changed: Changed,
}

/// Which events are kept by their own time.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Selection")]
pub struct EventTimeArgs {
    /// Only events from here on: RFC 3339, a date (its beginning, UTC), or a span back such as
    /// -30d.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,

    /// Only events before: RFC 3339, a date (its end, UTC), or a span back such as -12h.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Changed {
    /// Names it, exits with 3, and leaves what the lake has of it.
    Refuse,
    /// Reads it; what the lake has of its earlier content no longer counts.
    Redo,
}

pub fn account_id(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an account is 12 digits".to_owned()),
    }
}

/// `2` or `2d`.
fn days(text: &str) -> Result<u32, String> {
    text.strip_suffix('d')
        .unwrap_or(text)
        .parse()
        .map_err(|_| "a number of days, such as 2 or 30d".to_owned())
}

impl EventTimeArgs {
    /// Bounds a selection, seen from a time.
    pub fn bound(&self, selection: Selection, now: Timestamp) -> anyhow::Result<Selection> {
        let since = self.since.as_deref().map(|text| parse_since(text, now));
        let until = self.until.as_deref().map(|text| parse_until(text, now));
        let since = since.transpose().context("--since")?;
        let until = until.transpose().context("--until")?;
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            bail!("--since {since} is not before --until {until}: no event can be selected");
        }
        Ok(Selection {
            since,
            until,
            ..selection
        })
    }
}

impl SelectionArgs {
    pub fn on_change(&self) -> OnChange {
        match self.changed {
            Changed::Refuse => OnChange::Refuse,
            Changed::Redo => OnChange::Redo,
        }
    }

    /// Which events are kept, beside the lake's selectors, of what a selection lists.
    pub fn filter(&self, selection: &Selection) -> EventFilter {
        EventFilter {
            window: EventWindow {
                since_ms: selection.since.map(Timestamp::as_millisecond),
                until_ms: selection.until.map(Timestamp::as_millisecond),
            },
            accounts: sorted(&self.account),
            regions: sorted(&self.region),
        }
    }

    /// What is listed of all times.
    pub fn of_all_times(&self) -> Selection {
        Selection {
            accounts: sorted(&self.account),
            regions: sorted(&self.region),
            late_days: self.late,
            ..Selection::everything()
        }
    }

    /// Which events the lake keeps.
    pub fn keep(&self) -> anyhow::Result<Keep> {
        match &self.event_selectors {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let selectors = Selectors::from_json(&text)
                    .with_context(|| format!("{} is no valid event selectors", path.display()))?;
                Ok(Keep::selectors(selectors))
            }
            None if self.all => Ok(Keep::all()),
            None => Ok(Keep::dynamodb()),
        }
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

/// Lists the sources; a run that can list nothing ends here.
pub fn list(
    archive: &Archive,
    selection: &Selection,
    runtime: &tokio::runtime::Runtime,
    manner: Manner,
) -> anyhow::Result<Listing> {
    let listing = runtime.block_on(archive.list(selection, &|_| ()))?;
    if !manner.quiet {
        tell(&format!(
            "listed {} objects, {} to look at",
            listing.listed,
            listing.objects.len()
        ));
    }
    // A night without wanted objects is quiet, not failed; what was left out is in the summary.
    let is_left_out = listing.failures.is_empty() && !listing.pruned_folders.is_empty();
    if listing.listed == 0 && !is_left_out {
        for failure in &listing.failures {
            tell(&format!("dynatrail: {}", error_chain(failure)));
        }
        match listing.failures.is_empty() {
            true => bail!("the sources hold no objects: nothing was read, so nothing can be said"),
            false => bail!("no source could be listed: nothing was read, so nothing can be said"),
        }
    }
    Ok(listing)
}
