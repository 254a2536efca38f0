//! Fuzzing on stable Rust: every target over its seeds, and over what mutations make of them.
//!
//! DYNATRAIL_FUZZ_SECONDS says for how long each target is run, DYNATRAIL_FUZZ_SEED with which random
//! numbers; a failure tells both, and leaves its input in target/fuzz, to be run again alone with
//! DYNATRAIL_FUZZ_INPUT=FILE. `tests/fuzz/run` runs the same targets led by coverage.

mod json;
mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::product::files;

use mutate::Mutator;
use targets::TARGETS;

const DEFAULT_SECONDS: f64 = 1.5;
const DEFAULT_SEED: u64 = 1;

/// Inputs that an input grows into at most.
const MAX_MUTATED_BYTES: usize = 64 << 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

/// The seeds of a target by name, the regressions among them.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let seeds = files(&root().join("seeds").join(target));
    assert!(seeds.len() >= 8, "{target} has {} seeds", seeds.len());
    seeds
}

fn fuzz(name: &str) {
    let (_, target) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect(name);
    if let Some(file) = std::env::var_os("DYNATRAIL_FUZZ_INPUT") {
        return target(&std::fs::read(file).expect("DYNATRAIL_FUZZ_INPUT is readable"));
    }
    let seeds = seeds(name);
    for (file, bytes) in &seeds {
        println!("{}", file.display());
        target(bytes);
    }
    let seed = number("DYNATRAIL_FUZZ_SEED", DEFAULT_SEED);
    let time = Duration::from_secs_f64(number("DYNATRAIL_FUZZ_SECONDS", DEFAULT_SECONDS));
    let dictionary = mutate::dictionary(&root().join("dictionary.txt"));
    let pool = seeds.into_iter().map(|(_, bytes)| bytes).collect();
    let mut mutator = Mutator::new(seed, pool, dictionary);
    let (begun, mut tried) = (Instant::now(), 0_u64);
    while begun.elapsed() < time {
        let input = mutator.next(MAX_MUTATED_BYTES);
        tried += 1;
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| target(&input))) {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
            std::fs::create_dir_all(&folder).expect("made");
            let file = folder.join(format!("{name}-{seed}-{tried}"));
            std::fs::write(&file, &input).expect("written");
            println!(
                "DYNATRAIL_FUZZ_SEED={seed}, input {tried}: {}",
                file.display()
            );
            println!("{}", String::from_utf8_lossy(&input));
            std::panic::resume_unwind(cause);
        }
    }
    println!("{name}: {tried} inputs in {time:?} with seed {seed}");
}

/// Whatever an object is, splitting it ends, in order and inside of it.
#[test]
fn container() {
    fuzz("container");
}

/// Whatever an object holds, the counts balance and what is kept comes back equal as JSON.
#[test]
fn decode() {
    fuzz("decode");
}

/// Whatever a digest file is, what is read of it is what a plain JSON reader finds.
#[test]
fn digest() {
    fuzz("digest");
}

/// Whatever a key is, what it tells is in it, and it cannot climb.
#[test]
fn key() {
    fuzz("key");
}

/// Whatever selectors are accepted have one spelling that says the same.
#[test]
fn selectors() {
    fuzz("selectors");
}

#[test]
fn the_slow_reader_reads_json_alone() {
    use json::{Json, top_values};
    for text in [
        "{\"a\":[1,-0.5e+10,true,null,\"\\u00e9\\ud800\"],\"b\":{}}",
        " [ ] ",
        "18446744073709551616",
    ] {
        assert!(Json::parse(text.as_bytes()).is_some(), "{text}");
    }
    for text in [
        "",
        "{",
        "{\"a\":1,}",
        "[1 2]",
        "01",
        "1.",
        "+1",
        "\"\n\"",
        "'a'",
        "{a:1}",
        "tru",
        "\"\\x\"",
        "[1]]",
        "\"\\u12g4\"",
    ] {
        assert!(Json::parse(text.as_bytes()).is_none(), "{text}");
    }
    let values = |text: &'static str| {
        let found = top_values(text.as_bytes())?;
        found
            .into_iter()
            .map(|value| String::from_utf8(value.to_vec()).ok())
            .collect::<Option<Vec<_>>>()
    };
    let two = || Some(vec!["{\"a\":1}".to_owned(), "{}".to_owned()]);
    assert_eq!(values("{\"a\":1}\n{}"), two());
    assert_eq!(values("[{\"a\":1},{}]"), two());
    assert_eq!(values("{\"Records\":[{\"a\":1} , {}]}\n"), two());
    for text in [
        "[{},]",
        "[{}",
        "{\"Records\":[{}]",
        "{\"Records\":[{}],\"x\":1}",
        "[1]",
        "{} x",
    ] {
        assert_eq!(values(text), None, "{text}");
    }
}
