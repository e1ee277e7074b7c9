//! Random numbers, and numbers as model files hold them.

/// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
pub(crate) struct Random(u64);

impl Random {
    /// A stream of its own for each pair of seed and purpose.
    pub(crate) fn new(seed: u64, purpose: u64) -> Random {
        let mut random = Random(seed);
        random.0 = random.next() ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93);
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Roughly normal, mean 0, deviation 1: the sum of four uniform numbers, which needs no logarithm.
    pub(crate) fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum = (bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48);
        // Four numbers of 0 to 65535: mean 131070, deviation 37837.
        (sum as f32 - 131_070.0) / 37_837.0
    }
}

/// The half-precision number nearest to `value`, ties to even; too large becomes infinity.
pub(crate) fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude >= 0x4780_0000 {
        return sign | if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    }
    // Below the smallest normal half (2^-14) the fraction loses a bit for each power of two.
    let exponent = magnitude >> 23;
    let (fraction, drop) = match exponent {
        113.. => (magnitude - (112 << 23), 13),
        102..=112 => ((magnitude & 0x7f_ffff) | 0x80_0000, 126 - exponent),
        _ => return sign,
    };
    let kept = fraction >> drop;
    let rest = fraction & ((1 << drop) - 1);
    let middle = 1 << (drop - 1);
    let up = rest > middle || (rest == middle && kept & 1 == 1);
    // A carry out of the fraction goes into the exponent, where it belongs.
    sign | (kept + u32::from(up)) as u16
}

/// The number that a half-precision one stands for.
pub(crate) fn whole(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(half & 0x3ff);
    match (half >> 10) & 0x1f {
        0 => sign * fraction / 16_777_216.0,
        31 => sign * if fraction == 0.0 { f32::INFINITY } else { f32::NAN },
        exponent => sign * (1.0 + fraction / 1024.0) * f32::from_bits((u32::from(exponent) + 112) << 23),
    }
}

/// Appends numbers as halves (ggml's F16).
pub(crate) fn f16(numbers: &[f32], to: &mut Vec<u8>) {
    numbers.iter().for_each(|number| to.extend_from_slice(&half(*number).to_le_bytes()));
}

/// Appends numbers in blocks of 32 (ggml's Q8_0): a half as scale, and 32 signed bytes of it.
pub(crate) fn q8_0(numbers: &[f32], to: &mut Vec<u8>) {
    for block in numbers.chunks(32) {
        let largest = block.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        let scale = half(largest / 127.0);
        to.extend_from_slice(&scale.to_le_bytes());
        let unit = whole(scale);
        for number in block {
            let steps = if unit == 0.0 { 0.0 } else { (number / unit).round_ties_even().clamp(-127.0, 127.0) };
            to.push((steps as i8).to_le_bytes()[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        let table: &[(f32, u16)] = &[
            (0.0, 0),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (65519.0, 0x7bff),
            (65520.0, 0x7c00),
            (1e9, 0x7c00),
            (0.1, 0x2e66),
            (6.103_515_6e-5, 0x0400),
            (5.960_464_5e-8, 0x0001),
            (2.980_232_2e-8, 0),
            (4.470_348_4e-8, 1),
            (1.0 + 1.0 / 2048.0, 0x3c00),
            (1.0 + 3.0 / 2048.0, 0x3c02),
        ];
        for (number, expected) in table {
            assert_eq!(half(*number), *expected, "{number}");
        }
        for bits in (0..=u16::MAX).filter(|b| b & 0x7c00 != 0x7c00) {
            assert_eq!(half(whole(bits)), bits, "{bits:#06x}");
        }
        assert!(whole(half(f32::NAN)).is_nan());
    }

    #[test]
    fn blocks_come_back() {
        let mut random = Random::new(1, 2);
        let numbers: Vec<f32> = (0..320).map(|_| random.normal()).collect();
        let mut bytes = Vec::new();
        q8_0(&numbers, &mut bytes);
        assert_eq!(bytes.len(), 340);
        for (block, stored) in numbers.chunks(32).zip(bytes.chunks(34)) {
            let unit = whole(u16::from_le_bytes([stored[0], stored[1]]));
            for (number, steps) in block.iter().zip(&stored[2..]) {
                let back = f32::from(i8::from_le_bytes([*steps])) * unit;
                assert!((number - back).abs() <= unit * 0.51, "{number} {back}");
            }
        }
    }

    #[test]
    fn noise_is_noise() {
        let mut random = Random::new(7, 0);
        let numbers: Vec<f32> = (0..100_000).map(|_| random.normal()).collect();
        let mean = numbers.iter().sum::<f32>() / 1e5;
        let variance = numbers.iter().map(|n| n * n).sum::<f32>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        assert_ne!(Random::new(7, 0).next(), Random::new(7, 1).next());
    }
}
