//! What the front asks of an engine.

use crate::codec::{Body, Fields, Message, sealed::Sealed};
use crate::wire::{Reader, Writer, within};
use crate::{Error, limits};

/// Names a request among those in flight. The front chooses it, and gives no two requests the same as long as the engine
/// may still answer the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// An order to the engine. Every order but [`Order::Cancel`] is answered by exactly one final report (see
/// [`Report`](crate::Report)), also when it is cancelled.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Continue a prompt.
    Generate(Box<Generate>),
    /// Turn a prompt into one vector.
    Embed(Embed),
    /// Turn text into tokens, to count or to show them.
    Tokenize(Tokenize),
    /// Give a request up. Without effect when it has ended already; the two may cross on the way.
    Cancel(RequestId),
}

/// A request to continue a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Generate {
    /// The request.
    pub id: RequestId,
    /// Whose the request is, see [`Salt`].
    pub salt: Salt,
    /// What to continue. It must leave room for at least one token in the model's context.
    pub prompt: Prompt,
    /// The most tokens to generate, at least 1; the context may end it earlier.
    pub max_tokens: u32,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// What the reply must be.
    pub constraint: Constraint,
    /// Text that ends the reply and isn't part of it. None is empty.
    pub stop: Vec<String>,
    /// Whether to report each token's probability, and how many of the likeliest tokens with it.
    pub logprobs: Option<u32>,
    /// Go on when the model says that it has ended, until `max_tokens`. For benchmarks.
    pub ignore_end: bool,
}

/// Separates what the prompt cache keeps: computation is reused only among requests with the same salt, so that timing
/// tells nobody what others asked. The front makes one per session, at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Salt(pub [u8; 16]);

/// The model's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Text, to be turned into tokens segment by segment.
    Text {
        /// In order.
        segments: Vec<Segment>,
        /// Whether the model's beginning-of-text token goes first, if the model wants one. A chat template usually
        /// writes it itself.
        begin: bool,
    },
    /// Tokens as they are. One that the model doesn't have is an error of the request.
    Tokens(Vec<u32>),
    /// A conversation, of which the model's own chat template makes the text, up to where the assistant's answer begins.
    Chat(Vec<Turn>),
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who says it.
    pub role: Role,
    /// The speaker's name, where there are several in a role.
    pub name: Option<String>,
    /// What is said.
    pub content: String,
}

/// Who says something. Others, and other words for these, are not for a template to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Whoever set the assistant up.
    System,
    /// Whoever asks it.
    User,
    /// The model, earlier.
    Assistant,
}

/// A piece of a prompt's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// Whether the names of special tokens in it mean those tokens. True for what a template wrote, false for what
    /// people wrote, so that nobody can end his turn and speak for somebody else.
    pub special: bool,
}

/// How the next token is chosen. The steps stand in the order in which they are applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Added to single tokens' scores first of all.
    pub biases: Vec<LogitBias>,
    /// Divides the scores of tokens that occurred among the last ones: above 0, 1 for none.
    pub repetition: f32,
    /// Taken off the score of a token for each time that it occurred: −2 to 2, 0 for none.
    pub frequency: f32,
    /// Taken off the score of a token that occurred: −2 to 2, 0 for none.
    pub presence: f32,
    /// How many of the likeliest tokens stay: 0 for all.
    pub top_k: u32,
    /// The likeliest tokens whose probabilities reach this sum stay: above 0, at most 1 for all.
    pub top_p: f32,
    /// Tokens less likely than this share of the likeliest one's probability go: 0 to 1, 0 for none.
    pub min_p: f32,
    /// 0 takes the likeliest token; up to 2.
    pub temperature: f32,
    /// Decides what is drawn: the same request with the same seed gives the same reply, as far as the arithmetic is the
    /// same (it depends on what else is in the batch).
    pub seed: u32,
}

/// A number added to one token's score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitBias {
    /// The token.
    pub token: u32,
    /// −100 to 100; −100 forbids the token.
    pub bias: f32,
}

/// What a reply must be. Grammars don't come from outside: the engine makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Anything.
    Free,
    /// A JSON object.
    JsonObject,
    /// JSON after a schema, which is given as JSON text.
    JsonSchema(String),
}

/// A request for one vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embed {
    /// The request.
    pub id: RequestId,
    /// What the vector is of.
    pub prompt: Prompt,
}

/// A request for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenize {
    /// The request.
    pub id: RequestId,
    /// The text; tokens come back as they are.
    pub prompt: Prompt,
}

impl Sampling {
    /// The likeliest token, always.
    pub const GREEDY: Sampling = Sampling {
        biases: Vec::new(),
        repetition: 1.0,
        frequency: 0.0,
        presence: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        temperature: 0.0,
        seed: 0,
    };

    /// Whether every number is in its range. NaN is in none.
    pub fn check(&self) -> Result<(), Error> {
        let penalty = -limits::PENALTY..=limits::PENALTY;
        let bias = -limits::BIAS..=limits::BIAS;
        within("the logit biases", self.biases.len() <= limits::BIASES && self.biases.iter().all(|b| bias.contains(&b.bias)))?;
        within("the repetition penalty", self.repetition > 0.0 && self.repetition <= limits::REPETITION)?;
        within("the frequency penalty", penalty.contains(&self.frequency))?;
        within("the presence penalty", penalty.contains(&self.presence))?;
        within("top_k", self.top_k <= i32::MAX.unsigned_abs())?;
        within("top_p", self.top_p > 0.0 && self.top_p <= 1.0)?;
        within("min_p", (0.0..=1.0).contains(&self.min_p))?;
        within("the temperature", (0.0..=limits::TEMPERATURE).contains(&self.temperature))
    }

    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        self.check()?;
        to.count("the logit biases", self.biases.len(), limits::BIASES)?;
        for bias in &self.biases {
            to.u32(bias.token);
            to.f32(bias.bias);
        }
        for number in [self.repetition, self.frequency, self.presence] {
            to.f32(number);
        }
        to.u32(self.top_k);
        for number in [self.top_p, self.min_p, self.temperature] {
            to.f32(number);
        }
        to.u32(self.seed);
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Sampling, Error> {
        let what = "the sampling";
        let sampling = Sampling {
            biases: from.list(what, limits::BIASES, 8, |f| Ok(LogitBias { token: f.u32(what)?, bias: f.f32(what)? }))?,
            repetition: from.f32(what)?,
            frequency: from.f32(what)?,
            presence: from.f32(what)?,
            top_k: from.u32(what)?,
            top_p: from.f32(what)?,
            min_p: from.f32(what)?,
            temperature: from.f32(what)?,
            seed: from.u32(what)?,
        };
        sampling.check()?;
        Ok(sampling)
    }
}

impl Prompt {
    /// Whether it is as short as it must be.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Prompt::Text { segments, .. } => {
                let bytes = segments.iter().fold(0_usize, |sum, segment| sum.saturating_add(segment.text.len()));
                within("the prompt's text", segments.len() <= limits::SEGMENTS && bytes <= limits::PROMPT_BYTES)
            }
            Prompt::Tokens(tokens) => within("the prompt's tokens", tokens.len() <= limits::PROMPT_TOKENS),
            Prompt::Chat(turns) => {
                let bytes = turns.iter().fold(0_usize, |sum, turn| sum.saturating_add(turn.bytes()));
                let names = turns.iter().filter_map(|turn| turn.name.as_ref()).all(|name| name.len() <= limits::NAME_BYTES);
                within("the conversation", turns.len() <= limits::TURNS && bytes <= limits::PROMPT_BYTES && names)
            }
        }
    }

    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        self.check()?;
        match self {
            Prompt::Text { segments, begin } => {
                to.u8(0);
                to.count("the prompt's text", segments.len(), limits::SEGMENTS)?;
                for segment in segments {
                    to.bytes("the prompt's text", segment.text.as_bytes(), limits::PROMPT_BYTES)?;
                    to.flag(segment.special);
                }
                to.flag(*begin);
            }
            Prompt::Tokens(tokens) => {
                to.u8(1);
                write_tokens(to, tokens)?;
            }
            Prompt::Chat(turns) => {
                to.u8(2);
                to.count("the conversation", turns.len(), limits::TURNS)?;
                turns.iter().try_for_each(|turn| turn.write(to))?;
            }
        }
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Prompt, Error> {
        let what = "the prompt";
        let prompt = match from.u8(what)? {
            0 => Prompt::Text {
                segments: from.list(what, limits::SEGMENTS, 5, |f| {
                    Ok(Segment { text: f.text(what, limits::PROMPT_BYTES)?, special: f.flag(what)? })
                })?,
                begin: from.flag(what)?,
            },
            1 => Prompt::Tokens(read_tokens(from)?),
            2 => Prompt::Chat(from.list("the conversation", limits::TURNS, 6, Turn::read)?),
            _ => return Err(Error::Range(what)),
        };
        prompt.check()?;
        Ok(prompt)
    }
}

impl Turn {
    /// What counts towards [`limits::PROMPT_BYTES`].
    fn bytes(&self) -> usize {
        self.content.len().saturating_add(self.name.as_ref().map_or(0, String::len))
    }

    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        to.u8(match self.role {
            Role::System => 0,
            Role::User => 1,
            Role::Assistant => 2,
        });
        to.flag(self.name.is_some());
        if let Some(name) = &self.name {
            to.bytes("a speaker's name", name.as_bytes(), limits::NAME_BYTES)?;
        }
        to.bytes("a message", self.content.as_bytes(), limits::PROMPT_BYTES)
    }

    fn read(from: &mut Reader<'_>) -> Result<Turn, Error> {
        let role = match from.u8("a role")? {
            0 => Role::System,
            1 => Role::User,
            2 => Role::Assistant,
            _ => return Err(Error::Range("a role")),
        };
        let name = match from.flag("a speaker's name")? {
            true => Some(from.text("a speaker's name", limits::NAME_BYTES)?),
            false => None,
        };
        Ok(Turn { role, name, content: from.text("a message", limits::PROMPT_BYTES)? })
    }
}

pub(crate) fn write_tokens(to: &mut Writer, tokens: &[u32]) -> Result<(), Error> {
    to.count("the tokens", tokens.len(), limits::PROMPT_TOKENS)?;
    tokens.iter().for_each(|token| to.u32(*token));
    Ok(())
}

pub(crate) fn read_tokens(from: &mut Reader<'_>) -> Result<Vec<u32>, Error> {
    from.list("the tokens", limits::PROMPT_TOKENS, 4, |f| f.u32("the tokens"))
}

impl Constraint {
    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        match self {
            Constraint::Free => to.u8(0),
            Constraint::JsonObject => to.u8(1),
            Constraint::JsonSchema(schema) => {
                to.u8(2);
                to.bytes("the JSON schema", schema.as_bytes(), limits::SCHEMA_BYTES)?;
            }
        }
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Constraint, Error> {
        match from.u8("the constraint")? {
            0 => Ok(Constraint::Free),
            1 => Ok(Constraint::JsonObject),
            2 => Ok(Constraint::JsonSchema(from.text("the JSON schema", limits::SCHEMA_BYTES)?)),
            _ => Err(Error::Range("the constraint")),
        }
    }
}

impl Generate {
    /// Whether everything is in its range.
    pub fn check(&self) -> Result<(), Error> {
        let schema = match &self.constraint {
            Constraint::JsonSchema(schema) => schema.len(),
            Constraint::Free | Constraint::JsonObject => 0,
        };
        within("max_tokens", (1..=limits::MAX_TOKENS).contains(&self.max_tokens))?;
        within("the number of stop strings", self.stop.len() <= limits::STOPS)?;
        within("a stop string", self.stop.iter().all(|stop| (1..=limits::STOP_BYTES).contains(&stop.len())))?;
        within("logprobs", self.logprobs.is_none_or(|count| count <= limits::ALTERNATIVES))?;
        within("the JSON schema", schema <= limits::SCHEMA_BYTES)?;
        self.sampling.check()?;
        self.prompt.check()
    }

    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        self.check()?;
        to.u64(self.id.0);
        to.raw(&self.salt.0);
        self.prompt.write(to)?;
        to.u32(self.max_tokens);
        self.sampling.write(to)?;
        self.constraint.write(to)?;
        to.count("the stop strings", self.stop.len(), limits::STOPS)?;
        for stop in &self.stop {
            to.bytes("a stop string", stop.as_bytes(), limits::STOP_BYTES)?;
        }
        to.flag(self.logprobs.is_some());
        self.logprobs.iter().for_each(|count| to.u32(*count));
        to.flag(self.ignore_end);
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Generate, Error> {
        let generate = Generate {
            id: RequestId(from.u64("the id")?),
            salt: Salt(from.array("the salt")?),
            prompt: Prompt::read(from)?,
            max_tokens: from.u32("max_tokens")?,
            sampling: Sampling::read(from)?,
            constraint: Constraint::read(from)?,
            stop: from.list("the stop strings", limits::STOPS, 5, |f| f.text("a stop string", limits::STOP_BYTES))?,
            logprobs: if from.flag("logprobs")? { Some(from.u32("logprobs")?) } else { None },
            ignore_end: from.flag("ignore_end")?,
        };
        generate.check()?;
        Ok(generate)
    }
}

impl Sealed for Order {}

impl Message for Order {
    fn write(&self, Body(to): &mut Body) -> Result<(), Error> {
        match self {
            Order::Generate(generate) => {
                to.u8(1);
                generate.write(to)?;
            }
            Order::Embed(embed) => {
                to.u8(2);
                to.u64(embed.id.0);
                embed.prompt.write(to)?;
            }
            Order::Tokenize(tokenize) => {
                to.u8(3);
                to.u64(tokenize.id.0);
                tokenize.prompt.write(to)?;
            }
            Order::Cancel(id) => {
                to.u8(4);
                to.u64(id.0);
            }
        }
        Ok(())
    }

    fn read(kind: u8, Fields(from): &mut Fields<'_>) -> Result<Order, Error> {
        Ok(match kind {
            1 => Order::Generate(Box::new(Generate::read(from)?)),
            2 => Order::Embed(Embed { id: RequestId(from.u64("the id")?), prompt: Prompt::read(from)? }),
            3 => Order::Tokenize(Tokenize { id: RequestId(from.u64("the id")?), prompt: Prompt::read(from)? }),
            4 => Order::Cancel(RequestId(from.u64("the id")?)),
            other => return Err(Error::Kind(other)),
        })
    }
}
