use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

fn kind(pairs: &[(&str, &str)]) -> Option<RequestKind> {
    TurnMetadata::read(&headers(pairs), None).request_kind
}

#[test]
fn a_turn_is_read_from_headers_and_body() {
    let metadata = r#"{"session_id":"s","thread_id":"t","agent_name":"/root","turn_id":"u","request_kind":"turn","root_turn_id":"r","thread_source":"user","parent_thread_id":7,"workspaces":{"/home/me/shop":{"associated_remote_urls":{"mirror":"git@gitlab.example:acme/shop.git","origin":"https://github.com/acme/shop.git"},"latest_git_commit_hash":"b9602482787b4e76328c47df8fd69e383667ce64","has_changes":true}}}"#;
    let expected = TurnMetadata {
        session_id: Some("s".to_owned()),
        thread_id: Some("t".to_owned()),
        turn_id: Some("u".to_owned()),
        root_turn_id: Some("r".to_owned()),
        parent_thread_id: None,
        repo: Some("github.com/acme/shop".to_owned()),
        commit: Some("b9602482787b4e76328c47df8fd69e383667ce64".to_owned()),
        has_workspaces: true,
        request_kind: Some(RequestKind::Turn),
    };
    assert_eq!(TurnMetadata::parse(metadata), Some(expected.clone()));
    assert_eq!(
        TurnMetadata::read(&headers(&[("x-codex-turn-metadata", metadata)]), None),
        expected
    );
    let body =
        serde_json::json!({ "client_metadata": { "x-codex-turn-metadata": metadata } }).to_string();
    let body = crate::request::scan(body.as_bytes())
        .unwrap()
        .client_metadata;
    assert_eq!(
        TurnMetadata::read(&HeaderMap::new(), body.as_ref()),
        expected
    );
    let body = r#"{"client_metadata":{"session_id":"s","turn_id":""}}"#;
    let body = crate::request::scan(body.as_bytes())
        .unwrap()
        .client_metadata;
    let turn = TurnMetadata::read(&headers(&[("thread-id", "h")]), body.as_ref());
    assert_eq!(
        (
            turn.session_id.as_deref(),
            turn.thread_id.as_deref(),
            turn.turn_id
        ),
        (Some("s"), Some("h"), None)
    );
}

#[test]
fn both_spellings_of_a_header_are_known() {
    for name in [
        "session-id",
        "session_id",
        "conversation_id",
        "conversation-id",
    ] {
        assert_eq!(
            TurnMetadata::read(&headers(&[(name, "s")]), None)
                .session_id
                .as_deref(),
            Some("s"),
            "{name}"
        );
    }
    for name in ["thread-id", "thread_id"] {
        assert_eq!(
            TurnMetadata::read(&headers(&[(name, "t")]), None)
                .thread_id
                .as_deref(),
            Some("t"),
            "{name}"
        );
    }
    assert_eq!(
        TurnMetadata::read(&HeaderMap::new(), None),
        TurnMetadata::default()
    );
}

#[test]
fn the_kind_follows_the_most_telling_word() {
    let metadata = |json: &str| kind(&[("x-codex-turn-metadata", json)]);
    for (json, expected) in [
        (
            r#"{"request_kind":"turn","thread_source":"user","agent_name":"/root"}"#,
            Some(RequestKind::Turn),
        ),
        (
            r#"{"request_kind":"prewarm","thread_source":"user"}"#,
            Some(RequestKind::Prewarm),
        ),
        (
            r#"{"request_kind":"compaction","compaction":{"trigger":"auto"}}"#,
            Some(RequestKind::Compaction),
        ),
        (
            r#"{"compaction":{"trigger":"auto"}}"#,
            Some(RequestKind::Compaction),
        ),
        (
            r#"{"request_kind":"turn","thread_source":"subagent"}"#,
            Some(RequestKind::Subagent),
        ),
        (
            r#"{"request_kind":"turn","agent_name":"/root/worker"}"#,
            Some(RequestKind::Subagent),
        ),
        (
            r#"{"request_kind":"turn","thread_source":"memory_consolidation"}"#,
            Some(RequestKind::Memory),
        ),
        (r#"{"request_kind":"dream"}"#, Some(RequestKind::Other)),
        (r#"{"thread_source":"user"}"#, Some(RequestKind::Turn)),
        ("{}", None),
        ("[", None),
    ] {
        assert_eq!(metadata(json), expected, "{json}");
    }
    for (label, expected) in [
        ("review", RequestKind::Review),
        ("compact", RequestKind::Compaction),
        ("memory_consolidation", RequestKind::Memory),
        ("collab_spawn", RequestKind::Subagent),
        ("anything", RequestKind::Subagent),
    ] {
        let turn = ("x-codex-turn-metadata", r#"{"request_kind":"turn"}"#);
        assert_eq!(
            kind(&[("x-openai-subagent", label), turn]),
            Some(expected),
            "{label}"
        );
    }
    assert_eq!(
        kind(&[("x-openai-memgen-request", "true")]),
        Some(RequestKind::Memory)
    );
}

#[test]
fn every_limit_family_is_read_from_headers() {
    let limits = PlanLimits::from_headers(&headers(&[
        ("x-codex-primary-used-percent", "12.5"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", "1795211462"),
        ("x-codex-secondary-used-percent", "40"),
        ("x-codex-secondary-reset-after-seconds", "60"),
        ("x-codex-other-primary-used-percent", "1"),
        ("x-codex-other-limit-name", "Other"),
        ("x-bad-primary-used-percent", "NaN"),
        ("x-codex-credits-has-credits", "True"),
        ("x-codex-credits-balance", "3.50"),
        ("x-codex-plan-type", "plus"),
    ]))
    .unwrap();
    let window = |slot, used_percent| PlanWindow {
        slot,
        used_percent,
        window_minutes: None,
        resets_at: None,
        resets_in_seconds: None,
    };
    assert_eq!(
        limits,
        PlanLimits {
            plan: Some("plus".to_owned()),
            limits: vec![
                PlanLimit {
                    name: "codex".to_owned(),
                    label: None,
                    windows: vec![
                        PlanWindow {
                            window_minutes: Some(300),
                            resets_at: Some(1_795_211_462),
                            ..window(WindowSlot::Primary, 12.5)
                        },
                        PlanWindow {
                            resets_in_seconds: Some(60),
                            ..window(WindowSlot::Secondary, 40.0)
                        },
                    ],
                },
                PlanLimit {
                    name: "codex-other".to_owned(),
                    label: Some("Other".to_owned()),
                    windows: vec![window(WindowSlot::Primary, 1.0)],
                },
            ],
            credits: Some(PlanCredits {
                has_credits: true,
                unlimited: false,
                balance: Some("3.50".to_owned())
            }),
        }
    );
    assert_eq!(
        PlanLimits::from_headers(&headers(&[("x-request-id", "1")])),
        None
    );
}

#[test]
fn a_limit_is_read_from_an_event() {
    let event = br#"{"type":"codex.rate_limits","plan_type":"pro","rate_limits":{"primary":{"used_percent":7,"window_minutes":300,"reset_at":9},"secondary":null},"credits":{"has_credits":false,"unlimited":true,"balance":null},"metered_limit_name":"codex_x","limit_name":"X"}"#;
    let limits = PlanLimits::from_event(event).unwrap();
    assert_eq!(
        (limits.plan.as_deref(), limits.limits.len()),
        (Some("pro"), 1)
    );
    assert_eq!(
        (
            limits.limits[0].name.as_str(),
            limits.limits[0].label.as_deref()
        ),
        ("codex_x", Some("X"))
    );
    assert_eq!(limits.limits[0].windows[0].resets_at, Some(9));
    assert_eq!(
        limits.credits,
        Some(PlanCredits {
            has_credits: false,
            unlimited: true,
            balance: None
        })
    );
    for other in [&b"{}"[..], b"[", br#"{"type":"codex.rate_limits"}"#] {
        assert_eq!(PlanLimits::from_event(other), None);
    }
}

#[test]
fn claims_are_read_from_a_token() {
    let payload = r#"{"exp":1,"https://api.openai.com/auth":{"chatgpt_account_id":"acct","chatgpt_plan_type":"plus","user_id":"user","chatgpt_account_is_fedramp":true}}"#;
    let expected = ChatgptClaims {
        account_id: Some("acct".to_owned()),
        plan: Some("plus".to_owned()),
        user_id: Some("user".to_owned()),
        is_fedramp: true,
    };
    for payload in [URL_SAFE_NO_PAD.encode(payload), URL_SAFE.encode(payload)] {
        assert_eq!(
            ChatgptClaims::from_jwt(&format!("h.{payload}.s")),
            Some(expected.clone())
        );
        assert_eq!(ChatgptClaims::from_jwt(&format!("h.{payload}")), None);
        assert_eq!(ChatgptClaims::from_jwt(&format!("h.{payload}.s.x")), None);
    }
    let encode = |payload: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload));
    assert_eq!(ChatgptClaims::from_jwt(&encode(r#"{"sub":"x"}"#)), None);
    assert_eq!(ChatgptClaims::from_jwt(&encode("{")), None);
    assert_eq!(
        ChatgptClaims::from_jwt(&encode(&format!("{payload}{}", " ".repeat(40_000)))),
        None
    );
    for token in ["", "sk-abc", "a.b.c", "é.é.é"] {
        assert_eq!(ChatgptClaims::from_jwt(token), None, "{token}");
    }
}

#[test]
fn a_remote_becomes_host_and_path_and_nothing_else() {
    let shop = Some("github.com/acme/shop");
    for (remote, expected) in [
        ("https://github.com/acme/shop.git", shop),
        ("https://github.com/acme/shop", shop),
        ("https://github.com/acme/shop.git/", shop),
        (
            "HTTPS://user:s3cret@GitHub.com:443/acme/shop.git?token=x#y",
            shop,
        ),
        ("ssh://git@github.com:22/acme/shop.git", shop),
        ("git@github.com:acme/shop.git", shop),
        ("github.com:/acme/shop.git", shop),
        ("git://github.com/acme/shop", shop),
        ("https://git.example/a/b/c.git", Some("git.example/a/b/c")),
        ("ssh://[::1]:2222/acme/shop", Some("[::1]/acme/shop")),
        // Local paths, and what could hide a credential.
        ("/home/me/shop", None),
        ("../shop", None),
        ("./a:b", None),
        ("C:\\work\\shop", None),
        ("C:/work/shop", None),
        ("file:///home/me/shop", None),
        ("ext::ssh x", None),
        ("https://user:pa/ss@github.com/acme/shop", None),
        ("https://github.com/../etc", None),
        ("https://github.com/", None),
        ("https://github.com", None),
        ("https:///acme/shop", None),
        ("", None),
    ] {
        assert_eq!(repository(remote).as_deref(), expected, "{remote}");
    }
    assert_eq!(repository(&format!("https://h/{}", "x".repeat(300))), None);
}

#[test]
fn the_workspace_with_a_remote_names_the_repository() {
    let read = |json: &str| {
        let turn = TurnMetadata::parse(json).unwrap();
        (turn.repo, turn.commit, turn.has_workspaces)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        read(
            r#"{"workspaces":{"/a":{"latest_git_commit_hash":"ABCDEF0"},"/b":{"associated_remote_urls":{"origin":"/srv/git","zeta":"https://h/z"},"latest_git_commit_hash":"1234567"}}}"#
        ),
        (text("h/z"), text("1234567"), true)
    );
    assert_eq!(
        read(r#"{"workspaces":{"/a":{"latest_git_commit_hash":"ABCDEF0"}}}"#),
        (None, text("abcdef0"), true)
    );
    assert_eq!(
        read(
            r#"{"workspaces":{"/a":{"latest_git_commit_hash":"not a hash","associated_remote_urls":7}}}"#
        ),
        (None, None, true)
    );
    assert_eq!(read(r#"{"workspaces":7}"#), (None, None, false));
}

#[test]
fn metadata_without_its_workspaces_says_the_rest() {
    assert_eq!(
        without_workspaces(r#"{"session_id":"s","workspaces":{"/home/me":{}}}"#).as_deref(),
        Some(r#"{"session_id":"s"}"#)
    );
    for nothing in [r#"{"session_id":"s"}"#, "[", "7"] {
        assert_eq!(without_workspaces(nothing), None, "{nothing}");
    }
}
