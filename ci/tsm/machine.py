"""A virtual machine with the test kernel, and the processor behind its reports, which is a thread here (provider.c)."""
import atexit
import mmap
import os
import signal
import socket
import subprocess
import threading
import time

# The shared memory, as in provider.c.
KIND, FLOOR, ANSWERED, RESULT, REPORT_LENGTH, AUX_LENGTH, RIVAL_WANTED, RIVAL_PAUSE = range(0, 0x20, 4)
READY, ASKED, INBLOB_LENGTH, PRIVLEVEL, INBLOB = range(0x100, 0x114, 4)
RIVAL_DONE, RIVAL_ERROR = 0x150, 0x154
REPORT, AUX, SIZE = 0x1000, 0x40000, 0x80000
NOTHING = 0xFFFFFFFF
KINDS = {"sev_guest": 1, "tdx_guest": 2, None: 0}


class Answer:
    """What a request gets: an errno, or a report with a table of certificates (None: without), `seconds` after it was asked for."""

    def __init__(self, report=b"", aux=None, errno=0, seconds=0, rival=0):
        self.report, self.aux, self.errno, self.seconds = report, aux, errno, seconds
        # How often somebody else begins to write to the entry while this is being made. The kernel lets him when it is done.
        self.rival = rival


class Processor(threading.Thread):
    """Answers each request as `behave(data)` says, and keeps what was asked for."""

    def __init__(self, path, kind):
        super().__init__(daemon=True)
        with open(path, "wb") as file:
            file.truncate(SIZE)
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), SIZE)
        # Words are written as words, which a struct of bytes wouldn't be.
        self.words = memoryview(self.memory).cast("I")
        self.behave, self.asked, self.failed = None, [], None
        self[KIND] = KINDS[kind]

    def __getitem__(self, at):
        return self.words[at // 4]

    def __setitem__(self, at, value):
        self.words[at // 4] = value

    def run(self):
        try:
            answered = 0
            while True:
                if self[ASKED] != answered:
                    answered += 1
                    assert self[ASKED] == answered, "requests overtake each other"
                    self.answer(answered)
                time.sleep(0.0003)
        except BaseException as error:  # noqa: BLE001 - looked at by whoever waits
            self.failed = error
            raise

    def answer(self, number):
        data = bytes(self.memory[INBLOB : INBLOB + 64])
        self.asked.append((data, self[PRIVLEVEL], self[INBLOB_LENGTH]))
        answer = self.behave(data)
        if answer.rival:
            # Not from RIVAL_DONE: the write that an earlier answer asked for may still be on its way.
            self[RIVAL_WANTED] = self[RIVAL_WANTED] + answer.rival
            time.sleep(0.3)
        time.sleep(answer.seconds)
        self[RESULT] = -answer.errno & 0xFFFFFFFF
        self[REPORT_LENGTH] = len(answer.report)
        self.memory[REPORT : REPORT + len(answer.report)] = answer.report
        self[AUX_LENGTH] = NOTHING if answer.aux is None else len(answer.aux)
        if answer.aux:
            self.memory[AUX : AUX + len(answer.aux)] = answer.aux
        self[ANSWERED] = number


class Machine:
    """As `sealstone run --direct` starts it (builder/pipeline/src/boot.rs), with the shared memory, without a TPM, and with two processors:
    a second writer is to get between the daemon's steps."""

    def __init__(self, root, image, kernel, work, kind):
        work.mkdir(parents=True)
        self.console = []
        self.processor = Processor(work / "shared", kind)
        libraries = ":".join(str(root / place) for place in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"))
        (work / "vars.fd").write_bytes((root / "usr/share/OVMF/OVMF_VARS_4M.fd").read_bytes())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [str(root / "lib64/ld-linux-x86-64.so.2"), "--library-path", libraries, str(root / "usr/bin/qemu-system-x86_64")]
        command += "-nodefaults -no-user-config -display none -no-reboot -serial stdio -machine q35,accel=tcg -cpu max,erms=off -m 1024 -smp 2".split()
        command += ["-L", str(root / "usr/share/qemu"), "-L", str(root / "usr/share/seabios")]
        command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={root}/usr/share/OVMF/OVMF_CODE_4M.fd"]
        command += ["-drive", f"if=pflash,unit=1,format=raw,file={work}/vars.fd"]
        command += ["-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{self.port}-:8080", "-device", "virtio-net-pci,netdev=n,romfile="]
        for number, pack in enumerate(sorted((image / "packs").iterdir())):
            command += ["-drive", f"if=none,id=p{number},format=raw,readonly=on,file={pack}", "-device", f"virtio-blk-pci,drive=p{number}"]
        command += ["-object", f"memory-backend-file,id=m,share=on,mem-path={work}/shared,size={SIZE}", "-device", "ivshmem-plain,memdev=m"]
        command += ["-kernel", str(kernel), "-initrd", str(image / "initrd"), "-append", (image / "cmdline").read_text()]
        self.errors = open(work / "qemu.err", "wb")
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "QEMU_MODULE_DIR": str(root / "usr/lib/x86_64-linux-gnu/qemu")}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, env=environment)
        atexit.register(self.end)
        self.log = open(work / "console", "wb")
        threading.Thread(target=self.listen, daemon=True).start()
        self.processor.start()

    def listen(self):
        for line in self.process.stdout:
            self.log.write(line)
            self.log.flush()
            self.console.append(line.decode("latin-1").strip())

    def wait_for(self, text, seconds=180, since=0):
        """The first line of the console, from its line `since` on, that holds `text`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.console[since:]:
                if text in line:
                    return line
            if self.process.poll() is not None:
                time.sleep(0.5)
                break
            time.sleep(0.05)
        last = [line for line in self.console[since:] if text in line]
        if last:
            return last[0]
        raise AssertionError(f"the console doesn't say {text!r}: {self.console[-12:]}")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


