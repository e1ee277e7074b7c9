"""The engine's end of a socket, as the front has it: image/protocol in Python, as much of it as the checks need.

Written after the documentation of image/protocol and not after its code, so that the two are two readings of it.
"""
import socket
import struct
import subprocess
import time

HELLO, TOKEN, DONE, EMBEDDING, TOKENS, FAILED = 129, 130, 131, 132, 133, 134
USER = 1


class Engine:
    """A process started by `command` with the socket as descriptor 0 and nothing in its environment."""

    def __init__(self, command, patience=120):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(patience)
        self.process = subprocess.Popen(command, stdin=theirs.fileno(), env={})
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

    def hello(self):
        """The model's name, or None when the engine ended instead."""
        kind, body = self.frame()
        if kind is None:
            return None
        assert kind == HELLO, kind
        return body[4 : 4 + struct.unpack("<I", body[:4])[0]].decode()

    def send(self, kind, body):
        self.socket.sendall(struct.pack("<IB", len(body) + 1, kind) + body)

    def chosen(self, number):
        """The texts of the tokens of a request that asked for logprobs, in order."""
        texts = []
        while True:
            kind, body = self.frame()
            assert kind in (TOKEN, DONE), f"frame of kind {kind}, engine ended with {self.process.poll()}"
            if kind == DONE:
                return texts
            at = 12 + struct.unpack("<I", body[8:12])[0]
            assert body[at] == 1, "no logprobs"
            length = struct.unpack("<I", body[at + 5 : at + 9])[0]
            texts.append(body[at + 9 : at + 9 + length])

    def reply(self, number):
        """(when, text) of each report of a request, the last one included."""
        reports = []
        while True:
            kind, body = self.frame()
            assert kind in (TOKEN, DONE), f"frame of kind {kind}, engine ended with {self.process.poll()}"
            assert struct.unpack("<Q", body[:8])[0] == number
            length = struct.unpack("<I", body[8:12])[0]
            reports.append((time.monotonic(), body[12 : 12 + length]))
            if kind == DONE:
                return reports

    def end(self):
        self.socket.close()
        return self.process.wait(30)


def text(string):
    return struct.pack("<I", len(string.encode())) + string.encode()


def prompt(string):
    """One segment that may name special tokens, behind the model's first token."""
    return struct.pack("<BI", 0, 1) + text(string) + b"\1" + b"\1"


def tokens(numbers):
    return struct.pack("<BI", 1, len(numbers)) + b"".join(struct.pack("<I", number) for number in numbers)


def chat(*messages):
    """A conversation of (role, content), for the model's own template."""
    return struct.pack("<BI", 2, len(messages)) + b"".join(bytes([role, 0]) + text(content) for role, content in messages)


def generate(number, prompt, most, constraint=0, salt=bytes(16), logprobs=False, ignore_end=False):
    """The likeliest tokens: kind 1, fields in the order of `Generate`."""
    sampling = struct.pack("<IfffIfffI", 0, 1, 0, 0, 0, 1, 0, 0, 0)
    head = struct.pack("<Q", number) + salt + prompt + struct.pack("<I", most)
    of_each = struct.pack("<BI", 1, 0) if logprobs else b"\0"
    return head + sampling + bytes([constraint]) + struct.pack("<I", 0) + of_each + bytes([ignore_end])
