//! `[prices]`: the operator's price table, and what happens to models without a price.

use gateway_policy::PriceTable;
use gateway_policy::price::BUILTIN_PRICES;
use gateway_policy::problem::Problem;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::config::key::Key;
use crate::config::other_file::OtherFile;
use crate::config::source::Context;

/// Default of `unpriced`.
pub const UNPRICED: Unpriced = Unpriced::Refuse;

/// When a change of each key takes effect.
pub const KEYS: &[Key<PricesSettings>] = &[Key::now("file"), Key::now("unpriced")];

/// The table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PricesSpec {
    pub file: Option<Spanned<String>>,
    pub unpriced: Option<Unpriced>,
}

/// What happens to a request for a model without a price where a budget counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unpriced {
    /// It goes on and costs the budget nothing; the log says so once.
    Allow,
    /// It is refused.
    Refuse,
}

/// The checked values.
pub struct PricesSettings {
    /// The built-in prices with the operator's over them.
    pub table: PriceTable,
    pub unpriced: Unpriced,
}

/// Reads the price file. `None` when even the built-in table cannot be used.
pub fn compile(
    spec: &PricesSpec,
    context: Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<PricesSettings> {
    let built_in = built_in(problems)?;
    let own = spec
        .file
        .as_ref()
        .and_then(|file| read(file, context, problems));
    Some(PricesSettings {
        table: match own {
            Some(own) => PriceTable::overlay(&built_in, &own),
            None => built_in,
        },
        unpriced: spec.unpriced.unwrap_or(UNPRICED),
    })
}

/// The table that comes with the program; a test keeps it free of problems.
fn built_in(problems: &mut Vec<Problem>) -> Option<PriceTable> {
    let (table, found) = PriceTable::parse(BUILTIN_PRICES);
    if !found.is_empty() {
        problems.push(Problem::error(None, "the built-in prices table is broken"));
    }
    table
}

/// The operator's table. A broken file is reported; the other checks go on without it.
fn read(
    spec: &Spanned<String>,
    context: Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<PriceTable> {
    let file = OtherFile::read(spec, context.base, "price file", problems)?;
    let (parsed, found) = PriceTable::parse(&file.text);
    problems.extend(found.into_iter().map(|problem| file.locate(problem)));
    parsed
}
