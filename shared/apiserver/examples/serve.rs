//! Runs the API server alone: `serve [--port N] [--kubeconfig FILE] [--state DIR] [--simulate-workloads=false]`.

use fluxide_apiserver::command::{Options, run};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let (name, value) = match arg.split_once('=') {
            Some((n, v)) => (n.to_owned(), v.to_owned()),
            None => (arg.clone(), args.next().ok_or_else(|| format!("{arg} needs a value"))?),
        };
        match name.as_str() {
            "--port" => options.port = value.parse()?,
            "--kubeconfig" => options.kubeconfig = Some(value.into()),
            "--state" => options.state = Some(value.into()),
            "--simulate-workloads" => options.simulate_workloads = value.parse()?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    run(options).await?;
    Ok(())
}
