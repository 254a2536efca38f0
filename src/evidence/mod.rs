//! Gathers what proves a finding into one folder or tar: source objects, records, rows, digests.
//!
//! ```text
//! rows      event IDs ─query─► rows of the lake, and the objects and positions they came from
//! object    objects ─fetch─► byte for byte, with hashes
//! record    an object's bytes ─inflate, split─► the records at these positions, as they stand
//! digest    the objects' names ─list, fetch─► the CloudTrail digests that name them
//! bundle    all of it ─► a folder or a tar with SHA-256 sums; the same input, the same bytes
//! rebuilt   the records ─decode as converting does─► rows, to hold the lake's against
//! manifest  what each file is and where it comes from
//! ```
//!
//! `readme.txt` goes into every bundle: how to check it with public tools alone.

mod bundle;
mod digest;
mod manifest;
pub mod name;
mod object;
mod rebuilt;
pub mod record;
mod rows;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use tokio::runtime::Handle;

use crate::archive::{Archive, ListingError, S3Options};
use crate::convert::keep::Keep;
use crate::lake::{LakeError, LakeState, Store};
use crate::query::{QueryError, Session};
use crate::render::RenderError;
use crate::report::result::ReportRun;
use crate::select::{SelectorError, Selectors};

use bundle::Bundle;
use manifest::{Kind, Manifest, Problem};
use rebuilt::Rebuilder;

pub use bundle::is_tar;

/// How to check a bundle; the same text in each.
const README: &str = include_str!("readme.txt");

/// What a bundle may hold at most; beyond it nobody reads it, and it is better asked more narrowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub events: u64,
    pub objects: u64,
    /// Of all files together.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 10_000,
            objects: 2_000,
            bytes: 16 << 30,
        }
    }
}

/// What can go wrong with a bundle as a whole. What is wrong with one object is told in its manifest.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error(
        "the rows stand for {found} {what}, more than the {limit} that a bundle may hold: narrow it \
         with --since, --until, --account, --region, --table or --principal, or name events with \
         --event-id"
    )]
    TooMany {
        what: &'static str,
        found: u64,
        limit: u64,
    },
    #[error("{0} is there already: give a new name, or an empty folder")]
    Exists(PathBuf),
    #[error(
        "{0} is left of a run that was ended, or belongs to one that still works: remove it if none does"
    )]
    Unfinished(PathBuf),
    #[error("{0} names a compressed file: write a .tar, and compress that")]
    Compressed(PathBuf),
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot write {path}")]
    Render { path: String, source: RenderError },
    #[error("the lake's selectors cannot be read")]
    Selection(#[source] SelectorError),
    #[error("cannot read the rows of the lake")]
    Rows(#[source] Box<QueryError>),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Listing(#[from] ListingError),
}

impl From<QueryError> for EvidenceError {
    fn from(error: QueryError) -> Self {
        Self::Rows(Box::new(error))
    }
}

/// Where the evidence is: a lake, and the archive that it was made of.
pub struct Sources<'s> {
    pub session: &'s Session,
    pub store: &'s Store,
    pub lake: &'s LakeState,
    /// The lake as the user named it.
    pub place: &'s str,
    pub s3: S3Options,
    pub runtime: Handle,
}

/// What is asked for.
pub struct Asked {
    /// IDs of events; those of the report's rows where there is a report.
    pub event_ids: Vec<String>,
    /// A run of one report, with places.
    pub run: Option<ReportRun>,
    /// The command's arguments that decide what is in the bundle, in order.
    pub arguments: Vec<(String, String)>,
    pub limits: Limits,
    /// A folder, or a file that ends with `.tar`.
    pub out: PathBuf,
}

/// What a bundle holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    pub events: u64,
    pub records: u64,
    pub objects: u64,
    pub digests: u64,
    /// Digests that the archive has where those of these objects would be.
    pub digests_found: u64,
    /// What is missing or not as it was, a sentence each with the object or event it is about.
    pub problems: Vec<String>,
}

/// Writes a bundle.
///
/// A missing or changed object is named among the problems and the rest goes on. Nothing stands at
/// `out` until all of it does.
pub fn write(sources: &Sources<'_>, asked: &Asked) -> Result<Gathered, EvidenceError> {
    let keep = keep(sources.lake)?;
    let mut ids = asked.event_ids.clone();
    let mut problems = Vec::new();
    if let Some(run) = &asked.run {
        rows::ids_of(run, &mut ids, &mut problems);
    }
    ids.sort();
    ids.dedup();
    check("events", ids.len() as u64, asked.limits.events)?;
    let events = rows::find(sources.session, &ids, &mut problems)?;
    check("objects", events.len() as u64, asked.limits.objects)?;

    let known = object::known(sources, &events)?;
    let of_objects = object::size_bytes(&known);
    check("bytes of objects", of_objects, asked.limits.bytes)?;

    let mut bundle = Bundle::create(&asked.out, asked.limits.bytes)?;
    if let Some(run) = &asked.run {
        rows::write_report(&mut bundle, run)?;
    }
    let held = rows::write(&mut bundle, sources.session, &ids)?;

    let folders = digest::folders(events.keys());
    let archive = Archive::open(digest::sources(&folders), sources.s3.clone());
    let mut rebuilder = Rebuilder::new(keep);
    let mut gatherer = object::Gatherer::new(&archive, &sources.runtime, &mut rebuilder);
    let mut objects = gatherer.gather(&mut bundle, &events, &known, &mut problems)?;
    rebuilder.compare(&events, &held, &mut problems);
    let mut digests = digest::Digests::new(&archive, &sources.runtime, &mut objects);
    let digests_found = digests.gather(&mut bundle, &mut problems)?;
    problems.sort();

    let gathered = Gathered {
        events: events.values().map(|wanted| wanted.len() as u64).sum(),
        records: objects.values().map(|object| object.records).sum(),
        objects: bundle.count(Kind::Object),
        digests: bundle.count(Kind::Digest),
        digests_found,
        problems: problems.iter().map(Problem::to_string).collect(),
    };
    let manifest = Manifest {
        schema: manifest::SCHEMA,
        tool: concat!("dynatrail ", env!("CARGO_PKG_VERSION")),
        lake: manifest::Lake {
            place: sources.place.to_owned(),
            format: sources.lake.description.format,
            selection: sources.lake.description.selection.clone(),
        },
        arguments: asked.arguments.clone(),
        events: gathered.events,
        records: gathered.records,
        digests_found,
        objects: objects.into_values().collect(),
        problems,
        files: bundle.files(),
    };
    bundle.write("README.txt", Kind::Bundle, |out| {
        io::Write::write_all(out, README.as_bytes())
    })?;
    bundle.finish(&manifest)?;
    Ok(gathered)
}

fn check(what: &'static str, found: u64, limit: u64) -> Result<(), EvidenceError> {
    match found > limit {
        true => Err(EvidenceError::TooMany { what, found, limit }),
        false => Ok(()),
    }
}

/// What the lake keeps: which records were passed over by their text decides how they are numbered.
fn keep(lake: &LakeState) -> Result<Keep, EvidenceError> {
    Ok(match lake.description.selection.as_str() {
        "dynamodb" => Keep::dynamodb(),
        "all" => Keep::all(),
        selectors => {
            let selectors = Selectors::from_json(selectors).map_err(EvidenceError::Selection)?;
            Keep::selectors(selectors)
        }
    })
}

/// The events to be shown of each object: position and ID, in order.
pub(crate) type Events = BTreeMap<String, Vec<(u64, String)>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_the_last_that_is_allowed() {
        assert!(check("objects", 7, 7).is_ok());
        let error = check("objects", 8, 7).expect_err("one too many");
        let words = error.to_string();
        assert!(
            words.contains("8 objects") && words.contains("--since"),
            "{words}"
        );
    }
}
