//! Recognizes the variables that Kubernetes puts into every container for every Service of its namespace. For a
//! Service whose name is `leasehold` or begins with `leasehold-`, these variables begin with `LEASEHOLD_`, like
//! settings.

use std::ffi::OsStr;

/// Whether Kubernetes makes such a variable, with such a value, for a Service of a name like ours:
///
/// - `LEASEHOLD_SERVICE_HOST=10.0.0.1`, `LEASEHOLD_SERVICE_PORT=80`, `LEASEHOLD_SERVICE_PORT_HTTP=80`
/// - `LEASEHOLD_PORT=tcp://10.0.0.1:80`, `LEASEHOLD_PORT_80_TCP=tcp://10.0.0.1:80`
/// - `LEASEHOLD_PORT_80_TCP_PROTO=tcp`, `LEASEHOLD_PORT_80_TCP_PORT=80`, `LEASEHOLD_PORT_80_TCP_ADDR=10.0.0.1`
pub(super) fn is_of_a_service(variable: &str, value: &OsStr) -> bool {
    let Some(value) = value.to_str() else { return false };
    if variable.ends_with("_SERVICE_HOST") || variable.ends_with("_SERVICE_PORT") {
        return true;
    }
    // The name of the port is anything.
    if let Some((_, port)) = variable.rsplit_once("_SERVICE_PORT_") {
        return !port.is_empty();
    }
    if variable.ends_with("_PORT") && is_address(value) {
        return true;
    }
    variable.match_indices("_PORT_").any(|(at, between)| is_port(&variable[at + between.len()..]))
}

/// `80_TCP`, `80_TCP_ADDR` …
fn is_port(text: &str) -> bool {
    let mut parts = text.split('_');
    let number = parts.next().is_some_and(|number| number.parse::<u16>().is_ok());
    let protocol = parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol));
    let part = parts.next().is_none_or(|part| ["PROTO", "PORT", "ADDR"].contains(&part));
    number && protocol && part && parts.next().is_none()
}

/// `tcp://10.0.0.1:80`
fn is_address(value: &str) -> bool {
    value.split_once("://").is_some_and(|(protocol, _)| ["tcp", "udp", "sctp"].contains(&protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_makes_is_told_from_a_misspelling() {
        let of_a_service = |variable: &str, value: &str| is_of_a_service(variable, OsStr::new(value));
        for service in ["LEASEHOLD", "LEASEHOLD_WORKER", "LEASEHOLD_API", "LEASEHOLD_REDIS_URL", "LEASEHOLD_PORT_80"] {
            for (end, value) in [
                ("SERVICE_HOST", "10.0.0.1"),
                ("SERVICE_PORT", "80"),
                ("SERVICE_PORT_HTTP_METRICS", "80"),
                ("PORT", "tcp://10.0.0.1:80"),
                ("PORT", "udp://[fd00::1]:53"),
                ("PORT_80_TCP", "tcp://10.0.0.1:80"),
                ("PORT_80_TCP_PROTO", "tcp"),
                ("PORT_80_TCP_PORT", "80"),
                ("PORT_53_UDP_ADDR", "10.0.0.1"),
                ("PORT_5_SCTP", "sctp://10.0.0.1:5"),
            ] {
                assert!(of_a_service(&format!("{service}_{end}"), value), "{service}_{end}={value}");
            }
        }
        for (variable, value) in [
            ("LEASEHOLD_PORT", "6379"),
            ("LEASEHOLD_REDIS_PORT", "6379"),
            ("LEASEHOLD_PORT_80", "x"),
            ("LEASEHOLD_PORT_80_HTTP", "x"),
            ("LEASEHOLD_PORT_X_TCP", "x"),
            ("LEASEHOLD_PORT_80_TCP_HOST", "x"),
            ("LEASEHOLD_SERVICE", "x"),
            ("LEASEHOLD_SERVICE_PORT_", "x"),
            ("LEASEHOLD_DATABASE_URI", "tcp://10.0.0.1:80"),
            ("LEASEHOLD_WORKER__LEASE", "1"),
        ] {
            assert!(!of_a_service(variable, value), "{variable}={value}");
        }
    }
}
