//! Lists the objects of a bucket, and asks only for the folders that can hold wanted events.
//!
//! A folder all of which is wanted is listed flat; if that takes more than one page, it is split into
//! its folders, which are then listed side by side. A folder of which a part is wanted is split at once,
//! level by level, so that objects beside the expected folders are seen as well.

use std::borrow::Cow;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, Object};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::s3::{Bucket, list_error};
use super::selection::{FolderVerdict, OutOfSelection, Selection};
use super::{ListError, Listing, ObjectKind, ObjectRef};

/// How many requests are in flight; S3 serves thousands a second for each prefix.
const LISTS_IN_FLIGHT: usize = 32;
/// A folder outside the layout with more folders than this is listed flat: it may be one folder an object.
const MAX_UNKNOWN_FOLDERS: usize = 100;

/// How the rest of a prefix is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// The object whose key is the prefix itself.
    Key,
    /// Folder by folder.
    Folders,
    /// Folder by folder unless they are many.
    Probe,
    /// Everything below; more than one page is split by the given pass.
    Flat { split: Option<Split> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    Folders,
    Probe,
}

/// One request to be sent.
#[derive(Debug)]
struct Request {
    prefix: String,
    pass: Pass,
    /// Where the page before ended.
    token: Option<String>,
}

struct Walk<'a> {
    bucket: &'a Bucket,
    selection: &'a Selection,
    listing: &'a mut Listing,
    /// Taken from the end: depth first, so that few wait.
    waiting: Vec<Request>,
}

/// Lists what is below `prefix`: a folder at any depth, or a whole key.
///
/// `…/2025/06` means that folder or that object, never `…/2025/06-old`.
pub(super) async fn list(
    bucket: &Bucket,
    prefix: &str,
    selection: &Selection,
    listing: &mut Listing,
    progress: &(dyn Fn(u64) + Sync),
) {
    let mut walk = Walk {
        bucket,
        selection,
        listing,
        waiting: Vec::new(),
    };
    if prefix.is_empty() || prefix.ends_with('/') {
        walk.visit(prefix.to_owned());
    } else {
        walk.wait(prefix.to_owned(), Pass::Key);
        walk.visit(format!("{prefix}/"));
    }
    let mut in_flight = FuturesUnordered::new();
    loop {
        while in_flight.len() < LISTS_IN_FLIGHT
            && let Some(request) = walk.waiting.pop()
        {
            in_flight.push(send(bucket, request));
        }
        let Some((request, answer)) = in_flight.next().await else {
            return;
        };
        match answer {
            Ok(page) => walk.take(request, &page),
            Err(error) => walk.fail(&request.prefix, error),
        }
        if walk.listing.objects.has_failed() {
            return;
        }
        progress(walk.listing.listed);
    }
}

async fn send(
    bucket: &Bucket,
    request: Request,
) -> (Request, Result<ListObjectsV2Output, ListError>) {
    let mut call = bucket
        .client
        .list_objects_v2()
        .bucket(&bucket.name)
        .prefix(&request.prefix)
        // Keys may hold characters that XML cannot.
        .encoding_type(EncodingType::Url)
        .set_continuation_token(request.token.clone())
        .set_request_payer(bucket.payer.clone());
    match request.pass {
        Pass::Key => call = call.max_keys(1),
        Pass::Folders | Pass::Probe => call = call.delimiter("/"),
        Pass::Flat { .. } => {}
    }
    let answer = call.send().await.map_err(list_error);
    (request, answer)
}

impl Walk<'_> {
    fn wait(&mut self, prefix: String, pass: Pass) {
        self.waiting.push(Request {
            prefix,
            pass,
            token: None,
        });
    }

    fn fail(&mut self, prefix: &str, error: ListError) {
        let place = format!("s3://{}/{prefix}", self.bucket.name);
        self.listing.fail(place, error);
    }

    /// Puts a folder on the list of what to ask for, or leaves it out.
    fn visit(&mut self, folder: String) {
        let pass = match self.selection.judge_folder(&folder) {
            FolderVerdict::Pruned(reason) => return self.listing.prune(reason),
            FolderVerdict::Mixed => Pass::Folders,
            FolderVerdict::Whole { day: true } => Pass::Flat { split: None },
            FolderVerdict::Whole { day: false } => Pass::Flat {
                split: Some(Split::Folders),
            },
            FolderVerdict::Unknown => Pass::Flat {
                split: Some(Split::Probe),
            },
        };
        self.wait(folder, pass);
    }

    fn take(&mut self, mut request: Request, page: &ListObjectsV2Output) {
        let has_more = page.is_truncated() == Some(true);
        match request.pass {
            Pass::Key => return self.take_key(&request.prefix, page),
            Pass::Flat { split: Some(split) } if has_more => {
                let pass = match split {
                    Split::Folders => Pass::Folders,
                    Split::Probe => Pass::Probe,
                };
                return self.wait(request.prefix, pass);
            }
            Pass::Probe if has_more || page.common_prefixes().len() > MAX_UNKNOWN_FOLDERS => {
                return self.wait(request.prefix, Pass::Flat { split: None });
            }
            _ => {}
        }
        let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
        for object in page.contents() {
            self.take_object(object, is_encoded);
        }
        for folder in page.common_prefixes() {
            match decode(folder.prefix().unwrap_or_default(), is_encoded) {
                // A server that answers with the folder itself would be asked for ever.
                Some(folder) if *folder == *request.prefix => {
                    self.fail(&request.prefix, ListError::Stuck);
                }
                Some(folder) => self.visit(folder.into_owned()),
                None => self.fail(folder.prefix().unwrap_or_default(), ListError::NameNotUtf8),
            }
        }
        if !has_more {
            return;
        }
        match page.next_continuation_token() {
            Some(token) if request.token.as_deref() != Some(token) => {
                request.token = Some(token.to_owned());
                self.waiting.push(request);
            }
            _ => self.fail(&request.prefix, ListError::Stuck),
        }
    }

    /// The key itself comes before all keys that begin with it.
    fn take_key(&mut self, key: &str, page: &ListObjectsV2Output) {
        let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
        if let Some(object) = page.contents().first()
            && decode(object.key().unwrap_or_default(), is_encoded).as_deref() == Some(key)
        {
            self.take_object(object, is_encoded);
        }
    }

    fn take_object(&mut self, object: &Object, is_encoded: bool) {
        let written = object.key().unwrap_or_default();
        let Some(key) = decode(written, is_encoded) else {
            return self.fail(written, ListError::NameNotUtf8);
        };
        let size = object
            .size()
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(0);
        if size == 0 && key.ends_with('/') {
            return self.listing.leave_out(OutOfSelection::FolderMarker);
        }
        let object = ObjectRef {
            uri: format!("s3://{}/{key}", self.bucket.name).into(),
            size,
            etag: object.e_tag().map(Into::into),
            kind: ObjectKind::Unknown,
            date: None,
        };
        self.listing.admit(self.selection, object);
    }
}

/// Undoes the URL encoding of a listing, where a space may be `+`; None if the name is not UTF-8.
fn decode(text: &str, is_encoded: bool) -> Option<Cow<'_, str>> {
    if !is_encoded || !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (hex, bytes[at]) {
            (Some(byte), _) => {
                decoded.push(byte);
                at += 2;
            }
            (None, b'+') => decoded.push(b' '),
            (None, byte) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn encoded_names_come_back() {
        assert_eq!(decode("a%2Bb+c%E2%82%AC", true).as_deref(), Some("a+b c€"));
        assert_eq!(decode("a%2Bb+c", false).as_deref(), Some("a%2Bb+c"));
        assert_eq!(decode("100%", true).as_deref(), Some("100%"));
        assert_eq!(decode("%FF", true), None);
    }
}
