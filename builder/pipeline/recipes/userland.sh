# Builds init (which is the daemon, too) and engine, the programs of an image: static, for one ISA level, with the list of their crates inside.
#
# In:   /build/image/            the workspace of image/ (with tools/, whose lock names cargo-auditable and what it needs)
#       /build/vendor/           every crate of image/Cargo.lock and image/tools/Cargo.lock, as a cargo directory source
#       ISA                      x86-64-v2 | x86-64-v3 | x86-64-v4
# Out:  /out/init /out/engine
# Debian packages: rustc-web cargo-web libstd-rust-web-dev gcc g++ libc6-dev binutils dash coreutils grep gawk make
#                  cmake libclang1-19 (of which bindgen reads llama.cpp's headers)

export LC_ALL=C TZ=UTC
umask 022
die() { echo "userland: $*" >&2; exit 1; }

case "$ISA" in
    x86-64-v2 | x86-64-v3 | x86-64-v4) ;;
    *) die "ISA is '$ISA', expected x86-64-v2, x86-64-v3 or x86-64-v4" ;;
esac

target=x86_64-unknown-linux-gnu
export CARGO_HOME=/build/cargo-home
mkdir -p "$CARGO_HOME"
cat > "$CARGO_HOME/config.toml" <<EOF
[net]
offline = true
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/build/vendor"
[target.$target]
linker = "gcc"
EOF

echo "== cargo-auditable"
# It is a program without a library, so cargo can't build it as a dependency of image/tools. It is built in its own folder
# with that package's lock, turned around: cargo-auditable becomes the root (a package without source or checksum), and
# the package that only held the lock goes. Its tests, and what only they need, aren't in the lock and go too.
tool=/build/tool
set -- /build/vendor/cargo-auditable-*/
[ "$#" -eq 1 ] && [ -f "$1/Cargo.toml" ] || die "expected one cargo-auditable in /build/vendor, found: $*"
cp -R "$1" "$tool"
rm -f "$tool/Cargo.toml.orig"
awk '/^\[/ { skip = /^\[\[test\]\]/ || /^\[dev-dependencies/ } !skip' "$1/Cargo.toml" > "$tool/Cargo.toml"
awk 'BEGIN { RS = ""; ORS = "\n\n" }
     /name = "image-tools"/ { next }
     /name = "cargo-auditable"/ { gsub(/\n(source|checksum) = "[^"]*"/, "") }
     { print }' /build/image/tools/Cargo.lock > "$tool/Cargo.lock"
(cd "$tool" && cargo build --locked --jobs "$JOBS" --target-dir /build/target-tool)

echo "== init and engine for $ISA"
# These flags reach only what is built for the target, not build scripts and macros, because --target is given.
rustflags="-C target-cpu=$ISA -C target-feature=+crt-static -C relocation-model=pie"
rustflags="$rustflags -C link-arg=-Wl,--build-id=none"
# Relative relocations as a bitmap (DT_RELR, which glibc 2.36 reads in static programs as well): 40 KiB less each.
rustflags="$rustflags -C link-arg=-Wl,-z,pack-relative-relocs"
rustflags="$rustflags --remap-path-prefix=/build/vendor=vendor --remap-path-prefix=/build/image=image"

# llama.cpp, which llama-cpp-sys-2 builds with cmake. Its build script turns target-cpu into -march, and every variable
# called CMAKE_* or GGML_* into a definition; there is no other.
export CMAKE_BUILD_PARALLEL_LEVEL="$JOBS"
# No search for programs that would change what is built, and no compiler cache.
export GGML_CCACHE=OFF GGML_NATIVE=OFF
cflags="-ffile-prefix-map=/build=. -ffile-prefix-map=/build/vendor=vendor"
export CFLAGS_x86_64_unknown_linux_gnu="$cflags" CXXFLAGS_x86_64_unknown_linux_gnu="$cflags"
# bindgen finds libclang here, and the few headers that belong to the compiler (stddef.h and the like) with gcc, because
# clang's would be one more package.
export LIBCLANG_PATH=/usr/lib/x86_64-linux-gnu
export BINDGEN_EXTRA_CLANG_ARGS="-isystem $(gcc -print-file-name=include)"

cd /build/image
CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$rustflags" CARGO_INCREMENTAL=0 \
    PATH="/build/target-tool/debug:$PATH" \
    cargo auditable build --locked --release --jobs "$JOBS" --target "$target" --target-dir /build/target \
    --package sealstone-init --package sealstone-engine --features sealstone-engine/llama

echo "== checks"
for program in init engine; do
    file=/build/target/$target/release/$program
    [ -s "$file" ] || die "$program was not built"
    readelf --file-header --wide "$file" | grep -q 'Type: *DYN (Position-Independent' || die "$program is not a static-pie"
    ! readelf --program-headers --wide "$file" | grep -q INTERP || die "$program asks for an interpreter"
    ! readelf --dynamic --wide "$file" | grep -q NEEDED || die "$program needs a shared library"
    ! readelf --notes --wide "$file" | grep -q 'Build ID' || die "$program has a build id"
    readelf --sections --wide "$file" | grep -q ' \.dep-v0 ' || die "$program lacks the list of its crates"
    for path in /build /home /root /tmp; do
        ! grep -a -q -F "$path/" "$file" || die "$program holds a path below $path: $(grep -a -o -E "$path/[[:print:]]*" "$file" | head -n 3)"
    done
    cp "$file" "/out/$program"
    chmod 755 "/out/$program"
    echo "$program: $(wc -c < "/out/$program") bytes"
done
