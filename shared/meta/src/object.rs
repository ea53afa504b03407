//! What every reconciled object has in common, whatever its kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The part of spec and status that is the same in every reconciled kind.
///
/// API crates implement it with [`object!`](crate::object), one line per kind; the runtime reads
/// and writes objects through it.
pub trait Object {
    /// Whether `spec.suspend` is true.
    fn suspended(&self) -> bool;
    /// `status.conditions`, empty without a status.
    fn conditions(&self) -> &[Condition];
    /// `status.conditions`, creating the status when there is none.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
    /// `status.observedGeneration`, 0 without a status.
    fn observed_generation(&self) -> i64;
    /// Sets `status.observedGeneration`.
    fn set_observed_generation(&mut self, generation: i64);
    /// `status.lastHandledReconcileAt`.
    fn last_handled_reconcile_at(&self) -> Option<&str>;
    /// Sets `status.lastHandledReconcileAt`.
    fn set_last_handled_reconcile_at(&mut self, value: String);
}

/// Implements [`Object`] for a kind of the usual shape.
///
/// `status` must be an `Option` of a type with `Default` and the fields `conditions:
/// Vec<Condition>`, `observed_generation` (`i64` or `Option<i64>`) and
/// `last_handled_reconcile_at: Option<String>`. `spec.suspend` may be `bool` or `Option<bool>`;
/// kinds without it say `object!(Kind, never suspended)`.
#[macro_export]
macro_rules! object {
    ($kind:ty) => {
        $crate::object!(@impl $kind, |object: &$kind| {
            ::core::convert::Into::<Option<bool>>::into(object.spec.suspend).unwrap_or(false)
        });
    };
    ($kind:ty, never suspended) => {
        $crate::object!(@impl $kind, |_: &$kind| false);
    };
    (@impl $kind:ty, $suspended:expr) => {
        impl $crate::object::Object for $kind {
            fn suspended(&self) -> bool {
                ($suspended)(self)
            }
            fn conditions(
                &self,
            ) -> &[::k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
                self.status.as_ref().map_or(&[], |status| status.conditions.as_slice())
            }
            fn conditions_mut(
                &mut self,
            ) -> &mut ::std::vec::Vec<::k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>
            {
                &mut self.status.get_or_insert_with(::core::default::Default::default).conditions
            }
            fn observed_generation(&self) -> i64 {
                self.status
                    .as_ref()
                    .and_then(|status| {
                        ::core::convert::Into::<Option<i64>>::into(status.observed_generation)
                    })
                    .unwrap_or(0)
            }
            fn set_observed_generation(&mut self, generation: i64) {
                self.status
                    .get_or_insert_with(::core::default::Default::default)
                    .observed_generation = generation.into();
            }
            fn last_handled_reconcile_at(&self) -> Option<&str> {
                self.status.as_ref()?.last_handled_reconcile_at.as_deref()
            }
            fn set_last_handled_reconcile_at(&mut self, value: ::std::string::String) {
                self.status
                    .get_or_insert_with(::core::default::Default::default)
                    .last_handled_reconcile_at = Some(value);
            }
        }
    };
}
