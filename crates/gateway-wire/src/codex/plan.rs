//! Plan limits of a ChatGPT account, from response headers or from a `codex.rate_limits` event.
//! Adds nothing up.

use http::HeaderMap;
use serde_json::Value;

/// Limits of one account as told with one answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanLimits {
    /// The plan's name.
    pub plan: Option<String>,
    /// Every limit, by name; at most 16.
    pub limits: Vec<PlanLimit>,
    /// Bought credits.
    pub credits: Option<PlanCredits>,
}

/// One limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanLimit {
    /// Its id; the main one is `codex`.
    pub name: String,
    /// Its name for people.
    pub label: Option<String>,
    /// Its windows.
    pub windows: Vec<PlanWindow>,
}

/// How much of a limit is used in one window of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanWindow {
    /// Which one.
    pub slot: WindowSlot,
    /// 0 to 100, sometimes above.
    pub used_percent: f64,
    /// Length of the window.
    pub window_minutes: Option<u64>,
    /// When it starts anew, Unix seconds.
    pub resets_at: Option<i64>,
    /// The same, from now on; older backends say only this.
    pub resets_in_seconds: Option<u64>,
}

crate::words! {
    /// The two windows a limit can have.
    pub enum WindowSlot {
        /// The short one.
        Primary = "primary",
        /// The long one.
        Secondary = "secondary",
    }
}

/// Credits bought on top of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanCredits {
    /// Whether there are any.
    pub has_credits: bool,
    /// Whether they never end.
    pub unlimited: bool,
    /// What is left, in the backend's own words.
    pub balance: Option<String>,
}

/// Most limits that are kept of one answer.
const MAX_LIMITS: usize = 16;
/// The main limit's id.
const MAIN: &str = "codex";

impl PlanLimits {
    /// Reads `x-codex-…` and all other `x-<limit>-…` families. `None` when there are none.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name: String| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let mut found = Self {
            plan: text("x-codex-plan-type".to_owned()),
            ..Self::default()
        };
        let mut names: Vec<&str> = headers
            .keys()
            .filter_map(|name| family(name.as_str()))
            .collect();
        names.sort_unstable();
        names.dedup();
        // The main limit is never the one that is left out.
        names.sort_by_key(|name| *name != MAIN);
        for name in names.into_iter().take(MAX_LIMITS) {
            let windows = WindowSlot::ALL.iter().filter_map(|slot| {
                let field = |field: &str| text(format!("x-{name}-{}-{field}", slot.as_str()));
                Some(PlanWindow {
                    slot: *slot,
                    used_percent: percent(field("used-percent")?.trim().parse().ok()?)?,
                    window_minutes: field("window-minutes")
                        .and_then(|text| text.trim().parse().ok()),
                    resets_at: field("reset-at").and_then(|text| text.trim().parse().ok()),
                    resets_in_seconds: field("reset-after-seconds")
                        .and_then(|text| text.trim().parse().ok()),
                })
            });
            let windows: Vec<_> = windows.collect();
            if !windows.is_empty() {
                found.limits.push(PlanLimit {
                    name: name.to_owned(),
                    label: text(format!("x-{name}-limit-name")),
                    windows,
                });
            }
        }
        let flag = |name: &str| {
            text(name.to_owned()).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
        };
        if headers.contains_key("x-codex-credits-has-credits") {
            found.credits = Some(PlanCredits {
                has_credits: flag("x-codex-credits-has-credits"),
                unlimited: flag("x-codex-credits-unlimited"),
                balance: text("x-codex-credits-balance".to_owned()).filter(|text| !text.is_empty()),
            });
        }
        found.or_none()
    }

    /// Reads the JSON data of a `codex.rate_limits` event. `None` when it is none or says nothing.
    pub fn from_event(data: &[u8]) -> Option<Self> {
        let event: Value = serde_json::from_slice(data).ok()?;
        if event.get("type").and_then(Value::as_str) != Some("codex.rate_limits") {
            return None;
        }
        let text =
            |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut found = Self {
            plan: text(&event, "plan_type"),
            ..Self::default()
        };
        let windows: Vec<_> = WindowSlot::ALL
            .iter()
            .filter_map(|slot| {
                let window = event.get("rate_limits")?.get(slot.as_str())?;
                Some(PlanWindow {
                    slot: *slot,
                    used_percent: percent(window.get("used_percent")?.as_f64()?)?,
                    window_minutes: window.get("window_minutes").and_then(Value::as_u64),
                    resets_at: window.get("reset_at").and_then(Value::as_i64),
                    resets_in_seconds: window.get("reset_after_seconds").and_then(Value::as_u64),
                })
            })
            .collect();
        if !windows.is_empty() {
            let name = text(&event, "metered_limit_name").unwrap_or_else(|| MAIN.to_owned());
            found.limits.push(PlanLimit {
                name,
                label: text(&event, "limit_name"),
                windows,
            });
        }
        found.credits = event
            .get("credits")
            .filter(|credits| credits.is_object())
            .map(|credits| {
                let flag = |name: &str| credits.get(name).and_then(Value::as_bool).unwrap_or(false);
                PlanCredits {
                    has_credits: flag("has_credits"),
                    unlimited: flag("unlimited"),
                    balance: text(credits, "balance"),
                }
            });
        found.or_none()
    }

    fn or_none(self) -> Option<Self> {
        let is_empty = self.plan.is_none() && self.limits.is_empty() && self.credits.is_none();
        (!is_empty).then_some(self)
    }
}

/// The limit a header speaks of.
fn family(header: &str) -> Option<&str> {
    let rest = header.strip_prefix("x-")?;
    let name = rest
        .strip_suffix("-primary-used-percent")
        .or_else(|| rest.strip_suffix("-secondary-used-percent"))?;
    (!name.is_empty()).then_some(name)
}

fn percent(used: f64) -> Option<f64> {
    (used.is_finite() && used >= 0.0).then_some(used)
}
