//! An S3 server in this process, over a folder, that can be told to misbehave.
//!
//! A bucket is a folder of at least three characters below the root, an object a file in it. Requests
//! are signed with the access key `AK` and the secret key `SK`, and addressed in path style.

use std::collections::HashMap;
use std::io::Error;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use siphasher::sip::SipHasher13;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use listing::Keys;

#[path = "s3_server/listing.rs"]
mod listing;

pub const ACCESS_KEY: &str = "AK";
pub const SECRET_KEY: &str = "SK";

/// How the server misbehaves. Which request is hit depends on the seed, the request and how often it came.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub seed: u64,
    /// The share of requests, 0 to 1, that get 503 SlowDown.
    pub unavailable: f64,
    /// The share of requests whose connection breaks before the answer.
    pub resets: f64,
    /// The share of GET requests whose answer breaks off in its middle.
    pub short_bodies: f64,
    /// Waits so long before the answer to a GET of an object.
    pub get_delay: Duration,
    /// Of these keys alone; all if it is empty.
    pub delayed_prefix: String,
    /// Listing or getting what begins so is answered with 403.
    pub denied_prefixes: Vec<String>,
    /// Keys that are listed, but get 404.
    pub vanished_keys: Vec<String>,
    /// Keys that get 403 InvalidObjectState.
    pub frozen_keys: Vec<String>,
    /// Requests signed for another region get 301 with the right one.
    pub region: Option<String>,
    /// Requests that do not agree to pay get 403.
    pub requester_pays: bool,
    /// Nobody has to sign.
    pub public: bool,
    /// The share of requests that are carried out, but whose answer is lost.
    pub lost_answers: f64,
    /// Lists the keys of each page in another order than that of their names.
    pub disorder: bool,
    /// Lists pages of so many keys, URL-encoded, where s3s-fs has 1000, as they are.
    pub page_keys: Option<usize>,
    /// Lists what lay in a bucket when it was listed first, at a cost that does not grow with it.
    pub still: bool,
}

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: Method,
    /// Without the bucket; decoded.
    pub key: String,
    /// The decoded query.
    pub query: HashMap<String, String>,
    pub is_signed: bool,
    pub is_broken: bool,
}

impl Seen {
    pub fn is_list(&self) -> bool {
        self.query.contains_key("list-type")
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    fn prefix(&self) -> &str {
        self.query("prefix").unwrap_or_default()
    }

    pub fn is_get(&self) -> bool {
        self.method == Method::GET && !self.key.is_empty()
    }
}

#[derive(Debug)]
struct State {
    root: PathBuf,
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Seen>>,
    /// How often the same request came.
    times: Mutex<HashMap<String, u64>>,
    /// What lies in buckets that are still.
    still: Mutex<HashMap<String, Arc<Keys>>>,
}

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub struct S3Server {
    /// `http://127.0.0.1:<port>`
    pub endpoint: String,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
}

impl S3Server {
    /// Starts a server on a thread of its own, so that tests without a runtime can use it.
    pub fn start(root: &Path, faults: Faults) -> S3Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
        if !faults.public {
            builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        }
        let service = builder.build();
        let state = Arc::new(State {
            root: root.to_owned(),
            faults: Mutex::new(faults),
            seen: Mutex::default(),
            times: Mutex::default(),
            still: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let shared = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, service, shared) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        S3Server {
            endpoint: format!("http://{address}"),
            state,
            stop: Some(stop),
        }
    }

    /// The variables for a process that shall use the server.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
        ]
    }

    pub fn set_faults(&self, faults: Faults) {
        *self.state.faults.lock().unwrap() = faults;
    }

    /// All requests so far, and forgets them.
    pub fn take_requests(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

async fn accept(listener: TcpListener, service: S3Service, state: Arc<State>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // Small answers in two writes would wait for the other side's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let (service, state) = (service.clone(), state.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let (service, state) = (service.clone(), state.clone());
                async move { answer(request, service, state).await }
            });
            // A connection that breaks is what some tests ask for.
            let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

/// What becomes of one request.
enum Fate {
    Served,
    Unavailable,
    Reset,
    ShortBody,
    LostAnswer,
}

async fn answer(
    request: Request<Incoming>,
    service: S3Service,
    state: Arc<State>,
) -> std::io::Result<Response<Body>> {
    let faults = state.faults.lock().unwrap().clone();
    let (bucket, mut seen) = describe(&request);
    let fate = state.fate(&request, &faults, &seen);
    seen.is_broken = !matches!(fate, Fate::Served);
    state.seen.lock().unwrap().push(seen.clone());
    match fate {
        Fate::Reset => return Err(Error::other("reset")),
        Fate::Unavailable => {
            return Ok(refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"));
        }
        Fate::Served | Fate::ShortBody | Fate::LostAnswer => {}
    }
    if let Some(refusal) = refusal(&request, &faults, &seen) {
        return Ok(refusal);
    }
    let mut response = match faults.page_keys {
        Some(page_keys) if seen.is_list() => match state.keys(&bucket, &faults, &seen) {
            Some(keys) => listing::answer(&keys, &seen, page_keys, faults.disorder),
            None => refuse(StatusCode::NOT_FOUND, "NoSuchBucket"),
        },
        _ => {
            if seen.is_get() && seen.key.starts_with(&faults.delayed_prefix) {
                tokio::time::sleep(faults.get_delay).await;
            }
            service
                .call(request.map(Body::from))
                .await
                .map_err(|error| Error::other(format!("{error:?}")))?
        }
    };
    if matches!(fate, Fate::LostAnswer) {
        return Err(Error::other("lost"));
    }
    if matches!(fate, Fate::ShortBody) && response.status() == StatusCode::OK {
        let (mut parts, mut body) = response.into_parts();
        let whole = body
            .store_all_limited(usize::MAX)
            .await
            .map_err(Error::other)?;
        parts.headers.insert("content-length", whole.len().into());
        let half = whole.slice(..whole.len() / 2);
        response = Response::from_parts(
            parts,
            Body::http_body(BrokenBody {
                half: Some(half),
                pause: None,
            }),
        );
    }
    Ok(response)
}

impl State {
    /// Draws by the seed, the request and how often it came, whatever came between.
    fn fate(&self, request: &Request<Incoming>, faults: &Faults, seen: &Seen) -> Fate {
        let line = format!("{} {}", request.method(), request.uri());
        let mut times = self.times.lock().unwrap();
        let time = times.entry(line.clone()).or_default();
        *time += 1;
        let hash = SipHasher13::new_with_keys(faults.seed, *time).hash(line.as_bytes());
        let draw = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        if draw < faults.unavailable {
            Fate::Unavailable
        } else if draw < faults.unavailable + faults.resets {
            Fate::Reset
        } else if draw < faults.unavailable + faults.resets + faults.short_bodies
            && seen.method == Method::GET
        {
            Fate::ShortBody
        } else if draw > 1.0 - faults.lost_answers {
            Fate::LostAnswer
        } else {
            Fate::Served
        }
    }

    /// What a listing chooses from; nothing if there is no such bucket.
    fn keys(&self, bucket: &str, faults: &Faults, seen: &Seen) -> Option<Arc<Keys>> {
        let folder = self.root.join(bucket);
        if !folder.is_dir() {
            return None;
        }
        if !faults.still {
            return Some(Arc::new(listing::keys_below(&folder, seen.prefix())));
        }
        let mut still = self.still.lock().unwrap();
        let keys = still
            .entry(bucket.to_owned())
            .or_insert_with(|| Arc::new(listing::keys_below(&folder, "")));
        Some(keys.clone())
    }
}

fn describe(request: &Request<Incoming>) -> (String, Seen) {
    let path = percent_decode(request.uri().path());
    let (bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let mut query = HashMap::new();
    for pair in request.uri().query().unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        query.insert(percent_decode(name), percent_decode(value));
    }
    let seen = Seen {
        method: request.method().clone(),
        key: key.to_owned(),
        query,
        is_signed: request.headers().contains_key(AUTHORIZATION),
        is_broken: false,
    };
    (bucket.to_owned(), seen)
}

/// The refusals that do not depend on chance.
fn refusal(request: &Request<Incoming>, faults: &Faults, seen: &Seen) -> Option<Response<Body>> {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    if let Some(region) = &faults.region
        && !header("authorization").is_some_and(|text| text.contains(&format!("/{region}/s3/")))
    {
        let mut response = refuse(StatusCode::MOVED_PERMANENTLY, "PermanentRedirect");
        let region = region.parse().unwrap();
        response.headers_mut().insert("x-amz-bucket-region", region);
        return Some(response);
    }
    let is_bucket_head = seen.method == Method::HEAD && seen.key.is_empty();
    let pays = header("x-amz-request-payer").is_some_and(|payer| payer == "requester");
    let place = match seen.query.get("prefix") {
        Some(prefix) => prefix,
        None => &seen.key,
    };
    let is_denied = faults
        .denied_prefixes
        .iter()
        .any(|denied| place.starts_with(denied));
    if is_denied || (faults.requester_pays && !pays && !is_bucket_head) {
        return Some(refuse(StatusCode::FORBIDDEN, "AccessDenied"));
    }
    if seen.is_get() && faults.vanished_keys.contains(&seen.key) {
        return Some(refuse(StatusCode::NOT_FOUND, "NoSuchKey"));
    }
    if seen.is_get() && faults.frozen_keys.contains(&seen.key) {
        return Some(refuse(StatusCode::FORBIDDEN, "InvalidObjectState"));
    }
    None
}

fn refuse(status: StatusCode, code: &str) -> Response<Body> {
    xml(
        status,
        format!("<Error><Code>{code}</Code><Message>as the test asks</Message></Error>"),
    )
}

fn xml(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, "application/xml".parse().unwrap());
    response
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let hex = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// A body that breaks off, a moment after its first half is sent.
struct BrokenBody {
    half: Option<Bytes>,
    pause: Option<Pin<Box<Sleep>>>,
}

/// Long enough for the first half to leave.
const BREAK_PAUSE: Duration = Duration::from_millis(5);

impl HttpBody for BrokenBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(BREAK_PAUSE)));
        pause
            .as_mut()
            .poll(context)
            .map(|()| Some(Err(Error::other("broken off"))))
    }
}
