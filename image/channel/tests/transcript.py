#!/usr/bin/env python3
"""Writes transcript.txt: a channel session with fixed keys, computed without any of the project's code.

Follows docs/formats/channel.md and the Noise specification with the `cryptography` package's primitives.
"""
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BUCKETS = (1024, 4096, 16384, 65519)
LABEL = b"sealstone/channel/v1"


class Key:
    def __init__(self, first):
        self.private = X25519PrivateKey.from_private_bytes(bytes(range(first, first + 32)))
        self.public = self.private.public_key().public_bytes_raw()

    def dh(self, public):
        return self.private.exchange(X25519PublicKey.from_public_bytes(public))


class Cipher:
    def __init__(self, key):
        self.key, self.n = key, 0

    def seal(self, ad, plain):
        nonce = bytes(4) + self.n.to_bytes(8, "big")
        self.n += 1
        return AESGCM(self.key).encrypt(nonce, plain, ad)

    def rekey(self):
        self.key = AESGCM(self.key).encrypt(bytes(4) + b"\xff" * 8, bytes(32), b"")[:32]


def hkdf(ck, data):
    temp = hmac.digest(ck, data, "sha256")
    first = hmac.digest(temp, b"\x01", "sha256")
    return first, hmac.digest(temp, first + b"\x02", "sha256")


def record(kind, content):
    size = next(b for b in BUCKETS if b >= len(content) + 3)
    return (bytes([kind]) + len(content).to_bytes(2, "big") + content).ljust(size, b"\0")


def digest(data):
    return hashlib.sha256(data).hexdigest()


name = b"Noise_NX_25519_AESGCM_SHA256"
client_e, server_e, server_s = Key(0x20), Key(0x40), Key(0x60)
h = ck = name.ljust(32, b"\0")


def mix(data):
    global h
    h = hashlib.sha256(h + data).digest()


mix(LABEL)
hello = client_e.public
mix(hello)
mix(b"")  # the empty payload
mix(server_e.public)
ck, k = hkdf(ck, server_e.dh(hello))
cipher = Cipher(k)
sealed_static = cipher.seal(h, server_s.public)
mix(sealed_static)
ck, k = hkdf(ck, server_s.dh(hello))
cipher = Cipher(k)
tag = cipher.seal(h, b"")
mix(tag)
k1, k2 = hkdf(ck, b"")
to_server, to_client = Cipher(k1), Cipher(k2)

config = b"config"
report_data = hashlib.sha512(LABEL + b"\0" + h + hashlib.sha256(config).digest() + bytes(32)).digest()

document = bytes(i % 251 for i in range(100000))
whole = len(document).to_bytes(4, "big") + document
evidence = [to_client.seal(b"", record(1, whole[i : i + 65516])) for i in range(0, len(whole), 65516)]
request = to_server.seal(b"", record(2, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"))
last_before_rekey = None
while to_server.n < 4096:
    last_before_rekey = to_server.seal(b"", record(2, b"x"))
to_server.rekey()
first_after_rekey = to_server.seal(b"", record(2, b"x"))
end = to_client.seal(b"", record(3, b""))
frame = bytes([0x82, 0x80 | 32]) + b"\1\2\3\4" + bytes(b ^ m for b, m in zip(hello, b"\1\2\3\4" * 8))

for line, value in [
    ("client hello", hello.hex()),
    ("client hello as a frame with mask 01020304", frame.hex()),
    ("server reply", (server_e.public + sealed_static + tag).hex()),
    ("handshake hash", h.hex()),
    ("report data, configuration 'config', no devices", report_data.hex()),
    ("qualifying data", digest(report_data)),
    ("evidence messages, lengths", " ".join(str(len(m)) for m in evidence)),
    ("evidence message 1, sha256", digest(evidence[0])),
    ("evidence message 2, sha256", digest(evidence[1])),
    ("request, length", str(len(request))),
    ("request, first 64 bytes", request[:64].hex()),
    ("request, sha256", digest(request)),
    ("client message 4095, sha256", digest(last_before_rekey)),
    ("client message 4096, under the second key, sha256", digest(first_after_rekey)),
    ("server end, sha256", digest(end)),
]:
    print(f"{line}: {value}")
