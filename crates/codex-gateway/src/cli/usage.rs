//! `codex-gateway usage`: sums of the ledger, as a table for people, as JSON or CSV for programs.

use std::process::ExitCode;

use gateway_ledger::{Filters, GroupBy, UsageQuery, UsageReport, UsageRow, UsageSums};
use gateway_policy::money::Usd;
use gateway_wire::codex::repository;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::output::{EXIT_USAGE, print_error, print_json, print_out, usd_or_dash};
use crate::cli::settings;
use crate::cli::store::with_existing_ledger;
use crate::cli::table::{Side, Table};
use crate::clock::Clock;
use crate::config::{Overrides, Settings};
use crate::reports::usage::{DEFAULT_BY, group_by};
use crate::reports::usage_csv::csv;
use crate::reports::when;

/// Arguments of `usage`.
#[derive(Debug, clap::Args)]
pub(super) struct UsageArgs {
    /// Group by these, comma-separated: model (the served one), route, key, team, session, turn,
    /// root_turn, repo, kind, endpoint, decision, upstream, day.
    #[arg(long, default_value = DEFAULT_BY.as_str(), value_name = "KEY,…")]
    by: String,
    /// Requests since then: a duration back from now (7d), a date, or an RFC 3339 time.
    #[arg(long, value_name = "T")]
    since: Option<String>,
    /// Requests before then, in the same forms.
    #[arg(long, value_name = "T")]
    until: Option<String>,
    #[command(flatten)]
    only: FilterArgs,
    /// Print one line for a comment on a pull request: cost, sessions, share of the cache.
    #[arg(long, conflicts_with_all = ["by", "format"])]
    branch_summary: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Only requests that match every flag given.
#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Only this repository, as recorded: host and path, such as github.com/acme/shop.
    #[arg(long)]
    repo: Option<String>,
    /// Only this session of Codex.
    #[arg(long)]
    session: Option<String>,
    /// Only the tree of this turn of a user: it and all its subagents.
    #[arg(long, value_name = "TURN")]
    root_turn: Option<String>,
    /// Only the gateway key with this id.
    #[arg(long)]
    key: Option<String>,
    /// Only this team.
    #[arg(long)]
    team: Option<String>,
    /// Only this served model.
    #[arg(long)]
    model: Option<String>,
    /// Only this upstream.
    #[arg(long)]
    upstream: Option<String>,
}

impl FilterArgs {
    fn filters(&self) -> Filters {
        // A remote works too: it names the same repository.
        let repo = self.repo.as_deref();
        let repo = repo.map(|repo| repository(repo).unwrap_or_else(|| repo.to_owned()));
        Filters {
            repo,
            session: self.session.clone(),
            root_turn: self.root_turn.clone(),
            key: self.key.clone(),
            team: self.team.clone(),
            model: self.model.clone(),
            upstream: self.upstream.clone(),
            ..Filters::default()
        }
    }
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

/// Runs `usage`.
pub(super) fn run(overrides: &Overrides, args: &UsageArgs) -> ExitCode {
    answer(overrides, args).unwrap_or_else(|code| code)
}

fn answer(overrides: &Overrides, args: &UsageArgs) -> Result<ExitCode, ExitCode> {
    let settings = settings::load_for_store(overrides)?;
    let query = query(args, Clock::system().now(), &settings.storage.time_zone)
        .map_err(|message| refuse(&message))?;
    if args.branch_summary {
        return branch_summary(&settings, args, query);
    }
    let report = with_existing_ledger(&settings, async |ledger| ledger.usage(&query).await)?;
    let by = group_by(&args.by).map_err(|message| refuse(&message))?;
    match args.format {
        Format::Json => return Ok(print_json(&report)),
        Format::Csv => print_out(&csv(&by, &report)),
        Format::Table => {
            print_out(&table(&by, &report));
            if report.total.unpriced_requests > 0 {
                let by_model = UsageQuery {
                    by: vec![GroupBy::Model],
                    ..query
                };
                let report =
                    with_existing_ledger(&settings, async |ledger| ledger.usage(&by_model).await)?;
                print_out(&unpriced_warning(&report));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for a comment on a pull request.
fn branch_summary(
    settings: &Settings,
    args: &UsageArgs,
    mut query: UsageQuery,
) -> Result<ExitCode, ExitCode> {
    query.by = vec![GroupBy::Session];
    let report = with_existing_ledger(settings, async |ledger| ledger.usage(&query).await)?;
    let sessions = report.rows.iter().filter(|row| has_session(row)).count();
    let of = query.filters.repo.as_deref().unwrap_or("all repositories");
    let since = args.since.as_deref();
    let since = since.map_or_else(String::new, |since| format!(" since {since}"));
    print_out(&summary_line(of, &since, sessions, &report.total));
    Ok(ExitCode::SUCCESS)
}

fn has_session(row: &UsageRow) -> bool {
    row.keys.iter().any(|(_, session)| session.is_some())
}

fn summary_line(of: &str, since: &str, sessions: usize, total: &UsageSums) -> String {
    let many =
        |count: i64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let sessions = many(i64::try_from(sessions).unwrap_or(i64::MAX), "session");
    let requests = many(total.requests, "request");
    let plan = match total.cost_nanos_plan {
        0 => String::new(),
        nanos => format!(" (+ ${} of plan usage at API prices)", usd_or_dash(nanos)),
    };
    let unknown = total
        .unpriced_requests
        .saturating_add(total.unknown_requests);
    let unknown = match unknown {
        0 => String::new(),
        count => format!("; {} without a known cost", many(count, "request")),
    };
    format!(
        "Codex on {of}{since}: ${}{plan}, {sessions}, {requests}, {} of the input from the \
         cache{unknown}",
        Usd::from_nanos(total.cost_nanos_metered),
        hit_share(total)
    )
}

/// A flag whose value is not valid.
fn refuse(message: &str) -> ExitCode {
    print_error(&format!("error: {message}"));
    ExitCode::from(EXIT_USAGE)
}

fn query(args: &UsageArgs, now: Timestamp, zone: &TimeZone) -> Result<UsageQuery, String> {
    let moment = |text: &Option<String>| {
        text.as_deref()
            .map(|text| when::parse(text, now, zone))
            .transpose()
    };
    Ok(UsageQuery {
        by: group_by(&args.by)?,
        since: moment(&args.since)?,
        until: moment(&args.until)?,
        filters: args.only.filters(),
    })
}

/// Models that a warning names.
const MAX_NAMED: usize = 5;

fn table(by: &[GroupBy], report: &UsageReport) -> String {
    let keys = by.iter().map(|by| (by.as_str().to_owned(), Side::Left));
    let figures = [
        "requests",
        "input",
        "cached",
        "hit",
        "output",
        "reasoning",
        "metered $",
        "plan $",
        "unpriced",
        "estimated",
        "unknown",
    ];
    let first = if by.is_empty() {
        vec![(String::new(), Side::Left)]
    } else {
        Vec::new()
    };
    let head = first
        .into_iter()
        .chain(keys)
        .chain(figures.map(|title| (title.to_owned(), Side::Right)))
        .collect();
    let mut table = Table::new(head);
    for row in &report.rows {
        let keys = row.keys.iter().map(|(by, value)| match (by, value) {
            (_, None) => "(none)".to_owned(),
            (GroupBy::Key, Some(id)) => named_key(row, id),
            (_, Some(value)) => value.clone(),
        });
        table.row(keys.chain(figures_of(&row.sums)).collect());
    }
    let blank = std::iter::repeat_n(String::new(), by.len().saturating_sub(1));
    let total = std::iter::once("total".to_owned()).chain(blank);
    table.row(total.chain(figures_of(&report.total)).collect());
    format!(
        "{}\n{}\n",
        table.render(),
        "metered $ is on an API bill; plan $ is what plan usage would have cost at API prices. \
         The two are never added."
    )
}

/// Names the models without a price: what they cost is in no sum. `report` is by model.
fn unpriced_warning(report: &UsageReport) -> String {
    let is_unpriced = |row: &&UsageRow| row.sums.unpriced_requests > 0;
    let mut models: Vec<&str> = report
        .rows
        .iter()
        .filter(is_unpriced)
        .filter_map(|row| row.keys.first()?.1.as_deref())
        .collect();
    let more = match models.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    models.truncate(MAX_NAMED);
    format!(
        "warning: {} requests have no price, and the sums do not contain them ({}{more}). Add a \
         `[[price]]` row for each model to the file in [prices], then run `codex-gateway reprice \
         --apply`.",
        report.total.unpriced_requests,
        models.join(", ")
    )
}

/// A key as a person knows it, with its id.
fn named_key(row: &UsageRow, id: &str) -> String {
    match (&row.key_name, &row.key_owner) {
        (None, _) => id.to_owned(),
        (Some(name), None) => format!("{name} [{id}]"),
        (Some(name), Some(owner)) => format!("{name} ({owner}) [{id}]"),
    }
}

fn figures_of(sums: &UsageSums) -> [String; 11] {
    [
        sums.requests.to_string(),
        sums.input_tokens.to_string(),
        sums.cached_input_tokens.to_string(),
        hit_share(sums),
        sums.output_tokens.to_string(),
        sums.reasoning_tokens.to_string(),
        cost(sums, sums.cost_nanos_metered),
        cost(sums, sums.cost_nanos_plan),
        sums.unpriced_requests.to_string(),
        sums.estimated_requests.to_string(),
        sums.unknown_requests.to_string(),
    ]
}

/// An amount; `?` where nothing is known of it, which is not nothing.
fn cost(sums: &UsageSums, nanos: i64) -> String {
    let is_known = sums.cost_nanos_metered != 0 || sums.cost_nanos_plan != 0;
    if !is_known && sums.unpriced_requests > 0 {
        return "?".to_owned();
    }
    usd_or_dash(nanos)
}

/// How much of the input came from the cache.
fn hit_share(sums: &UsageSums) -> String {
    let (cached, input) = (
        i128::from(sums.cached_input_tokens),
        i128::from(sums.input_tokens),
    );
    if input <= 0 {
        return "-".to_owned();
    }
    // Rounded half up, in integers.
    format!("{}%", (cached * 200 + input) / (2 * input))
}

#[cfg(test)]
mod tests;
