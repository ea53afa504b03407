//! Scans registries and writes new image tags to Git.

mod options;

pub use options::{Controllers, Options, PROFILE};

use fluxide_runtime::{CancellationToken, Error, Manager};
use kube::Client;

/// Runs the controller until `shutdown`.
pub async fn run(options: Options, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    Manager::new(&options.profile(), &options.common, client)?.run(shutdown).await
}
