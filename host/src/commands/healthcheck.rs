//! `hodoscope healthcheck`: asks the host of this machine whether it is ready, for container health checks where no other
//! program is in the image. Exit code 0 if it is.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::Context;

/// How long the host may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The arguments of `hodoscope healthcheck`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host's admin port [default: the setting `admin_address`, on loopback]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Ask only whether the process lives, not whether it serves all that is wanted
    #[arg(long)]
    live: bool,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let url = args.url.unwrap_or_else(|| {
        // A host that listens on every address answers on loopback, too.
        let mut address = context.config.http.admin_address;
        if address.ip().is_unspecified() {
            let loopback = match address.is_ipv4() {
                true => std::net::Ipv4Addr::LOCALHOST.into(),
                false => std::net::Ipv6Addr::LOCALHOST.into(),
            };
            address.set_ip(loopback);
        }
        format!("http://{address}")
    });
    let path = if args.live { "live" } else { "ready" };
    let url = format!("{}/v2/health/{path}", url.trim_end_matches('/'));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let answer = agent.get(&url).call();
    let status = answer
        .with_context(|| format!("no host answers on {url}"))?
        .status();
    if !status.is_success() {
        anyhow::bail!("the host is not ready: {url} answers {status}; `hodoscope status` says why");
    }
    context.answer(
        &serde_json::json!({"url": url, "ok": true}),
        format_args!("{path}"),
    )?;
    Ok(ExitCode::SUCCESS)
}
