//! From `[upstreams.NAME]` to an [`Upstream`], collecting every problem on the way.

use std::time::Duration;

use gateway_wire::WireApi;
use gateway_wire::dialect::Dialect;
use serde_spanned::Spanned;

use super::base_url::{UrlError, check_url};
use super::{
    CONNECT_TIMEOUT, CredentialSource, CredentialSpec, HEADERS_TIMEOUT, HeaderKind, KEEPALIVE,
    MAX_RETRIES, OwnCredentialSpec, RequestEncoding, STREAM_IDLE_TIMEOUT, SecretPlace, Upstream,
    UpstreamName, UpstreamSpec, is_variable_name, no_variable,
};
use crate::problem::{Problem, did_you_mean, one_of};
use crate::string_list::StringList;
use crate::units::parse_duration;

/// Headers that belong to the connection, the body or a credential; setting them here would break
/// or leak something.
const RESERVED_HEADERS: [&str; 14] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "accept-encoding",
];

impl UpstreamSpec {
    /// Checks everything; the result is usable only if no error was added.
    pub(crate) fn compile(&self, name: &Spanned<String>, problems: &mut Vec<Problem>) -> Upstream {
        let in_name =
            |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if name.get_ref().is_empty() || !name.get_ref().chars().all(in_name) {
            problems.push(
                Problem::error(
                    name.span(),
                    format!("upstream name `{}` is not valid", name.get_ref()),
                )
                .with_hint(
                    "use letters, digits, `-`, `_` and `.`: the name appears in headers and labels"
                        .to_owned(),
                ),
            );
        }
        let credential = self.compile_credential(problems);
        let base_url = self.compile_base_url(&credential, problems);
        let wire_apis = compile_wire_apis(self.wire_api.as_ref(), problems);
        let keepalive = duration(self.keepalive.as_ref(), KEEPALIVE, Zero::Allowed, problems);
        Upstream {
            name: UpstreamName::new(name.get_ref()),
            base_url,
            dialect: self.compile_dialect(&wire_apis, problems),
            strict_translation: self.strict_translation.unwrap_or(false),
            forward_client_headers: self.forward_client_headers,
            shared_ids: self.shared_ids.unwrap_or(false),
            wire_apis,
            credential,
            query_params: self
                .query_params
                .iter()
                .map(|(key, value)| (key.get_ref().clone(), value.get_ref().clone()))
                .collect(),
            http_headers: self.compile_headers(problems),
            request_encodings: compile_encodings(self.request_encodings.as_ref(), problems),
            connect_timeout: duration(
                self.connect_timeout.as_ref(),
                CONNECT_TIMEOUT,
                Zero::Refused,
                problems,
            ),
            headers_timeout: duration(
                self.headers_timeout.as_ref(),
                HEADERS_TIMEOUT,
                Zero::Refused,
                problems,
            ),
            stream_idle_timeout: duration(
                self.stream_idle_timeout.as_ref(),
                STREAM_IDLE_TIMEOUT,
                Zero::Refused,
                problems,
            ),
            keepalive: Some(keepalive).filter(|interval| !interval.is_zero()),
            request_max_retries: self.compile_retries(problems),
            patterns: Vec::new(),
        }
    }

    fn compile_base_url(
        &self,
        credential: &CredentialSource,
        problems: &mut Vec<Problem>,
    ) -> String {
        let text = self.base_url.get_ref();
        let span = self.base_url.span();
        match check_url(text) {
            Err(UrlError::HasCredential) => problems.push(
                Problem::error(span, "this base URL contains a credential")
                    .with_hint("remove it, and use `credential`".to_owned()),
            ),
            Err(UrlError::Invalid(reason)) => problems.push(
                Problem::error(span, format!("`{text}` is not a valid base URL: {reason}"))
                    .with_hint("such as `https://api.example.com/v1`".to_owned()),
            ),
            Ok(url) => {
                let carries = !matches!(credential, CredentialSource::None);
                if url.is_clear_text && !url.is_loopback && carries {
                    problems.push(
                        Problem::warning(span, format!("`{text}` sends credentials in clear text"))
                            .with_hint("use https, or `credential = \"none\"`".to_owned()),
                    );
                }
            }
        }
        text.trim_end_matches('/').to_owned()
    }

    fn compile_credential(&self, problems: &mut Vec<Problem>) -> CredentialSource {
        let Some(spec) = &self.credential else {
            return CredentialSource::Caller;
        };
        match spec.get_ref() {
            CredentialSpec::Word(word) if word == "caller" => CredentialSource::Caller,
            CredentialSpec::Word(word) if word == "none" => CredentialSource::None,
            CredentialSpec::Word(word) => {
                problems.push(
                    Problem::error(spec.span(), "this is not a valid credential source")
                        .with_hint(did_you_mean(word, ["caller", "none"]).unwrap_or_else(|| {
                        "`\"caller\"`, `\"none\"`, `{ env = \"NAME\" }` or `{ file = \"PATH\" }`; \
                             secrets themselves do not belong in this file"
                            .to_owned()
                    })),
                );
                CredentialSource::None
            }
            CredentialSpec::Own(own) => compile_own(own, spec.span(), problems),
        }
    }

    fn compile_headers(&self, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for (name, value) in &self.http_headers {
            let lower = name.get_ref().to_ascii_lowercase();
            if !is_header_name(&lower) {
                problems.push(Problem::error(
                    name.span(),
                    format!("`{}` is not a valid header name", name.get_ref()),
                ));
            } else if RESERVED_HEADERS.contains(&lower.as_str()) || lower.starts_with("x-gateway-")
            {
                problems.push(
                    Problem::error(
                        name.span(),
                        format!("the header `{lower}` cannot be set here"),
                    )
                    .with_hint((lower == "authorization").then(|| "use `credential`".to_owned())),
                );
            }
            if value.get_ref().chars().any(char::is_control) {
                problems.push(Problem::error(
                    value.span(),
                    format!("the value of `{lower}` contains a control character"),
                ));
            }
            headers.push((lower, value.get_ref().clone()));
        }
        headers
    }

    fn compile_retries(&self, problems: &mut Vec<Problem>) -> u32 {
        let Some(retries) = &self.request_max_retries else {
            return 0;
        };
        let wanted = *retries.get_ref();
        if wanted > MAX_RETRIES {
            problems.push(
                Problem::error(retries.span(), format!("at most {MAX_RETRIES} retries")).with_hint(
                    "the client retries failed requests too, so the two numbers multiply"
                        .to_owned(),
                ),
            );
        }
        wanted.min(MAX_RETRIES)
    }

    fn compile_dialect(&self, wire_apis: &[WireApi], problems: &mut Vec<Problem>) -> Dialect {
        let mut dialect = Dialect::default();
        if let Some(name) = &self.dialect {
            if let Some(named) = Dialect::named(name.get_ref()) {
                dialect = *named;
            } else {
                let known: Vec<&str> = Dialect::names().collect();
                problems.push(
                    Problem::error(name.span(), format!("unknown dialect `{}`", name.get_ref()))
                        .with_hint(one_of(name.get_ref(), known)),
                );
            }
        } else if wire_apis == [WireApi::Chat] {
            // An upstream that speaks only Chat is probably not the protocol's owner, and fails on what
            // only the owner accepts.
            dialect = Dialect::named("compatible").copied().unwrap_or_default();
        }
        self.deviations
            .as_ref()
            .map_or(dialect, |deviations| dialect.with(deviations))
    }
}

fn compile_own(
    own: &OwnCredentialSpec,
    span: std::ops::Range<usize>,
    problems: &mut Vec<Problem>,
) -> CredentialSource {
    let header = own.header.as_ref().map(|name| name.to_ascii_lowercase());
    if let Some(name) = &header
        && !is_header_name(name)
    {
        problems.push(Problem::error(
            span.clone(),
            format!("`{name}` is not a valid header name"),
        ));
    }
    let header = match header {
        Some(name) if name != "authorization" => HeaderKind::Named(name),
        Some(_) | None => HeaderKind::Bearer,
    };
    let from = match (&own.env, &own.file) {
        (Some(env), None) if is_variable_name(env) => SecretPlace::Env(env.clone()),
        (Some(_), None) => {
            problems.push(no_variable(span));
            return CredentialSource::None;
        }
        (None, Some(file)) if !file.is_empty() => SecretPlace::File(file.clone()),
        (Some(_), Some(_)) => {
            problems.push(Problem::error(
                span,
                "a credential comes from `env` or from `file`, not from both",
            ));
            return CredentialSource::None;
        }
        (None, Some(_) | None) => {
            problems.push(Problem::error(
                span,
                "a credential needs `env = \"NAME\"` or `file = \"PATH\"`",
            ));
            return CredentialSource::None;
        }
    };
    CredentialSource::Own { header, from }
}

fn compile_wire_apis(words: Option<&StringList>, problems: &mut Vec<Problem>) -> Vec<WireApi> {
    let mut wires = Vec::new();
    for word in words.into_iter().flat_map(StringList::iter) {
        let wire = match word.get_ref().as_str() {
            "responses" => WireApi::Responses,
            "chat" => WireApi::Chat,
            other => {
                problems.push(
                    Problem::error(word.span(), format!("unknown wire API `{other}`"))
                        .with_hint(one_of(other, ["responses", "chat"])),
                );
                continue;
            }
        };
        if !wires.contains(&wire) {
            wires.push(wire);
        }
    }
    if wires.is_empty() {
        wires.push(WireApi::Responses);
    }
    wires
}

fn compile_encodings(
    words: Option<&StringList>,
    problems: &mut Vec<Problem>,
) -> Vec<RequestEncoding> {
    let mut encodings = Vec::new();
    for word in words.into_iter().flat_map(StringList::iter) {
        match RequestEncoding::ALL
            .into_iter()
            .find(|encoding| encoding.as_str() == word.get_ref())
        {
            Some(encoding) => encodings.push(encoding),
            None => problems.push(
                Problem::error(
                    word.span(),
                    format!("unknown encoding `{}`", word.get_ref()),
                )
                .with_hint(one_of(
                    word.get_ref(),
                    RequestEncoding::ALL.map(RequestEncoding::as_str),
                )),
            ),
        }
    }
    encodings
}

/// Whether zero means something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    Allowed,
    Refused,
}

fn duration(
    text: Option<&Spanned<String>>,
    default: Duration,
    zero: Zero,
    problems: &mut Vec<Problem>,
) -> Duration {
    let Some(text) = text else { return default };
    match parse_duration(text.get_ref()) {
        Ok(found) if found.is_zero() && zero == Zero::Refused => {
            problems.push(Problem::error(
                text.span(),
                "a timeout of zero would fail every request",
            ));
            default
        }
        Ok(found) => found,
        Err(error) => {
            problems.push(Problem::error(text.span(), error.to_string()));
            default
        }
    }
}

fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}
