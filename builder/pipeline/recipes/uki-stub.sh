# The UEFI stub that a unified kernel image is built on, from systemd's source package.
#
# Environment, besides what every recipe gets:
#   VERSION   the lock's version of the systemd source package; has to be what debian/changelog says
# Sources:  /build/systemd, the orig tarball with Debian's debian/ folder inside, patches not yet applied.
# Output:   /out/linuxx64.efi.stub
# Packages: gcc binutils libc6-dev gnu-efi meson ninja-build pkgconf pkgconf-bin gperf libcap-dev libmount-dev python3
#           python3-jinja2 patch bash coreutils sed gawk grep libc-bin (getent)
#           meson's configure step wants gperf, libcap and libmount for programs that aren't built here.
#           gnu-efi's crt0, relocator and library are linked in: the one binary of the distribution in the stub. Rebuilt from
#           gnu-efi's source package (3.0.15-1, same compiler, `make lib gnuefi inc`) they gave the same stub to the byte.
#
# The stub depends on the source package, gnu-efi and the compiler alone, not on image.epoch.

export LC_ALL=C.UTF-8 TZ=UTC # meson's Python reads and prints UTF-8 sources
umask 022
export PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0

cd /build/systemd

version=$(sed -n '1s/^systemd (\([^)]*\)).*/\1/p' debian/changelog)
stamp=$(sed -n '/^ -- /{s/^ -- .*>  //p;q;}' debian/changelog)
if [ -z "$version" ] || [ -z "$stamp" ]; then
	echo "debian/changelog doesn't begin with an entry for systemd" >&2
	exit 1
fi
if [ "$version" != "${VERSION:?set VERSION to the version of the systemd source package}" ]; then
	echo "the lock says systemd $VERSION, but debian/changelog says $version" >&2
	exit 1
fi
SOURCE_DATE_EPOCH=$(date -u -d "$stamp" +%s)
export SOURCE_DATE_EPOCH
echo "systemd $version, $JOBS jobs"

# The whole series, although no patch of 252.39-1~deb12u2 touches src/boot: a later fix of the stub then comes in with the
# package. -F0: a hunk whose context doesn't match to the letter is an error, never a guess.
while read -r name _; do
	case $name in '' | '#'*) continue ;; esac
	echo "patch $name"
	patch -p1 -F0 -f --no-backup-if-mismatch <"debian/patches/$name"
done <debian/patches/series

# Upstream leaves the linker's symbol table behind the last section of the PE file, where it would be in the way of the sections
# that assembly appends, and part of what is measured. Stripping afterwards would put the wall clock into the header.
option="'--section-alignment=512',"
boot=src/boot/efi/meson.build
found=$(grep -c -F -e "$option" "$boot" || true)
if [ "$found" -ne 1 ]; then
	echo "$boot: expected one line with $option, found $found" >&2
	exit 1
fi
sed -i "s/$option/'--strip-all', $option/" "$boot"

# auto_features=disabled  nothing of the host's libraries decides what is built
# efi, gnu-efi            the stub
# tpm                     measure the sections into PCR 11 and the command line and initrds into PCR 12 and 13
# mode=release            no EFI_DEBUG, no developer checks
# optimization=2          upstream's default and Debian's; buildtype=plain alone would leave the boot code at -O1
# version-tag             what .sdmagic says; without it meson asks git
# sbat-distro=            no .sbat: that section is for shim's revocation list, and its text would come from /etc/os-release
# nobody-*, time-epoch    otherwise looked up in the root's passwd and in file times
meson setup build \
	-Dauto_features=disabled -Dmode=release -Dbuildtype=plain -Doptimization=2 \
	-Defi=true -Dgnu-efi=true -Dtpm=true -Defi-ld=bfd \
	-Dversion-tag="$version" -Dsbat-distro= \
	-Dnobody-user=nobody -Dnobody-group=nogroup -Dtime-epoch="$SOURCE_DATE_EPOCH"
ninja -C build -j "$JOBS" src/boot/efi/linuxx64.efi.stub

stub=build/src/boot/efi/linuxx64.efi.stub
if grep -q -a -F /build/ "$stub"; then
	echo "the build path is inside $stub" >&2
	exit 1
fi
install -m 644 "$stub" /out/linuxx64.efi.stub
sha256sum /out/linuxx64.efi.stub
