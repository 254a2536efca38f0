//! Runs the built binary as a person would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The built binary, with nothing of this machine's AWS set-up.
pub fn dynatrail() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dynatrail"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// How a run ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// stdout as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

pub fn run(arguments: &[&str]) -> Ended {
    Ended::of(
        dynatrail()
            .args(arguments)
            .output()
            .expect("the binary runs"),
    )
}

/// Converts with a summary in JSON; checks that the identities hold.
pub fn convert(source: &Path, lake: &Path, more: &[&str]) -> (Ended, Value) {
    let mut arguments = vec![
        "convert",
        path(source),
        "--lake",
        path(lake),
        "--summary",
        "json",
    ];
    arguments.extend(more);
    let ended = run(&arguments);
    let summary = ended.json();
    for identity in ["objects", "records", "lake"] {
        assert_eq!(
            summary["identities"][identity], true,
            "{identity} in {summary:#}"
        );
    }
    (ended, summary)
}

/// The records of a lake, as export writes them.
pub fn export(lake: &Path) -> Vec<Value> {
    let ended = run(&["export", path(lake)]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record a line"))
        .collect()
}

pub fn path(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// Every file below a folder with its bytes, by relative path.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("readable");
                files.push((path.strip_prefix(folder).expect("below").to_owned(), bytes));
            }
        }
    }
    files.sort();
    files
}

/// The corpus of real records, if it is there; says so where it is not.
pub fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("DYNATRAIL_CORPUS").map(PathBuf::from);
    let folder =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no corpus of real records at {}", folder.display());
    None
}
