use crate::authority::{Authority, Certificate};
use crate::http_server::{Conduct, HttpServer, answer};
use crate::setting::{client, done, http, outside_with, permanent, slack};
use quench_actions::ActionError;
use quench_automations::{Auth, StepKind};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let tls = authority.acceptor(Certificate::Good);
    let server = HttpServer::start_with(Conduct::Says(answer(200, "", "ok")), Some(tls)).await;
    let authorities = quench_actions::certificates(authority.pem().as_bytes()).unwrap();
    assert_eq!(authorities, [authority.der()]);
    for host in ["localhost", "127.0.0.1"] {
        let base = format!("https://{host}:{}", server.port);
        let http = client(&["localhost", "127.0.0.1"], authorities.clone());
        let performed = done(
            &slack("slack-hook", None),
            &outside_with(&base, http, Auth::None),
        )
        .await;
        assert_eq!(performed.unwrap().output["status"], 200);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_is_permanent_and_nothing_is_sent() {
    let authority = Authority::new();
    for (certificate, trusted) in [
        (Certificate::Expired, true),
        (Certificate::WrongHost, true),
        (Certificate::SelfSigned, true),
        (Certificate::Good, false),
    ] {
        let tls = authority.acceptor(certificate);
        let server = HttpServer::start_with(Conduct::Says(answer(200, "", "ok")), Some(tls)).await;
        let authorities = if trusted {
            vec![authority.der()]
        } else {
            Vec::new()
        };
        let base = format!("https://localhost:{}", server.port);
        let outside = outside_with(&base, client(&["localhost"], authorities), Auth::None);
        for step in [slack("slack-hook", None), StepKind::Http(http("GET", "x"))] {
            let reason = permanent(done(&step, &outside).await);
            let begins = format!("certificate of `localhost:{}` is not valid: ", server.port);
            assert!(reason.starts_with(&begins), "{certificate:?}: {reason}");
        }
        assert!(server.requests().is_empty());
    }
}

#[test]
fn what_holds_no_certificate_is_refused() {
    for pem in [
        "",
        "hello",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ] {
        assert!(
            quench_actions::certificates(pem.as_bytes()).is_err(),
            "{pem}"
        );
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            // What was sent is read, so that the close is no reset.
            tokio::io::copy(&mut stream, &mut tokio::io::sink())
                .await
                .ok();
        }
    });
    let base = format!("https://localhost:{port}");
    let outside = outside_with(&base, client(&["localhost"], Vec::new()), Auth::None);
    let result = done(&slack("slack-hook", None), &outside).await;
    serving.abort();
    let Err(ActionError::Transient { reason, .. }) = result else {
        panic!("{result:?}");
    };
    let begins = format!("`localhost:{port}` speaks no TLS: ");
    assert!(reason.starts_with(&begins), "{reason}");
    assert!(reason.ends_with("; is its address `http://`?"), "{reason}");
}
