//! Posts to a webhook whose body Slack understands, and whose address is a secret.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use super::config::{Notify, Target};
use super::message::Message;
use super::secret::{Secret, SecretPlace};
use super::sink::{SendError, SinkError};
use super::slack;
use crate::render::sanitize::beginning;

/// Tries of one message.
const ATTEMPTS: u32 = 4;

/// Before the second try; doubled before each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// A server that asks for a longer wait is left to the next night.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a refusal that are read, and characters that are shown.
const MAX_ANSWER_BYTES: usize = 4 << 10;
const MAX_ANSWER_CHARACTERS: usize = 120;

/// A webhook, ready to be posted to.
#[derive(Debug)]
pub struct Webhook {
    client: Client,
    url: Secret,
    /// All marked as sensitive.
    headers: HeaderMap,
    secrets: Vec<Secret>,
}

/// What came of one try.
enum Try {
    Arrived,
    /// It did not arrive; the server may say how long to wait.
    Again(String, Option<Duration>),
    Failed(SendError),
}

impl Webhook {
    /// Reads the address and the headers from where they stand.
    pub fn open(notify: &Notify) -> Result<Self, SinkError> {
        let Target::Webhook {
            url: place,
            headers,
        } = &notify.target
        else {
            return Err(wrong(notify, "it is no webhook"));
        };
        let url = read(notify, place)?;
        let is_local = is_local(url.reveal())
            .ok_or_else(|| wrong(notify, &format!("{place} holds no https:// address")))?;
        let (headers, mut secrets) = read_headers(notify, headers)?;
        secrets.push(url.clone());
        let mut builder = Client::builder()
            .user_agent(concat!("dynatrail/", env!("CARGO_PKG_VERSION")))
            // What is sent is for that address alone.
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(notify.time_limit);
        builder = match is_local {
            true => builder.no_proxy(),
            false => builder.https_only(true),
        };
        let client = builder
            .build()
            .map_err(|_| wrong(notify, "TLS cannot be set up: are there CA certificates?"))?;
        Ok(Self {
            client,
            url,
            headers,
            secrets,
        })
    }

    /// Posts a message; waits and tries again where the server is busy or not there.
    ///
    /// What was sent and not answered, or by a gateway that does not know what became of it, is not
    /// sent again: it may have arrived.
    pub async fn post(&self, message: &Message) -> Result<(), SendError> {
        let body = slack::body(message).to_string();
        let mut backoff = FIRST_BACKOFF;
        let mut last = String::new();
        for attempt in 1..=ATTEMPTS {
            match self.try_once(&body, &message.idempotency_key).await {
                Try::Arrived => return Ok(()),
                Try::Failed(error) => return Err(error),
                Try::Again(problem, wait) => {
                    if wait.is_some_and(|wait| wait > MAX_RETRY_AFTER) {
                        return Err(SendError::refused(format!(
                            "{problem}, and asks for a longer wait than {} s",
                            MAX_RETRY_AFTER.as_secs()
                        )));
                    }
                    last = problem;
                    if attempt < ATTEMPTS {
                        tokio::time::sleep(wait.unwrap_or(backoff)).await;
                        backoff *= 2;
                    }
                }
            }
        }
        Err(SendError::refused(format!("{last}, {ATTEMPTS} times")))
    }

    async fn try_once(&self, body: &str, key: &str) -> Try {
        let request = self
            .client
            .post(self.url.reveal())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header("Idempotency-Key", key)
            .body(body.to_owned());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return self.unanswered(error),
        };
        let status = response.status();
        if status.is_success() {
            return Try::Arrived;
        }
        if status.is_redirection() {
            return Try::Failed(SendError::refused(format!(
                "the webhook answered {status}, a redirect, which is not followed: give the address \
                 it leads to"
            )));
        }
        let wait = retry_after(response.headers());
        let is_busy = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        let problem = format!(
            "the webhook answered {status}{}",
            self.words(response).await
        );
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
                Try::Failed(SendError::unsure(problem))
            }
            _ if is_busy => Try::Again(problem, wait),
            _ => Try::Failed(SendError::refused(problem)),
        }
    }

    fn unanswered(&self, error: reqwest::Error) -> Try {
        // The error has the address in it.
        let error = error.without_url();
        let (is_connect, is_timeout) = (error.is_connect(), error.is_timeout());
        let mut causes = String::new();
        let mut cause: Option<&dyn Error> = error.source();
        while let Some(error) = cause {
            causes.push_str(&format!(": {error}"));
            cause = error.source();
        }
        let causes = self.harmless(&causes);
        if is_connect {
            return Try::Again(format!("cannot connect to the webhook{causes}"), None);
        }
        let problem = match is_timeout {
            true => "the webhook did not answer in time".to_owned(),
            false => format!("the webhook broke off{causes}"),
        };
        Try::Failed(SendError::unsure(problem))
    }

    /// The beginning of what a server says to its refusal.
    async fn words(&self, mut response: Response) -> String {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() >= MAX_ANSWER_BYTES {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        match text.trim() {
            "" => String::new(),
            text => self.harmless(&format!(": {text}")),
        }
    }

    /// The beginning of a text; nothing where it holds a piece of a secret.
    fn harmless(&self, text: &str) -> String {
        if self.secrets.iter().any(|secret| secret.is_in(text)) {
            return String::new();
        }
        beginning(text, MAX_ANSWER_CHARACTERS)
    }
}

fn wrong(notify: &Notify, problem: &str) -> SinkError {
    SinkError::Wrong {
        sink: notify.name.clone(),
        problem: problem.to_owned(),
    }
}

fn read(notify: &Notify, place: &SecretPlace) -> Result<Secret, SinkError> {
    place.read().map_err(|source| SinkError::Secret {
        sink: notify.name.clone(),
        source,
    })
}

fn read_headers(
    notify: &Notify,
    places: &BTreeMap<String, SecretPlace>,
) -> Result<(HeaderMap, Vec<Secret>), SinkError> {
    let mut headers = HeaderMap::new();
    let mut secrets = Vec::new();
    for (name, place) in places {
        let secret = read(notify, place)?;
        let header: HeaderName = name
            .parse()
            .map_err(|_| wrong(notify, &format!("{name:?} is no name of a header")))?;
        let mut value: HeaderValue = secret
            .reveal()
            .parse()
            .map_err(|_| wrong(notify, &format!("{place} holds no value of a header")))?;
        value.set_sensitive(true);
        headers.insert(header, value);
        secrets.push(secret);
    }
    Ok((headers, secrets))
}

/// Whether an address is this machine's, which alone may go without TLS; none where it is no address
/// that may be posted to.
fn is_local(url: &str) -> Option<bool> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let is_loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Some(false),
        "http" if is_loopback => Some(true),
        _ => None,
    }
}

/// How long a server asks to wait, in seconds; the form with a date is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machine_is_posted_to_without_tls() {
        for (url, expected) in [
            ("https://hooks.example.com/x", Some(false)),
            ("http://127.0.0.1:8080/x", Some(true)),
            ("http://[::1]:8080/x", Some(true)),
            ("http://localhost/x", Some(true)),
            ("http://localhost.example.com/x", None),
            ("http://hooks.example.com/x", None),
            ("http://10.0.0.1/x", None),
            ("file:///etc/passwd", None),
            ("hooks.example.com", None),
        ] {
            assert_eq!(is_local(url), expected, "{url}");
        }
    }
}
