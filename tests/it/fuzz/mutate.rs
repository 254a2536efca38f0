//! Makes inputs out of seeds: the same for the same seed of random numbers.

use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Inputs that are kept beside the seeds, to be mutated further.
const MAX_POOL: usize = 512;

/// Words that stand in what is read, from libFuzzer's format: `"text"` a line, with `\xAB`, `\\`, `\"`.
pub fn dictionary(file: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(file).expect("a dictionary");
    let lines = text.lines().filter(|line| line.starts_with('"'));
    let words: Vec<Vec<u8>> = lines.map(|line| word(&line[1..line.len() - 1])).collect();
    assert!(words.len() > 50);
    words
}

fn word(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        (bytes, rest) = match (first, behind.first()) {
            (b'\\', Some(b'x')) => {
                let digits = std::str::from_utf8(&behind[1..3]).expect("two digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                (bytes, &behind[3..])
            }
            (b'\\', Some(escaped)) => {
                bytes.push(*escaped);
                (bytes, &behind[1..])
            }
            _ => {
                bytes.push(first);
                (bytes, behind)
            }
        };
    }
    bytes
}

/// A generator of inputs.
pub struct Mutator {
    state: u64,
    pool: Vec<Vec<u8>>,
    seeds: usize,
    dictionary: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seed: u64, pool: Vec<Vec<u8>>, dictionary: Vec<Vec<u8>>) -> Self {
        Self {
            state: seed,
            seeds: pool.len(),
            pool,
            dictionary,
        }
    }

    /// A random number (splitmix64).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random number below `limit`, or 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.random() % limit.max(1) as u64) as usize
    }

    fn pick(&mut self) -> Vec<u8> {
        let number = self.below(self.pool.len());
        self.pool[number].clone()
    }

    /// The next input, at most `limit` bytes long before it is packed.
    pub fn next(&mut self, limit: usize) -> Vec<u8> {
        let mut input = self.pick();
        let packed = input.starts_with(&[0x1f, 0x8b]);
        // What is inside a packed one is mutated mostly, and packed again; sometimes the packing is.
        let inside = packed && self.below(4) > 0;
        if inside {
            let mut text = Vec::new();
            let _ = MultiGzDecoder::new(&input[..])
                .take(limit as u64)
                .read_to_end(&mut text);
            input = text;
        }
        for _ in 0..=self.below(6) {
            self.mutate(&mut input);
        }
        input.truncate(limit);
        if self.below(8) == 0 {
            self.keep(input.clone());
        }
        if inside || self.below(16) == 0 {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&input).expect("into memory");
            input = encoder.finish().expect("into memory");
        }
        input
    }

    fn keep(&mut self, input: Vec<u8>) {
        if self.pool.len() < MAX_POOL {
            return self.pool.push(input);
        }
        let number = self.seeds + self.below(MAX_POOL - self.seeds);
        self.pool[number] = input;
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let magnitude = self.below(10);
        let length = 1 + self.below(1 << magnitude);
        let end = (at + length).min(input.len());
        match self.below(11) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.random() as u8,
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                self.insert(input, &copy);
            }
            4 => input.truncate(at),
            5 => {
                let other = self.pick();
                let from = self.below(other.len() + 1);
                let to = (from + length).min(other.len());
                let part = other[from..to].to_vec();
                input.splice(at..at, part);
            }
            6 => self.structural(input),
            7 => self.repeat_member(input),
            8 => {
                let spaces = [&b" "[..], b"\n", b"\t", b"\r\n", b"\xef\xbb\xbf", b","];
                let space = spaces[self.below(spaces.len())];
                input.splice(at..at, space.iter().copied());
            }
            _ => {
                let number = self.below(self.dictionary.len());
                let word = self.dictionary[number].clone();
                let end = if self.below(2) == 0 { at } else { end };
                input.splice(at..end, word);
            }
        }
    }

    fn insert(&mut self, input: &mut Vec<u8>, part: &[u8]) {
        let at = self.below(input.len() + 1);
        input.splice(at..at, part.iter().copied());
    }

    /// Takes out, doubles or swaps a character that JSON's structure is made of.
    fn structural(&mut self, input: &mut Vec<u8>) {
        let places: Vec<usize> = (0..input.len())
            .filter(|at| b"{}[]\",:\\/_".contains(&input[*at]))
            .collect();
        if places.is_empty() {
            return;
        }
        let at = places[self.below(places.len())];
        match self.below(3) {
            0 => drop(input.remove(at)),
            1 => input.insert(at, input[at]),
            _ => input[at] = b"{}[]\",:\\/_"[self.below(10)],
        }
    }

    /// Copies what stands between two commas to behind another comma: members and elements come again.
    fn repeat_member(&mut self, input: &mut Vec<u8>) {
        let commas: Vec<usize> = (0..input.len()).filter(|at| input[*at] == b',').collect();
        if commas.len() < 2 {
            return;
        }
        let from = self.below(commas.len() - 1);
        let part = input[commas[from]..commas[from + 1]].to_vec();
        let to = commas[self.below(commas.len())];
        input.splice(to..to, part);
    }
}
