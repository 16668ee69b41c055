//! The people of the demonstration, as data.

use serde::Deserialize;

const STORY: &str = include_str!("story.toml");

/// Everybody.
#[derive(Debug, Deserialize)]
pub(super) struct Story {
    pub(super) people: Vec<Person>,
    pub(super) teams: Vec<Team>,
}

/// A team, and what it may spend.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Team {
    pub(super) name: String,
    pub(super) budget: String,
}

/// How somebody pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// A ChatGPT plan, with a gateway key beside it.
    Plan,
    /// A gateway key alone.
    Key,
    /// An API key of their own.
    OwnKey,
}

/// Somebody who works with Codex.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) team: Option<String>,
    pub(super) way: Way,
    pub(super) plan: Option<String>,
    pub(super) model: String,
    /// What answers, since the plan does not have the model.
    pub(super) falls_back_to: Option<String>,
    /// What answers small jobs.
    pub(super) rewritten_to: Option<String>,
    /// What is asked for now and then, and refused.
    pub(super) refused_model: Option<String>,
    /// The rule that decides so.
    pub(super) rule: Option<String>,
    pub(super) repos: Vec<String>,
    /// On a working day.
    pub(super) sessions: u64,
    pub(super) budget: Option<String>,
    /// Works at night and on Sundays too.
    #[serde(default)]
    pub(super) is_machine: bool,
}

/// Reads the story.
///
/// # Errors
/// When the data is not what the types say.
pub(super) fn read() -> Result<Story, toml::de::Error> {
    toml::from_str(STORY)
}
