//! Each upstream of a route: name, connection, TLS, protocol, and one request without a credential,
//! which costs nothing.

use std::time::Duration;

use gateway_policy::Upstream;

use super::network::{NETWORK, chain};
use super::report::{Check, Report};
use crate::clock::Clock;
use crate::config::Settings;

/// From here on, a clock is wrong: tokens and leases go by it.
const MOST_SKEW: Duration = Duration::from_secs(30);

/// Asks each upstream, and compares the clock with theirs.
pub(super) async fn examine(settings: &Settings, clock: &Clock, report: &mut Report) {
    let client = reqwest::Client::builder()
        .timeout(NETWORK)
        .connect_timeout(NETWORK)
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            let fix = "install the root certificates of the system (package ca-certificates)";
            report.add(Check::failed("upstreams", chain(&error), fix));
            return;
        }
    };
    let asked = settings
        .policy
        .upstreams()
        .map(|upstream| ask(&client, upstream, clock));
    let mut skew: Option<(i64, String)> = None;
    for (check, theirs) in futures_util::future::join_all(asked).await {
        if let Some(theirs) = theirs.filter(|theirs| {
            skew.as_ref()
                .is_none_or(|(worst, _)| theirs.abs() < worst.abs())
        }) {
            skew = Some((theirs, check.name.clone()));
        }
        report.add(check);
    }
    report.add(clock_check(skew));
}

fn clock_check(skew: Option<(i64, String)>) -> Check {
    let most = i64::try_from(MOST_SKEW.as_secs()).unwrap_or(i64::MAX);
    match skew {
        None => Check::skipped("clock", "no upstream told the time"),
        Some((seconds, _)) if seconds.abs() <= most => {
            Check::ok("clock", "agrees with the upstreams'")
        }
        Some((seconds, name)) => Check::warning(
            "clock",
            format!("differs by {seconds} s from that of {name}"),
            "synchronise it (NTP): budgets, leases and sign-ins go by it",
        ),
    }
}

/// The check, and by how many seconds the upstream's clock is ahead.
async fn ask(client: &reqwest::Client, upstream: &Upstream, clock: &Clock) -> (Check, Option<i64>) {
    let name = format!("upstream.{}", upstream.name);
    let url = format!("{}/models", upstream.base_url);
    let Ok(parsed) = reqwest::Url::parse(&url) else {
        let fix = "correct `base_url`";
        return (
            Check::failed(name, format!("`{url}` is not a valid URL"), fix),
            None,
        );
    };
    let begun = clock.instant();
    let answer = client.get(parsed.clone()).send().await;
    match answer {
        Ok(answer) => {
            let theirs = answer.headers().get(http::header::DATE);
            let theirs = theirs.and_then(|date| date.to_str().ok()).and_then(seconds);
            let skew = theirs.map(|theirs| theirs - clock.now().as_second());
            let took = clock.instant().saturating_duration_since(begun).as_millis();
            let message = format!(
                "{} answers over {:?} in {took} ms ({} without a credential)",
                upstream.origin(),
                answer.version(),
                answer.status().as_u16()
            );
            (Check::ok(name, message), skew)
        }
        Err(error) => (unreachable(name, &parsed, &error).await, None),
    }
}

/// Finds out how far it got.
async fn unreachable(name: String, url: &reqwest::Url, error: &reqwest::Error) -> Check {
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let looked_up =
        tokio::time::timeout(NETWORK, tokio::net::lookup_host((host.as_str(), port))).await;
    let addresses: Vec<_> = match looked_up {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(why)) => {
            let message = format!("the name {host} is not found (DNS: {why})");
            let fix = "check the network and `base_url`; behind a proxy, set HTTPS_PROXY";
            return Check::failed(name, message, fix);
        }
        Err(_) => Vec::new(),
    };
    let Some(address) = addresses.first().copied() else {
        let message = format!(
            "the name {host} has no address within {} s",
            NETWORK.as_secs()
        );
        return Check::failed(name, message, "check the network and the DNS server");
    };
    match tokio::time::timeout(NETWORK, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_)) => Check::failed(
            name,
            format!(
                "{host} accepts connections, but the request fails: {}",
                chain(error)
            ),
            "for a certificate error, add the root certificate of your proxy to the system's; else \
             see the upstream's status page",
        ),
        Ok(Err(why)) => Check::failed(
            name,
            format!("{address} ({host}) refuses connections: {why}"),
            "check that the upstream runs and that `base_url` has the right port",
        ),
        Err(_) => Check::failed(
            name,
            format!(
                "{address} ({host}) does not answer within {} s",
                NETWORK.as_secs()
            ),
            "a firewall may be in between; behind a proxy, set HTTPS_PROXY",
        ),
    }
}

/// The moment of a `date` header, in seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    let parsed = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(parsed.timestamp().as_second())
}
