//! Built-in health rules for kinds that many clusters run and that say in their own way how they are,
//! as written in `data/health.yaml`.

use std::sync::OnceLock;

use fluxide_goyaml::sigs;
use serde_json::{Map, Value};

use crate::health::{Error, RuleText, Rules};

const DATA: &str = include_str!("../data/health.yaml");

/// The built-in rules.
pub fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        // The file is part of the program, and a test reads it.
        Rules::known(&texts()).unwrap_or_default()
    })
}

/// The rules as they are written.
fn texts() -> Vec<RuleText> {
    let parsed = sigs::from_yaml(DATA.as_bytes()).map(Value::from);
    let Ok(Value::Array(entries)) = parsed else { return Vec::new() };
    let mut texts = Vec::with_capacity(entries.len());
    for entry in &entries {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let rule = |kind: &str| RuleText {
            api_version: format!("{}/v1", text("group")),
            kind: kind.to_owned(),
            when: text("when"),
            in_progress: text("inProgress"),
            failed: text("failed"),
            current: text("current"),
        };
        match entry.get("kinds").and_then(Value::as_array) {
            Some(kinds) => texts.extend(kinds.iter().filter_map(Value::as_str).map(rule)),
            None => texts.push(rule("")),
        }
    }
    texts
}

/// The fields of an object with empty maps where spec and status are missing.
pub(crate) fn with_spec_and_status(fields: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = fields.clone();
    for field in ["spec", "status"] {
        let value = fields.entry(field).or_insert_with(|| Value::Object(Map::new()));
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
    }
    fields
}

/// Parses the built-in rules; for tests.
#[doc(hidden)]
pub fn check() -> Result<usize, Error> {
    let texts = texts();
    Rules::known(&texts).map(|_| texts.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kstatus::Status;
    use crate::object::Object;
    use crate::wait::Health;
    use serde_json::json;

    fn judge(api_version: &str, kind: &str, rest: Value) -> Status {
        let mut value = json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "generation": 2},
        });
        for (key, member) in rest.as_object().unwrap() {
            value[key] = member.clone();
        }
        let health = Health { known_kinds: Some(rules()), ..Health::default() };
        health.judge(&Object::new(value).unwrap()).unwrap().status
    }

    fn conditions(conditions: &[(&str, &str, &str)]) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, reason)| json!({"type": kind, "status": status, "reason": reason, "message": ""}))
            .collect();
        json!({"status": {"conditions": conditions}})
    }

    #[test]
    fn the_file_is_valid_and_names_its_sources() {
        assert!(check().unwrap() > 60);
        let Value::Array(entries) = Value::from(sigs::from_yaml(DATA.as_bytes()).unwrap()) else { panic!() };
        for entry in entries {
            let known = ["group", "kinds", "when", "source", "inProgress", "failed", "current"];
            assert!(entry.as_object().unwrap().keys().all(|key| known.contains(&&**key)), "{entry}");
            assert!(entry["source"].as_str().is_some_and(|source| source.starts_with("https://")), "{entry}");
            assert!(entry.get("group").is_some() != entry.get("when").is_some(), "{entry}");
        }
    }

    #[test]
    fn every_rule_can_judge_an_object_without_status() {
        for text in texts().iter().filter(|text| text.when.is_empty()) {
            let kind = if text.kind.is_empty() { "Anything" } else { &text.kind };
            let status = judge(&text.api_version, kind, json!({}));
            assert_eq!(status, Status::InProgress, "{} {kind}", text.api_version);
        }
    }

    #[test]
    fn objects_with_a_ready_condition() {
        for (api_version, kind) in [
            ("cert-manager.io/v1", "Certificate"),
            ("cert-manager.io/v1", "ClusterIssuer"),
            ("external-secrets.io/v1", "ExternalSecret"),
            ("external-secrets.io/v1beta1", "ClusterSecretStore"),
            ("keda.sh/v1alpha1", "ScaledObject"),
            ("kafka.strimzi.io/v1beta2", "Kafka"),
            ("postgresql.cnpg.io/v1", "Cluster"),
            ("cluster.x-k8s.io/v1beta1", "Cluster"),
            ("serving.knative.dev/v1", "Service"),
            ("source.toolkit.fluxcd.io/v1", "GitRepository"),
            ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
        ] {
            let ready = |status: &str| judge(api_version, kind, conditions(&[("Ready", status, "X")]));
            assert_eq!(ready("True"), Status::Current, "{kind}");
            assert_eq!(ready("Unknown"), Status::InProgress, "{kind}");
            let failed = if kind == "Service" { Status::Failed } else { Status::InProgress };
            assert_eq!(ready("False"), failed, "{kind}");
        }
    }

    #[test]
    fn objects_with_conditions_of_their_own() {
        let synced = |status: &str| {
            judge("bitnami.com/v1alpha1", "SealedSecret", conditions(&[("Synced", status, "")]))
        };
        assert_eq!((synced("True"), synced("False")), (Status::Current, Status::Failed));
        let run =
            |status: &str| judge("tekton.dev/v1", "PipelineRun", conditions(&[("Succeeded", status, "")]));
        assert_eq!(
            (run("True"), run("False"), run("Unknown")),
            (Status::Current, Status::Failed, Status::InProgress)
        );
        let provider = |healthy: &str| {
            judge(
                "pkg.crossplane.io/v1",
                "Provider",
                conditions(&[("Installed", "True", ""), ("Healthy", healthy, "")]),
            )
        };
        assert_eq!((provider("True"), provider("Unknown")), (Status::Current, Status::InProgress));
        let gateway = |programmed: &str| {
            let conditions = conditions(&[("Accepted", "True", "Accepted"), ("Programmed", programmed, "X")]);
            judge("gateway.networking.k8s.io/v1", "Gateway", conditions)
        };
        assert_eq!((gateway("True"), gateway("False")), (Status::Current, Status::InProgress));
        let refused = conditions(&[("Accepted", "False", "InvalidParameters")]);
        assert_eq!(judge("gateway.networking.k8s.io/v1", "Gateway", refused), Status::Failed);
        let prometheus = |reconciled: &str, available: &str| {
            let conditions = conditions(&[("Reconciled", reconciled, ""), ("Available", available, "")]);
            judge("monitoring.coreos.com/v1", "Prometheus", conditions)
        };
        assert_eq!(prometheus("True", "True"), Status::Current);
        assert_eq!(prometheus("True", "Degraded"), Status::InProgress);
        assert_eq!(prometheus("False", "True"), Status::Failed);
        let stalled = conditions(&[("Ready", "False", "X"), ("Stalled", "True", "X")]);
        assert_eq!(judge("helm.toolkit.fluxcd.io/v2", "HelmRelease", stalled), Status::Failed);
    }

    #[test]
    fn routes_need_all_their_parents() {
        let route = |parents: Value| {
            judge("gateway.networking.k8s.io/v1", "HTTPRoute", json!({"status": {"parents": parents}}))
        };
        let parent = |accepted: &str, resolved: &str| {
            json!({"conditions": [
                {"type": "Accepted", "status": accepted, "observedGeneration": 2},
                {"type": "ResolvedRefs", "status": resolved, "observedGeneration": 2},
            ]})
        };
        assert_eq!(route(json!([])), Status::InProgress);
        assert_eq!(route(json!([parent("True", "True")])), Status::Current);
        assert_eq!(route(json!([parent("True", "True"), parent("False", "True")])), Status::InProgress);
        assert_eq!(route(json!([parent("True", "False")])), Status::InProgress);
        let outdated =
            json!([{"conditions": [{"type": "Accepted", "status": "True", "observedGeneration": 1}]}]);
        assert_eq!(route(outdated), Status::InProgress);
    }

    #[test]
    fn objects_with_a_phase() {
        let phase = |api_version: &str, kind: &str, phase: &str| {
            judge(api_version, kind, json!({"status": {"phase": phase}}))
        };
        assert_eq!(phase("velero.io/v1", "Backup", "Completed"), Status::Current);
        assert_eq!(phase("velero.io/v1", "Restore", "PartiallyFailed"), Status::Failed);
        assert_eq!(phase("velero.io/v1", "BackupStorageLocation", "Unavailable"), Status::InProgress);
        assert_eq!(phase("postgresql.cnpg.io/v1", "Backup", "completed"), Status::Current);
        assert_eq!(phase("postgresql.cnpg.io/v1", "Cluster", "Cluster in healthy state"), Status::Current);
        let rollout = |phase: &str, observed: &str| {
            judge(
                "argoproj.io/v1alpha1",
                "Rollout",
                json!({"status": {"phase": phase, "observedGeneration": observed}}),
            )
        };
        assert_eq!(rollout("Healthy", "2"), Status::Current);
        assert_eq!(rollout("Healthy", "1"), Status::InProgress);
        assert_eq!(rollout("Paused", "2"), Status::InProgress);
        assert_eq!(rollout("Degraded", "2"), Status::Failed);
    }

    #[test]
    fn crossplane_resources_are_recognised_in_any_group() {
        let claim = |ready: &str, synced: &str| {
            let mut object = conditions(&[("Ready", ready, ""), ("Synced", synced, "")]);
            object["spec"] = json!({"compositionRef": {"name": "x"}, "resourceRef": {"name": "y"}});
            judge("platform.example.test/v1", "Database", object)
        };
        assert_eq!(claim("True", "True"), Status::Current);
        assert_eq!(claim("False", "True"), Status::InProgress);
        assert_eq!(claim("True", "False"), Status::InProgress);
        let managed = json!({"spec": {"forProvider": {}}});
        assert_eq!(judge("s3.aws.example.test/v1", "Bucket", managed), Status::InProgress);
        assert_eq!(judge("example.test/v1", "Thing", json!({"spec": {}})), Status::Current, "no Crossplane");
    }

    #[test]
    fn rules_of_the_user_go_first() {
        let user = RuleText {
            api_version: "velero.io/v1".into(),
            kind: "Backup".into(),
            current: "status.phase == 'New'".into(),
            ..RuleText::default()
        };
        let health =
            Health { rules: Rules::parse(&[user]).unwrap(), known_kinds: Some(rules()), ..Health::default() };
        let backup = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {}, "status": {"phase": "New"}});
        assert_eq!(health.judge(&Object::new(backup).unwrap()).unwrap().status, Status::Current);
    }
}
