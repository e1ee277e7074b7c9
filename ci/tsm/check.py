#!/usr/bin/env python3
"""The image's own daemon before the kernel's own configfs-tsm, with a provider whose reports are made here.

    check.py SEALSTONE ROOT OUT KERNEL VECTORS WORK

ROOT: the `run` root; OUT: the image; KERNEL: the test kernel; VECTORS: recorded evidence, if it is there; WORK: a folder that isn't.

How it could fool itself: by a report that the daemon never asked the kernel for (so each request that arrives below the kernel is kept, and what a
document holds must be, byte for byte, what was answered to the request with its report data), by report data that only the daemon's own code can compute (so
it is computed here), by misbehaviour that doesn't reach the daemon (so its requests are counted and its console is read).
"""
import base64
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from evidence import ask, code_of, der_of, fetch, report_data, snp_report, table, tdx_quote  # noqa: E402
from machine import RIVAL_DONE, RIVAL_ERROR, RIVAL_PAUSE, RIVAL_WANTED, READY, Answer, Machine  # noqa: E402

try:
    import channel
except ImportError as missing:
    channel = None
    print(f"SKIPPED tsm-channel: {missing}; the client's own verdict remains")

SEALSTONE = sys.argv[1]
ROOT, OUT, KERNEL, VECTORS, WORK = map(pathlib.Path, sys.argv[2:])
CONFIG = (OUT / "config.json").read_bytes()
EIO, ENXIO, EAGAIN, ENOMEM, EBUSY, EINVAL, ENOTTY, EFBIG, EINTR, ETIMEDOUT = 5, 6, 11, 12, 16, 22, 25, 27, 4, 110


def ends_with(answer, status, code):
    assert answer[0] == status and code_of(answer[1]) == code, answer


class Case:
    """A machine of one kind, and what its processor answers unless told otherwise."""

    def __init__(self, kind, name, make, aux):
        self.make, self.aux, self.made = make, aux, {}
        self.machine = Machine(ROOT, OUT, KERNEL, WORK / name, kind)
        self.processor = self.machine.processor
        self.processor.behave = self.good
        self.tee = {"sev_guest": "sev-snp", "tdx_guest": "tdx"}[kind]
        self.machine.wait_for("sealstone: ready after")
        self.machine.wait_for(f"sealstone: front: evidence: {self.tee}", 1)
        assert self.processor[READY] == 1
        assert json.loads(fetch(self.port, "/healthz")[1])["evidence"] == self.tee
        print(f"== {self.tee}: {self.machine.wait_for('sealstone: ready after', 1)}")

    @property
    def port(self):
        return self.machine.port

    def good(self, data):
        report = self.make(data)
        self.made[data] = report
        return Answer(report, self.aux)

    def script(self, *answers):
        """These for the daemon's next requests, each a function of the data; then, and for the other writer's data, good ones."""
        left = list(answers)
        self.processor.behave = lambda data: (left.pop(0) if left and not foreign(data) else self.good)(data)

    def holds(self, body, data):
        """The document is of this machine, and its report is that which was made for `data`."""
        document = json.loads(body)
        assert document["tee"] == self.tee and document["schema"] == "sealstone/evidence/v1" and document["config"].encode() == CONFIG
        evidence = base64.b64decode(document["report" if self.tee == "sev-snp" else "quote"])
        assert data in self.made, f"the kernel was asked for other report data than {data.hex()}"
        assert data in evidence and evidence == self.made[data], "another report than was made for this"
        return document

    def one(self):
        """A nonce of its own, and its document with this nonce's report in it."""
        nonce = os.urandom(32)
        status, body = ask(self.port, nonce)
        assert status == 200, (status, body)
        return body, nonce, self.holds(body, report_data(nonce, CONFIG))

    def session(self):
        document, handshake = channel.evidence(self.port)
        return self.holds(document, channel.report_data(handshake, CONFIG))

    def count(self):
        return len(self.processor.asked)


def each_gets_its_own(case):
    for _ in range(3):
        before = case.count()
        _, nonce, _ = case.one()
        assert case.processor.asked[before:] == [(report_data(nonce, CONFIG), 0, 64)], "asked otherwise, at another level, or more than once"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        case.processor.behave = lambda data: slower(case.good(data), 0.05)
        before = case.count()
        for job in [pool.submit(case.one) for _ in range(16)]:
            job.result()
        assert case.count() == before + 16
        if channel:
            for job in [pool.submit(case.session) for _ in range(4)] + [pool.submit(case.one) for _ in range(4)]:
                job.result()
    case.processor.behave = case.good
    channels = ", 4 channels beside 4 nonces" if channel else ""
    print(f"   3 in a row, 16 by eight at once{channels}: each with its own report data; 64 bytes and VMPL 0 asked for, once each")


def foreign(data):
    """Whether the second writer of provider.c wrote it."""
    return data[4:] == b"\xee" * 60


def slower(answer, seconds):
    answer.seconds = seconds
    return answer


def errors(case):
    """What the drivers return. What passes is tried again, three times in all; the rest ends it at once. After EINTR the same read is begun again."""
    table = [(errno, *row) for errno in (EBUSY, EAGAIN) for row in ((1, 200, 2), (2, 200, 3), (3, 503, 3))]
    for errno, failures, status, requests in [*table, (EINTR, 1, 200, 2), (EINTR, 5, 200, 6)]:
        mark, before, nonce = len(case.machine.console), case.count(), os.urandom(32)
        case.script(*[lambda data: Answer(errno=errno)] * failures)  # noqa: B023 - used before the next turn
        answer = ask(case.port, nonce)
        assert (answer[0], case.count() - before) == (status, requests), (errno, failures, answer, case.count() - before)
        if status == 200:
            case.holds(answer[1], report_data(nonce, CONFIG))
        else:
            assert code_of(answer[1]) == "report_failed"
            case.machine.wait_for(f"outblob: errno {errno}", 10, mark)
    for errno in (EIO, ENXIO, EINVAL, ENOTTY, ENOMEM, EFBIG, ETIMEDOUT):
        mark, before = len(case.machine.console), case.count()
        case.script(lambda data: Answer(errno=errno))  # noqa: B023
        ends_with(ask(case.port, os.urandom(32)), 503, "report_failed")
        assert case.count() == before + 1, errno
        case.machine.wait_for(f"outblob: errno {errno}", 10, mark)
        case.one()
    if channel:
        case.script(lambda data: Answer(errno=EIO))
        try:
            channel.evidence(case.port)
            raise AssertionError("a channel has evidence that wasn't made")
        except channel.Closed as closed:
            assert closed.args[0] == 1011, closed.args
        case.session()
    closes = ", a channel closes with 1011" if channel else ""
    print(f"   EBUSY, EAGAIN: tried again, three times in all; EINTR: read again; seven other errors: 503 at once{closes}; the next asker is served")


def malformed(case):
    """No report but one of the right form, for what was asked, is handed out."""
    stranger = os.urandom(64)
    wrong = [("somebody else's", lambda data: case.make(stranger)), ("none", lambda data: b""), ("longer than the kernel takes", lambda data: bytes(32769))]
    wrong += [("cut", lambda data: case.make(data)[: 0x8F if case.tee == "sev-snp" else 631]), ("of 32 KiB", lambda data: bytes(32768))]
    wrong += [("a byte longer", lambda data: case.make(data) + b"\0")] if case.tee == "sev-snp" else [("of format 3", lambda data: b"\3" + case.make(data)[1:])]
    for what, report in wrong:
        mark, before = len(case.machine.console), case.count()
        case.script(lambda data: Answer(report(data), case.aux))  # noqa: B023
        ends_with(ask(case.port, os.urandom(32)), 503, "report_failed")
        assert case.count() == before + 1, what
        case.machine.wait_for("outblob: errno 27" if "kernel" in what else "outblob: malformed", 10, mark)
    case.one()
    print(f"   reports that aren't the one asked for ({', '.join(what for what, _ in wrong)}): 503")


def rivals(case):
    """Somebody else writes to the same entry while a report is made, and then all the time."""
    rival = lambda data: with_rival(case.good(data))  # noqa: E731
    ends, noticed = {200: 0, 503: 0}, 0
    for _ in range(30):
        mark, before, done, nonce = len(case.machine.console), case.count(), case.processor[RIVAL_DONE], os.urandom(32)
        case.script(rival, rival, rival)
        status, body = ask(case.port, nonce)
        ours = sum(data == report_data(nonce, CONFIG) for data, _, _ in case.processor.asked[before:])
        ends[status] += 1
        # The write waits for the report, and may come after all that the daemon still reads; then nothing has happened to it.
        noticed += ours > 1
        assert 1 <= ours <= 3, ours
        if status == 200:
            case.holds(body, report_data(nonce, CONFIG))
        else:
            assert code_of(body) == "report_failed", body
            case.machine.wait_for("the report entry is in use", 10, mark)
        wait_until(lambda: case.processor[RIVAL_DONE] == done + ours)  # noqa: B023
        assert case.processor[RIVAL_ERROR] == 0, case.processor[RIVAL_ERROR]
    assert noticed, "no write came while it mattered"
    print(f"   another writer while each report is made, 30 times: noticed by the generation {noticed} times and tried again, given up after three {ends[503]} times")
    case.script()
    before, done, ends = case.count(), case.processor[RIVAL_DONE], {200: 0, 503: 0}
    case.processor[RIVAL_WANTED] = done + 0x40000000
    for turn in range(120):
        case.processor[RIVAL_PAUSE] = random.choice((0, 300, 1000, 3000, 10000, 30000))
        nonce = os.urandom(32)
        status, body = ask(case.port, nonce)
        ends[status] += 1
        if status == 200:
            case.holds(body, report_data(nonce, CONFIG))
        if channel and turn % 10 == 0:
            try:
                case.session()
            except channel.Closed as closed:
                assert closed.args[0] == 1011, closed.args
    # One that has begun is finished.
    case.processor[RIVAL_WANTED] = case.processor[RIVAL_DONE]
    time.sleep(0.5)
    case.processor[RIVAL_WANTED] = case.processor[RIVAL_DONE]
    strange = sum(foreign(data) for data, _, _ in case.processor.asked[before:])
    written = case.processor[RIVAL_DONE] - done
    assert written > 120 and case.processor[RIVAL_ERROR] == 0 and ends[200] and (ends[503] or strange), (written, ends, strange)
    case.one()
    print(f"   {written} foreign writes while 120 ask: {ends[200]} had their own report, {ends[503]} had 503; the kernel made {strange} reports of foreign writes, nobody got one")


def wait_until(holds, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it doesn't come"
        time.sleep(0.01)


def with_rival(answer):
    answer.rival = 1
    return answer


def slow(case):
    """A host that holds a request back. Whoever asked gives up; nobody gets what comes later."""
    case.script(lambda data: slower(case.good(data), 4))
    began = time.monotonic()
    case.one()
    assert time.monotonic() - began >= 4
    before = case.count()
    case.script(lambda data: slower(case.good(data), 13))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        began = time.monotonic()
        first, second = pool.submit(ask, case.port, os.urandom(32)), None
        time.sleep(5)
        second = pool.submit(case.one)
        health = time.monotonic()
        assert fetch(case.port, "/healthz")[0] == 200 and time.monotonic() - health < 2, "the server waits for the report"
        ends_with(first.result(), 503, "report_failed")
        gave_up = time.monotonic() - began
        assert 9 < gave_up < 12.5, gave_up
        second.result()
    assert case.count() == before + 2
    print(f"   an answer after 4 s is waited for; of one after 13 s the asker hears 503 after {gave_up:.0f} s, and who waited behind gets his own; /healthz answers meanwhile")


def tables(case, certificates):
    """What the host puts beside a report."""
    vcek, ask_, ark = certificates
    some = bytes([0x30]) + os.urandom(700)
    encode = lambda ders: [base64.b64encode(der).decode() for der in ders]  # noqa: E731
    full = [("VCEK", vcek), ("ASK", ask_), ("ARK", ark)]
    good = [
        ("three", table(full), [vcek, ask_, ark], None),
        ("with a revocation list and something unknown", table([("OTHER", b"zzz"), *full, ("CRL", some)]), [vcek, ask_, ark], some),
        ("text", table([("VCEK", b"-----BEGIN"), ("ASK", ask_)]), [ask_], None),
        ("16 KiB", table(full).ljust(16384, b"\0"), [vcek, ask_, ark], None),
        ("32 KiB", table(full).ljust(32768, b"\0"), [vcek, ask_, ark], None),
        ("zeros", bytes(4096), [], None),
    ]
    for what, aux, expected, revocation in good:
        case.aux = aux
        _, _, document = case.one()
        assert document["certificates"] == encode(expected), what
        assert document.get("revocation_list") == (revocation and base64.b64encode(revocation).decode()), what
    bad = [("not closed", table(full)[:72]), ("twice the same", table([("ASK", ask_), ("ASK", ask_)])), ("pointing outside", table(full)[:-1])]
    for what, aux in bad + [("longer than the kernel takes", table(full).ljust(32769, b"\0"))]:
        mark, case.aux = len(case.machine.console), aux
        ends_with(ask(case.port, os.urandom(32)), 503, "report_failed")
        case.machine.wait_for("auxblob: errno 27" if "kernel" in what else "auxblob: malformed", 10, mark)
    case.aux = table(full)
    case.one()
    print("   certificates arrive: " + ", ".join(what for what, *_ in good) + "; 503 for tables " + ", ".join(what for what, _ in bad) + ", longer than the kernel takes")


def refused(case, policy, verify_for, chat_for, options=(), verify_options=()):
    """`verify` and `chat` with this machine's evidence: each refuses with 10, for these checks and no other, and nothing is said to the machine."""
    place = WORK / f"refused-{case.tee}"
    place.mkdir()
    body, nonce, _ = case.one()
    (place / "evidence.json").write_bytes(body)
    (place / "policy.yaml").write_text(policy)
    judge = ["--pin", str(OUT / "pin.json"), "--policy", str(place / "policy.yaml"), *options]
    verify = ["verify", "--evidence", str(place / "evidence.json"), "--nonce", nonce.hex(), *judge, *verify_options]
    for command, expected in ((verify, verify_for), (["chat", f"http://127.0.0.1:{case.port}", *judge], chat_for)):
        before = case.count()
        done = subprocess.run([SEALSTONE, *command], input=b"A secret question", capture_output=True, timeout=120)
        said = (done.stdout if command is verify else done.stderr).decode()
        reasons = [line.split()[1] for line in said.splitlines() if line.startswith("REFUSED ")]
        assert done.returncode == 10 and reasons == expected, (command[0], done.returncode, said, done.stderr.decode()[-600:])
        # That it is the evidence of this session, the client's own check says, which isn't among the reasons.
        assert command is verify or (not done.stdout and case.count() == before + 1), "a refused machine was talked to"
        print(f"   {command[0]} ends with 10:", next(" ".join(line.split()) for line in said.splitlines() if line.startswith("REFUSED "))[:170])
        for check in expected[1:]:
            print(f"      and for {check}")


def pinned(tee):
    """What the pin says of the first profile of this kind."""
    return next(profile["launch"] for profile in json.loads((OUT / "pin.json").read_text())["profiles"] if profile["tee"] == tee)


def nobody():
    """The test kernel with no provider, and so with no evidence: nobody is served, and the machine ends."""
    machine = Machine(ROOT, OUT, KERNEL, WORK / "nobody", None)
    print(f"== without a provider: {machine.wait_for('no source of evidence')}")
    machine.process.wait(60)


def snp():
    recorded = VECTORS / "snp"
    like, certificates = None, [bytes([0x30]) + os.urandom(1300) for _ in range(3)]
    if recorded.is_dir():
        like = (recorded / "attestation.bin").read_bytes()
        certificates = [(recorded / "vcek.testcer").read_bytes(), *der_of((recorded / "milan.testcer").read_text())]
    measurement = bytes.fromhex(pinned("sev-snp")["by_vcpus"]["1"])
    case = Case("sev_guest", "snp", lambda data: snp_report(data, like, measurement), None)
    # First without certificates, because tsm.c keeps the length of the last table.
    _, _, document = case.one()
    assert document["certificates"] == [] and "revocation_list" not in document
    tables(case, certificates)
    each_gets_its_own(case)
    errors(case)
    malformed(case)
    rivals(case)
    slow(case)
    if like:
        policy = "schema: sealstone/policy/v1\nrequire_binding: true\nsnp: {products: [Milan]}\n"
        refused(case, policy, ["snp.signature"], ["snp.signature"])
    else:
        print("SKIPPED tsm-snp-verdict: no vectors")
    vanishing(case)


def vanishing(case):
    """Not the daemon's doing: tsm.c keeps the length of a table of certificates when the next report has none, copies that much from nowhere, and the kernel stops
    (docs/LIMITATIONS.md). A kernel without that fault would answer without certificates; anything else is wrong."""
    case.aux = None
    try:
        _, _, document = case.one()
    except OSError:
        # The kernel restarts at once after a panic, at which this QEMU ends by itself.
        case.machine.process.wait(30)
        print("   a table of certificates, then none: the kernel stops, as tsm.c of Linux 6.12 has it")
    else:
        assert document["certificates"] == []
        print("   a table of certificates, then none: a report without")
        case.machine.end()


def tdx():
    recorded = VECTORS / "tdx"
    like = (recorded / "tdx_quote").read_bytes() if recorded.is_dir() else None
    launch = pinned("tdx")
    # Offsets in the TD report: MRTD, RTMR1 to RTMR3. Source: Intel DCAP, "TD Quote Body".
    registers = [(at, bytes.fromhex(launch[name][0])) for at, name in ((136, "mrtd"), (376, "rtmr1"), (424, "rtmr2"), (472, "rtmr3"))]
    case = Case("tdx_guest", "tdx", lambda data: tdx_quote(data, like, 4, registers), b"not to be read")
    each_gets_its_own(case)
    case.make = lambda data: tdx_quote(data, like, 5, registers)
    _, _, document = case.one()
    assert document["event_log"] == "" and "collateral" not in document
    print("   a quote of format 5 as well")
    case.make = lambda data: tdx_quote(data, like, 4, registers)
    errors(case)
    malformed(case)
    rivals(case)
    slow(case)
    if like:
        collateral = ("--collateral", str(recorded / "tdx_quote_collateral.json"))
        policy = "schema: sealstone/policy/v1\nrequire_binding: true\n"
        # The recorded collateral has run out since; `chat` judges now.
        refused(case, policy, ["tdx.signature"], ["tdx.signature", "tdx.validity"], collateral, ("--at", "1751500000"))
    else:
        print("SKIPPED tsm-tdx-verdict: no vectors")
    case.machine.end()


nobody()
snp()
tdx()
print("the daemon that ships, before the kernel's own configfs-tsm")
