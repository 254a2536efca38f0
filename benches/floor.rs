//! The floor that conversion is measured against: reads the gzip files below a folder and
//! inflates each in one shot into a reused buffer, on one thread, and nothing else.
//!
//! usage: floor FOLDER [--hash]
//!
//! With --hash it takes the SHA-256 of what it inflates too, which is what verification must add.

use flate2::{Decompress, FlushDecompress, Status};
use sha2::{Digest, Sha256};

fn main() {
    let folder = std::env::args().nth(1).expect("usage: floor FOLDER");
    let is_hashing = std::env::args().nth(2).is_some_and(|word| word == "--hash");
    let mut hashes = 0_u8;
    let mut files: Vec<_> = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(folder)];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "gz") {
                files.push(path);
            }
        }
    }
    files.sort();
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let mut inflated_bytes = 0;
    for file in &files {
        input.clear();
        let mut reader = std::fs::File::open(file).expect("a readable file");
        std::io::Read::read_to_end(&mut reader, &mut input).expect("a readable file");
        let trailer = input.last_chunk().expect("a gzip trailer");
        let size = u32::from_le_bytes(*trailer) as usize;
        if output.len() < size {
            output.resize(size, 0);
        }
        let mut decoder = Decompress::new_gzip(15);
        let status = decoder.decompress(&input, &mut output, FlushDecompress::Finish);
        assert_eq!(
            status.expect("valid gzip"),
            Status::StreamEnd,
            "{}",
            file.display()
        );
        inflated_bytes += decoder.total_out();
        if is_hashing {
            hashes ^= Sha256::digest(&output[..decoder.total_out() as usize])[0];
        }
    }
    println!(
        "{} files, {inflated_bytes} bytes inflated, {hashes}",
        files.len()
    );
}
