//! Which scope each route needs.

use leasehold_core::Access;

/// The scope that a request to a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// No token: the path shows no jobs and changes nothing.
    Nothing,
    /// This access to all queues.
    All(Access),
    /// `read` for all queues. While PostgreSQL is unavailable, the last known tokens count, because operators need the metrics
    /// most at this time.
    Vitals,
    /// This access to the queue of the path.
    Path(Access),
    /// This access to some queue. The handler checks the queues of the request, which are in the query, in the body or in rows.
    Each(Access),
}

use Access::{Admin, Enqueue, Read, Work};
use Needs::{All, Each, Nothing, Path, Vitals};

/// The method and the path of each route, as the router has it, and the scope that it needs. `HEAD` needs the same as `GET`.
pub(super) const ROUTES: &[(&str, &str, Needs)] = &[
    ("GET", "/healthz", Nothing),
    ("GET", "/readyz", Nothing),
    ("GET", "/v1/openapi.json", Nothing),
    ("GET", "/docs", Nothing),
    ("GET", "/docs/", Nothing),
    ("GET", "/docs/{*rest}", Nothing),
    // The names of queues are in the metrics.
    ("GET", "/metrics", Vitals),
    ("POST", "/v1/jobs", Each(Enqueue)),
    ("GET", "/v1/jobs", Each(Read)),
    ("GET", "/v1/jobs/{id}", Each(Read)),
    ("GET", "/v1/jobs/{id}/wait", Each(Read)),
    ("GET", "/v1/jobs/{id}/explain", Each(Read)),
    ("POST", "/v1/jobs/{id}/cancel", Each(Enqueue)),
    ("POST", "/v1/jobs/{id}/priority", Each(Enqueue)),
    ("POST", "/v1/jobs/{id}/retry", All(Admin)),
    ("POST", "/v1/jobs/bulk", All(Admin)),
    ("GET", "/v1/events", Each(Read)),
    ("GET", "/v1/operations", All(Read)),
    ("GET", "/v1/operations/{id}", All(Read)),
    ("POST", "/v1/operations/{id}/cancel", All(Admin)),
    ("POST", "/v1/queues/{queue}/claim", Path(Work)),
    ("POST", "/v1/jobs/{id}/renew", Each(Work)),
    ("POST", "/v1/jobs/{id}/progress", Each(Work)),
    ("POST", "/v1/jobs/{id}/complete", Each(Work)),
    ("POST", "/v1/jobs/{id}/fail", Each(Work)),
    ("POST", "/v1/jobs/{id}/snooze", Each(Work)),
    ("POST", "/v1/jobs/{id}/release", Each(Work)),
    ("POST", "/v1/leases/renew", Each(Work)),
    ("POST", "/v1/jobs/settle", Each(Work)),
    ("GET", "/v1/queues", All(Read)),
    ("GET", "/v1/stats", All(Read)),
    ("GET", "/v1/workers", All(Read)),
    ("PATCH", "/v1/queues/{queue}", All(Admin)),
    ("POST", "/v1/queues/{queue}/pause", All(Admin)),
    ("POST", "/v1/queues/{queue}/resume", All(Admin)),
    ("POST", "/v1/queues/{queue}/purge", All(Admin)),
    ("GET", "/v1/queues/{queue}/scale", Path(Read)),
    ("GET", "/v1/queues/{queue}/times", Path(Read)),
    ("GET", "/v1/queues/{queue}/weights", All(Read)),
    ("PUT", "/v1/queues/{queue}/weights", All(Admin)),
    ("POST", "/v1/workers/{worker}/drain", All(Admin)),
    ("POST", "/v1/graphs", Each(Enqueue)),
    ("GET", "/v1/graphs/{id}", All(Read)),
    ("GET", "/v1/batches", All(Read)),
    ("GET", "/v1/batches/{name}", All(Read)),
    ("GET", "/v1/batches/{name}/wait", All(Read)),
    // A batch may have jobs in any queue.
    ("POST", "/v1/batches/{name}/seal", All(Enqueue)),
    ("POST", "/v1/batches/{name}/cancel", All(Enqueue)),
    ("GET", "/v1/limits", All(Read)),
    ("GET", "/v1/limits/{key}", All(Read)),
    ("PUT", "/v1/limits/{key}", All(Admin)),
    ("DELETE", "/v1/limits/{key}", All(Admin)),
    ("GET", "/v1/schedules", All(Read)),
    ("GET", "/v1/schedules/{name}", All(Read)),
    ("PUT", "/v1/schedules/{name}", All(Admin)),
    ("DELETE", "/v1/schedules/{name}", All(Admin)),
    ("POST", "/v1/schedules/{name}/pause", All(Admin)),
    ("POST", "/v1/schedules/{name}/resume", All(Admin)),
    ("POST", "/v1/schedules/{name}/run", All(Admin)),
    ("GET", "/v1/webhooks", All(Read)),
    ("POST", "/v1/webhooks", All(Admin)),
    ("GET", "/v1/webhooks/{id}", All(Read)),
    ("PATCH", "/v1/webhooks/{id}", All(Admin)),
    ("DELETE", "/v1/webhooks/{id}", All(Admin)),
    ("POST", "/v1/webhooks/{id}/rotate", All(Admin)),
    ("POST", "/v1/webhooks/{id}/test", All(Admin)),
    ("GET", "/v1/webhooks/{id}/deliveries", All(Read)),
    ("POST", "/v1/webhooks/{id}/replay", All(Admin)),
];

/// The scope that a request needs. A route that is not in the table, and a method that a path does not have, need `admin`.
pub(super) fn needs(method: &str, path: &str) -> Needs {
    let method = if method == "HEAD" { "GET" } else { method };
    let found = ROUTES.iter().find(|(of_method, of_path, _)| *of_method == method && *of_path == path);
    found.map_or(All(Admin), |(_, _, needs)| *needs)
}

impl Needs {
    /// Whether tokens that were read earlier count while they cannot be read.
    pub(super) fn is_met_by_old_tokens(self) -> bool {
        self == Vitals
    }

    /// The scopes, for the description: one of them is needed.
    pub(super) fn scope(self) -> Option<String> {
        match self {
            Nothing => None,
            Vitals => Some(Read.as_str().to_owned()),
            All(access) => Some(access.as_str().to_owned()),
            Path(access) | Each(access) => Some(format!("{}:QUEUE", access.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The routes that the description leaves out.
    const NOT_DESCRIBED: [&str; 7] =
        ["/healthz", "/readyz", "/metrics", "/v1/openapi.json", "/docs", "/docs/", "/docs/{*rest}"];

    #[test]
    fn every_route_has_its_entry() {
        let described = serde_json::to_value(crate::description()).expect("JSON");
        let paths = described["paths"].as_object().expect("paths");
        let operation = |path: &str, method: &str| (method.to_uppercase(), path.to_owned());
        let routes: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().expect("methods").keys().map(|method| operation(path, method))
            })
            .collect();
        let entries: BTreeSet<(String, String)> = ROUTES
            .iter()
            .filter(|(_, path, _)| !NOT_DESCRIBED.contains(path))
            .map(|(method, path, _)| operation(path, method))
            .collect();
        assert_eq!(routes, entries, "each route needs a line in ROUTES, and each line a route");
        assert_eq!(ROUTES.len(), entries.len() + NOT_DESCRIBED.len(), "no route stands twice in ROUTES");
    }

    #[test]
    fn what_is_not_in_the_table_needs_admin() {
        assert_eq!(needs("GET", "/v1/nothing"), All(Admin));
        assert_eq!(needs("DELETE", "/v1/jobs"), All(Admin));
        assert_eq!((needs("HEAD", "/v1/stats"), needs("HEAD", "/healthz")), (All(Read), Nothing));
    }

    #[test]
    fn only_a_path_with_a_queue_is_checked_by_its_path() {
        for (_, path, needs) in ROUTES {
            assert!(!matches!(needs, Path(_)) || path.contains("{queue}"), "{path}");
        }
    }
}
