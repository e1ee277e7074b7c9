# Builds the kernel.
#
# Runs as `/bin/sh -eu` in the build root, without network, in an environment that holds nothing but
# PATH, HOME, LC_ALL, TZ and what is listed here.
#
# Inputs
#   /build/linux         the kernel's source
#   /in/fragments        the merged request (sealstone-kconfig, Merged::allconfig)
#   /in/patch-000 …      patches to the source, if there are any; none may need fuzz
#   /in/resolved         the complete configuration that the request is known to give
#   SOURCE_DATE_EPOCH    the only time that enters the output
#   JOBS                 how many commands run at once; must not change the output
# Outputs
#   /out/bzImage         the kernel, an EFI program
#   /out/config          the configuration it was built from; equals /in/resolved
#   /out/System.map      addresses and names, to read traces and to compare two builds
#
# Debian packages: bc binutils bison coreutils dash diffutils findutils flex gcc grep libc6-dev
# libelf-dev make mawk patch sed zstd, and what they depend on. Links: /usr/bin/awk -> mawk.
# libelf-dev is for objtool, which checks and places the speculation barriers. Not needed: perl,
# python3, openssl, rsync, pahole, kmod, cpio.

umask 022
export LC_ALL=C TZ=UTC

cd /build/linux

for patch in /in/patch-*; do
    [ -e "$patch" ] || continue
    patch -p1 -F0 -f --no-backup-if-mismatch <"$patch"
done

# Kbuild falls back to the wall clock when date(1) can't read the timestamp.
export KBUILD_BUILD_TIMESTAMP="@$SOURCE_DATE_EPOCH"
date -u -d "$KBUILD_BUILD_TIMESTAMP" +'kernel: build time %Y-%m-%dT%H:%M:%SZ'

# Stand in /proc/version; would be the user, host and a counter in the source tree.
export KBUILD_BUILD_USER=sealstone
export KBUILD_BUILD_HOST=sealstone
export KBUILD_BUILD_VERSION=1
# No date in the header of .config, so that it can be compared.
export KCONFIG_NOTIMESTAMP=1

# Kconfig records the versions of tools that this kernel doesn't use but that a build root may have
# for other programs. `false` has no version; a pahole by this name doesn't exist.
kernel_make() {
    make RUSTC=false PAHOLE=not-used "$@"
}

kernel_make KCONFIG_ALLCONFIG=/in/fragments allnoconfig

if ! diff -u --label a/kernel-config/resolved.config --label b/kernel-config/resolved.config \
    /in/resolved .config
then
    cat <<'END'
kernel: the configuration isn't the one that was reviewed (difference above).
kernel: a fragment, the kernel's source or the compiler has changed. If the difference is what you
kernel: want, apply it to kernel-config/resolved.config (it is a patch for `git apply`) and commit
kernel: it with the change that caused it. If an option that you asked for is missing from it, look
kernel: at `depends on` in the option's Kconfig entry.
END
    exit 1
fi

kernel_make -j "$JOBS" bzImage

# bzImage is compressed: whoever scans outputs for build paths can't see through it.
if grep -F -q -a /build/ vmlinux; then
    echo "kernel: vmlinux holds the path of the build folder; find what uses __FILE__ with an absolute path:"
    grep -F -a -o '/build/[[:print:]]*' vmlinux | sort -u | head -n 20
    exit 1
fi

cp arch/x86/boot/bzImage /out/bzImage
cp .config /out/config
cp System.map /out/System.map
