//! Any bytes as a request, both ways, for any dialect: a translated body is JSON, and nothing
//! panics. The first byte chooses dialect, direction and strictness.
#![no_main]

use gateway_wire::Dialect;
use gateway_wire::translate::{
    NoReasoning, ReplyPurpose, TranslationContext, chat_to_responses, compaction, responses_to_chat,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let names: Vec<_> = Dialect::names().collect();
    let dialect =
        Dialect::named(names[usize::from(*choice) % names.len()]).unwrap_or(&Dialect::OPENAI);
    let settings = TranslationContext {
        model: "m",
        dialect,
        strict: choice & 64 != 0,
        request_id: "fuzz",
        created_at: 0,
        is_codex: true,
        reasoning: &NoReasoning,
        purpose: if choice & 128 != 0 {
            ReplyPurpose::CompactReply
        } else {
            ReplyPurpose::Turn
        },
    };
    for result in [
        responses_to_chat(body, &settings),
        chat_to_responses(body, &settings),
    ]
    .into_iter()
    .flatten()
    {
        let value: serde_json::Value =
            serde_json::from_slice(&result.body).expect("a translated body is JSON");
        assert!(value.is_object());
    }
    let _ = compaction::expand(body);
});
