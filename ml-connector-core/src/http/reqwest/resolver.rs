//! Names that came from outside are resolved to public addresses, or not at all.

use std::{io, net::SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::http::is_public;

/// Resolves names as the system does, and refuses a name that has any address which is not public: what is dialled is what
/// was checked, so that a name cannot change its address in between.
#[derive(Debug)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            checked(found).map(|found| Box::new(found.into_iter()) as Addrs).map_err(Into::into)
        })
    }
}

/// A name with one address inside may have been made to lead there: none of its addresses is dialled.
fn checked(found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    if found.iter().all(|address| is_public(address.ip())) {
        return Ok(found);
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "the name leads to an address that is not public"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use http::Request;

    use super::*;
    use crate::{
        HttpTransport,
        http::{Limits, Outside, Phase, ReqwestTransport},
    };

    #[test]
    fn a_name_with_one_address_inside_is_not_dialled() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 443);
        assert_eq!(checked(vec![at("8.8.8.8"), at("2606:4700::1111")]).unwrap().len(), 2);
        for inside in ["127.0.0.1", "::1", "169.254.169.254", "64:ff9b::a00:1"] {
            assert!(checked(vec![at("8.8.8.8"), at(inside)]).is_err(), "{inside}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused_when_it_is_dialled() {
        let name: Name = "localhost".parse().unwrap();
        assert!(PublicOnly.resolve(name).await.is_err());
    }

    #[tokio::test]
    async fn a_request_to_outside_is_not_sent_inside() {
        let transport = ReqwestTransport::new();
        let service = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service_url = format!("http://{}/", service.local_addr().unwrap());
        for inside in
            [&*service_url, "https://10.0.0.1/", "https://metadata.google.internal/", "http://example.com/"]
        {
            let request = Request::get(inside).extension(Outside).body(Bytes::new()).unwrap();
            let error = transport.send(request, Limits::default()).await.unwrap_err();
            assert_eq!(error.phase(), Phase::NotWritten, "{inside}");
            assert!(error.to_string().contains("leads inside"), "{inside}: {error}");
        }
        assert!(service.accept().now_or_never().is_none(), "nobody has called");
    }
}
