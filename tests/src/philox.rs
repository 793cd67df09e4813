//! Philox written down a second time, from its paper, so that the masks of dropout have a yardstick of their own.

/// Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011): the four numbers of a
/// counter under a key. Ten rounds; in each, with `hi` and `lo` the halves of a 64-bit product,
///
/// ```text
/// c0 = hi(M1 c2) ^ c1 ^ k0     c1 = lo(M1 c2)     c2 = hi(M0 c0) ^ c3 ^ k1     c3 = lo(M0 c0)
/// k0 += 0x9E3779B9             k1 += 0xBB67AE85   M0 = 0xD2511F53              M1 = 0xCD9E8D57
/// ```
pub fn philox(counter: [u32; 4], key: u64) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let (mut k0, mut k1) = (key as u32, (key >> 32) as u32);
    for _ in 0..10 {
        let (m0, m1) = (0xD251_1F53_u64 * u64::from(c0), 0xCD9E_8D57_u64 * u64::from(c2));
        (c0, c2) = ((m1 >> 32) as u32 ^ c1 ^ k0, (m0 >> 32) as u32 ^ c3 ^ k1);
        (c1, c3) = (m1 as u32, m0 as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// What a dropout of that rate multiplies a value by: unit `unit` of layer `layer` at a step of a row.
pub fn dropout(seed: u64, rate: f32, layer: usize, step: u32, row: u32, unit: usize) -> f32 {
    let bits = philox([(unit / 4) as u32, layer as u32, step, row], seed)[unit % 4];
    // The upper 24 bits are uniform in [0, 1).
    let is_dropped = f64::from(bits >> 8) / f64::from(1 << 24) < f64::from(rate);
    if is_dropped { 0.0 } else { 1.0 / (1.0 - rate) }
}
