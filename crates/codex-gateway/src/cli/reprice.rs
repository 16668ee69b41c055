//! `codex-gateway reprice`: what recorded usage costs under the present price table. `--apply` adds
//! correcting entries and edits none.

use std::process::ExitCode;

use gateway_ledger::{LedgerError, RepriceQuery, RepriceReport};

use crate::cli::output::{EXIT_USAGE, print_error, print_json, print_out, usd_or_dash};
use crate::cli::settings;
use crate::cli::store::{actor, with_existing_ledger};
use crate::cli::table::{Side, Table};
use crate::clock::Clock;
use crate::config::Overrides;
use crate::reports::when;

/// Arguments of `reprice`.
#[derive(Debug, clap::Args)]
pub(super) struct RepriceArgs {
    /// Only requests since then: a duration back from now (7d), a date, or an RFC 3339 time.
    #[arg(long, value_name = "T")]
    since: Option<String>,
    /// Write the differences as correcting entries.
    #[arg(long)]
    apply: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `reprice`.
pub(super) fn run(overrides: &Overrides, args: &RepriceArgs) -> ExitCode {
    answer(overrides, args).unwrap_or_else(|code| code)
}

fn answer(overrides: &Overrides, args: &RepriceArgs) -> Result<ExitCode, ExitCode> {
    let settings = settings::load_for_store(overrides)?;
    let zone = &settings.storage.time_zone;
    let since = args.since.as_deref();
    let since = since.map(|text| when::parse(text, Clock::system().now(), zone));
    let since = since.transpose().map_err(|message| {
        print_error(&format!("error: {message}"));
        ExitCode::from(EXIT_USAGE)
    })?;
    let query = RepriceQuery {
        since,
        ..RepriceQuery::default()
    };
    let (prices, is_applied) = (settings.prices.table.clone(), args.apply);
    let report = with_existing_ledger(&settings, async |ledger| {
        let report = ledger.reprice(&query, &prices, is_applied).await?;
        if is_applied {
            let detail = serde_json::json!({ "entries": report.applied });
            let version = &report.price_version;
            ledger
                .note(actor(), "ledger.reprice", version, &detail)
                .await?;
        }
        Ok::<_, LedgerError>(report)
    })?;
    if args.json {
        return Ok(print_json(&report));
    }
    print_out(&text(&report, is_applied));
    Ok(ExitCode::SUCCESS)
}

fn text(report: &RepriceReport, is_applied: bool) -> String {
    let mut head = vec![
        ("model".to_owned(), Side::Left),
        ("billing".to_owned(), Side::Left),
    ];
    let figures = [
        "requests",
        "changed",
        "newly priced",
        "unpriced",
        "before $",
        "after $",
        "difference $",
    ];
    head.extend(figures.map(|title| (title.to_owned(), Side::Right)));
    let mut table = Table::new(head);
    for row in &report.rows {
        let difference = row.after_nanos.saturating_sub(row.before_nanos);
        table.row(vec![
            row.model.clone(),
            row.billing.clone(),
            row.requests.to_string(),
            row.changed.to_string(),
            row.newly_priced.to_string(),
            row.unpriced.to_string(),
            usd_or_dash(row.before_nanos),
            usd_or_dash(row.after_nanos),
            usd_or_dash(difference),
        ]);
    }
    let changed: i64 = report.rows.iter().map(|row| row.changed).sum();
    let end = if is_applied {
        format!(
            "{} correcting entries were written; no entry was edited.",
            report.applied
        )
    } else if changed == 0 {
        "No entry differs.".to_owned()
    } else {
        format!("{changed} entries differ; nothing was written (--apply adds correcting entries).")
    };
    format!(
        "{}\nUnder price table {}. metered and plan are never added.\n{end}\n",
        table.render(),
        report.price_version
    )
}

#[cfg(test)]
mod tests {
    use gateway_ledger::RepriceRow;

    use super::*;

    #[test]
    fn the_difference_is_a_table() {
        let report = RepriceReport {
            price_version: "0123456789ab".to_owned(),
            rows: vec![RepriceRow {
                model: "gpt-5.5".to_owned(),
                billing: "metered".to_owned(),
                requests: 12,
                changed: 2,
                newly_priced: 1,
                unpriced: 0,
                before_nanos: 5_000_000_000,
                after_nanos: 4_500_000_000,
            }],
            applied: 0,
        };
        insta::assert_snapshot!(text(&report, false));
    }
}
