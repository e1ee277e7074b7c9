"""Answers launch-digest questions with the package sev-snp-measure, for the differential test of ovmf-measure.

One JSON object a line on standard input, one a line on standard output:
    {"firmware": path, "kernel": path or null, "initrd": path or null, "append": text or null, "vcpus": int,
     "vcpu_type": text, "features": int, "vmm": "qemu" | "ec2" | "gce", "shortcut": bool}
    -> {"digest": hex} | {"error": text}
`shortcut` lets the package start from its own digest of the firmware, computed once per file; it saves most of the time.
Exits with 77 and a reason on standard error if the package isn't there in the pinned version.
"""

import importlib.metadata
import json
import sys

PINNED = "0.0.13"

try:
    version = importlib.metadata.version("sev-snp-measure")
    from sevsnpmeasure import guest, vcpu_types
    from sevsnpmeasure.sev_mode import SevMode
    from sevsnpmeasure.vmm_types import VMMType
except (ImportError, importlib.metadata.PackageNotFoundError) as error:
    print(f"sev-snp-measure isn't installed: {error}", file=sys.stderr)
    sys.exit(77)
if version != PINNED:
    print(f"sev-snp-measure is {version}, the test is written for {PINNED}", file=sys.stderr)
    sys.exit(77)

VMMS = {"qemu": VMMType.QEMU, "ec2": VMMType.ec2, "gce": VMMType.gce}
firmware_digests = {}


def answer(case):
    if case["vcpu_type"] not in vcpu_types.CPU_SIGS:
        return {"error": "unknown CPU model"}
    digest = ""
    if case["shortcut"]:
        path = case["firmware"]
        if path not in firmware_digests:
            firmware_digests[path] = guest.calc_snp_ovmf_hash(path).hex()
        digest = firmware_digests[path]
    launch = guest.calc_launch_digest(
        SevMode.SEV_SNP,
        case["vcpus"],
        vcpu_types.CPU_SIGS[case["vcpu_type"]],
        case["firmware"],
        case["kernel"],
        case["initrd"],
        case["append"],
        case["features"],
        digest,
        VMMS[case["vmm"]],
    )
    return {"digest": launch.hex()}


for line in sys.stdin:
    try:
        result = answer(json.loads(line))
    except Exception as error:  # whatever it raises is its answer
        result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), flush=True)
