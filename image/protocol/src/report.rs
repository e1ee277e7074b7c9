//! What an engine says to the front.

use crate::codec::{Body, Fields, Message, sealed::Sealed};
use crate::order::{read_tokens, write_tokens};
use crate::wire::{Reader, Writer, within};
use crate::{Error, RequestId, limits};

/// A report of the engine. For a [`Generate`](crate::Generate): any number of [`Report::Token`], then [`Report::Done`] or
/// [`Report::Failed`]; for the others their one answer, or [`Report::Failed`]. Requests' reports are interleaved.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The first report, once: the model is loaded and the engine confined.
    Hello(Box<Facts>),
    /// One more token of a reply.
    Token(Token),
    /// The end of a reply.
    Done(Done),
    /// The vector that was asked for.
    Embedding(Embedding),
    /// The tokens that were asked for.
    Tokens(Tokens),
    /// The end of a request without an answer.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        failure: Failure,
    },
}

/// What the front needs to know of a model: numbers. Text of the model's file, its chat template above all, stays in the
/// engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The model's name in the configuration.
    pub name: String,
    /// The most tokens of one request, prompt and reply together.
    pub context: u32,
    /// How many requests generate at once; more wait inside the engine.
    pub sequences: u32,
    /// Numbers in an embedding; 0 when the model gives none.
    pub width: u32,
    /// The number of tokens that the model knows, which are those below it.
    pub vocabulary: u32,
    /// The model's parameters, all together.
    pub parameters: u64,
}

/// One token of a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The request.
    pub id: RequestId,
    /// The text that can be passed on now. Text that may turn out to be a stop string, or that is the beginning of a
    /// character, comes later; so this may be empty, or hold the text of earlier tokens. It is UTF-8, or what a model
    /// made of it.
    pub text: Vec<u8>,
    /// As asked for.
    pub logprobs: Option<Logprobs>,
}

/// How likely a token was.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// The token that was chosen.
    pub chosen: Alternative,
    /// The likeliest tokens, likeliest first.
    pub top: Vec<Alternative>,
}

/// A token and its probability, before penalties, cuts and temperature.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// The token.
    pub token: u32,
    /// Its text.
    pub text: Vec<u8>,
    /// The natural logarithm of its probability.
    pub logprob: f32,
}

/// The end of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The request.
    pub id: RequestId,
    /// Text that was held back.
    pub text: Vec<u8>,
    /// Why it ended.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    End,
    /// One of the stop strings came: the one of this number.
    Stop(u32),
    /// It reached the most tokens asked for, or the end of the context.
    Length,
    /// It was cancelled.
    Cancelled,
}

/// What a request took, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The prompt.
    pub prompt: u32,
    /// How many of those came out of the prompt cache.
    pub cached: u32,
    /// The reply, with the token that ended it.
    pub reply: u32,
}

/// A prompt as one vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// The request.
    pub id: RequestId,
    /// Of length 1, or all zeros.
    pub vector: Vec<f32>,
    /// The prompt's length in tokens.
    pub tokens: u32,
}

/// A text as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The request.
    pub id: RequestId,
    /// In order.
    pub tokens: Vec<u32>,
}

/// Why a request got no answer. No failure carries text, so that none can carry content into a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The prompt leaves no room for a reply, or is longer than an embedding's may be.
    #[error("the prompt is too long for the model's context")]
    TooLong,
    /// There is nothing to continue.
    #[error("the prompt is empty")]
    Empty,
    /// A token that the model doesn't have.
    #[error("the model has no such token")]
    UnknownToken,
    /// The JSON schema is none, is too large, or uses what the engine doesn't support. The front can say so to the client.
    #[error("the JSON schema can't be used")]
    Schema,
    /// The model can't do this: it makes no embeddings, or only those.
    #[error("the model doesn't support this")]
    Unsupported,
    /// More requests than the engine takes; the front should have queued it.
    #[error("the engine has too many requests")]
    Busy,
    /// The id belongs to a request in flight.
    #[error("the id is in use")]
    Duplicate,
    /// The engine can't go on with this request.
    #[error("the engine failed")]
    Internal,
    /// It was cancelled before it had an answer: an embedding, or tokens.
    #[error("cancelled")]
    Cancelled,
    /// A conversation, and the model brings no chat template.
    #[error("the model has no chat template")]
    NoTemplate,
    /// The model's chat template says that it doesn't take such a conversation.
    #[error("the chat template refuses the conversation")]
    TemplateRefused,
    /// The model's chat template can't be read, or fails: a fault of the model's file.
    #[error("the chat template is faulty")]
    TemplateFaulty,
    /// The model's chat template took more steps, or went deeper, than any may.
    #[error("the chat template goes beyond its bounds")]
    TemplateBounds,
}

impl Failure {
    const ALL: [Failure; 13] = [
        Failure::TooLong,
        Failure::Empty,
        Failure::UnknownToken,
        Failure::Schema,
        Failure::Unsupported,
        Failure::Busy,
        Failure::Duplicate,
        Failure::Internal,
        Failure::Cancelled,
        Failure::NoTemplate,
        Failure::TemplateRefused,
        Failure::TemplateFaulty,
        Failure::TemplateBounds,
    ];

    fn code(self) -> u8 {
        Failure::ALL.iter().position(|f| *f == self).and_then(|n| u8::try_from(n).ok()).unwrap_or(u8::MAX)
    }

    fn from_code(code: u8) -> Result<Failure, Error> {
        Failure::ALL.get(usize::from(code)).copied().ok_or(Error::Range("the failure"))
    }
}

impl Facts {
    fn check(&self) -> Result<(), Error> {
        within("the context", usize::try_from(self.context).is_ok_and(|c| (1..=limits::PROMPT_TOKENS).contains(&c)))?;
        within("the sequences", self.sequences >= 1)?;
        within("the width", usize::try_from(self.width).is_ok_and(|w| w <= limits::WIDTH))
    }

    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        self.check()?;
        to.bytes("the name", self.name.as_bytes(), limits::NAME_BYTES)?;
        for number in [self.context, self.sequences, self.width, self.vocabulary] {
            to.u32(number);
        }
        to.u64(self.parameters);
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Facts, Error> {
        let facts = Facts {
            name: from.text("the name", limits::NAME_BYTES)?,
            context: from.u32("the context")?,
            sequences: from.u32("the sequences")?,
            width: from.u32("the width")?,
            vocabulary: from.u32("the vocabulary")?,
            parameters: from.u64("the parameters")?,
        };
        facts.check()?;
        Ok(facts)
    }
}

impl Alternative {
    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        within("a logprob", self.logprob <= 0.0)?;
        to.u32(self.token);
        to.bytes("a token's text", &self.text, limits::TOKEN_BYTES)?;
        to.f32(self.logprob);
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Alternative, Error> {
        let alternative = Alternative {
            token: from.u32("a token")?,
            text: from.bytes("a token's text", limits::TOKEN_BYTES)?,
            logprob: from.f32("a logprob")?,
        };
        within("a logprob", alternative.logprob <= 0.0)?;
        Ok(alternative)
    }
}

impl Token {
    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        to.u64(self.id.0);
        to.bytes("the text", &self.text, limits::TOKEN_BYTES)?;
        to.flag(self.logprobs.is_some());
        if let Some(logprobs) = &self.logprobs {
            logprobs.chosen.write(to)?;
            to.count("the alternatives", logprobs.top.len(), limits::ALTERNATIVES as usize)?;
            logprobs.top.iter().try_for_each(|alternative| alternative.write(to))?;
        }
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Token, Error> {
        let id = RequestId(from.u64("the id")?);
        let text = from.bytes("the text", limits::TOKEN_BYTES)?;
        let logprobs = match from.flag("logprobs")? {
            false => None,
            true => Some(Logprobs {
                chosen: Alternative::read(from)?,
                top: from.list("the alternatives", limits::ALTERNATIVES as usize, 12, Alternative::read)?,
            }),
        };
        Ok(Token { id, text, logprobs })
    }
}

impl Done {
    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        to.u64(self.id.0);
        to.bytes("the text", &self.text, limits::TOKEN_BYTES)?;
        match self.finish {
            Finish::End => to.u8(0),
            Finish::Stop(number) => {
                to.u8(1);
                to.u32(number);
            }
            Finish::Length => to.u8(2),
            Finish::Cancelled => to.u8(3),
        }
        for number in [self.usage.prompt, self.usage.cached, self.usage.reply] {
            to.u32(number);
        }
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Done, Error> {
        let id = RequestId(from.u64("the id")?);
        let text = from.bytes("the text", limits::TOKEN_BYTES)?;
        let finish = match from.u8("the finish")? {
            0 => Finish::End,
            1 => Finish::Stop(from.u32("the finish")?),
            2 => Finish::Length,
            3 => Finish::Cancelled,
            _ => return Err(Error::Range("the finish")),
        };
        let what = "the usage";
        let usage = Usage { prompt: from.u32(what)?, cached: from.u32(what)?, reply: from.u32(what)? };
        Ok(Done { id, text, finish, usage })
    }
}

impl Embedding {
    fn write(&self, to: &mut Writer) -> Result<(), Error> {
        within("the vector", self.vector.iter().all(|number| number.is_finite()))?;
        to.u64(self.id.0);
        to.count("the vector", self.vector.len(), limits::WIDTH)?;
        self.vector.iter().for_each(|number| to.f32(*number));
        to.u32(self.tokens);
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Embedding, Error> {
        let id = RequestId(from.u64("the id")?);
        let vector = from.list("the vector", limits::WIDTH, 4, |f| f.f32("the vector"))?;
        within("the vector", vector.iter().all(|number| number.is_finite()))?;
        Ok(Embedding { id, vector, tokens: from.u32("the number of tokens")? })
    }
}

impl Sealed for Report {}

impl Message for Report {
    fn write(&self, Body(to): &mut Body) -> Result<(), Error> {
        match self {
            Report::Hello(facts) => {
                to.u8(129);
                facts.write(to)
            }
            Report::Token(token) => {
                to.u8(130);
                token.write(to)
            }
            Report::Done(done) => {
                to.u8(131);
                done.write(to)
            }
            Report::Embedding(embedding) => {
                to.u8(132);
                embedding.write(to)
            }
            Report::Tokens(tokens) => {
                to.u8(133);
                to.u64(tokens.id.0);
                write_tokens(to, &tokens.tokens)
            }
            Report::Failed { id, failure } => {
                to.u8(134);
                to.u64(id.0);
                to.u8(failure.code());
                Ok(())
            }
        }
    }

    fn read(kind: u8, Fields(from): &mut Fields<'_>) -> Result<Report, Error> {
        Ok(match kind {
            129 => Report::Hello(Box::new(Facts::read(from)?)),
            130 => Report::Token(Token::read(from)?),
            131 => Report::Done(Done::read(from)?),
            132 => Report::Embedding(Embedding::read(from)?),
            133 => Report::Tokens(Tokens { id: RequestId(from.u64("the id")?), tokens: read_tokens(from)? }),
            134 => Report::Failed { id: RequestId(from.u64("the id")?), failure: Failure::from_code(from.u8("the failure")?)? },
            other => return Err(Error::Kind(other)),
        })
    }
}
