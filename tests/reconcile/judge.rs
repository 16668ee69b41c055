//! Compares the books with what the upstream served and what the clients saw. Every difference is a
//! sentence.

use crate::mix::{Seen, TAG};
use crate::store::Books;
use gateway_ledger::{LedgerEntry, Outcome, UsageSource};
use gateway_tests::upstream::{Recorded, Served, Usage};
use gateway_wire::SendState;
use std::collections::{BTreeMap, HashMap, HashSet};

pub(crate) struct Verdict {
    pub(crate) mismatches: Vec<String>,
    /// Entries whose usage equals the tally's.
    pub(crate) exact: usize,
    pub(crate) summary: String,
}

/// Everything about one exchange.
#[derive(Default)]
struct Case<'a> {
    seen: Option<&'a Seen>,
    calls: Vec<&'a Served>,
    entries: Vec<&'a LedgerEntry>,
}

pub(crate) fn compare(
    seen: &[Seen],
    requests: &[Recorded],
    served: &[Served],
    books: &Books,
) -> Verdict {
    let mut mismatches = Vec::new();
    let tags: HashMap<usize, &str> = requests
        .iter()
        .filter_map(|request| Some((request.number, request.header(TAG)?)))
        .collect();
    let mut cases: BTreeMap<&str, Case<'_>> = BTreeMap::new();
    for one in seen {
        cases.entry(&one.ask.tag).or_default().seen = Some(one);
    }
    for call in served {
        match tags.get(&call.number) {
            Some(tag) => cases.entry(tag).or_default().calls.push(call),
            None => mismatches.push(format!("request {} upstream has no session", call.number)),
        }
    }
    let mut ids = HashSet::new();
    for entry in &books.entries {
        if !ids.insert(entry.id().as_str()) {
            mismatches.push(format!("entry {} is there twice", entry.id()));
        }
        match &entry.intent.turn.session_id {
            Some(tag) => cases.entry(tag).or_default().entries.push(entry),
            None => mismatches.push(format!("entry {} has no session", entry.id())),
        }
    }
    let mut exact = 0;
    for (tag, case) in &cases {
        match case.check() {
            Ok(is_exact) => exact += usize::from(is_exact),
            Err(problems) => {
                mismatches.extend(
                    problems
                        .iter()
                        .map(|problem| format!("{tag}: {problem}; {}", case.describe())),
                );
            }
        }
    }
    mismatches.extend(
        books
            .open
            .iter()
            .map(|entry| format!("intent {} was left open", entry.id())),
    );
    mismatches.extend(sums_differ(books));
    Verdict {
        summary: summary(seen, served, books, exact),
        mismatches,
        exact,
    }
}

impl Case<'_> {
    /// Whether the entry's usage is the tally's, or what is wrong.
    fn check(&self) -> Result<bool, Vec<String>> {
        let mut problems = Vec::new();
        let has_head = self.seen.is_some_and(|seen| seen.id.is_some());
        let entry = match self.entries.as_slice() {
            [] if self.calls.is_empty() && !has_head => return Ok(false),
            [entry] => *entry,
            entries => return Err(vec![format!("{} entries", entries.len())]),
        };
        if let Some(id) = self.seen.and_then(|seen| seen.id.as_deref())
            && id != entry.id().as_str()
        {
            problems.push(format!("the client was told the id {id}"));
        }
        let called = entry
            .intent
            .dispatch
            .attempts
            .iter()
            .filter(|attempt| attempt.sent != SendState::NotSent)
            .count();
        if self.calls.len() > called && entry.result.outcome != Outcome::Interrupted {
            problems.push(format!(
                "{} calls upstream, {called} of them in the entry",
                self.calls.len()
            ));
        }
        let answered = self.calls.iter().rev().find(|call| call.completed);
        let booked = entry.result.usage.map(booked);
        let has_end = self.seen.is_some_and(|seen| seen.has_end);
        let mut is_exact = false;
        if let (Some(call), true) = (answered, has_end) {
            let source = match call.usage {
                Some(_) => UsageSource::Reported,
                None => UsageSource::Unknown,
            };
            is_exact = booked == call.usage && entry.result.usage_source == source;
            if !is_exact {
                problems.push(format!(
                    "served {:?}, booked {booked:?} ({})",
                    call.usage, entry.result.usage_source
                ));
            }
        } else if entry.result.usage_source == UsageSource::Reported
            && answered.is_some_and(|call| booked != call.usage)
        {
            problems.push(format!("booked {booked:?} as reported"));
        }
        if has_end && entry.result.outcome == Outcome::Interrupted {
            problems.push("the client has the end of what is booked as interrupted".to_owned());
        }
        if problems.is_empty() {
            Ok(is_exact)
        } else {
            Err(problems)
        }
    }

    fn describe(&self) -> String {
        let entries: Vec<String> = self
            .entries
            .iter()
            .map(|entry| {
                format!(
                    "{} {} {:?} attempts {:?}",
                    entry.id(),
                    entry.result.outcome,
                    entry.result.status,
                    entry.intent.dispatch.attempts
                )
            })
            .collect();
        format!(
            "{:?}; calls {:?}; entries {entries:?}",
            self.seen, self.calls
        )
    }
}

/// The ledger's counts in the harness's words.
fn booked(usage: gateway_wire::Usage) -> Usage {
    Usage {
        input: usage.input(),
        cached: usage.cached_input(),
        cache_write: usage.cache_write(),
        output: usage.output(),
        reasoning: usage.reasoning(),
    }
}

/// Reports are made from sums that are kept beside the entries: both must say the same.
fn sums_differ(books: &Books) -> Option<String> {
    let sum = |count: fn(gateway_wire::Usage) -> u64| {
        books
            .entries
            .iter()
            .filter_map(|entry| entry.result.usage)
            .map(|usage| i64::try_from(count(usage)).expect("a count fits"))
            .sum::<i64>()
    };
    let by_entry = (
        i64::try_from(books.entries.len()).expect("a count fits"),
        sum(gateway_wire::Usage::input),
        sum(gateway_wire::Usage::cached_input),
        sum(gateway_wire::Usage::output),
    );
    let total = &books.total;
    let reported = (
        total.requests,
        total.input_tokens,
        total.cached_input_tokens,
        total.output_tokens,
    );
    (by_entry != reported)
        .then(|| format!("the entries sum to {by_entry:?}, the report says {reported:?}"))
}

fn summary(seen: &[Seen], served: &[Served], books: &Books, exact: usize) -> String {
    let ends = seen.iter().filter(|one| one.has_end).count();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &books.entries {
        *outcomes.entry(entry.result.outcome.as_str()).or_default() += 1;
    }
    let mut statuses: BTreeMap<Option<u16>, usize> = BTreeMap::new();
    for one in seen {
        *statuses.entry(one.status).or_default() += 1;
    }
    format!(
        "{ends} ends seen by clients, {} calls upstream, {} entries, {exact} of them exactly the \
         tally's; outcomes {outcomes:?}; statuses {statuses:?}",
        served.len(),
        books.entries.len()
    )
}
