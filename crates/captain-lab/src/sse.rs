//! Server-sent events (WHATWG HTML, section 9.2): the `data` of each message.

/// Takes messages out of an event stream.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    line: Vec<u8>,
    data: Vec<String>,
}

impl Messages {
    /// Takes `bytes` of the stream; the data of the messages that they end.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut ended = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => ended.extend(self.end_line()),
                byte => self.line.push(*byte),
            }
        }
        ended
    }

    fn end_line(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then(|| data.join("\n"));
        }
        if let Some(data) = line.strip_prefix("data:") {
            self.data.push(data.strip_prefix(' ').unwrap_or(data).to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_however_the_stream_is_cut_and_comments_do_not() {
        let stream =
            ": hello\n\nevent: x\nid: 7\ndata: {\"a\":1}\n\ndata:one\r\ndata: two\r\n\r\n:\n\ndata: un";
        for step in [1, 2, 7, stream.len()] {
            let mut messages = Messages::default();
            let got: Vec<_> = stream.as_bytes().chunks(step).flat_map(|piece| messages.push(piece)).collect();
            assert_eq!(got, ["{\"a\":1}", "one\ntwo"], "in steps of {step}");
        }
    }
}
