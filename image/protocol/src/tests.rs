//! Round trips of generated messages, damage at every byte, and the limits.

use std::fmt::Debug;

use crate::*;

/// A source of test values: xorshift64*, so that a failing round can be repeated from its seed alone.
struct Source(u64);

impl Source {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn u32(&mut self) -> u32 {
        (self.next() >> 8) as u32
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    fn unit(&mut self) -> f32 {
        self.below(1001) as f32 / 1000.0
    }

    fn list<T>(&mut self, most: u64, mut item: impl FnMut(&mut Source) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| item(self)).collect()
    }

    fn text(&mut self, least: u64, most: u64) -> String {
        let count = least + self.below(most - least + 1);
        (0..count).map(|_| char::from_u32(self.below(0x800) as u32).unwrap()).collect()
    }

    fn id(&mut self) -> RequestId {
        RequestId(self.next())
    }

    fn prompt(&mut self) -> Prompt {
        match self.below(3) {
            0 => return Prompt::Tokens(self.list(50, Source::u32)),
            1 => return Prompt::Chat(self.list(5, Source::turn)),
            _ => {}
        }
        let segments = self.list(5, |s| Segment { text: s.text(0, 30), special: s.flag() });
        Prompt::Text { segments, begin: self.flag() }
    }

    fn turn(&mut self) -> Turn {
        let role = [Role::System, Role::User, Role::Assistant][self.below(3) as usize];
        let name = self.flag().then(|| self.text(0, 8));
        Turn { role, name, content: self.text(0, 30) }
    }

    fn generate(&mut self) -> Generate {
        Generate {
            id: self.id(),
            salt: Salt(std::array::from_fn(|_| self.below(256) as u8)),
            prompt: self.prompt(),
            max_tokens: 1 + self.below(u64::from(limits::MAX_TOKENS)) as u32,
            sampling: Sampling {
                biases: self.list(4, |s| LogitBias { token: s.u32(), bias: s.unit() * 200.0 - 100.0 }),
                repetition: self.unit() + 0.5,
                frequency: self.unit() * 4.0 - 2.0,
                presence: self.unit() * 4.0 - 2.0,
                top_k: self.below(1000) as u32,
                top_p: self.unit().max(0.001),
                min_p: self.unit(),
                temperature: self.unit() * 2.0,
                seed: self.u32(),
            },
            constraint: match self.below(3) {
                0 => Constraint::Free,
                1 => Constraint::JsonObject,
                _ => Constraint::JsonSchema(self.text(0, 50)),
            },
            stop: self.list(limits::STOPS as u64, |s| s.text(1, 20)),
            logprobs: self.flag().then(|| self.below(21) as u32),
            ignore_end: self.flag(),
        }
    }

    fn order(&mut self) -> Order {
        match self.below(4) {
            0 => Order::Generate(Box::new(self.generate())),
            1 => Order::Embed(Embed { id: self.id(), prompt: self.prompt() }),
            2 => Order::Tokenize(Tokenize { id: self.id(), prompt: self.prompt() }),
            _ => Order::Cancel(self.id()),
        }
    }

    fn alternative(&mut self) -> Alternative {
        Alternative { token: self.u32(), text: self.text(0, 5).into_bytes(), logprob: -self.unit() }
    }

    fn facts(&mut self) -> Facts {
        Facts {
            name: self.text(0, 20),
            context: 1 + self.below(100_000) as u32,
            sequences: 1 + self.below(64) as u32,
            width: self.below(8192) as u32,
            vocabulary: self.u32(),
            parameters: self.next(),
        }
    }

    fn report(&mut self) -> Report {
        let id = self.id();
        match self.below(6) {
            0 => Report::Hello(Box::new(self.facts())),
            1 => {
                let text = self.list(10, |s| s.below(256) as u8);
                let flag = self.flag();
                let logprobs = flag.then(|| Logprobs { chosen: self.alternative(), top: self.list(20, Source::alternative) });
                Report::Token(Token { id, text, logprobs })
            }
            2 => {
                let finish = match self.below(4) {
                    0 => Finish::End,
                    1 => Finish::Stop(self.u32()),
                    2 => Finish::Length,
                    _ => Finish::Cancelled,
                };
                let usage = Usage { prompt: self.u32(), cached: self.u32(), reply: self.u32() };
                Report::Done(Done { id, text: self.text(0, 9).into_bytes(), finish, usage })
            }
            3 => Report::Embedding(Embedding { id, vector: self.list(30, Source::unit), tokens: self.u32() }),
            4 => Report::Tokens(Tokens { id, tokens: self.list(30, Source::u32) }),
            _ => Report::Failed { id, failure: FAILURES[self.below(FAILURES.len() as u64) as usize] },
        }
    }
}

const FAILURES: [Failure; 13] = [
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

fn decode<M: Message>(frame: &[u8]) -> Result<Option<M>, Error> {
    let mut decoder = Decoder::new();
    decoder.push(frame);
    decoder.message()
}

/// Every message comes back as it was, however the stream is cut; and no frame with a damaged byte is read as anything
/// that doesn't encode to those very bytes.
fn holds<M: Message + PartialEq + Debug>(make: impl Fn(&mut Source) -> M) {
    for seed in 1..400 {
        let mut source = Source(seed);
        let messages: Vec<M> = (0..4).map(|_| make(&mut source)).collect();
        let stream: Vec<u8> = messages.iter().flat_map(|m| encode(m).unwrap()).collect();
        let mut decoder = Decoder::<M>::new();
        let mut back = Vec::new();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + source.below(rest.len() as u64) as usize);
            decoder.push(now);
            while let Some(message) = decoder.message().unwrap() {
                back.push(message);
            }
            rest = later;
        }
        assert_eq!(back, messages, "seed {seed}");
        assert!(decoder.is_between_frames(), "seed {seed}");

        let frame = encode(&messages[0]).unwrap();
        for position in 0..frame.len() {
            let mut damaged = frame.clone();
            damaged[position] ^= 1 << source.below(8);
            if let Ok(Some(message)) = decode::<M>(&damaged) {
                assert_eq!(encode(&message).unwrap(), damaged, "seed {seed}, byte {position}");
            }
        }
        for length in 0..frame.len() {
            assert_eq!(decode::<M>(&frame[..length]), Ok(None), "seed {seed}, cut at {length}");
            if let Some(cut) = length.checked_sub(5).and_then(|l| frame.get(4..5 + l)) {
                let mut short = (cut.len() as u32).to_le_bytes().to_vec();
                short.extend_from_slice(cut);
                assert!(decode::<M>(&short).is_err(), "seed {seed}, shortened to {length}");
            }
        }
    }
}

#[test]
fn orders_hold() {
    holds(Source::order);
}

#[test]
fn reports_hold() {
    holds(Source::report);
}

#[test]
fn a_frame_is_what_the_documentation_says() {
    let cancel = encode(&Order::Cancel(RequestId(0x0102))).unwrap();
    assert_eq!(cancel, [9, 0, 0, 0, 4, 2, 1, 0, 0, 0, 0, 0, 0]);
    let prompt = Prompt::Text { segments: vec![Segment { text: "hé".into(), special: true }], begin: false };
    let tokenize = encode(&Order::Tokenize(Tokenize { id: RequestId(1), prompt })).unwrap();
    let fields = [&[3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0], "hé".as_bytes(), &[1, 0]].concat();
    assert_eq!(tokenize, [&[23, 0, 0, 0], &fields[..]].concat());
    let failed = encode(&Report::Failed { id: RequestId(7), failure: Failure::Schema }).unwrap();
    assert_eq!(failed, [10, 0, 0, 0, 134, 7, 0, 0, 0, 0, 0, 0, 0, 3]);
}

#[test]
fn what_is_out_of_range_is_neither_sent_nor_read() {
    type Change = fn(&mut Generate);
    let table: &[(&str, Change)] = &[
        ("max_tokens", |g| g.max_tokens = 0),
        ("max_tokens", |g| g.max_tokens = limits::MAX_TOKENS + 1),
        ("number of stop strings", |g| g.stop = vec!["x".into(); limits::STOPS + 1]),
        ("stop string", |g| g.stop = vec![String::new()]),
        ("stop string", |g| g.stop = vec!["x".repeat(limits::STOP_BYTES + 1)]),
        ("logprobs", |g| g.logprobs = Some(limits::ALTERNATIVES + 1)),
        ("JSON schema", |g| g.constraint = Constraint::JsonSchema(" ".repeat(limits::SCHEMA_BYTES + 1))),
        ("temperature", |g| g.sampling.temperature = f32::NAN),
        ("temperature", |g| g.sampling.temperature = -0.1),
        ("temperature", |g| g.sampling.temperature = 2.1),
        ("top_p", |g| g.sampling.top_p = 0.0),
        ("top_k", |g| g.sampling.top_k = u32::MAX),
        ("min_p", |g| g.sampling.min_p = 1.1),
        ("repetition", |g| g.sampling.repetition = 0.0),
        ("repetition", |g| g.sampling.repetition = f32::INFINITY),
        ("frequency", |g| g.sampling.frequency = -2.5),
        ("presence", |g| g.sampling.presence = f32::NAN),
        ("bias", |g| g.sampling.biases = vec![LogitBias { token: 0, bias: 101.0 }]),
        ("bias", |g| g.sampling.biases = vec![LogitBias { token: 0, bias: 0.0 }; limits::BIASES + 1]),
        ("prompt", |g| g.prompt = Prompt::Tokens(vec![0; limits::PROMPT_TOKENS + 1])),
        ("prompt", |g| {
            let segment = Segment { text: "x".repeat(limits::PROMPT_BYTES / 2 + 1), special: false };
            g.prompt = Prompt::Text { segments: vec![segment; 2], begin: false };
        }),
        ("conversation", |g| g.prompt = Prompt::Chat(vec![says(1); limits::TURNS + 1])),
        ("conversation", |g| g.prompt = Prompt::Chat(vec![says(limits::PROMPT_BYTES / 2 + 1); 2])),
        ("conversation", |g| {
            g.prompt = Prompt::Chat(vec![Turn { name: Some("x".repeat(limits::NAME_BYTES + 1)), ..says(1) }]);
        }),
    ];
    for (what, change) in table {
        let mut generate = Source(5).generate();
        change(&mut generate);
        let error = encode(&Order::Generate(Box::new(generate))).expect_err(what).to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
    // The numbers again as bytes, which no encoder made: the last temperature before the seed of a plain request.
    let plain = Generate { sampling: Sampling::GREEDY, stop: vec![], logprobs: None, ..Source(5).generate() };
    let mut frame = encode(&Order::Generate(Box::new(Generate { constraint: Constraint::Free, ..plain }))).unwrap();
    let temperature = frame.len() - (4 + 4 + 1 + 4 + 1 + 1);
    frame[temperature..temperature + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(decode::<Order>(&frame), Err(Error::Range("the temperature")));
}

fn says(length: usize) -> Turn {
    Turn { role: Role::User, name: None, content: "x".repeat(length) }
}

#[test]
fn a_long_frame_is_refused_by_its_length() {
    let length = limits::FRAME + 1;
    assert_eq!(decode::<Order>(&(length as u32).to_le_bytes()), Err(Error::Frame(length)));
    assert_eq!(decode::<Order>(&[0, 0, 0, 0]), Err(Error::Short("the kind")));
    assert_eq!(decode::<Order>(&[1, 0, 0, 0, 99]), Err(Error::Kind(99)));
    assert_eq!(decode::<Order>(&[2, 0, 0, 0, 4, 0]), Err(Error::Short("the id")));
    assert_eq!(decode::<Order>(&[10, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Error::Long(1)));
    assert_eq!(decode::<Report>(&[9, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Error::Kind(4)), "the other direction");
}

#[test]
fn a_count_takes_no_memory_by_itself() {
    let mut frame = vec![0, 0, 0, 0, 133, 0, 0, 0, 0, 0, 0, 0, 0];
    frame.extend_from_slice(&(limits::PROMPT_TOKENS as u32).to_le_bytes());
    frame[0] = (frame.len() - 4) as u8;
    assert_eq!(decode::<Report>(&frame), Err(Error::Short("the tokens")));
}
