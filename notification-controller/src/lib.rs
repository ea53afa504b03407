//! Dispatches events and receives webhooks.

mod options;

pub use options::{Options, PROFILE};

use fluxide_runtime::{CancellationToken, Error, Manager};
use kube::Client;

/// Runs the controller until `shutdown`.
pub async fn run(options: Options, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    Manager::new(&PROFILE, &options.manager_options(), client)?.run(shutdown).await
}
