use super::*;

fn now() -> Timestamp {
    "2026-11-20T00:00:00Z".parse().unwrap()
}

fn read(change: impl FnOnce(&mut KeySpec)) -> Result<NewKey, String> {
    let mut spec = KeySpec {
        name: "ci".to_owned(),
        ..KeySpec::default()
    };
    change(&mut spec);
    spec.read(now()).map_err(|error| error.to_string())
}

#[test]
fn words_become_a_key() {
    let key = read(|spec| {
        spec.expires = Some("90d".to_owned());
        spec.routes = vec!["gateway_key".to_owned()];
        spec.models = vec!["gpt-5*".to_owned()];
        spec.requests_per_minute = Some(60);
    })
    .unwrap();
    assert_eq!(
        key.expires_at,
        Some("2027-02-18T00:00:00Z".parse().unwrap())
    );
    assert_eq!(key.routes, [AuthRoute::GatewayKey]);
    assert_eq!(key.limits.requests_per_minute, Some(60));
    let until = read(|spec| spec.expires = Some("2027-01-31T00:00:00Z".to_owned())).unwrap();
    assert_eq!(
        until.expires_at,
        Some("2027-01-31T00:00:00Z".parse().unwrap())
    );
}

#[test]
fn what_is_wrong_is_said() {
    for (result, expected) in [
        (read(|spec| spec.name = "  ".to_owned()), "needs a name"),
        (
            read(|spec| spec.name = "a\nb".to_owned()),
            "control characters",
        ),
        (
            read(|spec| spec.expires = Some("2020-01-01T00:00:00Z".to_owned())),
            "expiry",
        ),
        (
            read(|spec| spec.expires = Some("soon".to_owned())),
            "expiry `soon`",
        ),
        (
            read(|spec| spec.routes = vec!["x".to_owned()]),
            "`x` is not one of the auth routes",
        ),
        (
            read(|spec| spec.models = vec!["gpt-[".to_owned()]),
            "`gpt-[` is not a valid glob",
        ),
        (read(|spec| spec.concurrency = Some(0)), "at least 1"),
        (
            read(|spec| {
                spec.budgets = vec![BudgetSpec {
                    amount: "5/year".to_owned(),
                    soft: None,
                    billing: None,
                }];
            }),
            "budget `5/year`",
        ),
    ] {
        let message = result.unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
}
