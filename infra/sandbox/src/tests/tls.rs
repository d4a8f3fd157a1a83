use super::client::Client;
use super::start;
use crate::{Certificate, Options, Protocol, Rule, Sandbox, Service};

#[tokio::test]
async fn only_the_good_certificate_is_accepted() {
    let sandbox = start().await;
    for service in [Service::Smtps, Service::Pop3s, Service::Imaps] {
        for certificate in
            [Certificate::SelfSigned, Certificate::Expired, Certificate::WrongName, Certificate::Untrusted]
        {
            let fired = sandbox.script(Rule::on(service.protocol()).certificate(certificate));
            let refused = Client::plain(&sandbox, service).await.secure(&sandbox).await;
            let words = refused.err().expect("a refusal").to_string();
            let expected = match certificate {
                Certificate::Expired => "expired",
                Certificate::WrongName => "not valid for name",
                _ => "UnknownIssuer",
            };
            assert!(words.contains(expected), "{certificate:?}: {words}");
            assert_eq!(fired.count(), 1);
            sandbox.clear_script();
        }
        Client::plain(&sandbox, service).await.secure(&sandbox).await.unwrap();
    }
}

#[tokio::test]
async fn a_kept_authority_is_found_again() {
    let dir = super::persistence::Scratch::new();
    let options = || Options { ca_dir: Some(dir.path().join("ca")), ..Options::default() };
    let first = Sandbox::start(options()).await.unwrap();
    let pem = first.ca_pem().to_owned();
    first.shutdown().await;
    let second = Sandbox::start(options()).await.unwrap();
    assert_eq!(second.ca_pem(), pem);
    // A leaf made under the kept key is good under the kept certificate.
    Client::plain(&second, Service::Imaps).await.secure(&second).await.unwrap();
    let stranger = start().await;
    assert_ne!(stranger.ca_pem(), pem);
    assert!(Client::plain(&second, Service::Imaps).await.secure(&stranger).await.is_err());
}

#[tokio::test]
async fn a_certificate_can_change_between_sessions() {
    let sandbox = start().await;
    sandbox.script(Rule::on(Protocol::Imap).session(2).certificate(Certificate::Expired));
    for good in [true, false, true] {
        let session = Client::plain(&sandbox, Service::Imaps).await.secure(&sandbox).await;
        assert_eq!(session.is_ok(), good);
    }
}
