//! The deletion costs of pods: one elected reaper writes them, at a stub of the API server of Kubernetes that speaks TLS, checks the
//! token, sends lists in pages, takes merge patches, and fails when the test wants it to.

mod api_server;
mod costs;
mod election;
mod failures;
mod scene;
