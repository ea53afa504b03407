//! Values that CEL itself does not have: quantities, URLs, addresses and blocks of addresses.

use std::any::Any;
use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::LazyLock;

use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};

use crate::schema::Quantity;

/// A value with a type of Kubernetes' own.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Special {
    Quantity(Quantity),
    Url(Url),
    Ip(IpAddr),
    Cidr(IpAddr, u8),
}

/// The parts of a URL.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Url {
    pub scheme: String,
    pub host: String,
    pub path: String,
    pub query: String,
}

pub(super) const QUANTITY: &str = "kubernetes.Quantity";
pub(super) const URL: &str = "kubernetes.URL";
pub(super) const IP: &str = "net.IP";
pub(super) const CIDR: &str = "net.CIDR";

/// The type with a name.
pub(super) fn named(name: &'static str) -> Type {
    Type::new_unspecified_type(name)
}

static TYPES: LazyLock<[Type; 4]> = LazyLock::new(|| [QUANTITY, URL, IP, CIDR].map(named));

impl StaticVal for Special {}

impl Val for Special {
    fn get_type(&self) -> &Type {
        match self {
            Special::Quantity(_) => &TYPES[0],
            Special::Url(_) => &TYPES[1],
            Special::Ip(_) => &TYPES[2],
            Special::Cidr(..) => &TYPES[3],
        }
    }

    fn cel_type() -> &'static Type {
        &TYPES[0]
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Special>().is_some_and(|other| self == other)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Special {
    /// How two values of the same type are ordered.
    pub fn order(&self, other: &Special) -> Option<Ordering> {
        match (self, other) {
            (Special::Quantity(a), Special::Quantity(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}
