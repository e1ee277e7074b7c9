"""What a boot with a TPM and a boot under TDX measure alike: takes it from the event log of a real boot, hashes it again with SHA-384, and
compares it with the predicted RTMR1 and RTMR2.

    python3 rehash.py OUT disk|direct SHA256.json SHA384.json TDX.json BY-HAND.py
        SHA256.json, SHA384.json: `sealstone measure eventlog --json` of the boot, in each bank
        TDX.json: `sealstone measure tdx --json` of the same image, booted the same way
        BY-HAND.py: docs/formats/by-hand.py, whose Authenticode this uses

An event's bytes are those in the log where the log has them (partition table, actions, separator), else those of the image's files. That they are
what was measured is shown by their digests, which must be the log's in both banks; the boot's quote signs both.
"""

import hashlib, json, runpy, sys

out, way, sha256_log, sha384_log, tdx, program = sys.argv[1:]
sys.argv = [program, out]
byhand = runpy.run_path(program, run_name="by-hand")
authenticode, sections, patched = byhand["authenticode"], byhand["sections"], byhand["patched"]
uki, initrd, cmdline = byhand["uki"], byhand["initrd"], byhand["cmdline"]
memory = 1024  # MiB, what `sealstone run` gives unless told otherwise


def plain(bytes):
    return lambda bank: hashlib.new(bank, bytes).digest()


def image(pe):
    return lambda bank: authenticode(pe, bank)


utf16 = lambda line: plain(line.decode().encode("utf-16-le") + b"\0\0")
data = {name: uki[at:at + size] for name, size, at, _ in sections(uki)}
if way == "disk":
    applications = [("UKI", image(uki)), (".linux", image(data[".linux"]))]
    tagged = [("cmdline", utf16(data[".cmdline"].split(b"\0")[0])), ("initrd", plain(data[".initrd"]))]
else:
    applications = [("kernel, as QEMU rewrote it", image(patched(memory)))]
    tagged = [("cmdline", utf16(cmdline + b" initrd=initrd")), ("initrd", plain(initrd))]
IN_LOG = ["EV_SEPARATOR", "EV_EFI_ACTION", "EV_EFI_GPT_EVENT"]

narrow, wide = (json.load(open(file))["events"] for file in (sha256_log, sha384_log))
terms = {"rtmr1": [], "rtmr2": []}
for event, same in zip(narrow, wide, strict=True):
    if event["register"] not in ("pcr4", "pcr5", "pcr9"):
        continue
    if event["type"] in IN_LOG:
        name, digest = event["type"], plain(bytes.fromhex(event["data"]))
    elif event["type"] == "EV_EFI_BOOT_SERVICES_APPLICATION":
        name, digest = applications.pop(0)
    elif event["type"] == "EV_EVENT_TAG":
        name, digest = tagged.pop(0)
    else:
        sys.exit(f"{event['register']} has an event of type {event['type']}")
    assert digest("sha256").hex() == event["digest"], f"{name} isn't what {event['register']} was extended by"
    again = digest("sha384").hex()
    assert again == same["digest"], f"{name}: the log's own SHA-384 is another"
    # The two separators of PCR 4 and 5 are one of RTMR1.
    if event["type"] == "EV_SEPARATOR" and again in [digest for _, digest in terms["rtmr1"]]:
        continue
    terms["rtmr2" if event["register"] == "pcr9" else "rtmr1"].append((name, again))
assert not applications and not tagged, "the log lacks an application, the command line or the initrd"

predicted = json.load(open(tdx))
for register, found in terms.items():
    expected = [event["digest"] for event in predicted["events"] if event["register"] == register]
    assert [digest for _, digest in found] == expected, (register, found, expected)
    value = bytes(48)
    for name, digest in found:
        print(register, digest, name)
        value = hashlib.sha384(value + bytes.fromhex(digest)).digest()
    assert value.hex() == predicted[register], register
    print(register, value.hex(), "as predicted")
