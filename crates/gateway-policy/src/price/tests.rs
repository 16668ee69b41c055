use std::sync::OnceLock;

use gateway_wire::Usage;
use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;

const DAY: Date = date(2026, 11, 20);

fn builtin() -> PriceTable {
    static TABLE: OnceLock<PriceTable> = OnceLock::new();
    let read = || {
        let (table, problems) = PriceTable::parse(BUILTIN_PRICES);
        assert_eq!(problems, []);
        table.unwrap()
    };
    TABLE.get_or_init(read).clone()
}

fn id(text: &str) -> ModelId {
    ModelId::new(text).unwrap()
}

fn usage(input: u64, cached: u64, write: u64, output: u64) -> Usage {
    Usage::new(input, cached, write, output, 0).unwrap()
}

fn priced(nanos: i64, tier_used: Tier, long_context: bool, estimated: bool) -> Pricing {
    Pricing::Priced {
        nanos,
        tier_used,
        long_context,
        estimated,
    }
}

type Invoice = (
    &'static str,
    Option<&'static str>,
    [u64; 4],
    i64,
    Tier,
    bool,
    bool,
);

/// Model, tier, [input, cached, cache write, output] → nano-dollars, tier charged, long context,
/// estimated. The comments show the sums, in dollars per million.
const INVOICES: &[Invoice] = &[
    // 100000×$10 + 200000×$1 + 4000×$45 per million = 1.00 + 0.20 + 0.18
    (
        "gpt-5.5",
        None,
        [300_000, 200_000, 0, 4_000],
        1_380_000_000,
        Tier::Standard,
        true,
        false,
    ),
    // At the threshold still the short rates: 72000×$5 + 200000×$0.5 + 4000×$30 = 0.36 + 0.10 +
    // 0.12
    (
        "gpt-5.5",
        None,
        [272_000, 200_000, 0, 4_000],
        580_000_000,
        Tier::Standard,
        false,
        false,
    ),
    // One token more re-rates everything: 72001×$10 + 200000×$1 + 4000×$45
    (
        "gpt-5.5",
        None,
        [272_001, 200_000, 0, 4_000],
        1_100_010_000,
        Tier::Standard,
        true,
        false,
    ),
    // 1000×$12.5 + 1000×$75
    (
        "gpt-5.5",
        Some("priority"),
        [1_000, 0, 0, 1_000],
        87_500_000,
        Tier::Priority,
        false,
        false,
    ),
    // No priority rate above the threshold: the dearer of $12.5/$1.25/$75 and $10/$1/$45
    (
        "gpt-5.5",
        Some("priority"),
        [300_000, 200_000, 0, 4_000],
        1_800_000_000,
        Tier::Priority,
        true,
        true,
    ),
    // The dearer of $5/$0.5/$30 and $5/$0.5/$22.5
    (
        "gpt-5.4",
        Some("fast"),
        [300_000, 0, 0, 1_000],
        1_530_000_000,
        Tier::Priority,
        true,
        true,
    ),
    // Flex cached is 0.13, not half of 0.25: 1000×$1.25 + 1000×$0.13 + 1000×$7.5
    (
        "gpt-5.4",
        Some("flex"),
        [2_000, 1_000, 0, 1_000],
        8_880_000,
        Tier::Flex,
        false,
        false,
    ),
    // 300000×$2.5 + 1000×$11.25
    (
        "gpt-5.4",
        Some("flex"),
        [300_000, 0, 0, 1_000],
        761_250_000,
        Tier::Flex,
        true,
        false,
    ),
    // No long batch rate: the dearer of $1.25/$7.5 and $5/$22.5
    (
        "gpt-5.4",
        Some("batch"),
        [300_000, 0, 0, 1_000],
        1_522_500_000,
        Tier::Batch,
        true,
        true,
    ),
    // 500×$4 + 300×$0.4 + 200×$5 + 100×$20
    (
        "gpt-5.6-sol",
        None,
        [1_000, 300, 200, 100],
        5_120_000,
        Tier::Standard,
        false,
        false,
    ),
    // 100000×$8 + 100000×$0.8 + 100000×$10 + 1000×$30
    (
        "gpt-5.6-sol",
        None,
        [300_000, 100_000, 100_000, 1_000],
        1_910_000_000,
        Tier::Standard,
        true,
        false,
    ),
    // Priority has its own cache-write rate: 800×$8 + 200×$10 + 100×$40
    (
        "gpt-5.6-sol",
        Some("priority"),
        [1_000, 0, 200, 100],
        12_400_000,
        Tier::Priority,
        false,
        false,
    ),
    // A real long priority rate; cache writes without one cost as input: 300000×$16 + 10×$60
    (
        "gpt-5.6-sol",
        Some("priority"),
        [300_000, 0, 1_000, 10],
        4_800_600_000,
        Tier::Priority,
        true,
        false,
    ),
    // 1000×$60 + 100×$300
    (
        "gpt-6-astra",
        Some("ultrafast"),
        [1_000, 0, 0, 100],
        90_000_000,
        Tier::Ultrafast,
        false,
        false,
    ),
    // Cache writes without a rate cost as input: 1000×$1.25 + 100×$10
    (
        "gpt-5-codex",
        None,
        [1_000, 0, 400, 100],
        2_250_000,
        Tier::Standard,
        false,
        false,
    ),
    // No cached rate: 1000×$15 + 10×$120
    (
        "gpt-5-pro",
        None,
        [1_000, 900, 0, 10],
        16_200_000,
        Tier::Standard,
        false,
        false,
    ),
    // A tier without rates is charged as standard and marked.
    (
        "gpt-5-codex",
        Some("priority"),
        [1_000, 0, 0, 100],
        2_250_000,
        Tier::Standard,
        false,
        true,
    ),
    (
        "gpt-5-codex",
        Some("scale"),
        [1_000, 0, 0, 100],
        2_250_000,
        Tier::Standard,
        false,
        true,
    ),
    (
        "gpt-5-codex",
        Some("auto"),
        [1_000, 0, 0, 100],
        2_250_000,
        Tier::Standard,
        false,
        false,
    ),
    // Rounded half up, once: 1×$0.0125 = 12.5 nano-dollars; 3 tokens = 37.5
    (
        "gpt-5-mini",
        Some("flex"),
        [1, 1, 0, 0],
        13,
        Tier::Flex,
        false,
        false,
    ),
    (
        "gpt-5-mini",
        Some("flex"),
        [3, 3, 0, 0],
        38,
        Tier::Flex,
        false,
        false,
    ),
    // A dated snapshot, another spelling, and the name that plan lists use.
    (
        "GPT-5.5-2026-04-23",
        None,
        [1_000, 0, 0, 0],
        5_000_000,
        Tier::Standard,
        false,
        false,
    ),
    (
        "chatgpt/gpt-5.5",
        None,
        [1_000, 0, 0, 0],
        5_000_000,
        Tier::Standard,
        false,
        false,
    ),
    (
        "gpt-5.5",
        None,
        [0, 0, 0, 0],
        0,
        Tier::Standard,
        false,
        false,
    ),
];

#[test]
fn invoices_agree_with_sums_done_by_hand() {
    let table = builtin();
    for (model, tier, [input, cached, write, output], nanos, used, long, estimated) in INVOICES {
        let got = table.cost(
            &id(model),
            usage(*input, *cached, *write, *output),
            *tier,
            DAY,
        );
        assert_eq!(
            got,
            priced(*nanos, *used, *long, *estimated),
            "{model} {tier:?} {input} {cached} {write} {output}"
        );
    }
}

#[test]
fn reasoning_tokens_are_part_of_output() {
    let table = builtin();
    let with = Usage::new(10, 0, 0, 1_000, 900).unwrap();
    assert_eq!(
        table.cost(&id("gpt-5.5"), with, None, DAY),
        table.cost(&id("gpt-5.5"), usage(10, 0, 0, 1_000), None, DAY)
    );
}

#[test]
fn a_model_without_a_price_is_unpriced_not_free() {
    let table = builtin();
    let reason = |model: &str| match table.cost(&id(model), usage(1, 0, 0, 1), None, DAY) {
        Pricing::Unpriced { reason } => reason,
        priced @ Pricing::Priced { .. } => panic!("{model} is {priced:?}"),
    };
    assert_eq!(reason("deepseek-v9"), UnpricedReason::UnknownModel);
    assert!(matches!(
        reason("gpt-5.3-codex-spark"),
        UnpricedReason::NoPublishedPrice(_)
    ));
    assert!(matches!(
        reason("chatgpt/gpt-5.3-instant"),
        UnpricedReason::NoPublishedPrice(_)
    ));
}

#[test]
fn the_built_in_table_holds_all_rows_of_its_source() {
    let table = builtin();
    let ids: usize = table.rows().map(|row| 1 + row.snapshots.len()).sum();
    // 54 with a price of the list's 76 models from gpt-5 on, 41 older ones, and three rows of two
    // newer ones.
    assert_eq!(ids, 54 + 41 + 3);
    let layer = &table.layers[0];
    assert_eq!(layer.aliases.len() + layer.unpriced.len() / 2, 22);
    for row in table.rows() {
        let is_newer = row.model.starts_with("gpt-6.2-");
        assert_eq!(
            !row.source.starts_with("LiteLLM "),
            is_newer,
            "{}",
            row.model
        );
        assert!(!row.verified, "{}", row.model);
    }
    for target in layer.aliases.values() {
        assert!(table.quote(&id(target), DAY).is_ok(), "{target}");
    }
}

#[test]
fn models_of_codex_0_171_and_models_before_gpt_5_have_a_price() {
    // 200,000 input tokens, of which 100,000 are cached, and 10,000 output tokens.
    let usage = usage(200_000, 100_000, 0, 10_000);
    let (now, later) = (DAY, date(2027, 3, 1));
    for (model, tier, day, millis) in [
        ("gpt-6.2-sol", None, now, 200 + 10 + 100),
        ("gpt-6.2-sol", Some("priority"), now, 400 + 20 + 200),
        ("gpt-6.2-sol", Some("ultrafast"), now, 600 + 30 + 300),
        ("gpt-6.2-sol", Some("ultrafast"), later, 1_200 + 60 + 600),
        ("gpt-6.2-astra", None, now, 800 + 40 + 400),
        ("GPT-4o", None, now, 250 + 125 + 100),
        ("gpt-4o-2024-05-13", None, now, 500 + 500 + 150),
        ("o3-2025-04-16", None, now, 200 + 50 + 80),
        ("o3", Some("flex"), now, 100 + 25 + 40),
        ("gpt-4.1", None, now, 200 + 50 + 80),
    ] {
        // The first summand counts the uncached half of the input.
        let cost = builtin().cost(&id(model), usage, tier, day);
        assert_eq!(cost.nanos(), Some(millis * 1_000_000), "{model} {tier:?}");
    }
}

/// Standard input, cached input and output of a model, and what the price was derived from.
fn quoted(table: &PriceTable, model: &str) -> Option<(String, Option<String>)> {
    let quote = table.quote(&id(model), DAY).ok()?;
    let rates = quote.row.tiers[&Tier::Standard].base;
    let short = format!("{}/{}/{}", rates.input, rates.cached_input(), rates.output);
    Some((short, quote.derived_from))
}

#[test]
fn an_id_behind_a_prefix_has_the_price_of_its_last_part() {
    let table = builtin();
    for model in [
        "openai/gpt-5.4",
        "OpenRouter/OpenAI/GPT-5.4",
        "azure/gpt-5.4-2026-03-05",
        "chatgpt/gpt-5.4",
    ] {
        let expected = ("2.5/0.25/15".to_owned(), None);
        assert_eq!(quoted(&table, model), Some(expected), "{model}");
    }
    // What the table says of the whole id comes first.
    let (own, problems) = PriceTable::parse(
        "[[price]]\nmodel = \"azure/*\"\nstandard = { input = \"3\", output = \"9\" }\nsource = \"invoice\"\n",
    );
    assert_eq!(problems, []);
    let table = PriceTable::overlay(&table, &own.unwrap());
    assert_eq!(quoted(&table, "azure/gpt-5.4").unwrap().0, "3/3/9");
    assert_eq!(quoted(&table, "openai/gpt-5.4").unwrap().0, "2.5/0.25/15");
    assert_eq!(quoted(&table, "openai/"), None);
    assert_eq!(quoted(&table, "openai/gpt-5.3-codex-spark"), None);
}

#[test]
fn an_unknown_member_of_a_family_costs_what_its_dearest_member_costs() {
    let table = builtin();
    for (model, rates, from) in [
        (
            "gpt-6.3-sol",
            "15/1.5/75",
            "the dearest of the family `gpt-6`",
        ),
        (
            "gpt-5.9",
            "12.5/1.25/75",
            "the dearest of the family `gpt-5`",
        ),
        (
            "openai/gpt-5.9",
            "12.5/1.25/75",
            "the dearest of the family `gpt-5`",
        ),
        (
            "gpt-6.3-pro",
            "30/30/180",
            "the dearest of the family `gpt-pro`",
        ),
        (
            "gpt-5.9-pro-2027-01-01",
            "30/30/180",
            "the dearest of the family `gpt-pro`",
        ),
        ("o5", "15/7.5/60", "the dearest of the family `o`"),
        ("o5-pro", "150/150/600", "the dearest of the family `o-pro`"),
        (
            "codex-auto-review",
            "15/1.5/75",
            "the dearest of the family `codex`",
        ),
        (
            "gpt-daybreak-red-latest",
            "15/1.5/75",
            "the dearest of the family `codex`",
        ),
        (
            "gpt-7-sol",
            "15/1.5/75",
            "the dearest of the family `codex`",
        ),
        ("gpt-6.2-sol-2027-05-01", "2/0.1/10", "`gpt-6.2-sol`"),
    ] {
        let expected = (rates.to_owned(), Some(from.to_owned()));
        assert_eq!(quoted(&table, model), Some(expected), "{model}");
        for tier in [None, Some("priority"), Some("flex"), Some("ultrafast")] {
            let applied = table.lookup(&id(model), DAY, tier, 300_000).unwrap();
            assert!(applied.estimated, "{model} {tier:?}");
        }
    }
    for model in [
        "gpt-oss:20b",
        "gpt-image-2",
        "deepseek-v9",
        "o-model",
        "mygpt-5",
    ] {
        assert_eq!(quoted(&table, model), None, "{model}");
    }
}

#[test]
fn a_derived_price_is_never_below_that_of_a_member() {
    let table = builtin();
    for (unknown, family) in [("gpt-6.9", "gpt-6"), ("gpt-5.9", "gpt-5"), ("o9", "o")] {
        for tier in Tier::ALL {
            for tokens in [1_000, 272_001, 900_000] {
                let word = Some(tier.as_str());
                let derived = table.lookup(&id(unknown), DAY, word, tokens).unwrap();
                for row in table.rows() {
                    let is_member = row.model.starts_with(family) && !row.model.contains("-pro");
                    let own = row.tiers.contains_key(&tier) && row.applies_on(DAY) && is_member;
                    if !own {
                        continue;
                    }
                    let member = row.applied(word, tokens).rates;
                    assert_eq!(
                        derived.rates.highest(member),
                        derived.rates.highest(derived.rates),
                        "{unknown} {tier:?} {tokens}: {}",
                        row.model
                    );
                }
            }
        }
    }
}

#[test]
fn families_of_an_operator_come_first_and_their_mistakes_are_told() {
    let (own, problems) = PriceTable::parse(
        r#"
        [[price]]
        model = "house-1"
        standard = { input = "2", output = "8" }
        source = "invoice"
        [[price]]
        model = "house-2"
        standard = { input = "3", output = "6" }
        source = "invoice"
        [[family]]
        name = "house"
        models = ["house-*"]
        "#,
    );
    assert_eq!(problems, []);
    let own = own.unwrap();
    let table = PriceTable::overlay(&builtin(), &own);
    assert_eq!(quoted(&table, "house-9").unwrap().0, "3/3/8");
    assert_ne!(own.version(), PriceTable::parse("").0.unwrap().version());
    let broken = "[[family]]\nname = \"a\"\nmodels = []\n[[family]]\nname = \"a\"\nmodels = [\"[\", \" x\"]\n";
    let messages: Vec<String> = PriceTable::parse(broken)
        .1
        .into_iter()
        .map(|problem| problem.message)
        .collect();
    assert_eq!(messages.len(), 4, "{messages:?}");
}

#[test]
fn hosted_tools_cost_their_fees_and_one_without_a_fee_is_marked() {
    let table = builtin();
    let used = usage(1_000, 0, 0, 100);
    for (model, tools, dollars_per_thousand, marked) in [
        ("gpt-5.5", &[("web_search", 4)][..], 40, false),
        ("openai/gpt-5.5", &[("web_search", 4)], 40, false),
        (
            "o3",
            &[("web_search", 1), ("code_interpreter", 2)],
            70,
            false,
        ),
        ("gpt-4.1", &[("web_search", 2)], 50, false),
        ("gpt-6.2-sol", &[("web_search", 2)], 20, true),
        ("gpt-5.5", &[("file_search", 3)], 0, true),
        (
            "gpt-5.5",
            &[("web_search", 1), ("image_output_tokens", 900)],
            10,
            true,
        ),
        ("gpt-5.5", &[("web_search", 0)], 0, false),
        ("gpt-5.5", &[], 0, false),
    ] {
        let plain = table.cost(&id(model), used, None, DAY).nanos().unwrap();
        let Pricing::Priced {
            nanos, estimated, ..
        } = table.cost_with_tools(&id(model), used, tools.iter().copied(), None, DAY)
        else {
            panic!("{model}");
        };
        let fee: i64 = dollars_per_thousand * 1_000_000;
        assert_eq!(
            (nanos - plain, estimated),
            (fee, marked),
            "{model} {tools:?}"
        );
    }
    let unpriced = [("web_search", 1)].into_iter();
    let cost = table.cost_with_tools(&id("deepseek-v9"), used, unpriced, None, DAY);
    assert_eq!(cost.nanos(), None);
    let endless = [("web_search", u64::MAX)].into_iter();
    let cost = table.cost_with_tools(&id("gpt-5.5"), used, endless, None, DAY);
    assert_eq!(cost.nanos(), None);
}

#[test]
fn an_operators_fees_come_first_and_their_mistakes_are_told() {
    let fee = |tool: &str, amount: &str| {
        format!(
            "[[fee]]\ntool = \"{tool}\"\nmodels = [\"gpt-5*\"]\nper_thousand = \"{amount}\"\nsource = \"invoice\"\n"
        )
    };
    let (own, problems) = PriceTable::parse(&fee("web_search", "2.5"));
    assert_eq!(problems, []);
    let table = PriceTable::overlay(&builtin(), &own.unwrap());
    let cost = |table: &PriceTable| {
        let tools = [("web_search", 1)].into_iter();
        let cost = table.cost_with_tools(&id("gpt-5.5"), usage(0, 0, 0, 0), tools, None, DAY);
        cost.nanos()
    };
    assert_eq!(
        (cost(&builtin()), cost(&table)),
        (Some(10_000_000), Some(2_500_000))
    );
    for (tool, amount, message) in [
        ("websearch", "1", "unknown tool `websearch`"),
        ("web_search", "ten", "`ten`: not a decimal number"),
        (
            "web_search",
            "20000",
            "`20000`: more than 10000 USD per thousand calls",
        ),
    ] {
        let problems = PriceTable::parse(&fee(tool, amount)).1;
        let messages: Vec<&str> = problems.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(messages, [message]);
    }
}

#[test]
fn the_built_in_table_is_what_it_was() {
    let rows: Vec<String> = builtin()
        .rows()
        .flat_map(|row| {
            row.tiers
                .iter()
                .map(move |(tier, rates)| (row, tier, rates))
        })
        .map(|(row, tier, rates)| {
            let show = |rates: &Rates| {
                let part =
                    |rate: Option<Rate>| rate.map_or("-".to_owned(), |rate| rate.to_string());
                format!(
                    "{}/{}/{}/{}",
                    rates.input,
                    part(rates.cached_input),
                    part(rates.cache_write),
                    rates.output
                )
            };
            let long = rates
                .long
                .as_ref()
                .map_or(String::new(), |long| format!("  long {}", show(long)));
            format!(
                "{:20} {:9} {}{long}",
                row.model,
                tier.as_str(),
                show(&rates.base)
            )
        })
        .collect();
    insta::assert_snapshot!(rows.join("\n"));
}

#[test]
fn an_operators_row_replaces_the_built_in_one_and_changes_the_version() {
    let base = builtin();
    let version = base.version().to_owned();
    let text = r#"
        [aliases]
        "team-deployment" = "gpt-5.4"
        [[price]]
        model = "gpt-5.5*"
        standard = { input = "1", output = "2" }
        source = "our contract, 2026-11"
    "#;
    let operator = PriceTable::parse(text).0.unwrap();
    let table = PriceTable::overlay(&base, &operator);
    assert_ne!(table.version(), version);
    let cost = |model: &str| table.cost(&id(model), usage(300_000, 200_000, 0, 0), None, DAY);
    // A glob of the operator's outranks the exact built-in row, and its missing long-context rates
    // are a statement too.
    assert_eq!(
        cost("gpt-5.5"),
        priced(300_000_000, Tier::Standard, false, false)
    );
    assert_eq!(cost("team-deployment"), cost("gpt-5.4"));
    assert!(matches!(
        cost("gpt-5.4"),
        Pricing::Priced {
            long_context: true,
            ..
        }
    ));
}

#[test]
fn the_version_ignores_comments_and_notices_figures() {
    let version = |text: &str| PriceTable::parse(text).0.unwrap().version().to_owned();
    let row =
        "[[price]]\nmodel = \"m\"\nsource = \"s\"\nstandard = { input = \"1\", output = \"2\" }\n";
    assert_eq!(version(row), version(&format!("# note\n{row}")));
    assert_eq!(version(row), version(&row.replace("\"1\"", "\"1.0\"")));
    assert_ne!(version(row), version(&row.replace("\"1\"", "\"1.1\"")));
    assert_eq!(version(row).len(), 12);
}

#[test]
fn the_newest_row_that_applies_on_the_day_decides() {
    let text = r#"
        [[price]]
        model = "m"
        standard = { input = "3", output = "3" }
        source = "before"
        until = "2026-12-31"
        [[price]]
        model = "m"
        from = "2026-06-01"
        until = "2026-06-30"
        standard = { input = "2", output = "2" }
        source = "june"
    "#;
    let (table, problems) = PriceTable::parse(text);
    // The open beginning overlaps June, and both have an end: that is ambiguous.
    assert!(table.is_none());
    assert_eq!(problems[0].message, "`m` has two prices for the same day");
    let table = PriceTable::parse(&text.replace("until = \"2026-12-31\"", ""))
        .0
        .unwrap();
    let source = |day: Date| {
        table
            .quote(&id("m"), day)
            .map(|quote| quote.row.source.clone())
    };
    assert_eq!(source(date(2026, 5, 31)).unwrap(), "before");
    assert_eq!(source(date(2026, 6, 1)).unwrap(), "june");
    assert_eq!(source(date(2026, 6, 30)).unwrap(), "june");
    assert_eq!(source(date(2026, 7, 1)).unwrap(), "before");
    let only = PriceTable::parse(text.split_at(text.rfind("[[price]]").unwrap()).1)
        .0
        .unwrap();
    assert_eq!(
        only.quote(&id("m"), date(2026, 7, 1)).unwrap_err(),
        UnpricedReason::NotOnThatDay
    );
}

#[test]
fn every_problem_is_listed_with_its_place() {
    let row = |line: &str| format!("[[price]]\nmodel = \"m\"\nsource = \"s\"\nstandard = {line}\n");
    let checks: &[(String, &str)] = &[
        (row("{ input = \"0.00000125\", output = \"1\" }"), "`0.00000125`: less than 0.001 USD per million tokens"),
        (row("{ input = \"12500\", output = \"1\" }"), "`12500`: more than 10000 USD per million tokens"),
        (row("{ input = \"99999999999999999999999\", output = \"1\" }"), "`99999999999999999999999`: more than 10000 USD per million tokens"),
        (row("{ input = \"1,5\", output = \"1\" }"), "`1,5`: not a decimal number"),
        (row("{ input = \"-1\", output = \"1\" }"), "`-1`: not a decimal number"),
        (row("{ input = \".5\", output = \"1\" }"), "`.5`: not a decimal number"),
        (row("{ input = \"1.1234567\", output = \"1\" }"), "`1.1234567`: more than six decimals"),
        (row("{ input = \"1\", cached_input = \"2\", output = \"1\" }"), "cached input costs more than input"),
        (row("{ input = \"1\", output = \"1\" }\n[price.long_context]\nabove = 1\nstandard = { input = \"0.5\", output = \"1\" }"), "the long-context rates of `standard` are below its other rates"),
        (row("{ input = \"1\", output = \"1\" }\n[price.long_context]\nabove = 1\nflex = { input = \"2\", output = \"2\" }"), "`flex` has long-context rates only"),
        (row("{ input = \"1\", output = \"1\" }\nfrom = \"2026-13-01\""), "`2026-13-01` is not a date"),
        (row("{ input = \"1\", output = \"1\" }\nfrom = \"2026-02-01\"\nuntil = \"2026-01-01\""), "`until` is before `from`"),
        (row("{ input = \"1\", output = \"1\" }") + &row("{ input = \"1\", output = \"1\" }"), "`m` has two prices for the same day"),
        (row("{ input = \"1\", output = \"1\" }") + "[[unpriced]]\nmodels = [\"M\"]\nwhy = \"w\"\n", "`M` has a price and is listed as unpriced"),
        ("[[price]]\nmodel = \"a[\"\nsource = \"\"\nstandard = { input = \"x\", output = \"1\" }\n".to_owned(), "`a[` is not a glob: unclosed character class; missing ']'"),
    ];
    for (text, expected) in checks {
        let (table, problems) = PriceTable::parse(text);
        assert!(table.is_none(), "{text}");
        assert_eq!(problems[0].message, *expected, "{text}");
        assert!(problems.iter().all(|problem| {
            text.get(problem.span.clone().unwrap())
                .is_some_and(|part| !part.is_empty())
        }));
    }
    let (_, problems) = PriceTable::parse(&checks.last().unwrap().0);
    assert_eq!(problems.len(), 3, "{problems:?}");
    let (_, problems) = PriceTable::parse("[[price]]\nmodel = \"m\"\nprize = 1\n");
    assert!(
        problems[0].message.contains("unknown key `prize`"),
        "{problems:?}"
    );
}

#[test]
fn rates_read_back_as_they_were_written() {
    for text in [
        "0", "0.005", "0.0125", "1", "1.25", "22.5", "10000", "0.001", "15.625",
    ] {
        assert_eq!(Rate::parse(text).unwrap().to_string(), text);
    }
}

fn any_usage() -> impl Strategy<Value = Usage> {
    (0..3_000_000_u64, 0..=100_u64, 0..=100_u64, 0..500_000_u64).prop_map(
        |(input, cached, write, output)| {
            let cached = input * cached / 100;
            usage(input, cached, (input - cached) * write / 100, output)
        },
    )
}

fn any_model() -> impl Strategy<Value = String> {
    let names: Vec<String> = builtin().rows().map(|row| row.model.clone()).collect();
    proptest::sample::select(names)
}

fn any_tier() -> impl Strategy<Value = Option<&'static str>> {
    proptest::sample::select(vec![
        None,
        Some("default"),
        Some("priority"),
        Some("flex"),
        Some("batch"),
        Some("ultrafast"),
        Some("?"),
    ])
}

proptest! {
    #[test]
    fn more_tokens_never_cost_less(model in any_model(), tier in any_tier(), usage in any_usage(), more in 0..1_000_000_u64, kind in 0..4) {
        let table = builtin();
        let (mut input, mut cached, mut write, mut output) =
            (usage.input(), usage.cached_input(), usage.cache_write(), usage.output());
        match kind {
            0 => input += more,
            1 => { input += more; cached += more; }
            2 => { input += more; write += more; }
            _ => output += more,
        }
        let bigger = Usage::new(input, cached, write, output, 0).unwrap();
        let cost = |usage| table.cost(&id(&model), usage, tier, DAY).nanos().unwrap();
        prop_assert!(cost(bigger) >= cost(usage));
        prop_assert!(cost(usage) >= 0);
    }

    #[test]
    fn parts_on_one_side_of_the_threshold_sum_up_within_rounding(
        model in any_model(), tier in any_tier(),
        parts in proptest::collection::vec((0..1_000_u64, 0..1_000_u64, 0..1_000_u64, 0..1_000_u64), 1..20),
    ) {
        let table = builtin();
        let cost = |usage| table.cost(&id(&model), usage, tier, DAY).nanos().unwrap();
        let one = |(full, cached, write, output): &(u64, u64, u64, u64)| usage(full + cached + write, *cached, *write, *output);
        let each: i64 = parts.iter().map(|part| cost(one(part))).sum();
        let sum = parts.iter().fold((0, 0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2, a.3 + b.3));
        let slack = i64::try_from(parts.len()).unwrap();
        prop_assert!((cost(one(&sum)) - each).abs() <= slack);
    }

    #[test]
    fn the_largest_counts_neither_panic_nor_wrap(model in any_model(), tier in any_tier(), input in 0..=gateway_wire::usage::MAX_COUNT, output in 0..=gateway_wire::usage::MAX_COUNT) {
        match builtin().cost(&id(&model), usage(input, 0, 0, output), tier, DAY) {
            Pricing::Priced { nanos, .. } => prop_assert!(nanos >= 0),
            Pricing::Unpriced { reason } => prop_assert_eq!(reason, UnpricedReason::OutOfRange),
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in ".{0,200}", rate in "[0-9.]{0,30}") {
        let _table = PriceTable::parse(&text);
        let _rate = Rate::parse(&rate);
    }
}
