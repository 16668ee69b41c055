//! The scripted upstream as a process, for demonstrations and benchmarks.
//!
//! `provider-sim [--listen 127.0.0.1:0] [--script FILE]` prints
//! `{"address":"127.0.0.1:PORT","base_url":"…"}` as one line and serves until it is stopped. See
//! `harness/upstream/script.rs` for the script, `/__sim/` for what it saw.

use gateway_tests::upstream::{Script, Upstream};
use std::process::ExitCode;
use tokio::net::TcpListener;

const USAGE: &str = "usage: provider-sim [--listen ADDRESS] [--script FILE]";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("provider-sim: {problem}");
            ExitCode::from(64)
        }
    }
}

async fn run() -> Result<(), String> {
    let mut listen = "127.0.0.1:0".to_owned();
    let mut script = Script::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match argument.as_str() {
            "--listen" => listen = value,
            "--script" => {
                let text = std::fs::read_to_string(&value)
                    .map_err(|error| format!("cannot read `{value}`: {error}"))?;
                script =
                    serde_json::from_str(&text).map_err(|error| format!("`{value}`: {error}"))?;
            }
            _ => return Err(USAGE.to_owned()),
        }
    }
    let listener = TcpListener::bind(&listen)
        .await
        .map_err(|error| format!("cannot listen on `{listen}`: {error}"))?;
    let upstream = Upstream::on(listener, script);
    println!(
        "{}",
        serde_json::json!({"address": upstream.address().to_string(), "base_url": upstream.base_url()})
    );
    upstream.run().await;
    Ok(())
}
