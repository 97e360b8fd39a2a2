//! `hodoscope serve`: the server's life, from settings to drain.

use std::process::ExitCode;

use super::Context;

/// The arguments of `hodoscope serve`. Each is a setting, too.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where scoring is served [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    data_address: Option<String>,
    /// Where metrics, the roster and uploads are served [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    admin_address: Option<String>,
    /// Accept releases over the admin port (with the token); they are stored, never served at once
    #[arg(long)]
    accept_uploads: bool,
    /// Let load and unload act freely, whatever the channel says
    #[arg(long)]
    dev: bool,
}

impl Args {
    /// The settings among the arguments, as `(key, value)`.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let valued = [
            ("data_address", self.data_address.clone()),
            ("admin_address", self.admin_address.clone()),
            (
                "accept_uploads",
                self.accept_uploads.then(|| "true".to_owned()),
            ),
            ("dev", self.dev.then(|| "true".to_owned())),
        ];
        valued
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect()
    }
}

/// Runs the command.
pub fn run(_args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`serve` is not part of this build yet")
}
