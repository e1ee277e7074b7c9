# Builds builder/seed, static, with the build root's own Rust.
#
# In:   /build/src/              Cargo.toml and builder/{seed and the crates it is made of}
#       /build/vendor/           every crate of builder/seed/Cargo.lock, as a cargo directory source
# Out:  /out/sealstone-seed
# Debian packages: rustc-web cargo-web libstd-rust-web-dev gcc libc6-dev binutils dash coreutils grep

export LC_ALL=C TZ=UTC
umask 022
die() { echo "seed: $*" >&2; exit 1; }

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

# The builder is written for a newer Rust than the frozen suite has. What it and two of its crates use of it was there in 1.85 already,
# under the names of unstable features; RUSTC_BOOTSTRAP lets a released compiler take them. What this compiler makes of them is judged by
# the image: it has to be the one that the builder makes, compiled by the Rust it is written for.
export RUSTC_BOOTSTRAP=1
features=let_chains,unsigned_is_multiple_of,slice_as_chunks

# These flags reach only what is built for the target, not build scripts and macros, because --target is given.
flags="-C target-feature=+crt-static -C relocation-model=pie -C link-arg=-Wl,--build-id=none -Zcrate-attr=feature($features)"
flags="$flags --remap-path-prefix=/build/vendor=vendor --remap-path-prefix=/build/src=src"
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$flags" CARGO_INCREMENTAL=0
export CFLAGS_x86_64_unknown_linux_gnu="-ffile-prefix-map=/build=."

cd /build/src/builder/seed
# rust-version is what the sources are written for, see above.
cargo build --release --locked --ignore-rust-version --jobs "$JOBS" --target "$target" --target-dir /build/target

program=/build/target/$target/release/sealstone-seed
! readelf --program-headers --wide "$program" | grep -q INTERP || die "it asks for an interpreter"
! readelf --dynamic --wide "$program" | grep -q NEEDED || die "it needs a shared library"
! readelf --notes --wide "$program" | grep -q 'Build ID' || die "it has a build id"
# The recipes inside it name /build, so only what a compiler would have left there is looked for.
for path in /build/vendor/ /build/src/builder /build/target/x86; do
    found=$(grep -a -o -E "$path[[:print:]]*\.(rs|c|h|S)" "$program" | head -n 3)
    [ -z "$found" ] || die "it holds paths of the build: $found"
done
cp "$program" /out/
chmod 755 /out/sealstone-seed
echo "sealstone-seed: $(wc -c < "$program") bytes"
