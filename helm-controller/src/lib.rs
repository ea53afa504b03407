//! Installs and upgrades Helm releases.

mod options;

pub use options::{Options, PROFILE};

use fluxide_runtime::{CancellationToken, Error, Manager};
use kube::Client;

/// Runs the controller until `shutdown`.
pub async fn run(options: Options, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    Manager::new(&options.profile(), &options.common, client)?.run(shutdown).await
}
