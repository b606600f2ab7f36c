//! Nothing that is planted comes out.

use super::{vendor::Reply, *};
use crate::token::TokenStore;

fn assert_clean(shown: &str) {
    assert!(!shown.contains("planted"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn no_secret_shows_in_any_debug_text_or_error() {
    const GRANTED: &str =
        r#"{"access_token":"planted-access","expires_in":600,"refresh_token":"planted-refresh-2"}"#;
    const ECHO: &str = r#"{"error":"\"planted-refresh\"","error_description":"planted-refresh is dead"}"#;
    for reply in [
        Reply::Answer(200, GRANTED),
        Reply::Answer(400, ECHO),
        Reply::Answer(200, r#"{"access_token":["planted-access"]}"#),
        Reply::Answer(500, "<html>planted-refresh</html>"),
        Reply::With(400, ("reason", "planted-refresh"), "planted-refresh"),
        Reply::Answer(200, "{\"access_token\":\"planted\\naccess\"}"),
        Reply::Lost,
        Reply::NotSent,
    ] {
        let vendor = Vendor::scripted([reply]);
        let store = Arc::new(MemoryTokenStore::new());
        let config = config("planted-refresh");
        assert_clean(&format!("{config:?}"));
        let (ctx, host) = (context(&vendor, &store), host(config));
        match host.authorize(&ctx).await {
            Ok(authorization) => assert_clean(&format!("{authorization:?}")),
            Err(error) => {
                assert_clean(&format!("{error} {error:?}"));
                let mut source = std::error::Error::source(&error);
                while let Some(error) = source {
                    assert_clean(&format!("{error} {error:?}"));
                    source = error.source();
                }
            }
        }
        assert_clean(&format!("{host:?} {:?}", host.status(&ctx).await));
        let stored = store.load(&key()).await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&stored.bytes).contains("planted"), "the test plants something");
        assert_clean(&format!("{stored:?} {:?}", Blob::decode(&stored.bytes)));
    }
}

#[test]
fn a_blob_that_cannot_be_read_is_not_quoted() {
    for bytes in [
        r#"{"format":1,"generation":"planted"}"#,
        r#"{"format":"planted"}"#,
        "planted",
        r#"{"format":1,"generation":0,"since":0,"phase":"planted","received":[],"lost":0,"asked":[]}"#,
    ] {
        let error = Blob::decode(bytes.as_bytes()).unwrap_err();
        assert_clean(&format!("{error} {error:?}"));
        assert_eq!(error.kind(), ErrorKind::Unexpected);
    }
    let newer = Blob::decode(br#"{"format":2,"everything":"is different"}"#).unwrap_err();
    assert_eq!((newer.kind(), newer.context("format")), (ErrorKind::ConfigInvalid, Some("2")));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |config| OAuth2::new(key(), config).unwrap_err();
    for (field, broken) in [
        ("client_id", OAuth2Config { client_id: String::new(), ..config("r0") }),
        ("client_secret", OAuth2Config { client_secret: Secret::from(""), ..config("r0") }),
        ("max_per_10_minutes", OAuth2Config { max_per_10_minutes: 0, ..config("r0") }),
    ] {
        let error = refused(broken);
        assert_eq!((error.kind(), error.context("field")), (ErrorKind::ConfigInvalid, Some(field)));
    }
    let url = "http://accounts.example.com/token".parse().unwrap();
    assert_eq!(refused(OAuth2Config { token_url: url, ..config("r0") }).kind(), ErrorKind::ConfigInvalid);
}
