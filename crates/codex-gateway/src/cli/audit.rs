//! `codex-gateway audit`: the log of administrative changes. Changes nothing.

use std::process::ExitCode;

use gateway_ledger::AuditRecord;
use serde_json::{Value, json};

use crate::cli::output::{print_json, print_out};
use crate::cli::settings;
use crate::cli::store::with_existing_ledger;
use crate::cli::table::Table;
use crate::config::Overrides;

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// How many changes to list, the newest first.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `audit`.
pub(super) fn run(overrides: &Overrides, args: &AuditArgs) -> ExitCode {
    answer(overrides, args).unwrap_or_else(|code| code)
}

fn answer(overrides: &Overrides, args: &AuditArgs) -> Result<ExitCode, ExitCode> {
    let settings = settings::load_for_store(overrides)?;
    let records = with_existing_ledger(&settings, async |ledger| ledger.audit(args.limit).await)?;
    if args.json {
        return Ok(print_json(&json!({ "items": records })));
    }
    print_out(&table(&records));
    Ok(ExitCode::SUCCESS)
}

fn table(records: &[AuditRecord]) -> String {
    if records.is_empty() {
        return "nothing has been changed yet".to_owned();
    }
    let mut table = Table::left(&["at", "actor", "address", "action", "subject", "detail"]);
    for record in records {
        table.row(vec![
            record.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            record.actor.clone(),
            record.address.clone().unwrap_or_default(),
            record.action.clone(),
            record.subject.clone(),
            details(&record.detail),
        ]);
    }
    table.render()
}

/// The values that were set, as `name=value`.
fn details(detail: &Value) -> String {
    let Some(fields) = detail.as_object() else {
        return detail.to_string();
    };
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => fields.values().any(|value| !value.is_null()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    };
    let fields = fields.iter().filter(|(_, value)| is_set(value));
    let fields = fields.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    });
    fields.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_show_what_was_set() {
        for (detail, shown) in [
            (json!({}), ""),
            (
                json!({ "name": "ci", "team": null, "models": [], "limits": { "rpm": null } }),
                "name=ci",
            ),
            (
                json!({ "models": ["gpt-*"], "soft": 80 }),
                "models=[\"gpt-*\"] soft=80",
            ),
        ] {
            assert_eq!(details(&detail), shown);
        }
    }
}
