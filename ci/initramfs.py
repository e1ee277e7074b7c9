"""A reader of the initramfs that shares nothing with the writer."""


def files(data):
    """{path: content} of the plain files of a "newc" archive.

    Format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    found, at = {}, 0
    while True:
        assert data[at : at + 6] == b"070701", f"no entry at byte {at}"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        start = (at + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return found
        if mode >> 12 == 0o10:
            found[name.strip("/")] = data[start : start + size]
        at = (start + size + 3) & ~3
