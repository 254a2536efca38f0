//! The house rules, held by reading the sources: who may import whom, and how large things grow.

use std::path::{Path, PathBuf};

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 70;

/// Which of our modules each module may name.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("archive", &[]),
    ("container", &[]),
    ("event", &[]),
    ("integrity", &["archive", "container"]),
    ("select", &[]),
    ("lake", &["event"]),
    ("query", &["event", "lake"]),
    ("report", &["event", "lake", "query"]),
    (
        "nightly",
        &[
            "archive",
            "convert",
            "event",
            "integrity",
            "lake",
            "report",
            "signal",
        ],
    ),
    ("render", &["report"]),
    ("signal", &["archive", "lake", "render", "report"]),
    (
        "convert",
        &["archive", "container", "event", "lake", "select"],
    ),
    ("cluster", &["archive", "convert", "lake", "query"]),
    (
        "evidence",
        &[
            "archive",
            "container",
            "convert",
            "event",
            "integrity",
            "lake",
            "query",
            "render",
            "report",
            "select",
        ],
    ),
    (
        "cli",
        &[
            "archive",
            "cluster",
            "container",
            "convert",
            "event",
            "evidence",
            "integrity",
            "lake",
            "nightly",
            "query",
            "render",
            "report",
            "select",
            "signal",
        ],
    ),
];

/// Where each crate may be named.
const FENCES: &[(&str, &[&str])] = &[
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("indicatif", &["cli/progress.rs"]),
    ("anyhow", &["cli/"]),
    ("tracing_subscriber", &["cli/"]),
    ("aws_sdk_cloudtrail", &["integrity/online.rs"]),
    (
        "aws_config",
        &["archive/", "lake/s3.rs", "signal/sink.rs", "signal/sns.rs"],
    ),
    ("aws_sdk_sns", &["signal/sns.rs"]),
    ("reqwest", &["signal/webhook.rs"]),
    ("aws_sdk_s3", &["archive/", "lake/s3.rs"]),
    ("aws_smithy_http_client", &["archive/"]),
    ("walkdir", &["archive/"]),
    ("globset", &["archive/"]),
    (
        "object_store",
        &[
            "lake/engine_store.rs",
            "lake/lock.rs",
            "lake/s3.rs",
            "lake/store.rs",
            "lake/store/",
            "cluster/stage.rs",
            "cluster/stores.rs",
        ],
    ),
    ("simd_json", &["event/parse.rs"]),
    ("fearless_simd", &["container/structure.rs"]),
    ("flate2", &["container/content.rs", "cli/export.rs"]),
    ("libdeflater", &["container/content.rs"]),
    (
        "parquet",
        &[
            "lake/",
            "render/parquet.rs",
            "report/rows.rs",
            "render/mod.rs",
        ],
    ),
    (
        "arrow",
        &[
            "lake/",
            "event/schema.rs",
            "cli/show.rs",
            "evidence/rows.rs",
            "query/",
            "report/",
            "render/",
            "cluster/",
        ],
    ),
    ("datafusion", &["query/", "cluster/"]),
    ("datafusion_proto", &["cluster/"]),
    ("ballista_core", &["cluster/"]),
    (
        "ballista_executor",
        &["cluster/executor.rs", "cluster/stage.rs"],
    ),
    (
        "ballista_scheduler",
        &["cluster/scheduler.rs", "cluster/slots.rs"],
    ),
    ("tonic", &["cluster/job.rs"]),
    ("log", &["cluster/logs.rs"]),
    ("url", &["cluster/stores.rs"]),
    (
        "rustix",
        &["lake/process.rs", "signal/command.rs", "cluster/site.rs"],
    ),
    ("async_trait", &["query/", "cluster/"]),
    ("hmac", &["query/redact.rs"]),
    ("toml", &["report/", "cli/nightly/", "signal/config.rs"]),
    ("comfy_table", &["render/table.rs"]),
    ("unicode_width", &["render/table.rs"]),
    ("csv", &["render/csv.rs", "render/mod.rs"]),
    ("minijinja", &["render/html/"]),
    ("rustyline", &["cli/prompt.rs"]),
    ("terminal_size", &["cli/terminal.rs"]),
    ("getrandom", &["cli/engine.rs"]),
    (
        "hashbrown",
        &[
            "event/column.rs",
            "lake/gather.rs",
            "lake/settle.rs",
            "query/distinct.rs",
        ],
    ),
    ("simdutf8", &["event/parse.rs"]),
    ("tar", &["evidence/bundle.rs"]),
    (
        "rayon",
        &["convert/", "integrity/", "lake/", "cli/", "cluster/"],
    ),
    ("ring", &["integrity/"]),
    ("md5", &["integrity/keys.rs"]),
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path
                    .strip_prefix(&root)
                    .expect("below src")
                    .display()
                    .to_string();
                sources.push((name, std::fs::read_to_string(&path).expect("UTF-8 source")));
            }
        }
    }
    sources.sort();
    assert!(sources.len() > 20);
    sources
}

/// Paths such as `crate::lake` or `simd_json::Tape` that a line names.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            && matches!(after, Some(':' | ';' | ' ' | '}' | ',') | None)
    })
}

fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn modules_import_only_what_they_may() {
    for (name, text) in sources() {
        let Some((module, allowed)) = MAY_IMPORT
            .iter()
            .find(|(module, _)| name.starts_with(&format!("{module}/")))
        else {
            continue;
        };
        for (number, line) in code(&text) {
            for (other, _) in MAY_IMPORT {
                let is_named = names(line, &format!("crate::{other}"));
                assert!(
                    !is_named || other == module || allowed.contains(other),
                    "src/{name}:{number}: {module} may not know {other}: {line}"
                );
            }
        }
    }
}

#[test]
fn crates_stay_behind_their_fences() {
    for (name, text) in sources() {
        for (number, line) in code(&text) {
            for (krate, places) in FENCES {
                let is_named = names(line, krate) && line.contains(&format!("{krate}::"));
                assert!(
                    !is_named || places.iter().any(|place| name.starts_with(place)),
                    "src/{name}:{number}: {krate} is fenced to {places:?}: {line}"
                );
            }
        }
    }
}

#[test]
fn files_and_functions_stay_small() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_FILE_LINES, "src/{name} has {lines} lines");
        assert!(
            text.starts_with("//! "),
            "src/{name} does not say what it is for"
        );
        let mut begun: Option<(usize, usize, &str)> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let indent = line.len() - line.trim_start().len();
            let words = line.trim_start();
            let is_function = [
                "fn ",
                "pub fn ",
                "async fn ",
                "pub async fn ",
                "const fn ",
                "pub const fn ",
            ]
            .iter()
            .any(|start| words.starts_with(start));
            if is_function && !line.ends_with(';') {
                begun = Some((number, indent, line));
            }
            if let Some((first, outer, head)) = begun
                && line == format!("{}}}", " ".repeat(outer))
            {
                let length = number - first + 1;
                assert!(
                    length <= MAX_FUNCTION_LINES,
                    "src/{name}:{first}: {length} lines: {head}"
                );
                begun = None;
            }
        }
    }
}

#[test]
fn nothing_unwraps_and_nothing_is_unsafe() {
    for (name, text) in sources() {
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code(product) {
            assert!(!line.contains(".unwrap()"), "src/{name}:{number}: {line}");
            let is_unsafe = names(line, "unsafe") && !line.contains("forbid(unsafe_code)");
            assert!(!is_unsafe, "src/{name}:{number}: {line}");
        }
    }
}
