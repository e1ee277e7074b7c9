#!/usr/bin/env python3
"""An unmodified OpenAI SDK through `sealstone proxy`, and what can be seen on the way.

    openai_sdk.py SEALSTONE URL PIN POLICY WORK

Between the proxy and the machine stands a relay that records every byte in both directions; none of what was asked or answered may be in it.
"""

import json
import pathlib
import socket
import subprocess
import sys
import threading
import urllib.request

import openai

SEALSTONE, URL, PIN, POLICY, WORK = sys.argv[1:]
SECRET = "zwieselstein"
recorded = bytearray()


def pump(source, sink):
    while data := source.recv(65536):
        recorded.extend(data)
        sink.sendall(data)
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def relay(target):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(target)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


host, port = URL.removeprefix("http://").split(":")
between = relay((host, int(port)))
proxy = subprocess.Popen(
    [SEALSTONE, "proxy", f"http://127.0.0.1:{between}", "--pin", PIN, "--policy", POLICY, "--listen", "127.0.0.1:0"],
    stdout=subprocess.PIPE, stderr=open(pathlib.Path(WORK) / "proxy.err", "wb"), text=True)
try:
    base = proxy.stdout.readline().strip()
    print("proxy:", base)
    client = openai.OpenAI(base_url=base + "/v1", api_key="none", max_retries=0, timeout=120)

    models = [model.id for model in client.models.list()]
    assert models, "no model"
    model = models[0]
    print("models:", models)

    def ask(text, **options):
        return client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], temperature=0, max_tokens=40, **options)

    whole = ask(f"Tell me about the {SECRET} quarry")
    reply = whole.choices[0].message.content
    print("chat:", repr(reply), whole.usage.total_tokens, "tokens,", whole.choices[0].finish_reason)
    assert reply and whole.usage.completion_tokens > 0
    assert ask(f"Tell me about the {SECRET} quarry").choices[0].message.content == reply, "the same question, another answer"
    assert ask("What is a kernel?").choices[0].message.content != reply, "another question, the same answer"

    pieces = [chunk.choices[0].delta.content or "" for chunk in ask(f"Tell me about the {SECRET} quarry", stream=True) if chunk.choices]
    assert "".join(pieces) == reply, ("streamed", pieces, "whole", reply)
    print("streamed in", len(pieces), "chunks, equal")

    # Not in the alphabet's order: a reply keeps the schema's.
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}, "ok": {"type": "boolean"}}, "required": ["sure", "ok"], "additionalProperties": False}
    formed = ask("Answer", response_format={"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}})
    value = json.loads(formed.choices[0].message.content)
    assert list(value) == ["sure", "ok"] and all(isinstance(flag, bool) for flag in value.values()), value
    print("schema:", value)

    vector = client.embeddings.create(model=model, input=[SECRET, "stone"]).data
    assert len(vector) == 2 and len(vector[0].embedding) == len(vector[1].embedding) > 8
    print("embeddings:", len(vector[0].embedding), "numbers")

    for what, call, error in (
        ("unknown model", lambda: client.chat.completions.create(model="none", messages=[{"role": "user", "content": "x"}]), openai.NotFoundError),
        ("wrong type", lambda: ask("x", top_p="a"), openai.BadRequestError),
    ):
        try:
            call()
            raise SystemExit(f"{what}: no error")
        except error as refusal:
            print(f"{what}:", refusal.status_code, refusal.code)

    verdict = json.load(urllib.request.urlopen(base + "/verdict"))
    assert verdict["accepted"] is True, verdict
    print("verdict:", len(verdict["checks"]), "checks, accepted")
finally:
    proxy.terminate()
    proxy.wait()

assert len(recorded) > 10_000, "the relay was passed by"
for word in (SECRET, reply[:16], "chat.completion", "messages", "Authorization"):
    assert word.encode() not in recorded, f"{word!r} went over the wire in the open"
print(f"{len(recorded)} bytes recorded between proxy and machine: nothing of it in the open")
