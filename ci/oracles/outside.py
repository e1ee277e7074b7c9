#!/usr/bin/env python3
"""The image's engine outside the virtual machine gives the tokens that the image gives: the same bytes of a program, the same bytes of a model.

    outside.py SEALSTONE URL PIN POLICY OUT FSCK_EROFS WORK

Inside: streamed completions through proxy, channel and machine. Outside: `/engine`, taken out of OUT's initramfs by a reader of cpio of its
own, in a root of its own with the measured configuration and the pack's files as fsck.erofs (FSCK_EROFS, a command line) takes them out; it confines itself there
as in the image. The likeliest token each time, compared token by token with its bytes.

How it could fool itself: by replies of no tokens or of the same ones to everything (so both are looked at), by another engine (so it is read out of the
initramfs that was booted), by comparing text that the client put together (so the tokens are what is compared).
"""
import hashlib
import json
import pathlib
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import initramfs  # noqa: E402
from engine_client import USER, Engine, chat, generate, prompt  # noqa: E402

SEALSTONE, URL, PIN, POLICY, OUT, FSCK, WORK = sys.argv[1:]
QUESTIONS = ["What is a stone?", "Tell me about the zwieselstein quarry", "1+1", "Ünï 你好 \U0001f5ff"]
MOST = 24


def root_of(out, folder):
    """The root in which the engine runs: what it finds in the image, and nothing else."""
    files = initramfs.files((out / "initrd").read_bytes())
    for name in ("engine", "etc/sealstone/config.json"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    (folder / "engine").chmod(0o755)
    (folder / "dev").mkdir()
    (folder / "dev/null").touch()
    model = json.loads(files["etc/sealstone/config.json"])["models"][0]
    target = folder / "packs" / model["name"]
    target.parent.mkdir()
    command = shlex.split(FSCK) + [f"--extract={target}", str(out / "packs" / f"{model['name']}.pack")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert (target / model["file"]).stat().st_size > 0
    print("engine", hashlib.sha256(files["engine"]).hexdigest()[:16], "model", model["name"])
    return model["name"]


def outside(folder, name):
    engine = Engine(["unshare", "--map-root-user", f"--root={folder}", "/engine", name])
    if engine.hello() is None:
        print(f"SKIPPED outside: here the engine ends with {engine.process.wait(30)}, see above")
        sys.exit(0)
    replies = []
    for number, question in enumerate(QUESTIONS):
        for order, on in ((chat((USER, question)), False), (prompt(question), True)):
            engine.send(1, generate(number, order, MOST, salt=bytes([on] * 16), logprobs=True, ignore_end=on))
            replies.append(engine.chosen(number))
    assert engine.end() == 0
    return replies


def streamed(base, path, request):
    """The tokens of a streamed completion, each as its bytes."""
    body = json.dumps(request | {"stream": True, "temperature": 0, "max_tokens": MOST}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(base + path, body, headers), timeout=120) as response:
        for line in response:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])


def inside(base):
    with urllib.request.urlopen(base + "/v1/models", timeout=120) as response:
        model = json.load(response)["data"][0]["id"]
    replies = []
    for question in QUESTIONS:
        asked = {"model": model, "messages": [{"role": "user", "content": question}], "logprobs": True}
        events = streamed(base, "/v1/chat/completions", asked)
        logprobs = [choice["logprobs"] for event in events for choice in event["choices"] if choice.get("logprobs")]
        replies.append([bytes(token["bytes"]) for each in logprobs for token in each["content"]])
        asked = {"model": model, "prompt": question, "logprobs": 0, "ignore_eos": True}
        events = streamed(base, "/v1/completions", asked)
        logprobs = [choice["logprobs"] for event in events for choice in event["choices"] if choice.get("logprobs")]
        replies.append([token.encode() for each in logprobs for token in each["tokens"]])
    return replies


def main():
    if not shutil.which("unshare"):
        print("SKIPPED outside: no unshare(1)")
        return
    folder = pathlib.Path(WORK).resolve() / "outside"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = time.monotonic()
    theirs = outside(folder, root_of(pathlib.Path(OUT).resolve(), folder))
    proxy = subprocess.Popen([SEALSTONE, "proxy", URL, "--pin", PIN, "--policy", POLICY, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        ours = inside(proxy.stdout.readline().strip())
    finally:
        proxy.terminate()
        proxy.wait()
    shutil.rmtree(folder)
    for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
        # Completions have their tokens as text, in which bytes that are no UTF-8 by themselves are U+FFFD.
        one = one if number % 2 == 0 else [token.decode(errors="replace").encode() for token in one]
        assert one == other, f"reply {number}: outside {one}, inside {other}"
    count = sum(map(len, theirs))
    assert all(theirs) and count > MOST * len(QUESTIONS) and len(set(map(tuple, theirs))) > len(QUESTIONS), theirs
    print(f"{len(theirs)} replies, {count} tokens: inside as outside, {time.monotonic() - start:.1f} s")


main()
