//! A provider of logins: a real HTTP server that speaks OpenID Connect, checks what a client owes it, and signs ID tokens
//! with real keys. What it says of people, and how it signs, can be bent.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use link::clock::Clock;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

pub const CLIENT: &str = "link & friends";
pub const SECRET: &str = "psst: 100% secret";

type Bend = Box<dyn Fn(&mut Value) + Send>;
type Forge = Box<dyn Fn(&Signer, &Value) -> String + Send>;

/// A key that signs.
pub struct Signer {
    pub kid: String,
    pub algorithm: Algorithm,
    key: EncodingKey,
    /// The public half, as a JWK.
    pub public: Value,
}

impl Signer {
    pub fn new(algorithm: Algorithm) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let kid = format!("key-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let random = SystemRandom::new();
        let (key, known) = match algorithm {
            Algorithm::EdDSA => {
                let document = Ed25519KeyPair::generate_pkcs8(&random).expect("it is well formed");
                let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("it is well formed");
                let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
                (EncodingKey::from_ed_der(document.as_ref()), Some(json!({"kty": "OKP", "crv": "Ed25519", "x": x})))
            }
            Algorithm::ES256 => {
                let document =
                    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("it is well formed");
                (EncodingKey::from_ec_der(document.as_ref()), None)
            }
            _ => {
                let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("it is well formed");
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
                let public = json!({"kty": "RSA", "n": text(n.big_endian_without_leading_zero()),
                    "e": text(e.big_endian_without_leading_zero())});
                (EncodingKey::from_rsa_der(pkcs1(pair.as_der().expect("it is well formed").as_ref())), Some(public))
            }
        };
        let mut public =
            known.unwrap_or_else(|| json!(Jwk::from_encoding_key(&key, algorithm).expect("it is well formed")));
        (public["kid"], public["use"]) = (json!(kid), json!("sig"));
        Self { kid, algorithm, key, public }
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).expect("it is well formed")
    }
}

/// Returns the key inside a PKCS#8 document of RSA, whose envelope has always the same length.
fn pkcs1(document: &[u8]) -> &[u8] {
    &document[26..]
}

/// A login that was agreed to.
struct Granted {
    challenge: String,
    nonce: String,
    redirect: String,
}

struct Shared {
    url: String,
    signer: Mutex<Signer>,
    claims: Mutex<Value>,
    bend: Mutex<Option<Bend>>,
    forge: Mutex<Option<Forge>>,
    codes: Mutex<HashMap<String, Granted>>,
    keys_shown: AtomicU32,
}

/// A running provider.
pub struct Provider {
    shared: Arc<Shared>,
    pub url: String,
    server: JoinSet<()>,
}

impl Provider {
    pub async fn start() -> Self {
        Self::signing(Algorithm::EdDSA).await
    }

    pub async fn signing(algorithm: Algorithm) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let ada = json!({"sub": "ada", "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace"});
        let shared = Arc::new(Shared {
            url: url.clone(),
            signer: Mutex::new(Signer::new(algorithm)),
            claims: Mutex::new(ada),
            bend: Mutex::default(),
            forge: Mutex::default(),
            codes: Mutex::default(),
            keys_shown: AtomicU32::new(0),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/jwks", get(keys))
            .with_state(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.expect("the provider serves") });
        Self { shared, url, server }
    }

    /// Says this of whoever logs in from now on.
    pub fn knows(&self, claims: Value) {
        *self.shared.claims.lock().expect("not poisoned") = claims;
    }

    /// Changes the next ID tokens before they are signed.
    pub fn bend(&self, bend: impl Fn(&mut Value) + Send + 'static) {
        *self.shared.bend.lock().expect("not poisoned") = Some(Box::new(bend));
    }

    /// Makes the next ID tokens in another way.
    pub fn forge(&self, forge: impl Fn(&Signer, &Value) -> String + Send + 'static) {
        *self.shared.forge.lock().expect("not poisoned") = Some(Box::new(forge));
    }

    /// Is honest again.
    pub fn behave(&self) {
        *self.shared.bend.lock().expect("not poisoned") = None;
        *self.shared.forge.lock().expect("not poisoned") = None;
    }

    /// Signs with another key, and shows only that one.
    pub fn rotate(&self) {
        let mut signer = self.shared.signer.lock().expect("not poisoned");
        *signer = Signer::new(signer.algorithm);
    }

    /// How often the keys were asked for.
    pub fn keys_shown(&self) -> u32 {
        self.shared.keys_shown.load(Ordering::SeqCst)
    }

    /// Goes away.
    pub async fn stop(&mut self) {
        self.server.shutdown().await;
    }
}

async fn describe(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let url = &shared.url;
    Json(json!({"issuer": url, "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/jwks")}))
}

/// The person agrees at once.
async fn authorize(State(shared): State<Arc<Shared>>, Query(asked): Query<HashMap<String, String>>) -> Response {
    assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", CLIENT));
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
    let code = URL_SAFE_NO_PAD.encode(link::api::tokens::random().expect("it is well formed"));
    let granted = Granted {
        challenge: asked["code_challenge"].clone(),
        nonce: asked["nonce"].clone(),
        redirect: asked["redirect_uri"].clone(),
    };
    let location = format!("{}?code={code}&state={}", granted.redirect, asked["state"]);
    shared.codes.lock().expect("not poisoned").insert(code, granted);
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

async fn token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(asked): Form<HashMap<String, String>>,
) -> Response {
    let refused = |code: StatusCode, error: &str| (code, Json(json!({"error": error}))).into_response();
    let form = |text: &str| {
        let url = reqwest::Url::parse_with_params("http://form", [("", text)]).expect("it is well formed");
        url.query().expect("it is well formed")[1..].to_owned()
    };
    let proof = format!("Basic {}", STANDARD.encode(format!("{}:{}", form(CLIENT), form(SECRET))));
    if headers.get(header::AUTHORIZATION).is_none_or(|given| *given != *proof) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let granted = shared.codes.lock().expect("not poisoned").remove(&asked["code"]);
    let Some(granted) = granted else { return refused(StatusCode::BAD_REQUEST, "invalid_grant") };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, asked["code_verifier"].as_bytes());
    if URL_SAFE_NO_PAD.encode(digest) != granted.challenge
        || asked["redirect_uri"] != granted.redirect
        || asked["grant_type"] != "authorization_code"
    {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    let now = Clock::default().now().timestamp();
    let mut claims = shared.claims.lock().expect("not poisoned").clone();
    let said = json!({"iss": shared.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": granted.nonce});
    claims.as_object_mut().expect("it is well formed").extend(said.as_object().expect("it is well formed").clone());
    if let Some(bend) = &*shared.bend.lock().expect("not poisoned") {
        bend(&mut claims);
    }
    let signer = shared.signer.lock().expect("not poisoned");
    let token = match &*shared.forge.lock().expect("not poisoned") {
        Some(forge) => forge(&signer, &claims),
        None => signer.sign(&claims),
    };
    Json(json!({"access_token": "unused", "token_type": "Bearer", "id_token": token})).into_response()
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.keys_shown.fetch_add(1, Ordering::SeqCst);
    let stranger = json!({"kty": "AKP", "kid": "later", "alg": "ML-DSA-44", "pub": "AA"});
    Json(json!({"keys": [stranger, shared.signer.lock().expect("not poisoned").public]}))
}
