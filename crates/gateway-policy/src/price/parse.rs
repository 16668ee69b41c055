//! Reads a price file and reports everything that is wrong with it. Decides no price.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::civil::Date;
use serde_spanned::Spanned;

use super::layer::Layer;
use super::rate::{Rate, RateError, Rates};
use super::row::{PriceRow, Tier, TierRates};
use super::spec::{FileSpec, RatesSpec, RowSpec, UnpricedSpec};
use crate::lenient_parse;
use crate::model_id::{ModelId, ModelPattern};

/// Something wrong in a price file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceProblem {
    /// Byte range in the file.
    pub span: std::ops::Range<usize>,
    /// What is wrong, lower case, no final dot.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

#[derive(Default)]
struct Problems(Vec<PriceProblem>);

impl Problems {
    fn add(&mut self, span: Range<usize>, message: String, hint: Option<&str>) {
        self.0.push(PriceProblem {
            span,
            message,
            hint: hint.map(str::to_owned),
        });
    }
}

pub(super) fn layer(text: &str) -> (Option<Layer>, Vec<PriceProblem>) {
    let (spec, unreadable) = lenient_parse::parse::<FileSpec>(text, |_, _| ());
    let mut problems = Problems::default();
    for problem in unreadable {
        let span = problem.span.unwrap_or(0..0);
        problems.add(span, problem.message, problem.hint.as_deref());
    }
    let Some(spec) = spec else {
        return (None, problems.0);
    };
    let mut layer = Layer::default();
    for row in spec.price {
        let span = row.model.span();
        let Some(row) = compile_row(row, &mut problems) else {
            continue;
        };
        for model in layer.add_row(row) {
            problems.add(
                span.clone(),
                format!("`{model}` has two prices for the same day"),
                Some("give the rows `from` and `until` dates that do not overlap"),
            );
        }
    }
    for entry in spec.unpriced {
        add_unpriced(entry, &mut layer, &mut problems);
    }
    for (alias, target) in spec.aliases {
        add_alias(&alias, &target, &mut layer, &mut problems);
    }
    if problems.0.is_empty() {
        layer.finish();
        (Some(layer), Vec::new())
    } else {
        (None, problems.0)
    }
}

fn add_unpriced(spec: UnpricedSpec, layer: &mut Layer, problems: &mut Problems) {
    for model in spec.models {
        let Some(id) = model_id(&model, problems) else {
            continue;
        };
        let folded = id.folded().to_owned();
        if layer.exact.contains_key(&folded) {
            let message = format!("`{id}` has a price and is listed as unpriced");
            problems.add(model.span(), message, Some("keep one of the two"));
        } else if layer.unpriced.insert(folded, spec.why.clone()).is_some() {
            problems.add(model.span(), format!("`{id}` is listed twice"), None);
        }
    }
}

fn add_alias(
    alias: &Spanned<String>,
    target: &Spanned<String>,
    layer: &mut Layer,
    problems: &mut Problems,
) {
    let (Some(from), Some(to)) = (model_id(alias, problems), model_id(target, problems)) else {
        return;
    };
    if layer.exact.contains_key(from.folded()) {
        let message = format!("`{from}` is an alias and has a price");
        problems.add(alias.span(), message, Some("keep one of the two"));
    }
    let (from, to) = (from.folded().to_owned(), to.folded().to_owned());
    layer.aliases.insert(from, to);
}

fn compile_row(spec: RowSpec, problems: &mut Problems) -> Option<PriceRow> {
    let before = problems.0.len();
    let mut patterns = Vec::new();
    for text in std::iter::once(&spec.model).chain(&spec.snapshots) {
        match ModelPattern::new(text.get_ref()) {
            Ok(_) if text.get_ref().trim() != text.get_ref() || text.get_ref().is_empty() => {
                problems.add(
                    text.span(),
                    "the model is empty or has outer white space".to_owned(),
                    None,
                );
            }
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                let message = format!("`{}` is not a glob: {}", text.get_ref(), error.kind());
                problems.add(text.span(), message, None);
            }
        }
    }
    if spec.source.get_ref().trim().is_empty() {
        problems.add(
            spec.source.span(),
            "`source` is empty".to_owned(),
            Some("say where the figures come from"),
        );
    }
    let from = date(spec.from.as_ref(), problems);
    let until = date(spec.until.as_ref(), problems);
    let retires = date(spec.retires.as_ref(), problems);
    if let (Some(first), Some(last), Some(text)) = (from, until, &spec.until)
        && last < first
    {
        problems.add(text.span(), "`until` is before `from`".to_owned(), None);
    }
    let long_context_above = spec.long_context.as_ref().map(|long| *long.above.get_ref());
    let tiers = compile_tiers(&spec, problems);
    (problems.0.len() == before).then(|| PriceRow {
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

fn compile_tiers(spec: &RowSpec, problems: &mut Problems) -> BTreeMap<Tier, TierRates> {
    let base = [
        (Tier::Standard, Some(&spec.standard)),
        (Tier::Priority, spec.priority.as_ref()),
        (Tier::Flex, spec.flex.as_ref()),
        (Tier::Batch, spec.batch.as_ref()),
        (Tier::Ultrafast, spec.ultrafast.as_ref()),
    ];
    let mut tiers: BTreeMap<Tier, TierRates> = base
        .into_iter()
        .filter_map(|(tier, spec)| {
            Some((
                tier,
                TierRates {
                    base: compile_rates(spec?, problems)?,
                    long: None,
                },
            ))
        })
        .collect();
    let Some(long) = &spec.long_context else {
        return tiers;
    };
    let long = [
        (Tier::Standard, long.standard.as_ref()),
        (Tier::Priority, long.priority.as_ref()),
        (Tier::Flex, long.flex.as_ref()),
        (Tier::Batch, long.batch.as_ref()),
        (Tier::Ultrafast, long.ultrafast.as_ref()),
    ];
    for (tier, spec) in long {
        let Some(spec) = spec else { continue };
        let Some(rates) = compile_rates(spec, problems) else {
            continue;
        };
        match tiers.get_mut(&tier) {
            Some(own) if own.base.highest(rates) != rates.highest(rates) => {
                let message = format!(
                    "the long-context rates of `{}` are below its other rates",
                    tier.as_str()
                );
                problems.add(
                    spec.span(),
                    message,
                    Some("check which figure belongs above the threshold"),
                );
            }
            Some(own) => own.long = Some(rates),
            None => {
                let message = format!("`{}` has long-context rates only", tier.as_str());
                problems.add(
                    spec.span(),
                    message,
                    Some("give the tier its rates below the threshold too"),
                );
            }
        }
    }
    tiers
}

fn compile_rates(spec: &Spanned<RatesSpec>, problems: &mut Problems) -> Option<Rates> {
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
        problems.add(
            spec.span(),
            "cached input costs more than input".to_owned(),
            Some("swap the two"),
        );
        return None;
    }
    Some(rates)
}

fn rate(text: &Spanned<String>, problems: &mut Problems) -> Option<Rate> {
    match Rate::parse(text.get_ref()) {
        Ok(rate) => Some(rate),
        Err(error) => {
            let hint = match error {
                RateError::NotDecimal => {
                    "write USD per million tokens as digits, for example \"0.125\""
                }
                RateError::TooPrecise => {
                    "six decimals are the most a price per million tokens can have"
                }
                RateError::TooLarge | RateError::TooSmall => {
                    "prices are USD per million tokens; is this one per token, or per thousand?"
                }
            };
            problems.add(
                text.span(),
                format!("`{}`: {error}", text.get_ref()),
                Some(hint),
            );
            None
        }
    }
}

fn date(text: Option<&Spanned<String>>, problems: &mut Problems) -> Option<Date> {
    let text = text?;
    let date = text.get_ref().parse().ok();
    if date.is_none() {
        let message = format!("`{}` is not a date", text.get_ref());
        problems.add(text.span(), message, Some("write it as \"2026-11-20\""));
    }
    date
}

fn model_id(text: &Spanned<String>, problems: &mut Problems) -> Option<ModelId> {
    match ModelId::new(text.get_ref()) {
        Ok(id) => Some(id),
        Err(error) => {
            problems.add(text.span(), error.to_string(), None);
            None
        }
    }
}
