//! The three kinds of sinks, each against a real other side.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::{Credentials, Region, SharedCredentialsProvider};
use dynatrail::archive::{S3Options, aws_config};
use dynatrail::report::header::Level;
use dynatrail::signal::{Delivery, DeliveryOutcome, Sinks, config, deliver};
use serde_json::Value;

use super::hook::{Hook, Reply};
use super::{HOSTILE, Site, finding, findings, night, sections};

const SECRET_PATH: &str = "/services/T0000/B0000/abcdefSECRETghij";

/// One night with one grave finding, told to the sinks of a configuration.
fn tell(site: &Site, config: &str) -> Delivery {
    tell_sinks(site, &site.sinks(config))
}

fn tell_sinks(site: &Site, sinks: &Sinks) -> Delivery {
    let mut grave = finding("00c0ffee00c0ffee", "grave", Level::Critical);
    grave
        .facts
        .push(("principal".to_owned(), HOSTILE.to_owned()));
    let found = findings(&[grave]);
    let night = night("2025-03-13T02:00:00Z", &found);
    let mut book = site.book();
    book.turn(&night);
    deliver(&mut book, &site.store, sinks, &night).remove(0)
}

/// A webhook at a server's secret path.
fn webhook(site: &Site, hook: &Hook, more: &str) -> String {
    let url = site.url_file("url", &format!("{}{SECRET_PATH}", hook.endpoint));
    format!("[[notify]]\nkind = \"webhook\"\nurl_file = {url:?}\n{more}\n")
}

fn problem(delivery: &Delivery) -> &str {
    delivery.problem.as_deref().unwrap_or_default()
}

#[test]
fn a_webhook_is_posted_to_with_a_body_for_slack() {
    let site = Site::new();
    let hook = Hook::start(|_, _| Reply::status(200));
    let token = site.url_file("token", "Bearer tokenSECRETtoken");
    let more = format!("headers = {{ Authorization = {{ file = {token:?} }} }}");
    let sinks = site.sinks(&webhook(&site, &hook, &more));
    let shown = format!("{sinks:?}");
    assert!(!shown.contains("SECRET"), "{shown}");
    let delivery = tell_sinks(&site, &sinks);
    assert_eq!(delivery.outcome, DeliveryOutcome::Sent, "{delivery:?}");
    let posted = hook.take().remove(0);
    assert_eq!(posted.path, SECRET_PATH);
    assert_eq!(posted.header("authorization"), "Bearer tokenSECRETtoken");
    assert_eq!(posted.header("idempotency-key").len(), 32);
    let body = &posted.body;
    assert_eq!(body["text"], "dynatrail: 1 new finding, critical at worst");
    let blocks = body["blocks"].as_array().unwrap();
    let mut shown = body["text"].as_str().unwrap().to_owned();
    for block in blocks {
        shown.push_str(block["text"]["text"].as_str().unwrap());
        let kind = block["text"]["type"].as_str().unwrap();
        assert!(kind == "plain_text" || block["text"]["verbatim"] == true);
    }
    assert!(shown.contains("00c0ffee00c0ffee"), "{shown}");
    assert!(shown.contains("&lt;!channel&gt;"), "{shown}");
    assert!(
        !shown.contains(['<', '>', '\u{1b}', '\u{202e}', '\r']),
        "{shown}"
    );
    assert!(!shown.contains("@here"), "{shown}");
    let own = &body["dynatrail"]["reports"][0]["findings"][0];
    assert_eq!(own["id"], "00c0ffee00c0ffee");
    assert!(!own["summary"].as_str().unwrap().contains('\u{1b}'));
}

/// The variable by which the test below tells itself where to post.
const HOOK_VARIABLE: &str = "DYNATRAIL_TEST_HOOK";

#[test]
fn the_address_comes_from_the_environment() {
    let config = format!("[[notify]]\nkind = \"webhook\"\nurl_env = \"{HOOK_VARIABLE}\"\n");
    if std::env::var_os(HOOK_VARIABLE).is_some() {
        let delivery = tell(&Site::new(), &config);
        assert_eq!(delivery.outcome, DeliveryOutcome::Sent);
        return;
    }
    let hook = Hook::start(|_, _| Reply::status(200));
    let name = "signal::channels::the_address_comes_from_the_environment";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(HOOK_VARIABLE, format!("{}{SECRET_PATH}", hook.endpoint))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!format!("{output:?}").contains("SECRET"));
    assert_eq!(hook.count(), 1);
    let error = config::parse(&sections(&config)).map(|notifies| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        Sinks::open(notifies, &S3Options::default(), handle).unwrap_err()
    });
    let source = std::error::Error::source(&error.unwrap()).map(ToString::to_string);
    assert!(source.unwrap().contains(HOOK_VARIABLE));
}

#[test]
fn a_busy_webhook_is_tried_again_with_the_same_key() {
    let site = Site::new();
    let hook = Hook::start(|_, before| match before {
        0 => Reply::again(429),
        1 => Reply::again(503),
        _ => Reply::status(204),
    });
    let delivery = tell(&site, &webhook(&site, &hook, ""));
    assert_eq!(delivery.outcome, DeliveryOutcome::Sent, "{delivery:?}");
    let posted = hook.take();
    assert_eq!(posted.len(), 3);
    let key = posted[0].header("idempotency-key");
    assert!(
        posted
            .iter()
            .all(|posted| posted.header("idempotency-key") == key)
    );
    assert!(posted.iter().all(|other| other.body == posted[0].body));
}

#[test]
fn what_a_webhook_refuses_is_told_the_next_night() {
    for (reply, tries, words) in [
        (Reply::again(503), 4, "503"),
        (
            Reply {
                headers: vec![("retry-after", "3600".to_owned())],
                ..Reply::status(429)
            },
            1,
            "longer wait",
        ),
        (
            Reply {
                body: "invalid_payload \u{1b}[2J".to_owned(),
                ..Reply::status(400)
            },
            1,
            "invalid_payload",
        ),
        (
            Reply {
                body: format!("no such hook {SECRET_PATH}"),
                ..Reply::status(404)
            },
            1,
            "404",
        ),
    ] {
        let site = Site::new();
        let hook = Hook::start(move |_, before| match before < tries {
            true => reply.clone(),
            false => Reply::status(200),
        });
        let config = webhook(&site, &hook, "");
        let delivery = tell(&site, &config);
        assert_eq!(delivery.outcome, DeliveryOutcome::Failed, "{words}");
        assert!(problem(&delivery).contains(words), "{delivery:?}");
        let shown = format!("{delivery:?}{}", serde_json::to_string(&delivery).unwrap());
        assert!(
            !shown.contains("SECRET") && !shown.contains('\u{1b}'),
            "{shown}"
        );
        assert_eq!(hook.count(), tries);
        let delivery = tell(&site, &config);
        assert_eq!(delivery.outcome, DeliveryOutcome::Sent);
        assert!(!delivery.may_repeat);
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let site = Site::new();
    let other = Hook::start(|_, _| Reply::status(200));
    let leads_to = format!("{}/elsewhereSECRET", other.endpoint);
    let hook = Hook::start(move |_, _| Reply {
        headers: vec![("location", leads_to.clone())],
        ..Reply::status(307)
    });
    let delivery = tell(&site, &webhook(&site, &hook, ""));
    assert!(problem(&delivery).contains("redirect"), "{delivery:?}");
    assert!(!problem(&delivery).contains("SECRET"));
    assert!(other.take().is_empty());
}

#[test]
fn a_webhook_that_does_not_answer_may_have_heard() {
    let site = Site::new();
    let hook = Hook::start(|_, before| Reply {
        delay: Duration::from_secs(if before == 0 { 30 } else { 0 }),
        ..Reply::status(200)
    });
    let config = webhook(&site, &hook, "time_limit_seconds = 1");
    let delivery = tell(&site, &config);
    assert_eq!(delivery.outcome, DeliveryOutcome::Failed);
    assert!(problem(&delivery).contains("in time"), "{delivery:?}");
    assert_eq!(hook.count(), 1, "it is not sent twice in a night");
    let delivery = tell(&site, &config);
    assert_eq!(delivery.outcome, DeliveryOutcome::Sent);
    assert!(delivery.may_repeat);
    assert_eq!(hook.take()[1].body["dynatrail"]["may_repeat"], true);
}

/// A gateway that got no answer does not know whether the message arrived.
#[test]
fn a_gateway_without_an_answer_may_have_passed_it_on() {
    for status in [502, 504] {
        let site = Site::new();
        let hook = Hook::start(move |_, before| match before {
            0 => Reply::again(status),
            _ => Reply::status(200),
        });
        let config = webhook(&site, &hook, "");
        let delivery = tell(&site, &config);
        assert_eq!(delivery.outcome, DeliveryOutcome::Failed);
        assert_eq!(hook.count(), 1, "it is not sent twice in a night");
        let delivery = tell(&site, &config);
        assert_eq!(delivery.outcome, DeliveryOutcome::Sent);
        assert!(delivery.may_repeat);
    }
}

/// The sinks of a topic at a server, with credentials.
fn topic_at(site: &Site, endpoint: &str) -> Sinks {
    let credentials = Credentials::new("AK", "SK", None, None, "test");
    let config = site.runtime.block_on(aws_config(&S3Options::default()));
    let config = config
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let text = format!(
        "[[notify]]\nkind = \"sns\"\nendpoint_url = {endpoint:?}\n\
         topic_arn = \"arn:aws:sns:eu-central-1:111122223333:alarms\"\n"
    );
    let notifies = config::parse(&sections(&text)).unwrap();
    Sinks::open_with(notifies, &config, site.runtime.handle().clone()).unwrap()
}

/// What may have been published is not published again in the same night, and on the next one it says
/// so; what certainly was not is tried again.
#[test]
fn a_topic_is_told_once_whatever_it_answers() {
    for (status, tries, may_repeat) in [
        (500, 1, true),
        (504, 1, true),
        (503, 4, false),
        (403, 1, false),
    ] {
        let site = Site::new();
        let hook = Hook::start(move |_, _| Reply::status(status));
        let sinks = topic_at(&site, &hook.endpoint);
        let delivery = tell_sinks(&site, &sinks);
        assert_eq!(delivery.outcome, DeliveryOutcome::Failed);
        assert_eq!(hook.count(), tries, "{status}: {delivery:?}");
        assert_eq!(tell_sinks(&site, &sinks).may_repeat, may_repeat, "{status}");
    }
}

/// An endpoint that reads a request and hangs up.
#[test]
fn a_topic_that_hangs_up_may_have_heard() {
    let site = Site::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 64 << 10];
            if stream.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let sinks = topic_at(&site, &endpoint);
    let delivery = tell_sinks(&site, &sinks);
    assert_eq!(delivery.outcome, DeliveryOutcome::Failed, "{delivery:?}");
    assert_eq!(heard.load(Ordering::SeqCst), 1, "{delivery:?}");
    assert!(tell_sinks(&site, &sinks).may_repeat);
}

/// Where nobody listens, nothing has arrived.
#[test]
fn a_topic_that_is_not_there_has_heard_nothing() {
    let site = Site::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", port.local_addr().unwrap());
    drop(port);
    let sinks = topic_at(&site, &endpoint);
    let delivery = tell_sinks(&site, &sinks);
    assert_eq!(delivery.outcome, DeliveryOutcome::Failed, "{delivery:?}");
    assert!(!tell_sinks(&site, &sinks).may_repeat, "{delivery:?}");
}

#[test]
fn nobody_there_leaks_nothing() {
    let site = Site::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let url = site.url_file("url", &format!("http://{address}{SECRET_PATH}"));
    let config = format!("[[notify]]\nkind = \"webhook\"\nurl_file = {url:?}\n");
    let delivery = tell(&site, &config);
    assert!(
        problem(&delivery).contains("cannot connect"),
        "{delivery:?}"
    );
    assert!(!format!("{delivery:?}").contains("SECRET"));
}

#[test]
fn a_command_gets_the_message_on_its_input() {
    let site = Site::new();
    let out = site.path().join("out.json");
    let script = |text: &str, more: &str| {
        format!(
            "[[notify]]\nkind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", {text:?}, \"sh\", {:?}]\n{more}\n",
            out.display().to_string()
        )
    };
    let delivery = tell(&site, &script("cat > \"$1\"", ""));
    assert_eq!(delivery.outcome, DeliveryOutcome::Sent, "{delivery:?}");
    let message: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(message["status"], "findings");
    assert_eq!(message["level"], "critical");
    for (text, words, may_repeat) in [
        (
            "printf 'no \\033[2J pager' >&2; exit 3",
            "exit code 3",
            false,
        ),
        ("kill -9 $$", "signal 9", false),
        (
            "sleep 60 & echo waiting; wait",
            "did not end within 1 s",
            true,
        ),
    ] {
        let site = Site::new();
        let seconds = if may_repeat { 1 } else { 60 };
        let config = script(text, &format!("time_limit_seconds = {seconds}"));
        let begun = Instant::now();
        let delivery = tell(&site, &config);
        assert!(begun.elapsed() < Duration::from_secs(50));
        assert_eq!(delivery.outcome, DeliveryOutcome::Failed);
        assert!(problem(&delivery).contains(words), "{delivery:?}");
        assert!(!problem(&delivery).contains('\u{1b}'));
        // The next night has another command of the same name.
        let name = config.replace("[[notify]]", "[[notify]]\nname = \"pager\"");
        let again = script("true", "name = \"pager\"");
        let site = Site::new();
        tell(&site, &name);
        let delivery = tell(&site, &again);
        assert_eq!(delivery.outcome, DeliveryOutcome::Sent);
        assert_eq!(delivery.may_repeat, may_repeat, "{text}");
    }
    let site = Site::new();
    // It does not read its input, writes a lot, and is well all the same.
    let delivery = tell(&site, &script("yes | head -c 1000000", ""));
    assert_eq!(delivery.outcome, DeliveryOutcome::Sent, "{delivery:?}");
    let missing = "[[notify]]\nkind = \"command\"\ncommand = [\"/no/such/program\"]\n";
    let delivery = tell(&Site::new(), missing);
    assert!(problem(&delivery).contains("cannot run"), "{delivery:?}");
}

#[test]
fn a_mistake_in_a_section_is_named_and_no_secret_with_it() {
    let site = Site::new();
    for (text, words) in [
        ("kind = \"webhook\"\nurl = \"https://x/SECRET\"", "url_env"),
        ("kind = \"webhook\"", "url_env or url_file"),
        (
            "kind = \"webhook\"\nurl_env = \"A\"\nurl_file = \"b\"",
            "one of them",
        ),
        ("kind = \"pager\"", "pager"),
        ("kind = \"sns\"", "topic_arn"),
        ("kind = \"sns\"\ntopic_arn = \"alarms\"", "is not like"),
        (
            "kind = \"sns\"\ntopic_arn = \"arn:aws:sns:x:111122223333:a\"\ncommand = [\"x\"]",
            "command is not for",
        ),
        ("kind = \"command\"\ncommand = []", "command = ["),
        (
            "kind = \"command\"\ncommand = [\"x\"]\non = []",
            "on names nothing",
        ),
        (
            "kind = \"command\"\ncommand = [\"x\"]\nlevel = \"grave\"",
            "grave",
        ),
        (
            "kind = \"command\"\ncommand = [\"x\"]\ncolour = 1",
            "colour",
        ),
        (
            "kind = \"command\"\ncommand = [\"x\"]\ntime_limit_seconds = 0",
            "1 to 600",
        ),
        (
            "kind = \"webhook\"\nurl_env = \"A\"\nheaders = { Authorization = \"SECRET\" }",
            "env = ",
        ),
        (
            "kind = \"command\"\ncommand = [\"x\"]\n[[notify]]\nkind = \"command\"\ncommand = [\"x\"]",
            "name of its own",
        ),
    ] {
        let problem = config::parse(&sections(&format!("[[notify]]\n{text}\n"))).unwrap_err();
        assert!(problem.contains(words), "{text}: {problem}");
        assert!(!problem.contains("SECRET"), "{problem}");
    }
    for url in [
        "http://hooks.example.com/SECRET",
        "SECRET",
        "ftp://x/SECRET",
    ] {
        let path = site.url_file("url", url);
        let text = format!("[[notify]]\nkind = \"webhook\"\nurl_file = {path:?}\n");
        let notifies = config::parse(&sections(&text)).unwrap();
        let handle = site.runtime.handle().clone();
        let error = Sinks::open(notifies, &S3Options::default(), handle).unwrap_err();
        assert!(error.to_string().contains("https://"), "{error}");
        assert!(!format!("{error:?}{error}").contains("SECRET"), "{error:?}");
    }
}

/// moto's SNS and SQS in a process of their own.
struct Sns {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Sns {
    /// Starts it, and says where it is; none where there is no moto.
    fn start() -> Option<(Self, Value)> {
        let Ok(python) = std::env::var("DYNATRAIL_PYTHON") else {
            assert!(std::env::var("CI").is_err(), "CI has a Python with moto");
            println!("skipped: DYNATRAIL_PYTHON names no Python with moto");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/sns_server.py");
        let mut process = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut sns = Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
        };
        let about = sns.line();
        Some((sns, about))
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// What has come to a topic.
    fn received(&mut self, topic: &str) -> Value {
        writeln!(self.input, "{topic}").unwrap();
        self.line()
    }
}

impl Drop for Sns {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_topic_without_credentials_says_so() {
    let site = Site::new();
    let text = "[[notify]]\nkind = \"sns\"\nendpoint_url = \"http://127.0.0.1:9\"\n\
                topic_arn = \"arn:aws:sns:eu-central-1:111122223333:alarms\"\n";
    let options = S3Options {
        profile: Some("no-such-profile".to_owned()),
        ..S3Options::default()
    };
    let notifies = config::parse(&sections(text)).unwrap();
    let handle = site.runtime.handle().clone();
    let sinks = Sinks::open(notifies, &options, handle).unwrap();
    let delivery = tell_sinks(&site, &sinks);
    assert_eq!(delivery.outcome, DeliveryOutcome::Failed);
    assert!(problem(&delivery).contains("credential"), "{delivery:?}");
    assert!(!delivery.may_repeat);
}

#[test]
fn a_topic_is_published_to() {
    let Some((mut sns, about)) = Sns::start() else {
        return;
    };
    let site = Site::new();
    let credentials = Credentials::new("AK", "SK", None, None, "test");
    let config = site.runtime.block_on(aws_config(&S3Options::default()));
    let config = config
        .into_builder()
        // The topic's region counts.
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let text = |topic: &str| {
        format!(
            "[[notify]]\nkind = \"sns\"\ntopic_arn = {topic}\nendpoint_url = {}\n",
            about["endpoint"]
        )
    };
    let open = |text: &str| {
        let notifies = config::parse(&sections(text)).unwrap();
        Sinks::open_with(notifies, &config, site.runtime.handle().clone()).unwrap()
    };
    for topic in ["plain", "fifo"] {
        let delivery = tell_sinks(&site, &open(&text(&about[topic].to_string())));
        assert_eq!(delivery.outcome, DeliveryOutcome::Sent, "{delivery:?}");
        let received = sns.received(topic);
        assert_eq!(received.as_array().unwrap().len(), 1, "{received}");
        let body = &received[0]["body"];
        let subject = body["Subject"].as_str().unwrap();
        assert_eq!(subject, "dynatrail: 1 new finding, critical at worst");
        assert_eq!(body["MessageAttributes"]["level"]["Value"], "critical");
        assert_eq!(body["MessageAttributes"]["status"]["Value"], "findings");
        let message = body["Message"].as_str().unwrap();
        assert!(message.contains("00c0ffee00c0ffee"), "{message}");
        assert!(!message.contains(['\u{1b}', '\r']), "{message}");
        // Nothing is told twice.
        let delivery = tell_sinks(&site, &open(&text(&about[topic].to_string())));
        assert_eq!(delivery.outcome, DeliveryOutcome::Nothing);
        assert_eq!(sns.received(topic).as_array().unwrap().len(), 0);
    }
    let nowhere = about["plain"].to_string().replace("alarms", "nowhere");
    let delivery = tell_sinks(&site, &open(&text(&nowhere)));
    assert_eq!(delivery.outcome, DeliveryOutcome::Failed);
    assert!(problem(&delivery).contains("NotFound"), "{delivery:?}");
}
