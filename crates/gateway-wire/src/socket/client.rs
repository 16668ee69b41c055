//! What a client sends: `response.create` is a request body with a few members more; everything
//! else is passed on or refused by its type.

use std::ops::Range;

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::json::span::{self, Elements, Member, Members};

/// A message of the client that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is not JSON, or not an object.
    #[error("a message must be one JSON object: {0}")]
    Json(String),
    /// There is no type.
    #[error("a message must have a `type`, such as `response.create`")]
    NoType,
    /// A member that is read here stands twice.
    #[error("`{0}` appears twice")]
    Twice(&'static str),
    /// `input` is neither a list nor a text.
    #[error("`input` must be an array or a string")]
    Input,
}

/// One message of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// A request for a response.
    Create(CreateFrame),
    /// Something about a response that runs.
    Other {
        /// Its type.
        kind: String,
    },
}

/// A `response.create` message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateFrame {
    raw: Bytes,
    members: Vec<Member>,
    input: Option<Range<usize>>,
    previous: Option<Member>,
    has_stream: bool,
    is_warmup: bool,
    stream_id: Option<String>,
    client_metadata: Vec<(String, String)>,
}

/// Members that belong to the message and not to the request.
const OF_MESSAGE: [&str; 3] = ["type", "generate", "stream_id"];
/// How the keys begin that `client_metadata` has on a socket alone.
const OF_SOCKET: [&str; 2] = ["x-codex-ws-", "ws_request_header_"];

impl ClientFrame {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is not a JSON object with a type.
    pub fn read(raw: &Bytes) -> Result<Self, FrameError> {
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(raw) {
            return Err(FrameError::Json(error.to_string()));
        }
        if raw.trim_ascii_start().first() != Some(&b'{') {
            return Err(FrameError::Json("it is another value".to_owned()));
        }
        let kind = span::text_of(raw, 0, "type").ok_or(FrameError::NoType)?;
        if kind != "response.create" {
            return Ok(Self::Other { kind });
        }
        CreateFrame::read(raw).map(Self::Create)
    }
}

impl CreateFrame {
    fn read(raw: &Bytes) -> Result<Self, FrameError> {
        let mut frame = Self {
            raw: raw.clone(),
            members: Vec::new(),
            input: None,
            previous: None,
            has_stream: false,
            is_warmup: false,
            stream_id: None,
            client_metadata: Vec::new(),
        };
        for member in Members::new(raw, 0) {
            let value = raw.get(member.value.clone()).unwrap_or_default();
            match span::string_at(raw, &member.key).as_deref() {
                Some("input") => {
                    if frame.input.replace(member.value.clone()).is_some() {
                        return Err(FrameError::Twice("input"));
                    }
                    if !matches!(value.first(), Some(b'[' | b'"')) {
                        return Err(FrameError::Input);
                    }
                }
                Some("previous_response_id") if value.first() == Some(&b'"') => {
                    if frame.previous.replace(member.clone()).is_some() {
                        return Err(FrameError::Twice("previous_response_id"));
                    }
                }
                Some("stream") => frame.has_stream = true,
                Some("generate") => frame.is_warmup = value == b"false",
                Some("stream_id") => frame.stream_id = span::text_at(raw, &member.value),
                Some("client_metadata") => {
                    frame.client_metadata = texts_of(raw, member.value.start);
                }
                Some(_) | None => {}
            }
            frame.members.push(member);
        }
        Ok(frame)
    }

    /// The message as it came.
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Whether nothing is to be generated.
    pub const fn is_warmup(&self) -> bool {
        self.is_warmup
    }

    /// The response that this one continues.
    pub fn previous_response_id(&self) -> Option<String> {
        span::text_at(&self.raw, &self.previous.as_ref()?.value)
    }

    /// The lane of the message, if it names one.
    pub fn stream_id(&self) -> Option<&str> {
        self.stream_id.as_deref()
    }

    /// The texts of `client_metadata`, in which Codex says what it also says in headers.
    pub fn client_metadata(&self) -> &[(String, String)] {
        &self.client_metadata
    }

    /// The items of `input`, joined by commas; empty where there are none. A text is a message of
    /// the user.
    pub fn input_items(&self) -> Bytes {
        let Some(span) = &self.input else {
            return Bytes::new();
        };
        let value = self.raw.get(span.clone()).unwrap_or_default();
        if value.first() == Some(&b'"') {
            let text = String::from_utf8_lossy(value);
            return Bytes::from(format!(
                r#"{{"type":"message","role":"user","content":{text}}}"#
            ));
        }
        let mut items = Elements::new(&self.raw, span.start);
        let Some(first) = items.next() else {
            return Bytes::new();
        };
        let end = items.last().map_or(first.end, |last| last.end);
        Bytes::copy_from_slice(self.raw.get(first.start..end).unwrap_or_default())
    }

    /// The request body: the message without what belongs to the message alone. It streams, since
    /// that is what a socket does.
    pub fn body(&self) -> Bytes {
        self.written(None)
    }

    /// The same with the whole conversation in `input`: `history` are lists of items, joined by
    /// commas, that come before the message's own.
    pub fn expanded_body(&self, history: &[Bytes]) -> Bytes {
        let own = self.input_items();
        let lists = history.iter().chain([&own]);
        let mut input = vec![b'['];
        for list in lists.filter(|list| !list.is_empty()) {
            if input.len() > 1 {
                input.push(b',');
            }
            input.extend_from_slice(list);
        }
        input.push(b']');
        self.written(Some(&input))
    }

    /// Writes `client_metadata` without what Codex adds to it on a socket.
    fn write_metadata(&self, metadata: &Member, out: &mut Vec<u8>) {
        let whole = metadata.key.start..metadata.value.end;
        let of_socket = |member: &Member| {
            span::string_at(&self.raw, &member.key)
                .is_some_and(|key| OF_SOCKET.iter().any(|beginning| key.starts_with(beginning)))
        };
        let members = || Members::new(&self.raw, metadata.value.start);
        if !members().any(|member| of_socket(&member)) {
            out.extend_from_slice(self.raw.get(whole).unwrap_or_default());
            return;
        }
        out.extend_from_slice(br#""client_metadata":{"#);
        let mut is_first = true;
        for member in members().filter(|member| !of_socket(member)) {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            let whole = member.key.start..member.value.end;
            out.extend_from_slice(self.raw.get(whole).unwrap_or_default());
        }
        out.push(b'}');
    }

    fn written(&self, input: Option<&[u8]>) -> Bytes {
        let mut out = Vec::with_capacity(self.raw.len() + input.map_or(0, <[u8]>::len) + 16);
        out.push(b'{');
        let mut has_input = false;
        for member in &self.members {
            let name = span::string_at(&self.raw, &member.key);
            let name = name.as_deref().unwrap_or_default();
            let is_replaced = input.is_some() && name == "previous_response_id";
            if OF_MESSAGE.contains(&name) || name == "stream" || is_replaced {
                continue;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            if let Some(input) = input.filter(|_| name == "input") {
                has_input = true;
                out.extend_from_slice(br#""input":"#);
                out.extend_from_slice(input);
            } else if name == "client_metadata" {
                self.write_metadata(member, &mut out);
            } else {
                let whole = member.key.start..member.value.end;
                out.extend_from_slice(self.raw.get(whole).unwrap_or_default());
            }
        }
        let comma: &[u8] = if out.len() > 1 { b"," } else { b"" };
        if let Some(input) = input.filter(|_| !has_input) {
            out.extend_from_slice(comma);
            out.extend_from_slice(br#""input":"#);
            out.extend_from_slice(input);
            out.push(b',');
        } else {
            out.extend_from_slice(comma);
        }
        out.extend_from_slice(br#""stream":true}"#);
        Bytes::from(out)
    }
}

/// The message for an upstream: a request body in pieces, made into a `response.create`.
pub fn upstream_frame(body: impl IntoIterator<Item = Bytes>, is_warmup: bool) -> Vec<u8> {
    let mut out = br#"{"type":"response.create""#.to_vec();
    if is_warmup {
        out.extend_from_slice(br#","generate":false"#);
    }
    out.push(b',');
    let start = out.len();
    for piece in body {
        out.extend_from_slice(&piece);
    }
    // The brace that opens the body is not needed twice.
    if let Some(at) = out.iter().skip(start).position(|byte| *byte == b'{') {
        out.drain(start..=start + at);
    }
    out
}

fn texts_of(raw: &[u8], at: usize) -> Vec<(String, String)> {
    let members = Members::new(raw, at);
    let texts = members.filter_map(|member| {
        let key = span::text_at(raw, &member.key)?;
        Some((key, span::text_at(raw, &member.value)?))
    });
    texts.collect()
}
