//! Assertions signed with a certificate's key.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use aws_lc_rs::{rand::SystemRandom, rsa::KeyPair, signature::RSA_PSS_SHA256};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::ClientAssertion;
use crate::{Error, ErrorKind, Result, Secret, Timestamp};

/// How long an assertion is good for. Entra's page "Certificate credentials" wants 5 to 10 minutes; the longest
/// forgives the most of a clock that is slow.
const LIFE: Duration = Duration::from_secs(600);

/// Signs with the RSA key of a certificate that the app is registered with: PS256, and the certificate's SHA-256
/// thumbprint as `x5t#S256`, as Microsoft Entra asks for. `Debug` shows the thumbprint.
pub struct CertificateAssertion {
    thumbprint: String,
    key: KeyPair,
}

impl CertificateAssertion {
    /// Signs with a PEM key, PKCS#8 or PKCS#1, for the first certificate of a PEM file. They are not compared.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when one of them is malformed, the key is encrypted or of another kind, or has
    /// less than 2048 bits.
    pub fn from_pem(certificate: &[u8], key: &Secret) -> Result<Self> {
        let certificate = CertificateDer::from_pem_slice(certificate)
            .map_err(|_| invalid("expected a certificate in PEM form"))?;
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
            .map_err(|_| invalid("expected an unencrypted private key in PEM form"))?;
        let key = match &key {
            PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(invalid("expected an RSA key")),
        };
        let key = key.map_err(|_| invalid("expected an RSA key of 2048 bits or more"))?;
        Ok(Self { thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate)), key })
    }
}

#[async_trait]
impl ClientAssertion for CertificateAssertion {
    fn key_id(&self) -> &str {
        &self.thumbprint
    }

    async fn sign(&self, client_id: &str, audience: &Url, now: Timestamp) -> Result<Secret> {
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint });
        let claims = json!({
            "aud": audience.as_str(),
            "iss": client_id,
            "sub": client_id,
            "jti": Uuid::new_v4(),
            "nbf": now.as_secs(),
            "iat": now.as_secs(),
            "exp": (now + LIFE).as_secs(),
        });
        let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| Error::new(ErrorKind::Unexpected, "the key did not sign"))?;
        Ok(Secret::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

impl fmt::Debug for CertificateAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAssertion").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::{AsDer, Pkcs8V1Der},
        rsa::KeySize,
        signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey},
    };
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_792_000_000);
    const CERTIFICATE: &[u8] = b"any bytes will do: they are only hashed";

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    #[tokio::test]
    async fn an_assertion_says_who_calls_whom_and_when_and_its_signature_holds() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let key = Secret::from(pem("PRIVATE KEY", der.as_ref()));
        let certificate = pem("CERTIFICATE", CERTIFICATE);
        let assertion = CertificateAssertion::from_pem(certificate.as_bytes(), &key).unwrap();
        let audience: Url = "https://login.example.com/tenant/oauth2/v2.0/token".parse().unwrap();
        let signed = assertion.sign("app-1", &audience, NOW).await.unwrap();

        let [header, claims, signature] = signed.expose().split('.').collect::<Vec<_>>()[..] else {
            panic!()
        };
        let text = format!("{header}.{claims}");
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, pair.public_key().as_ref());
        public.verify(text.as_bytes(), &decode(signature)).unwrap();
        assert!(public.verify(b"another text", &decode(signature)).is_err());

        let header: Value = serde_json::from_slice(&decode(header)).unwrap();
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(CERTIFICATE));
        assert_eq!(header, json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint }));
        let mut claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
        let jti = claims["jti"].take();
        let (nbf, exp) = (1_792_000_000_i64, 1_792_000_600_i64);
        let expected = json!({
            "aud": audience.as_str(), "iss": "app-1", "sub": "app-1", "jti": null,
            "nbf": nbf, "iat": nbf, "exp": exp,
        });
        assert_eq!(claims, expected);
        let again = assertion.sign("app-1", &audience, NOW).await.unwrap();
        let claims: Value =
            serde_json::from_slice(&decode(again.expose().split('.').nth(1).unwrap())).unwrap();
        assert_ne!(claims["jti"], jti);
        assert_eq!(
            format!("{assertion:?}"),
            format!("CertificateAssertion {{ thumbprint: {thumbprint:?}, .. }}")
        );
    }

    #[test]
    fn what_is_no_certificate_or_no_rsa_key_is_refused_without_quoting_it() {
        let certificate = pem("CERTIFICATE", CERTIFICATE);
        let planted = pem("PRIVATE KEY", b"planted");
        for (certificate, key) in [
            ("", planted.as_str()),
            (&certificate, ""),
            (&certificate, "planted"),
            (&certificate, &planted),
            (&certificate, &pem("ENCRYPTED PRIVATE KEY", b"planted")),
            (&certificate, &pem("EC PRIVATE KEY", b"planted")),
        ] {
            let error =
                CertificateAssertion::from_pem(certificate.as_bytes(), &Secret::from(key)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(!format!("{error:?}").contains("planted"));
        }
    }
}
