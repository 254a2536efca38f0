//! Command line of the archive generator: `generate sample|bench|tiny --out DIR …`.

#[path = "mod.rs"]
mod generate;

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use generate::{BenchSpec, Fill, Truth};

const USAGE: &str = "\
usage: generate sample --out DIR
       generate bench --out DIR --share 0.2 --object-mb 8 --total-mb 500 [--days N] [--seed N]
       generate tiny --out DIR --objects 20000 --records 2 [--share 0.2] [--days N] [--seed N]
";
const MEGABYTE: f64 = 1_000_000.0;

/// The options after the command, each `--name value`.
struct Options {
    given: HashMap<String, String>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut given = HashMap::new();
        while let Some(argument) = arguments.next() {
            let name = argument
                .strip_prefix("--")
                .ok_or(format!("unexpected argument {argument}"))?;
            let value = arguments.next().ok_or(format!("--{name} needs a value"))?;
            given.insert(name.to_owned(), value);
        }
        Ok(Options { given })
    }

    fn number(&mut self, name: &str, default: Option<f64>) -> Result<f64, String> {
        match self.given.remove(name) {
            Some(text) => text
                .parse()
                .map_err(|_| format!("--{name} needs a number, not {text}")),
            None => default.ok_or(format!("--{name} is missing")),
        }
    }

    fn out(&mut self) -> Result<PathBuf, String> {
        self.given
            .remove("out")
            .map(PathBuf::from)
            .ok_or(String::from("--out is missing"))
    }

    fn none_left(&self) -> Result<(), String> {
        match self.given.keys().min() {
            Some(name) => Err(format!("unknown option --{name}")),
            None => Ok(()),
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let command = arguments.next().ok_or("a command is missing")?;
    let mut options = Options::read(arguments)?;
    let out = options.out()?;
    if command == "sample" {
        options.none_left()?;
        report(&generate::sample(&out)?);
        return Ok(());
    }
    let days = options.number("days", Some(7.0))?;
    let seed = options.number("seed", Some(1.0))?;
    let (share, objects, fill) = match command.as_str() {
        "bench" => {
            let share = options.number("share", None)?;
            let object = options.number("object-mb", None)?;
            let total = options.number("total-mb", None)?;
            let fill = Fill::InflatedBytes((object * MEGABYTE) as u64);
            (share, (total / object).round().max(1.0), fill)
        }
        "tiny" => {
            let share = options.number("share", Some(0.2))?;
            let objects = options.number("objects", None)?;
            (
                share,
                objects,
                Fill::Records(options.number("records", None)? as u64),
            )
        }
        _ => return Err(format!("unknown command {command}").into()),
    };
    options.none_left()?;
    let command = match fill {
        Fill::InflatedBytes(bytes) => format!("bench: {objects} objects of {bytes} bytes"),
        Fill::Records(records) => format!("tiny: {objects} objects of {records} records"),
    };
    let spec = BenchSpec {
        share,
        objects: objects as u64,
        fill,
        days: days as u32,
        seed: seed as u64,
        command: format!("{command}, share {share}, {days} days, seed {seed}"),
    };
    report(&generate::bench(&out, &spec)?);
    Ok(())
}

fn report(truth: &Truth) {
    for (folder, stored) in &truth.folders {
        let (objects, records, bytes) = (stored.objects, stored.records, stored.inflated_bytes);
        eprintln!("{folder}: {objects} objects, {records} records, {bytes} bytes inflated");
    }
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("generate: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}
