//! Runs a program with the message on its standard input.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::sink::SendError;
use crate::render::sanitize::beginning;

/// Bytes of what a program writes that are kept; the rest is read and dropped.
const MAX_OUTPUT_BYTES: usize = 8 << 10;

/// Characters of its last words that are shown.
const MAX_SHOWN_CHARACTERS: usize = 300;

/// How often it is looked whether the program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long its output is waited for once it has ended: a process that it left behind may hold it.
const OUTPUT_WAIT: Duration = Duration::from_millis(500);

/// Runs the program; an exit code other than 0 is a failure. At the time limit it and all that it
/// started are killed.
pub fn run(argv: &[String], input: &[u8], limit: Duration) -> Result<(), SendError> {
    let [program, arguments @ ..] = argv else {
        return Err(SendError::refused("the command is empty"));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| SendError::refused(format!("cannot run {program}: {error}")))?;
    feed(&mut child, input.to_vec());
    let output = Output::of(&mut child);
    match wait(&mut child, limit) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(SendError::refused(format!(
            "{program} {}{}",
            ending(status),
            output.words()
        ))),
        Ok(None) => {
            kill(&mut child);
            Err(SendError::unsure(format!(
                "{program} did not end within {} s and was killed{}",
                limit.as_secs(),
                output.words()
            )))
        }
        Err(error) => {
            kill(&mut child);
            Err(SendError::unsure(format!(
                "{program} cannot be waited for: {error}"
            )))
        }
    }
}

/// Writes the input beside, so that a program that does not read it holds nothing up.
fn feed(child: &mut Child, input: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        thread::spawn(move || {
            // A program may well end without reading it.
            let _ = stdin.write_all(&input);
        });
    }
}

/// How it ended; none at the time limit.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Ends the program and what it started.
fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// What a program writes, its errors first.
struct Output {
    streams: [Arc<Mutex<Vec<u8>>>; 2],
    readers: Vec<thread::JoinHandle<()>>,
}

impl Output {
    fn of(child: &mut Child) -> Self {
        let streams = [Arc::default(), Arc::default()];
        let mut readers = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            readers.push(drain(stderr, Arc::clone(&streams[0])));
        }
        if let Some(stdout) = child.stdout.take() {
            readers.push(drain(stdout, Arc::clone(&streams[1])));
        }
        Self { streams, readers }
    }

    /// The beginning of what it wrote, on one line.
    fn words(&self) -> String {
        let begun = Instant::now();
        while begun.elapsed() < OUTPUT_WAIT && !self.readers.iter().all(|r| r.is_finished()) {
            thread::sleep(LOOK_EVERY);
        }
        for stream in &self.streams {
            let bytes = stream.lock().unwrap_or_else(PoisonError::into_inner);
            let text = String::from_utf8_lossy(&bytes);
            if !text.trim().is_empty() {
                return format!(": {}", beginning(text.trim(), MAX_SHOWN_CHARACTERS));
            }
        }
        String::new()
    }
}

/// Reads a stream to its end on a thread of its own, and keeps its beginning.
fn drain(
    mut stream: impl Read + Send + 'static,
    kept: Arc<Mutex<Vec<u8>>>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_OUTPUT_BYTES - kept.len();
            kept.extend_from_slice(&buffer[..count.min(room)]);
        }
    })
}
