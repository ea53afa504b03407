//! Services: cluster addresses, address families and node ports.

use std::collections::{HashMap, HashSet, VecDeque};
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
/// The port that a dry run shows for one that it would have looked for.
const AFTER_NODE_PORTS: i64 = 32768;
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
pub(super) fn prepare_create(core: &Core, v: &mut Value, dry_run: bool) -> ApiResult<()> {
    object::members(v).insert("status".into(), json!({"loadBalancer": {}}));
    drop_unused(v);
    if kind(v) != "ExternalName"
        && let Some(ip) = v["spec"].get("clusterIP").filter(|ip| *ip != "").cloned()
        && v["spec"]["clusterIPs"].as_array().is_none_or(Vec::is_empty)
    {
        object::child(v, "spec").insert("clusterIPs".into(), json!([ip]));
    }
    families(v, None)?;
    allocate(core, v, None, dry_run)
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
pub(super) fn prepare_update(core: &Core, new: &mut Value, live: &Value, dry_run: bool) -> ApiResult<()> {
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
        let on_demand =
            |v: &Value| v["spec"]["allocateLoadBalancerNodePorts"] == false && kind(v) == "LoadBalancer";
        if [&*new, live].into_iter().all(|v| needs_node_ports(v) && !on_demand(v)) {
            carry_node_ports(new, live);
        }
        if spec_bool(new, "healthCheck") {
            carry_health_port(new, live);
        }
    }
    drop_type_dependent(new, live);
    drop_unused(new);
    families(new, Some(live))?;
    allocate(core, new, Some(live), dry_run)
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

/// A port of the same name keeps its node port, whatever else of it changed.
fn carry_node_ports(new: &mut Value, live: &Value) {
    let named: HashMap<&str, i64> = live["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| (text(port, &["name"]), port["nodePort"].as_i64().unwrap_or(0)))
        .collect();
    let used = port_numbers(new);
    for port in ports_mut(new).filter(|port| port["nodePort"].as_i64().unwrap_or(0) == 0) {
        let before = named.get(text(port, &["name"])).copied().unwrap_or(0);
        if before != 0 && !used.contains(&before) {
            object::members(port).insert("nodePort".into(), before.into());
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

/// Settles the address families of a Service as a cluster of one family, IPv4, does: what the client left open comes from
/// the stored Service or is the default, and what cannot be had is refused.
fn families(v: &mut Value, live: Option<&Value>) -> ApiResult<()> {
    if kind(v) == "ExternalName" || live.is_some_and(|live| prefers_dual_stack_as_before(v, live)) {
        return Ok(());
    }
    let selects = v["spec"]["selector"].as_object().is_some_and(|s| !s.is_empty());
    let special = text(v, &["spec", "clusterIP"]) == "None" && !selects;
    if v["spec"].get("ipFamilyPolicy").is_none_or(Value::is_null) {
        let policy = match live.and_then(|live| live["spec"]["ipFamilyPolicy"].as_str()) {
            Some(policy) => policy,
            None if special => "RequireDualStack",
            None => "SingleStack",
        };
        object::child(v, "spec").insert("ipFamilyPolicy".into(), policy.into());
    }
    refuse_addresses(v, live)?;
    let name = object::name(v).to_owned();
    let refused = |errors: Vec<FieldError>| match errors.is_empty() {
        true => Ok(()),
        false => Err(ApiError::invalid("", "Service", &name, errors)),
    };
    let policy = text(v, &["spec", "ipFamilyPolicy"]).to_owned();
    refused(settle_families(object::child(v, "spec"), &policy, live))?;
    let spec = object::child(v, "spec");
    let mut families = texts(spec.get("ipFamilies"));
    let mut errors = Vec::new();
    if special {
        if families.is_empty() {
            families.push("IPv4".to_owned());
        }
        if families.len() == 1 && policy != "SingleStack" {
            families.push(if families[0] == "IPv4" { "IPv6" } else { "IPv4" }.to_owned());
        }
    } else {
        if policy == "RequireDualStack" {
            let why = "this cluster is not configured for dual-stack services";
            errors.push(FieldError::invalid("spec.ipFamilyPolicy", policy.as_str(), why));
        }
        for (index, family) in families.iter().enumerate().filter(|(_, family)| *family != "IPv4") {
            let at = format!("spec.ipFamilies[{index}]");
            errors.push(FieldError::invalid(at, family.as_str(), "not configured on this cluster"));
        }
        if families.is_empty() {
            families.push("IPv4".to_owned());
        }
    }
    refused(errors)?;
    object::child(v, "spec").insert("ipFamilies".into(), json!(families));
    Ok(())
}

/// Fits addresses and families to the policy, and to each other.
fn settle_families(
    spec: &mut serde_json::Map<String, Value>,
    policy: &str,
    live: Option<&Value>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse =
        |field: &str, shown: Value, why: &str| errors.push(FieldError::invalid(field, shown, why));
    let policy_field = "spec.ipFamilyPolicy";
    if let Some(live) = live {
        for (key, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
            let (now, then) = (texts(spec.get(key)), texts(live["spec"].get(key)));
            if policy == "SingleStack" {
                if now == then && now.len() > 1 {
                    spec.insert(key.into(), json!([now[0]]));
                }
            } else if now.len() == 1 && then.len() == 2 && now[0] == then[0] {
                refuse(
                    policy_field,
                    policy.into(),
                    &format!("must be 'SingleStack' to release the secondary {what}"),
                );
            }
        }
    }
    let (addresses, mut families) = (texts(spec.get("clusterIPs")), texts(spec.get("ipFamilies")));
    if policy == "SingleStack" {
        for (values, what) in [(&addresses, "cluster IPs"), (&families, "IP families")] {
            if values.len() == 2 {
                let why = format!(
                    "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                );
                refuse(policy_field, policy.into(), &why);
            }
        }
    }
    for (index, address) in addresses.iter().enumerate().take_while(|(_, address)| *address != "None") {
        if index >= families.len() {
            if address.contains(':') {
                let at = format!("spec.clusterIPs[{index}]");
                refuse(&at, json!(addresses), "IPv6 is not configured on this cluster");
            } else {
                families.push("IPv4".to_owned());
            }
        }
    }
    if !families.is_empty() {
        spec.insert("ipFamilies".into(), json!(families));
    }
    errors
}

/// A Service that goes on to prefer two families, with what it had, stays as it is.
fn prefers_dual_stack_as_before(v: &Value, live: &Value) -> bool {
    let same = |key: &str| texts(v["spec"].get(key)) == texts(live["spec"].get(key));
    let prefers = |v: &Value| text(v, &["spec", "ipFamilyPolicy"]) == "PreferDualStack";
    kind(v) == kind(live) && prefers(v) && prefers(live) && same("clusterIPs") && same("ipFamilies")
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Gives out the addresses and ports that the Service needs and does not have; a dry run gives out placeholders.
fn allocate(core: &Core, v: &mut Value, live: Option<&Value>, dry_run: bool) -> ApiResult<()> {
    if kind(v) == "ExternalName" {
        return Ok(());
    }
    let own = live.map(object::uid).unwrap_or_default();
    let others: Vec<_> = core
        .store
        .list("services", None)
        .objects
        .into_iter()
        .filter(|s| own.is_empty() || object::uid(&s.value) != own)
        .collect();
    // A Service that has an address keeps it, or validation says that it may not change.
    let is_new = live.is_none_or(|live| kind(live) == "ExternalName");
    allocate_address(core, v, is_new, &others, dry_run)?;
    let taken: HashSet<i64> = others.iter().flat_map(|s| all_node_ports(&s.value)).collect();
    let mut ports = Ports { core, taken, given: Vec::new(), dry_run };
    if needs_node_ports(v) {
        allocate_node_ports(v, live, &mut ports)?;
    }
    if live.is_some() {
        refuse_duplicates(v)?;
    }
    let needed = live.is_some_and(|live| spec_bool(live, "healthCheck"));
    if spec_bool(v, "healthCheck") && !needed {
        let port = match v["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0) {
            0 => ports.take_free()?,
            port => ports.take(port).map_err(|why| {
                let why = format!("failed to allocate requested HealthCheck NodePort {port}: {why}");
                ApiError::internal(why)
            })?,
        };
        object::child(v, "spec").insert("healthCheckNodePort".into(), port.into());
    }
    Ok(())
}

fn allocate_address(
    core: &Core,
    v: &mut Value,
    is_new: bool,
    others: &[Arc<Stored>],
    dry_run: bool,
) -> ApiResult<()> {
    let name = object::name(v).to_owned();
    let spec = object::child(v, "spec");
    let given = spec.get("clusterIP").and_then(Value::as_str).filter(|c| !c.is_empty()).map(str::to_owned);
    let given = given.or_else(|| spec.get("clusterIPs")?.get(0)?.as_str().map(str::to_owned));
    let address = match given {
        Some(ip) if !is_new => ip,
        Some(ip) => {
            refuse_address(&ip, &spec.get("clusterIPs").cloned().unwrap_or_else(|| json!([ip])), others)
                .map_err(|e| ApiError::invalid("", "Service", &name, vec![e]))?;
            ip
        }
        None if dry_run => FIRST_ADDRESS.to_string(),
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
    Ok(())
}

fn allocate_node_ports(v: &mut Value, live: Option<&Value>, ports: &mut Ports) -> ApiResult<()> {
    let name = object::name(v).to_owned();
    let on_demand = kind(v) == "LoadBalancer" && v["spec"]["allocateLoadBalancerNodePorts"] == false;
    let kept: Vec<i64> = live.map(port_numbers).unwrap_or_default();
    // A new Service gives one node port to all that share a port.
    let mut shared: HashMap<i64, i64> = HashMap::new();
    let asked: Vec<(i64, i64)> = v["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| (port["port"].as_i64().unwrap_or(0), port["nodePort"].as_i64().unwrap_or(0)))
        .collect();
    let mut changed: Vec<i64> = Vec::new();
    for (index, entry) in ports_mut(v).enumerate() {
        let (port, node_port) = asked.get(index).copied().unwrap_or_default();
        if node_port == 0 && on_demand {
            continue;
        }
        let refused = |number: i64, why: &str| {
            let error = FieldError::invalid(format!("spec.ports[{index}].nodePort"), number, why);
            ApiError::invalid("", "Service", &name, vec![error])
        };
        if live.is_some() {
            if node_port == 0 {
                object::members(entry).insert("nodePort".into(), ports.take_free()?.into());
            } else if !kept.contains(&node_port) && !changed.contains(&node_port) {
                ports.take(node_port).map_err(|why| refused(node_port, why))?;
                changed.push(node_port);
            }
            continue;
        }
        let given = shared.get(&port).copied();
        let number = match given {
            None => {
                let requested = asked.iter().find(|(other, number)| *other == port && *number != 0);
                let number = match requested {
                    Some((_, number)) => ports.take(*number).map_err(|why| refused(*number, why))?,
                    None => ports.take_free()?,
                };
                shared.insert(port, number);
                number
            }
            Some(number) if node_port == 0 || node_port == number => number,
            Some(_) => ports.take(node_port).map_err(|why| refused(node_port, why))?,
        };
        object::members(entry).insert("nodePort".into(), number.into());
    }
    Ok(())
}

/// The node ports that are given out for one Service.
struct Ports<'a> {
    core: &'a Core,
    taken: HashSet<i64>,
    given: Vec<i64>,
    dry_run: bool,
}

impl Ports<'_> {
    /// Takes this port. Dry runs do not look at the range.
    fn take(&mut self, port: i64) -> Result<i64, &'static str> {
        let in_range = u16::try_from(port).is_ok_and(|port| NODE_PORTS.contains(&port));
        if !in_range && !self.dry_run {
            return Err("provided port is not in the valid range. The range of valid ports is 30000-32767");
        }
        if self.taken.contains(&port) || self.given.contains(&port) {
            return Err("provided port is already allocated");
        }
        self.given.push(port);
        Ok(port)
    }

    /// Takes a free port; a dry run shows the one after the last.
    fn take_free(&mut self) -> ApiResult<i64> {
        let free = match self.given.iter().max() {
            None if self.dry_run => AFTER_NODE_PORTS,
            Some(highest) if self.dry_run => highest + 1,
            _ => {
                let taken: HashSet<i64> = self.taken.iter().chain(&self.given).copied().collect();
                free_port(self.core, &taken)
                    .ok_or_else(|| ApiError::internal("failed to allocate a nodePort: range is full"))?
            }
        };
        self.given.push(free);
        Ok(free)
    }
}

/// Ports of one protocol may not share a node port; that of an update is no field's fault.
fn refuse_duplicates(v: &Value) -> ApiResult<()> {
    let mut seen = HashSet::new();
    for port in v["spec"]["ports"].as_array().into_iter().flatten() {
        let (protocol, number) = (text(port, &["protocol"]), port["nodePort"].as_i64().unwrap_or(0));
        if number != 0 && !seen.insert((protocol, number)) {
            return Err(ApiError::unclassified(format!("duplicate nodePort: {{{protocol} {number}}}")));
        }
    }
    Ok(())
}

fn ports_mut(v: &mut Value) -> impl Iterator<Item = &mut Value> {
    let ports = v.get_mut("spec").and_then(|spec| spec.get_mut("ports"));
    ports.and_then(Value::as_array_mut).into_iter().flatten()
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
