//! Large models, for benchmarks: the shape of a model of 430 million weights, all noise.

use std::io::{self, Write};

use crate::gguf::{F32, Format, Q4_K, Q8_0, Tensor, Value, header};
use crate::number::{Random, half};
use crate::tokenizer::Tokenizer;

const WIDTH: u64 = 1024;
const LAYERS: u64 = 24;
const HEADS: u64 = 16;
const KEY_HEADS: u64 = 4;
const INNER: u64 = 4096;
const WORDS: u64 = 32_000;
const CONTEXT: u32 = 8192;

/// How the weights are stored, which decides how fast the model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 4.5 bits each, but for the output matrix: about 260 MB.
    Q4K,
    /// 8.5 bits each: about 460 MB.
    Q8,
}

/// Writes a large model and says how many bytes it has. The same bytes for the same kind and seed.
///
/// # Errors
/// What `to` says.
pub fn large(kind: Kind, seed: u64, to: &mut impl Write) -> io::Result<u64> {
    let mut tokenizer = Tokenizer::train();
    tokenizer.fill(WORDS as usize);
    let tensors = tensors(kind);
    let head = header(&metadata(kind, &tokenizer), &tensors);
    to.write_all(&head)?;
    let mut length = head.len() as u64;
    for (number, tensor) in tensors.iter().enumerate() {
        noise(tensor, &mut Random::new(seed, number as u64), to)?;
        to.write_all(&vec![0; tensor.padding()])?;
        length += tensor.bytes() + tensor.padding() as u64;
    }
    Ok(length)
}

fn tensors(kind: Kind) -> Vec<Tensor> {
    let format = match kind {
        Kind::Q4K => Q4_K,
        Kind::Q8 => Q8_0,
    };
    let key_width = WIDTH / HEADS * KEY_HEADS;
    let mut tensors = vec![Tensor::new("token_embd.weight", WIDTH, WORDS, format)];
    for layer in 0..LAYERS {
        let mut part = |name: &str, columns, rows, format| {
            tensors.push(Tensor::new(format!("blk.{layer}.{name}.weight"), columns, rows, format));
        };
        part("attn_norm", WIDTH, 1, F32);
        part("attn_q", WIDTH, WIDTH, format);
        part("attn_k", WIDTH, key_width, format);
        part("attn_v", WIDTH, key_width, format);
        part("attn_output", WIDTH, WIDTH, format);
        part("ffn_norm", WIDTH, 1, F32);
        part("ffn_gate", WIDTH, INNER, format);
        part("ffn_up", WIDTH, INNER, format);
        part("ffn_down", INNER, WIDTH, format);
    }
    tensors.push(Tensor::new("output_norm.weight", WIDTH, 1, F32));
    tensors.push(Tensor::new("output.weight", WIDTH, WORDS, Q8_0));
    tensors
}

/// Writes blocks of random steps, scaled so that a matrix keeps the size of what goes through it.
fn noise(tensor: &Tensor, random: &mut Random, to: &mut impl Write) -> io::Result<()> {
    if tensor.format == F32 {
        return (0..tensor.columns).try_for_each(|_| to.write_all(&1.0_f32.to_le_bytes()));
    }
    let deviation = 1.0 / (tensor.columns as f32).sqrt();
    let start = block_start(tensor.format, deviation);
    let mut row = Vec::new();
    for _ in 0..tensor.rows {
        row.clear();
        for _ in 0..tensor.columns / tensor.format.block_length {
            row.extend_from_slice(&start);
            let steps = tensor.format.block_bytes as usize - start.len();
            let words = (0..steps.div_ceil(8)).flat_map(|_| random.next().to_le_bytes());
            row.extend(words.take(steps));
        }
        to.write_all(&row)?;
    }
    Ok(())
}

/// What stands before a block's steps: for Q8_0 the scale; for Q4_K the scale, the offset, and both for each of 8 parts.
fn block_start(format: Format, deviation: f32) -> Vec<u8> {
    if format == Q8_0 {
        // Uniform steps of −128 to 127 deviate by 73.9.
        return half(deviation / 73.9).to_le_bytes().to_vec();
    }
    // Uniform steps of 0 to 15 deviate by 4.61 and have the mean 7.5, which the offset takes off. The parts' scales and
    // offsets are six bits each, packed as ggml's `get_scale_min_k4` reads them: those of the first four parts whole, with
    // the upper two bits of the last four above them; then the lower four bits of both for the last four.
    const SCALE: u8 = 16;
    const OFFSET: u8 = 60;
    let step = deviation / 4.61;
    let mut start = half(step / f32::from(SCALE)).to_le_bytes().to_vec();
    start.extend(half(step * 7.5 / f32::from(OFFSET)).to_le_bytes());
    start.extend([SCALE | ((SCALE >> 4) << 6); 4]);
    start.extend([OFFSET | ((OFFSET >> 4) << 6); 4]);
    start.extend([(SCALE & 15) | ((OFFSET & 15) << 4); 4]);
    start
}

fn metadata(kind: Kind, tokenizer: &Tokenizer) -> Vec<(String, Value)> {
    let mut metadata: Vec<(String, Value)> = vec![
        ("general.architecture".into(), Value::Text("llama".into())),
        ("general.name".into(), Value::Text("sealstone benchmark model".into())),
        // llama.cpp's numbers for "mostly Q4_K, small" and "mostly Q8_0".
        ("general.file_type".into(), Value::U32(if kind == Kind::Q4K { 14 } else { 7 })),
    ];
    let shape = [
        ("vocab_size", WORDS as u32),
        ("context_length", CONTEXT),
        ("embedding_length", WIDTH as u32),
        ("block_count", LAYERS as u32),
        ("feed_forward_length", INNER as u32),
        ("attention.head_count", HEADS as u32),
        ("attention.head_count_kv", KEY_HEADS as u32),
        ("rope.dimension_count", (WIDTH / HEADS) as u32),
    ];
    metadata.extend(shape.map(|(key, number)| (format!("llama.{key}"), Value::U32(number))));
    metadata.push(("llama.rope.freq_base".into(), Value::F32(10_000.0)));
    metadata.push(("llama.attention.layer_norm_rms_epsilon".into(), Value::F32(1e-5)));
    metadata.extend(tokenizer.metadata());
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what is written.
    struct Length(u64);

    impl Write for Length {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    #[ignore = "writes 700 MB"]
    fn the_length_is_what_was_written() {
        for (kind, most) in [(Kind::Q4K, 300 << 20), (Kind::Q8, 500 << 20)] {
            let mut counted = Length(0);
            let length = large(kind, 1, &mut counted).unwrap();
            assert_eq!(length, counted.0);
            assert!(length > 200 << 20 && length < most, "{kind:?}: {length}");
        }
    }

    #[test]
    fn blocks_have_the_deviation_that_was_asked_for() {
        let start = block_start(Q4_K, 0.05);
        assert_eq!(start.len(), 16);
        let (scale, offset) = (u16::from_le_bytes([start[0], start[1]]), u16::from_le_bytes([start[2], start[3]]));
        let (scale, offset) = (crate::number::whole(scale), crate::number::whole(offset));
        for part in 0..8 {
            let (s, m) = six_bits(part, &start[4..]);
            assert_eq!((s, m), (16, 60), "part {part}");
            let values: Vec<f32> = (0..16).map(|q| scale * f32::from(s) * q as f32 - offset * f32::from(m)).collect();
            let mean = values.iter().sum::<f32>() / 16.0;
            let deviation = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / 16.0).sqrt();
            assert!(mean.abs() < 1e-3 && (deviation - 0.05).abs() < 1e-3, "{mean} {deviation}");
        }
    }

    /// The reading side, after ggml's `get_scale_min_k4`.
    fn six_bits(part: usize, packed: &[u8]) -> (u8, u8) {
        match part {
            0..4 => (packed[part] & 63, packed[part + 4] & 63),
            _ => ((packed[part + 4] & 15) | ((packed[part - 4] >> 6) << 4), (packed[part + 4] >> 4) | ((packed[part] >> 6) << 4)),
        }
    }
}
