//! The hybrid of runs and bit-packed groups in which Parquet writes dictionary codes and
//! definition levels (Apache Parquet, Encodings, "Run Length Encoding / Bit-Packing Hybrid").

/// Values of a bit-packed group.
const GROUP: usize = 8;

/// The bits that values up to `max` take.
pub fn bit_width(max: u32) -> u32 {
    u32::BITS - max.leading_zeros()
}

/// Appends `values`, each below 2^`width`, to `out`.
pub fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    // Values from `packed` on wait to be bit-packed.
    let mut packed = 0;
    let mut at = 0;
    while at < values.len() {
        let value = values[at];
        let run = values[at..].iter().take_while(|v| **v == value).count();
        let end = at + run;
        // Groups of packed values are whole: a run gives up values to complete the last one.
        let start = at + (GROUP - (at - packed) % GROUP) % GROUP;
        if end >= start + GROUP {
            pack(&values[packed..start], width, out);
            encode_run(value, end - start, width, out);
            packed = end;
        }
        at = end;
    }
    pack(&values[packed..], width, out);
}

/// Appends `times` times the same value.
pub fn encode_run(value: u32, times: usize, width: u32, out: &mut Vec<u8>) {
    push_varint(times << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Appends values bit by bit, the lowest first; the last group is filled up with zeros.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(GROUP);
    push_varint(groups << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    let (mut bits, mut held) = (0_u64, 0);
    for &value in values {
        bits |= u64::from(value) << held;
        held += width;
        if held >= u32::BITS {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= u32::BITS;
            held -= u32::BITS;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..held.div_ceil(8) as usize]);
    out.resize(end, 0);
}

fn push_varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads bit by bit, as the format's text says.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_usize, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let bit = |at: usize| u32::from(bytes[at / 8] >> (at % 8) & 1);
            let value_at = |at: usize| (0..width as usize).fold(0, |v, i| v | bit(at + i) << i);
            let used = if header & 1 == 1 {
                let bits = (header >> 1) * GROUP * width as usize;
                values.extend((0..(header >> 1) * GROUP).map(|n| value_at(n * width as usize)));
                bits / 8
            } else {
                values.extend(std::iter::repeat_n(value_at(0), header >> 1));
                width.div_ceil(8) as usize
            };
            bytes = &bytes[used..];
        }
        assert!(bytes.is_empty());
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            runs in proptest::collection::vec((0_u32..=u32::MAX, 1_usize..40), 0..40),
            width in 0_u32..=32,
        ) {
            let mask = if width == 32 { u32::MAX } else { (1 << width) - 1 };
            let values: Vec<u32> = runs
                .iter()
                .flat_map(|(value, times)| std::iter::repeat_n(value & mask, *times))
                .collect();
            let mut out = Vec::new();
            encode(&values, width, &mut out);
            prop_assert_eq!(decode(&out, width, values.len()), values);
        }
    }

    #[test]
    fn runs_are_short() {
        let mut out = Vec::new();
        encode(&[1; 20_000], bit_width(1), &mut out);
        assert_eq!(out.len(), 4);
        assert_eq!([0, 1, 2, 255, 256].map(bit_width), [0, 1, 2, 8, 9]);
    }
}
