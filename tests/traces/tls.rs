//! A collector behind TLS, with a certificate of an authority that the machine trusts, and of one that it does not trust.

use crate::{
    collector::{Answer, Collector},
    fleet::enqueue,
};
use leasehold_tests::Stores;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::sync::Arc;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// Takes TLS off, and passes the rest to the collector. Returns its address, and the certificate of the authority.
async fn before(collector: &Collector) -> (String, String) {
    let (of_authority, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&of_authority).expect("a certificate").pem();
    let issuer = Issuer::new(params, of_authority);
    let own = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let own = own.signed_by(&key, &issuer).expect("a certificate").pem();
    let chain = vec![CertificateDer::from_pem_slice(own.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).expect("the certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let to = collector.url().trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                copy_bidirectional(&mut stream, &mut TcpStream::connect(to).await?).await
            });
        }
    });
    (format!("https://localhost:{port}"), authority)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_to_a_collector_behind_tls_if_the_machine_trusts_it() {
    let stores = Stores::start().await;
    for (collector, protocol) in
        [(Collector::http(Answer::Takes).await, "http/protobuf"), (Collector::grpc(Answer::Takes).await, "grpc")]
    {
        let (url, authority) = before(&collector).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, authority).expect("written");
        let to =
            [("LEASEHOLD_TELEMETRY__OTLP_ENDPOINT", url.as_str()), ("LEASEHOLD_TELEMETRY__OTLP_PROTOCOL", protocol)];
        // Without the file, the machine trusts others.
        enqueue(&stores, &["--kind", "distrusted", "--queue", "a"], &to);
        let file = file.to_str().expect("UTF-8");
        let trusting: Vec<(&str, &str)> = to.iter().copied().chain([("SSL_CERT_FILE", file)]).collect();
        enqueue(&stores, &["--kind", "trusted", "--queue", "b"], &trusting);
        collector.one("send b").await;
        assert_eq!(collector.seen().len(), 1, "{protocol}: {:?}", collector.seen());
    }
}
