"""Talks to a confined engine by the frames of image/protocol, written here a second time from their description.

    engine.py PROGRAM MODEL

Starts PROGRAM (the example `outside`) several times with a socket as its only way out, asks, and checks that each reply is
the same; then breaks the protocol and the socket, and expects the process to end.
"""
import os
import socket
import struct
import subprocess
import sys

HELLO, TOKEN, DONE, EMBEDDING, TOKENS, FAILED = 129, 130, 131, 132, 133, 134
TOO_LONG = 0
QUESTION = "<|im_start|>user\nWhat is a stone?<|im_end|>\n<|im_start|>assistant\n"


class Engine:
    def __init__(self, program, model):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(120)
        self.process = subprocess.Popen([program, "tiny", model], stdin=theirs.fileno(), env={})
        theirs.close()

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                return None
            data += more
        return data

    def frame(self):
        head = self.read(4)
        if head is None:
            return None, b""
        frame = self.read(struct.unpack("<I", head)[0])
        return frame[0], frame[1:]

    def send(self, kind, body):
        self.socket.sendall(struct.pack("<IB", len(body) + 1, kind) + body)

    def end(self):
        self.socket.close()
        return self.process.wait(30)


def text(string):
    return struct.pack("<I", len(string.encode())) + string.encode()


def prompt(string):
    """One segment that may name special tokens, behind the model's first token."""
    return struct.pack("<BI", 0, 1) + text(string) + b"\1" + b"\1"


def generate(number, string, most, constraint=0):
    """The likeliest tokens: kind 1, fields in the order of `Generate`."""
    sampling = struct.pack("<IfffIfffI", 0, 1, 0, 0, 0, 1, 0, 0, 0)
    head = struct.pack("<Q", number) + bytes(16) + prompt(string) + struct.pack("<I", most)
    return head + sampling + bytes([constraint]) + struct.pack("<I", 0) + b"\0\0"


def reply(engine, number):
    said = b""
    while True:
        kind, body = engine.frame()
        assert kind in (TOKEN, DONE), f"frame of kind {kind}, engine ended with {engine.process.poll()}"
        assert struct.unpack("<Q", body[:8])[0] == number
        length = struct.unpack("<I", body[8:12])[0]
        said += body[12 : 12 + length]
        if kind == DONE:
            return said


def main():
    program, model = sys.argv[1:]
    replies = set()
    for _ in range(5):
        engine = Engine(program, model)
        kind, body = engine.frame()
        if kind is None and engine.process.wait(30) == 1:
            print("SKIPPED engine: it refused to serve here, see above")
            return
        assert kind == HELLO and body[4:8] == b"tiny", (kind, body[:20])
        for number in (1, 2):
            engine.send(1, generate(number, QUESTION, 40))
            replies.add(reply(engine, number))
        assert engine.end() == 0, "a front that leaves is no failure"
    assert len(replies) == 1, replies
    print("reply:", replies.pop().decode())

    # What else the confinement must leave room for: grammars, embeddings, long texts, and more requests than sequences.
    engine = Engine(program, model)
    assert engine.frame()[0] == HELLO
    engine.send(1, generate(1, QUESTION, 60, constraint=1))
    said = reply(engine, 1)
    assert said.startswith(b"{"), said
    engine.send(2, struct.pack("<Q", 2) + prompt("stone " * 2000))
    kind, body = engine.frame()
    assert kind == EMBEDDING and struct.unpack("<I", body[8:12])[0] == 256, kind
    engine.send(3, struct.pack("<Q", 3) + prompt("é" * 100_000))
    kind, body = engine.frame()
    assert kind == TOKENS and struct.unpack("<I", body[8:12])[0] == 200_000, kind
    engine.send(1, generate(4, "x" * 1_000_000, 5))
    kind, body = engine.frame()
    assert kind == FAILED and body[8] == TOO_LONG, kind
    for number in range(10, 40):
        engine.send(1, generate(number, "stone " * number * 20, 20))
    open_requests = set(range(10, 40))
    while open_requests:
        kind, body = engine.frame()
        assert kind in (TOKEN, DONE), (kind, engine.process.poll())
        if kind == DONE:
            open_requests.remove(struct.unpack("<Q", body[:8])[0])
    assert engine.end() == 0
    print("grammar, embedding, long texts, 30 requests at once: fine")

    for what, garbage in (("kind", b"\1\0\0\0\x63"), ("length", b"\xff\xff\xff\xff"), ("field", b"\2\0\0\0\4\0")):
        engine = Engine(program, model)
        assert engine.frame()[0] == HELLO
        engine.socket.sendall(garbage)
        assert engine.frame()[0] is None and engine.process.wait(30) == 1, what
        print("ends at a wrong", what)

    cut = model + ".cut"
    with open(model, "rb") as whole, open(cut, "wb") as part:
        part.write(whole.read(os.path.getsize(model) // 2))
    engine = Engine(program, cut)
    assert engine.frame()[0] is None and engine.process.wait(30) == 1
    print("refuses half a model")


main()
