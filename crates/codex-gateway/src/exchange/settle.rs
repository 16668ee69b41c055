//! Step 9: the record of an exchange is put together, once, and recorded. Nothing here can fail the
//! exchange.

use std::time::Duration;

use gateway_ledger::{Cost, CostSource, EntryResult, Outcome, UsageSource};
use gateway_policy::price::{Pricing, billed_tier};
use gateway_wire::Usage;
use gateway_wire::translate::LossKind;
use gateway_wire::usage::UsageReading;

use crate::config::active::ActiveConfig;
use crate::error::ErrorCode;
use crate::exchange::ownership;
use crate::record::{AnswerFacts, End, Ending, Exchange, ExchangeRecord};
use crate::recorder::Recorder;

/// Bytes of JSON or characters of text per token, for estimates.
const BYTES_PER_TOKEN: u64 = 4;

/// Records how an exchange ended. Returns when the ledger has the entry as durably as configured.
pub async fn settle(
    recorder: &Recorder,
    config: &ActiveConfig,
    exchange: &mut Exchange,
    ending: Ending,
) {
    ownership::remember(&recorder.ledger, exchange, &ending.answer.summary).await;
    let record = assemble(recorder, config, exchange, ending);
    recorder.record(&record, &config.labels).await;
    exchange.is_settled = true;
}

/// Settles an exchange that was cut off before it had an answer.
pub async fn cut_off(
    recorder: &Recorder,
    config: &ActiveConfig,
    exchange: &mut Exchange,
    end: End,
) {
    exchange.note_open_call();
    settle(recorder, config, exchange, Ending::without_answer(end)).await;
}

/// Settles an exchange that panicked, as far as it had come.
pub async fn panicked(recorder: &Recorder, config: &ActiveConfig, exchange: &mut Exchange) {
    if exchange.is_settled {
        return;
    }
    exchange.note_open_call();
    let ending = Ending {
        status: Some(500),
        error: Some("panic"),
        ..Ending::without_answer(End::Panicked)
    };
    settle(recorder, config, exchange, ending).await;
}

fn assemble<'a>(
    recorder: &Recorder,
    config: &ActiveConfig,
    exchange: &'a Exchange,
    ending: Ending,
) -> ExchangeRecord<'a> {
    let outcome = ending.outcome(&exchange.calls);
    let refusal = exchange.attempt.as_ref().and_then(|it| it.failure);
    let error = ending.failure(refusal).map(str::to_owned);
    let answer = ending.answer;
    let is_late = ending.error == Some(ErrorCode::UpstreamTimeout.as_str());
    let is_bought = match outcome {
        Outcome::Rejected => false,
        Outcome::Failed if ending.end == End::Answered => false,
        // An answer that could not be passed on, or that took too long.
        Outcome::Failed => exchange.has_answer() || (is_late && exchange.may_have_worked()),
        Outcome::Completed
        | Outcome::ClientGone
        | Outcome::UpstreamTruncated
        | Outcome::Interrupted => exchange.may_have_worked(),
    };
    let (usage_source, usage) = usage(exchange, outcome, &answer, is_bought);
    let service_tier = served_tier(exchange, &answer);
    let cost = cost(config, exchange, &answer, usage, service_tier.as_deref());
    let duration = recorder
        .clock
        .instant()
        .saturating_duration_since(exchange.arrival.instant);
    ExchangeRecord {
        exchange,
        // What an attempt before the last one said is in the record of its call.
        error: error.filter(|_| outcome != Outcome::Completed),
        result: EntryResult {
            finished_at: recorder.clock.now(),
            status: ending.status,
            outcome,
            usage_source,
            usage,
            tool_calls: answer
                .summary
                .hosted_tools
                .billed()
                .map(|(tool, count)| (tool.as_str().to_owned(), count))
                .collect(),
            service_tier,
            cost,
            ttft_ms: answer.first_token.map(millis),
            duration_ms: millis(duration),
            upstream_response_id: answer.summary.response_id.clone(),
            instance: recorder.instance.clone(),
            corrects: None,
        },
        duration,
        answer,
    }
}

/// The token counts: the upstream's own, else an estimate where it worked or may have worked.
/// `is_bought`: as far as a budget is concerned, it did.
fn usage(
    exchange: &Exchange,
    outcome: Outcome,
    answer: &AnswerFacts,
    is_bought: bool,
) -> (UsageSource, Option<Usage>) {
    let unknown = (UsageSource::Unknown, None);
    if exchange.arrival.endpoint.is_free() {
        return unknown;
    }
    let is_refused = match answer.summary.usage {
        UsageReading::Reported(usage) => return (UsageSource::Reported, Some(usage)),
        UsageReading::Missing => false,
        UsageReading::Refused(error) => {
            tracing::warn!(
                request.id = %exchange.arrival.id, %error,
                "the upstream's token counts are impossible and were not recorded"
            );
            true
        }
    };
    let seen = seen_usage(exchange, answer);
    let estimate = match exchange.set_aside {
        Some(set_aside) if is_bought => at_least(seen, set_aside),
        // An upstream that says that it failed is owed what it had written.
        Some(_) => seen.filter(|seen| exchange.has_answer() && seen.output() > 0),
        None => {
            let is_cut_off = match outcome {
                Outcome::ClientGone | Outcome::UpstreamTruncated | Outcome::Interrupted => true,
                Outcome::Completed => is_refused,
                Outcome::Failed | Outcome::Rejected => false,
            };
            seen.filter(|_| is_cut_off && exchange.was_answered())
        }
    };
    estimate.map_or(unknown, |usage| (UsageSource::Estimated, Some(usage)))
}

/// The tokens of what was seen of an exchange.
fn seen_usage(exchange: &Exchange, answer: &AnswerFacts) -> Option<Usage> {
    let input = exchange.request_bytes() / BYTES_PER_TOKEN;
    let output = answer.summary.output_chars.div_ceil(BYTES_PER_TOKEN);
    Usage::new(input, 0, 0, output, 0).ok()
}

/// What a budget is charged when the upstream does not say what it used: what was set aside, or what
/// was seen if that is more. Reasoning cannot be seen; and an answer that costs a budget nothing
/// could be bought without end.
fn at_least(seen: Option<Usage>, set_aside: Usage) -> Option<Usage> {
    let seen = seen.unwrap_or_default();
    let input = seen.input().max(set_aside.input());
    let output = seen.output().max(set_aside.output());
    Usage::new(input, 0, 0, output, 0).ok()
}

/// The service tier that served. One that translation left out was never asked for at the upstream:
/// what it served is its default, and is priced so.
fn served_tier(exchange: &Exchange, answer: &AnswerFacts) -> Option<String> {
    let of_request = exchange.attempt.iter().flat_map(|it| &it.losses);
    let mut losses = of_request.chain(&answer.losses);
    let is_left_out = losses.any(|loss| loss.kind == LossKind::ServiceTier);
    let reported = answer.summary.service_tier.clone();
    let is_default = reported.is_none() && is_left_out && !exchange.calls.is_empty();
    reported.or_else(|| is_default.then(|| "default".to_owned()))
}

/// What it cost: the upstream's own figure, else its usage by the price table.
fn cost(
    config: &ActiveConfig,
    exchange: &Exchange,
    answer: &AnswerFacts,
    usage: Option<Usage>,
    served: Option<&str>,
) -> Cost {
    let reported = answer.summary.provider_cost_nanos;
    if let Some(nanos) = reported.filter(|_| !exchange.arrival.endpoint.is_free()) {
        return Cost {
            source: CostSource::ProviderReported,
            nanos: Some(nanos),
            ..Cost::UNPRICED
        };
    }
    let (Some(usage), Some(model)) = (usage, exchange.model_served()) else {
        return Cost::UNPRICED;
    };
    let requested = exchange.request.service_tier.as_deref();
    let tier = billed_tier(exchange.billing(), requested, served);
    // Tier and day are chosen as when recorded usage is priced again, so that nothing differs
    // without a new price.
    let zone = config.settings.storage.time_zone.clone();
    let day = exchange.arrival.at.to_zoned(zone).date();
    let prices = &config.settings.prices.table;
    let tools = answer.summary.hosted_tools.billed();
    let tools = tools.map(|(tool, count)| (tool.as_str(), count));
    match prices.cost_with_tools(model, usage, tools, tier, day) {
        Pricing::Priced {
            nanos, estimated, ..
        } => Cost {
            price_version: Some(prices.version().to_owned()),
            source: CostSource::Calculated,
            nanos: Some(nanos),
            is_estimated: estimated,
        },
        Pricing::Unpriced { .. } => Cost::UNPRICED,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gateway_ledger::{Ledger, RepriceQuery};
    use gateway_policy::{AuthRoute, ModelId};

    use super::*;
    use crate::exchange::proxy::Proxy;
    use crate::identity::caller::Caller;
    use crate::record::AttemptFacts;
    use crate::testing::{Process, chatgpt_caller, exchange};

    #[tokio::test]
    async fn what_was_just_recorded_is_not_repriced() {
        let process = Process::start("").await;
        let proxy = process.part::<Arc<Proxy>>();
        let config = proxy.config.load_full();
        for (route, tier) in [
            (AuthRoute::Chatgpt, Some("priority")),
            (AuthRoute::ApiKey, Some("priority")),
            (AuthRoute::ApiKey, None),
        ] {
            let caller = Caller {
                route,
                ..chatgpt_caller()
            };
            let mut exchange = exchange(&proxy.clock);
            let upstream = config.settings.policy.route_upstream(route).unwrap();
            exchange.attempt = Some(AttemptFacts {
                model: ModelId::new("gpt-5.5").ok(),
                ..AttemptFacts::at(upstream, &caller)
            });
            exchange.caller = Some(Arc::new(caller));
            exchange.request.service_tier = tier.map(str::to_owned);
            let usage = Usage::new(300_000, 200_000, 0, 4_000, 0).unwrap();
            let mut ending = Ending::without_answer(End::Answered);
            ending.status = Some(200);
            ending.answer.summary.usage = UsageReading::Reported(usage);
            settle(&proxy.recorder, &config, &mut exchange, ending).await;
            assert!(exchange.is_settled);
        }
        let prices = &config.settings.prices.table;
        let query = RepriceQuery::default();
        let ledger = process.part::<Ledger>();
        let rows = ledger.reprice(&query, prices, false).await.unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.requests).sum::<i64>(), 3);
        assert!(rows.iter().all(|row| row.changed == 0), "{rows:?}");
        process.stop().await;
    }
}
