//! `codex-gateway demo`: makes up some days, serves them, and prints where to look.

use std::net::SocketAddr;
use std::process::ExitCode;

use crate::cli::output::{print_error, print_out};
use crate::cli::stop_signal;
use crate::demo;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything is in a temporary directory that is deleted at the end (Ctrl-C), and the upstream is a
scripted one: nothing leaves this machine, and nothing needs an account.

Example:
  codex-gateway demo --days 30")]
pub(super) struct DemoArgs {
    /// The address to listen on; by default a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How many days are made up.
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=90))]
    days: u32,
}

/// Serves until it is asked to stop.
pub(super) fn run(args: &DemoArgs) -> ExitCode {
    if !args.listen.ip().is_loopback() {
        print_error(
            "error: the demonstration has keys that anybody may know; it listens on loopback only",
        );
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(&format!("error: cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    print_error(&format!("making up {} days of traffic …", args.days));
    let tell = |invitation: &demo::Invitation, dir: &std::path::Path| {
        let (base, dir) = (&invitation.base_url, dir.display());
        print_out(&format!(
            "codex-gateway demo: {} made-up exchanges; nothing leaves this machine\n\
             \n\
             dashboard  {}\n\
             \x20          (the link works once, within ten minutes)\n\
             ask it     codex exec -c 'openai_base_url=\"{base}\"' 'Say hello.'\n\
             \x20          curl -s {base}/responses -H 'authorization: Bearer {}' -H 'content-type: application/json' \\\n\
             \x20            -d '{{\"model\":\"gpt-6.2-sol\",\"input\":\"Say hello.\"}}'\n\
             sums       codex-gateway --data-dir {dir} usage --by team,model\n\
             \n\
             Ctrl-C ends it and deletes {dir}",
            invitation.exchanges, invitation.link, invitation.key
        ));
    };
    let served = runtime.block_on(demo::run(
        args.listen,
        args.days,
        tell,
        stop_signal::received(),
    ));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
