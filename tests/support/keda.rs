//! A client of the external scaler for KEDA, with messages written by hand: it shares no code with the server.

use prost::Message;
use std::{collections::HashMap, net::TcpListener};
use tonic::{Request, Status, Streaming, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

/// A trigger of a ScaledObject.
#[derive(Clone, PartialEq, Message)]
#[expect(missing_docs, reason = "the fields of the protocol")]
pub struct Reference {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(map = "string, string", tag = "3")]
    pub metadata: HashMap<String, String>,
}

/// Whether there must be a worker.
#[derive(Clone, Copy, PartialEq, Message)]
#[expect(missing_docs, reason = "the fields of the protocol")]
pub struct Active {
    #[prost(bool, tag = "1")]
    pub result: bool,
}

/// The metrics of a trigger.
#[derive(Clone, PartialEq, Message)]
#[expect(missing_docs, reason = "the fields of the protocol")]
pub struct Specs {
    #[prost(message, repeated, tag = "1")]
    pub specs: Vec<Spec>,
}

/// A metric and its target.
#[derive(Clone, PartialEq, Message)]
#[expect(missing_docs, reason = "the fields of the protocol")]
pub struct Spec {
    #[prost(string, tag = "1")]
    pub metric: String,
    #[prost(int64, tag = "2")]
    pub target: i64,
    #[prost(double, tag = "3")]
    pub target_float: f64,
}

/// The question for the value of a metric.
#[derive(Clone, PartialEq, Message)]
#[expect(missing_docs, reason = "the fields of the protocol")]
pub struct Question {
    #[prost(message, optional, tag = "1")]
    pub of: Option<Reference>,
    #[prost(string, tag = "2")]
    pub metric: String,
}

/// The values of a metric.
#[derive(Clone, PartialEq, Message)]
#[expect(missing_docs, reason = "the fields of the protocol")]
pub struct Values {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Metric>,
}

/// The value of a metric.
#[derive(Clone, PartialEq, Message)]
#[expect(missing_docs, reason = "the fields of the protocol")]
pub struct Metric {
    #[prost(string, tag = "1")]
    pub metric: String,
    #[prost(int64, tag = "2")]
    pub value: i64,
    #[prost(double, tag = "3")]
    pub value_float: f64,
}

/// A connection to the scaler.
#[derive(Clone, Debug)]
pub struct Keda {
    channel: Channel,
}

/// An address of this machine with a port that is free now.
///
/// # Panics
/// No port is free.
#[must_use]
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").to_string()
}

/// A trigger with this metadata.
#[must_use]
pub fn trigger(fields: &[(&str, &str)]) -> Reference {
    let metadata = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reference { name: "worker".into(), namespace: "leasehold".into(), metadata }
}

impl Keda {
    /// Connects.
    ///
    /// # Panics
    /// No process listens.
    pub async fn connect(address: &str) -> Self {
        let channel = Channel::from_shared(format!("http://{address}")).expect("a URL");
        Self { channel: channel.connect().await.expect("a connection") }
    }

    /// One of the calls.
    ///
    /// # Errors
    /// The answer is an error.
    ///
    /// # Panics
    /// There is no connection.
    pub async fn call<Q: Message + 'static, A: Message + Default + 'static>(
        &self,
        call: &str,
        of: Q,
    ) -> Result<A, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = format!("/externalscaler.ExternalScaler/{call}").parse().expect("a path");
        Ok(grpc.unary(Request::new(of), path, ProstCodec::default()).await?.into_inner())
    }

    /// `StreamIsActive`.
    ///
    /// # Errors
    /// The answer is an error.
    ///
    /// # Panics
    /// There is no connection.
    pub async fn stream(&self, of: Reference) -> Result<Streaming<Active>, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = "/externalscaler.ExternalScaler/StreamIsActive".parse().expect("a path");
        Ok(grpc.server_streaming(Request::new(of), path, ProstCodec::default()).await?.into_inner())
    }

    /// `IsActive`.
    ///
    /// # Errors
    /// The answer is an error.
    pub async fn is_active(&self, of: Reference) -> Result<bool, Status> {
        self.call::<_, Active>("IsActive", of).await.map(|active| active.result)
    }

    /// The value of the one metric, by `GetMetrics`.
    ///
    /// # Errors
    /// The answer is an error.
    ///
    /// # Panics
    /// The answer has another metric, or its two numbers differ.
    pub async fn demand(&self, of: Reference) -> Result<f64, Status> {
        let question = Question { of: Some(of), metric: "s0-leasehold-demand".to_owned() };
        let answer: Values = self.call("GetMetrics", question).await?;
        let [one] = answer.values.as_slice() else { panic!("{answer:?}") };
        assert_eq!((one.metric.as_str(), one.value as f64), ("s0-leasehold-demand", one.value_float));
        Ok(one.value_float)
    }
}
