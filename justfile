# The same commands that CI runs; without `just` they can be typed as they stand.

# Lists the recipes.
default:
    @just --list

# All tests. No network and no agent server are needed; PostgreSQL is.
test:
    cargo test --locked

# Lints, with every warning an error, and the licences where cargo-deny is installed.
lint:
    cargo clippy --all-targets --locked -- -D warnings
    @if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; else echo "cargo-deny is not installed: licences not checked"; fi

# Formats the code.
fmt:
    cargo fmt

# Tells whether the code is formatted.
fmt-check:
    cargo fmt --check

# The documentation of the code.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# With a real Penguin (made once, about 600 MB outside of this tree), and 200 kills.
e2e:
    tests/penguin/install.sh
    LINK_REAL_PENGUIN=1 cargo test --locked --test it -- penguin_end_to_end:: penguin_real:: --test-threads=1
    LINK_KILL_POINTS=200 cargo test --locked --test it -- crash::an_acknowledged --nocapture

# Throws bytes at every decoder for some seconds each.
fuzz seconds="30":
    fuzz/run.sh {{seconds}}

# The types of the TypeScript client, made from the operation table.
typescript:
    cargo run --locked --quiet -- typescript --write clients/typescript/src/router.ts

# The Python package for agents against a running Link, and two real Penguins of which one is killed.
python-client:
    LINK_PYTHON_CLIENT=1 LINK_REAL_PENGUIN=1 cargo test --locked --test it -- python_client:: peer_real:: --test-threads=1

# The stock tRPC client on Node 20 against a running Link; npm fetches what is pinned.
node-client:
    LINK_NODE_CLIENT=1 cargo test --locked --test it -- typescript_client:: stock_yjs:: --nocapture

# Every operation, called by schemathesis as its description says and in every other way; about three minutes.
schemathesis:
    tests/schemathesis/install.sh
    cargo build --locked
    tests/schemathesis/run.sh

# What the performance claims rest on.
bench:
    cargo bench --locked

# A node with people, a project and scripted agents; ends when both tasks are done.
demo:
    cargo run --locked -- demo --exit

# Everything that has to hold before a change lands.
ci:
    .ci/run
