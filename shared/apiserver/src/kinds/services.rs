//! Services: cluster addresses, address families and node ports.

use std::collections::{HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::api_error::{ApiError, ApiResult, FieldError};
use crate::core::Core;
use crate::object::{self, text};
use crate::store::Stored;

const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;
/// The first address of the /12 that Services get theirs from.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 0);
const IN_FLIGHT: usize = 512;
const TRIES: usize = 4096;

/// Addresses and ports that were given out and may not be stored yet.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    recent: Mutex<VecDeque<String>>,
}

impl Reservations {
    /// Reserves `what`; false when it is reserved already.
    fn take(&self, what: &str) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.iter().any(|r| r == what) {
            return false;
        }
        recent.push_back(what.to_owned());
        if recent.len() > IN_FLIGHT {
            recent.pop_front();
        }
        true
    }
}

/// Completes a new Service.
pub(super) fn prepare_create(core: &Core, v: &mut Value) -> ApiResult<()> {
    object::members(v).insert("status".into(), json!({"loadBalancer": {}}));
    drop_unused(v);
    if kind(v) != "ExternalName"
        && let Some(ip) = v["spec"].get("clusterIP").filter(|ip| *ip != "").cloned()
        && v["spec"]["clusterIPs"].as_array().is_none_or(Vec::is_empty)
    {
        object::child(v, "spec").insert("clusterIPs".into(), json!([ip]));
    }
    families(v);
    refuse_addresses(v, None)?;
    allocate(core, v, "", true)
}

/// Nothing is allocated for a Service whose addresses or families are wrong.
fn refuse_addresses(v: &Value, live: Option<&Value>) -> ApiResult<()> {
    let mut errors = Vec::new();
    crate::validation::builtin::services::cluster_ips(
        &v["spec"],
        live.map(|live| &live["spec"]),
        &mut errors,
    );
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid("", "Service", object::name(v), errors)) }
}

/// Carries allocated values over from the stored Service, and allocates what is new.
pub(super) fn prepare_update(core: &Core, new: &mut Value, live: &Value) -> ApiResult<()> {
    let (old_type, new_type) = (kind(live).to_owned(), kind(new).to_owned());
    if new_type == "ExternalName" {
        if old_type != "ExternalName" {
            let spec = object::child(new, "spec");
            for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
                if spec.get(key) == live["spec"].get(key) {
                    spec.remove(key);
                }
            }
        }
        drop_unused(new);
        return Ok(());
    }
    if old_type != "ExternalName" {
        let spec = object::child(new, "spec");
        let had_ip = spec.get("clusterIP").is_some_and(|c| c != "");
        let had_ips = spec.get("clusterIPs").and_then(Value::as_array).is_some_and(|a| !a.is_empty());
        if !had_ip && !had_ips {
            for key in ["clusterIP", "clusterIPs"] {
                if let Some(x) = live["spec"].get(key) {
                    spec.insert(key.into(), x.clone());
                }
            }
        } else if had_ip && !had_ips {
            let first = spec["clusterIP"].clone();
            spec.insert("clusterIPs".into(), json!([first]));
        } else if !had_ip && had_ips && spec["clusterIPs"] != live["spec"]["clusterIPs"] {
            let first = spec["clusterIPs"][0].clone();
            spec.insert("clusterIP".into(), first);
        } else if !had_ip {
            // Only the first of the two was cleared, which clears nothing.
            spec.insert("clusterIP".into(), live["spec"]["clusterIP"].clone());
        } else if spec.get("clusterIP") != live["spec"].get("clusterIP")
            && spec.get("clusterIPs") == live["spec"].get("clusterIPs")
            && let Some(first) = spec.get("clusterIP").cloned()
        {
            spec.insert("clusterIPs".into(), json!([first]));
        }
        for key in ["ipFamilies", "ipFamilyPolicy"] {
            if !spec.contains_key(key)
                && let Some(x) = live["spec"].get(key)
            {
                spec.insert(key.into(), x.clone());
            }
        }
        if needs_node_ports(new) && needs_node_ports(live) {
            carry_node_ports(new, live);
        }
        if spec_bool(new, "healthCheck") {
            carry_health_port(new, live);
        }
    }
    drop_type_dependent(new, live);
    drop_unused(new);
    families(new);
    refuse_addresses(new, Some(live))?;
    // A Service that has an address keeps it, or validation says that it may not change.
    allocate(core, new, object::uid(live), old_type == "ExternalName")
}

fn spec_bool(v: &Value, what: &str) -> bool {
    what == "healthCheck"
        && kind(v) == "LoadBalancer"
        && text(v, &["spec", "externalTrafficPolicy"]) == "Local"
}

fn kind(v: &Value) -> &str {
    text(v, &["spec", "type"])
}

fn needs_node_ports(v: &Value) -> bool {
    matches!(kind(v), "NodePort" | "LoadBalancer")
}

fn carry_health_port(new: &mut Value, live: &Value) {
    let spec = object::child(new, "spec");
    if spec.get("healthCheckNodePort").is_none_or(|p| p == 0)
        && let Some(p) = live["spec"].get("healthCheckNodePort")
    {
        spec.insert("healthCheckNodePort".into(), p.clone());
    }
}

fn carry_node_ports(new: &mut Value, live: &Value) {
    let old: Vec<Value> = live["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let Some(ports) = new["spec"]["ports"].as_array_mut() else { return };
    let mut used: HashSet<i64> = ports.iter().filter_map(|p| p["nodePort"].as_i64()).collect();
    for p in ports {
        if p["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        let same = old.iter().find(|o| o["port"] == p["port"] && o["protocol"] == p["protocol"]);
        if let Some(n) = same.and_then(|o| o["nodePort"].as_i64()).filter(|n| *n != 0 && !used.contains(n)) {
            used.insert(n);
            object::members(p).insert("nodePort".into(), n.into());
        }
    }
}

/// What belonged to the old type goes when the type changes and the client did not change it.
fn drop_type_dependent(new: &mut Value, live: &Value) {
    if needs_node_ports(live) && !needs_node_ports(new) {
        let same = port_numbers(new) == port_numbers(live);
        if same {
            for p in new["spec"]["ports"].as_array_mut().into_iter().flatten() {
                object::members(p).remove("nodePort");
            }
        }
    }
    let spec_of_live = live["spec"].clone();
    let load_balancer = kind(new) == "LoadBalancer";
    let was_load_balancer = kind(live) == "LoadBalancer";
    let node_ports = needs_node_ports(new);
    let (is_local, was_local) = (spec_bool(new, "healthCheck"), spec_bool(live, "healthCheck"));
    let spec = object::child(new, "spec");
    let same = |spec: &serde_json::Map<String, Value>, k: &str| spec.get(k) == spec_of_live.get(k);
    if was_local && !is_local && same(spec, "healthCheckNodePort") {
        spec.remove("healthCheckNodePort");
    }
    if was_load_balancer && !load_balancer {
        for key in ["allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort"] {
            if same(spec, key) {
                spec.remove(key);
            }
        }
    }
    let external_ips = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|a| !a.is_empty());
    if !node_ports && !external_ips && same(spec, "externalTrafficPolicy") {
        spec.remove("externalTrafficPolicy");
    }
}

fn port_numbers(v: &Value) -> Vec<i64> {
    v["spec"]["ports"].as_array().into_iter().flatten().filter_map(|p| p["nodePort"].as_i64()).collect()
}

/// Members that mean nothing for the type.
fn drop_unused(v: &mut Value) {
    if kind(v) == "ExternalName" {
        let spec = object::child(v, "spec");
        for key in ["internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(key);
        }
    }
}

fn families(v: &mut Value) {
    if kind(v) == "ExternalName" {
        return;
    }
    let headless = is_headless(v);
    let selects = v["spec"]["selector"].as_object().is_some_and(|s| !s.is_empty());
    let spec = object::child(v, "spec");
    if headless && !selects && !spec.contains_key("ipFamilyPolicy") && !spec.contains_key("ipFamilies") {
        spec.insert("ipFamilyPolicy".into(), "RequireDualStack".into());
        spec.insert("ipFamilies".into(), json!(["IPv4", "IPv6"]));
    }
    spec.entry("ipFamilyPolicy").or_insert_with(|| "SingleStack".into());
    if spec.get("ipFamilies").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("ipFamilies".into(), json!(["IPv4"]));
    }
}

fn is_headless(v: &Value) -> bool {
    text(v, &["spec", "clusterIP"]) == "None" || v["spec"]["clusterIPs"][0] == "None"
}

fn allocate(core: &Core, v: &mut Value, own_uid: &str, is_new: bool) -> ApiResult<()> {
    if kind(v) == "ExternalName" {
        return Ok(());
    }
    let others: Vec<_> = core
        .store
        .list("services", None)
        .objects
        .into_iter()
        .filter(|s| object::uid(&s.value) != own_uid)
        .collect();
    let name = object::name(v).to_owned();
    let spec = object::child(v, "spec");
    let given = spec.get("clusterIP").and_then(Value::as_str).filter(|c| !c.is_empty()).map(str::to_owned);
    let given = given.or_else(|| spec.get("clusterIPs")?.get(0)?.as_str().map(str::to_owned));
    let address = match given {
        Some(ip) if !is_new => ip,
        Some(ip) => {
            refuse_address(&ip, &spec.get("clusterIPs").cloned().unwrap_or_else(|| json!([ip])), &others)
                .map_err(|e| ApiError::invalid("", "Service", &name, vec![e]))?;
            ip
        }
        None => {
            let taken: HashSet<&str> =
                others.iter().map(|s| text(&s.value, &["spec", "clusterIP"])).collect();
            free_address(core, &taken)
                .ok_or_else(|| ApiError::internal("failed to allocate a serviceIP: range is full"))?
        }
    };
    spec.insert("clusterIP".into(), address.clone().into());
    if spec.get("clusterIPs").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("clusterIPs".into(), json!([address]));
    }
    if !needs_node_ports(v) {
        return Ok(());
    }
    let mut taken: HashSet<i64> = others.iter().flat_map(|s| all_node_ports(&s.value)).collect();
    if kind(v) == "LoadBalancer" && v["spec"]["allocateLoadBalancerNodePorts"] == false {
        return Ok(());
    }
    for (i, p) in v["spec"]["ports"].as_array_mut().into_iter().flatten().enumerate() {
        match p["nodePort"].as_i64().unwrap_or(0) {
            0 => {
                let port = free_port(core, &taken)
                    .ok_or_else(|| ApiError::internal("failed to allocate a nodePort: range is full"))?;
                taken.insert(port);
                object::members(p).insert("nodePort".into(), port.into());
            }
            n => {
                let field = format!("spec.ports[{i}].nodePort");
                if !u16::try_from(n).is_ok_and(|n| NODE_PORTS.contains(&n)) {
                    let detail =
                        "provided port is not in the valid range. The range of valid ports is 30000-32767";
                    return Err(ApiError::invalid(
                        "",
                        "Service",
                        &name,
                        vec![FieldError::invalid(field, n, detail)],
                    ));
                }
                if taken.contains(&n) {
                    let detail = "provided port is already allocated";
                    return Err(ApiError::invalid(
                        "",
                        "Service",
                        &name,
                        vec![FieldError::invalid(field, n, detail)],
                    ));
                }
            }
        }
    }
    if spec_bool(v, "healthCheck")
        && v["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0) == 0
        && let Some(port) = free_port(core, &taken)
    {
        object::child(v, "spec").insert("healthCheckNodePort".into(), port.into());
    }
    Ok(())
}

/// Checks that a chosen address is one that Services may have and no other has.
fn refuse_address(ip: &str, shown: &Value, others: &[Arc<Stored>]) -> Result<(), FieldError> {
    let Ok(address) = ip.parse::<Ipv4Addr>() else { return Ok(()) };
    let refused = |why: &str| {
        let why = format!("failed to allocate IP {ip}: {why}");
        Err(FieldError::invalid("spec.clusterIPs", shown.clone(), why))
    };
    if u32::from(address) >> 20 != u32::from(FIRST_ADDRESS) >> 20 {
        return refused("the provided network does not match the current range");
    }
    if others.iter().any(|s| text(&s.value, &["spec", "clusterIP"]) == ip) {
        return refused("provided IP is already allocated");
    }
    Ok(())
}

fn all_node_ports(v: &Value) -> Vec<i64> {
    let mut out = port_numbers(v);
    out.extend(v["spec"]["healthCheckNodePort"].as_i64());
    out
}

fn free_address(core: &Core, taken: &HashSet<&str>) -> Option<String> {
    (0..TRIES).find_map(|_| {
        let low = rand::random_range(256..65_000u32);
        let ip = Ipv4Addr::from(u32::from(FIRST_ADDRESS) + low).to_string();
        (!taken.contains(ip.as_str()) && core.reservations.take(&ip)).then_some(ip)
    })
}

fn free_port(core: &Core, taken: &HashSet<i64>) -> Option<i64> {
    (0..TRIES).find_map(|_| {
        let port = rand::random_range(NODE_PORTS);
        (!taken.contains(&i64::from(port)) && core.reservations.take(&port.to_string()))
            .then_some(i64::from(port))
    })
}
