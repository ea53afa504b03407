//! What kind of place an IP address or a host name leads to.
//!
//! Strangers make controllers send requests: by a redirect, a submodule, the address of a provider or of a key service.
//! [`is_local`] tells the places where only this machine, its link or its cloud's metadata service is, [`is_external`]
//! those that anybody can reach. What is neither is the network around: private addresses and the like.
//!
//! Both look at what an address is, however it is written: an IPv4 address inside of an IPv6 one is judged as itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds have services that trust the machine that asks: Alibaba's and Oracle's metadata, Azure's platform.
const PLATFORM: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// Whether an address is on this machine or its link, or of a service that trusts this machine: loopback, link-local,
/// unspecified, broadcast and multicast addresses, and the metadata services of clouds.
pub fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => embedded(address).is_some_and(is_local_v4) || is_local_v6(address),
    }
}

/// Whether an address is one of the public internet: not local, private, shared, reserved or only for documents.
pub fn is_external(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_external_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => is_external_v4(inner),
            None => is_external_v6(address),
        },
    }
}

/// Whether a host is `localhost`, a name below it, or a local address written out.
pub fn is_local_name(host: &str) -> bool {
    let host = plain(host);
    match host.parse::<IpAddr>() {
        Ok(address) => is_local(address),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// A host as it is compared: in lower case, without the brackets of an IPv6 address and the dot of the root.
pub fn plain(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        // "This network": systems take some of it for themselves.
        || address.octets()[0] == 0
        || PLATFORM.contains(&address)
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        // Where AWS and Google have their metadata.
        || address.segments()[..2] == [0xfd00, 0x0ec2]
        || address.segments()[..2] == [0xfd20, 0x00ce]
}

fn is_external_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocols = a == 192 && b == 0 && c == 0;
    let relays = a == 192 && b == 88 && c == 99;
    let benchmarks = a == 198 && (b == 18 || b == 19);
    !(is_local_v4(address)
        || address.is_private()
        || address.is_documentation()
        || a >= 240
        || shared
        || protocols
        || relays
        || benchmarks)
}

fn is_external_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let global = segments[0] & 0xe000 == 0x2000;
    // Protocols of the IETF, among them tunnels whose ends are in the address.
    let protocols = segments[0] == 0x2001 && segments[1] < 0x0200;
    let documentation = segments[..2] == [0x2001, 0xdb8] || segments[0] == 0x3fff && segments[1] < 0x1000;
    global && !protocols && !documentation
}

/// The IPv4 address that an IPv6 address leads to: one that is mapped, compatible, translated or tunnelled.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn local_addresses_are_local_however_they_are_written() {
        for text in [
            "127.0.0.1",
            "127.255.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "255.255.255.255",
            "224.0.0.1",
            "239.255.255.250",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::169.254.169.254",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(is_local(ip(text)), "{text}");
            assert!(!is_external(ip(text)), "{text}");
        }
    }

    #[test]
    fn the_network_around_is_neither_local_nor_external() {
        for text in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "240.0.0.1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "100::1",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2001:20::1",
            "3fff::1",
            "4000::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
        ] {
            assert!(!is_local(ip(text)), "{text}");
            assert!(!is_external(ip(text)), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_external() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_external(ip(text)), "{text}");
            assert!(!is_local(ip(text)), "{text}");
        }
    }

    #[test]
    fn nothing_is_both() {
        for high in (0..=u32::MAX).step_by(65_521) {
            let address = IpAddr::from(Ipv4Addr::from_bits(high));
            assert!(!(is_local(address) && is_external(address)), "{address}");
            let address = IpAddr::from(Ipv6Addr::from_bits(u128::from(high) << 96 | 1));
            assert!(!(is_local(address) && is_external(address)), "{address}");
        }
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for host in ["localhost", "LocalHost.", "a.localhost", "[::1]", "127.0.0.1", "[::ffff:7f00:1]"] {
            assert!(is_local_name(host), "{host}");
        }
        for host in ["localhost.example.com", "example.com", "10.0.0.1", "[fd12::1]"] {
            assert!(!is_local_name(host), "{host}");
        }
    }
}
