# What `.ci/run` and `.ci/deep` share: steps with their time, and tools that install themselves. Sourced, not run.

export CARGO_TERM_COLOR=never
# Tests need no debugger, and small target files make a fresh machine faster.
export CARGO_INCREMENTAL=0

times=()
skipped=()
running=

# Runs a command under its name, and notes how long it took.
step() {
    local name=$1 began=$SECONDS
    shift
    running=$name
    printf '\n== %s: %s\n' "$name" "$*"
    "$@"
    times+=("$(printf '%5d s  %s' $((SECONDS - began)) "$name")")
}

# Notes what is not checked, and why.
skip() {
    printf '\n== skipped: %s\n' "$1"
    skipped+=("$1")
}

# Says at the end how long each step took and what was not checked, also when a step failed.
summary() {
    local status=$?
    printf '\n== times\n'
    printf '%s\n' "${times[@]}"
    [ ${#skipped[@]} -eq 0 ] || printf 'not checked: %s\n' "${skipped[@]}"
    if [ $status -eq 0 ]; then
        printf 'passed in %d s\n' $SECONDS
    else
        printf 'FAILED after %d s: %s\n' $SECONDS "$running"
    fi
}
trap summary EXIT

# The compiler's parts, and a C compiler for SQLite and aws-lc.
toolchain() {
    command -v cc >/dev/null || install gcc libc6-dev
    local part
    for part in rustfmt clippy; do
        rustup component list --installed 2>/dev/null | grep -q "^$part" || rustup component add "$part"
    done
}

install() { apt-get update -q && apt-get install -qy "$@"; }

# Has rustdoc describe the crates as JSON, for the test that compares what they show.
described() {
    ML_CONNECTOR_INTERFACES="$PWD/target/doc"
    RUSTDOC="$PWD/.ci/rustdoc" RUSTDOCFLAGS="-D warnings -Z unstable-options --output-format json" \
        cargo doc --workspace --no-deps --all-features --locked
}

# A Postgres server and PgBouncer, which tests start for themselves. Fails when they cannot be had.
postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && [ -x /usr/sbin/pgbouncer ] || install postgresql pgbouncer
}

# Chromium and its driver, which tests of the console drive. Fails when they cannot be had.
browser() {
    [ -x /usr/bin/chromium ] && [ -x /usr/bin/chromedriver ] || install chromium chromium-driver
}

# Tools that come compiled in Python packages, pinned by their hashes in `tools.txt`. Fails when they cannot be had.
tools() {
    local to=target/ci-tools
    cmp -s .ci/tools.txt $to/tools.txt && return
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3 python3-venv || return
    rm -rf $to
    python3 -m venv $to \
        && $to/bin/pip install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r .ci/tools.txt \
        && cp .ci/tools.txt $to/
}

# sqlglot and DuckDB in the versions of `requirements.txt`. Fails when they cannot be had.
oracle() { packages target/oracle ml-connector-databricks/tests/oracle/requirements.txt; }

# The vendors' own SDKs for Python. Fails when they cannot be had.
sdk() { packages target/sdk ml-connector-sim/tests/sdk/requirements.txt; }

# FreshBooks' SDK for Node, with what it needs pinned by `package-lock.json`. Fails when it cannot be had.
node_sdk() {
    local to=target/sdk-node wanted=ml-connector-sim/tests/sdk
    cmp -s $wanted/package-lock.json $to/package-lock.json && return
    command -v npm >/dev/null || install nodejs npm || return
    rm -rf $to $to.new
    mkdir -p $to.new
    cp $wanted/package.json $wanted/package-lock.json $to.new/
    npm ci --prefix $to.new --no-audit --no-fund --ignore-scripts --loglevel=error && mv $to.new $to
}

# Python packages of a file of requirements, in a place of their own.
packages() {
    local to=$1 wanted=$2
    cmp -s $wanted $to/requirements.txt && return
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3 python3-venv || return
    rm -rf $to
    python3 -m venv $to \
        && $to/bin/pip install -q --disable-pip-version-check --only-binary :all: -r $wanted \
        && cp $wanted $to/
}
