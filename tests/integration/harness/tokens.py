# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens: honest ones by PyJWT, dishonest ones by hand."""
import base64
import hashlib
import hmac
import json
import time

import jwt


def b64(data):
    if not isinstance(data, bytes):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(keys, alg="HS256", kid=None, sub="alice", lives=3600, **claims):
    """Signed with keys.private[alg]. A claim given as None is left out."""
    body = {"sub": sub, "exp": int(time.time() + lives)}
    body.update(claims)
    body = {k: v for k, v in body.items() if v is not None}
    headers = {"kid": kid} if kid else None
    return jwt.encode(body, keys.private[alg].read_bytes(), algorithm=alg, headers=headers)


def unsigned(sub="mallory", alg="none", signature="", **claims):
    """A token that carries no proof."""
    return f"{b64({'alg': alg, 'typ': 'JWT'})}.{b64({'sub': sub, 'exp': int(time.time() + 3600), **claims})}.{signature}"


def hmac_signed(secret, sub="mallory", alg="HS256", **header):
    """HS256 over any bytes as the secret: a public key's PEM, for the confusion attack."""
    signed = f"{b64({'alg': alg, 'typ': 'JWT', **header})}.{b64({'sub': sub, 'exp': int(time.time() + 3600)})}"
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{b64(mac)}"
