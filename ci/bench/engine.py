"""The rounds of ci/bench/engine: llama.cpp's own benchmarks, the engine, and the whole daemon, by turns.

    engine.py MODEL ENGINE FRONT SEALSTONE LLAMA_BENCH BATCHED_BENCH THREADS ROUNDS WORK

Each round measures one thing on all sides, seconds apart, the next round in the opposite order; what counts is the median of the rounds' ratios, so that
what else the machine does meanwhile weighs on both. Beside it stands the interval that holds the true median with at least 95 %, by order statistics:
where the goal is within it, these rounds don't decide. `-` for the two tools of llama.cpp leaves their part out.

With fewer threads than processors, whatever computes has the first of them, and this program, front and proxy have the others: then nobody who asks takes
time from who answers, as it is where clients are elsewhere.

How it could fool itself: by prompts from the cache (each has numbers of its own and a salt of its own), by replies that end early (they may not, and tokens
are counted), by another work than llama.cpp's (lengths, batches, threads and context are the same, decoding starts at one token as there).
"""
import concurrent.futures
import contextlib
import json
import math
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from engine_client import DONE, Engine, generate, tokens  # noqa: E402

MODEL, ENGINE, FRONT, SEALSTONE, LLAMA_BENCH, BATCHED_BENCH, THREADS, ROUNDS, WORK = sys.argv[1:]
PROMPT, REPLY = 512, 128
# Of the batched comparison: requests, and the tokens of each.
AT_ONCE, BATCHED_PROMPT, BATCHED_REPLY = 8, 128, 64
# Of the first token's: small, so that what comes on top of the computing is seen.
FIRST_PROMPT, FIRSTS = 8, 101
dice = random.Random(1)
processors = sorted(os.sched_getaffinity(0))
computing, asking = processors[: int(THREADS)], processors[int(THREADS) :]


def apart(program):
    """The program on the processors that compute, while everything else is on the others; as it is if there are none."""
    if not asking or program == "-":
        return program
    wrapper = pathlib.Path(WORK, pathlib.Path(program).name + ".apart")
    wrapper.write_text(f'#!/bin/sh\nexec taskset -c {",".join(map(str, computing))} {program} "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def numbers(count):
    return [dice.randrange(300, 4000) for _ in range(count)]


class Direct:
    """The engine by its socket."""

    def __init__(self):
        self.engine = Engine([ENGINE, "bench", MODEL], patience=600)
        if self.engine.hello() is None:
            raise SystemExit(f"SKIPPED bench/engine: here the engine ends with {self.engine.process.wait(30)}, see above")
        self.number = 0

    def ask(self, prompt, most, stream=False):
        """Seconds until the reply is complete. (Not every token has a report: one without text of its own has none.)"""
        self.number += 1
        start = time.monotonic()
        self.engine.send(1, generate(self.number, tokens(prompt), most, salt=os.urandom(16), ignore_end=True))
        return self.engine.reply(self.number)[-1][0] - start

    def together(self, prompts, most):
        """Seconds until all are done."""
        first, start = self.number + 1, time.monotonic()
        for prompt in prompts:
            self.number += 1
            self.engine.send(1, generate(self.number, tokens(prompt), most, salt=os.urandom(16), ignore_end=True))
        left = set(range(first, self.number + 1))
        while left:
            kind, body = self.engine.frame()
            if kind == DONE:
                left.remove(int.from_bytes(body[:8], "little"))
        return time.monotonic() - start

    def end(self):
        self.engine.end()


class Daemon:
    """The same engine program behind front, channel and proxy: what an SDK sees."""

    def __init__(self):
        self.front = subprocess.Popen([FRONT, WORK, ENGINE, MODEL], stdout=subprocess.PIPE, text=True)
        url = self.front.stdout.readline().strip()
        pin, policy = f"{WORK}/pin.json", f"{WORK}/policy.yaml"
        command = [SEALSTONE, "proxy", url, "--pin", pin, "--policy", policy, "--listen", "127.0.0.1:0"]
        self.proxy = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.base = self.proxy.stdout.readline().strip()
        for _ in range(600):
            with contextlib.suppress(OSError):
                self.ask(numbers(4), 1)
                return
            time.sleep(0.5)
        raise SystemExit("the daemon's model doesn't come up")

    def ask(self, prompt, most, stream=False):
        """Seconds until the reply is complete; of a stream, until its first event, which comes with the first token."""
        body = {"model": "bench", "prompt": prompt, "max_tokens": most, "temperature": 0, "ignore_eos": True, "stream": stream}
        request = urllib.request.Request(self.base + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        start = time.monotonic()
        with urllib.request.urlopen(request, timeout=600) as response:
            answer = next(line for line in response if line.startswith(b"data: {")) if stream else response.read()
            seconds = time.monotonic() - start
            response.read()
        usage = {} if stream else json.loads(answer)["usage"]
        # By chance two prompts of the session can begin with the same number, hardly with the same two.
        assert stream or (usage["completion_tokens"] == most and usage["prompt_tokens_details"]["cached_tokens"] <= 2), usage
        return seconds

    def together(self, prompts, most):
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
            # What one raises, the list raises.
            list(pool.map(lambda prompt: self.ask(prompt, most), prompts))
        return time.monotonic() - start

    def end(self):
        for process in (self.proxy, self.front):
            process.terminate()
            process.wait()


def llama(command):
    """The objects that one of llama.cpp's benchmarks prints, one a line."""
    answer = subprocess.run(command, capture_output=True, text=True)
    objects = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
    assert objects, answer.stderr[-2000:]
    return objects


def prefill(side):
    """Tokens per second of a prompt: llama-bench's pp512."""
    return PROMPT / side.ask(numbers(PROMPT), 1)


def decode(side):
    """Tokens per second of a reply behind a prompt of one token: llama-bench's tg128."""
    return REPLY / side.ask(numbers(1), REPLY)


def llama_bench(prompt, reply):
    common = ["-m", MODEL, "-t", THREADS, "-r", "1", "-b", "512", "-ub", "512", "-o", "jsonl"]
    (entry,) = llama([LLAMA_BENCH, "-p", str(prompt), "-n", str(reply), *common])
    return entry["avg_ts"]


def batched_bench():
    context = str(AT_ONCE * (BATCHED_PROMPT + BATCHED_REPLY))
    sizes = ["-npp", str(BATCHED_PROMPT), "-ntg", str(BATCHED_REPLY), "-npl", str(AT_ONCE), "-c", context, "-b", "512", "-ub", "512"]
    return llama([BATCHED_BENCH, "-m", MODEL, "-t", THREADS, "-tb", THREADS, "--output-format", "jsonl", *sizes])[0]["speed"]


def aggregate(side):
    """Tokens per second of all requests, prompts and replies: llama-batched-bench's S."""
    seconds = side.together([numbers(BATCHED_PROMPT) for _ in range(AT_ONCE)], BATCHED_REPLY)
    return AT_ONCE * (BATCHED_PROMPT + BATCHED_REPLY) / seconds


def rounds(measures, count):
    """{name: [results]}, each round in the opposite order of the one before."""
    results = {name: [] for name in measures}
    for number in range(count):
        for name in list(measures)[:: 1 if number % 2 == 0 else -1]:
            results[name].append(measures[name]())
    return results


def interval(values):
    """What holds the median of the values' distribution with at least 95 %, whatever that distribution is; None if so few values can't say."""
    values, count = sorted(values), len(values)
    # The k-th smallest and the k-th largest have the median between them, unless fewer than k of `count` values fall on one side of it, as coins do.
    missed = [2 * sum(math.comb(count, below) for below in range(k)) / 2**count for k in range(count // 2 + 1)]
    k = max((k for k, chance in enumerate(missed) if chance <= 0.05), default=0)
    return (values[k - 1], values[-k]) if k else None


def compare(title, results, goal, unit="tokens/s"):
    """One line a comparison: medians, and the median of the ratios to the first."""
    (base, theirs), *others = results.items()
    met = True
    for name, ours in others:
        ratios = [mine / their for mine, their in zip(ours, theirs)]
        ratio, within = statistics.median(ratios), interval(ratios)
        met = met and ratio >= goal
        verdict = "met" if ratio >= goal else "MISSED"
        if within is None or within[0] < goal <= within[1]:
            verdict += ", undecided"
        shown = f"{statistics.median(ours):9.2f} {unit}, {base} {statistics.median(theirs):9.2f}: {100 * ratio:6.1f} %"
        shown += f" ({100 * within[0]:.1f} to {100 * within[1]:.1f})" if within else " (too few rounds for an interval)"
        print(f"{title:10} {name:7} {shown}, goal {100 * goal:.0f} %: {verdict}", flush=True)
    return met


def first_token(direct, daemon):
    """What front, channel, HTTP and proxy add to the first token, in milliseconds."""
    added = []
    for number in range(FIRSTS):
        sides = (direct, daemon) if number % 2 else (daemon, direct)
        seconds = {side: side.ask(numbers(FIRST_PROMPT), 1, stream=True) for side in sides}
        added.append(1000 * (seconds[daemon] - seconds[direct]))
    median, within = statistics.median(added), interval(added)
    verdict = "met" if median <= 3 else "MISSED"
    undecided = ", undecided" if within[0] <= 3 < within[1] else ""
    print(f"first token: {median:.2f} ms more than by the engine's socket ({within[0]:.2f} to {within[1]:.2f}), goal 3 ms: {verdict}{undecided}", flush=True)
    return median <= 3


def main():
    global ENGINE, LLAMA_BENCH, BATCHED_BENCH
    # The engine takes as many threads as it has processors.
    ENGINE, LLAMA_BENCH, BATCHED_BENCH = map(apart, (ENGINE, LLAMA_BENCH, BATCHED_BENCH))
    if asking:
        os.sched_setaffinity(0, asking)
    print(f"{os.path.basename(MODEL)}, {THREADS} threads, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}", flush=True)
    direct, daemon = Direct(), Daemon()
    met = []
    try:
        for side in (direct, daemon):
            side.ask(numbers(PROMPT), 4)
        met.append(first_token(direct, daemon))
        sides = {"engine": direct, "daemon": daemon}
        peers = {"prefill": {}, "decode": {}, "together": {}}
        if LLAMA_BENCH == "-":
            print("SKIPPED bench/engine, comparison with llama-bench: no folder with its source")
        else:
            peers["prefill"]["llama-bench"] = lambda: llama_bench(PROMPT, 0)
            peers["decode"]["llama-bench"] = lambda: llama_bench(0, REPLY)
            peers["together"]["batched-bench"] = batched_bench

        def measured(what, of, count):
            return rounds(peers[what] | {name: lambda side=side: of(side) for name, side in sides.items()}, count)

        count = int(ROUNDS)
        met.append(compare("prefill", measured("prefill", prefill, count), 0.97))
        met.append(compare("decode", measured("decode", decode, count), 0.97))
        # Each takes four times as long.
        met.append(compare(f"{AT_ONCE} at once", measured("together", aggregate, max(6, count // 3)), 0.90))
    finally:
        daemon.end()
        direct.end()
    print(f"load {os.getloadavg()[0]:.1f} at the end; {'every goal met' if all(met) else 'a goal MISSED'}")


main()
