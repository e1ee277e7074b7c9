# Builds the verifier for browsers: a WebAssembly module that imports nothing, with Rust's standard library from its source.
#
# In:   /build/src/              Cargo.toml of the builder's workspace, the crates of verification below builder/, and web/
#       /build/vendor/           every crate of web/Cargo.lock and web/std/Cargo.lock, as a cargo directory source
# Out:  /out/sealstone-verify.wasm
# Debian packages (root `web`): rustc-web cargo-web rust-web-src lld-19 gcc libc6-dev binutils dash coreutils grep sed

export LC_ALL=C TZ=UTC
umask 022
die() { echo "verify-page: $*" >&2; exit 1; }

target=wasm32-unknown-unknown
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
linker = "/usr/bin/wasm-ld-19"
EOF

# The suite's compiler is 1.85. Crates that ask for a newer one get, by name, what was already in 1.85 behind a feature and has
# been stable since: each of these features was stabilised as it was (let_chains 1.88, unsigned_is_multiple_of and
# integer_sign_cast 1.87, slice_as_chunks 1.88). Anything else that is newer fails to compile and says what it is.
cat > /build/rustc <<'EOF'
#!/bin/sh
compiler=$1
shift
case "${CARGO_PKG_RUST_VERSION:-}" in
    1.8[6-9]*) set -- "$@" "-Zcrate-attr=feature(let_chains,unsigned_is_multiple_of,slice_as_chunks,integer_sign_cast)" -Aunused-features -Astable-features ;;
esac
exec "$compiler" "$@"
EOF
chmod 755 /build/rustc

# -Zbuild-std and the features above are unstable: the compiler takes them because of RUSTC_BOOTSTRAP.
# Paths: what is in a panic's message must not tell where it was built.
rustflags="--remap-path-prefix=/build/vendor=vendor --remap-path-prefix=/build/src=sealstone"
rustflags="$rustflags --remap-path-prefix=/usr/lib/rustlib/src/rust=rust --remap-path-prefix=/usr/src/rustc-1.85.0=rust"
cd /build/src/web
RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER=/build/rustc CARGO_INCREMENTAL=0 \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$rustflags" \
    cargo build --locked --release --ignore-rust-version --jobs "$JOBS" --target "$target" --target-dir /build/target \
    -Zbuild-std=std,panic_abort -Zbuild-std-features=

module=/build/target/$target/release/sealstone_verify_web.wasm
[ -s "$module" ] || die "the module was not built"
for path in /build /home /root /tmp; do
    ! grep -a -q -F "$path/" "$module" || die "the module holds a path below $path: $(grep -a -o -E "$path/[[:print:]]*" "$module" | head -n 3)"
done
cp "$module" /out/sealstone-verify.wasm
chmod 644 /out/sealstone-verify.wasm
echo "sealstone-verify.wasm: $(wc -c < "$module") bytes"
