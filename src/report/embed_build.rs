//! The build script: embeds the packaged reports, and refuses one without cases that prove it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo says where"));
    let queries = root.join("queries");
    let cases = root.join("tests/report");
    println!("cargo:rerun-if-changed={}", queries.display());
    println!("cargo:rerun-if-changed={}", cases.display());
    let mut list = String::from("&[\n");
    for topic in folder(&queries).iter().filter(|path| path.is_dir()) {
        for file in folder(topic).iter().filter(|path| has_ending(path, "sql")) {
            let (topic, name) = (last(topic), last(&file.with_extension("")));
            let case = cases.join(&topic).join(format!("{name}.json"));
            assert!(
                case.is_file() || !cases.is_dir(),
                "the report {topic}/{name} has no cases: write {}",
                case.display()
            );
            let path = file.display().to_string();
            writeln!(list, "({topic:?}, {name:?}, include_str!({path:?})),").expect("text grows");
        }
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo says where"));
    fs::write(out.join("packaged_reports.rs"), list).expect("OUT_DIR is writable");
}

/// A folder's entries in order.
fn folder(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).expect("the folder is readable");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder is readable").path())
        .collect();
    paths.sort();
    paths
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == ending)
}

fn last(path: &Path) -> String {
    let name = path.file_name().expect("a file's path has a name");
    name.to_string_lossy().into_owned()
}
