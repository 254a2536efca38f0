//! Inflates an object into a window of bounded size: gzip, zstd or plain, by magic bytes.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Decompressor;

/// The window an object is inflated into, in bytes; larger objects pass through it in steps.
///
/// CloudTrail's own files hold at most 50 MB, so nearly every object is one step.
pub const WINDOW_BYTES: usize = 64 << 20;

/// The most that one object may inflate to, in bytes: beyond it lies a decompression bomb.
pub const MAX_INFLATED_BYTES: u64 = 4 << 30;

/// Room that the window keeps free behind the data, so that growing it once is enough.
const SLACK_BYTES: usize = 64;

/// How an object is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Gzip,
    Zstd,
    Plain,
}

impl Encoding {
    /// Tells the encoding from the first bytes (RFC 1952 section 2.3.1, RFC 8878 section 3.1.1).
    pub fn sniff(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Plain => "plain",
        }
    }
}

/// What is wrong with an object's encoding. What inflated before is good to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentDamage {
    #[error("{encoding} data ends in the middle, after {inflated_bytes} inflated bytes")]
    Truncated {
        encoding: &'static str,
        inflated_bytes: u64,
    },
    #[error("{encoding} data is corrupt after {inflated_bytes} inflated bytes: {what}")]
    Corrupt {
        encoding: &'static str,
        inflated_bytes: u64,
        what: String,
    },
    #[error("{bytes} bytes after the gzip data are not gzip")]
    TrailingBytes { bytes: usize },
    #[error("inflates to more than {MAX_INFLATED_BYTES} bytes; the rest is left unread")]
    TooLarge,
    #[error("what is kept of it takes more than {limit_bytes} bytes; the rest is left unread")]
    TooMuchKept { limit_bytes: usize },
}

/// The inflated bytes at hand: `bytes()` starts `offset()` bytes into the inflated object.
#[derive(Default)]
pub struct Window {
    buffer: Vec<u8>,
    filled: usize,
    offset: u64,
}

impl Window {
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Position of the first byte in the inflated object.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn restart(&mut self) {
        self.filled = 0;
        self.offset = 0;
    }

    /// Drops the first `bytes` of the window.
    fn discard(&mut self, bytes: usize) {
        self.buffer.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
        self.offset += bytes as u64;
    }

    /// Makes room for `bytes` more; only growth costs anything.
    fn reserve(&mut self, bytes: usize) {
        let wanted = self.filled + bytes;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
    }

    /// Gives memory back after an object that was much larger than usual.
    pub fn shrink(&mut self, to_bytes: usize) {
        if self.buffer.len() > to_bytes {
            self.buffer.truncate(to_bytes);
            self.buffer.shrink_to_fit();
        }
        self.restart();
    }
}

/// Reused decoder state of one worker.
#[derive(Default)]
pub struct Inflater {
    /// Goes in steps and tells damage exactly.
    gzip: Option<Decompress>,
    /// Takes whole members alone, and is quicker.
    whole: Option<Decompressor>,
}

/// One object on its way through the window.
pub struct Content<'b> {
    encoding: Encoding,
    input: &'b [u8],
    consumed: usize,
    inflated_bytes: u64,
    gzip_members: u32,
    inside_member: bool,
    zstd: Option<zstd::stream::read::Decoder<'static, &'b [u8]>>,
    damage: Option<ContentDamage>,
    finished: bool,
}

impl<'b> Content<'b> {
    /// Starts on an object's bytes and empties the window.
    pub fn open(input: &'b [u8], window: &mut Window) -> Self {
        window.restart();
        let encoding = Encoding::sniff(input);
        Self {
            encoding,
            input,
            consumed: 0,
            inflated_bytes: 0,
            gzip_members: 0,
            inside_member: false,
            zstd: None,
            damage: None,
            finished: input.is_empty(),
        }
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether all of the object has passed into the window.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// What is wrong with the encoding, once known.
    pub fn damage(&self) -> Option<&ContentDamage> {
        self.damage.as_ref()
    }

    /// How many gzip members were begun; AWS writes one.
    pub fn gzip_members(&self) -> u32 {
        self.gzip_members
    }

    /// Bytes inflated so far.
    pub fn inflated_bytes(&self) -> u64 {
        self.inflated_bytes
    }

    /// Leaves the rest unread: what was read already takes too much memory.
    pub fn leave_rest(&mut self, limit_bytes: usize) {
        self.stop(ContentDamage::TooMuchKept { limit_bytes });
    }

    /// Drops the first `used` bytes of the window and inflates more behind the rest.
    pub fn fill(&mut self, inflater: &mut Inflater, window: &mut Window, used: usize) {
        window.discard(used);
        if self.finished {
            return;
        }
        match self.encoding {
            Encoding::Plain => self.fill_plain(window),
            Encoding::Gzip => {
                if !self.fill_at_once(inflater, window) {
                    self.fill_gzip(inflater, window);
                }
            }
            Encoding::Zstd => self.fill_zstd(window),
        }
    }

    fn fill_plain(&mut self, window: &mut Window) {
        let rest = &self.input[self.consumed..];
        let step = rest.len().min(WINDOW_BYTES);
        window.reserve(step + SLACK_BYTES);
        window.buffer[window.filled..window.filled + step].copy_from_slice(&rest[..step]);
        window.filled += step;
        self.consumed += step;
        self.inflated_bytes += step as u64;
        self.finished = self.consumed == self.input.len();
    }

    /// Inflates a file that is one sound gzip member and fits the window, as nearly every file of
    /// CloudTrail is; leaves every other one as it was.
    ///
    /// Sound is what agrees with its checksum and size: the decoder reads two length codes that
    /// no writer may use, so a flipped bit that changes nothing in the text is not told.
    fn fill_at_once(&mut self, inflater: &mut Inflater, window: &mut Window) -> bool {
        let Some(size) = self.size_of_sole_member() else {
            return false;
        };
        window.reserve(size + SLACK_BYTES);
        let decoder = inflater.whole.get_or_insert_with(Decompressor::new);
        if decoder.gzip_decompress(self.input, &mut window.buffer[..size]) != Ok(size) {
            return false;
        }
        window.filled = size;
        self.consumed = self.input.len();
        self.inflated_bytes = size as u64;
        self.gzip_members = 1;
        self.finished = true;
        true
    }

    /// The size in the file's trailer, if a first member of that size can only be the whole file.
    ///
    /// A member ends with its size, so one that ended earlier would have these bytes there too.
    fn size_of_sole_member(&self) -> Option<usize> {
        const FHCRC: u8 = 2;
        if self.gzip_members > 0 || self.input.get(3)? & FHCRC != 0 {
            return None;
        }
        let (rest, trailer) = self.input.split_last_chunk::<4>()?;
        let size = u32::from_le_bytes(*trailer) as usize;
        let is_sole = size == self.room_for_gzip() && memchr::memmem::find(rest, trailer).is_none();
        is_sole.then_some(size)
    }

    fn fill_gzip(&mut self, inflater: &mut Inflater, window: &mut Window) {
        window.reserve(self.room_for_gzip() + SLACK_BYTES);
        let limit = window.filled + WINDOW_BYTES;
        loop {
            if !self.inside_member {
                if self.gzip_members > 0 && !self.begins_another_member() {
                    return;
                }
                inflater.gzip = Some(Decompress::new_gzip(15));
                self.inside_member = true;
                self.gzip_members += 1;
            }
            if window.filled >= limit {
                return;
            }
            if window.filled + SLACK_BYTES > window.buffer.len() {
                window.reserve((window.buffer.len() / 2).clamp(1 << 16, WINDOW_BYTES));
            }
            let decoder = inflater
                .gzip
                .as_mut()
                .expect("a decoder stands ready inside a member");
            let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
            let outcome = decoder.decompress(
                &self.input[self.consumed..],
                &mut window.buffer[window.filled..],
                FlushDecompress::None,
            );
            let read = (decoder.total_in() - before_in) as usize;
            let written = (decoder.total_out() - before_out) as usize;
            self.consumed += read;
            window.filled += written;
            self.inflated_bytes += written as u64;
            match outcome {
                Ok(Status::StreamEnd) => self.inside_member = false,
                Ok(_) if read == 0 && written == 0 => return self.stop(self.truncated()),
                Ok(_) => {}
                Err(error) => {
                    let damage = ContentDamage::Corrupt {
                        encoding: self.encoding.as_str(),
                        inflated_bytes: self.inflated_bytes,
                        what: error.message().unwrap_or("invalid data").to_owned(),
                    };
                    return self.stop(damage);
                }
            }
            if self.inflated_bytes > MAX_INFLATED_BYTES {
                return self.stop(ContentDamage::TooLarge);
            }
        }
    }

    /// Room for all that is to come, as far as the trailer may be trusted: a hint within limits.
    ///
    /// The last four bytes of a gzip file are the size of its last member modulo 2^32
    /// (RFC 1952 section 2.3.1); an honest one is below 1032 times the compressed size.
    fn room_for_gzip(&self) -> usize {
        let rest = self.input.len() - self.consumed;
        let hint = match self.input {
            [.., a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]) as usize,
            _ => 0,
        };
        hint.clamp(rest, rest.saturating_mul(1032))
            .min(WINDOW_BYTES)
    }

    /// Looks at what stands behind a finished member.
    fn begins_another_member(&mut self) -> bool {
        let rest = &self.input[self.consumed..];
        if rest.is_empty() {
            self.finished = true;
            return false;
        }
        if Encoding::sniff(rest) == Encoding::Gzip {
            return true;
        }
        self.stop(ContentDamage::TrailingBytes { bytes: rest.len() });
        false
    }

    fn fill_zstd(&mut self, window: &mut Window) {
        let input = self.input;
        let limit = window.filled + WINDOW_BYTES;
        if self.zstd.is_none() {
            match zstd::stream::read::Decoder::with_buffer(input) {
                Ok(decoder) => self.zstd = Some(decoder),
                Err(error) => return self.stop(self.corrupt(&error)),
            }
        }
        while window.filled < limit {
            window.reserve((1 << 20) + SLACK_BYTES);
            let Some(decoder) = self.zstd.as_mut() else {
                return;
            };
            match decoder.read(&mut window.buffer[window.filled..]) {
                Ok(0) => {
                    self.finished = true;
                    return;
                }
                Ok(written) => {
                    window.filled += written;
                    self.inflated_bytes += written as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return self.stop(self.truncated());
                }
                Err(error) => return self.stop(self.corrupt(&error)),
            }
            if self.inflated_bytes > MAX_INFLATED_BYTES {
                return self.stop(ContentDamage::TooLarge);
            }
        }
    }

    fn truncated(&self) -> ContentDamage {
        ContentDamage::Truncated {
            encoding: self.encoding.as_str(),
            inflated_bytes: self.inflated_bytes,
        }
    }

    fn corrupt(&self, error: &std::io::Error) -> ContentDamage {
        ContentDamage::Corrupt {
            encoding: self.encoding.as_str(),
            inflated_bytes: self.inflated_bytes,
            what: error.to_string(),
        }
    }

    fn stop(&mut self, damage: ContentDamage) {
        self.damage = Some(damage);
        self.finished = true;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("memory can be written");
        encoder.finish().expect("memory can be written")
    }

    type Outcome = (Vec<u8>, bool, Option<ContentDamage>, u32, u64);

    fn outcome(input: &[u8], is_in_steps: bool) -> Outcome {
        let (mut inflater, mut window) = (Inflater::default(), Window::default());
        let mut content = Content::open(input, &mut window);
        match is_in_steps {
            true => content.fill_gzip(&mut inflater, &mut window),
            false => content.fill(&mut inflater, &mut window, 0),
        }
        (
            window.bytes().to_vec(),
            content.is_finished(),
            content.damage().cloned(),
            content.gzip_members(),
            content.inflated_bytes(),
        )
    }

    #[test]
    fn at_once_is_as_in_steps_or_sound() {
        let text = b"{\"eventVersion\":\"1.10\"}".repeat(200);
        let sound = gzip(&text);
        let size = &sound[sound.len() - 4..];
        let mut inputs = vec![
            sound.clone(),
            gzip(b""),
            gzip(b"{}"),
            [&sound[..], &sound].concat(),
            [&sound[..], &gzip(b"{}")].concat(),
            [&sound[..], b"garbage"].concat(),
            [&sound[..], b"garbage", size].concat(),
            [&sound[..], &sound[sound.len() - 8..]].concat(),
        ];
        inputs.extend((4..sound.len()).map(|length| sound[..length].to_vec()));
        inputs.extend((2..sound.len()).map(|at| {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x20;
            damaged
        }));
        for input in inputs {
            let filled = outcome(&input, false);
            let is_same = filled == outcome(&input, true) || filled == outcome(&sound, true);
            assert!(is_same, "{:?}", filled.2);
        }
        let (mut inflater, mut window) = (Inflater::default(), Window::default());
        let mut content = Content::open(&sound, &mut window);
        assert!(content.fill_at_once(&mut inflater, &mut window));
    }
}
