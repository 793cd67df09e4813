//! Random numbers by counting: the n-th number of a stream is a function of seed, stream and n alone.

/// Philox 4x32 with ten rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011): a generator
/// whose whole state is a counter.
///
/// # Examples
/// ```
/// use gatewise::Philox;
///
/// let (mut one, mut same) = (Philox::new(7, 0), Philox::new(7, 0)); // seed, stream
/// assert_eq!(one.uniform(), same.uniform());
/// assert_ne!(one.next_u32(), Philox::new(7, 1).next_u32());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Philox {
    seed: u64,
    stream: u64,
    /// Numbers drawn so far.
    drawn: u64,
}

impl Philox {
    /// The numbers of a stream of a seed, from the first one on.
    ///
    /// # Examples
    /// ```
    /// use gatewise::Philox;
    ///
    /// assert_eq!(Philox::new(7, 0).next_u32(), Philox::new(7, 0).next_u32());
    /// assert_ne!(Philox::new(7, 0).next_u32(), Philox::new(7, 1).next_u32());
    /// ```
    pub fn new(seed: u64, stream: u64) -> Philox {
        Philox { seed, stream, drawn: 0 }
    }

    /// The next 32 random bits.
    ///
    /// # Examples
    /// The authors' known answer:
    /// ```
    /// let mut random = gatewise::Philox::new(0, 0);
    /// assert_eq!([random.next_u32(), random.next_u32()], [0x6627_e8d5, 0xe169_c58d]);
    /// ```
    pub fn next_u32(&mut self) -> u32 {
        let [a, b] = halves(self.drawn / 4);
        let [c, d] = halves(self.stream);
        let next = philox([a, b, c, d], halves(self.seed))[(self.drawn % 4) as usize];
        self.drawn += 1;
        next
    }

    /// Uniform in [0, 1), a multiple of 2^-24.
    ///
    /// # Examples
    /// ```
    /// let mut random = gatewise::Philox::new(7, 0);
    /// let numbers: Vec<f32> = (0..1000).map(|_| random.uniform()).collect();
    /// assert!(numbers.iter().all(|x| (0.0..1.0).contains(x)));
    /// assert!((numbers.iter().sum::<f32>() / 1000.0 - 0.5).abs() < 0.05);
    /// ```
    pub fn uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Normal with mean 0 and deviation 1, by the method of Box and Muller.
    ///
    /// # Examples
    /// ```
    /// let mut random = gatewise::Philox::new(7, 0);
    /// let numbers: Vec<f32> = (0..10_000).map(|_| random.normal()).collect();
    /// let mean_square = numbers.iter().map(|x| x * x).sum::<f32>() / 10_000.0;
    /// assert!((mean_square - 1.0).abs() < 0.1);
    /// ```
    pub fn normal(&mut self) -> f32 {
        // 1 - u is above 0, so the logarithm is finite.
        let radius = (-2.0 * (1.0 - f64::from(self.uniform())).ln()).sqrt();
        let angle = std::f64::consts::TAU * f64::from(self.uniform());
        (radius * angle.cos()) as f32
    }
}

/// The four numbers of a seed at a counter.
pub(crate) fn philox_at(seed: u64, counter: [u32; 4]) -> [u32; 4] {
    philox(counter, halves(seed))
}

/// The low and the high 32 bits.
fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// One block of four numbers.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let product = |a: u32, b: u32| halves(u64::from(a) * u64::from(b));
    for _ in 0..10 {
        let [a_low, a_high] = product(0xD251_1F53, counter[0]);
        let [b_low, b_high] = product(0xCD9E_8D57, counter[2]);
        counter = [b_high ^ counter[1] ^ key[0], b_low, a_high ^ counter[3] ^ key[1], a_low];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish with their implementation.
    #[test]
    fn the_authors_test_vectors() {
        let zeros = philox([0; 4], [0; 2]);
        assert_eq!(zeros, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = philox([u32::MAX; 4], [u32::MAX; 2]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn moments() {
        let mut random = Philox::new(7, 1);
        let n = 100_000;
        let (mut mean, mut square) = (0.0, 0.0);
        for _ in 0..n {
            let x = f64::from(random.normal());
            mean += x / f64::from(n);
            square += x * x / f64::from(n);
        }
        assert!(mean.abs() < 0.02 && (square - 1.0).abs() < 0.03, "{mean} {square}");
    }
}
