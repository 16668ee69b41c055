//! Writes the made-up days into the ledger: keys, teams, budgets, plan windows and entries, in the
//! order in which they would have come.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use gateway_ledger::{
    AccountLimits, InstanceId, Ledger, LedgerEntry, NewKey, OpenOptions, Opened, Settled,
};
use gateway_policy::Billing;
use gateway_policy::limit::{Budget, Limits, Scope};
use jiff::Timestamp;
use jiff::civil::Weekday;

use super::dice::Dice;
use super::session::{Author, refused_for_money, session};
use super::story::{self, Person, Story, Way};
use crate::clock;
use crate::config::Settings;
use crate::plan_limits::{AccountLimit, AccountPlan, LimitWindow};
use crate::secret::digest;
use crate::tasks::Tasks;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Entries that are written at a time, and share a commit.
const TOGETHER: usize = 256;
/// Who made all this, in the audit log.
const ACTOR: &str = "demo";

/// What was made up.
pub(super) struct Made {
    pub(super) exchanges: usize,
    /// A gateway key that works.
    pub(super) key: String,
}

/// Writes as many days before now.
///
/// # Errors
/// When the store cannot be opened or written.
pub(super) async fn write(settings: &Settings, days: u32) -> anyhow::Result<Made> {
    let now = clock::now();
    let first = now - DAY * days;
    // The ledger's clock: it stands at the time of what is written.
    let time = Arc::new(Mutex::new(first));
    let reader = Arc::clone(&time);
    let Opened { ledger, driver, .. } = Ledger::open(OpenOptions {
        url: settings.storage.url.clone(),
        data_dir: settings.data_dir.clone(),
        instance: InstanceId::new(ACTOR),
        durability: settings.storage.durability,
        retention: None,
        lease: Duration::from_secs(30),
        time_zone: settings.storage.time_zone.clone(),
        clock: Arc::new(move || *reader.lock().unwrap_or_else(PoisonError::into_inner)),
    })
    .await
    .context("cannot open the ledger of the demonstration")?;
    let tasks = Tasks::default();
    tasks.spawn_until_close(driver.run());
    let made = fill(&ledger, settings, &time, (first, now)).await;
    ledger.close().await;
    tasks.ended().await;
    made
}

async fn fill(
    ledger: &Ledger,
    settings: &Settings,
    time: &Mutex<Timestamp>,
    (first, now): (Timestamp, Timestamp),
) -> anyhow::Result<Made> {
    let story = story::read().context("the story of the demonstration")?;
    let mut key = String::new();
    let mut authors = Vec::new();
    teams(ledger, &story).await?;
    for person in &story.people {
        let created = create_key(ledger, person).await?;
        if let Some(created) = &created {
            created.secret.reveal().clone_into(&mut key);
        }
        authors.push(Author {
            person,
            key: created.map(|created| created.id),
            prices: &settings.prices.table,
        });
    }
    let mut entries = days(&authors, first, now);
    entries.sort_by_key(|entry| entry.result.finished_at);
    for together in entries.chunks(TOGETHER) {
        if let Some(last) = together.last() {
            *time.lock().unwrap_or_else(PoisonError::into_inner) = last.result.finished_at;
        }
        let settled = together.iter().map(|entry| ledger.settle(entry.clone()));
        for settled in futures_util::future::join_all(settled).await {
            if let Settled::Unrecorded(error) = settled {
                return Err(error).context("cannot write an entry of the demonstration");
            }
        }
    }
    *time.lock().unwrap_or_else(PoisonError::into_inner) = now;
    plan_windows(ledger, &story, now).await?;
    Ok(Made {
        exchanges: entries.len(),
        key,
    })
}

async fn teams(ledger: &Ledger, story: &Story) -> anyhow::Result<()> {
    for team in &story.teams {
        ledger
            .put_team(&team.name, Limits::default(), ACTOR)
            .await?;
        let budget = Budget::parse(&team.budget, Some("80%"), Billing::Metered)?;
        ledger
            .put_budget(&Scope::Team(team.name.clone()), &budget, ACTOR)
            .await?;
    }
    Ok(())
}

async fn create_key(
    ledger: &Ledger,
    person: &Person,
) -> anyhow::Result<Option<gateway_ledger::CreatedKey>> {
    if person.way == Way::OwnKey {
        return Ok(None);
    }
    let budget = person.budget.as_deref();
    let budget = budget
        .map(|text| Budget::parse(text, Some("80%"), Billing::Metered))
        .transpose()?;
    let new = NewKey {
        name: format!("{}-laptop", person.name),
        owner: Some(person.name.clone()),
        team: person.team.clone(),
        budgets: budget.into_iter().collect(),
        ..NewKey::default()
    };
    Ok(Some(ledger.create_key(&new, ACTOR).await?))
}

/// Everything that everybody did.
fn days(authors: &[Author<'_>], first: Timestamp, now: Timestamp) -> Vec<LedgerEntry> {
    let mut dice = Dice::new(20_261_127);
    let mut entries = Vec::new();
    let mut day = first;
    while day < now {
        let weekday = day.to_zoned(jiff::tz::TimeZone::UTC).weekday();
        let is_weekend = matches!(weekday, Weekday::Saturday | Weekday::Sunday);
        for author in authors {
            let person = author.person;
            let sessions = match (person.is_machine, is_weekend) {
                (true, _) => person.sessions,
                (false, true) => u64::from(dice.happens(15)),
                (false, false) => dice.between(1, person.sessions + 2),
            };
            for _ in 0..sessions {
                let begin = day + Duration::from_secs(dice.between(0, 20 * 3600));
                entries.extend(session(author, begin, &mut dice));
            }
        }
        day += DAY;
    }
    // The machine's budget of today is spent, and it goes on asking.
    for author in authors.iter().filter(|author| author.person.is_machine) {
        for minute in [4, 9, 14, 25] {
            let at = now - Duration::from_secs(minute * 60);
            let mut spree = Vec::new();
            while minute == 25 && spree.len() < 120 {
                spree.extend(session(author, at - Duration::from_secs(1800), &mut dice));
            }
            entries.extend(spree);
            entries.push(refused_for_money(author, at, &mut dice));
        }
    }
    entries.retain(|entry| entry.result.finished_at < now);
    entries
}

async fn plan_windows(ledger: &Ledger, story: &Story, now: Timestamp) -> anyhow::Result<()> {
    let mut used = 34.0;
    for person in story.people.iter().filter(|person| person.way == Way::Plan) {
        let window = |window: &str, used_percent, minutes: u64, hours: u64| LimitWindow {
            window: window.to_owned(),
            used_percent,
            window_minutes: Some(minutes),
            resets_at: Some((now + Duration::from_secs(hours * 3600)).as_second()),
        };
        let plan = AccountPlan {
            plan: person.plan.clone(),
            limits: vec![AccountLimit {
                name: "codex".to_owned(),
                label: None,
                windows: vec![
                    window("primary", used, 300, 2),
                    window("secondary", used + 27.0, 10_080, 61),
                ],
            }],
            credits: None,
        };
        let limits = AccountLimits {
            account: digest(person.name.as_bytes()),
            observed_at: now,
            limits: serde_json::to_value(plan)?,
        };
        ledger.put_account_limits(&limits).await?;
        used += 38.0;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
