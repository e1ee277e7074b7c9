//! An engine whose every word the test says.

use std::io;
use std::sync::Arc;

use sealstone_protocol::{
    Alternative, Decoder, Done, Facts, Finish, Generate, Logprobs, Order, Prompt, Report, RequestId, Token, Usage, encode,
};
use tokio::net::UnixStream;

pub(super) struct Mock {
    socket: Arc<UnixStream>,
    decoder: Decoder<Order>,
}

impl Mock {
    pub(super) fn new(socket: UnixStream) -> Mock {
        Mock { socket: Arc::new(socket), decoder: Decoder::new() }
    }

    pub(super) async fn hello(&mut self, facts: Facts) {
        self.say(Report::Hello(Box::new(facts))).await;
    }

    pub(super) async fn say(&self, report: Report) {
        self.write(&encode(&report).unwrap()).await;
    }

    pub(super) async fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.socket.writable().await.unwrap();
            match self.socket.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next order; `None` once the front has closed the socket.
    pub(super) async fn order(&mut self) -> Option<Order> {
        let mut buffer = vec![0; 4096];
        loop {
            if let Some(order) = self.decoder.message().unwrap() {
                return Some(order);
            }
            self.socket.readable().await.unwrap();
            match self.socket.try_read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(super) async fn generate(&mut self) -> Generate {
        match self.order().await {
            Some(Order::Generate(generate)) => *generate,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn token(&self, id: RequestId, text: &[u8]) {
        self.say(Report::Token(Token { id, text: text.into(), logprobs: None })).await;
    }

    pub(super) async fn likely(&self, id: RequestId, text: &[u8], logprob: f32) {
        let chosen = Alternative { token: 7, text: text.into(), logprob };
        let top = vec![chosen.clone(), Alternative { token: 8, text: b"\xe6".into(), logprob: f32::NEG_INFINITY }];
        self.say(Report::Token(Token { id, text: text.into(), logprobs: Some(Logprobs { chosen, top }) })).await;
    }

    pub(super) async fn done(&self, id: RequestId, text: &[u8], finish: Finish) {
        let usage = Usage { prompt: 11, cached: 5, reply: 3 };
        self.say(Report::Done(Done { id, text: text.into(), finish, usage })).await;
    }

    /// Answers each generation with its own prompt, byte by byte, always one byte of each in turn.
    pub(super) async fn echo(mut self, count: usize) {
        let mut all = Vec::new();
        for _ in 0..count {
            let generate = self.generate().await;
            all.push((generate.id, prompt_text(&generate.prompt).into_bytes()));
        }
        let longest = all.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
        for at in 0..longest {
            for (id, text) in all.iter().rev() {
                if let Some(byte) = text.get(at) {
                    self.token(*id, &[*byte]).await;
                }
            }
        }
        for (id, _) in &all {
            self.done(*id, b"", Finish::End).await;
        }
        // Until the front goes.
        while self.order().await.is_some() {}
    }
}

/// People's text in braces, and of a conversation who says it.
pub(super) fn prompt_text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text { segments, .. } => {
            segments.iter().map(|s| if s.special { s.text.clone() } else { format!("{{{}}}", s.text) }).collect()
        }
        Prompt::Tokens(tokens) => format!("{tokens:?}"),
        Prompt::Chat(turns) => turns
            .iter()
            .map(|turn| {
                let name = turn.name.as_ref().map_or(String::new(), |name| format!("({name})"));
                format!("{:?}{name}: {{{}}}\n", turn.role, turn.content)
            })
            .collect(),
    }
}
