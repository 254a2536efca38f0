//! Hashes log files on all cores, fetched or read ahead within a budget of bytes.

use std::sync::{Arc, mpsc};

use bytes::Bytes;
use futures::StreamExt;
use ring::digest::{Context, SHA256};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::digest::Sha256;
use super::load::{Worker, chain_of, with_worker};
use super::result::LogStatus;
use crate::archive::{Archive, FetchError, MAX_OBJECT_BYTES};
use crate::container::{Content, ContentDamage, Encoding};

/// Log files are handed over in groups of about this many compressed bytes: small files must not
/// cost a task each.
const GROUP_BYTES: u64 = 512 << 10;

/// Most log files of a group.
const GROUP_FILES: usize = 64;

/// Files of a group that are fetched at once.
const FETCHES_OF_GROUP: usize = 32;

/// Compressed bytes in flight; a file larger than this goes alone.
const BUDGET_BYTES: u64 = 32 << 20;

/// What a group costs of the budget at least, so that requests in flight are bounded too.
const LEAST_COST_BYTES: u64 = 2 << 20;

/// What a file that no listing has is reckoned with; a larger one is left until its size is known.
const UNLISTED_BYTES: u64 = 64 << 10;

/// The unit in which the budget is counted.
const PERMIT_BYTES: u64 = 1 << 10;

/// A log file whose bytes are to be hashed.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) uri: String,
    /// What the listing has of it: size in bytes and entity tag.
    pub(super) listed: Option<(u64, Option<Box<str>>)>,
    pub(super) expected: Sha256,
}

/// What came of one.
pub(super) type Checked = (LogStatus, Option<String>);

/// Where files come from, and who waits for them.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) archive: Arc<Archive>,
    pub(super) runtime: Handle,
}

/// Hashes the files; the outcomes stand in the order of the jobs.
///
/// What turns out to be larger than it was reckoned with is fetched once more, with its size taken
/// from the budget.
pub(super) fn check(desk: &Desk, jobs: Vec<Job>) -> Vec<Checked> {
    let mut checked = Vec::with_capacity(jobs.len());
    let (mut larger, mut places) = (Vec::new(), Vec::new());
    for (place, (job, outcome)) in pass(desk, jobs).into_iter().enumerate() {
        if let Err(FetchError::TooLarge { size, limit, .. }) = outcome
            && limit < MAX_OBJECT_BYTES
            && size <= MAX_OBJECT_BYTES
        {
            larger.push(Job {
                listed: Some((size, None)),
                ..job
            });
            places.push(place);
            checked.push(not_done());
            continue;
        }
        checked.push(outcome.unwrap_or_else(|error| unread(&error)));
    }
    for (place, (_, outcome)) in places.into_iter().zip(pass(desk, larger)) {
        checked[place] = outcome.unwrap_or_else(|error| unread(&error));
    }
    checked
}

fn not_done() -> Checked {
    (LogStatus::Failed, Some("it was not looked at".to_owned()))
}

/// Hashes the files, each within what it was reckoned with.
fn pass(desk: &Desk, jobs: Vec<Job>) -> Vec<(Job, Result<Checked, FetchError>)> {
    let budget = Arc::new(Semaphore::new(permits(BUDGET_BYTES) as usize));
    let (sender, receiver) = mpsc::channel();
    let mut outcomes = Vec::with_capacity(jobs.len());
    outcomes.extend(jobs.iter().map(|job| (job.clone(), Ok(not_done()))));
    let mut first = 0;
    for group in groups(jobs) {
        let cost = group.iter().map(Job::cost).sum::<u64>();
        let cost = permits(cost.clamp(LEAST_COST_BYTES, BUDGET_BYTES));
        let permit = desk
            .runtime
            .block_on(budget.clone().acquire_many_owned(cost))
            .expect("nobody closes the budget");
        let (start, sender, archive) = (first, sender.clone(), desk.archive.clone());
        first += group.len();
        let finish = move |fetched: Vec<(Job, Option<Result<Bytes, FetchError>>)>| {
            rayon::spawn(move || {
                let checked = with_worker(|worker| check_group(&archive, worker, fetched));
                drop(permit);
                // The receiver lives until all have sent.
                let _ = sender.send((start, checked));
            });
        };
        if group.iter().any(|job| desk.archive.is_remote(&job.uri)) {
            let archive = desk.archive.clone();
            desk.runtime.spawn(async move {
                finish(fetch(archive, group).await);
            });
        } else {
            finish(group.into_iter().map(|job| (job, None)).collect());
        }
    }
    drop(sender);
    for (start, checked) in receiver {
        for (offset, outcome) in checked.into_iter().enumerate() {
            outcomes[start + offset].1 = outcome;
        }
    }
    outcomes
}

impl Job {
    fn cost(&self) -> u64 {
        self.listed
            .as_ref()
            .map_or(UNLISTED_BYTES, |(size, _)| *size)
    }
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

fn groups(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let mut groups: Vec<Vec<Job>> = Vec::new();
    let mut bytes = 0;
    for job in jobs {
        bytes += job.cost();
        match groups.last_mut() {
            Some(group) if bytes <= GROUP_BYTES && group.len() < GROUP_FILES => group.push(job),
            _ => {
                bytes = job.cost();
                groups.push(vec![job]);
            }
        }
    }
    groups
}

async fn fetch(
    archive: Arc<Archive>,
    group: Vec<Job>,
) -> Vec<(Job, Option<Result<Bytes, FetchError>>)> {
    let fetches = group.into_iter().map(|job| {
        let archive = archive.clone();
        async move {
            let fetched = match archive.is_remote(&job.uri) {
                true => Some(fetch_one(&archive, &job).await),
                false => None,
            };
            (job, fetched)
        }
    });
    futures::stream::iter(fetches)
        .buffered(FETCHES_OF_GROUP)
        .collect()
        .await
}

/// What has changed since it was listed is taken as it is now: its hash decides.
async fn fetch_one(archive: &Archive, job: &Job) -> Result<Bytes, FetchError> {
    if let Some((size, etag)) = &job.listed {
        match archive.fetch(&job.uri, *size, etag.as_deref()).await {
            Err(FetchError::Changed { .. }) => {}
            fetched => return fetched,
        }
    }
    archive
        .fetch_with_metadata(&job.uri, job.cost())
        .await
        .map(|object| object.bytes)
}

fn check_group(
    archive: &Archive,
    worker: &mut Worker,
    fetched: Vec<(Job, Option<Result<Bytes, FetchError>>)>,
) -> Vec<Result<Checked, FetchError>> {
    let mut checked = Vec::with_capacity(fetched.len());
    for (job, fetched) in fetched {
        let outcome = match fetched {
            Some(Ok(bytes)) => Ok(check_bytes(&bytes, worker, &job.expected)),
            Some(Err(error)) => Err(error),
            None => {
                let mut buffer = std::mem::take(&mut worker.buffer);
                let read = archive.read_local_as_it_is(&job.uri, MAX_OBJECT_BYTES, &mut buffer);
                let outcome = read.map(|()| check_bytes(&buffer, worker, &job.expected));
                worker.buffer = buffer;
                outcome
            }
        };
        checked.push(outcome);
    }
    checked
}

fn unread(error: &FetchError) -> Checked {
    match error {
        FetchError::Gone { .. } => (LogStatus::NotFound, None),
        error => (LogStatus::Failed, Some(chain_of(error))),
    }
}

/// Compares the hash of all that a reader of the file would read.
fn check_bytes(bytes: &[u8], worker: &mut Worker, expected: &Sha256) -> Checked {
    if Encoding::sniff(bytes) != Encoding::Gzip && !bytes.is_empty() {
        return (LogStatus::InvalidFormat, Some("it is not gzip".to_owned()));
    }
    let Worker {
        inflater, window, ..
    } = worker;
    let mut content = Content::open(bytes, window);
    let mut hash = Context::new(&SHA256);
    loop {
        content.fill(inflater, window, window.bytes().len());
        hash.update(window.bytes());
        if content.is_finished() {
            break;
        }
    }
    let is_same = hash.finish().as_ref() == expected;
    match content.damage() {
        None if is_same => (LogStatus::Valid, None),
        None if content.gzip_members() > 1 => (
            LogStatus::TrailingData,
            Some(format!("it has {} gzip members", content.gzip_members())),
        ),
        // The aws CLI takes the end of a file for the end of its text.
        None | Some(ContentDamage::Truncated { .. }) => (LogStatus::HashMismatch, None),
        Some(damage @ ContentDamage::TrailingBytes { .. }) => {
            (LogStatus::TrailingData, Some(damage.to_string()))
        }
        Some(damage) => (LogStatus::InvalidFormat, Some(damage.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::sha256;
    use super::*;

    /// The checksum of RFC 1952 section 8.
    fn crc32(text: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in text {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ ((crc & 1) * 0xedb8_8320);
            }
        }
        !crc
    }

    /// A text in one gzip member without compression.
    fn gzip(text: &[u8]) -> Vec<u8> {
        let length = u16::try_from(text.len()).expect("a short text");
        let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
        bytes.extend(length.to_le_bytes());
        bytes.extend((!length).to_le_bytes());
        bytes.extend(text);
        bytes.extend(crc32(text).to_le_bytes());
        bytes.extend(u32::from(length).to_le_bytes());
        bytes
    }

    #[test]
    fn all_that_a_reader_reads_is_hashed() {
        let text = br#"{"Records":[]}"#;
        let sound = gzip(text);
        let status = |bytes: &[u8]| {
            let mut worker = Worker::default();
            check_bytes(bytes, &mut worker, &sha256(text)).0
        };
        assert_eq!(status(&sound), LogStatus::Valid);
        let second = [&sound[..], &gzip(b"{}")].concat();
        assert_eq!(status(&second), LogStatus::TrailingData);
        let garbage = [&sound[..], b"garbage"].concat();
        assert_eq!(status(&garbage), LogStatus::TrailingData);
        assert_eq!(status(&gzip(b"{}")), LogStatus::HashMismatch);
        assert_eq!(status(b""), LogStatus::HashMismatch);
        for length in 20..sound.len() {
            assert_eq!(
                status(&sound[..length]),
                LogStatus::HashMismatch,
                "{length}"
            );
        }
        assert_eq!(status(text), LogStatus::InvalidFormat);
        let mut damaged = sound.clone();
        damaged[sound.len() - 6] ^= 1;
        assert_eq!(status(&damaged), LogStatus::InvalidFormat);
        // The empty member says nothing, so the file still reads as it was written.
        let padded = [&sound[..], &gzip(b"")].concat();
        assert_eq!(status(&padded), LogStatus::Valid);
    }

    #[test]
    fn groups_are_small_and_whole() {
        let job = |size| Job {
            uri: "x".to_owned(),
            listed: Some((size, None)),
            expected: [0; 32],
        };
        let sizes = |jobs: Vec<Job>| -> Vec<usize> { groups(jobs).iter().map(Vec::len).collect() };
        assert_eq!(sizes(vec![]), Vec::<usize>::new());
        assert_eq!(sizes(vec![job(1); GROUP_FILES + 1]), [GROUP_FILES, 1]);
        assert_eq!(
            sizes(vec![job(GROUP_BYTES * 9), job(1), job(GROUP_BYTES)]),
            [1, 1, 1]
        );
        assert_eq!(
            sizes(vec![job(GROUP_BYTES / 2), job(GROUP_BYTES / 2), job(1)]),
            [2, 1]
        );
    }
}
