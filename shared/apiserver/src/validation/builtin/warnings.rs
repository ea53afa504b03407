//! Warnings about valid objects: what is deprecated, without effect or surprising.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::{addresses, names};
use super::{integer, items, member, string};
use crate::object;
use crate::registry::Resource;
use crate::schema::Quantity;

const POD_NAME: &str = "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended";
const LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// The warnings for a new object, or for a changed one when `old` is given.
pub(crate) fn of(resource: &Resource, v: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out = Vec::new();
    let spec = &v["spec"];
    let same_generation = old.is_some_and(|old| old["metadata"]["generation"] == v["metadata"]["generation"]);
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "services") => service(v, &mut out),
        ("", "pods") => {
            let why = "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is \
                       recommended";
            if old.is_none() {
                pod_name(v, why, &mut out);
            }
            pod(spec, &v["metadata"], "", &mut out);
        }
        ("", "secrets") if string(v, "type") == "kubernetes.io/tls" => {
            out.extend(super::key_pairs::complaint(v))
        }
        ("storage.k8s.io", "csidrivers")
            if old.is_none_or(|old| old["spec"]["tokenRequests"] != spec["tokenRequests"]) =>
        {
            let unset = member(spec, "serviceAccountTokenInSecrets").is_none();
            if unset && !items(spec, "tokenRequests").is_empty() {
                out.push(
                    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent \
                     possible logging of tokens in volume attributes"
                        .to_owned(),
                );
            }
        }
        ("", "podtemplates") => template(&v["template"], "template", &mut out),
        ("", "resourcequotas") if old.is_none() => resource_quota(spec, &mut out),
        ("", "persistentvolumes") => volume(spec, &mut out),
        ("", "persistentvolumeclaims") => claim(spec, "spec", &mut out),
        ("", "serviceaccounts") => service_account(v, old, &mut out),
        ("apps", "deployments" | "replicasets") | ("", "replicationcontrollers") => {
            if old.is_none() {
                pod_name(v, POD_NAME, &mut out);
            }
            if !same_generation {
                template(&spec["template"], "spec.template", &mut out);
            }
        }
        ("apps", "daemonsets") if !same_generation => template(&spec["template"], "spec.template", &mut out),
        ("apps", "statefulsets") if !same_generation => {
            template(&spec["template"], "spec.template", &mut out);
            for (index, v) in items(spec, "volumeClaimTemplates").iter().enumerate() {
                claim(&v["spec"], &format!("spec.volumeClaimTemplates[{index}]"), &mut out);
            }
            if integer(spec, "revisionHistoryLimit") < 0 {
                out.push(
                    "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is \
                     recommended"
                        .to_owned(),
                );
            }
        }
        ("batch", "jobs") if !same_generation => {
            if old.is_none() {
                pod_name(v, POD_NAME, &mut out);
            }
            template(&spec["template"], "spec.template", &mut out);
        }
        ("batch", "cronjobs") if !same_generation => {
            if old.is_none() {
                pod_name(v, POD_NAME, &mut out);
            }
            let job = &spec["jobTemplate"]["spec"];
            template(&job["template"], "spec.jobTemplate.spec.template", &mut out);
        }
        ("policy", "poddisruptionbudgets") => {}
        ("networking.k8s.io", "ingresses") => ingress(v, old, &mut out),
        ("networking.k8s.io", "networkpolicies") => network_policy(spec, &mut out),
        _ => {}
    }
    out
}

/// The warnings for the finalizers of a custom resource that are not in `old`.
pub(crate) fn of_custom(v: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(object::finalizers).unwrap_or_default();
    let standard = |f: &&str| f.contains('/') || matches!(*f, "orphan" | "foregroundDeletion" | "kubernetes");
    let added = object::finalizers(v).into_iter().filter(|f| !before.contains(f) && !standard(f));
    added
        .map(|f| {
            format!(
                "metadata.finalizers: {f:?}: prefer a domain-qualified finalizer name to avoid accidental conflicts \
                 with other finalizer writers"
            )
        })
        .collect()
}

fn pod_name(v: &Value, why: &str, out: &mut Vec<String>) {
    let problems = names::dns1123_label(object::name(v));
    if !problems.is_empty() {
        out.push(format!("metadata.name: {why}: [{}]", problems.join(" ")));
    }
}

fn deprecated_label(key: &str) -> Option<&'static str> {
    LABELS.iter().find(|(label, _)| *label == key).map(|(_, why)| *why)
}

fn service(v: &Value, out: &mut Vec<String>) {
    let spec = &v["spec"];
    let hints = "service.kubernetes.io/topology-aware-hints";
    if v["metadata"]["annotations"].get(hints).is_some() {
        out.push(format!(
            "annotation {hints} is deprecated, please use service.kubernetes.io/topology-mode instead"
        ));
    }
    let texts =
        |name: &str| items(spec, name).iter().filter_map(Value::as_str).enumerate().collect::<Vec<_>>();
    let headless = string(spec, "type") == "ClusterIP" && string(spec, "clusterIP") == "None";
    if !headless {
        for (index, ip) in texts("clusterIPs") {
            out.extend(addresses::address_warning(ip, &format!("spec.clusterIPs[{index}]")));
        }
    }
    let external = texts("externalIPs");
    let balancer = string(spec, "loadBalancerIP");
    if headless {
        for (name, ignored) in [
            ("loadBalancerIP", !balancer.is_empty()),
            ("externalIPs", !external.is_empty()),
            ("SessionAffinity", string(spec, "sessionAffinity") != "None"),
        ] {
            if ignored {
                out.push(format!("spec.{name} is ignored for headless services"));
            }
        }
    }
    for (index, ip) in &external {
        out.extend(addresses::address_warning(ip, &format!("spec.externalIPs[{index}]")));
    }
    let by_name = string(spec, "type") == "ExternalName";
    if !external.is_empty() && !headless && !by_name {
        out.push(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned(),
        );
    }
    if !balancer.is_empty() {
        out.extend(addresses::address_warning(balancer, "spec.loadBalancerIP"));
    }
    for (index, range) in texts("loadBalancerSourceRanges") {
        out.extend(addresses::block_warnings(range, &format!("spec.loadBalancerSourceRanges[{index}]")));
    }
    if by_name && !external.is_empty() {
        out.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !by_name && !string(spec, "externalName").is_empty() {
        out.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if string(spec, "trafficDistribution") == "PreferClose" {
        out.push(
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned(),
        );
    }
}

fn template(v: &Value, path: &str, out: &mut Vec<String>) {
    pod(&v["spec"], &v["metadata"], &format!("{path}."), out);
}

/// Warnings of a pod; `prefix` is what stands before its `spec`.
fn pod(spec: &Value, meta: &Value, prefix: &str, out: &mut Vec<String>) {
    let path = format!("{prefix}spec");
    for key in spec.get("nodeSelector").and_then(Value::as_object).into_iter().flat_map(|m| m.keys()) {
        if let Some(why) = deprecated_label(key) {
            out.push(format!("{path}.nodeSelector[{key}]: {why}"));
        }
    }
    node_affinity(&spec["affinity"]["nodeAffinity"], &format!("{path}.affinity.nodeAffinity"), out);
    for (index, v) in items(spec, "topologySpreadConstraints").iter().enumerate() {
        let path = format!("{path}.topologySpreadConstraints[{index}]");
        let key = string(v, "topologyKey");
        if let Some(why) = deprecated_label(key) {
            out.push(format!("{path}.topologyKey: {key} is {why}"));
        }
        if member(v, "labelSelector").is_none() {
            out.push(format!("{path}.labelSelector: a null labelSelector results in matching no pod"));
        }
    }
    annotations(meta, prefix, out);
    volumes(spec, &format!("{path}.volumes"), out);
    repeated(spec, "hostAliases", "ip", &path, out);
    repeated(spec, "imagePullSecrets", "name", &path, out);
    for (index, _) in
        items(spec, "imagePullSecrets").iter().enumerate().filter(|(_, v)| string(v, "name").is_empty())
    {
        out.push(format!("{path}.imagePullSecrets[{index}].name: invalid empty name \"\""));
    }
    fractions(&spec["overhead"], &format!("{path}.overhead"), out);
    let seccomp = "seccomp.security.alpha.kubernetes.io/pod";
    if member(&spec["securityContext"], "seccompProfile").is_none()
        && meta["annotations"].get(seccomp).is_some()
    {
        out.push(format!(
            "{prefix}metadata.annotations[{seccomp}]: non-functional in v1.27+; use the \"seccompProfile\" field instead"
        ));
    }
    let all = containers(spec, &path);
    for (at, v) in &all {
        container(v, at, out);
    }
    ports(&all, out);
    if integer(spec, "terminationGracePeriodSeconds") < 0 {
        out.push(format!(
            "{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        pod_affinity(&spec["affinity"][name], &format!("{path}.affinity.{name}"), out);
    }
    for (index, ip) in items(&spec["dnsConfig"], "nameservers").iter().filter_map(Value::as_str).enumerate() {
        out.extend(addresses::address_warning(ip, &format!("{path}.dnsConfig.nameservers[{index}]")));
    }
    for (index, alias) in items(spec, "hostAliases").iter().enumerate() {
        out.extend(addresses::address_warning(
            string(alias, "ip"),
            &format!("{path}.hostAliases[{index}].ip"),
        ));
    }
}

fn containers<'a>(spec: &'a Value, path: &str) -> Vec<(String, &'a Value)> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let of = |list: &&str| {
        let list = (*list).to_owned();
        let path = path.to_owned();
        items(spec, &list.clone())
            .iter()
            .enumerate()
            .map(move |(index, v)| (format!("{path}.{list}[{index}]"), v))
            .collect::<Vec<_>>()
    };
    lists.iter().flat_map(of).collect()
}

fn node_affinity(v: &Value, path: &str, out: &mut Vec<String>) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (index, term) in items(&v[required], "nodeSelectorTerms").iter().enumerate() {
        node_term(term, false, &format!("{path}.{required}.nodeSelectorTerms[{index}]"), out);
    }
    for (index, term) in items(v, preferred).iter().enumerate() {
        node_term(&term["preference"], true, &format!("{path}.{preferred}[{index}].preference"), out);
    }
}

fn node_term(term: &Value, checks_values: bool, path: &str, out: &mut Vec<String>) {
    for (index, v) in items(term, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let key = string(v, "key");
        if let Some(why) = deprecated_label(key) {
            out.push(format!("{path}.key: {key} is {why}"));
        }
        for (index, value) in items(v, "values").iter().enumerate().filter(|_| checks_values) {
            let value = value.as_str().unwrap_or_default();
            if let Some(why) = crate::selectors::validate_label_value(value) {
                out.push(format!("{path}.values[{index}]: {value} is invalid, {why}"));
            }
        }
    }
}

fn pod_affinity(v: &Value, path: &str, out: &mut Vec<String>) {
    let warn = |term: &Value, path: String, out: &mut Vec<String>| {
        if member(term, "labelSelector").is_none() {
            out.push(format!("{path}.labelSelector: a null labelSelector results in matching no pod"));
        }
    };
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (index, term) in items(v, required).iter().enumerate() {
        warn(term, format!("{path}.{required}[{index}]"), out);
    }
    for (index, term) in items(v, preferred).iter().enumerate() {
        warn(&term["podAffinityTerm"], format!("{path}.{preferred}[{index}].podAffinityTerm"), out);
    }
}

fn annotations(meta: &Value, prefix: &str, out: &mut Vec<String>) {
    for (key, why) in [
        (
            "scheduler.alpha.kubernetes.io/critical-pod",
            "non-functional in v1.16+; use the \"priorityClassName\" field instead",
        ),
        (
            "security.alpha.kubernetes.io/sysctls",
            "non-functional in v1.11+; use the \"sysctls\" field instead",
        ),
        (
            "security.alpha.kubernetes.io/unsafe-sysctls",
            "non-functional in v1.11+; use the \"sysctls\" field instead",
        ),
    ] {
        if meta["annotations"].get(key).is_some() {
            out.push(format!("{prefix}metadata.annotations[{key}]: {why}"));
        }
    }
}

fn volumes(spec: &Value, path: &str, out: &mut Vec<String>) {
    const DEPRECATED: [(&str, &str, &str); 9] = [
        ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
        ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
        ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        for (name, shown, why) in DEPRECATED {
            if name == "cephfs" {
                let template = &volume["ephemeral"]["volumeClaimTemplate"]["spec"];
                claim(template, &format!("{path}[{index}].ephemeral.volumeClaimTemplate.spec"), out);
            }
            if member(volume, name).is_some() {
                out.push(format!("{path}[{index}].{shown}: {why}"));
            }
        }
    }
    for volume in items(spec, "volumes") {
        overlaps(volume, out);
    }
}

/// Files of one volume that hide each other.
fn overlaps(volume: &Value, out: &mut Vec<String>) {
    let name = string(volume, "name");
    let mut report = |what: String, files: Vec<(String, String)>| {
        let mut seen: Vec<(String, String)> = Vec::new();
        for (file, source) in files {
            let file = file.trim_end_matches('/').to_owned();
            let shown = |(file, source): &(String, String)| match source.is_empty() {
                true => format!("{file:?}"),
                false => format!("{file:?} ({source})"),
            };
            let this = (file, source);
            for other in &seen {
                let (a, b) = (format!("{}/", other.0), format!("{}/", this.0));
                if !this.0.is_empty() && !other.0.is_empty() && (a.starts_with(&b) || b.starts_with(&a)) {
                    out.push(format!(
                        "volume {name:?} ({what}): overlapping paths: {} with {}",
                        shown(&this),
                        shown(other)
                    ));
                }
            }
            seen.push(this);
        }
    };
    let paths = |v: &Value, source: &str| -> Vec<(String, String)> {
        items(v, "items").iter().map(|item| (string(item, "path").to_owned(), source.to_owned())).collect()
    };
    if let Some(v) = member(volume, "configMap") {
        report(format!("ConfigMap {:?}", string(v, "name")), paths(v, ""));
    }
    if let Some(v) = member(volume, "secret") {
        report(format!("Secret {:?}", string(v, "secretName")), paths(v, ""));
    }
    if let Some(v) = member(volume, "downwardAPI") {
        report("DownwardAPI".to_owned(), paths(v, ""));
    }
    let Some(projected) = member(volume, "projected") else { return };
    let mut files = Vec::new();
    for source in items(projected, "sources") {
        if let Some(v) = member(source, "configMap") {
            files.extend(paths(v, &format!("ConfigMap {:?}", string(v, "name"))));
        } else if let Some(v) = member(source, "secret") {
            files.extend(paths(v, &format!("Secret {:?}", string(v, "name"))));
        } else if let Some(v) = member(source, "downwardAPI") {
            files.extend(paths(v, "DownwardAPI"));
        } else if let Some(v) = member(source, "serviceAccountToken") {
            files.push((string(v, "path").to_owned(), "ServiceAccountToken".to_owned()));
        }
    }
    report("Projected".to_owned(), files);
}

fn repeated(spec: &Value, list: &str, name: &str, path: &str, out: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, v) in items(spec, list).iter().enumerate() {
        let value = string(v, name);
        if !seen.insert(value) {
            out.push(format!("{path}.{list}[{index}].{name}: duplicate {name} {value:?}"));
        }
    }
}

/// Amounts of memory and storage come in whole bytes.
fn fractions(amounts: &Value, path: &str, out: &mut Vec<String>) {
    for name in ["memory", "ephemeral-storage"] {
        fraction(amounts, name, path, out);
    }
}

fn fraction(amounts: &Value, name: &str, path: &str, out: &mut Vec<String>) {
    if let Some(amount) = amounts.get(name).and_then(Value::as_str)
        && Quantity::parse(amount).is_ok_and(|q| !q.is_whole())
    {
        out.push(format!("{path}[{name}]: fractional byte value {amount:?} is invalid, must be an integer"));
    }
}

fn container(v: &Value, path: &str, out: &mut Vec<String>) {
    for name in ["memory", "ephemeral-storage"] {
        for list in ["limits", "requests"] {
            fraction(&v["resources"][list], name, &format!("{path}.resources.{list}"), out);
        }
    }
    let mut seen = BTreeSet::new();
    for (index, variable) in items(v, "env").iter().enumerate() {
        let (name, value) = (string(variable, "name"), string(variable, "value"));
        if seen.insert(name) {
            continue;
        }
        let reference = format!("$({name})");
        let hides =
            member(variable, "valueFrom").is_some() || value == reference || !value.contains(&reference);
        if hides {
            out.push(format!(
                "{path}.env[{index}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
}

fn ports(all: &[(String, &Value)], out: &mut Vec<String>) {
    let mut known: BTreeMap<String, Vec<(String, &Value)>> = BTreeMap::new();
    let every = || {
        all.iter().flat_map(|(path, v)| {
            items(v, "ports")
                .iter()
                .enumerate()
                .map(move |(index, port)| (format!("{path}.ports[{index}]"), port))
        })
    };
    for (path, port) in every() {
        let (host_ip, host) = (string(port, "hostIP"), integer(port, "hostPort"));
        if !host_ip.is_empty() && host == 0 {
            out.push(format!(
                "{path}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{host_ip}}}",
                string(port, "name"),
                integer(port, "containerPort"),
                string(port, "protocol")
            ));
        }
        let key = format!("{}/{}", integer(port, "containerPort"), string(port, "protocol"));
        let others = known.entry(key).or_default();
        for (other_path, other) in others.iter() {
            let (other_ip, other_host) = (string(other, "hostIP"), integer(other, "hostPort"));
            if host_ip == other_ip && host == other_host {
                out.push(format!("{path}: duplicate port definition with {other_path}"));
            } else if host == 0 || other_host == 0 {
                out.push(format!("{path}: overlapping port definition with {other_path}"));
            } else if host == other_host && host_ip.is_empty() != other_ip.is_empty() {
                out.push(format!("{path}: dangerously ambiguous port definition with {other_path}"));
            }
        }
        others.push((path, port));
    }
    let mut by_name: BTreeMap<&str, String> = BTreeMap::new();
    for (path, port) in every() {
        let name = string(port, "name");
        if name.is_empty() {
            continue;
        }
        match by_name.get(name) {
            Some(other) => out.push(format!(
                "{path}: duplicate port name {name:?} with {other}, services and probes that select ports by name will \
                 use {other}"
            )),
            None => {
                by_name.insert(name, path);
            }
        }
    }
}

fn claim(spec: &Value, path: &str, out: &mut Vec<String>) {
    for list in ["requests", "limits"] {
        fraction(&spec["resources"][list], "storage", &format!("{path}.resources.{list}"), out);
    }
}

fn volume(spec: &Value, out: &mut Vec<String>) {
    for (index, term) in items(&spec["nodeAffinity"]["required"], "nodeSelectorTerms").iter().enumerate() {
        node_term(term, false, &format!("spec.nodeAffinity.required.nodeSelectorTerms[{index}]"), out);
    }
    let policy = string(spec, "persistentVolumeReclaimPolicy");
    if policy == "Recycle" {
        out.push(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended \
             approach is to use dynamic provisioning."
                .to_owned(),
        );
    }
    fraction(&spec["capacity"], "storage", "spec.capacity", out);
}

fn resource_quota(spec: &Value, out: &mut Vec<String>) {
    let hard = &spec["hard"];
    for name in ["cpu", "memory", "ephemeral-storage"] {
        let mut request = format!("requests.{name}");
        if hard.get(&request).is_none() && name != "ephemeral-storage" {
            request = name.to_owned();
        }
        let limit = format!("limits.{name}");
        let (Some(low), Some(high)) = (hard[&request].as_str(), hard[&limit].as_str()) else { continue };
        if Quantity::parse(low).ok() > Quantity::parse(high).ok() {
            out.push(format!("ResourceQuota {request} ({low}) should be less than {limit} ({high})"));
        }
    }
}

fn service_account(v: &Value, old: Option<&Value>, out: &mut Vec<String>) {
    let key = "kubernetes.io/enforce-mountable-secrets";
    let set = |v: &Value| v["metadata"]["annotations"].get(key).is_some();
    if set(v) && !old.is_some_and(set) {
        out.push(format!(
            "metadata.annotations[{key}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted \
             secrets"
        ));
    }
}

fn ingress(v: &Value, old: Option<&Value>, out: &mut Vec<String>) {
    let key = "kubernetes.io/ingress.class";
    if old.is_none() && v["metadata"]["annotations"].get(key).is_some() {
        out.push(format!("annotation {key:?} is deprecated, please use 'spec.ingressClassName' instead"));
    }
}

fn network_policy(spec: &Value, out: &mut Vec<String>) {
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(spec, direction).iter().enumerate() {
            for (peer, v) in items(rule, peers).iter().enumerate() {
                let path = format!("spec.{direction}[{index}].{peers}[{peer}].ipBlock");
                let Some(block) = member(v, "ipBlock") else { continue };
                out.extend(addresses::block_warnings(string(block, "cidr"), &format!("{path}.cidr")));
                for (index, except) in items(block, "except").iter().filter_map(Value::as_str).enumerate() {
                    out.extend(addresses::block_warnings(except, &format!("{path}.except[{index}]")));
                }
            }
        }
    }
}
