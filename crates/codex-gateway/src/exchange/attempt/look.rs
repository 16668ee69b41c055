//! What is known of a request's content, for choosing what may serve it next. Reads a body once;
//! changes nothing.

use gateway_policy::RequestNeeds;
use gateway_wire::request::RequestFeatures;
use http::request::Parts;

use crate::request_body::{RequestBody, Tail};
use crate::upstream::headers::LITE_HEADER;

/// What is known of the request's content: read at most once, and only when another model may come
/// in.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one request"
)]
pub(super) struct Look {
    found: Option<RequestFeatures>,
    is_lite: bool,
    has_previous_response: bool,
    pub(super) is_lite_dropped: bool,
    pub(super) is_reasoning_stripped: bool,
    /// The upstream takes no question for token counts.
    pub(super) is_usage_unasked: bool,
}

impl Look {
    pub(super) fn read(&mut self, request: &RequestBody, parts: &Parts) {
        if self.found.is_some() {
            return;
        }
        let Tail::Replayable { plain, .. } = &request.tail else {
            return;
        };
        let found = gateway_wire::request::features(plain).unwrap_or_default();
        self.is_lite = found.has_additional_tools || parts.headers.contains_key(LITE_HEADER);
        self.has_previous_response = request.head.previous_response_id.is_some();
        self.found = Some(found);
    }

    pub(super) fn needs(&self) -> RequestNeeds<'_> {
        let Some(found) = &self.found else {
            return RequestNeeds::default();
        };
        RequestNeeds {
            approx_tokens: found.approx_input_tokens,
            images: found.has_images,
            effort: found.effort.as_deref(),
            verbosity: found.verbosity.as_deref(),
            lite: self.is_lite && !self.is_lite_dropped,
            previous_response: self.has_previous_response,
            encrypted_reasoning: found.has_encrypted_reasoning && !self.is_reasoning_stripped,
            compaction: found.has_compaction_item,
        }
    }
}
