//! Serves the folders below a directory as S3 buckets, for measurements: `serve ROOT [--delay-ms N]`.
//!
//! The first line on stdout is the endpoint's URL; `--delay-ms` waits before every GET of an
//! object, as a distant or busy server does. Listings are answered from memory, by what lay in a
//! bucket when it was listed first. It serves until it is killed.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

// Faults other than the delay, and the record of requests, are for the tests.
#[allow(dead_code)]
#[path = "../tests/it/s3_server.rs"]
mod s3_server;

use s3_server::{Faults, S3Server};

/// Keys on a page of a listing, as in S3.
const PAGE_KEYS: usize = 1000;

const USAGE: &str = "usage: serve ROOT [--delay-ms N]";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (root, delay) = match words[..] {
        [root] => (root, "0"),
        [root, "--delay-ms", delay] | ["--delay-ms", delay, root] => (root, delay),
        _ => refuse(USAGE),
    };
    let Ok(delay_ms) = delay.parse() else {
        refuse(USAGE)
    };
    if !Path::new(root).is_dir() {
        refuse(&format!("{root} is no folder"));
    }
    let faults = Faults {
        get_delay: Duration::from_millis(delay_ms),
        page_keys: Some(PAGE_KEYS),
        still: true,
        ..Faults::default()
    };
    let server = S3Server::start(Path::new(root), faults);
    println!("{}", server.endpoint);
    std::io::stdout()
        .flush()
        .expect("whoever starts the server reads its address");
    loop {
        std::thread::park();
    }
}

fn refuse(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(2);
}
