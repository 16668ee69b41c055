//! Reads a price file and reports everything that is wrong with it. Decides no price.

use std::collections::BTreeMap;

use gateway_wire::hosted_tools::BilledTool;
use jiff::civil::Date;
use serde_spanned::Spanned;

use super::family::Family;
use super::fee::Fee;
use super::layer::Layer;
use super::rate::{Rate, RateError, Rates};
use super::row::{PriceRow, Tier, TierRates};
use super::spec::{FamilySpec, FeeSpec, FileSpec, LongSpec, RatesSpec, RowSpec, UnpricedSpec};
use crate::lenient_parse;
use crate::model_id::ModelId;
use crate::model_pattern::ModelPattern;
use crate::problem::{Problem, one_of};

/// The layer of a price file, unless it has a problem.
pub(super) fn layer(text: &str) -> (Option<Layer>, Vec<Problem>) {
    let (spec, mut problems) = lenient_parse::parse::<FileSpec>(text, |_, _| ());
    let Some(spec) = spec else {
        return (None, problems);
    };
    let mut layer = Layer::default();
    for row in spec.price {
        let span = row.model.span();
        let Some(row) = compile_row(row, &mut problems) else {
            continue;
        };
        for model in layer.add_row(row) {
            problems.push(
                Problem::error(
                    span.clone(),
                    format!("`{model}` has two prices for the same day"),
                )
                .with_hint("give the rows `from` and `until` dates that do not overlap".to_owned()),
            );
        }
    }
    for entry in spec.unpriced {
        add_unpriced(entry, &mut layer, &mut problems);
    }
    for (alias, target) in spec.aliases {
        add_alias(&alias, &target, &mut layer, &mut problems);
    }
    for family in spec.family {
        add_family(family, &mut layer, &mut problems);
    }
    for fee in spec.fee {
        layer.fees.extend(compile_fee(fee, &mut problems));
    }
    layer.finish();
    (problems.is_empty().then_some(layer), problems)
}

fn add_unpriced(spec: UnpricedSpec, layer: &mut Layer, problems: &mut Vec<Problem>) {
    for model in spec.models {
        let Some(id) = model_id(&model, problems) else {
            continue;
        };
        let folded = id.folded().to_owned();
        if layer.exact.contains_key(&folded) {
            let message = format!("`{id}` has a price and is listed as unpriced");
            problems.push(
                Problem::error(model.span(), message).with_hint("keep one of the two".to_owned()),
            );
        } else if layer.unpriced.insert(folded, spec.why.clone()).is_some() {
            problems.push(Problem::error(
                model.span(),
                format!("`{id}` is listed twice"),
            ));
        }
    }
}

fn add_alias(
    alias: &Spanned<String>,
    target: &Spanned<String>,
    layer: &mut Layer,
    problems: &mut Vec<Problem>,
) {
    let (Some(from), Some(to)) = (model_id(alias, problems), model_id(target, problems)) else {
        return;
    };
    if layer.exact.contains_key(from.folded()) {
        let message = format!("`{from}` is an alias and has a price");
        problems.push(
            Problem::error(alias.span(), message).with_hint("keep one of the two".to_owned()),
        );
    }
    let (from, to) = (from.folded().to_owned(), to.folded().to_owned());
    layer.aliases.insert(from, to);
}

fn compile_fee(spec: FeeSpec, problems: &mut Vec<Problem>) -> Option<Fee> {
    let before = problems.len();
    let tool = spec.tool.get_ref();
    if BilledTool::parse(tool).is_none() {
        let words = BilledTool::ALL.iter().map(|tool| tool.as_str());
        problems.push(
            Problem::error(spec.tool.span(), format!("unknown tool `{tool}`"))
                .with_hint(one_of(tool, words)),
        );
    }
    if spec.source.get_ref().trim().is_empty() {
        problems.push(
            Problem::error(spec.source.span(), "`source` is empty")
                .with_hint("name the source of the fee".to_owned()),
        );
    }
    let patterns = spec
        .models
        .iter()
        .filter_map(|text| pattern(text, problems))
        .collect();
    let per_thousand = match Rate::parse(spec.per_thousand.get_ref()) {
        Ok(rate) => Some(rate),
        Err(error) => {
            let text = spec.per_thousand.get_ref();
            let reason = match error {
                RateError::NotDecimal => "not a decimal number",
                RateError::TooPrecise => "more than six decimals",
                RateError::TooLarge => "more than 10000 USD per thousand calls",
                RateError::TooSmall => "less than 0.001 USD per thousand calls",
            };
            problems.push(
                Problem::error(spec.per_thousand.span(), format!("`{text}`: {reason}"))
                    .with_hint("write USD per thousand calls, for example \"10\"".to_owned()),
            );
            None
        }
    };
    Some(Fee {
        tool: spec.tool.into_inner(),
        models: spec.models.into_iter().map(Spanned::into_inner).collect(),
        per_thousand: per_thousand?,
        is_estimated: spec.estimated,
        source: spec.source.into_inner(),
        patterns,
    })
    .filter(|_| problems.len() == before)
}

fn add_family(spec: FamilySpec, layer: &mut Layer, problems: &mut Vec<Problem>) {
    let name = spec.name.get_ref();
    if layer.families.iter().any(|known| known.name == *name) {
        let message = format!("the family `{name}` is listed twice");
        problems.push(Problem::error(spec.name.span(), message));
    }
    let span = spec.models.span();
    let models = spec.models.into_inner();
    if models.is_empty() {
        problems.push(
            Problem::error(span, "`models` is empty")
                .with_hint("name the models of the family by globs".to_owned()),
        );
    }
    let patterns = models
        .iter()
        .filter_map(|text| pattern(text, problems))
        .collect();
    layer.families.push(Family {
        name: spec.name.into_inner(),
        models: models.into_iter().map(Spanned::into_inner).collect(),
        like: spec.like,
        patterns,
    });
}

/// A glob over model ids.
fn pattern(text: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<ModelPattern> {
    let problem = match ModelPattern::new(text.get_ref()) {
        Ok(_) if text.get_ref().trim() != text.get_ref() || text.get_ref().is_empty() => {
            "the model is empty or has leading or trailing white space".to_owned()
        }
        Ok(pattern) => return Some(pattern),
        Err(error) => format!("`{}` is not a glob: {}", text.get_ref(), error.kind()),
    };
    problems.push(Problem::error(text.span(), problem));
    None
}

fn compile_row(spec: RowSpec, problems: &mut Vec<Problem>) -> Option<PriceRow> {
    let before = problems.len();
    let mut patterns = Vec::new();
    for text in std::iter::once(&spec.model).chain(&spec.snapshots) {
        patterns.extend(pattern(text, problems));
    }
    if spec.source.get_ref().trim().is_empty() {
        problems.push(
            Problem::error(spec.source.span(), "`source` is empty")
                .with_hint("name the source of the prices".to_owned()),
        );
    }
    let from = date(spec.from.as_ref(), problems);
    let until = date(spec.until.as_ref(), problems);
    let retires = date(spec.retires.as_ref(), problems);
    if let (Some(first), Some(last), Some(text)) = (from, until, &spec.until)
        && last < first
    {
        problems.push(Problem::error(text.span(), "`until` is before `from`"));
    }
    let long_context_above = spec.long_context.as_ref().map(|long| *long.above.get_ref());
    let tiers = compile_tiers(&spec, problems);
    (problems.len() == before).then(|| PriceRow {
        model: spec.model.into_inner(),
        snapshots: spec
            .snapshots
            .into_iter()
            .map(Spanned::into_inner)
            .collect(),
        from,
        until,
        retires,
        long_context_above,
        tiers,
        source: spec.source.into_inner(),
        verified: spec.verified,
        remarks: spec.remarks,
        patterns,
    })
}

fn compile_tiers(spec: &RowSpec, problems: &mut Vec<Problem>) -> BTreeMap<Tier, TierRates> {
    let mut tiers = BTreeMap::new();
    for (tier, spec) in spec.tiers() {
        if let Some(base) = spec.and_then(|spec| compile_rates(spec, problems)) {
            tiers.insert(tier, TierRates { base, long: None });
        }
    }
    let long = spec.long_context.iter().flat_map(LongSpec::tiers);
    for (tier, spec) in long {
        if let Some(spec) = spec {
            add_long_rates(tier, spec, &mut tiers, problems);
        }
    }
    tiers
}

/// Adds the rates of a tier above the threshold.
fn add_long_rates(
    tier: Tier,
    spec: &Spanned<RatesSpec>,
    tiers: &mut BTreeMap<Tier, TierRates>,
    problems: &mut Vec<Problem>,
) {
    let Some(rates) = compile_rates(spec, problems) else {
        return;
    };
    let (message, hint) = match tiers.get_mut(&tier) {
        Some(own) if own.base.highest(rates) != rates.highest(rates) => (
            format!("the long-context rates of `{tier}` are below its other rates"),
            "check which figure belongs above the threshold",
        ),
        Some(own) => {
            own.long = Some(rates);
            return;
        }
        None => (
            format!("`{tier}` has long-context rates only"),
            "add the tier's rates below the threshold too",
        ),
    };
    problems.push(Problem::error(spec.span(), message).with_hint(hint.to_owned()));
}

fn compile_rates(spec: &Spanned<RatesSpec>, problems: &mut Vec<Problem>) -> Option<Rates> {
    let rates = spec.get_ref();
    let input = rate(&rates.input, problems);
    let output = rate(&rates.output, problems);
    let cached_input = rates.cached_input.as_ref().map(|text| rate(text, problems));
    let cache_write = rates.cache_write.as_ref().map(|text| rate(text, problems));
    let rates = Rates {
        input: input?,
        output: output?,
        cached_input: cached_input.map_or(Some(None), |rate| rate.map(Some))?,
        cache_write: cache_write.map_or(Some(None), |rate| rate.map(Some))?,
    };
    if rates.cached_input() > rates.input {
        problems.push(
            Problem::error(spec.span(), "cached input costs more than input")
                .with_hint("swap the two".to_owned()),
        );
        return None;
    }
    Some(rates)
}

fn rate(text: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<Rate> {
    match Rate::parse(text.get_ref()) {
        Ok(rate) => Some(rate),
        Err(error) => {
            let hint = match error {
                RateError::NotDecimal => {
                    "write USD per million tokens as digits, for example \"0.125\""
                }
                RateError::TooPrecise => "a price per million tokens can have at most six decimals",
                RateError::TooLarge | RateError::TooSmall => {
                    "prices are USD per million tokens; is this one per token, or per thousand?"
                }
            };
            problems.push(
                Problem::error(text.span(), format!("`{}`: {error}", text.get_ref()))
                    .with_hint(hint.to_owned()),
            );
            None
        }
    }
}

fn date(text: Option<&Spanned<String>>, problems: &mut Vec<Problem>) -> Option<Date> {
    let text = text?;
    let date = text.get_ref().parse().ok();
    if date.is_none() {
        let message = format!("`{}` is not a date", text.get_ref());
        problems.push(
            Problem::error(text.span(), message).with_hint("write it as \"2026-11-20\"".to_owned()),
        );
    }
    date
}

fn model_id(text: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<ModelId> {
    match ModelId::new(text.get_ref()) {
        Ok(id) => Some(id),
        Err(error) => {
            problems.push(Problem::error(text.span(), error.to_string()));
            None
        }
    }
}
