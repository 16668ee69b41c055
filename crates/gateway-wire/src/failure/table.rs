//! What upstreams say, as data: codes, phrases and sentences, each with what it means. No logic.
//!
//! In a sentence `{model}` stands for the quoted id, `{slug}` for the id or an upstream's internal
//! name for it, a final `{any}` for whatever follows. White space, case and the kind of quotation
//! marks do not matter.

use super::kind::Failure;

/// A structured code or type, compared without case.
pub(super) struct Code {
    pub(super) code: &'static str,
    pub(super) verdict: Failure,
}

/// A lower-case phrase that may stand anywhere in a message. Only for verdicts that send nothing
/// again.
pub(super) struct Phrase {
    pub(super) phrase: &'static str,
    pub(super) verdict: Failure,
}

/// A whole message.
pub(super) struct Sentence {
    pub(super) text: &'static str,
    pub(super) verdict: Failure,
    /// What `param` may name besides the model.
    pub(super) param: Option<&'static str>,
}

/// A code that says "no such model for you".
pub(super) struct UnsupportedCode {
    pub(super) code: &'static str,
    /// The code is used for other things too, so `param` has to name the model.
    pub(super) param_must_name_model: bool,
    /// The code is used for other things too, so the message has to be this one.
    pub(super) message: Option<&'static str>,
}

/// The first code that the table knows.
pub(super) fn lookup(rows: &[Code], codes: &[&str]) -> Option<Failure> {
    codes.iter().find_map(|code| {
        rows.iter()
            .find(|row| row.code.eq_ignore_ascii_case(code))
            .map(|row| row.verdict)
    })
}

const fn code(code: &'static str, verdict: Failure) -> Code {
    Code { code, verdict }
}

const fn phrase(phrase: &'static str, verdict: Failure) -> Phrase {
    Phrase { phrase, verdict }
}

const fn sentence(text: &'static str, verdict: Failure) -> Sentence {
    Sentence {
        text,
        verdict,
        param: None,
    }
}

const fn sentence_about(param: &'static str, text: &'static str, verdict: Failure) -> Sentence {
    Sentence {
        text,
        verdict,
        param: Some(param),
    }
}

const fn refuses(text: &'static str) -> Sentence {
    Sentence {
        text,
        verdict: Failure::UnsupportedModel,
        param: None,
    }
}

const fn unsupported(code: &'static str) -> UnsupportedCode {
    UnsupportedCode {
        code,
        param_must_name_model: false,
        message: None,
    }
}

/// Limits, policy, credentials.
pub(super) const NEVER: &[Code] = &[
    code("usage_limit_reached", Failure::UsageLimit),
    code("usage_limit_exceeded", Failure::UsageLimit),
    code("usage_not_included", Failure::UsageLimit),
    code("insufficient_quota", Failure::UsageLimit),
    code("quota_exceeded", Failure::UsageLimit),
    code("insufficient_balance", Failure::UsageLimit),
    code("credit_balance_exhausted", Failure::UsageLimit),
    code("organization_spend_limit_exceeded", Failure::UsageLimit),
    code("project_spend_limit_exceeded", Failure::UsageLimit),
    code("billing_hard_limit_reached", Failure::UsageLimit),
    code("billing_not_active", Failure::UsageLimit),
    code("rate_limit_exceeded", Failure::RateLimited),
    code("rate_limit_error", Failure::RateLimited),
    code("too_many_requests", Failure::RateLimited),
    code("resource_exhausted", Failure::RateLimited),
    code("cyber_policy", Failure::PolicyRefusal),
    code("bio_policy", Failure::PolicyRefusal),
    code("invalid_prompt", Failure::PolicyRefusal),
    code("misalignment_policy_violation", Failure::PolicyRefusal),
    code("content_policy_violation", Failure::PolicyRefusal),
    code("content_filter", Failure::PolicyRefusal),
    code("invalid_api_key", Failure::Auth),
    code("authentication_error", Failure::Auth),
    code("token_invalidated", Failure::Auth),
    code("token_expired", Failure::Auth),
    code("token_revoked", Failure::Auth),
    code("mismatched_organization", Failure::Auth),
    code("account_deactivated", Failure::Auth),
    code("unsupported_country_region_territory", Failure::Auth),
    code("request_forbidden", Failure::Auth),
];

/// Loose on purpose: a false hit here only means that nothing else is tried.
pub(super) const NEVER_PHRASES: &[Phrase] = &[
    phrase("usage limit", Failure::UsageLimit),
    phrase("exceeded your current quota", Failure::UsageLimit),
    phrase("insufficient balance", Failure::UsageLimit),
    phrase("missing scopes:", Failure::Auth),
    phrase("not available in your region", Failure::Auth),
];

/// Codes about the endpoint, the length or the history.
pub(super) const SOMETHING_ELSE: &[Code] = &[
    code("unsupported_api_for_model", Failure::WrongEndpoint),
    code("context_length_exceeded", Failure::ContextLength),
    code("invalid_encrypted_content", Failure::ForeignReasoning),
];

/// Messages that mention a model and mean something else.
pub(super) const SOMETHING_ELSE_SENTENCES: &[Sentence] = &[
    sentence(
        "The '{model}' model requires a newer version of Codex{any}",
        Failure::ClientTooOld,
    ),
    sentence(
        "This model is not supported when using X-OpenAI-Internal-Codex-Responses-Lite.",
        Failure::LiteHeaderRefused,
    ),
    sentence(
        "The '{model}' model is not supported when using X-OpenAI-Internal-Codex-Responses-Lite.",
        Failure::LiteHeaderRefused,
    ),
    sentence_about(
        "tools",
        "X-OpenAI-Internal-Codex-Responses-Lite only supports function tools, custom tools, and \
         client-executed tool search.",
        Failure::LiteHeaderRefused,
    ),
    sentence_about(
        "parallel_tool_calls",
        "X-OpenAI-Internal-Codex-Responses-Lite requires parallel_tool_calls to be false.",
        Failure::LiteHeaderRefused,
    ),
    sentence(
        "This model is only supported in v1/responses and not in v1/chat/completions.",
        Failure::WrongEndpoint,
    ),
    sentence_about(
        "reasoning_effort",
        "Function tools with reasoning_effort are not supported for {model} in \
         /v1/chat/completions{any}",
        Failure::WrongEndpoint,
    ),
    sentence(
        "The chatCompletion operation does not work with the specified model, {model}.{any}",
        Failure::WrongEndpoint,
    ),
    sentence(
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint.{any}",
        Failure::WrongEndpoint,
    ),
    sentence(
        "model {model} is not accessible via the /chat/completions endpoint",
        Failure::WrongEndpoint,
    ),
    sentence(
        "Your input exceeds the context window of this model.{any}",
        Failure::ContextLength,
    ),
    sentence(
        "This model's maximum context length is {any}",
        Failure::ContextLength,
    ),
    sentence(
        "The encrypted content for item {any}",
        Failure::ForeignReasoning,
    ),
    sentence(
        "The encrypted content {model} could not be verified.{any}",
        Failure::ForeignReasoning,
    ),
];

/// Codes of upstreams without room.
pub(super) const BUSY: &[Code] = &[
    code("server_is_overloaded", Failure::Overloaded),
    code("slow_down", Failure::Overloaded),
    code("overloaded_error", Failure::Overloaded),
    code("engine_overloaded", Failure::Overloaded),
    code("engine_overloaded_error", Failure::Overloaded),
    code("service_unavailable_error", Failure::Overloaded),
    code("flex_unavailable", Failure::Capacity),
    code("dedicated_endpoint_not_running", Failure::Capacity),
];

/// Messages of upstreams without room.
pub(super) const BUSY_PHRASES: &[Phrase] = &[phrase("model is at capacity", Failure::Capacity)];

/// Asked when neither a code, a sentence nor the status said anything.
pub(super) const LAST_RESORT: &[Code] = &[
    code("server_error", Failure::ServerError),
    code("internal_server_error", Failure::ServerError),
    code("api_error", Failure::ServerError),
    code("invalid_request_error", Failure::BadRequest),
];

/// Codes that say "no such model for you".
pub(super) const UNSUPPORTED_CODES: &[UnsupportedCode] = &[
    unsupported("model_not_found"),
    unsupported("model_not_supported"),
    unsupported("unsupported_model"),
    unsupported("model_not_available"),
    unsupported("invalid_model"),
    unsupported("DeploymentNotFound"),
    UnsupportedCode {
        code: "NOT_FOUND",
        param_must_name_model: true,
        message: None,
    },
    UnsupportedCode {
        code: "resource_not_found_error",
        param_must_name_model: false,
        message: Some("Not found the model {model} or Permission denied"),
    },
    UnsupportedCode {
        code: "1211",
        param_must_name_model: false,
        message: Some("Unknown Model, please check the model code."),
    },
    UnsupportedCode {
        code: "1500",
        param_must_name_model: false,
        message: Some("Invalid model: {model}"),
    },
];

/// Whole messages that say "no such model for you".
pub(super) const UNSUPPORTED: &[Sentence] = &[
    refuses("The '{model}' model is not supported when using Codex with a ChatGPT account."),
    refuses("The model '{model}' does not exist or you do not have access to it.{any}"),
    refuses("The model '{model}' does not exist."),
    refuses("Your organization must be verified to use the model '{model}'.{any}"),
    refuses("Model not found {slug}"),
    refuses("Model not found, inaccessible, and/or not deployed"),
    refuses("Not found the model {model} or Permission denied"),
    refuses("Unknown Model, please check the model code."),
    refuses("Model Not Exist"),
    refuses("Invalid model: {model}"),
    refuses("{model} is not a valid model ID"),
    refuses("model '{model}' isn't supported on this route"),
    refuses("model {model} isn't supported on this route"),
    refuses("The provided model identifier is invalid."),
    refuses("The requested model is not supported."),
    refuses("Invalid model name passed in model={model}"),
    refuses("Invalid model name passed in model={model}. Call {any}"),
    refuses("/chat/completions: Invalid model name passed in model={model}. Call {any}"),
    refuses("/responses: Invalid model name passed in model={model}. Call {any}"),
    refuses("{'error': '/chat/completions: Invalid model name passed in model={model}. Call {any}"),
    refuses("{'error': '/responses: Invalid model name passed in model={model}. Call {any}"),
    refuses("model '{model}' not found"),
    refuses("The model '{model}' has been decommissioned{any}"),
];
