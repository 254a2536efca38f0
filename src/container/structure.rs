//! Finds where a JSON value ends by its quotes and braces alone, 64 bytes at a time.
//!
//! Nothing else of the value is looked at: whether it is valid JSON, the parser says of those
//! values that are worth parsing. The vectors are the widest that the processor at hand has, from
//! SSE2 to AVX-512, or NEON.

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, u8x64};

const BLOCK_BYTES: usize = 64;

/// How far into a value the scan has come; carried over when the value spans two windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scan {
    depth: u32,
    in_string: bool,
    after_backslash: bool,
    /// Whether the value holds a backslash anywhere.
    pub has_backslash: bool,
}

impl Scan {
    /// A scan that begins inside an object, to find that object's end.
    pub fn inside_object() -> Self {
        Self {
            depth: 1,
            ..Self::default()
        }
    }

    /// Scans on from `bytes[0]`; returns how many bytes it takes to close the outermost brace,
    /// or nothing where `bytes` ends before.
    pub fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        dispatch!(Level::new(), simd => self.find_end_with(simd, bytes))
    }

    /// `find_end` for the vectors of one kind of processor; inlined, as is all that it calls for
    /// each block, because only code inside `dispatch!` is compiled for that kind.
    #[inline(always)]
    fn find_end_with<S: Simd>(&mut self, simd: S, bytes: &[u8]) -> Option<usize> {
        // A copy stays in registers.
        let mut scan = *self;
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        for (index, block) in blocks.iter().enumerate() {
            if let Some(end) = scan.scan_block(simd, block) {
                *self = scan;
                return Some(index * BLOCK_BYTES + end);
            }
        }
        *self = scan;
        if rest.is_empty() {
            return None;
        }
        let mut padded = [b' '; BLOCK_BYTES];
        padded[..rest.len()].copy_from_slice(rest);
        // A carry out of the padding would be lost with the bytes that follow in the next
        // window, so the carries of a partial block are taken at its end.
        let end = scan.scan_block(simd, &padded);
        match end {
            Some(_) => *self = scan,
            None => self.scan_slowly(rest),
        }
        end.map(|end| blocks.len() * BLOCK_BYTES + end)
    }

    /// Scans one block of 64 bytes; the place after the closing brace, if it is in the block.
    #[inline(always)]
    fn scan_block<S: Simd>(&mut self, simd: S, block: &[u8; BLOCK_BYTES]) -> Option<usize> {
        let masks = Masks::of(simd, block);
        let mut quotes = masks.quotes;
        if masks.backslashes != 0 || self.after_backslash {
            self.has_backslash |= masks.backslashes != 0;
            quotes &= !escaped(masks.backslashes, &mut self.after_backslash);
        }
        let carry = if self.in_string { u64::MAX } else { 0 };
        let strings = prefix_xor(quotes) ^ carry;
        self.in_string = strings >> 63 == 1;
        let opening = masks.opening & !strings;
        let closing = masks.closing & !strings;
        let closings = closing.count_ones();
        if self.depth > closings {
            self.depth = self.depth + opening.count_ones() - closings;
            return None;
        }
        self.walk(opening, closing)
    }

    /// Follows the depth brace by brace through a block in which it may reach zero.
    fn walk(&mut self, opening: u64, closing: u64) -> Option<usize> {
        let mut braces = opening | closing;
        while braces != 0 {
            let at = braces.trailing_zeros();
            braces &= braces - 1;
            if opening >> at & 1 == 1 {
                self.depth += 1;
            } else {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Some(at as usize + 1);
                }
            }
        }
        None
    }

    /// Brings the carries over the last bytes of a window; they are known to hold no end.
    fn scan_slowly(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let escaped = std::mem::take(&mut self.after_backslash);
            match byte {
                b'\\' => {
                    self.after_backslash = !escaped;
                    self.has_backslash = true;
                }
                b'"' if !escaped => self.in_string = !self.in_string,
                b'{' if !self.in_string => self.depth += 1,
                b'}' if !self.in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

/// Where the bytes that matter stand in a block: bit i for byte i.
struct Masks {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Masks {
    #[inline(always)]
    fn of<S: Simd>(simd: S, block: &[u8; BLOCK_BYTES]) -> Self {
        let bytes = u8x64::from_slice(simd, block);
        let mask = |byte: u8| bytes.simd_eq(u8x64::splat(simd, byte)).to_bitmask();
        Self {
            quotes: mask(b'"'),
            backslashes: mask(b'\\'),
            opening: mask(b'{'),
            closing: mask(b'}'),
        }
    }
}

/// Bit i of the result is the exclusive or of bits 0 to i: turns quotes into string insides.
#[inline(always)]
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The bytes that a backslash escapes, given where backslashes stand: every second byte of a
/// run of backslashes, and the byte behind a run of odd length.
#[inline(always)]
fn escaped(backslashes: u64, carry: &mut bool) -> u64 {
    const EVEN_BITS: u64 = 0x5555_5555_5555_5555;
    let carried = u64::from(*carry);
    let backslashes = backslashes & !carried;
    let follows = backslashes << 1 | carried;
    let odd_starts = backslashes & !EVEN_BITS & !follows;
    let (runs, overflow) = odd_starts.overflowing_add(backslashes);
    *carry = overflow;
    (EVEN_BITS ^ (runs << 1)) & follows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow, obvious twin of `Scan::find_end`.
    fn find_end_slowly(bytes: &[u8]) -> Option<usize> {
        let (mut depth, mut in_string, mut escape) = (0_u32, false, false);
        for (at, &byte) in bytes.iter().enumerate() {
            let escaped = std::mem::take(&mut escape);
            match byte {
                b'\\' => escape = !escaped,
                b'"' if !escaped => in_string = !in_string,
                b'{' if !in_string => depth += 1,
                b'}' if !in_string => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_twin(
            body in proptest::collection::vec(
                prop::sample::select(b"{}\"\\\\\\a,: ".to_vec()), 0..400),
            cut in 0usize..400,
        ) {
            let mut text = vec![b'{'];
            text.extend(body);
            let expected = find_end_slowly(&text);
            prop_assert_eq!(Scan::default().find_end(&text), expected);
            // The same in two windows.
            let cut = cut.min(text.len());
            let mut scan = Scan::default();
            let in_two = scan
                .find_end(&text[..cut])
                .or_else(|| scan.find_end(&text[cut..]).map(|end| cut + end));
            prop_assert_eq!(in_two, expected);
            // The same with the narrowest vectors.
            let mut scan = Scan::default();
            let narrow = dispatch!(Level::baseline(), simd => scan.find_end_with(simd, &text));
            prop_assert_eq!(narrow, expected);
        }
    }
}
