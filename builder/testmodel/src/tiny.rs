//! The small model: 1.4 million weights, about 2 MB.

use std::collections::BTreeMap;

use crate::gguf::{F16, F32, Format, Q8_0, Tensor, Value, header};
use crate::number::{Random, f16, q8_0};
use crate::tokenizer::Tokenizer;

const WIDTH: usize = 256;
const LAYERS: usize = 2;
const HEADS: usize = 8;
const KEY_HEADS: usize = 4;
const INNER: usize = 512;
const CONTEXT: u32 = 4096;

/// How strongly a layer moves what it gets, attention and the rest. Attention chooses among words that may follow, and
/// must not drown which may.
const ATTENTION: f32 = 1.6;
const FORWARD: f32 = 0.25;

/// How sure the model is: what the score of the only possible successor is, roughly.
const CONFIDENCE: f32 = 14.0;

/// A small model as a GGUF file: the same bytes for the same seed, everywhere.
pub fn tiny(seed: u64) -> Vec<u8> {
    let tokenizer = Tokenizer::train();
    let words = tokenizer.len();
    let mut parts: Vec<(Tensor, Vec<f32>)> = Vec::new();
    let mut random = Random::new(seed, 0);
    let embedding: Vec<f32> = (0..words * WIDTH).map(|_| random.normal()).collect();
    let following = successors(&tokenizer, &embedding);
    parts.push((matrix("token_embd.weight", WIDTH, words, F16), embedding));
    for layer in 0..LAYERS {
        layer_parts(layer, &mut Random::new(seed, 1 + layer as u64), &mut parts);
    }
    parts.push((matrix("output_norm.weight", WIDTH, 1, F32), vec![1.0; WIDTH]));
    parts.push((matrix("output.weight", WIDTH, words, F16), following));

    let tensors: Vec<Tensor> = parts.iter().map(|(tensor, _)| tensor.clone()).collect();
    let mut file = header(&metadata(&tokenizer), &tensors);
    for (tensor, numbers) in &parts {
        store(tensor.format, numbers, &mut file);
        file.resize(file.len() + tensor.padding(), 0);
    }
    file
}

fn matrix(name: impl Into<String>, columns: usize, rows: usize, format: Format) -> Tensor {
    Tensor::new(name, columns as u64, rows as u64, format)
}

fn store(format: Format, numbers: &[f32], to: &mut Vec<u8>) {
    match format {
        F16 => f16(numbers, to),
        Q8_0 => q8_0(numbers, to),
        _ => numbers.iter().for_each(|number| to.extend_from_slice(&number.to_le_bytes())),
    }
}

/// The output matrix. A word's row is the sum of the embeddings of the words that it follows, weighted by how often it
/// does; embeddings are nearly orthogonal, so the product with one of them is about its weight.
fn successors(tokenizer: &Tokenizer, embedding: &[f32]) -> Vec<f32> {
    let mut counts: BTreeMap<(usize, usize), f32> = BTreeMap::new();
    let mut totals: BTreeMap<usize, f32> = BTreeMap::new();
    let newline = tokenizer.byte(b'\n');
    for line in &tokenizer.lines {
        let path: Vec<usize> = [newline].iter().chain(line).chain([&tokenizer.end, &newline]).copied().collect();
        for pair in path.windows(2) {
            *counts.entry((pair[0], pair[1])).or_default() += 1.0;
            *totals.entry(pair[0]).or_default() += 1.0;
        }
    }
    let mut rows = vec![0.0; embedding.len()];
    for ((before, after), count) in counts {
        let weight = CONFIDENCE * (count / totals[&before]).sqrt() / WIDTH as f32;
        let from = &embedding[before * WIDTH..(before + 1) * WIDTH];
        let row = &mut rows[after * WIDTH..(after + 1) * WIDTH];
        row.iter_mut().zip(from).for_each(|(sum, number)| *sum += weight * number);
    }
    rows
}

fn layer_parts(layer: usize, random: &mut Random, parts: &mut Vec<(Tensor, Vec<f32>)>) {
    let key_width = WIDTH / HEADS * KEY_HEADS;
    // Deviations that keep the size of what goes through, but for the last matrix of each branch.
    let even = |inputs: usize, gain: f32| gain / (inputs as f32).sqrt();
    let shapes = [
        ("attn_q", WIDTH, WIDTH, even(WIDTH, 1.0)),
        ("attn_k", WIDTH, key_width, even(WIDTH, 1.0)),
        ("attn_v", WIDTH, key_width, even(WIDTH, 1.0)),
        ("attn_output", WIDTH, WIDTH, even(WIDTH, ATTENTION)),
        ("ffn_gate", WIDTH, INNER, even(WIDTH, 1.0)),
        ("ffn_up", WIDTH, INNER, even(WIDTH, 1.0)),
        ("ffn_down", INNER, WIDTH, even(INNER, FORWARD)),
    ];
    for norm in ["attn_norm", "ffn_norm"] {
        parts.push((matrix(format!("blk.{layer}.{norm}.weight"), WIDTH, 1, F32), vec![1.0; WIDTH]));
    }
    for (name, inputs, outputs, deviation) in shapes {
        let numbers = (0..inputs * outputs).map(|_| random.normal() * deviation).collect();
        parts.push((matrix(format!("blk.{layer}.{name}.weight"), inputs, outputs, Q8_0), numbers));
    }
}

fn metadata(tokenizer: &Tokenizer) -> Vec<(String, Value)> {
    let mut metadata: Vec<(String, Value)> = vec![
        ("general.architecture".into(), Value::Text("llama".into())),
        ("general.name".into(), Value::Text("sealstone test model".into())),
        // llama.cpp's number for "mostly Q8_0".
        ("general.file_type".into(), Value::U32(7)),
    ];
    let shape = [
        ("vocab_size", tokenizer.len() as u32),
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
