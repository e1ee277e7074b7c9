#!/usr/bin/env python3
"""Known answers for TPM2_MakeCredential, from TPM 2.0 Library, Part 1, section 24 and annexes B.10.4 and C.6.4, with nothing of this project.

Integers are Python's, hashes hashlib's, AES is openssl's. Prints what tests.rs compares with: for an endorsement key on P-256 whose private
key is 32 bytes of 31 (hex), the credential; for one of RSA, whose modulus is read from tests.rs, the credential's SHA-256.
"""
import hashlib
import hmac
import pathlib
import re
import subprocess

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296, 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)
SECRET, SEED, PADDING = bytes([0x5E]) * 32, bytes([0x21]) * 32, bytes([0x17]) * 32


def sha256(data):
    return hashlib.sha256(data).digest()


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = (3 * a[0] ** 2 - 3) * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(number, point):
    total = None
    while number:
        if number & 1:
            total = add(total, point)
        point, number = add(point, point), number >> 1
    return total


def size(data):
    return len(data).to_bytes(2, "big") + data


def field(number):
    return number.to_bytes(32, "big")


def kdfa(key, label, context, bits):
    block = hmac.new(key, (1).to_bytes(4, "big") + label + b"\0" + context + bits.to_bytes(4, "big"), "sha256").digest()
    return block[: bits // 8]


def protected(seed, name):
    key = kdfa(seed, b"STORAGE", name, 128)
    command = ["openssl", "enc", "-aes-128-cfb", "-K", key.hex(), "-iv", "00" * 16]
    identity = subprocess.run(command, input=size(SECRET), capture_output=True, check=True).stdout
    mac = hmac.new(kdfa(seed, b"INTEGRITY", b"", 256), identity + name, "sha256").digest()
    return size(size(mac) + identity)


def on_p256(name):
    # How 32 random bytes become a private key, which isn't zero, is the project's own.
    private = int.from_bytes(SEED, "big") % (ORDER - 1) + 1
    endorsement, ephemeral = times(int.from_bytes(bytes([0x31]) * 32, "big"), G), times(private, G)
    shared = times(private, endorsement)
    seed = sha256((1).to_bytes(4, "big") + field(shared[0]) + b"IDENTITY\0" + field(ephemeral[0]) + field(endorsement[0]))
    return protected(seed, name) + size(size(field(ephemeral[0])) + size(field(ephemeral[1])))


def mask(data, seed):
    stream = b"".join(sha256(seed + n.to_bytes(4, "big")) for n in range(8))
    return bytes(a ^ b for a, b in zip(data, stream))


def on_rsa(name, modulus):
    # What OAEP takes for random is the project's own: SHA-256 of 32 bytes and a counter.
    random = sha256(PADDING + bytes(4))
    block = sha256(b"IDENTITY\0") + bytes(256 - 2 * 32 - 2 - len(SEED)) + b"\1" + SEED
    block = mask(block, random)
    padded = b"\0" + mask(random, block) + block
    encrypted = pow(int.from_bytes(padded, "big"), 65537, modulus).to_bytes(256, "big")
    return protected(SEED, name) + size(encrypted)


NAME = bytes([0, 0x0B]) + sha256(b"an attestation key's public area")
text = (pathlib.Path(__file__).parent / "tests.rs").read_text()
modulus = int(re.sub(r'[\s"\\]', "", re.search(r"MODULUS: &str =([^;]*);", text)[1]), 16)
print("p256", on_p256(NAME).hex())
print("rsa", sha256(on_rsa(NAME, modulus)).hex())
