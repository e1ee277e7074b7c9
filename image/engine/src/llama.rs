//! llama.cpp as a backend.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::OnceLock;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;
use llama_cpp_2::token::logit_bias::LlamaLogitBias;
use sealstone_protocol::{Alternative, Facts, Logprobs, Sampling, limits};

use crate::backend::{Backend, Broken, Entry, Shape};
use crate::plan::{Needs, Plan, plan};
use crate::template::{SOURCE_BYTES, Template};

/// Tokens of one computation, and of the part of it that is one graph. The first is a bound on how long a step takes; the
/// second is llama.cpp's own choice, by which its benchmark measures.
const BATCH: u32 = 512;
/// Tokens of one embedding's text: they are one graph, whose memory grows with it.
const EMBEDDING: u32 = 2048;
/// How far back penalties look.
const PENALTY_WINDOW: i32 = 4096;
/// Longer texts of tokens are cut; no real tokenizer has one.
const TOKEN_TEXT: usize = 4096;

/// Why a model can't be served. None says more, because what llama.cpp says isn't ours to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// llama.cpp was started twice in this process.
    #[error("llama.cpp didn't start")]
    Backend,
    /// The file isn't there, can't be read, or is no model that llama.cpp knows.
    #[error("the file is no model that can be loaded")]
    Model,
    /// The memory doesn't suffice for one sequence of a useful length.
    #[error("not enough memory for the model")]
    Memory,
    /// llama.cpp didn't make the context.
    #[error("llama.cpp made no context")]
    Context,
}

/// A loaded model with room for its sequences.
pub struct Llama {
    model: &'static LlamaModel,
    context: LlamaContext<'static>,
    embedder: Option<RefCell<LlamaContext<'static>>>,
    batch: LlamaBatch<'static>,
    shape: Shape,
    template: Option<Template>,
}

/// Chooses tokens for one request.
pub struct Chooser {
    /// The steps of the sampling, the choice last; `None` takes the likeliest token.
    chain: Option<LlamaSampler>,
    grammar: Option<LlamaSampler>,
}

/// How much to use.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// Threads that compute.
    pub threads: u32,
    /// Bytes for the caches of keys and values.
    pub cache: u64,
}

impl Llama {
    /// Loads a model: of several files, the first. The file must not change from now on, because it is mapped.
    pub fn load(file: &Path, resources: Resources) -> Result<Llama, LoadError> {
        static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
        let mut backend = LlamaBackend::init().map_err(|_| LoadError::Backend)?;
        backend.void_logs();
        let backend = BACKEND.get_or_init(|| backend);
        let model = LlamaModel::load_from_file(backend, file, &LlamaModelParams::default()).map_err(|_| LoadError::Model)?;
        // It lives as long as the process; so does everything that borrows it.
        let model: &'static LlamaModel = Box::leak(Box::new(model));
        let Plan { context, sequences } = plan(needs(model), resources.cache).ok_or(LoadError::Memory)?;
        let threads = i32::try_from(resources.threads).unwrap_or(i32::MAX);
        let common = || LlamaContextParams::default().with_n_threads(threads).with_n_threads_batch(threads).with_no_perf(true);
        let parameters = common()
            .with_n_ctx(NonZeroU32::new(context.saturating_mul(sequences)))
            .with_n_seq_max(sequences)
            .with_n_batch(BATCH)
            .with_n_ubatch(BATCH)
            .with_kv_unified(false);
        let made = model.new_context(backend, parameters).map_err(|_| LoadError::Context)?;
        let embedding = EMBEDDING.min(context);
        let parameters = common()
            .with_n_ctx(NonZeroU32::new(embedding))
            .with_n_seq_max(1)
            .with_n_batch(embedding)
            .with_n_ubatch(embedding)
            .with_embeddings(true)
            .with_pooling_type(pooling(model));
        let embedder = model.new_context(backend, parameters).ok().map(RefCell::new);
        let width = u32::try_from(model.n_embd_out()).unwrap_or(0).min(limits::WIDTH as u32);
        let shape = Shape {
            context,
            sequences,
            batch: BATCH,
            vocabulary: u32::try_from(model.n_vocab()).unwrap_or(0),
            width: if embedder.is_some() { width } else { 0 },
            embedding,
            generates: generates(model),
        };
        Ok(Llama { model, context: made, embedder, batch: LlamaBatch::new(BATCH as usize, 1), shape, template: template(model) })
    }

    /// What the front is told.
    pub fn facts(&self, name: &str) -> Facts {
        Facts {
            name: name.to_owned(),
            context: self.shape.context,
            sequences: self.shape.sequences,
            width: self.shape.width,
            vocabulary: self.shape.vocabulary,
            parameters: self.model.n_params(),
        }
    }

    fn logits(&self, row: usize) -> &[f32] {
        self.context.get_logits_ith(i32::try_from(row).unwrap_or(i32::MAX))
    }

    /// Every token as a candidate, with its score.
    fn candidates(&self, row: usize) -> LlamaTokenDataArray {
        let scores = (0_i32..).zip(self.logits(row));
        LlamaTokenDataArray::from_iter(scores.map(|(id, score)| LlamaTokenData::new(LlamaToken(id), *score, 0.0)), false)
    }
}

/// The chat template, with the names of the tokens that it may write.
fn template(model: &LlamaModel) -> Option<Template> {
    let vocab = model.vocab();
    let named = |token: LlamaToken| {
        let text = vocab.text(token).filter(|_| token.0 >= 0).map(|text| text.to_string_lossy().into_owned());
        text.filter(|text| text.len() <= limits::NAME_BYTES).unwrap_or_default()
    };
    let source = model.chat_template(None).ok()?.to_string().ok().filter(|source| source.len() <= SOURCE_BYTES)?;
    let special = (0..model.n_vocab()).map(LlamaToken).filter(|token| vocab.is_control(*token)).map(named).collect();
    Some(Template { source, begin: named(vocab.bos()), end: named(vocab.eos()), special })
}

/// Whether each token sees those before it alone, as whoever names nothing else has it.
fn generates(model: &LlamaModel) -> bool {
    let architecture = model.meta_val_str("general.architecture").unwrap_or_default();
    model.meta_val_str(&format!("{architecture}.attention.causal")).as_deref() != Ok("false")
}

/// The pooling that the model names, or the mean: a model that was made to generate names none.
fn pooling(model: &LlamaModel) -> LlamaPoolingType {
    let architecture = model.meta_val_str("general.architecture").unwrap_or_default();
    match model.meta_val_str(&format!("{architecture}.pooling_type")).as_deref() {
        Ok("1" | "2" | "3" | "4") => LlamaPoolingType::Unspecified,
        _ => LlamaPoolingType::Mean,
    }
}

/// Keys and values are halves, for each layer and each of its heads; a head is as wide as the model says, or the model's
/// width divided by the heads.
fn needs(model: &LlamaModel) -> Needs {
    let architecture = model.meta_val_str("general.architecture").unwrap_or_default();
    let number = |key: &str| model.meta_val_str(&format!("{architecture}.{key}")).ok().and_then(|text| text.parse::<u64>().ok());
    let even = u64::from(model.n_embd().unsigned_abs()).checked_div(u64::from(model.n_head())).unwrap_or(0);
    let widths = number("attention.key_length").unwrap_or(even).saturating_add(number("attention.value_length").unwrap_or(even));
    let cells = u64::from(model.n_layer()).saturating_mul(u64::from(model.n_head_kv()));
    Needs { trained: model.n_ctx_train(), token_bytes: cells.saturating_mul(widths).saturating_mul(2) }
}

fn token(token: u32) -> LlamaToken {
    LlamaToken(i32::try_from(token).unwrap_or(-1))
}

impl Backend for Llama {
    type Chooser = Chooser;

    fn shape(&self) -> Shape {
        self.shape
    }

    fn begin(&self) -> Option<u32> {
        let vocab = self.model.vocab();
        u32::try_from(vocab.bos().0).ok().filter(|_| vocab.should_add_bos())
    }

    fn end(&self) -> Option<u32> {
        // Which token that is depends on the kind of tokenizer: it stands behind the first one around nothing.
        let around = self.model.vocab().tokenize(b"", true, false);
        around.get(usize::from(self.begin().is_some())).and_then(|end| u32::try_from(end.0).ok())
    }

    fn tokenize(&self, text: &str, special: bool) -> Vec<u32> {
        let tokens = self.model.vocab().tokenize(text.as_bytes(), false, special);
        tokens.into_iter().filter_map(|token| u32::try_from(token.0).ok()).collect()
    }

    fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    fn text(&self, id: u32) -> Vec<u8> {
        let mut text = self.model.vocab().token_to_piece(token(id), false, None);
        text.truncate(TOKEN_TEXT);
        text
    }

    fn ends(&self, id: u32) -> bool {
        self.model.vocab().is_eog(token(id))
    }

    fn chooser(&self, sampling: &Sampling, grammar: Option<&str>) -> Option<Chooser> {
        let grammar = match grammar {
            Some(grammar) => Some(LlamaSampler::grammar(self.model, grammar, "root").ok()?),
            None => None,
        };
        Some(Chooser { chain: chain(sampling, self.model.n_vocab()), grammar })
    }

    fn compute(&mut self, batch: &[Entry]) -> Result<(), Broken> {
        self.batch.clear();
        for entry in batch {
            let position = i32::try_from(entry.position).map_err(|_| Broken)?;
            let sequence = i32::try_from(entry.sequence).map_err(|_| Broken)?;
            self.batch.add(token(entry.token), position, &[sequence], entry.output).map_err(|_| Broken)?;
        }
        self.context.decode(&mut self.batch).map_err(|_| Broken)
    }

    fn choose(&mut self, row: usize, chooser: &mut Chooser) -> Option<u32> {
        let chosen = match (&mut chooser.chain, &chooser.grammar) {
            (None, None) => return likeliest(self.logits(row)),
            (chain, _) => choose_by(chain.as_mut(), self.candidates(row))?,
        };
        // Most often the choice fits the grammar, and asking for one token is much faster than for all.
        let allowed = match &mut chooser.grammar {
            None => chosen,
            Some(grammar) => match fits(grammar, chosen) {
                true => chosen,
                false => choose_by(chooser.chain.as_mut(), self.candidates(row).with_sampler(grammar))?,
            },
        };
        // A sampler that is told of a token that doesn't fit ends the process, with the token's text.
        if let Some(grammar) = &mut chooser.grammar {
            grammar.accept(allowed);
        }
        if let Some(chain) = &mut chooser.chain {
            chain.accept(allowed);
        }
        u32::try_from(allowed.0).ok()
    }

    fn logprobs(&self, row: usize, chosen: u32, count: u32) -> Option<Logprobs> {
        let logits = self.logits(row);
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
        let base = f64::from(largest) + sum.ln();
        let alternative = |id: u32| {
            let logit = logits.get(id as usize).copied()?;
            let logprob = ((f64::from(logit) - base) as f32).min(0.0);
            (!logprob.is_nan()).then(|| Alternative { token: id, text: self.text(id), logprob })
        };
        let mut order: Vec<u32> = (0..self.shape.vocabulary).collect();
        let rank = |id: &u32| logits.get(*id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let count = (count as usize).min(order.len());
        if count > 0 {
            order.select_nth_unstable_by(count.saturating_sub(1), |a, b| rank(b).total_cmp(&rank(a)).then(a.cmp(b)));
        }
        order.truncate(count);
        order.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then(a.cmp(b)));
        Some(Logprobs { chosen: alternative(chosen)?, top: order.into_iter().filter_map(alternative).collect() })
    }

    fn forget(&mut self, sequence: u32, from: u32) -> bool {
        self.context.clear_kv_cache_seq(Some(sequence), Some(from), None).unwrap_or(false)
    }

    fn embed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, Broken> {
        let mut embedder = self.embedder.as_ref().ok_or(Broken)?.try_borrow_mut().map_err(|_| Broken)?;
        let tokens: Vec<LlamaToken> = tokens.iter().map(|id| token(*id)).collect();
        let mut batch = LlamaBatch::new(tokens.len(), 1);
        batch.add_sequence(&tokens, 0, true).map_err(|_| Broken)?;
        embedder.clear_kv_cache();
        embedder.decode(&mut batch).map_err(|_| Broken)?;
        let vector = embedder.embeddings_seq_ith(0).map_err(|_| Broken)?;
        let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
        let unit = |number: &f32| if length > 0.0 { (f64::from(*number) / length) as f32 } else { 0.0 };
        Ok(vector.iter().take(self.shape.width as usize).map(unit).collect())
    }
}

/// The steps of a sampling, in the order that [`Sampling`] documents; `None` for the likeliest token without any.
fn chain(sampling: &Sampling, vocabulary: i32) -> Option<LlamaSampler> {
    let mut steps = Vec::new();
    if !sampling.biases.is_empty() {
        let bias = |bias: f32| if bias <= -limits::BIAS { f32::NEG_INFINITY } else { bias };
        let biases: Vec<_> = sampling.biases.iter().map(|b| LlamaLogitBias::new(token(b.token), bias(b.bias))).collect();
        steps.push(LlamaSampler::logit_bias(vocabulary, &biases));
    }
    if sampling.repetition != 1.0 || sampling.frequency != 0.0 || sampling.presence != 0.0 {
        let (repetition, frequency, presence) = (sampling.repetition, sampling.frequency, sampling.presence);
        steps.push(LlamaSampler::penalties(vocabulary, PENALTY_WINDOW, repetition, frequency, presence));
    }
    if sampling.temperature <= 0.0 {
        if steps.is_empty() {
            return None;
        }
        steps.push(LlamaSampler::greedy());
        return Some(LlamaSampler::chain(steps, true));
    }
    if sampling.top_k > 0 {
        steps.push(LlamaSampler::top_k(i32::try_from(sampling.top_k).unwrap_or(i32::MAX)));
    }
    if sampling.top_p < 1.0 {
        steps.push(LlamaSampler::top_p(sampling.top_p, 1));
    }
    if sampling.min_p > 0.0 {
        steps.push(LlamaSampler::min_p(sampling.min_p, 1));
    }
    steps.push(LlamaSampler::temp(sampling.temperature));
    steps.push(LlamaSampler::dist(sampling.seed));
    Some(LlamaSampler::chain(steps, true))
}

fn choose_by(chain: Option<&mut LlamaSampler>, mut candidates: LlamaTokenDataArray) -> Option<LlamaToken> {
    match chain {
        Some(chain) => candidates.apply_sampler(chain),
        None => candidates.apply_sampler(&mut LlamaSampler::greedy()),
    }
    let chosen = candidates.data.get(candidates.selected?)?;
    // A grammar and a bias forbid by minus infinity; if that was chosen, nothing is allowed.
    (chosen.logit() > f32::NEG_INFINITY).then(|| chosen.id())
}

fn fits(grammar: &mut LlamaSampler, chosen: LlamaToken) -> bool {
    let mut one = LlamaTokenDataArray::new(vec![LlamaTokenData::new(chosen, 1.0, 0.0)], false);
    one.apply_sampler(grammar);
    one.data.first().is_some_and(|candidate| candidate.logit() > f32::NEG_INFINITY)
}

/// The likeliest token, the first of equals; `None` when the scores are no numbers.
fn likeliest(scores: &[f32]) -> Option<u32> {
    let mut best = (f32::NEG_INFINITY, None);
    for (id, score) in (0_u32..).zip(scores) {
        if *score > best.0 {
            best = (*score, Some(id));
        }
    }
    best.1
}
