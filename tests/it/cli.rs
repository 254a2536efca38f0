//! The command line as an API: help, exit codes, what goes to stdout and stderr, and signals.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::convert_s3::{assert_same_files, buckets, run_on, sample};
use crate::product::{dynatrail, files, path, run};
use crate::s3_server::{Faults, S3Server};

fn commands() -> Vec<String> {
    let command = dynatrail::cli::command();
    let names = command.get_subcommands().map(|c| c.get_name().to_owned());
    names.collect()
}

/// A folder with few objects of the sample: a day of one account.
fn few_objects() -> TempDir {
    let folder = TempDir::new().unwrap();
    let day = "AWSLogs/123456789012/CloudTrail/us-east-1/2025/03/11";
    for (name, bytes) in files(&sample().join(day)) {
        let file = folder.path().join(day).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    folder
}

#[test]
fn every_command_has_help_with_examples() {
    assert!(commands().len() >= 7);
    for name in commands() {
        let ended = run(&[&name, "--help"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{name}");
        let (_, examples) = ended.stdout.split_once("Examples:\n").expect(&name);
        let begins = format!("  dynatrail {name}");
        assert!(examples.starts_with(&begins), "{name}: {examples}");
    }
    let whole = run(&["--help"]);
    assert_eq!(whole.code, 0);
    assert!(commands().iter().all(|name| whole.stdout.contains(name)));
    assert!(whole.stdout.contains("Exit codes:"));
}

#[test]
fn wrong_usage_is_code_2() {
    let cases: [&[&str]; 8] = [
        &["convert", "x", "--lake", "y", "--no-such-option"],
        &["convert", "x"],
        &["convert", "--lake", "y"],
        &["convert", "x", "--lake", "y", "--account", "12345678901"],
        &[
            "convert",
            "x",
            "--lake",
            "y",
            "--all",
            "--event-selectors",
            "z",
        ],
        &["show", "x", "--quiet", "--verbose"],
        &["no-such-command"],
        &[],
    ];
    for arguments in cases {
        let ended = run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(ended.stderr.contains("--help"), "{}", ended.stderr);
    }
}

#[test]
fn completions_know_the_commands_and_options() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completions", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{shell}");
        for word in ["inspect", "export", "event-selectors", "requester-pays"] {
            assert!(ended.stdout.contains(word), "{word} in those of {shell}");
        }
    }
    assert_eq!(run(&["completions", "no-such-shell"]).code, 2);
}

#[test]
fn manual_pages_are_printed_and_written_a_page_a_command() {
    let page = run(&["man"]);
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    assert!(page.stdout.contains(".TH dynatrail 1"), "{}", page.stdout);
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("share/man1");
    assert_eq!(run(&["man", "--out", path(&out)]).code, 0);
    let names: Vec<String> = files(&out)
        .iter()
        .map(|(name, _)| path(name).to_owned())
        .collect();
    assert!(names.contains(&"dynatrail.1".to_owned()), "{names:?}");
    for command in commands() {
        assert!(
            names.contains(&format!("dynatrail-{command}.1")),
            "{command} in {names:?}"
        );
    }
    let page = fs::read_to_string(out.join("dynatrail-convert.1")).unwrap();
    assert!(page.contains("event\\-selectors"), "{page}");
}

#[test]
fn a_clean_run_is_quiet_and_its_summary_agrees() {
    let (source, lakes) = (few_objects(), TempDir::new().unwrap());
    let source = path(source.path());
    let lake = lakes.path().join("quiet");
    let ended = run(&["convert", "--quiet", source, "--lake", path(&lake)]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    for (name, sign) in [
        ("objects", "listed"),
        ("records", "seen"),
        ("lake", "events"),
    ] {
        let mut lines = ended.stdout.lines().filter(|line| line.starts_with(name));
        let line = lines.next().expect(name);
        assert!(line.contains(&format!(" {sign} = ")), "{line}");
        assert!(line.contains("(agrees)"), "{line}");
        assert_eq!(lines.next(), None);
    }
    assert_eq!(ended.stdout.matches("agree").count(), 3);

    let lake = lakes.path().join("json");
    let ended = run(&[
        "convert",
        source,
        "--lake",
        path(&lake),
        "--summary",
        "json",
    ]);
    assert_eq!(ended.code, 0);
    assert!(
        ended.stderr.contains("listed 4 objects"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.json()["objects"]["converted"], 4);
}

#[test]
fn inspect_prints_one_json_object_a_line() {
    let folder = few_objects();
    fs::write(folder.path().join("broken.json"), "{\"Records\":[{\"a\":").unwrap();
    let ended = run(&["inspect", path(folder.path()), "--format", "json"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 5);
    for line in ended.stdout.lines() {
        let findings: Value = serde_json::from_str(line).unwrap();
        let object = findings["object"].as_str().unwrap();
        assert!(Path::new(object).is_file(), "{object}");
        assert_eq!(findings["encoding"] == "gzip", object.ends_with(".gz"));
        assert_eq!(
            findings["records"]["seen"].as_u64() > Some(1),
            object.ends_with(".gz")
        );
    }
}

/// Starts the binary with both outputs to be read.
fn start(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

fn rest(from: Option<impl Read>) -> String {
    let mut text = String::new();
    from.expect("is piped").read_to_string(&mut text).unwrap();
    text
}

#[test]
fn readers_that_stop_early_are_no_failure() {
    let lakes = TempDir::new().unwrap();
    let lake = lakes.path().join("lake");
    assert_eq!(
        run(&["convert", path(&sample()), "--lake", path(&lake)]).code,
        0
    );
    let sample = sample();
    let cases: [&[&str]; 6] = [
        &["export", path(&lake)],
        &["export", path(&lake), "--format", "records"],
        &["inspect", path(&sample), "--format", "json"],
        &["show", path(&lake)],
        &["columns"],
        &["completions", "bash"],
    ];
    for arguments in cases {
        let mut command = dynatrail();
        command.args(arguments);
        let mut child = start(command);
        let mut first = String::new();
        let mut stdout = BufReader::with_capacity(100, child.stdout.take().unwrap());
        if !arguments.contains(&"records") {
            stdout.read_line(&mut first).unwrap();
            assert!(first.ends_with('\n'), "{arguments:?}");
        }
        drop(stdout);
        let stderr = rest(child.stderr.take());
        assert!(
            !stderr.contains("panic") && !stderr.contains("pipe"),
            "{stderr}"
        );
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_conversion_goes_on_where_nobody_reads_it() {
    let (source, lakes) = (few_objects(), TempDir::new().unwrap());
    fs::write(source.path().join("odd.json"), "{\"eventName\": 7").unwrap();
    let (heard, unheard) = (lakes.path().join("heard"), lakes.path().join("unheard"));
    assert_eq!(
        run(&["convert", path(source.path()), "--lake", path(&heard)]).code,
        3
    );
    let mut command = dynatrail();
    command.args(["convert", path(source.path()), "--lake", path(&unheard)]);
    let mut child = start(command);
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_same_files(&unheard, &heard);
}

fn send(signal: &str, child: &Child) {
    let process = child.id().to_string();
    let status = Command::new("kill").args([signal, &process]).status();
    assert!(status.unwrap().success());
}

/// Waits until the condition holds, as long as it would take on a very slow machine.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no {what}");
        sleep(Duration::from_millis(5));
    }
}

fn convert_from(server: &S3Server, lake: &Path) -> Child {
    let mut command = dynatrail();
    command
        .envs(server.environment())
        .args(["convert", "s3://trail-logs/", "--lake", path(lake)]);
    start(command)
}

fn slow(get_delay: Duration) -> Faults {
    Faults {
        get_delay,
        ..Faults::default()
    }
}

#[test]
fn an_interrupted_conversion_is_finished_by_the_next_to_the_same_bytes() {
    let root = buckets();
    let server = S3Server::start(root.path(), Faults::default());
    let lakes = TempDir::new().unwrap();
    let whole = lakes.path().join("whole");
    let arguments = ["convert", "s3://trail-logs/", "--lake"];
    let undisturbed = run_on(&server, &[&arguments[..], &[path(&whole)]].concat());
    assert_eq!(undisturbed.code, 0, "{}", undisturbed.stderr);
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let lake = lakes.path().join(code.to_string());
        server.set_faults(slow(Duration::from_millis(200)));
        let mut child = convert_from(&server, &lake);
        let receipts = lake.join("_dynatrail/receipts");
        wait_until("receipt", || receipts.is_dir());
        send(signal, &child);
        let stderr = rest(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{stderr}");
        assert!(stderr.contains("interrupted"), "{stderr}");
        let receipts = files(&receipts).len();
        assert!(receipts < files(&whole.join("_dynatrail/receipts")).len());
        assert_eq!(files(&lake.join("_dynatrail/plans")).len(), 1);

        server.set_faults(Faults::default());
        let next = run_on(
            &server,
            &[&arguments[..], &[path(&lake), "--summary", "json"]].concat(),
        );
        assert_eq!(next.code, 0, "{}", next.stderr);
        assert!(next.json()["resumed_units"].as_u64() > Some(0));
        assert_same_files(&lake, &whole);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let root = buckets();
    let server = S3Server::start(root.path(), slow(Duration::from_secs(40)));
    let lakes = TempDir::new().unwrap();
    let mut child = convert_from(&server, &lakes.path().join("lake"));
    let mut requests = Vec::new();
    let asked = std::cell::RefCell::new(&mut requests);
    wait_until("object asked for", || {
        asked.borrow_mut().extend(server.take_requests());
        asked.borrow().iter().any(|seen| seen.is_get())
    });
    let begin = Instant::now();
    send("-INT", &child);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("again to end at once") {
        assert!(stderr.read_line(&mut told).unwrap() > 0, "{told}");
    }
    send("-INT", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(20));
}
