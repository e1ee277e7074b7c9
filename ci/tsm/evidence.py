"""Reports, quotes and tables of certificates as hardware and host make them, and documents read by docs/formats/evidence.md."""
import base64
import hashlib
import http.client
import json
import os
import re

CERTIFICATES = {  # AMD 56421, "SNP Extended Guest Request"
    "VCEK": "63da758de6644564adc5f4b93be8accd",
    "ASK": "4ab7b379bbac4fe4a02f05aef327c782",
    "ARK": "c0b406a4a803495297433fb6014cd0ae",
    "CRL": "92f81bc358114d3d97ffd19f88dc67ea",
    "OTHER": "00112233445566778899aabbccddeeff",
}


def snp_report(data, like=None, measurement=bytes(48), vmpl=0):
    """AMD 56860, table "ATTESTATION_REPORT": version 2 of it, by nobody's key, or one that is `like` another but for what is given."""
    report = bytearray(like or bytes(1184))
    if not like:
        report[0x000:0x004] = (2).to_bytes(4, "little")
        report[0x034:0x038] = (1).to_bytes(4, "little")  # ECDSA P-384 with SHA-384
        report[0x2A0:0x2E8] = report[0x2E8:0x330] = os.urandom(48) + bytes(24)
    report[0x008:0x010] = (0x30000).to_bytes(8, "little")  # policy: SMT allowed, and the bit that must be set; no debugging
    report[0x030:0x034] = vmpl.to_bytes(4, "little")
    report[0x050:0x090] = data
    report[0x090:0x0C0] = measurement
    return bytes(report)


def tdx_quote(data, like=None, version=4, registers=()):
    """Intel DCAP, appendix "Quote format": header, TD report 1.0, and a signature's length and bytes; `registers` are (offset in the body, value)."""
    like = like or (4).to_bytes(2, "little") + (2).to_bytes(2, "little") + (0x81).to_bytes(4, "little") + bytes(40 + 584) + (700).to_bytes(4, "little") + os.urandom(700)
    header, body, rest = bytearray(like[:48]), bytearray(like[48 : 48 + 584]), like[48 + 584 :]
    header[:2] = version.to_bytes(2, "little")
    for at, value in registers:
        body[at : at + len(value)] = value
    body[520:584] = data
    wrapped = (2).to_bytes(2, "little") + (584).to_bytes(4, "little") if version == 5 else b""
    return bytes(header) + wrapped + bytes(body) + rest


def table(entries):
    """GHCB's: entries of (name, bytes), closed by one of zeros; the bytes behind them."""
    at = 24 * (len(entries) + 1)
    head = data = b""
    for name, der in entries:
        head += bytes.fromhex(CERTIFICATES[name]) + (at + len(data)).to_bytes(4, "little") + len(der).to_bytes(4, "little")
        data += der
    return head + bytes(24) + data


def der_of(pem):
    bodies = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END", pem, re.S)
    return [base64.b64decode("".join(body.split())) for body in bodies]


def report_data(nonce, config):
    """docs/formats/evidence.md, "What it is bound to"."""
    return hashlib.sha512(b"sealstone/evidence/v1\0" + nonce + hashlib.sha256(config).digest()).digest()


def fetch(port, path, patience=60):
    """(status, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def ask(port, nonce, patience=60):
    return fetch(port, f"/v1/evidence?nonce={nonce.hex()}", patience)


def code_of(body):
    return json.loads(body)["error"]["code"]
