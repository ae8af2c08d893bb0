#!/usr/bin/env bash
# Fuzzes every decoder of bytes from outside: fuzz/run.sh [SECONDS for each, 30 unless said otherwise] [TARGET …]
# What it finds is in fuzz/artifacts; new inputs are kept in fuzz/corpus, outside of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"

skip() { echo "$1: not fuzzed"; exit 0; }
command -v c++ >/dev/null || skip "there is no C++ compiler for libFuzzer"
cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz ||
  skip "cargo-fuzz is not installed and cannot be"
cargo fetch --quiet --manifest-path fuzz/Cargo.toml || skip "what fuzzing needs cannot be fetched"

seconds="${1:-30}"; shift || true
targets=("$@"); [ ${#targets[@]} -gt 0 ] || targets=(ws_frame query trpc)
# Without a sanitizer, and with the stable compiler's own switches for coverage: no nightly is needed.
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
  mkdir -p "fuzz/corpus/$target"
  cargo fuzz run --dev --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1
done
