//! The schemas of built-in kinds: merge types, the JSON form of their typed objects, ignored fields of each resource.

mod base64;
mod decode;
mod definitions;
mod go_types;
mod kind;
mod quantity;
mod reset;
mod time;

use std::collections::HashMap;
use std::sync::LazyLock;

use fluxide_structured_merge::schema::{Schema, TypeId, TypeRef, TypeUse};

pub(crate) use decode::{convert, decode, restore_empty_lists, unknown_field};
pub(crate) use kind::{BuiltinKind, CustomKind};
pub(crate) use quantity::{Quantity, canonical_quantity};
pub(crate) use reset::{reset_fields, resets_metadata};

/// Every built-in type.
pub(crate) struct Builtin {
    schema: Schema,
    kinds: HashMap<(String, String, String), TypeUse>,
    definitions: HashMap<String, TypeId>,
    names: HashMap<TypeId, String>,
    go_types: HashMap<(TypeId, String), String>,
}

/// The built-in types, read once.
pub(crate) fn builtin() -> &'static Builtin {
    static BUILTIN: LazyLock<Builtin> = LazyLock::new(definitions::read);
    &BUILTIN
}

impl Builtin {
    /// The type of a kind.
    pub(crate) fn kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeRef<'_>> {
        let key = (group.to_owned(), version.to_owned(), kind.to_owned());
        self.kinds.get(&key).map(|used| self.schema.type_ref(*used))
    }

    /// The type of a definition such as `io.k8s.api.core.v1.PodSpec`.
    pub(crate) fn definition(&self, name: &str) -> Option<TypeRef<'_>> {
        self.definitions.get(name).map(|id| self.schema.type_ref((*id).into()))
    }

    /// The name of the definition of a type; `None` for types without one.
    pub(crate) fn definition_name(&self, ty: TypeRef<'_>) -> Option<&str> {
        self.names.get(&ty.used().id).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fluxide_structured_merge::schema::ListRelationship;
    use serde_json::{Value, json};

    fn decoded(group: &str, version: &str, kind: &str, mut value: Value) -> Value {
        let ty = builtin().kind(group, version, kind).unwrap();
        assert_eq!(decode(&mut value, ty).unwrap(), Vec::<String>::new());
        value
    }

    #[test]
    fn typed_objects_have_what_go_writes_always() {
        assert_eq!(
            decoded("apps", "v1", "Deployment", json!({})),
            json!({"metadata": {}, "status": {}, "spec": {"selector": null, "strategy": {},
                "template": {"metadata": {}, "spec": {"containers": null}}}})
        );
        assert_eq!(
            decoded(
                "",
                "v1",
                "ConfigMap",
                json!({"data": {"a": null}, "binaryData": {}, "immutable": false})
            ),
            json!({"metadata": {}, "data": {"a": ""}, "immutable": false})
        );
        assert_eq!(
            decoded(
                "",
                "v1",
                "Service",
                json!({"spec": {"ports": [{"port": 80, "protocol": ""}], "selector": {}}})
            ),
            json!({"metadata": {}, "spec": {"ports": [{"port": 80, "targetPort": 0}]}, "status": {"loadBalancer": {}}})
        );
    }

    #[test]
    fn scalars_take_their_canonical_form() {
        let pod = decoded(
            "",
            "v1",
            "Pod",
            json!({"metadata": {"creationTimestamp": "2026-01-02T04:04:05.9+01:00"}, "spec": {"containers": [
                {"name": "a", "resources": {"limits": {"cpu": "1000m", "memory": "0.5Gi", "x": 2}}}]}}),
        );
        assert_eq!(
            pod["spec"]["containers"][0]["resources"]["limits"],
            json!({"cpu": "1", "memory": "512Mi", "x": "2"})
        );
        assert_eq!(pod["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
    }

    #[test]
    fn errors_read_as_from_go() {
        let refusal = |group: &str, kind: &str, mut value: Value| {
            let ty = builtin().kind(group, "v1", kind).unwrap();
            decode(&mut value, ty).unwrap_err().to_string()
        };
        assert_eq!(
            refusal("apps", "Deployment", json!({"spec": {"replicas": "two"}})),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
        assert_eq!(
            refusal("apps", "Deployment", json!({"spec": {"replicas": 1.5}})),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
        assert_eq!(
            refusal("apps", "Deployment", json!({"spec": {"template": {"spec": {"containers": {}}}}})),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"
        );
        assert_eq!(
            refusal("", "Service", json!({"spec": {"ports": [{"port": "a"}]}})),
            "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32"
        );
        assert_eq!(
            refusal("", "ConfigMap", json!({"data": {"a": 1}})),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        );
        assert_eq!(
            refusal("", "ConfigMap", json!({"data": "x"})),
            "json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string"
        );
        assert_eq!(
            refusal("", "ConfigMap", json!({"metadata": []})),
            "json: cannot unmarshal array into Go struct field ConfigMap.metadata of type v1.ObjectMeta"
        );
        assert_eq!(
            refusal("", "Secret", json!({"data": {"a": "x y"}})),
            "illegal base64 data at input byte 1"
        );
        assert_eq!(
            refusal("", "Secret", json!({"data": 1})),
            "json: cannot unmarshal number into Go struct field Secret.data of type map[string][]uint8"
        );
    }

    #[test]
    fn unknown_fields_are_dropped_and_named() {
        let ty = builtin().kind("apps", "v1", "Deployment").unwrap();
        let mut value =
            json!({"x": 1, "spec": {"template": {"spec": {"containers": [{"name": "a", "imagee": 1}]}}}});
        let unknown = decode(&mut value, ty).unwrap();
        assert_eq!(unknown, ["spec.template.spec.containers[0].imagee", "x"]);
        assert_eq!(value["x"], Value::Null);
    }

    #[test]
    fn keys_default() {
        let spec = builtin().definition("io.k8s.api.core.v1.ServiceSpec").unwrap().atom().map().unwrap();
        let ports = spec.member_type("ports").unwrap().atom().list().unwrap();
        assert_eq!(ports.relationship(), &ListRelationship::Map(vec!["port".into(), "protocol".into()]));
        assert_eq!(ports.key_default("protocol").unwrap(), Some(&json!("TCP")));
        assert_eq!(ports.key_default("port").unwrap(), Some(&json!(0)));
        assert!(spec.member_type("selector").unwrap().atom().map().unwrap().is_atomic());
    }
}
