//! Which addresses may be dialed. Another person chooses the target of a webhook, so the request must not reach anything that
//! only this machine and its neighbours should reach.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A network: the first bits of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    bits: u128,
    length: u32,
    is_v4: bool,
}

/// Networks that may be dialed although they are not of the public internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// A text that is no list of networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no network; write an address and a length, such as 10.0.0.0/8 or fd00::/8, with commas between networks"
)]
pub struct InvalidNetwork(String);

/// The networks of IPv4 that are not of the public internet, from the registry of IANA (RFC 6890 and later).
const SPECIAL_V4: [([u8; 4], u32, &str); 16] = [
    ([0, 0, 0, 0], 8, "unspecified"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "shared by the customers of a carrier"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "for protocols"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 88, 99, 0], 24, "a relay of 6to4"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([255, 255, 255, 255], 32, "broadcast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// The same of IPv6. All addresses outside of 2000::/3 are refused anyway; these lines only name the reason.
const SPECIAL_V6: [([u16; 8], u32, &str); 18] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, "compatible with IPv4"),
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "translated from IPv4"),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "of NAT64"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "of NAT64"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "for discarding"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "of Teredo"),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "for benchmarks"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "for protocols"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "for documentation"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "of 6to4"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "for documentation"),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "of segment routing"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "private"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];

/// The only part of IPv6 that is of the public internet.
const GLOBAL_V6: Network = Network { bits: 0x2000 << 112, length: 3, is_v4: false };

impl Network {
    const fn v4(address: Ipv4Addr, length: u32) -> Self {
        Self { bits: (address.to_bits() as u128) << 96, length, is_v4: true }
    }

    const fn v6(address: Ipv6Addr, length: u32) -> Self {
        Self { bits: address.to_bits(), length, is_v4: false }
    }

    fn holds(self, address: IpAddr) -> bool {
        let (bits, is_v4) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, true),
            IpAddr::V6(address) => (address.to_bits(), false),
        };
        is_v4 == self.is_v4 && (bits ^ self.bits).checked_shr(128 - self.length).unwrap_or(0) == 0
    }
}

impl Networks {
    /// Why this address may not be dialed, as the end of a sentence that begins with the address; `None`: it may be dialed. An IPv4
    /// address within an IPv6 address is judged as the IPv4 address, because the machine dials that.
    pub(crate) fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let address = address.to_canonical();
        if self.0.iter().any(|network| network.holds(address)) {
            return None;
        }
        match address {
            IpAddr::V4(_) => SPECIAL_V4
                .iter()
                .find(|(first, length, _)| Network::v4(Ipv4Addr::from(*first), *length).holds(address))
                .map(|(_, _, name)| *name),
            IpAddr::V6(_) => SPECIAL_V6
                .iter()
                .find(|(first, length, _)| Network::v6(Ipv6Addr::from(*first), *length).holds(address))
                .map(|(_, _, name)| *name)
                .or_else(|| (!GLOBAL_V6.holds(address)).then_some("not of the public internet")),
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(invalid)?;
        let length: u32 = length.parse().map_err(|_| invalid())?;
        match address.parse().map_err(|_| invalid())? {
            IpAddr::V4(address) if length <= 32 => Ok(Self::v4(address, length)),
            IpAddr::V6(address) if length <= 128 => Ok(Self::v6(address, length)),
            _ => Err(invalid()),
        }
    }
}

impl FromStr for Networks {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let networks = text.split(',').map(str::trim).filter(|network| !network.is_empty());
        networks.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, network) in self.0.iter().enumerate() {
            let comma = if nth > 0 { ", " } else { "" };
            match network.is_v4 {
                true => {
                    let bits = u32::try_from(network.bits >> 96).unwrap_or_default();
                    write!(f, "{comma}{}/{}", Ipv4Addr::from(bits), network.length)?;
                }
                false => write!(f, "{comma}{}/{}", Ipv6Addr::from(network.bits), network.length)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(address: &str) -> Option<&'static str> {
        Networks::default().refusal(address.parse().unwrap_or_else(|error| panic!("{address}: {error}")))
    }

    /// The first and the last address of each network are refused, and the public neighbours are not.
    #[test]
    fn each_special_network_is_refused_to_its_edges() {
        for (first, last, why) in [
            ("0.0.0.0", "0.255.255.255", "unspecified"),
            ("10.0.0.0", "10.255.255.255", "private"),
            ("100.64.0.0", "100.127.255.255", "shared by the customers of a carrier"),
            ("127.0.0.0", "127.255.255.255", "loopback"),
            ("169.254.0.0", "169.254.255.255", "link-local"),
            ("169.254.169.254", "169.254.170.2", "link-local"),
            ("172.16.0.0", "172.31.255.255", "private"),
            ("192.0.0.0", "192.0.0.255", "for protocols"),
            ("192.0.2.0", "192.0.2.255", "for documentation"),
            ("192.88.99.0", "192.88.99.255", "a relay of 6to4"),
            ("192.168.0.0", "192.168.255.255", "private"),
            ("198.18.0.0", "198.19.255.255", "for benchmarks"),
            ("198.51.100.0", "198.51.100.255", "for documentation"),
            ("203.0.113.0", "203.0.113.255", "for documentation"),
            ("224.0.0.0", "239.255.255.255", "multicast"),
            ("240.0.0.0", "255.255.255.254", "reserved"),
            ("255.255.255.255", "255.255.255.255", "broadcast"),
            ("::", "::", "unspecified"),
            ("::1", "::1", "loopback"),
            ("::2", "::127.0.0.1", "compatible with IPv4"),
            ("::ffff:0:0:0", "::ffff:0:127.0.0.1", "translated from IPv4"),
            ("::ffff:127.0.0.1", "::ffff:7f00:1", "loopback"),
            ("::ffff:10.0.0.1", "::ffff:10.255.255.255", "private"),
            ("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "link-local"),
            ("64:ff9b::", "64:ff9b::ffff:ffff", "of NAT64"),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "of NAT64"),
            ("100::", "100::ffff:ffff:ffff:ffff", "for discarding"),
            ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "of Teredo"),
            ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "for benchmarks"),
            ("2001:10::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "for protocols"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "for documentation"),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "of 6to4"),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "for documentation"),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "of segment routing"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"),
            ("fd00:ec2::254", "fd00:ec2::254", "private"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
            ("200::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not of the public internet"),
            ("4000::", "4fff::1", "not of the public internet"),
        ] {
            assert_eq!((refusal(first), refusal(last)), (Some(why), Some(why)), "{first} to {last}");
        }
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2000::1",
            "2001:200::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe:ffff::1",
        ] {
            assert_eq!(refusal(public), None, "{public}");
        }
    }

    #[test]
    fn a_setting_allows_networks_and_nothing_else() {
        let allowed: Networks = " 10.1.0.0/16, ::1/128 ,".parse().expect("networks");
        let refusal = |address: &str| allowed.refusal(address.parse().expect("an address"));
        assert_eq!(refusal("10.1.255.255"), None);
        assert_eq!(refusal("::ffff:10.1.0.1"), None, "the same address in another spelling");
        assert_eq!(refusal("::1"), None);
        assert_eq!(refusal("10.2.0.0"), Some("private"));
        assert_eq!(refusal("::2"), Some("compatible with IPv4"));
        assert_eq!(allowed.to_string(), "10.1.0.0/16, ::1/128");
        let everything: Networks = "0.0.0.0/0,::/0".parse().expect("networks");
        assert_eq!(everything.refusal("127.0.0.1".parse().expect("an address")), None);
        assert_eq!("".parse(), Ok(Networks::default()));
        for bad in
            ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0/8", "localhost/8", "10.0.0.0/-1", "10.0.0.0/8 10.0.0.0/8"]
        {
            assert!(bad.parse::<Networks>().is_err(), "{bad}");
        }
    }
}
