//! Decides from the settings and the environment whether spans are exported, and where to.

use super::settings::{OtlpProtocol, TraceSettings};
use std::collections::BTreeMap;
use url::Url;

/// The path of the collector that takes spans over HTTP.
const PATH: &str = "/v1/traces";
/// The port of collectors for gRPC.
const GRPC_PORT: u16 = 4317;

/// The export of spans cannot start.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name} {problem}")]
pub struct TracesError {
    /// The setting or the variable.
    name: &'static str,
    /// What is wrong, as the end of a sentence. It does not quote the value, which may have a password.
    problem: String,
}

impl TracesError {
    pub(super) fn new(name: &'static str, problem: impl Into<String>) -> Self {
        Self { name, problem: problem.into() }
    }
}

/// Where spans are sent, and their attributes about this process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) endpoint: Url,
    pub(super) protocol: OtlpProtocol,
    pub(super) sample_ratio: f64,
    /// With `service.name`.
    pub(super) resource: BTreeMap<String, String>,
}

const ENDPOINT: &str = "telemetry.otlp_endpoint";
const TRACES_ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL_VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const RESOURCE: &str = "telemetry.resource_attributes";
const RESOURCE_VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";

impl Target {
    /// A setting wins over a variable. `None`: no setting and no variable names a collector, or the variables switch the export
    /// off and no setting names a collector. `service`: the name of a service that is not named.
    pub(super) fn decide(
        settings: &TraceSettings,
        service: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TracesError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is = |name: &str, value: &str| variable(name).is_some_and(|given| given.eq_ignore_ascii_case(value));
        let is_switched_off = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
        let (name, given) = match &settings.endpoint {
            Some(endpoint) => (ENDPOINT, endpoint.clone()),
            None if is_switched_off => return Ok(None),
            None => {
                let named = [TRACES_ENDPOINT_VARIABLE, ENDPOINT_VARIABLE]
                    .into_iter()
                    .find_map(|name| Some((name, variable(name)?)));
                match named {
                    Some(named) => named,
                    None => return Ok(None),
                }
            }
        };
        let mut endpoint = read_endpoint(name, &given)?;
        let protocol = match settings.protocol {
            Some(protocol) => protocol,
            None => match PROTOCOL_VARIABLES.into_iter().find_map(|name| Some((name, variable(name)?))) {
                Some((name, protocol)) => read_protocol(name, &protocol)?,
                None if endpoint.port() == Some(GRPC_PORT) => OtlpProtocol::Grpc,
                None => OtlpProtocol::HttpProtobuf,
            },
        };
        // The variable for traces alone names the whole address.
        if protocol == OtlpProtocol::HttpProtobuf && name != TRACES_ENDPOINT_VARIABLE {
            let path = endpoint.path().trim_end_matches('/');
            if !path.ends_with(PATH) {
                endpoint.set_path(&format!("{path}{PATH}"));
            }
        }
        let mut resource = BTreeMap::new();
        if let Some(given) = variable(RESOURCE_VARIABLE) {
            resource.extend(read_attributes(RESOURCE_VARIABLE, &given)?);
        }
        if let Some(given) = &settings.resource_attributes {
            resource.extend(read_attributes(RESOURCE, given)?);
        }
        let named = settings.service_name.clone().or_else(|| variable("OTEL_SERVICE_NAME"));
        match named {
            Some(named) => drop(resource.insert("service.name".to_owned(), named)),
            None => drop(resource.entry("service.name".to_owned()).or_insert_with(|| service.to_owned())),
        }
        Ok(Some(Self { endpoint, protocol, sample_ratio: settings.sample_ratio, resource }))
    }
}

fn read_endpoint(name: &'static str, given: &str) -> Result<Url, TracesError> {
    let example = "must be an address such as http://127.0.0.1:4318";
    let url = Url::parse(given).map_err(|_| TracesError::new(name, example))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(TracesError::new(name, example));
    }
    // An address in a log must not contain a password.
    if !url.username().is_empty() || url.password().is_some() {
        let problem = "has a user or a password; give the collector a header with OTEL_EXPORTER_OTLP_HEADERS instead";
        return Err(TracesError::new(name, problem));
    }
    Ok(url)
}

fn read_protocol(name: &'static str, given: &str) -> Result<OtlpProtocol, TracesError> {
    match given.to_ascii_lowercase().as_str() {
        "grpc" => Ok(OtlpProtocol::Grpc),
        "http/protobuf" => Ok(OtlpProtocol::HttpProtobuf),
        other => Err(TracesError::new(name, format!("is {other:?}; it must be grpc or http/protobuf"))),
    }
}

/// Reads `key=value,key=value`. As the specification says, bytes may be written as `%20`.
fn read_attributes(name: &'static str, given: &str) -> Result<Vec<(String, String)>, TracesError> {
    let pairs = given.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok((decoded(key.trim()), decoded(value.trim()))),
            _ => Err(TracesError::new(name, "must have the form key=value,key=value")),
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(settings: &TraceSettings, environment: &[(&str, &str)]) -> Result<Option<Target>, TracesError> {
        let variable = |wanted: &str| {
            let found = environment.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        };
        Target::decide(settings, "leasehold-worker", variable)
    }

    fn to(endpoint: &str) -> TraceSettings {
        TraceSettings { endpoint: Some(endpoint.to_owned()), ..TraceSettings::default() }
    }

    fn address(settings: &TraceSettings, environment: &[(&str, &str)]) -> (String, OtlpProtocol) {
        let target = decide(settings, environment).expect("it is valid").expect("it is on");
        (target.endpoint.to_string(), target.protocol)
    }

    #[test]
    fn nothing_is_exported_unless_somebody_names_a_collector() {
        let none = TraceSettings::default();
        assert_eq!(decide(&none, &[]), Ok(None));
        assert_eq!(decide(&none, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            let named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318");
            assert_eq!(decide(&none, &[named, off]), Ok(None));
            assert!(decide(&to("http://a:4318"), &[off]).expect("it is valid").is_some(), "a setting wins");
        }
    }

    #[test]
    fn a_setting_wins_over_a_variable_and_the_port_names_the_protocol() {
        use OtlpProtocol::{Grpc, HttpProtobuf};
        let none = TraceSettings::default();
        let variable = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://v:4318");
        let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4318/here");
        assert_eq!(address(&none, &[variable]), ("http://v:4318/v1/traces".to_owned(), HttpProtobuf));
        assert_eq!(address(&none, &[variable, of_traces]), ("http://t:4318/here".to_owned(), HttpProtobuf));
        assert_eq!(address(&to("http://s:4317"), &[variable]), ("http://s:4317/".to_owned(), Grpc));
        assert_eq!(address(&to("http://s:4318/otlp/"), &[]), ("http://s:4318/otlp/v1/traces".to_owned(), HttpProtobuf));
        assert_eq!(address(&to("http://s/v1/traces"), &[]), ("http://s/v1/traces".to_owned(), HttpProtobuf));
        let (http, grpc) =
            (("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"));
        assert_eq!(address(&to("http://s:4317"), &[http]).1, HttpProtobuf);
        assert_eq!(address(&to("http://s:4318"), &[http, grpc]).1, Grpc);
        let set = TraceSettings { protocol: Some(HttpProtobuf), ..to("http://s:4317") };
        assert_eq!(address(&set, &[grpc]).1, HttpProtobuf);
    }

    #[test]
    fn the_resource_names_the_service() {
        let variable = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=named, region=eu%20west,a=variable");
        let resource = |settings: &TraceSettings, environment: &[(&str, &str)]| {
            let resource = decide(settings, environment).expect("it is valid").expect("it is on").resource;
            resource.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        let settings = to("http://s:4318");
        assert_eq!(resource(&settings, &[]), "service.name=leasehold-worker");
        assert_eq!(resource(&settings, &[variable]), "a=variable region=eu west service.name=named");
        assert_eq!(
            resource(&settings, &[variable, ("OTEL_SERVICE_NAME", "v")]),
            "a=variable region=eu west service.name=v"
        );
        let set = TraceSettings {
            service_name: Some("set".to_owned()),
            resource_attributes: Some("a=set".to_owned()),
            ..settings
        };
        assert_eq!(resource(&set, &[variable, ("OTEL_SERVICE_NAME", "v")]), "a=set region=eu west service.name=set");
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        let said = |settings: &TraceSettings, environment: &[(&str, &str)]| {
            decide(settings, environment).expect_err("it is wrong").to_string()
        };
        let password = said(&to("http://u:hunter2@h:4318"), &[]);
        assert!(password.starts_with("telemetry.otlp_endpoint has a user or a password"), "{password}");
        assert!(!password.contains("hunter2"), "{password}");
        for bad in ["collector:4318", "ftp://h", "unix:/run/x"] {
            assert!(said(&to(bad), &[]).starts_with("telemetry.otlp_endpoint must be an address"), "{bad}");
        }
        let protocol = said(&to("http://h"), &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]);
        assert_eq!(protocol, "OTEL_EXPORTER_OTLP_PROTOCOL is \"http/json\"; it must be grpc or http/protobuf");
        let set = TraceSettings { resource_attributes: Some("a".to_owned()), ..to("http://h") };
        assert_eq!(said(&set, &[]), "telemetry.resource_attributes must have the form key=value,key=value");
    }
}
