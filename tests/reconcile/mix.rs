//! The mixture: what the n-th exchange asks for, how the upstream answers it, and what its client
//! makes of that. All of it follows from the number, so that a run can be repeated.

use gateway_tests::client::{Client, OpenReply, Reply};
use gateway_tests::sample::{API_KEY, signed_in};
use gateway_tests::upstream::{
    Chunking, Ending, FixedResponse, Matcher, ModelAnswer, Output, Payload, ReplyHead, Respond,
    Script, Step, Wire,
};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::time::Duration;

/// Tells the upstream how to answer; it crosses the gateway as any unknown header does.
const PLAY: &str = "x-play";
/// Codex's session: one for each exchange, since the ledger keeps it and the upstream sees it.
pub(crate) const TAG: &str = "session-id";

/// How an exchange goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Play {
    Answered,
    /// The answer says nothing about usage.
    Uncounted,
    /// The stream ends without its terminal event.
    Truncated,
    /// The connection is reset in mid-answer.
    Reset,
    /// The client leaves after the first bytes of a slow answer.
    Left,
    /// The client leaves before anything was answered.
    LeftEarly,
    /// The model is refused, and another one answers.
    Refused,
    /// An error of the upstream.
    Broken,
    /// A failure inside the stream.
    Failed,
}

impl Play {
    /// Out of 25: sixteen go well, and each misfortune has one or two.
    const fn nth(number: usize) -> Self {
        match number * 7 % 25 {
            0 => Self::Uncounted,
            1 => Self::Truncated,
            2 => Self::Reset,
            3 => Self::Left,
            4 => Self::LeftEarly,
            5 | 6 => Self::Refused,
            7 => Self::Broken,
            8 => Self::Failed,
            _ => Self::Answered,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Uncounted => "uncounted",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
            Self::Left => "left",
            Self::LeftEarly => "left-early",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Failed => "failed",
        }
    }
}

/// What the upstream does for each play; whatever is not named here gets the default model's
/// answer.
pub(crate) fn script() -> Script {
    let when = |play: Play| Matcher {
        headers: [(PLAY.to_owned(), play.word().to_owned())].into(),
        ..Matcher::default()
    };
    let answer = |answer: ModelAnswer| Respond::ModelAnswer(Box::new(answer));
    let refusal = json!({"error": {"message": "The model `gpt-5.5` does not exist or you do not have access to it.",
        "type": "invalid_request_error", "code": "model_not_found", "param": "model"}});
    let failed = Ending::Failed {
        code: Some("server_error".to_owned()),
        message: "something broke".to_owned(),
    };
    let half = json!({"type": "response.created", "response": {"id": "resp_half", "object": "response", "status": "in_progress"}});
    let refused = Matcher {
        model: Some("gpt-5.5".to_owned()),
        ..when(Play::Refused)
    };
    Script {
        forget_bodies: true,
        ..Script::default()
    }
    .rule(
        when(Play::Uncounted),
        answer(ModelAnswer {
            usage: None,
            ..ModelAnswer::text("nobody counts")
        }),
    )
    .rule(
        when(Play::Truncated),
        answer(ModelAnswer::text("cut").ending(Ending::Missing)),
    )
    .rule(
        when(Play::Reset),
        Respond::Steps(vec![
            Step::Head(ReplyHead::event_stream()),
            Step::Send {
                body: Payload::Events(vec![half]),
                cuts: Chunking::Whole,
                delay_ms: 0,
            },
            Step::Reset,
        ]),
    )
    .rule(
        when(Play::Left),
        answer(ModelAnswer::of(vec![Output::Deltas(vec!["word ".to_owned(); 40])]).delay_ms(20)),
    )
    .rule(when(Play::LeftEarly), Respond::Steps(vec![Step::Stall]))
    .rule(refused, Respond::FixedResponse(FixedResponse::json(404, refusal)))
    .rule(
        when(Play::Broken),
        Respond::FixedResponse(FixedResponse::json(500, json!({"error": {"message": "broken", "type": "server_error", "code": null, "param": null}}))),
    )
    .rule(when(Play::Failed), answer(ModelAnswer::text("half").ending(failed)))
}

/// One exchange to be made.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) tag: String,
    pub(crate) play: Play,
    wire: Wire,
    is_stream: bool,
    is_chatgpt: bool,
    words: usize,
}

/// What its client saw of it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) ask: Ask,
    /// `x-gateway-request-id`, where there was a head.
    pub(crate) id: Option<String>,
    /// The terminal event of a stream, or the whole of a plain answer.
    pub(crate) has_end: bool,
    pub(crate) status: Option<u16>,
}

impl Ask {
    pub(crate) fn nth(number: usize) -> Self {
        let play = Play::nth(number);
        // Bits of another number, so that they do not go with the play.
        let bits = number / 25 + number;
        let must_stream = matches!(play, Play::Truncated | Play::Reset | Play::Failed);
        Self {
            tag: format!("exchange-{number}"),
            play,
            wire: if bits.is_multiple_of(4) {
                Wire::Chat
            } else {
                Wire::Responses
            },
            is_stream: must_stream || bits % 8 < 6,
            is_chatgpt: bits % 3 == 1,
            words: number % 997,
        }
    }

    fn target(&self) -> &'static str {
        match self.wire {
            Wire::Responses => "/v1/responses",
            Wire::Chat => "/v1/chat/completions",
        }
    }

    fn body(&self) -> Value {
        // As many words as make each answer's usage another one.
        let text = "word".repeat(self.words + 1);
        let mut body = json!({"model": "gpt-5.5", "stream": self.is_stream});
        match self.wire {
            Wire::Responses => {
                body["store"] = json!(false);
                body["input"] = json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]);
            }
            Wire::Chat => {
                body["messages"] = json!([{"role": "user", "content": text}]);
                // Callers with a credential of their own have to ask themselves.
                if self.is_stream {
                    body["stream_options"] = json!({"include_usage": true});
                }
            }
        }
        body
    }

    /// Makes the exchange; `None` when nobody listened.
    pub(crate) async fn make(&self, client: &Client) -> Option<Seen> {
        let call = client
            .post(self.target())
            .json(&self.body())
            .header(TAG, &self.tag)
            .header(PLAY, self.play.word());
        let call = if self.is_chatgpt {
            signed_in(call)
        } else {
            call.bearer(API_KEY)
        };
        let nothing = Seen {
            ask: self.clone(),
            id: None,
            has_end: false,
            status: None,
        };
        let opening = call.try_open();
        let opened = if self.play == Play::LeftEarly {
            // The upstream never answers, so this always is the client's patience.
            match tokio::time::timeout(Duration::from_millis(200), opening).await {
                Ok(opened) => opened,
                Err(_) => return Some(nothing),
            }
        } else {
            opening.await
        };
        let open = match opened {
            Ok(open) => open,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return None,
            Err(_) => return Some(nothing),
        };
        let (reply, is_whole) = self.read(open).await;
        Some(Seen {
            id: reply.header("x-gateway-request-id").map(str::to_owned),
            has_end: is_whole && self.has_end(&reply),
            status: Some(reply.status),
            ..nothing
        })
    }

    /// The answer as far as this client reads it, and whether that is to the end.
    async fn read(&self, mut open: OpenReply) -> (Reply, bool) {
        if self.play == Play::Left && self.is_stream {
            open.next().await;
            let reply = open.reply.clone();
            if self.words.is_multiple_of(2) {
                open.reset();
            }
            return (reply, false);
        }
        (open.finish().await, true)
    }

    fn has_end(&self, reply: &Reply) -> bool {
        let is_stream = reply
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !is_stream {
            return reply.cut.is_none();
        }
        match self.wire {
            Wire::Chat => reply.text().contains("data: [DONE]"),
            Wire::Responses => reply.event_types().iter().any(|kind| {
                matches!(
                    kind.as_str(),
                    "response.completed" | "response.incomplete" | "response.failed"
                )
            }),
        }
    }
}
