//! Translation as its callers see it: the golden matrix over fixtures, and properties that must
//! hold for any input.

#[cfg(test)]
#[path = "translate/docs.rs"]
mod docs;
#[cfg(test)]
#[path = "translate/golden.rs"]
mod golden;
#[cfg(test)]
#[path = "translate/harness.rs"]
mod harness;
#[cfg(test)]
#[path = "translate/properties.rs"]
mod properties;
#[cfg(test)]
#[path = "translate/rules.rs"]
mod rules;
#[cfg(test)]
#[path = "translate/unreadable.rs"]
mod unreadable;
