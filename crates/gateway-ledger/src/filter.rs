//! What reports and listings can be narrowed to. Column names come from here only; values are
//! always bound.

use crate::db::Statement;

/// Only what equals every value given. Empty: everything.
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
pub(crate) enum Source {
    Entries,
    Rollup,
}

impl Filters {
    /// Whether the roll-up has every column that is filtered by.
    pub(crate) const fn fits_rollup(&self) -> bool {
        self.session.is_none() && self.turn.is_none() && self.status.is_none()
    }

    /// Appends `AND column = $n` for each filter and binds its value.
    pub(crate) fn append(&self, source: Source, statement: &mut Statement) {
        let model = match source {
            Source::Entries => "model_served",
            Source::Rollup => "model",
        };
        let conditions = [
            ("route", &self.route),
            ("key_id", &self.key),
            ("team", &self.team),
            ("session_id", &self.session),
            ("turn_id", &self.turn),
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
