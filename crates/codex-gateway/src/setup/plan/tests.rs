use super::*;

const URL: &str = "http://127.0.0.1:8787/v1";

fn wish(sign_in: SignIn) -> Wish {
    Wish {
        base_url: URL.to_owned(),
        sign_in,
        provider: None,
        key: false,
        catalog: false,
    }
}

/// The changes as `path = value`.
fn planned(file: &str, wish: &Wish) -> Result<Vec<String>, String> {
    let plan = plan(&toml::from_str(file).unwrap(), &toml::Table::new(), wish)?;
    let lines = plan.changes.into_iter().flat_map(|change| match change {
        Change::Set { path, value, .. } => vec![format!("{} = {value}", path.join("."))],
        Change::Table { path, values } => {
            let head = format!("[{}]", path.join("."));
            let lines = values
                .into_iter()
                .map(|(key, value)| format!("{key} = {value}"));
            std::iter::once(head).chain(lines).collect()
        }
    });
    Ok(lines.collect())
}

#[test]
fn the_default_is_one_line_that_keeps_the_provider_and_its_history() {
    for sign_in in [
        SignIn::ChatGpt,
        SignIn::ApiKey,
        SignIn::NotFound,
        SignIn::Unknown,
    ] {
        let expected = [format!("openai_base_url = \"{URL}\"")];
        assert_eq!(planned("model = 'x'", &wish(sign_in)).unwrap(), expected);
    }
}

#[test]
fn another_active_provider_is_not_passed_over_in_silence() {
    let file =
        "model_provider = 'corp'\n[model_providers.corp]\nbase_url = 'https://corp.example/v1'";
    let why = planned(file, &wish(SignIn::ApiKey)).unwrap_err();
    for part in [
        "`corp` (https://corp.example/v1)",
        "--provider corp",
        "--provider openai",
    ] {
        assert!(why.contains(part), "{why}");
    }
    let named = |name: &str| Wish {
        provider: Some(name.to_owned()),
        ..wish(SignIn::ApiKey)
    };
    let kept = [format!("model_providers.corp.base_url = \"{URL}\"")];
    assert_eq!(planned(file, &named("corp")).unwrap(), kept);
    let back = [
        format!("openai_base_url = \"{URL}\""),
        "model_provider = \"openai\"".to_owned(),
    ];
    assert_eq!(planned(file, &named("openai")).unwrap(), back);
    assert!(
        planned(file, &named("ollama"))
            .unwrap_err()
            .contains("another name")
    );
}

#[test]
fn a_gateway_key_goes_beside_the_sign_in_or_in_place_of_a_key() {
    let table = |more: &[&str]| {
        let mut lines = vec![
            "model_provider = \"gateway\"".to_owned(),
            "[model_providers.gateway]".to_owned(),
            "name = \"codex-gateway\"".to_owned(),
            format!("base_url = \"{URL}\""),
            "wire_api = \"responses\"".to_owned(),
        ];
        lines.extend(more.iter().map(|line| (*line).to_owned()));
        lines
    };
    let with_key = |sign_in| Wish {
        key: true,
        ..wish(sign_in)
    };
    let header = "env_http_headers = { \"x-gateway-key\" = \"CODEX_GATEWAY_KEY\" }";
    let beside = table(&["requires_openai_auth = true", header]);
    assert_eq!(planned("", &with_key(SignIn::ChatGpt)).unwrap(), beside);
    let instead = table(&["env_key = \"CODEX_GATEWAY_KEY\""]);
    assert_eq!(planned("", &with_key(SignIn::ApiKey)).unwrap(), instead);
    let with_catalog = Wish {
        catalog: true,
        provider: Some("gateway".to_owned()),
        ..wish(SignIn::ApiKey)
    };
    let catalog = format!("model_catalog_url = \"{URL}/models\"");
    let expected = table(&["requires_openai_auth = true", &catalog]);
    assert_eq!(planned("", &with_catalog).unwrap(), expected);
    let taken = "[model_providers.gateway]\nenv_http_headers = {}";
    assert!(
        planned(taken, &with_key(SignIn::ChatGpt))
            .unwrap_err()
            .contains("by hand")
    );
}

#[test]
fn a_profile_is_judged_with_what_it_is_laid_upon() {
    let below: toml::Table = toml::from_str("model_provider = 'corp'").unwrap();
    let file = toml::Table::new();
    assert!(plan(&file, &below, &wish(SignIn::ApiKey)).is_err());
    let own: toml::Table = toml::from_str("model_provider = 'openai'").unwrap();
    assert!(plan(&own, &below, &wish(SignIn::ApiKey)).is_ok());
}
