//! The shipped sample: two weeks of a small shop's archive with an incident in it, told in `sample-data/README.md`.

mod deliver;
mod folders;
mod incident;
mod night_jobs;
mod people;
mod shop;
mod world;

use std::fs;
use std::io;
use std::path::Path;

use super::record::Record;
use super::truth::Truth;

const SEED: u64 = 20_250_303;

/// Makes `<out>/archive/AWSLogs/…` anew, and `<out>/truth.json`.
pub fn sample(out: &Path) -> io::Result<Truth> {
    let archive = out.join("archive");
    let logs = archive.join("AWSLogs");
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    let world = world::World::new();
    let mut records: Vec<Record> = Vec::new();
    for day in world::days() {
        shop::day(&world, day, &mut records);
        night_jobs::day(&world, day, &mut records);
        people::day(&world, day, &mut records);
    }
    let incident = incident::play(&world, &mut records);
    let mut truth = Truth {
        command: String::from("sample"),
        ..Truth::default()
    };
    let delivered = deliver::deliver(&archive, records, &mut truth)?;
    folders::store_all(&archive, &world, &delivered, &mut truth)?;
    truth.incident = Some(incident);
    truth.write(&out.join("truth.json"))?;
    Ok(truth)
}
