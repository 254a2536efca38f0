//! Takes digests through load, walk and log files, window by window, and tells what is found.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::digest::Sha256;
use super::keys::Keys;
use super::load::{self, Fetched, Loaded, Unreadable, Wanted};
use super::logs::{self, Desk, Job};
use super::name::{SIDECAR_ENDING, earlier, later};
use super::plan::{AWAITED, Entry, Plan};
use super::result::{DigestResult, DigestStatus, LogResult, LogStatus, Summary, Verdict};
use super::walk::Walk;
use crate::archive::{Archive, ObjectRef};

/// Digests of a window at most, and their compressed bytes.
const WINDOW_DIGESTS: usize = 256;
const WINDOW_BYTES: u64 = 2 << 20;

/// Log files delivered before the end of an interval may stand in a digest that ends so much later.
const AFTER_UNTIL: SignedDuration = SignedDuration::from_hours(1);

/// How long a file may be under way after the time in its name.
const DELIVERY: SignedDuration = SignedDuration::from_hours(1);

/// What verification works with.
pub struct Verifier {
    pub archive: Arc<Archive>,
    pub runtime: Handle,
    pub keys: Keys,
    /// The first end of a digest that is wanted.
    pub since: Option<Timestamp>,
    /// Log files delivered from here on are not wanted.
    pub until: Option<Timestamp>,
    /// When the archive was listed.
    pub now: Timestamp,
}

/// What the archive holds, sorted by URI as [`Archive::list`] gives it.
#[derive(Clone, Copy)]
pub struct Listed<'a> {
    /// Digests and the sidecars of local ones.
    pub digests: &'a [ObjectRef],
    /// Log files. Those of no digest are told, unless None.
    pub logs: Option<&'a [ObjectRef]>,
    /// Log files that are not told where no digest names them: those of the time before.
    pub earlier_logs: &'a [ObjectRef],
}

/// Gives the hash of a listed log file that has been read already.
pub type Known<'k> = dyn Fn(&ObjectRef) -> Option<Sha256> + Sync + 'k;

/// Verifies the listed digests and the log files that they name.
///
/// `known` gives the SHA-256 of a listed log file's inflated bytes where this very content has been
/// read already; it must give None for a file whose gzip was damaged or had something behind it. Such
/// a file is not fetched again unless the hash differs. `on_result` is told everything in order, and
/// may end it.
pub fn verify(
    verifier: &mut Verifier,
    listed: Listed<'_>,
    known: &Known<'_>,
    on_result: &mut dyn FnMut(Verdict) -> ControlFlow<()>,
) -> Summary {
    let plan = Plan::of(verifier, listed);
    verifier.keys.set_spans(plan.spans());
    let mut course = Course {
        verifier,
        listed,
        known,
        plan: &plan,
        summary: Summary {
            chains: plan.chains.len() as u64,
            ..Summary::default()
        },
        walk: Walk::default(),
        chain: None,
        referenced: vec![false; listed.logs.map_or(0, <[ObjectRef]>::len)],
    };
    let ended = course.run(on_result);
    let mut summary = course.summary;
    summary.interrupted = ended.is_break();
    summary.warnings = verifier.keys.warnings().iter().cloned().collect();
    summary
}

/// Digests on their way.
type Fetching = JoinHandle<Vec<(Wanted, Fetched)>>;

impl Verifier {
    /// As the aws CLI does, a digest counts by its end alone.
    pub(super) fn wants(&self, end: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= end) && !self.is_too_new(end)
    }

    pub(super) fn is_too_new(&self, end: Timestamp) -> bool {
        self.until
            .is_some_and(|until| earlier(end, AFTER_UNTIL) > until)
    }

    fn fetch(&self, wanted: Vec<Wanted>) -> Fetching {
        self.runtime
            .spawn(load::fetch(self.archive.clone(), wanted))
    }

    fn finish(&mut self, fetching: Fetching) -> Vec<Loaded> {
        let fetched = self
            .runtime
            .block_on(fetching)
            .expect("a fetch neither panics nor is cancelled");
        load::load(&self.archive, &mut self.keys, fetched)
    }
}

/// One verification under way.
struct Course<'a> {
    verifier: &'a mut Verifier,
    listed: Listed<'a>,
    known: &'a Known<'a>,
    plan: &'a Plan,
    summary: Summary,
    walk: Walk,
    /// The chain that the walk is in.
    chain: Option<usize>,
    /// For each listed log file, whether a digest names it.
    referenced: Vec<bool>,
}

/// A digest as it was judged, with the hashes of its log files.
struct Judged {
    result: DigestResult,
    hashes: Vec<Option<Sha256>>,
}

impl<'a> Course<'a> {
    fn run(&mut self, on_result: &mut dyn FnMut(Verdict) -> ControlFlow<()>) -> ControlFlow<()> {
        for uri in &self.plan.strays {
            self.summary.strays += 1;
            on_result(Verdict::Stray { uri: uri.clone() })?;
        }
        let mut at = 0;
        let mut fetching = self.fetch_window(&mut at);
        while let Some((first, window)) = fetching {
            let loaded = self.verifier.finish(window);
            fetching = self.fetch_window(&mut at);
            let mut judged = self.judge_window(first, loaded);
            self.check_logs(&mut judged);
            for digest in judged {
                self.summary.count(&digest.result);
                on_result(Verdict::Digest(digest.result))?;
            }
        }
        for early in self.plan.early_ends() {
            self.summary.early_ends += 1;
            on_result(Verdict::EarlyEnd(early))?;
        }
        self.tell_unreferenced(on_result)
    }

    /// Begins to fetch the next window; gives where it begins.
    fn fetch_window(&self, at: &mut usize) -> Option<(usize, Fetching)> {
        let first = *at;
        let mut bytes = 0;
        let mut wanted = Vec::new();
        while *at < self.plan.entries.len() && wanted.len() < WINDOW_DIGESTS {
            let entry = self.plan.entries[*at];
            bytes += self.listed.digests[entry.object].size;
            if bytes > WINDOW_BYTES && !wanted.is_empty() {
                break;
            }
            wanted.push(self.wanted(entry));
            *at += 1;
        }
        (!wanted.is_empty()).then(|| (first, self.verifier.fetch(wanted)))
    }

    fn wanted(&self, entry: Entry) -> Wanted {
        let uri = self.listed.digests[entry.object].uri.to_string();
        let is_local = !self.verifier.archive.is_remote(&uri);
        let sidecar = format!("{uri}{SIDECAR_ENDING}");
        Wanted {
            has_sidecar: is_local && find(self.listed.digests, &sidecar).is_some(),
            uri,
            chain: self.plan.chains[entry.chain].clone(),
            end: entry.end,
        }
    }

    fn judge_window(&mut self, first: usize, loaded: Vec<Loaded>) -> Vec<Judged> {
        let mut judged = Vec::with_capacity(loaded.len());
        for (offset, digest) in loaded.iter().enumerate() {
            let Entry {
                chain, is_witness, ..
            } = self.plan.entries[first + offset];
            if self.chain != Some(chain) {
                self.end_chain(&mut judged);
                self.chain = Some(chain);
                self.walk = Walk::new(self.verifier.since);
            }
            if is_witness {
                self.walk.hear(digest);
                continue;
            }
            self.judge_missing(Some(&digest.wanted), &mut judged);
            judged.push(self.judge(digest));
        }
        if first + loaded.len() == self.plan.entries.len() {
            self.end_chain(&mut judged);
        }
        judged
    }

    /// What the oldest listed digest points to is asked for too.
    fn end_chain(&mut self, judged: &mut Vec<Judged>) {
        if self.chain.is_some() {
            self.judge_missing(None, judged);
        }
    }

    /// Asks for digests that should have been listed before `next`: they may lie elsewhere, or be
    /// gone.
    fn judge_missing(&mut self, next: Option<&Wanted>, judged: &mut Vec<Judged>) {
        let Some(chain) = self.chain else { return };
        let chain = &self.plan.chains[chain];
        while let Some(wanted) = self.walk.missing_before(next, chain) {
            if find(self.listed.digests, &wanted.uri).is_some() {
                self.walk.leave_pointer();
                return;
            }
            let expired = self.walk.expired().filter(|_| next.is_none());
            let fetching = self.verifier.fetch(vec![wanted]);
            for digest in self.verifier.finish(fetching) {
                let mut digest = self.judge(&digest);
                if digest.result.status == DigestStatus::NotFound {
                    digest.result.detail.clone_from(&expired);
                }
                judged.push(digest);
            }
        }
    }

    fn judge(&mut self, digest: &Loaded) -> Judged {
        let result = self.walk.judge(digest, &self.verifier.keys);
        let hashes = match &digest.content {
            Ok(content) => content.log_files.iter().map(|file| file.sha256).collect(),
            Err(Unreadable::NotFound | Unreadable::Format(_) | Unreadable::Failed(_)) => Vec::new(),
        };
        Judged { result, hashes }
    }

    /// Hashes the log files of a window's digests, as far as those digests are worth it.
    fn check_logs(&mut self, judged: &mut [Judged]) {
        let mut jobs = Vec::new();
        let mut places = Vec::new();
        for (index, digest) in judged.iter_mut().enumerate() {
            let status = digest.result.status;
            let is_worth = status.is_signed() || status == DigestStatus::Unsigned;
            for (position, hash) in digest.hashes.iter().enumerate() {
                let log = &mut digest.result.logs[position];
                let listed = self.refer(&log.uri);
                if !is_worth {
                    continue;
                }
                let Some(expected) = *hash else {
                    log.detail = Some("its hash in the digest is no SHA-256".to_owned());
                    continue;
                };
                if listed.and_then(|object| (self.known)(object)) == Some(expected) {
                    self.summary.logs_known += 1;
                    log.status = vouched(status, LogStatus::Valid);
                    continue;
                }
                places.push((index, position));
                jobs.push(Job {
                    uri: log.uri.clone(),
                    listed: listed.map(|object| (object.size, object.etag.clone())),
                    expected,
                });
            }
            if !is_worth {
                // Anything may stand in it: that so many are not vouched for is all it tells.
                digest.result.logs = Vec::new();
            }
        }
        let desk = Desk {
            archive: self.verifier.archive.clone(),
            runtime: self.verifier.runtime.clone(),
        };
        let checked = logs::check(&desk, jobs);
        for ((index, position), (status, detail)) in places.into_iter().zip(checked) {
            let result = &mut judged[index].result;
            let status = vouched(result.status, status);
            let log = &mut result.logs[position];
            (log.status, log.detail) = (status, detail);
        }
    }

    /// Notes that a digest names a log file; gives what is listed of it.
    fn refer(&mut self, uri: &str) -> Option<&'a ObjectRef> {
        let Listed {
            logs, earlier_logs, ..
        } = self.listed;
        let logs = logs.unwrap_or_default();
        if let Some(index) = find(logs, uri) {
            self.referenced[index] = true;
            return Some(&logs[index]);
        }
        find(earlier_logs, uri).map(|index| &earlier_logs[index])
    }

    fn tell_unreferenced(
        &mut self,
        on_result: &mut dyn FnMut(Verdict) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let newest_ends = self.plan.newest_ends();
        for (object, is_referenced) in self
            .listed
            .logs
            .unwrap_or_default()
            .iter()
            .zip(&self.referenced)
        {
            if *is_referenced {
                continue;
            }
            let Some(status) = self.status_of_unreferenced(object, &newest_ends) else {
                continue;
            };
            self.summary.count_log(status);
            on_result(Verdict::Log(LogResult {
                uri: object.uri.to_string(),
                status,
                detail: None,
            }))?;
        }
        ControlFlow::Continue(())
    }

    /// None for what was delivered outside the time that is asked for.
    fn status_of_unreferenced(
        &self,
        object: &ObjectRef,
        newest_ends: &BTreeMap<(&str, &str), Timestamp>,
    ) -> Option<LogStatus> {
        // Whatever it is named and wherever it lies, a conversion reads it.
        let Some((key, stamp)) = object.key().and_then(|key| Some((key, key.stamp?))) else {
            return Some(LogStatus::Unreferenced);
        };
        let (since, until) = (self.verifier.since, self.verifier.until);
        if since.is_some_and(|since| stamp < since) || until.is_some_and(|until| stamp >= until) {
            return None;
        }
        let newest = newest_ends.get(&(key.account, key.region.unwrap_or_default()));
        let may_come = newest.is_none_or(|&newest| later(stamp, DELIVERY) > newest);
        let goes_on = newest.is_some_and(|&newest| until.is_some_and(|until| newest >= until));
        match may_come && (goes_on || later(stamp, AWAITED) > self.verifier.now) {
            true => Some(LogStatus::Pending),
            false => Some(LogStatus::Unreferenced),
        }
    }
}

/// A log file is no better than the digest that names it.
fn vouched(digest: DigestStatus, log: LogStatus) -> LogStatus {
    match log {
        LogStatus::Valid if !digest.is_signed() => LogStatus::Unvouched,
        log => log,
    }
}

/// Where an object stands among those listed.
fn find(objects: &[ObjectRef], uri: &str) -> Option<usize> {
    objects
        .binary_search_by(|object| (*object.uri).cmp(uri))
        .ok()
}
