//! What reports and listings can be narrowed to. Column names come from here only; values are
//! always bound.

use jiff::Timestamp;

use crate::db::Statement;

/// Only entries that equal every value given. Empty: all entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// The auth route's word.
    pub route: Option<String>,
    /// A gateway key's id.
    pub key: Option<String>,
    /// A team.
    pub team: Option<String>,
    /// Codex's session.
    pub session: Option<String>,
    /// Codex's turn.
    pub turn: Option<String>,
    /// The user's turn that a turn serves.
    pub root_turn: Option<String>,
    /// The repository, as recorded.
    pub repo: Option<String>,
    /// Turn, subagent, review, compaction, memory.
    pub kind: Option<String>,
    /// The endpoint.
    pub endpoint: Option<String>,
    /// What became of the model.
    pub decision: Option<String>,
    /// The upstream.
    pub upstream: Option<String>,
    /// The served model.
    pub model: Option<String>,
    /// How the exchange ended.
    pub outcome: Option<String>,
    /// `metered` or `plan`.
    pub billing: Option<String>,
    /// The status the client got.
    pub status: Option<u16>,
}

/// Which table the conditions are for; the two name some columns differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queried {
    Entries,
    Rollup,
}

/// Appends the conditions on when requests arrived, each behind an `AND`.
pub(crate) fn append_times(
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    statement: &mut Statement,
) {
    for (bound, condition) in [
        (since, " AND started_at >= "),
        (until, " AND started_at < "),
    ] {
        if let Some(bound) = bound {
            statement.push(condition).bind(bound.as_microsecond());
        }
    }
}

impl Filters {
    /// Whether the roll-up has every column that is filtered by.
    pub(crate) const fn fits_rollup(&self) -> bool {
        self.session.is_none()
            && self.turn.is_none()
            && self.root_turn.is_none()
            && self.status.is_none()
    }

    /// Appends `AND column = $n` for each filter and binds its value.
    pub(crate) fn append(&self, queried: Queried, statement: &mut Statement) {
        let model = match queried {
            Queried::Entries => "model_served",
            Queried::Rollup => "model",
        };
        let conditions = [
            ("route", &self.route),
            ("key_id", &self.key),
            ("team", &self.team),
            ("session_id", &self.session),
            ("turn_id", &self.turn),
            ("root_turn", &self.root_turn),
            ("repo", &self.repo),
            ("request_kind", &self.kind),
            ("endpoint", &self.endpoint),
            ("decision", &self.decision),
            ("upstream", &self.upstream),
            (model, &self.model),
            ("outcome", &self.outcome),
            ("billing", &self.billing),
        ];
        for (column, value) in conditions {
            if let Some(value) = value {
                statement
                    .push(" AND ")
                    .push(column)
                    .push(" = ")
                    .bind(value.as_str());
            }
        }
        if let Some(status) = self.status {
            statement.push(" AND status = ").bind(i64::from(status));
        }
    }
}
