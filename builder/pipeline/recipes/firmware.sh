# Firmware for one confidential platform, from edk2's source package.
#
# Environment, besides what every recipe gets:
#   PLATFORM  amdsev    OvmfPkg/AmdSev/AmdSevX64.dsc      -> /out/OVMF.amdsev.fd
#             inteltdx  OvmfPkg/IntelTdx/IntelTdxX64.dsc  -> /out/OVMF.inteltdx.fd
#   VERSION   the lock's version of the edk2 source package; has to be what debian/changelog says
# Sources:  /build/edk2, the orig tarball with Debian's debian/ folder inside, patches not yet applied.
# Packages: gcc g++ binutils libc6-dev make nasm acpica-tools uuid-dev python3 patch bash coreutils sed grep gawk findutils
#           (edk2's wrappers start with `#!/usr/bin/env bash`; python3 has to be /usr/bin/python3).
# Mounts:   a writable /dev/shm, because edk2's build.py uses Python's multiprocessing locks.
#
# The firmware depends on the source package and the compiler alone: not on image.epoch, so that a new release of an
# image with the same firmware sources keeps the same firmware measurement.

export LC_ALL=C TZ=UTC
umask 022

case ${PLATFORM:?set PLATFORM to amdsev or inteltdx} in
amdsev) dsc=OvmfPkg/AmdSev/AmdSevX64.dsc output=Build/AmdSev ;;
inteltdx) dsc=OvmfPkg/IntelTdx/IntelTdxX64.dsc output=Build/IntelTdx ;;
*)
	echo "PLATFORM is '$PLATFORM', but only amdsev and inteltdx are known" >&2
	exit 2
	;;
esac

cd /build/edk2

# What the firmware says about itself (SMBIOS type 0, EFI_SYSTEM_TABLE.FirmwareVendor), from the newest changelog entry:
# the same text for the same source package. PcdFirmwareVendor keeps upstream's "EDK II", since this isn't Debian's build.
version=$(sed -n '1s/^edk2 (\([^)]*\)).*/\1/p' debian/changelog)
stamp=$(sed -n '/^ -- /{s/^ -- .*>  //p;q;}' debian/changelog)
if [ -z "$version" ] || [ -z "$stamp" ]; then
	echo "debian/changelog doesn't begin with an entry for edk2" >&2
	exit 1
fi
if [ "$version" != "${VERSION:?set VERSION to the version of the edk2 source package}" ]; then
	echo "the lock says edk2 $VERSION, but debian/changelog says $version" >&2
	exit 1
fi
SOURCE_DATE_EPOCH=$(date -u -d "$stamp" +%s)
export SOURCE_DATE_EPOCH
release_date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%m/%d/%Y)
echo "edk2 $version ($release_date), platform $PLATFORM, $JOBS jobs"

# -F0: a hunk whose context doesn't match to the letter is an error, never a guess.
apply() { patch -p1 -F0 -f --no-backup-if-mismatch; }

# drop_line FILE LINE: removes the one line that is LINE (and, as these files have it, a carriage return); anything but one is an error.
drop_line() {
	line="$2$(printf '\r')"
	found=$(grep -c -x -F -e "$line" "$1" || true)
	if [ "$found" -ne 1 ]; then
		echo "$1: expected one line '$2', found $found" >&2
		exit 1
	fi
	grep -v -x -F -e "$line" "$1" >"$1.new"
	mv "$1.new" "$1"
}

while read -r name _; do
	case $name in '' | '#'*) continue ;; esac
	echo "patch $name"
	apply <"debian/patches/$name"
done <debian/patches/series

if [ "$PLATFORM" = amdsev ]; then
	# The platform embeds a GRUB made by a prebuild script, for boots from an encrypted disk. Here a kernel is always
	# handed over directly and checked against the measured hashes, so neither script nor GRUB has a place. The boot
	# manager still registers an option for GRUB's file GUID; with no such file it fails to load and boots nothing, and
	# PcdBootRestrictToFirmware forbids every option outside the firmware.
	drop_line OvmfPkg/AmdSev/AmdSevX64.dsc '  PREBUILD                       = sh OvmfPkg/AmdSev/Grub/grub.sh'
	drop_line OvmfPkg/AmdSev/AmdSevX64.dsc '  OvmfPkg/AmdSev/Grub/Grub.inf'
	drop_line OvmfPkg/AmdSev/AmdSevX64.fdf 'INF  OvmfPkg/AmdSev/Grub/Grub.inf'
fi

# The environment edksetup.sh would make. It isn't sourced: it wants bash and guesses from the caller's environment.
export WORKSPACE=/build/edk2
export EDK_TOOLS_PATH=$WORKSPACE/BaseTools
export CONF_PATH=$WORKSPACE/Conf
export PATH="$EDK_TOOLS_PATH/BinWrappers/PosixLike:$PATH"
export PYTHON_COMMAND=/usr/bin/python3
export PYTHONHASHSEED=0 # build.py walks sets and dicts of strings while it writes generated sources
export PYTHONDONTWRITEBYTECODE=1
for name in build_rule tools_def target; do
	cp "$EDK_TOOLS_PATH/Conf/$name.template" "$CONF_PATH/$name.txt"
done

# Only the tools in C; the top-level makefile would run the unit tests of the tools in Python as well.
make -C BaseTools/Source/C -j "$JOBS" HOST_ARCH=X64

# -b RELEASE           no DEBUG() text and no ASSERT file names; the DSC then runs GenFw --zero (no timestamps, no PDB paths)
# -t GCC               GNU toolchain with LTO; Debian's GCC5 is the deprecated name of the same flags
# BUILD_SHELL=FALSE    upstream's AmdSev default, and IntelTdx's advice for production: the UEFI shell is a way for whoever
#                      holds the console to run something else, and would be one more measured Boot#### variable
# SECURE_BOOT_ENABLE=FALSE  (default of IntelTdx, unknown to AmdSev) what may boot is decided by measurement, not by a key list
# TPM2_ENABLE          left FALSE (AmdSev only): a TPM there would be the host's and prove nothing to a guest.
#                      IntelTdx measures into RTMRs without any define.
# NETWORK_*, CC_MEASUREMENT_ENABLE, FD_SIZE_4MB: Debian's defines for OvmfPkgX64.dsc. Neither platform has a network stack,
#                      IntelTdx always measures, and 4 MiB is the default size of both.
# PcdUninstallMemAttrProtocol stays FALSE: Debian's work-around for old shims, and there is no shim here.
build -q -n "$JOBS" -a X64 -b RELEASE -t GCC -p "$dsc" \
	-D BUILD_SHELL=FALSE \
	-D SECURE_BOOT_ENABLE=FALSE \
	--pcd "PcdFirmwareVersionString=L$version\\0" \
	--pcd "PcdFirmwareReleaseDateString=L$release_date\\0"

fd=$output/RELEASE_GCC/FV/OVMF.fd
size=$(wc -c <"$fd")
if [ "$size" -ne 4194304 ]; then
	echo "$fd has $size bytes; the memory map of both platforms is laid out for 4 MiB" >&2
	exit 1
fi

# The image itself is compressed, so look for the build path in the modules that went into it.
modules=$output/RELEASE_GCC/X64
if [ -z "$(find "$modules" -name '*.efi' -print -quit)" ]; then
	echo "$modules holds no modules to look into" >&2
	exit 1
fi
leaks=$(find "$modules" -name '*.efi' -exec grep -l -a -F /build/ {} + || true) # grep fails where it finds nothing
if [ -n "$leaks" ]; then
	echo "the build path is inside: $leaks" >&2
	exit 1
fi

cp "$fd" "/out/OVMF.$PLATFORM.fd"
sha256sum "/out/OVMF.$PLATFORM.fd"
