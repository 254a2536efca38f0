//! A night, step by step: list, convert, report; whatever ends it early is told.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Args, out, told};
use crate::archive::{Archive, Listing, Selection, Source};
use crate::cli::aws::runtime;
use crate::cli::convert::start_threads;
use crate::cli::progress::{Display, Expected};
use crate::cli::report::choice::LevelArg;
use crate::cli::selection::list;
use crate::cli::signals::watch_signals;
use crate::cli::terminal::{tell, write_log_as};
use crate::cli::verified::{self, Converted};
use crate::cli::{Manner, Outcome};
use crate::convert::keep::Keep;
use crate::convert::rules::{MAX_KEPT_BYTES, Rules};
use crate::convert::summary::Summary;
use crate::convert::unit::error_chain;
use crate::convert::{self, Bounds, ConvertError, OnChange, Progress, Workshop};
use crate::integrity;
use crate::lake::{Holder, LakeError, LakeState, Lock, Store};
use crate::nightly::coverage;
use crate::nightly::look_back::{LookBack, Scope};
use crate::nightly::summary::{Listed, Night, Reports, Status};
use crate::query::{Dates, Session};
use crate::report::catalogue::Report;
use crate::report::config::Config;
use crate::report::finding::RunFindings;
use crate::report::gather::Scope as ReportScope;
use crate::report::lost::lost;
use crate::report::result::{Answer, ReportRun};
use crate::report::run::{MAX_ROWS, ReportError, Request, run as run_reports};
use crate::signal::{self, Book, CoverageLoss, Sinks, Window};

/// Runs a night.
pub fn run(args: &Args, place: &str, folder: &Path, manner: Manner) -> anyhow::Result<Outcome> {
    write_log_as(args.tell.log_format);
    let clock = Clock {
        started: Timestamp::now(),
        began: Instant::now(),
    };
    let runtime = runtime()?;
    let site = Site::read(args, &runtime)?;
    start_threads(None)?;
    let progress = Arc::new(Progress::default());
    let signal = watch_signals(runtime.handle(), &progress);
    let mut steps = Steps {
        args,
        manner,
        place,
        folder,
        clock,
        runtime: &runtime,
        progress,
        signal,
        night: Night::begin(&clock.label(), place, &args.sources),
        looked: None,
        found: RunFindings::default(),
        losses: None,
    };
    let ended = steps.all(site);
    let mut night = steps.night;
    night.end(status(&ended), clock.began.elapsed());
    night.error = ended
        .as_ref()
        .err()
        .map(|error| error_chain(error.as_ref()));
    // The summary of a failed night is its alarm: that it cannot be written is told beside it.
    let written = out::write_summary(&night, folder)
        .and_then(|()| out::write_metrics(&night, args.tell.metrics.as_deref()));
    match (ended, written) {
        (Ok(outcome), Ok(())) => {
            if !manner.quiet {
                tell(&out::in_words(&night));
            }
            Ok(outcome)
        }
        (Ok(_), Err(error)) => Err(error),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(other)) => {
            tell(&format!("dynatrail: {}", error_chain(other.as_ref())));
            Err(error)
        }
    }
}

fn status(ended: &anyhow::Result<Outcome>) -> Status {
    match ended {
        Err(_) => Status::Failed,
        Ok(Outcome::Complete) => Status::Complete,
        Ok(Outcome::Incomplete) => Status::Incomplete,
        Ok(Outcome::Findings) => Status::Findings,
        Ok(Outcome::Interrupted(_)) => Status::Interrupted,
    }
}

/// What a night needs beside the lake and the archive: what is wrong with it is told before any work.
struct Site {
    keep: Keep,
    reports: Vec<Arc<Report>>,
    config: Config,
    sinks: Sinks,
    keys: Option<integrity::Keys>,
}

impl Site {
    fn read(args: &Args, runtime: &tokio::runtime::Runtime) -> anyhow::Result<Self> {
        let catalogue = args.reports.site.catalogue()?;
        let config = args.reports.site.read_config(&catalogue)?;
        let mut reports = args.reports.choice.fitting(&catalogue)?;
        // Those that ask for an item, a table or a time are for a person with a question.
        reports.retain(|report| report.header.asks.is_empty());
        let notifies = signal::config::parse(&config.notify).map_err(anyhow::Error::msg)?;
        Ok(Self {
            keep: args.what.keep()?,
            reports,
            sinks: Sinks::open(notifies, &args.s3.options(), runtime.handle().clone())?,
            keys: verified::keys(&args.integrity, &args.sources, &args.s3, runtime)?,
            config,
        })
    }
}

#[derive(Clone, Copy)]
pub(super) struct Clock {
    started: Timestamp,
    began: Instant,
}

impl Clock {
    /// The night's name: it sorts by time.
    pub(super) fn label(&self) -> String {
        self.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// The end of a window: now, or that of a day before.
    fn until(&self, window: Window) -> Timestamp {
        let end = window.last.and_then(|last| last.tomorrow().ok());
        let end = end.and_then(|end| end.to_zoned(TimeZone::UTC).ok());
        end.map_or(self.started, |end| end.timestamp().min(self.started))
    }

    pub(super) fn today(&self) -> Date {
        TimeZone::UTC.to_datetime(self.started).date()
    }
}

pub(super) struct Steps<'n> {
    args: &'n Args,
    manner: Manner,
    pub(super) place: &'n str,
    pub(super) folder: &'n Path,
    pub(super) clock: Clock,
    runtime: &'n tokio::runtime::Runtime,
    progress: Arc<Progress>,
    signal: Arc<AtomicU8>,
    pub(super) night: Night,
    /// None until the reports have run.
    pub(super) looked: Option<Window>,
    /// Empty until the reports have run.
    pub(super) found: RunFindings,
    /// What is missing; none until the reports have run.
    pub(super) losses: Option<Vec<CoverageLoss>>,
}

pub(super) fn open_archive(args: &Args) -> anyhow::Result<Archive> {
    let sources = args.sources.iter().map(|text| Source::parse(text));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    Ok(Archive::open(sources, args.s3.options()))
}

pub(super) fn scope(args: &Args) -> Scope {
    let selection = args.what.of_all_times();
    Scope {
        sources: args.sources.clone(),
        accounts: selection.accounts,
        regions: selection.regions,
    }
}

/// What is listed: of the asked dates, or since the last complete run.
pub(super) fn selection(
    args: &Args,
    look_back: &LookBack,
    lake: Option<&LakeState>,
) -> anyhow::Result<Selection> {
    let mut selection = args.what.of_all_times();
    let asked = &args.back_fill;
    if let (Some(since), Some(until)) = (asked.since, asked.until) {
        anyhow::ensure!(since <= until, "--since {since} is after --until {until}");
    }
    selection.last_key_date = asked.until;
    selection.first_key_date = match (asked.since, lake) {
        (None, Some(lake)) if asked.until.is_none() => {
            look_back.first_key_date(lake, selection.late_days)
        }
        (since, _) => since,
    };
    Ok(selection)
}

/// The key dates that a night lists.
fn listed(selection: &Selection) -> Listed {
    Listed {
        first_key_date: selection.first_key_date.map(|date| date.to_string()),
        last_key_date: selection.last_key_date.map(|date| date.to_string()),
        late_days: selection.late_days,
    }
}

impl Steps<'_> {
    /// Works with the lake's lock held, and tells whoever must know how that ended.
    fn all(&mut self, mut site: Site) -> anyhow::Result<Outcome> {
        let selection = site.keep.describe();
        let mut store = self.args.s3.open_store(self.place, self.runtime.handle())?;
        let holder = Holder::this_process(self.night.started.clone());
        let opened =
            LakeState::check(&store, &selection).and_then(|()| Lock::take(&mut store, &holder));
        let (lock, error) = match opened {
            // The other run tells what there is to tell.
            Err(error @ LakeError::Held { .. }) => return Err(error.into()),
            Err(error) => (None, Some(error)),
            Ok(lock) => (Some(lock), None),
        };
        let mut book = told::open_book(&store);
        let ended = match error {
            Some(error) => Err(error.into()),
            None => self.work(&store, &holder, &book, &mut site),
        };
        let ended = match ended {
            Ok(Outcome::Interrupted(_)) => ended,
            ended => self.signal(&store, &mut book, &site.sinks, ended),
        };
        drop(lock);
        ended
    }

    /// Names what earlier runs refused and this one was not offered, unless all was to be redone.
    fn miss_refused(&self, look_back: &mut LookBack, summary: &mut Summary, is_whole: bool) {
        if is_whole && self.args.what.on_change() == OnChange::Redo {
            look_back.forget_missing();
        }
        for uri in look_back.missing() {
            summary.miss_refused(uri);
        }
    }

    fn work(
        &mut self,
        store: &Store,
        holder: &Holder,
        book: &Book,
        site: &mut Site,
    ) -> anyhow::Result<Outcome> {
        let cluster = &self.args.query.cluster;
        let crew = cluster.crew(self.place, self.runtime.handle(), holder)?;
        let mut lake = LakeState::open_or_create(store, &site.keep.describe())?;
        let archive = open_archive(self.args)?;
        let mut look_back = LookBack::read(store, &scope(self.args))?;
        let selection = selection(self.args, &look_back, Some(&lake))?;
        self.night.listing = Some(listed(&selection));
        let listing = list(&archive, &selection, self.runtime, self.manner);
        let listing = self.args.s3.name_profile(listing)?;
        let is_listed = listing.failures.is_empty();
        look_back.look_at(&listing.objects)?;
        let logs = site.keys.as_ref().map(|_| listing.objects.to_sorted_vec());
        let logs = logs.transpose()?;
        let workshop = Workshop {
            archive: Arc::new(archive),
            crew,
            rules: Arc::new(Rules {
                keep: site.keep.clone(),
                filter: self.args.what.filter(&selection),
                hashes: site.keys.is_some(),
                max_kept_bytes: MAX_KEPT_BYTES,
            }),
            runtime: self.runtime.handle().clone(),
            progress: self.progress.clone(),
            units_at_once: 1,
        };
        let Some(mut summary) = self.convert(&workshop, store, &mut lake, listing)? else {
            return Ok(self.interrupted());
        };
        look_back.refuse(std::mem::take(&mut summary.refused), &lake);
        let is_whole = is_listed && summary.objects.deferred == 0;
        if !self.is_back_fill() {
            self.miss_refused(&mut look_back, &mut summary, is_whole);
        }
        if is_whole && selection.last_key_date.is_none() {
            look_back.list(selection.first_key_date, self.clock.today());
        }
        look_back.write(store, scope(self.args))?;
        for problem in summary.problems.iter().filter(|_| !self.manner.quiet) {
            tell(&format!("{}: {}", problem.object, problem.problem));
        }
        self.night.convert = Some(summary);
        if let (Some(keys), Some(logs)) = (site.keys.take(), logs) {
            let converted = Converted {
                archive: workshop.archive.clone(),
                runtime: self.runtime,
                store,
                selection: &selection,
                logs: &logs,
                now: self.clock.started,
            };
            let verified = verified::verify(&converted, keys, &mut lake)?;
            if !self.manner.quiet {
                verified::tell_problems(&verified);
            }
            self.night.integrity = Some(verified);
        }
        self.report(store, &lake, book, site)
    }

    fn report(
        &mut self,
        store: &Store,
        lake: &LakeState,
        book: &Book,
        site: &Site,
    ) -> anyhow::Result<Outcome> {
        let window = self.window();
        let request = self.request(window, site);
        let interrupted = &self.progress.interrupted;
        let query = &self.args.query;
        let options = query.options_of_run(self.place, || interrupted.clone())?;
        let mut session = Session::open(store, lake, &options)?;
        let run = session
            .renew_sightings(store, lake, Dates::Missing, interrupted)
            .map_err(ReportError::from)
            .and_then(|_| run_reports(&session, lake, self.place, &request));
        let run = match run {
            // A statement that was cancelled fails.
            Err(_) if interrupted.load(Ordering::Relaxed) => return Ok(self.interrupted()),
            run => run?,
        };
        let since = request.scope.since.unwrap_or_default();
        self.night.reports = Some(Reports::of(&run, &since, request.scope.until.as_deref()));
        self.found = RunFindings::of(&run, &|id| book.knows(id))?;
        let lost = lost(&session, &self.listed_scope(window))?;
        if let Some(convert) = &self.night.convert {
            // What was left for the next run is not silent.
            let is_complete = convert.objects.deferred == 0 && lake.unfinished.is_empty();
            let mut losses = coverage::losses(&coverage::Known {
                evidence: &run.evidence,
                lost: &lost,
                integrity: self.night.integrity.as_ref(),
                convert,
                now: is_complete.then(|| self.clock.until(window)),
            });
            if is_complete && !self.is_back_fill() {
                losses.extend(coverage::silence(lake, self.clock.today()));
            }
            let sentences = losses.iter().map(|loss| loss.sentence.clone());
            self.night.coverage_gaps = sentences.collect();
            self.losses = Some(losses);
        }
        self.looked = Some(window);
        out::write_reports(&run, self.folder)?;
        Ok(self.outcome(&run))
    }

    /// The dates whose objects this night listed or whose events it looked at.
    fn listed_scope(&self, window: Window) -> ReportScope {
        let listed = self.night.listing.as_ref();
        let first = listed.and_then(|listed| listed.first_key_date.as_ref());
        // Digests are looked at from the day before on.
        let first = first
            .and_then(|date| date.parse::<Date>().ok())
            .map(|date| date.saturating_sub(1.day()).min(window.first));
        ReportScope {
            since: first.map(|date| date.to_string()),
            until: window.last.map(|date| date.to_string()),
            ..ReportScope::default()
        }
    }

    fn is_back_fill(&self) -> bool {
        let asked = &self.args.back_fill;
        asked.since.or(asked.until).is_some()
    }

    /// Converts what is new; nothing where a signal ended it.
    fn convert(
        &self,
        workshop: &Workshop,
        store: &Store,
        lake: &mut LakeState,
        listing: Listing,
    ) -> anyhow::Result<Option<Summary>> {
        let expected = Expected::of(&listing);
        let budget = &self.args.budget;
        let minutes = budget
            .max_minutes
            .map(|minutes| Duration::from_secs(60 * u64::from(minutes)));
        let bounds = Bounds {
            changed: self.args.what.on_change(),
            max_bytes: budget.max_bytes,
            deadline: minutes.map(|minutes| self.clock.began + minutes),
            ..Bounds::default()
        };
        let display = Display::start(self.progress.clone(), expected, self.manner);
        let ended = convert::run(workshop, store, lake, listing, bounds);
        drop(display);
        let summary = match ended {
            Err(ConvertError::Interrupted) => return Ok(None),
            ended => ended?,
        };
        anyhow::ensure!(
            summary.identities.hold(),
            "the counts do not agree: this is a defect of dynatrail, do not rely on this lake"
        );
        Ok(Some(summary))
    }

    /// The event dates that the reports look at.
    fn window(&self) -> Window {
        let convert = self.night.convert.as_ref();
        let first_date = convert.and_then(|summary| summary.lake.first_date.as_ref());
        let first_date = first_date.and_then(|date| date.parse::<Date>().ok());
        let asked = &self.args.back_fill;
        let first = match (asked.since, asked.until) {
            (Some(since), _) => since,
            (None, Some(until)) => first_date.map_or(until, |first| first.min(until)),
            (None, None) => {
                let back = i64::from(self.args.reports.days.max(1)) - 1;
                let today = self.clock.today();
                let since = today.saturating_sub(back.days());
                // That the lake is younger than the days looked at is no gap in it.
                let first = first_date.filter(|first| *first <= today);
                first.map_or(since, |first| first.max(since))
            }
        };
        Window {
            first,
            last: asked.until,
            is_back_fill: self.is_back_fill(),
        }
    }

    fn request(&self, window: Window, site: &Site) -> Request {
        Request {
            reports: site.reports.clone(),
            scope: ReportScope {
                since: Some(window.first.to_string()),
                until: window.last.map(|date| date.to_string()),
                ..ReportScope::default()
            },
            parameters: Default::default(),
            config: site.config.clone(),
            today: self.clock.today(),
            max_rows: MAX_ROWS,
            with_places: true,
            interrupted: self.progress.interrupted.clone(),
        }
    }

    fn interrupted(&self) -> Outcome {
        tell(
            "dynatrail: interrupted; what was converted is kept, and the next run goes on from there",
        );
        Outcome::Interrupted(self.signal.load(Ordering::Relaxed))
    }

    fn outcome(&self, run: &ReportRun) -> Outcome {
        for result in run.results.iter().filter(|result| result.has_failed) {
            let reason = result.reasons.first().map_or("", String::as_str);
            tell(&format!("dynatrail: {}: {reason}", result.report.name));
        }
        let fails = self.args.reports.fail_on.map(LevelArg::level);
        let found = run.gravest_finding();
        if fails.is_some_and(|level| found.is_some_and(|found| found >= level)) {
            return Outcome::Findings;
        }
        let convert = self.night.convert.as_ref();
        let is_incomplete = convert.is_some_and(Summary::is_incomplete);
        let mut answers = run.results.iter().map(|result| result.answer);
        let has_gaps = !self.night.coverage_gaps.is_empty();
        match is_incomplete || has_gaps || answers.any(|answer| answer == Answer::Incomplete) {
            true => Outcome::Incomplete,
            false => Outcome::Complete,
        }
    }
}
