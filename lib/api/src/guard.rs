//! Refuses the requests of web pages of other sites while there are no tokens. A browser lets every page send requests to a loopback
//! address, and the server asks for no token. With tokens, any `Host` is fine: a page of another site has no token.
//!
//! - A page of another site names its site in `Origin`, or the browser says `Sec-Fetch-Site: cross-site`.
//! - A page whose own host name resolves to a loopback address belongs to the same site for the browser. `Host` then contains
//!   this name.

use crate::{
    auth::Auth,
    errors::{Code, Problem, Result},
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::net::{Ipv4Addr, Ipv6Addr};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The `Host` that the client has sent to a proxy. A page of another site cannot set this header: the browser asks with `OPTIONS`
/// before, and that request has an `Origin`.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Answers 403 to requests of web pages of other sites.
pub(crate) async fn guard(State(auth): State<Auth>, request: Request, next: Next) -> Response {
    if !auth.is_open() {
        return next.run(request).await;
    }
    match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(headers: &HeaderMap) -> Result<()> {
    let refused = |message: &str| Err(Problem::new(Code::Forbidden, message));
    let mut hosts = headers.get_all(header::HOST).iter().map(HeaderValue::to_str);
    let (Some(Ok(host)), None) = (hosts.next(), hosts.next()) else {
        return refused("the request must have one header Host, such as localhost");
    };
    if !is_loopback(host) {
        return refused("the header Host must name a loopback address, such as localhost or 127.0.0.1");
    }
    let asked = match headers.get(FORWARDED_HOST) {
        Some(forwarded) => forwarded.to_str().unwrap_or_default(),
        None => host,
    };
    if headers.get_all(header::ORIGIN).iter().any(|origin| !is_of(origin, asked)) {
        return refused("the header Origin names another site: web pages of other sites may not use this server");
    }
    if headers.get_all(FETCH_SITE).iter().any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site")) {
        return refused("web pages of other sites may not use this server");
    }
    Ok(())
}

/// Whether this is a loopback name or address, with any port or none.
fn is_loopback(host: &str) -> bool {
    let Some(authority) = host.parse::<Authority>().ok().filter(|_| !host.contains('@')) else { return false };
    let name = authority.host();
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || v6.is_some_and(|name| name.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()))
}

/// Whether the origin has this host and port. Browsers leave out the port in both if it is the usual one.
fn is_of(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_and_addresses_are_hosts() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "here", "localhost.evil.example", "127.0.0.1.nip.io", "192.0.2.1", "0.0.0.0", "[::2]", "a@localhost"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
