//! Server-sent events (WHATWG HTML, section 9.2.6), as far as OpenAI's API uses them: the data of each event.

/// Bytes of an event that isn't complete.
const MAX_EVENT: usize = 1024 * 1024;

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub(super) struct Events {
    bytes: Vec<u8>,
    data: Option<String>,
}

impl Events {
    /// Adds bytes as they come.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.bytes.extend_from_slice(bytes);
        let waiting = self.bytes.len() + self.data.as_ref().map_or(0, String::len);
        if waiting > MAX_EVENT { Err("an event is too long") } else { Ok(()) }
    }

    /// The data of the next event that is complete.
    pub(super) fn take(&mut self) -> Option<String> {
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if let Some(data) = self.data.take() {
                    return Some(data);
                }
            } else if let Some(value) = line.strip_prefix("data:") {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => self.data = Some(value.to_owned()),
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_however_the_stream_is_cut() {
        let stream =
            ": keep-alive\n\ndata: {\"a\":\"\u{e4}\"}\n\nevent: x\r\ndata:one\r\ndata: two\r\n\r\nid: 7\n\ndata: [DONE]\n\n";
        for size in 1..stream.len() {
            let (mut events, mut found) = (Events::default(), Vec::new());
            for part in stream.as_bytes().chunks(size) {
                events.put(part).unwrap();
                found.extend(std::iter::from_fn(|| events.take()));
            }
            assert_eq!(found, ["{\"a\":\"\u{e4}\"}", "one\ntwo", "[DONE]"], "{size}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut events = Events::default();
        assert!(events.put(&vec![b'x'; MAX_EVENT + 1]).is_err());
        let mut events = Events::default();
        let result = (0..100).try_for_each(|_| {
            events.put(&[&b"data: "[..], &[b'x'; 50_000], b"\n"].concat())?;
            let _ = events.take();
            Ok::<_, &str>(())
        });
        assert!(result.is_err(), "lines of one event without an end");
    }
}
