//! The target of a webhook: a URL that is parsed only once, so that two parsers cannot disagree about it.

use crate::networks::Networks;
use std::net::IpAddr;
use url::{Host, Url};

/// The longest URL.
const URL_MAX_BYTES: usize = 2048;

/// The target of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(crate) is_tls: bool,
    pub(crate) host: TargetHost,
    pub(crate) port: u16,
    /// The value of the header `host`.
    pub(crate) authority: String,
    /// The path with the query.
    pub(crate) path: String,
}

/// A name, which is resolved when a webhook is sent, or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetHost {
    Name(String),
    Address(IpAddr),
}

/// Why a webhook cannot go to a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// The text is no URL, or not a URL of HTTP.
    #[error("{0:?} is no URL of a webhook; write one such as https://example.com/hooks")]
    NoUrl(String),
    /// The text is too long.
    #[error("the URL is longer than {URL_MAX_BYTES} bytes")]
    TooLong,
    /// The URL has a user or a password. They would be sent to any server that answers, and logs would show them.
    #[error("the URL has a user or a password; receivers check the signature instead")]
    User,
    /// The address is not of the public internet.
    #[error("{address} is {why}; the setting webhooks.allow_networks allows networks that are not public")]
    Refused {
        /// The address, however the URL spells it.
        address: IpAddr,
        /// What the address is.
        why: &'static str,
    },
}

impl Target {
    /// Reads a URL. An address in the URL is checked in every notation (octal, hexadecimal, one number, IPv6). A name is judged
    /// when it is resolved.
    ///
    /// # Errors
    /// The text is no URL to which a webhook may go.
    pub fn parse(text: &str, allowed: &Networks) -> Result<Self, InvalidTarget> {
        if text.len() > URL_MAX_BYTES {
            return Err(InvalidTarget::TooLong);
        }
        let no_url = || InvalidTarget::NoUrl(text.to_owned());
        let url = Url::parse(text).map_err(|_| no_url())?;
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(no_url()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTarget::User);
        }
        let host = match url.host().ok_or_else(no_url)? {
            Host::Domain(name) => TargetHost::Name(name.to_owned()),
            Host::Ipv4(address) => TargetHost::Address(address.into()),
            Host::Ipv6(address) => TargetHost::Address(address.into()),
        };
        if let TargetHost::Address(address) = host
            && let Some(why) = allowed.refusal(address)
        {
            return Err(InvalidTarget::Refused { address, why });
        }
        let port = url.port_or_known_default().filter(|port| *port > 0).ok_or_else(no_url)?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let authority = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        Ok(Self { is_tls, host, port, authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target, InvalidTarget> {
        Target::parse(text, &Networks::default())
    }

    #[test]
    fn a_url_is_taken_apart() {
        let target = parse("https://Example.com/a%20b?c=d#e").expect("a target");
        assert_eq!((target.is_tls, target.port, target.path.as_str()), (true, 443, "/a%20b?c=d"));
        assert_eq!((target.authority.as_str(), target.host), ("example.com", TargetHost::Name("example.com".into())));
        let target = parse("http://[2606:4700::1111]:8080").expect("a target");
        assert_eq!((target.is_tls, target.port, target.path.as_str()), (false, 8080, "/"));
        assert_eq!(target.authority, "[2606:4700::1111]:8080");
    }

    /// Each spelling of a loopback, private or metadata address that some parser accepts.
    #[test]
    fn an_address_is_judged_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0x7F.0x0.0x0.0x1",
            "0177.0.0.1",
            "017700000001",
            "00000177.0.0.1",
            "0x7f.1",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "①②⑦.0.0.1",
            "0",
            "0.0.0.0",
            "[::]",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[2001:0:7f00:1::]",
            "[fe80::1]",
            "[fd00::1]",
            "10.0.0.1",
            "012.0.0.1",
            "192.168.257",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "0251.0376.0251.0376",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "100.64.0.1",
        ] {
            for url in [format!("http://{host}/"), format!("https://{host}:8443/x"), format!("http:\\\\{host}\\x")] {
                let refused = parse(&url);
                assert!(matches!(refused, Err(InvalidTarget::Refused { .. })), "{url}: {refused:?}");
            }
        }
    }

    #[test]
    fn texts_that_are_no_target_are_refused() {
        for (text, error) in [
            ("https://u@example.com/", InvalidTarget::User),
            ("https://u:p@example.com/", InvalidTarget::User),
            ("https://:p@example.com/", InvalidTarget::User),
            ("http://example.com@127.0.0.1/", InvalidTarget::User),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        for text in [
            "",
            "example.com",
            "/hooks",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "unix:/run/docker.sock",
            "http://",
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://[fe80::1%25eth0]/",
            "http://[fe80::1%eth0]/",
            "http://[::1/",
            "http://256.0.0.1/",
            "http://0x100000000/",
            "http://exa mple.com/",
            "http://example.com\u{0}.evil/",
        ] {
            let refused = parse(text);
            assert!(matches!(refused, Err(InvalidTarget::NoUrl(_))), "{text}: {refused:?}");
        }
        assert_eq!(parse(&format!("https://example.com/{}", "x".repeat(URL_MAX_BYTES))), Err(InvalidTarget::TooLong));
    }

    #[test]
    fn a_line_break_in_a_url_cannot_make_a_header() {
        let target = parse("https://example.com/a\r\nx-evil: 1").expect("a target");
        assert!(!target.path.contains(['\r', '\n']), "{target:?}");
    }

    #[test]
    fn a_setting_allows_an_address() {
        let allowed = "127.0.0.0/8".parse().expect("networks");
        assert!(Target::parse("http://0x7f000001:9000/", &allowed).is_ok());
        assert!(Target::parse("http://[::1]:9000/", &allowed).is_err());
    }
}
