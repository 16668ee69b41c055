//! Sums of the ledger as CSV (RFC 4180), for spreadsheets.

use gateway_ledger::{GroupBy, UsageReport, UsageSums};

type ReadSum = fn(&UsageSums) -> i64;

const SUMS: [(&str, ReadSum); 11] = [
    ("requests", |sums| sums.requests),
    ("input_tokens", |sums| sums.input_tokens),
    ("cached_input_tokens", |sums| sums.cached_input_tokens),
    ("cache_write_tokens", |sums| sums.cache_write_tokens),
    ("output_tokens", |sums| sums.output_tokens),
    ("reasoning_tokens", |sums| sums.reasoning_tokens),
    ("cost_nanos_metered", |sums| sums.cost_nanos_metered),
    ("cost_nanos_plan", |sums| sums.cost_nanos_plan),
    ("unpriced_requests", |sums| sums.unpriced_requests),
    ("estimated_requests", |sums| sums.estimated_requests),
    ("unknown_requests", |sums| sums.unknown_requests),
];

/// The same names as in JSON, integers, no total: a spreadsheet adds up itself.
pub fn csv(by: &[GroupBy], report: &UsageReport) -> String {
    let keys = by.iter().map(|by| by.as_str());
    let names = by
        .contains(&GroupBy::Key)
        .then_some(["key_name", "key_owner"]);
    let keys = keys.chain(names.into_iter().flatten());
    let head: Vec<&str> = keys.chain(SUMS.iter().map(|(name, _)| *name)).collect();
    let mut lines = vec![head.join(",")];
    let sums_of = |sums: &UsageSums| SUMS.map(|(_, read)| read(sums).to_string());
    if by.is_empty() {
        lines.push(sums_of(&report.total).join(","));
    }
    for row in &report.rows {
        let keys = row
            .keys
            .iter()
            .map(|(_, value)| quoted(value.as_deref().unwrap_or("")));
        let named =
            [&row.key_name, &row.key_owner].map(|name| quoted(name.as_deref().unwrap_or("")));
        let keys = keys.chain(names.map(|_| named).into_iter().flatten());
        let cells: Vec<String> = keys.chain(sums_of(&row.sums)).collect();
        lines.push(cells.join(","));
    }
    lines.join("\r\n")
}

/// A field of RFC 4180. A leading `=`, `+`, `-` or `@` would be a formula to a spreadsheet; a quote
/// in front makes it text.
fn quoted(field: &str) -> String {
    let field = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula() {
        assert_eq!(quoted("=cmd()"), "'=cmd()");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("gpt-5.5"), "gpt-5.5");
    }
}
