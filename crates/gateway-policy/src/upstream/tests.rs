use super::*;
use crate::problem::Problem;

fn compile(text: &str) -> (Upstream, Vec<Problem>) {
    let spec: BTreeMap<Spanned<String>, UpstreamSpec> =
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
    let (name, spec) = spec.iter().next().unwrap();
    let mut problems = Vec::new();
    (spec.compile(name, &mut problems), problems)
}

fn sound(text: &str) -> Upstream {
    let (upstream, problems) = compile(text);
    assert!(problems.is_empty(), "{problems:?}");
    upstream
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let upstream = sound("[u]\nbase_url = \"https://u.example/v1//\"\n");
    let expected = Upstream {
        name: UpstreamName::new("u"),
        base_url: "https://u.example/v1".to_owned(),
        wire_apis: vec![WireApi::Responses],
        credential: CredentialSource::Caller,
        dialect: Dialect::OPENAI,
        strict_translation: false,
        forward_client_headers: None,
        shared_ids: false,
        query_params: vec![],
        http_headers: vec![],
        request_encodings: vec![],
        connect_timeout: Duration::from_secs(10),
        headers_timeout: Duration::from_secs(600),
        stream_idle_timeout: Duration::from_secs(270),
        keepalive: Some(Duration::from_secs(15)),
        request_max_retries: 0,
        patterns: vec![],
    };
    assert_eq!(upstream, expected);
}

#[test]
fn every_field_is_read() {
    let upstream = sound(
        r#"
[u]
base_url = "https://u.example/v1"
wire_api = ["chat", "responses", "chat"]
credential = { header = "API-Key", env = "KEY" }
dialect = "azure"
deviations = { images = false }
strict_translation = true
forward_client_headers = false
shared_ids = true
query_params = { api-version = "preview", "a b" = "c&d" }
http_headers = { "X-Title" = "team" }
request_encodings = ["zstd", "br"]
connect_timeout = "1s"
headers_timeout = "2m"
stream_idle_timeout = "1500ms"
keepalive = "0s"
request_max_retries = 2
"#,
    );
    assert_eq!(upstream.wire_apis, [WireApi::Chat, WireApi::Responses]);
    let own = CredentialSource::Own {
        header: HeaderKind::Named("api-key".to_owned()),
        from: SecretPlace::Env("KEY".to_owned()),
    };
    assert_eq!(upstream.credential, own);
    let azure = Dialect::named("azure").unwrap();
    assert!(azure.images);
    assert_eq!(
        upstream.dialect,
        Dialect {
            images: false,
            ..*azure
        }
    );
    assert!(upstream.strict_translation);
    assert_eq!(upstream.forward_client_headers, Some(false));
    assert!(upstream.shared_ids);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        upstream.query_params,
        [pair("a b", "c&d"), pair("api-version", "preview")]
    );
    assert_eq!(upstream.http_headers, [pair("x-title", "team")]);
    assert_eq!(
        upstream.request_encodings,
        [RequestEncoding::Zstd, RequestEncoding::Br]
    );
    assert_eq!(upstream.connect_timeout, Duration::from_secs(1));
    assert_eq!(upstream.headers_timeout, Duration::from_secs(120));
    assert_eq!(upstream.stream_idle_timeout, Duration::from_millis(1500));
    assert_eq!(upstream.keepalive, None);
    assert_eq!(upstream.request_max_retries, 2);
}

#[test]
fn credentials_are_read_in_every_form() {
    let credential = |text: &str| {
        sound(&format!(
            "[u]\nbase_url = \"https://u.example/v1\"\ncredential = {text}\n"
        ))
        .credential
    };
    let own = |header, from| CredentialSource::Own { header, from };
    assert_eq!(credential("\"caller\""), CredentialSource::Caller);
    assert_eq!(credential("\"none\""), CredentialSource::None);
    assert_eq!(
        credential("{ env = \"K\" }"),
        own(HeaderKind::Bearer, SecretPlace::Env("K".to_owned()))
    );
    assert_eq!(
        credential("{ file = \"k\" }"),
        own(HeaderKind::Bearer, SecretPlace::File("k".to_owned()))
    );
    assert_eq!(
        credential("{ header = \"Authorization\", file = \"k\" }"),
        own(HeaderKind::Bearer, SecretPlace::File("k".to_owned()))
    );
}

#[test]
fn a_secret_in_the_file_is_not_repeated_in_the_message() {
    let (_, problems) =
        compile("[u]\nbase_url = \"https://u.example/v1\"\ncredential = \"sk-secret\"\n");
    assert_eq!(problems.len(), 1);
    assert!(!format!("{problems:?}").contains("sk-secret"));
}

#[test]
fn the_clients_wire_is_kept_where_it_is_spoken() {
    use WireApi::{Chat, Responses};
    let speaking = |wire_apis: Vec<WireApi>| Upstream {
        wire_apis,
        ..sound("[u]\nbase_url = \"https://u.example/v1\"\n")
    };
    for (spoken, client, responses_only, chosen) in [
        (vec![Responses, Chat], Responses, false, Responses),
        (vec![Responses, Chat], Chat, false, Chat),
        (vec![Responses, Chat], Chat, true, Responses),
        (vec![Chat, Responses], Chat, true, Responses),
        (vec![Chat], Responses, false, Chat),
        (vec![Chat], Chat, true, Chat),
        (vec![Responses], Chat, false, Responses),
    ] {
        assert_eq!(
            speaking(spoken.clone()).choose_wire(client, responses_only),
            chosen,
            "{spoken:?} {client}"
        );
    }
}

#[test]
fn origins_are_scheme_host_and_port() {
    for (url, origin) in [
        ("https://u.example/v1", "https://u.example"),
        ("https://u.example:8443/v1/x", "https://u.example:8443"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
    ] {
        assert_eq!(
            sound(&format!("[u]\nbase_url = \"{url}\"\n")).origin(),
            origin
        );
    }
}

#[test]
fn an_upstream_that_speaks_chat_alone_is_a_compatible_one_unless_it_is_named() {
    let dialect = |lines: &str| {
        sound(&format!(
            "[u]\nbase_url = \"https://u.example/v1\"\n{lines}\n"
        ))
        .dialect
    };
    let named = |name: &str| *Dialect::named(name).unwrap();
    assert_eq!(dialect("wire_api = \"chat\""), named("compatible"));
    assert_eq!(
        dialect("wire_api = \"chat\"\ndialect = \"mistral\""),
        named("mistral")
    );
    assert_eq!(
        dialect("wire_api = [\"chat\", \"responses\"]"),
        Dialect::OPENAI
    );
}
