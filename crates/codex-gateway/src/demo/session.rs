//! One session of Codex as ledger entries: turns with tool calls, a context that grows and is
//! compacted, subagents, and what goes wrong now and then. Pure: time and chance are arguments.

use std::time::Duration;

use gateway_ledger::{
    AttemptRecord, Attribution, Cost, CostSource, DispatchRecord, EntryId, EntryResult, InstanceId,
    Intent, LedgerEntry, Outcome, TurnRecord, UsageSource,
};
use gateway_policy::price::{PriceTable, Pricing};
use gateway_policy::{AuthRoute, Billing, DecisionKind, ModelId};
use gateway_wire::{SendState, Usage};
use jiff::Timestamp;

use super::dice::Dice;
use super::story::{Person, Way};

/// Where a context is compacted, in tokens.
const FULL: u64 = 180_000;
/// What is left of it.
const COMPACTED: u64 = 24_000;

/// Who a session belongs to, and what it is priced by.
pub(super) struct Author<'a> {
    pub(super) person: &'a Person,
    /// The id of the gateway key.
    pub(super) key: Option<String>,
    pub(super) prices: &'a PriceTable,
}

impl Author<'_> {
    const fn route(&self) -> AuthRoute {
        match self.person.way {
            Way::Plan => AuthRoute::Chatgpt,
            Way::Key => AuthRoute::GatewayKey,
            Way::OwnKey => AuthRoute::ApiKey,
        }
    }

    const fn upstream(&self) -> &'static str {
        match self.person.way {
            Way::Plan => "chatgpt",
            Way::Key => "team",
            Way::OwnKey => "openai",
        }
    }
}

/// A thread of requests.
struct Thread<'a> {
    author: &'a Author<'a>,
    session: String,
    id: String,
    parent: Option<String>,
    repo: String,
    commit: String,
    root_turn: String,
    at: Timestamp,
    /// Tokens of the context, and how many of them the upstream has seen.
    context: u64,
    seen: u64,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    Left,
    CutOff,
    Overloaded,
    /// A budget is spent.
    OverBudget,
    /// A rule refuses the model.
    Refused,
}

/// The entries of a session that begins then.
pub(super) fn session(author: &Author<'_>, begin: Timestamp, dice: &mut Dice) -> Vec<LedgerEntry> {
    let mut entries = Vec::new();
    let id = EntryId::at(begin).to_string();
    let mut main = Thread {
        author,
        session: id.clone(),
        id,
        parent: None,
        repo: dice
            .one_of(&author.person.repos)
            .cloned()
            .unwrap_or_default(),
        commit: format!(
            "{:016x}{:016x}{:08x}",
            dice.between(0, u64::MAX),
            dice.between(0, u64::MAX),
            dice.between(0, 1 << 32)
        ),
        root_turn: String::new(),
        at: begin,
        context: dice.between(14_000, 21_000),
        seen: dice.between(0, 12_000),
    };
    if author.person.refused_model.is_some() && dice.happens(40) {
        main.root_turn = EntryId::at(main.at).to_string();
        entries.push(main.request("turn", Fate::Refused, dice));
    }
    for _ in 0..dice.between(2, if author.person.is_machine { 4 } else { 11 }) {
        main.turn(&mut entries, dice);
        if main.context > FULL {
            entries.push(main.request("compaction", Fate::Answered, dice));
            (main.context, main.seen) = (COMPACTED, 11_000);
        }
        main.wait(dice.between(15, 420));
    }
    if dice.happens(10) {
        entries.push(main.request("review", Fate::Answered, dice));
    }
    entries
}

/// A request that a spent budget refuses.
pub(super) fn refused_for_money(
    author: &Author<'_>,
    at: Timestamp,
    dice: &mut Dice,
) -> LedgerEntry {
    let id = EntryId::at(at).to_string();
    let mut thread = Thread {
        author,
        session: id.clone(),
        id: id.clone(),
        parent: None,
        repo: dice
            .one_of(&author.person.repos)
            .cloned()
            .unwrap_or_default(),
        commit: format!("{:040x}", dice.between(0, u64::MAX)),
        root_turn: id,
        at,
        context: 15_000,
        seen: 0,
    };
    thread.request("turn", Fate::OverBudget, dice)
}

impl Thread<'_> {
    fn wait(&mut self, seconds: u64) {
        self.at += Duration::from_secs(seconds);
    }

    /// A turn: requests until the model has no more tools to call.
    fn turn(&mut self, entries: &mut Vec<LedgerEntry>, dice: &mut Dice) {
        self.root_turn = EntryId::at(self.at).to_string();
        let calls = dice.between(1, 8);
        for call in 0..calls {
            self.context += dice.between(300, 7_000);
            let fate = match dice.between(0, 400) {
                0..=4 if call + 1 == calls => Fate::Left,
                5 => Fate::CutOff,
                6 | 7 => Fate::Overloaded,
                _ => Fate::Answered,
            };
            entries.push(self.request("turn", fate, dice));
            self.wait(dice.between(1, 25));
        }
        if !self.author.person.is_machine && dice.happens(12) {
            self.subagents(entries, dice);
        }
    }

    fn subagents(&self, entries: &mut Vec<LedgerEntry>, dice: &mut Dice) {
        for _ in 0..dice.between(1, 4) {
            let mut child = Thread {
                id: EntryId::at(self.at).to_string(),
                parent: Some(self.id.clone()),
                session: self.session.clone(),
                repo: self.repo.clone(),
                commit: self.commit.clone(),
                root_turn: self.root_turn.clone(),
                context: dice.between(13_000, 16_000),
                seen: 11_000,
                ..*self
            };
            for _ in 0..dice.between(2, 7) {
                child.context += dice.between(300, 5_000);
                entries.push(child.request("subagent", Fate::Answered, dice));
                child.wait(dice.between(1, 15));
            }
        }
    }

    /// One exchange, and the time that it takes.
    fn request(&mut self, kind: &str, fate: Fate, dice: &mut Dice) -> LedgerEntry {
        let person = self.author.person;
        let is_small = person.rewritten_to.is_some() && dice.happens(25);
        let requested = match fate {
            Fate::Refused => person
                .refused_model
                .clone()
                .unwrap_or_else(|| person.model.clone()),
            Fate::Answered | Fate::Left | Fate::CutOff | Fate::Overloaded | Fate::OverBudget => {
                person.model.clone()
            }
        };
        let dispatch = self.dispatch(&requested, fate, is_small);
        let output = dice.between(40, 1_900);
        let usage = self.usage(fate, output, output * dice.between(0, 60) / 100);
        let ttft = dice.between(350, 4_000);
        let duration = match fate {
            Fate::OverBudget | Fate::Refused => dice.between(1, 4),
            Fate::Overloaded => ttft,
            Fate::Answered | Fate::Left | Fate::CutOff => {
                ttft + output * 1_000 / dice.between(60, 140)
            }
        };
        let started_at = self.at;
        self.at += Duration::from_millis(duration);
        let (outcome, status, usage_source) = match fate {
            Fate::Answered => (Outcome::Completed, 200, UsageSource::Reported),
            Fate::Left => (Outcome::ClientGone, 200, UsageSource::Estimated),
            Fate::CutOff => (Outcome::UpstreamTruncated, 200, UsageSource::Estimated),
            Fate::Overloaded => (Outcome::Failed, 503, UsageSource::Unknown),
            Fate::OverBudget => (Outcome::Rejected, 429, UsageSource::Unknown),
            Fate::Refused => (Outcome::Rejected, 400, UsageSource::Unknown),
        };
        let id = EntryId::at(started_at);
        let is_generated = usage.is_some();
        let result = EntryResult {
            finished_at: self.at,
            status: Some(status),
            outcome,
            usage_source,
            cost: self.cost(dispatch.model_served.as_deref(), usage, started_at),
            usage,
            tool_calls: std::collections::BTreeMap::new(),
            service_tier: is_generated.then(|| "default".to_owned()),
            ttft_ms: is_generated.then_some(ttft),
            duration_ms: duration,
            upstream_response_id: is_generated
                .then(|| format!("resp_{}", id.as_str().replace('-', ""))),
            instance: InstanceId::new("demo"),
            corrects: None,
        };
        let intent = Intent {
            id,
            started_at,
            attribution: self.attribution(),
            turn: self.turn_record(kind),
            endpoint: "responses".to_owned(),
            is_free: false,
            model_requested: Some(requested),
            service_tier_requested: None,
            dispatch,
        };
        LedgerEntry { intent, result }
    }

    fn usage(&mut self, fate: Fate, output: u64, reasoning: u64) -> Option<Usage> {
        match fate {
            Fate::Answered | Fate::Left | Fate::CutOff => {}
            Fate::Overloaded | Fate::OverBudget | Fate::Refused => return None,
        }
        // Caches work in blocks.
        let cached = self.seen.min(self.context) / 128 * 128;
        self.seen = self.context;
        let usage = Usage::new(self.context, cached, 0, output, reasoning).ok();
        self.context += output;
        usage
    }

    fn cost(&self, model: Option<&str>, usage: Option<Usage>, at: Timestamp) -> Cost {
        let model = model.and_then(|model| ModelId::new(model).ok());
        let (Some(model), Some(usage)) = (model, usage) else {
            return Cost::UNPRICED;
        };
        let prices = self.author.prices;
        let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        match prices.cost(&model, usage, Some("default"), day) {
            Pricing::Priced {
                nanos, estimated, ..
            } => Cost {
                price_version: Some(prices.version().to_owned()),
                source: CostSource::Calculated,
                nanos: Some(nanos),
                is_estimated: estimated,
            },
            Pricing::Unpriced { .. } => Cost::UNPRICED,
        }
    }

    fn attribution(&self) -> Attribution {
        let person = self.author.person;
        let route = self.author.route();
        let digest = crate::secret::digest(person.name.as_bytes());
        Attribution {
            route,
            caller: Some(format!("{}:{digest}", route.as_str())),
            key: self.author.key.clone(),
            team: person.team.clone(),
        }
    }

    fn turn_record(&self, kind: &str) -> TurnRecord {
        TurnRecord {
            session_id: Some(self.session.clone()),
            thread_id: Some(self.id.clone()),
            turn_id: Some(self.root_turn.clone()),
            request_kind: Some(kind.to_owned()),
            repo: Some(self.repo.clone()),
            commit: Some(self.commit.clone()),
            root_turn: Some(self.root_turn.clone()),
            parent: self.parent.clone(),
        }
    }

    fn dispatch(&self, requested: &str, fate: Fate, is_small: bool) -> DispatchRecord {
        let person = self.author.person;
        let upstream = self.author.upstream();
        let attempt = |model: &str, status: u16, failure: Option<&str>| AttemptRecord {
            model: model.to_owned(),
            upstream: upstream.to_owned(),
            status: Some(status),
            failure: failure.map(str::to_owned),
            sent: SendState::Sent,
        };
        let (served, decision, rule) = match (fate, &person.falls_back_to, &person.rewritten_to) {
            (Fate::Refused, _, _) => (None, DecisionKind::Rejected, person.rule.clone()),
            (_, Some(other), _) => (Some(other.clone()), DecisionKind::FellBack, None),
            (_, None, Some(other)) if is_small => (
                Some(other.clone()),
                DecisionKind::Rewritten,
                person.rule.clone(),
            ),
            (_, None, _) => (Some(requested.to_owned()), DecisionKind::Passed, None),
        };
        let mut attempts = Vec::new();
        if let Some(model) = &served {
            let is_first = self.seen < COMPACTED && decision == DecisionKind::FellBack;
            if is_first {
                attempts.push(attempt(requested, 400, Some("unsupported_model")));
            }
            match fate {
                Fate::Overloaded => attempts.push(attempt(model, 503, Some("overloaded"))),
                Fate::OverBudget => attempts.clear(),
                Fate::Answered | Fate::Left | Fate::CutOff | Fate::Refused => {
                    attempts.push(attempt(model, 200, None));
                }
            }
        }
        DispatchRecord {
            upstream: Some(upstream.to_owned()),
            model_served: served,
            decision,
            rule,
            attempts,
            billing: match self.author.route() {
                AuthRoute::Chatgpt => Billing::Plan,
                AuthRoute::ApiKey | AuthRoute::GatewayKey | AuthRoute::Anonymous => {
                    Billing::Metered
                }
            },
        }
    }
}
