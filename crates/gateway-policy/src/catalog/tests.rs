//! The data file itself: every row of the documents, its dates, and what happens when an operator
//! lays a file over it.

use super::*;
use crate::auth_route::AuthRoute;
use crate::problem::Problem;

const MODELS: &str = include_str!("../../../../config/models.toml");

fn catalog() -> Catalog {
    Catalog::read(MODELS).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn entry<'c>(catalog: &'c Catalog, model: &str) -> &'c ModelEntry {
    catalog
        .entry(&ModelId::new(model).unwrap())
        .unwrap_or_else(|| panic!("no entry for {model}"))
}

/// Model, capability, speed, CLI, app, cloud, credits, API, standing: what holds at present.
type Row = (&'static str, u8, u8, [Option<bool>; 5], LifecycleStatus);

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

const DOCUMENTS: [Row; 14] = [
    (
        "gpt-5.5",
        5,
        3,
        [YES, YES, NO, YES, YES],
        LifecycleStatus::Legacy,
    ),
    (
        "gpt-5.4",
        5,
        3,
        [YES, YES, NO, YES, YES],
        LifecycleStatus::Recommended,
    ),
    (
        "gpt-5.4-mini",
        3,
        4,
        [YES, YES, NO, YES, YES],
        LifecycleStatus::Recommended,
    ),
    (
        "gpt-5.3-codex",
        5,
        3,
        [YES, YES, YES, YES, YES],
        LifecycleStatus::Recommended,
    ),
    (
        "gpt-5.3-codex-spark",
        3,
        5,
        [YES, YES, NO, NO, NO],
        LifecycleStatus::Preview,
    ),
    (
        "gpt-5.2",
        4,
        3,
        [YES, YES, NO, YES, YES],
        LifecycleStatus::Alternative,
    ),
    // The older page denies API access; two later sources sell it.
    (
        "gpt-5.2-codex",
        5,
        4,
        [YES, YES, YES, YES, YES],
        LifecycleStatus::Succeeded,
    ),
    (
        "gpt-5.1-codex-max",
        4,
        4,
        [YES, YES, NO, YES, YES],
        LifecycleStatus::Alternative,
    ),
    (
        "gpt-5.1-codex-mini",
        3,
        5,
        [YES, YES, NO, YES, YES],
        LifecycleStatus::Alternative,
    ),
    (
        "gpt-5.1",
        4,
        3,
        [YES, YES, NO, YES, YES],
        LifecycleStatus::Alternative,
    ),
    (
        "gpt-5.1-codex",
        4,
        3,
        [YES, YES, YES, YES, YES],
        LifecycleStatus::Succeeded,
    ),
    (
        "gpt-5-codex",
        3,
        3,
        [YES, YES, NO, YES, YES],
        LifecycleStatus::Succeeded,
    ),
    (
        "gpt-5-codex-mini",
        2,
        4,
        [YES, YES, NO, YES, NO],
        LifecycleStatus::Succeeded,
    ),
    (
        "gpt-5",
        3,
        3,
        [YES, YES, NO, YES, YES],
        LifecycleStatus::Succeeded,
    ),
];

#[test]
fn every_row_of_the_documents_is_there() {
    let catalog = catalog();
    for (model, capability, speed, offers, standing) in DOCUMENTS {
        let entry = entry(&catalog, model);
        assert_eq!(entry.capability.current(), Some(&capability), "{model}");
        assert_eq!(entry.speed.current(), Some(&speed), "{model}");
        let said = [
            &entry.cli,
            &entry.app,
            &entry.cloud,
            &entry.credits,
            &entry.api,
        ];
        assert_eq!(said.map(|said| said.current().copied()), offers, "{model}");
        assert_eq!(entry.standing.current(), Some(&standing), "{model}");
        assert!(!entry.about.is_silent(), "{model}");
    }
}

/// Slug, picker, priority, context, maximum, number of efforts, default effort, successor.
type Slug = (
    &'static str,
    Picker,
    u32,
    u64,
    u64,
    usize,
    &'static str,
    Option<&'static str>,
);

const SLUGS: [Slug; 14] = [
    (
        "gpt-6.2-sol",
        Picker::List,
        1,
        500_000,
        872_000,
        6,
        "low",
        None,
    ),
    (
        "gpt-6.2-astra",
        Picker::List,
        2,
        272_000,
        872_000,
        6,
        "low",
        None,
    ),
    (
        "gpt-6-astra",
        Picker::List,
        5,
        272_000,
        872_000,
        6,
        "low",
        None,
    ),
    (
        "gpt-6.1-sol",
        Picker::List,
        4,
        500_000,
        872_000,
        6,
        "low",
        None,
    ),
    (
        "gpt-6.1-terra",
        Picker::List,
        3,
        500_000,
        872_000,
        6,
        "low",
        None,
    ),
    (
        "gpt-6-sol",
        Picker::List,
        6,
        272_000,
        872_000,
        6,
        "medium",
        None,
    ),
    (
        "gpt-6-luna",
        Picker::List,
        7,
        272_000,
        872_000,
        5,
        "medium",
        None,
    ),
    (
        "gpt-5.6-sol",
        Picker::List,
        8,
        272_000,
        872_000,
        6,
        "low",
        Some("gpt-6-sol"),
    ),
    (
        "gpt-5.6-terra",
        Picker::List,
        9,
        272_000,
        872_000,
        6,
        "medium",
        Some("gpt-6-sol"),
    ),
    (
        "gpt-5.6-luna",
        Picker::List,
        10,
        272_000,
        872_000,
        5,
        "medium",
        Some("gpt-6-luna"),
    ),
    (
        "gpt-daybreak-blue-latest",
        Picker::Hide,
        11,
        272_000,
        872_000,
        6,
        "low",
        None,
    ),
    (
        "gpt-daybreak-red-latest",
        Picker::Hide,
        12,
        372_000,
        372_000,
        6,
        "medium",
        None,
    ),
    (
        "gpt-5.5",
        Picker::List,
        13,
        272_000,
        272_000,
        4,
        "medium",
        Some("gpt-6-sol"),
    ),
    (
        "codex-auto-review",
        Picker::Hide,
        43,
        272_000,
        872_000,
        5,
        "medium",
        None,
    ),
];

#[test]
fn every_slug_of_the_client_is_there() {
    let catalog = catalog();
    for (model, picker, priority, context, max_context, efforts, default, successor) in SLUGS {
        let entry = entry(&catalog, model);
        let is_lite = model != "gpt-5.5";
        assert_eq!(entry.picker.current(), Some(&picker), "{model}");
        assert_eq!(entry.priority.current(), Some(&priority), "{model}");
        assert_eq!(entry.context.current(), Some(&context), "{model}");
        assert_eq!(entry.max_context.current(), Some(&max_context), "{model}");
        assert_eq!(
            entry.efforts.current().map(Vec::len),
            Some(efforts),
            "{model}"
        );
        assert_eq!(
            entry.default_effort.current().map(String::as_str),
            Some(default),
            "{model}"
        );
        assert_eq!(entry.lite.current(), Some(&is_lite), "{model}");
        assert_eq!(entry.tool_mode.current().is_some(), is_lite, "{model}");
        assert_eq!(
            entry.successor.current().map(ModelId::as_str),
            successor,
            "{model}"
        );
    }
}

#[test]
fn later_statements_win_and_earlier_ones_stay() {
    let catalog = catalog();
    let newest = entry(&catalog, "gpt-5.5");
    let standings: Vec<(&str, LifecycleStatus)> = newest
        .standing
        .statements()
        .iter()
        .map(|said| (&*said.source, said.value))
        .collect();
    assert_eq!(
        standings,
        [
            ("D5", LifecycleStatus::Legacy),
            ("D0", LifecycleStatus::Recommended)
        ]
    );
    let on_keys: Vec<(&str, &str, bool)> = newest.routes[&AuthRoute::ApiKey]
        .statements()
        .iter()
        .map(|said| (&*said.source, &*said.date, said.value))
        .collect();
    assert_eq!(
        on_keys,
        [("D0", "2026-06", true), ("D2", "2026-04-25", false)]
    );
    assert_eq!(newest.usable_on(AuthRoute::ApiKey), Some(true));
    let older = entry(&catalog, "gpt-5.2");
    let capability: Vec<u8> = older
        .capability
        .statements()
        .iter()
        .map(|said| said.value)
        .collect();
    assert_eq!(capability, [4, 4, 5]);
    let api: Vec<bool> = entry(&catalog, "gpt-5.2-codex")
        .api
        .statements()
        .iter()
        .map(|said| said.value)
        .collect();
    assert_eq!(api, [true, true, false]);
    for entry in catalog.entries() {
        let dates: Vec<&str> = entry
            .context
            .statements()
            .iter()
            .map(|said| &*said.date)
            .collect();
        assert!(
            dates.is_sorted_by(|left, right| left >= right),
            "{}: {dates:?}",
            entry.id
        );
    }
}

#[test]
fn endpoints_follow_the_documents() {
    let catalog = catalog();
    for entry in catalog.entries() {
        let family = entry.id.as_str().starts_with("gpt-5") && entry.id.as_str().contains("codex");
        assert_eq!(entry.is_responses_only(), family, "{}", entry.id);
    }
}

#[test]
fn printed_prices_stand_beside_the_table() {
    let catalog = catalog();
    let printed: Vec<(&str, &str, &str)> = catalog
        .entries()
        .iter()
        .filter_map(|entry| Some((entry.id.as_str(), entry.prices.current()?)))
        .map(|(id, price)| (id, price.input.as_str(), price.output.as_str()))
        .collect();
    assert_eq!(
        printed,
        [
            ("gpt-5.5", "5.00", "30.00"),
            ("gpt-5.4", "2.50", "15.00"),
            ("gpt-5.4-mini", "0.75", "4.50"),
            ("gpt-5.3-codex", "2.00", "15.00"),
            ("gpt-5.2-codex", "1.75", "14.00"),
            ("gpt-5.1-codex", "1.50", "12.00"),
            ("gpt-5-codex", "1.25", "10.00"),
        ]
    );
}

#[test]
fn every_source_is_used_and_every_statement_is_dated() {
    let catalog = catalog();
    for source in catalog.sources() {
        let quoted = format!("source = \"{}\"", source.id);
        assert!(MODELS.contains(&quoted), "{} says nothing", source.id);
    }
    assert_eq!(
        catalog.source("D2").map(|source| &*source.date),
        Some("2026-04-25")
    );
    assert!(!catalog.general_statements().is_empty());
}

#[test]
fn successors_and_chains_point_to_models_that_are_there() {
    let catalog = catalog();
    for entry in catalog.entries() {
        for said in entry.successor.statements() {
            assert!(
                catalog.entry(&said.value).is_some(),
                "{} -> {}",
                entry.id,
                said.value
            );
        }
    }
    for chain in catalog.chains() {
        assert!(catalog.entry(&chain.model).is_some());
        assert!(
            chain
                .then
                .iter()
                .all(|model| catalog.entry(model).is_some())
        );
        // A cheaper model is no fallback where quality counts.
        assert!(
            chain
                .then
                .iter()
                .all(|model| !model.as_str().contains("mini"))
        );
    }
}

#[test]
fn an_operators_file_wins_whatever_its_dates() {
    let overlay = r#"
[sources]
us = { title = "our own tests", date = "2020" }
[[model]]
id = "GPT-5.4"
[[model.says]]
source = "us"
standing = "legacy"
efforts = ["low", "medium"]
[[model]]
id = "house-1"
[[model.says]]
source = "us"
name = "House model"
endpoints = ["chat"]
[[fallback]]
source = "us"
model = "gpt-5.5"
then = ["house-1"]
[[rule]]
source = "us"
[rule.rule]
name = "no spark at all"
when = { model = "gpt-5.3-codex-spark" }
then = { reject = "not here" }
"#;
    let catalog = catalog().overlay(overlay).unwrap();
    let flagship = entry(&catalog, "gpt-5.4");
    let standings: Vec<&str> = flagship
        .standing
        .statements()
        .iter()
        .map(|said| &*said.source)
        .collect();
    assert_eq!(standings, ["us", "D0", "D2"]);
    assert_eq!(
        flagship.id.as_str(),
        "gpt-5.4",
        "the id keeps its first spelling"
    );
    assert_eq!(
        entry(&catalog, "HOUSE-1")
            .name
            .current()
            .map(String::as_str),
        Some("House model")
    );
    assert_eq!(catalog.chains().len(), 1);
    assert_eq!(catalog.chains()[0].then, [ModelId::new("house-1").unwrap()]);
    assert_eq!(catalog.rules()[0].spec.name.get_ref(), "no spark at all");
    assert_eq!(catalog.rules().len(), 2);
    assert_eq!(catalog.entries().len(), self::catalog().entries().len() + 1);
}

#[test]
fn a_wrong_file_is_told_with_its_places() {
    let problems = |text: &str| {
        let problems = catalog().overlay(text).unwrap_err();
        problems
            .into_iter()
            .map(|Problem { span, message, .. }| {
                let place = span
                    .and_then(|span| text.get(span))
                    .unwrap_or_default()
                    .to_owned();
                format!("{place}: {message}")
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        problems(
            "[sources]\nx = { title = \"t\", date = \"June\" }\n[[model]]\nid = \" \
             a\"\n[[model.says]]\nsource = \"y\"\nspeed = 9\n"
        ),
        [
            "\"June\": `June` is not a valid date",
            "\" a\": the model id has leading or trailing white space",
            "\"y\": unknown source `y`",
            "\"y\": speed must be from 1 to 5",
        ]
    );
    assert!(problems("[[model]]\nid = \"a\"\ncolour = 1\n")[0].contains("unknown key `colour`"));
    assert!(
        problems("[[fallback]]\nsource = \"zz\"\nmodel = \"a\"\nthen = []\n")[0]
            .contains("unknown source")
    );
}
