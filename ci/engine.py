"""Talks to a confined engine by the frames of image/protocol, written here a second time from their description.

    engine.py PROGRAM MODEL

Starts PROGRAM (the example `outside`) several times with a socket as its only way out, asks, and checks that each reply is
the same; then breaks the protocol and the socket, and expects the process to end.
"""
import os
import struct
import sys

from engine_client import DONE, EMBEDDING, FAILED, TOKEN, TOKENS, Engine, generate, prompt

TOO_LONG = 0
QUESTION = "<|im_start|>user\nWhat is a stone?<|im_end|>\n<|im_start|>assistant\n"


def said(engine, number):
    return b"".join(text for _, text in engine.reply(number))


def main():
    program, model = sys.argv[1:]

    def start(file=model):
        return Engine([program, "tiny", file])

    replies = set()
    for _ in range(5):
        engine = start()
        name = engine.hello()
        if name is None and engine.process.wait(30) == 1:
            print("SKIPPED engine: it refused to serve here, see above")
            return
        assert name == "tiny", name
        for number in (1, 2):
            engine.send(1, generate(number, prompt(QUESTION), 40))
            replies.add(said(engine, number))
        assert engine.end() == 0, "a front that leaves is no failure"
    assert len(replies) == 1, replies
    print("reply:", replies.pop().decode())

    # What else the confinement must leave room for: grammars, embeddings, long texts, and more requests than sequences.
    engine = start()
    assert engine.hello()
    engine.send(1, generate(1, prompt(QUESTION), 60, constraint=1))
    formed = said(engine, 1)
    assert formed.startswith(b"{"), formed
    engine.send(2, struct.pack("<Q", 2) + prompt("stone " * 2000))
    kind, body = engine.frame()
    assert kind == EMBEDDING and struct.unpack("<I", body[8:12])[0] == 256, kind
    engine.send(3, struct.pack("<Q", 3) + prompt("é" * 100_000))
    kind, body = engine.frame()
    assert kind == TOKENS and struct.unpack("<I", body[8:12])[0] == 200_000, kind
    engine.send(1, generate(4, prompt("x" * 1_000_000), 5))
    kind, body = engine.frame()
    assert kind == FAILED and body[8] == TOO_LONG, kind
    for number in range(10, 40):
        engine.send(1, generate(number, prompt("stone " * number * 20), 20))
    open_requests = set(range(10, 40))
    while open_requests:
        kind, body = engine.frame()
        assert kind in (TOKEN, DONE), (kind, engine.process.poll())
        if kind == DONE:
            open_requests.remove(struct.unpack("<Q", body[:8])[0])
    assert engine.end() == 0
    print("grammar, embedding, long texts, 30 requests at once: fine")

    for what, garbage in (("kind", b"\1\0\0\0\x63"), ("length", b"\xff\xff\xff\xff"), ("field", b"\2\0\0\0\4\0")):
        engine = start()
        assert engine.hello()
        engine.socket.sendall(garbage)
        assert engine.frame()[0] is None and engine.process.wait(30) == 1, what
        print("ends at a wrong", what)

    cut = model + ".cut"
    with open(model, "rb") as whole, open(cut, "wb") as part:
        part.write(whole.read(os.path.getsize(model) // 2))
    engine = start(cut)
    assert engine.frame()[0] is None and engine.process.wait(30) == 1
    print("refuses half a model")


main()
