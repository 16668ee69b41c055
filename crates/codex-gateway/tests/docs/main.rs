//! The documents and the shipped configuration say what is true. Tests what is written against what
//! runs; nothing here tests the gateway itself.

#[cfg(test)]
mod config_file;
#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod guide;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod reload;
