//! A byte-level BPE tokenizer, trained on the corpus.

use std::collections::BTreeMap;

use crate::gguf::Value;

/// What the model was made to say, a line per reply.
pub(crate) const CORPUS: &str = include_str!("corpus.txt");

/// Merges to learn; enough to make words of the corpus whole.
const MERGES: usize = 400;

/// Begins a message; the token's number is [`Tokenizer::begin`].
const BEGIN: &str = "<|im_start|>";
/// Ends a message, and a reply.
const END: &str = "<|im_end|>";

/// ChatML, which engines know without reading it.
const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// The tokens, by number: 256 bytes, the merges, the special tokens.
pub(crate) struct Tokenizer {
    /// Each token as the file names it: bytes as GPT-2 writes them.
    names: Vec<String>,
    merges: Vec<String>,
    /// The corpus as tokens, a list per line.
    pub(crate) lines: Vec<Vec<usize>>,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

impl Tokenizer {
    /// Learns the merges: again and again the pair that occurs most often becomes a token, the lower numbers of several.
    pub(crate) fn train() -> Tokenizer {
        let mut names: Vec<String> = (0..=255).map(|byte| visible(byte).to_string()).collect();
        let mut merges = Vec::new();
        let mut lines: Vec<Vec<Vec<usize>>> = CORPUS.lines().map(words).collect();
        while merges.len() < MERGES {
            let mut counts: BTreeMap<(usize, usize), usize> = BTreeMap::new();
            for word in lines.iter().flatten() {
                word.windows(2).for_each(|pair| *counts.entry((pair[0], pair[1])).or_default() += 1);
            }
            let most = counts.values().copied().max().unwrap_or(0);
            let Some((&pair, _)) = counts.iter().find(|(_, count)| **count == most) else { break };
            merges.push(format!("{} {}", names[pair.0], names[pair.1]));
            names.push(format!("{}{}", names[pair.0], names[pair.1]));
            let token = names.len() - 1;
            lines.iter_mut().flatten().for_each(|word| merge(word, pair, token));
        }
        let (begin, end) = (names.len(), names.len() + 1);
        names.extend([BEGIN.to_owned(), END.to_owned()]);
        Tokenizer { names, merges, lines: lines.into_iter().map(|line| line.concat()).collect(), begin, end }
    }

    /// The number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Adds tokens that are never used, for the shape of a larger vocabulary.
    pub(crate) fn fill(&mut self, length: usize) {
        self.names.extend((self.names.len()..length).map(|number| format!("<|unused_{number}|>")));
    }

    /// The token of one character.
    pub(crate) fn byte(&self, byte: u8) -> usize {
        usize::from(byte)
    }

    /// The metadata that describes it. Types: 1 normal, 3 control, 5 unused.
    pub(crate) fn metadata(&self) -> Vec<(String, Value)> {
        let types = (0..self.len()).map(|number| match number {
            n if n < self.begin => 1,
            n if n <= self.end => 3,
            _ => 5,
        });
        [
            ("model", Value::Text("gpt2".into())),
            ("pre", Value::Text("gpt-2".into())),
            ("tokens", Value::Texts(self.names.clone())),
            ("token_type", Value::I32s(types.collect())),
            ("merges", Value::Texts(self.merges.clone())),
            ("bos_token_id", Value::U32(self.begin as u32)),
            ("eos_token_id", Value::U32(self.end as u32)),
            ("padding_token_id", Value::U32(self.end as u32)),
            ("add_bos_token", Value::Flag(false)),
        ]
        .into_iter()
        .map(|(key, value)| (format!("tokenizer.ggml.{key}"), value))
        .chain([("tokenizer.chat_template".to_owned(), Value::Text(TEMPLATE.into()))])
        .collect()
    }
}

/// A line as words of bytes, cut as GPT-2's pattern cuts plain text: a word takes the space before it along, and
/// punctuation stands alone.
fn words(line: &str) -> Vec<Vec<usize>> {
    let mut words: Vec<Vec<usize>> = Vec::new();
    let mut inside = false;
    for byte in line.bytes() {
        let letter = byte.is_ascii_alphabetic();
        if !(inside && letter) {
            words.push(Vec::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(usize::from(byte));
        }
        inside = letter || byte == b' ';
    }
    words
}

fn merge(word: &mut Vec<usize>, pair: (usize, usize), token: usize) {
    let mut at = 0;
    while at + 1 < word.len() {
        if (word[at], word[at + 1]) == pair {
            word[at] = token;
            word.remove(at + 1);
        }
        at += 1;
    }
}

/// The character by which GPT-2's tokenizer files write a byte: itself where that is visible, otherwise the next free one
/// from U+0100 on.
fn visible(byte: u8) -> char {
    let itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match itself(byte) {
        true => char::from(byte),
        false => {
            let before = (0..byte).filter(|other| !itself(*other)).count() as u32;
            char::from_u32(0x100 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_gpt2_does() {
        for (byte, expected) in [(b'a', 'a'), (b' ', 'Ġ'), (b'\n', 'Ċ'), (0, 'Ā'), (0x7f, 'ġ'), (0xad, 'Ń'), (0xff, 'ÿ')] {
            assert_eq!(visible(byte), expected, "{byte}");
        }
        let all: std::collections::BTreeSet<char> = (0..=255).map(visible).collect();
        assert_eq!(all.len(), 256);
    }

    #[test]
    fn the_corpus_becomes_words() {
        let tokenizer = Tokenizer::train();
        assert_eq!(tokenizer.merges.len(), MERGES);
        assert_eq!(tokenizer.lines.len(), CORPUS.lines().count());
        let text = |line: &[usize]| line.iter().map(|token| tokenizer.names[*token].as_str()).collect::<String>();
        let back = text(&tokenizer.lines[0]).replace('Ġ', " ");
        assert_eq!(Some(back.as_str()), CORPUS.lines().next());
        assert!(tokenizer.names.iter().any(|name| name == "Ġstone"));
        let different: std::collections::BTreeSet<_> = tokenizer.names.iter().collect();
        assert_eq!(different.len(), tokenizer.len(), "no name twice");
        assert!(CORPUS.is_ascii() && !CORPUS.contains(['\'', '-']), "words() knows no more than this of GPT-2's pattern");
    }
}
