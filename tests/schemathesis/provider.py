"""A provider of logins (OpenID Connect) that lets everybody in, for the operation that wants a code of such a login."""

import base64
import hashlib
import http.server
import json
import secrets
import sys
import time
import urllib.parse

ISSUER = f"http://127.0.0.1:{sys.argv[1]}"
GRANTED = {}


def prime():
    while True:
        number = secrets.randbits(1024) | 3 << 1022 | 1
        if number % 65537 != 1 and pow(2, number - 1, number) == 1:
            return number


P, Q = prime(), prime()
N, D = P * Q, pow(65537, -1, (P - 1) * (Q - 1))


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims):
    head = {"alg": "RS256", "kid": "only"}
    said = ".".join(text(json.dumps(part).encode()) for part in (head, claims))
    # PKCS #1 v1.5: padding, that it is SHA-256, and the digest.
    digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(said.encode()).digest()
    block = b"\0\1" + b"\xff" * (256 - 3 - len(digest)) + b"\0" + digest
    return f"{said}.{text(pow(int.from_bytes(block, 'big'), D, N).to_bytes(256, 'big'))}"


class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/.well-known/openid-configuration":
            names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
            self.answer({"issuer": ISSUER} | {field: f"{ISSUER}/{name}" for field, name in names.items()})
        elif path == "/jwks":
            key = {"n": text(N.to_bytes(256, "big")), "e": text((65537).to_bytes(3, "big"))}
            self.answer({"keys": [key | {"kty": "RSA", "kid": "only", "use": "sig", "alg": "RS256"}]})
        else:
            asked = dict(urllib.parse.parse_qsl(query))
            code = secrets.token_urlsafe()
            GRANTED[code] = asked
            back = urllib.parse.urlencode({"code": code, "state": asked["state"]})
            self.send_response(302)
            self.send_header("location", f"{asked['redirect_uri']}?{back}")
            self.send_header("content-length", "0")
            self.end_headers()

    def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
        asked = GRANTED.pop(form["code"])
        now = int(time.time())
        who = {"sub": "grace", "email": "grace@example.org", "email_verified": True, "name": "Grace"}
        times = {"iat": now, "exp": now + 300}
        token = signed({"iss": ISSUER, "aud": asked["client_id"], "nonce": asked["nonce"]} | times | who)
        self.answer({"access_token": "unused", "token_type": "Bearer", "id_token": token})


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Provider).serve_forever()
