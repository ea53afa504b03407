//! Certificates: `genCA`, `genSelfSignedCert`, `genSignedCert` and `buildCustomCert`.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};

use super::key::{SigningKey, generate_rsa, pem, read_pem};
use crate::error::Error;
use crate::format::display;
use crate::function::{Call, Function, Functions};
use crate::object::Object;
use crate::sprig::{decode_base64, integer, item, text};
use crate::types::{ANY_LIST, IntType, Type};
use crate::value::Value;

const STRING: Type = Type::String;
const INT: Type = Type::Int(IntType::Int);
const LIST: Type = Type::List(&ANY_LIST);
const CERTIFICATE: Type = Type::Object("sprig.certificate");

pub(super) fn register(functions: &mut Functions) {
    functions.insert(
        "genCA",
        Function::new(&[STRING, INT], |call, a| {
            let key = fresh_key(call)?;
            authority(call, text(a, 0), integer(a, 1), &key)
        }),
    );
    functions.insert(
        "genCAWithKey",
        Function::new(&[STRING, INT, STRING], |call, a| {
            let key = given_key(text(a, 2))?;
            authority(call, text(a, 0), integer(a, 1), &key)
        }),
    );
    functions.insert(
        "genSelfSignedCert",
        Function::new(&[STRING, LIST, LIST, INT], |call, a| {
            let key = fresh_key(call)?;
            leaf(call, a, &key, None)
        }),
    );
    functions.insert(
        "genSelfSignedCertWithKey",
        Function::new(&[STRING, LIST, LIST, INT, STRING], |call, a| {
            let key = given_key(text(a, 4))?;
            leaf(call, a, &key, None)
        }),
    );
    functions.insert(
        "genSignedCert",
        Function::new(&[STRING, LIST, LIST, INT, CERTIFICATE], |call, a| {
            let key = fresh_key(call)?;
            leaf(call, a, &key, certificate(item(a, 4)))
        }),
    );
    functions.insert(
        "genSignedCertWithKey",
        Function::new(&[STRING, LIST, LIST, INT, CERTIFICATE, STRING], |call, a| {
            let key = given_key(text(a, 5))?;
            leaf(call, a, &key, certificate(item(a, 4)))
        }),
    );
    functions
        .insert("buildCustomCert", Function::new(&[STRING, STRING], |_, a| build(text(a, 0), text(a, 1))));
}

/// A certificate and its key, both as PEM.
struct Certificate {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Object for Certificate {
    fn type_name(&self) -> &'static str {
        "sprig.certificate"
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("Cert", Value::string(self.cert.as_slice())), ("Key", Value::string(self.key.as_slice()))]
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other
            .as_any()
            .downcast_ref::<Certificate>()
            .is_some_and(|other| self.cert == other.cert && self.key == other.key)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn certificate(value: &Value) -> Option<&Certificate> {
    match value {
        Value::Object(object) => object.as_any().downcast_ref(),
        _ => None,
    }
}

fn fresh_key(call: &mut Call<'_>) -> Result<SigningKey, Error> {
    SigningKey::of_rsa(&generate_rsa(call, 2048)?)
}

fn given_key(pem: &[u8]) -> Result<SigningKey, Error> {
    SigningKey::parse(pem).map_err(|error| Error::new(format!("parsing private key: {error}")))
}

fn build(cert: &[u8], key: &[u8]) -> Result<Value, Error> {
    let cert = decode_base64(cert).map_err(|_| Error::new("unable to decode base64 certificate"))?;
    let key = decode_base64(key).map_err(|_| Error::new("unable to decode base64 private key"))?;
    let (_, der) = read_pem(&cert).ok_or_else(|| Error::new("unable to decode certificate"))?;
    let parsed =
        SigningKey::parse(&key).map_err(|error| Error::new(format!("error parsing private key: {error}")))?;
    Issuer::from_ca_cert_der(&der.into(), parsed.pair).map_err(|_| {
        Error::new("error parsing certificate: decodedCert.Bytes: x509: malformed certificate")
    })?;
    Ok(Value::Object(Arc::new(Certificate { cert, key })))
}

fn creation_error(error: rcgen::Error) -> Error {
    Error::new(format!("error creating certificate: {error}"))
}

fn finished(der: &[u8], key: &SigningKey) -> Value {
    Value::Object(Arc::new(Certificate { cert: pem("CERTIFICATE", der), key: key.pem.clone() }))
}

fn authority(call: &mut Call<'_>, name: &[u8], days: i64, key: &SigningKey) -> Result<Value, Error> {
    let mut parameters = parameters(call, name, days)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let signed = parameters.self_signed(&key.pair).map_err(creation_error)?;
    Ok(finished(signed.der(), key))
}

fn leaf(
    call: &mut Call<'_>,
    arguments: &[Value],
    key: &SigningKey,
    signer: Option<&Certificate>,
) -> Result<Value, Error> {
    let issuer = match signer {
        Some(signer) => {
            let (_, der) =
                read_pem(&signer.cert).ok_or_else(|| Error::new("unable to decode certificate"))?;
            let signer_key = SigningKey::parse(&signer.key)
                .map_err(|error| Error::new(format!("error parsing private key: {error}")))?;
            let issuer = Issuer::from_ca_cert_der(&der.into(), signer_key.pair).map_err(|_| {
                Error::new("error parsing certificate: decodedSignerCert.Bytes: x509: malformed certificate")
            })?;
            Some(issuer)
        }
        None => None,
    };
    let mut parameters = parameters(call, text(arguments, 0), integer(arguments, 3))?;
    for ip in item(arguments, 1).elements().unwrap_or_default() {
        let Value::String(text) = &ip else {
            return Err(Error::new([b"error parsing ip: ", &*display(&ip), b" is not a string"].concat()));
        };
        let address: IpAddr = text
            .to_str_lossy()
            .parse()
            .map_err(|_| Error::new([b"error parsing ip: ", text.as_bytes()].concat()))?;
        parameters.subject_alt_names.push(SanType::IpAddress(address));
    }
    let mut names = Vec::new();
    for name in item(arguments, 2).elements().unwrap_or_default() {
        let Value::String(text) = &name else {
            return Err(Error::new(
                [b"error processing alternate dns name: ", &*display(&name), b" is not a string"].concat(),
            ));
        };
        let name = text.to_str_lossy().into_owned().try_into().map_err(creation_error)?;
        names.push(SanType::DnsName(name));
    }
    // Names come before addresses, as Go orders them.
    parameters.subject_alt_names.splice(0..0, names);
    let signed = match &issuer {
        Some(issuer) => parameters.signed_by(&key.pair, issuer),
        None => parameters.self_signed(&key.pair),
    };
    Ok(finished(signed.map_err(creation_error)?.der(), key))
}

fn parameters(call: &mut Call<'_>, name: &[u8], days: i64) -> Result<CertificateParams, Error> {
    let mut parameters = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, DnValue::Utf8String(String::from_utf8_lossy(name).into_owned()));
    parameters.distinguished_name = subject;
    let mut serial = [0u8; 16];
    call.session.random().fill_bytes(&mut serial);
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    let now = call.session.now().as_second();
    let until = now.saturating_add(days.saturating_mul(86_400));
    // Certificates can say the years 0 to 9999.
    const YEAR_ZERO: i64 = -62_167_219_200;
    const YEAR_TEN_THOUSAND: i64 = 253_402_300_800;
    if !(YEAR_ZERO..YEAR_TEN_THOUSAND).contains(&until) {
        return Err(Error::new("error creating certificate: x509: cannot represent time as GeneralizedTime"));
    }
    let moment = |seconds: i64| date_time_ymd(0, 1, 1) + Duration::from_secs((seconds - YEAR_ZERO) as u64);
    parameters.not_before = moment(now);
    parameters.not_after = moment(until);
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}
