"""Makes algorithms.json: tokens of every algorithm, signed by another implementation than the one that is tested.

    python3 algorithms.py > algorithms.json

It takes the package `cryptography`. Keys are new at each run.
"""

import base64
import hmac
import json
import secrets

import cryptography
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_795_000_000
DIGESTS = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES = {"ES256": (ec.SECP256R1(), "P-256", 32), "ES384": (ec.SECP384R1(), "P-384", 48)}


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return text(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def generate(algorithm):
    if algorithm.startswith("HS"):
        return secrets.token_bytes(64)
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm][0])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def described(algorithm, key):
    """The key as it is checked with: as a JWK and, where it is public, in PEM."""
    if algorithm.startswith("HS"):
        return {"jwk": {"kty": "oct", "k": text(key)}}
    public = key.public_key()
    if algorithm in CURVES:
        _, name, length = CURVES[algorithm]
        point = public.public_numbers()
        jwk = {"kty": "EC", "crv": name, "x": number(point.x, length), "y": number(point.y, length)}
    elif algorithm == "EdDSA":
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": text(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
    else:
        numbers = public.public_numbers()
        jwk = {"kty": "RSA", "alg": algorithm, "n": number(numbers.n), "e": number(numbers.e)}
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"jwk": jwk, "pem": pem.decode()}


def sign(algorithm, key, message, der=False):
    digest = DIGESTS.get(algorithm[2:])
    if algorithm.startswith("HS"):
        return hmac.new(key, message, digest.name).digest()
    if algorithm in CURVES:
        signature = key.sign(message, ec.ECDSA(digest))
        length = CURVES[algorithm][2]
        return signature if der else b"".join(n.to_bytes(length, "big") for n in decode_dss_signature(signature))
    if algorithm == "EdDSA":
        return key.sign(message)
    if algorithm.startswith("PS"):
        return key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return key.sign(message, padding.PKCS1v15(), digest)


def message(says):
    header = json.dumps({"alg": says, "typ": "JWT"}, separators=(",", ":"))
    claims = json.dumps({"sub": "ann", "exp": NOW + 60}, separators=(",", ":"))
    return f"{text(header.encode())}.{text(claims.encode())}"


def token(says, signed_as, key, change=lambda signature: signature, **how):
    """`says` is the header's `alg`."""
    return f"{message(says)}.{text(change(sign(signed_as, key, message(says).encode(), **how)))}"


def flipped(data, at, bit):
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def cases(algorithm, keys):
    key, (other, similar) = keys[algorithm], OTHERS[algorithm]
    good = token(algorithm, algorithm, key)
    signed, signature = good.rsplit(".", 1)
    header, claims = signed.split(".")
    forged = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)).replace(b'"ann"', b'"anm"')
    yield "good", algorithm, good, True
    for at in (0, 20, -1):
        yield f"a bit of byte {at} flipped", algorithm, token(algorithm, algorithm, key, lambda s: flipped(s, at, abs(at) % 8)), False
    yield "one byte short", algorithm, token(algorithm, algorithm, key, lambda s: s[:-1]), False
    yield "one byte long", algorithm, token(algorithm, algorithm, key, lambda s: s + b"\0"), False
    yield "empty", algorithm, f"{signed}.", False
    yield "all zero", algorithm, token(algorithm, algorithm, key, lambda s: bytes(len(s))), False
    yield "a bit of the claims flipped", algorithm, f"{header}.{text(forged)}.{signature}", False
    yield "another key of the algorithm", algorithm, token(algorithm, algorithm, generate(algorithm)), False
    yield f"the key is for {other}", other, good, False
    yield f"the key is for {other}, and the token says so", other, token(other, algorithm, key), False
    # Where one key serves both algorithms, nothing but the algorithm tells a forgery.
    if similar:
        yield f"signed as {similar} with the very key", algorithm, token(algorithm, similar, key), False
    if algorithm in CURVES:
        yield "in DER", algorithm, token(algorithm, algorithm, key, der=True), False


# Of each algorithm one of another kind, and one that can sign with the same key.
OTHERS = {
    "HS256": ("RS256", "HS512"),
    "HS384": ("ES384", "HS256"),
    "HS512": ("EdDSA", "HS384"),
    "RS256": ("PS256", "PS256"),
    "RS384": ("PS384", "RS256"),
    "RS512": ("HS512", "PS512"),
    "PS256": ("RS256", "RS256"),
    "PS384": ("HS384", "PS256"),
    "PS512": ("ES256", "RS512"),
    "ES256": ("ES384", None),
    "ES384": ("ES256", None),
    "EdDSA": ("ES256", None),
}


def main():
    keys = {algorithm: generate(algorithm) for algorithm in OTHERS}
    rows = []
    for algorithm in OTHERS:
        for name, key, made, verified in cases(algorithm, keys):
            rows.append({"name": f"{algorithm}: {name}", "key": key, "token": made, "verified": verified})
    about = (
        f"Tokens of every algorithm, made by algorithms.py with Python's cryptography {cryptography.__version__} "
        f"({backend.openssl_version_text()}) and Python's hmac. `key` is what a token is checked with, at the time `now` in seconds."
    )
    known = {algorithm: described(algorithm, key) for algorithm, key in keys.items()}
    print(json.dumps({"about": about, "now": NOW, "keys": known, "cases": rows}, indent=1))


main()
