//! Numbers from a seed: the same seed gives the same run.

/// xorshift64*: small, good enough to spread kills and sizes.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed; any number will do.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The seed in HALFPENNY_SEED, else one from the clock. It is printed: a failure can be run again.
    #[must_use]
    #[allow(clippy::print_stdout)]
    pub fn announced(name: &str) -> Self {
        let given = std::env::var("HALFPENNY_SEED").ok().map(|seed| seed.parse().expect("HALFPENNY_SEED is a number"));
        let seed: u64 =
            given.unwrap_or_else(|| u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp()).unwrap());
        println!("{name}: HALFPENNY_SEED={seed}");
        Self::new(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.number() >> 16) % limit.max(1)
    }

    /// Any bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.number().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
