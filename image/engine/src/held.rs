//! Text that may not be passed on yet.

/// Holds text back while it may be the beginning of a stop string, or is the beginning of a character.
#[derive(Clone, Debug, Default)]
pub struct Held {
    stops: Vec<String>,
    bytes: Vec<u8>,
}

/// What more text has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// This much can be passed on.
    Release(Vec<u8>),
    /// A stop string is complete: what stands before it, and its number.
    Stop(Vec<u8>, u32),
}

impl Held {
    /// Nothing held, and what to look for. None of the strings is empty.
    pub fn new(stops: Vec<String>) -> Held {
        Held { stops, bytes: Vec::new() }
    }

    /// Takes more text.
    pub fn push(&mut self, text: &[u8]) -> Text {
        self.bytes.extend_from_slice(text);
        let found =
            self.stops.iter().enumerate().filter_map(|(number, stop)| Some((find(&self.bytes, stop.as_bytes())?, number)));
        if let Some((at, number)) = found.min() {
            let mut before = std::mem::take(&mut self.bytes);
            before.truncate(at);
            return Text::Stop(before, u32::try_from(number).unwrap_or(u32::MAX));
        }
        let begun = self.stops.iter().map(|stop| begun(&self.bytes, stop.as_bytes())).max().unwrap_or(0);
        let keep = begun.max(half_character(&self.bytes));
        let held = self.bytes.split_off(self.bytes.len().saturating_sub(keep));
        Text::Release(std::mem::replace(&mut self.bytes, held))
    }

    /// What is still held: the reply ended without a stop string.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len().max(1)).position(|window| window == what)
}

/// The length of the longest end of `text` with which `stop` begins.
fn begun(text: &[u8], stop: &[u8]) -> usize {
    let most = text.len().min(stop.len().saturating_sub(1));
    (1..=most).rev().find(|length| stop.get(..*length).is_some_and(|start| text.ends_with(start))).unwrap_or(0)
}

/// The length of a UTF-8 sequence that has begun at the end of `text` and isn't complete.
fn half_character(text: &[u8]) -> usize {
    let tail = text.iter().rev().take(3).position(|byte| *byte & 0xc0 != 0x80).map(|back| back.saturating_add(1));
    let Some(length) = tail else { return 0 };
    let first = text.len().checked_sub(length).and_then(|at| text.get(at)).copied().unwrap_or(0);
    let whole = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if length < whole { length } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that comes out when `text` goes in by `step` bytes at a time.
    fn run(stops: &[&str], text: &[u8], step: usize) -> (Vec<Vec<u8>>, Option<u32>) {
        let mut held = Held::new(stops.iter().map(ToString::to_string).collect());
        let mut released = Vec::new();
        for piece in text.chunks(step) {
            match held.push(piece) {
                Text::Release(text) => released.push(text),
                Text::Stop(text, number) => {
                    released.push(text);
                    return (released, Some(number));
                }
            }
        }
        released.push(held.rest());
        (released, None)
    }

    #[test]
    fn stop_strings() {
        let table: &[(&[&str], &str, &str, Option<u32>)] = &[
            (&[], "plain", "plain", None),
            (&["END"], "a END b", "a ", Some(0)),
            (&["END"], "a EN", "a EN", None),
            (&["END"], "EEND", "E", Some(0)),
            (&["aab"], "aaab", "a", Some(0)),
            (&["bc", "b"], "abc", "a", Some(1)),
            (&["x", "ab"], "ab", "", Some(1)),
            (&["é"], "caf\u{e9}s", "caf", Some(0)),
            (&["\n\n"], "a\nb\n\nc", "a\nb", Some(0)),
        ];
        for (stops, text, expected, stop) in table {
            let (released, number) = run(stops, text.as_bytes(), 1);
            assert_eq!(String::from_utf8(released.concat()).unwrap(), *expected, "{stops:?} in {text}");
            assert_eq!(number, *stop, "{stops:?} in {text}");
        }
        // Two that are complete at once: the one that begins first, then the first of the list.
        assert_eq!(run(&["c", "bc"], b"abc", 3), (vec![b"a".to_vec()], Some(1)));
        assert_eq!(run(&["b", "bc"], b"abc", 3), (vec![b"a".to_vec()], Some(0)));
    }

    #[test]
    fn nothing_is_released_that_belongs_to_a_stop_or_is_half_a_character() {
        let text = "stone \u{1f5ff} und sü\u{df}e K\u{e4}se 你好".as_bytes();
        for step in 1..8 {
            let (released, _) = run(&["stonework", "Käsekuchen"], text, step);
            assert_eq!(released.concat(), text);
            for piece in &released {
                assert!(std::str::from_utf8(piece).is_ok(), "{piece:?} by {step}");
            }
        }
        assert_eq!(run(&[], &[b'a', 0xf0, 0x9f], 1).0.concat(), [b'a', 0xf0, 0x9f], "at the end it comes as it is");
        assert_eq!(run(&[], &[0x80, 0x80, 0x80, 0x80, b'a'], 1).0.concat(), [0x80, 0x80, 0x80, 0x80, b'a']);
    }
}
