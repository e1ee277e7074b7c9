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

HELLO, TOKEN, DONE, FAILED = 129, 130, 131, 134
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


def generate(number, prompt, most):
    """The likeliest tokens, nothing asked beyond: kind 1, fields in the order of `Generate`."""
    segment = struct.pack("<BI", 0, 1) + text(prompt) + b"\1" + b"\1"
    sampling = struct.pack("<IfffIfffI", 0, 1, 0, 0, 0, 1, 0, 0, 0)
    return struct.pack("<Q", number) + bytes(16) + segment + struct.pack("<I", most) + sampling + b"\0" + struct.pack("<I", 0) + b"\0\0"


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
