//! Flags as Flux's users write them.

use super::*;

const PROFILE: Profile =
    Profile { concurrent: 2, feature_gates: &[("A", true), ("B", false)], ..Profile::new("test-controller") };

#[derive(Parser, Debug)]
struct Only {
    #[command(flatten)]
    common: CommonOptions,
}

fn parse(arguments: &[&str]) -> Result<CommonOptions, clap::Error> {
    let arguments = std::iter::once("test-controller").chain(arguments.iter().copied());
    parse_from::<Only>(&PROFILE, arguments).map(|only| only.common)
}

#[test]
fn defaults_are_flux_own() {
    let options = parse(&[]).unwrap();
    assert_eq!(options.metrics_addr, ":8080");
    assert_eq!(options.health_addr, ":9440");
    assert_eq!(options.events_addr, "");
    assert_eq!(options.concurrent, 2);
    assert_eq!((options.kube_api_qps, options.kube_api_burst), (50.0, 300));
    assert_eq!((options.log_encoding.as_str(), options.log_level.as_str()), ("json", "info"));
    assert!(!options.leader_election.enabled && options.leader_election.release_on_cancel);
    let election = &options.leader_election;
    assert_eq!(election.lease_duration.to_string(), "35s");
    assert_eq!(election.renew_deadline.to_string(), "30s");
    assert_eq!(election.retry_period.to_string(), "5s");
    assert_eq!(options.backoff(), Backoff::default());
    assert!(options.watch_all_namespaces && !options.no_cross_namespace_refs);
    assert_eq!(options.watch_configs_label_selector, "reconcile.fluxcd.io/watch=Enabled");
    assert_eq!(options.interval_jitter_percentage, 5);
    assert_eq!(options.token_cache_max_size, 100);
    assert_eq!(options.requeue_dependency.to_string(), "30s");
}

#[test]
fn booleans_take_a_value_only_after_an_equals_sign() {
    assert!(parse(&["--enable-leader-election"]).unwrap().leader_election.enabled);
    assert!(!parse(&["--watch-all-namespaces=false"]).unwrap().watch_all_namespaces);
    assert!(!parse(&["--watch-all-namespaces=F"]).unwrap().watch_all_namespaces);
    assert!(parse(&["--watch-all-namespaces", "false"]).is_err());
    assert!(parse(&["--watch-all-namespaces=maybe"]).is_err());
}

#[test]
fn the_last_scalar_wins_and_gates_add_up() {
    let options = parse(&[
        "--concurrent=3",
        "--concurrent",
        "20",
        "--watch-all-namespaces=false",
        "--watch-all-namespaces",
        "--feature-gates=A=false",
        "--feature-gates",
        "B=true",
    ])
    .unwrap();
    assert_eq!(options.concurrent, 20);
    assert!(options.watch_all_namespaces);
    let gates = options.gates(&PROFILE).unwrap();
    assert!(!gates.enabled("A") && gates.enabled("B"));
}

#[test]
fn selectors_may_start_with_an_exclamation_mark_or_a_dash() {
    let options = parse(&["--watch-label-selector=!sharding.fluxcd.io/key"]).unwrap();
    assert_eq!(options.watch_label_selector, "!sharding.fluxcd.io/key");
    let options = parse(&["--watch-label-selector", "a in (b, c)"]).unwrap();
    assert_eq!(options.watch_label_selector, "a in (b, c)");
}

#[test]
fn unknown_flags_exit_with_2() {
    assert_eq!(parse(&["--bogus"]).unwrap_err().exit_code(), 2);
}

#[test]
fn what_cannot_be_honoured_is_refused_with_a_reason() {
    let error = |arguments: &[&str]| parse(arguments).unwrap().check(&PROFILE).unwrap_err().to_string();
    assert_eq!(error(&["--feature-gates=X=true"]), "feature-gate 'X' not supported");
    for percentage in ["100", "-1"] {
        assert_eq!(
            error(&[&format!("--interval-jitter-percentage={percentage}")]),
            "the interval jitter percentage must be a non-negative value and less than 100"
        );
    }
    let mut options = parse(&["--watch-all-namespaces=false"]).unwrap();
    options.runtime_namespace.clear();
    assert!(options.check(&PROFILE).unwrap_err().to_string().contains("RUNTIME_NAMESPACE"));
    options.runtime_namespace = "flux-system".into();
    assert!(options.check(&PROFILE).is_ok());
}

#[test]
fn default_service_accounts_need_the_gate() {
    let options = parse(&[]).unwrap();
    assert!(options.check_default_service_accounts(&PROFILE, &[""]).is_ok());
    let refused = options.check_default_service_accounts(&PROFILE, &["", "default"]);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "cannot set default service accounts when the feature gate ObjectLevelWorkloadIdentity is not enabled"
    );
    let options = parse(&["--feature-gates=ObjectLevelWorkloadIdentity=true"]).unwrap();
    assert!(options.check_default_service_accounts(&PROFILE, &["default"]).is_ok());
}
