//! A seeded source of numbers: the same seed gives the same archive on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, no bad seeds, fast enough for gigabytes.
pub struct Prng {
    state: u64,
}

impl Prng {
    pub fn new(seed: u64) -> Prng {
        Prng { state: seed }
    }

    /// A source of its own for the part `label` of the work, so that parts may be made in any order.
    pub fn stream(seed: u64, label: u64) -> Prng {
        let mut mixed = Prng::new(seed ^ Prng::new(label).word());
        Prng::new(mixed.word())
    }

    /// A source fixed by a text; identifiers of a principal follow from its name alone.
    pub fn of_text(text: &str) -> Prng {
        const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
        let hash = text.bytes().fold(FNV_OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
        });
        Prng::new(hash)
    }

    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    pub fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .map(|_| char::from(self.pick(alphabet)))
            .collect()
    }

    pub fn hex(&mut self, length: usize) -> String {
        self.text(b"0123456789abcdef", length)
    }

    /// A random (version 4) UUID.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.word(), self.word());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            (low >> 48) & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }
}

/// Draws ranks so that the first is the commonest: rank n has a weight of 1/(n+1).
pub struct Zipf {
    cumulated: Vec<u64>,
}

impl Zipf {
    pub fn new(ranks: usize) -> Zipf {
        const UNIT: u64 = 1_000_000;
        let mut total = 0;
        let cumulated = (1..=ranks as u64)
            .map(|rank| {
                total += UNIT / rank;
                total
            })
            .collect();
        Zipf { cumulated }
    }

    pub fn draw(&self, prng: &mut Prng) -> usize {
        let total = *self
            .cumulated
            .last()
            .expect("a distribution has at least one rank");
        let point = prng.below(total);
        self.cumulated.partition_point(|&upper| upper <= point)
    }
}
