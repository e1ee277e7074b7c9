"""A client of the attested channel, as far as the evidence: by docs/formats/channel.md, with nothing of the project's."""
import base64
import hashlib
import hmac
import os
import socket

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LABEL = b"sealstone/channel/v1"


class Closed(Exception):
    """The server ended the connection; the close code, or None."""


def hkdf(chaining, data):
    temporary = hmac.digest(chaining, data, "sha256")
    first = hmac.digest(temporary, b"\x01", "sha256")
    return first, hmac.digest(temporary, first + b"\x02", "sha256")


def seal_nonce(number):
    return bytes(4) + number.to_bytes(8, "big")


class Stream:
    def __init__(self, port, patience):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self.file = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /v1/channel HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-protocol: sealstone.v1\r\n\r\n".encode()
        )
        status = self.file.readline()
        assert b" 101 " in status, status
        while self.file.readline().strip():
            pass

    def exactly(self, count):
        data = self.file.read(count)
        if len(data) != count:
            raise Closed(None)
        return data

    def send(self, data):
        assert len(data) < 126
        mask = os.urandom(4)
        self.socket.sendall(bytes([0x82, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def receive(self):
        whole = b""
        while True:
            first, length = self.exactly(2)
            if length in (126, 127):
                length = int.from_bytes(self.exactly(2 if length == 126 else 8), "big")
            data = self.exactly(length)
            if first & 0x0F == 8:
                raise Closed(int.from_bytes(data[:2], "big") if data else None)
            if first & 0x0F in (0, 2):
                whole += data
                if first & 0x80:
                    return whole


def evidence(port, patience=60):
    """(document, handshake hash) of a new channel.

    Raises Closed where the server closes instead.
    """
    stream = Stream(port, patience)
    chaining = transcript = b"Noise_NX_25519_AESGCM_SHA256".ljust(32, b"\0")

    def mix(data):
        nonlocal transcript
        transcript = hashlib.sha256(transcript + data).digest()

    private = X25519PrivateKey.generate()
    hello = private.public_key().public_bytes_raw()
    exchange = lambda public: private.exchange(X25519PublicKey.from_public_bytes(public))  # noqa: E731
    for data in (LABEL, hello, b""):
        mix(data)
    stream.send(hello)
    reply = stream.receive()
    assert len(reply) == 96, len(reply)
    ephemeral, static, tag = reply[:32], reply[32:80], reply[80:]
    mix(ephemeral)
    chaining, key = hkdf(chaining, exchange(ephemeral))
    public = AESGCM(key).decrypt(seal_nonce(0), static, transcript)
    mix(static)
    chaining, key = hkdf(chaining, exchange(public))
    assert AESGCM(key).decrypt(seal_nonce(0), tag, transcript) == b""
    mix(tag)
    _, from_server = hkdf(chaining, b"")
    collected, number = b"", 0
    while len(collected) < 4 or len(collected) < 4 + int.from_bytes(collected[:4], "big"):
        record = AESGCM(from_server).decrypt(seal_nonce(number), stream.receive(), b"")
        number += 1
        assert record[0] == 1, record[0]
        collected += record[3 : 3 + int.from_bytes(record[1:3], "big")]
    stream.socket.close()
    return collected[4:], transcript


def report_data(handshake, config):
    """docs/formats/evidence.md, "What it is bound to"; there are no devices."""
    return hashlib.sha512(LABEL + b"\0" + handshake + hashlib.sha256(config).digest() + bytes(32)).digest()
