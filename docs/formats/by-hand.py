"""Recomputes every register that pin.json pins from the other files of an output folder, with nothing but Python's standard library.

    python3 by-hand.py OUT

Written from measurement.md, beside which it stands, and from no other code of this project. Prints a line per profile; exits with 1 if a
register of any differs. It knows the profiles of the default image: a direct boot under TDX, direct boot and UKI on GPT with a TPM.
"""

import hashlib, json, struct, sys
from uuid import UUID
out = sys.argv[1] + "/"
load = lambda name: open(out + name, "rb").read()
u16 = lambda b, at: struct.unpack_from("<H", b, at)[0]
u32 = lambda b, at: struct.unpack_from("<I", b, at)[0]
sha = lambda bank, b: hashlib.new(bank, b).digest()
kernel, initrd, cmdline, uki, disk = map(load, ["vmlinuz", "initrd", "cmdline", "uki.efi", "disk.raw"])


def footer(fw):
    """GUIDed table -> {guid: data}."""
    at, table = len(fw) - 32 - 18, {}
    first = len(fw) - 32 - u16(fw, at)
    while at > first:
        n = u16(fw, at - 18)
        table[UUID(bytes_le=fw[at - 16:at])] = fw[at - n:at - 18]
        at -= n
    return table


def metadata(fw, guid, words):
    """Header of 16 bytes, then entries of so many u32."""
    at = len(fw) - u32(footer(fw)[UUID(guid)], 0)
    return [struct.unpack_from(f"<{words}I", fw, at + 16 + 4 * words * i) for i in range(u32(fw, at + 12))]


def hashes_page(at):
    entry = lambda guid, b: UUID(guid).bytes_le + struct.pack("<H", 50) + sha("sha256", b)
    table = UUID("9438d606-4f22-4cc9-b479-a793d411fd21").bytes_le + struct.pack("<H", 168)
    table += entry("97d02dd8-bd20-4c94-aa78-e7714d36ab2a", cmdline + b"\0")
    table += entry("44baf731-3a2f-4bd7-9af1-41e29169781d", initrd) + entry("4de79437-abd2-427f-b835-d5b172d2045b", kernel)
    return (bytes(at) + table).ljust(4096, b"\0")


def vmsa(start, rdx, features):
    page = bytearray(4096)
    segment = lambda at, attributes, selector=0, base=0: struct.pack_into("<HHIQ", page, at, selector, attributes, 0xffff, base)
    for at, attributes in [(0, 0x93), (0x20, 0x93), (0x30, 0x93), (0x40, 0x93), (0x50, 0x93), (0x60, 0), (0x70, 0x82), (0x80, 0), (0x90, 0x8b)]:
        segment(at, attributes)
    segment(0x10, 0x9b, 0xf000, start & 0xffff0000)
    for at, value in [(0xd0, 0x1000), (0x148, 0x40), (0x158, 0x10), (0x160, 0x400), (0x168, 0xffff0ff0), (0x170, 2), (0x178, start & 0xffff),
                      (0x268, 0x7040600070406), (0x310, rdx), (0x3b0, features), (0x3e8, 1)]:
        struct.pack_into("<Q", page, at, value)
    struct.pack_into("<I", page, 0x408, 0x1f80)
    struct.pack_into("<H", page, 0x410, 0x37f)
    return sha("sha384", page)


def snp(profile):
    fw, ld = load("firmware/" + profile["firmware"]["name"]), bytes(48)
    extend = lambda ld, digest, kind, gpa: sha("sha384", ld + digest + b"\x70\0" + bytes([kind]) + bytes(5) + struct.pack("<Q", gpa))
    for at in range(0, len(fw), 4096):
        ld = extend(ld, sha("sha384", fw[at:at + 4096]), 1, 2**32 - len(fw) + at)
    hash_table = u32(footer(fw)[UUID("7255371f-3a3b-4b04-927b-1da6efa8d454")], 0) & 0xfff
    for gpa, size, kind in metadata(fw, "dc886566-984a-4798-a75e-5585a7bf67cc", 3):
        for page in range(gpa, gpa + size, 4096):
            normal = sha("sha384", hashes_page(hash_table)) if kind == 0x10 else bytes(48)
            ld = extend(ld, normal, {1: 3, 2: 5, 3: 6, 4: 3, 0x10: 1}[kind], page)
    models = {"EPYC": 0x800f12, "Rome": 0x830f10, "Milan": 0xa00f11, "Genoa": 0xa10f10, "Turin": 0xb00f00}
    words = profile["params"]["vcpu_type"].split("-")
    rdx = next((models[word] for word in words[1:] if word in models), models["EPYC"])
    reset = u32(footer(fw)[UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e")], 0)
    bsp, ap = (vmsa(start, rdx, profile["params"]["guest_features"]) for start in (0xfffffff0, reset))
    launch = {"pre_vmsa": ld.hex(), "bsp_vmsa": bsp.hex(), "ap_vmsa": ap.hex(), "by_vcpus": {}}
    for vcpus in range(1, 513):
        ld = extend(ld, bsp if vcpus == 1 else ap, 2, 0xfffffffff000)
        if str(vcpus) in profile["launch"]["by_vcpus"]:
            launch["by_vcpus"][str(vcpus)] = ld.hex()
    return launch


def mrtd(fw):
    stream = hashlib.sha384()
    command = lambda name, gpa: stream.update(name.ljust(16, b"\0") + struct.pack("<Q", gpa).ljust(112, b"\0"))
    for offset, _, low, high, size, _, _, attributes in metadata(fw, "e47a6535-984a-4798-865e-4685a7bf8ec2", 8):
        for page in range(0, size, 4096):
            gpa = low + (high << 32) + page
            if not attributes & 2:
                command(b"MEM.PAGE.ADD", gpa)
            for at in range(0, 4096 if attributes & 1 else 0, 256):
                command(b"MR.EXTEND", gpa + at)
                stream.update(fw[offset + page + at:offset + page + at + 256])
    return stream.hexdigest()


def sections(pe):
    """Name, VirtualSize, file offset, file size."""
    header = u32(pe, 0x3c)
    first = header + 24 + u16(pe, header + 20)
    for at in range(first, first + 40 * u16(pe, header + 6), 40):
        yield pe[at:at + 8].rstrip(b"\0").decode(), u32(pe, at + 8), u32(pe, at + 20), u32(pe, at + 16)


def authenticode(pe, bank):
    optional = u32(pe, 0x3c) + 24
    headers, h = u32(pe, optional + 60), hashlib.new(bank)
    for piece in pe[:optional + 64], pe[optional + 68:optional + 144], pe[optional + 152:headers]:
        h.update(piece)
    end = headers
    for _, _, offset, size in sorted(sections(pe), key=lambda s: s[2]):
        h.update(pe[offset:offset + size])
        end += size
    h.update(pe[end:len(pe) - u32(pe, optional + 148)])
    return h.digest()


def patched(mib):
    """What QEMU writes into the kernel's header."""
    k, low = bytearray(kernel), mib << 20 if mib < 2816 else 2 << 30
    highest = 0xffffffff if u16(k, 0x236) & 2 else u32(k, 0x22c)
    k[0x210], k[0x211] = 0xb0, k[0x211] | 0x80
    struct.pack_into("<H", k, 0x224, 0xfe00)
    struct.pack_into("<I", k, 0x228, 0x20000)
    struct.pack_into("<II", k, 0x218, (min(highest, low - 0x28001) - len(initrd)) & ~0xfff, len(initrd))
    return bytes(k)


def fold(bank, digests):
    value = bytes(hashlib.new(bank).digest_size)
    for digest in digests:
        value = sha(bank, value + digest)
    return value.hex()


def boot(bank, way, kernels):
    """PCR -> acceptable values."""
    h = lambda b: sha(bank, b)
    action, separator = h(b"Calling EFI Application from Boot Option"), h(bytes(4))
    leave = [h(b"Exit Boot Services Invocation"), h(b"Exit Boot Services Returned with Success")]
    utf16 = lambda line: h(line.decode().encode("utf-16-le") + b"\0\0")
    pcrs = {8: [fold(bank, [])], 12: [fold(bank, [])]}
    if way == "direct":
        pcrs[4] = [fold(bank, [authenticode(k, bank), action, separator]) for k in kernels]
        pcrs[5], pcrs[11] = [fold(bank, [separator] + leave)], [fold(bank, [])]
        pcrs[9] = [fold(bank, [utf16(cmdline + b" initrd=initrd"), h(initrd)])]
        return pcrs
    data = {name: uki[at:at + size] for name, size, at, _ in sections(uki)}
    entries = [disk[at:at + 128] for at in range(1024, 1024 + 128 * 128, 128) if any(disk[at:at + 16])]
    gpt = h(disk[512:604] + struct.pack("<Q", len(entries)) + b"".join(entries))
    pcrs[4] = [fold(bank, [action, separator, authenticode(uki, bank), authenticode(data[".linux"], bank)])]
    pcrs[5] = [fold(bank, [separator, gpt] + leave)]
    pcrs[9] = [fold(bank, [utf16(data[".cmdline"].split(b"\0")[0]), h(data[".initrd"])])]
    names = [n for n in (".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey") if n in data]
    pcrs[11] = [fold(bank, [d for n in names for d in (h(n.encode() + b"\0"), h(data[n]))])]
    return pcrs


def tdx(profile):
    """This image's TDX profile is a direct boot."""
    params, h = profile["params"], lambda b: sha("sha384", b)
    kernels = [kernel] * ("raw" in params["kernel_header"])
    kernels += [patched(mib) for mib in params["memory_mib"]] * ("patched" in params["kernel_header"])
    leave = [h(b"Exit Boot Services Invocation"), h(b"Exit Boot Services Returned with Success")]
    rtmr1 = [[authenticode(k, "sha384"), h(b"Calling EFI Application from Boot Option"), h(bytes(4))] + leave for k in kernels]
    return {"mrtd": [mrtd(load("firmware/" + profile["firmware"]["name"]))], "rtmr0": None, "rtmr1": [fold("sha384", e) for e in rtmr1],
            "rtmr2": boot("sha384", "direct", [])[9], "rtmr3": [fold("sha384", [])]}


def tpm(profile):
    params, launch = profile["params"], dict(profile["launch"])
    pcrs = boot(launch["bank"], params["boot"], [patched(mib) for mib in params["memory_mib"]])
    launch["pcrs"] = {str(pcr): values for pcr, values in pcrs.items()}
    return launch


def sets(value):
    """Acceptable values have no order."""
    if isinstance(value, dict):
        return {key: sets(item) for key, item in value.items()}
    return sorted(set(value)) if isinstance(value, list) else value

def main():
    differ = 0
    for profile in json.loads(load("pin.json"))["profiles"]:
        mine = {"sev-snp": snp, "tdx": tdx, "tpm2": tpm}[profile["tee"]](profile)
        equal = sets(mine) == sets(profile["launch"])
        differ += not equal
        print(profile["id"], "equal" if equal else "DIFFERS: " + json.dumps(mine))
    return differ != 0


if __name__ == "__main__":
    sys.exit(main())
