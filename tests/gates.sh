# The gates of ./tests/run, sourced by it. A gate succeeds when its function does; each runs under `set -euo pipefail`.

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# What the tests need. Debian starts what it installs: a policy says no meanwhile, and is taken away again.
gate_prepare() {
    local missing=() package
    for package in "${PACKAGES[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    if [ ${#missing[@]} != 0 ]; then install_packages "${missing[@]}"; fi
    prepare_python
    cargo fetch --locked
}

install_packages() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then as_root mv "$policy" "$policy.halfpenny"; fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    trap 'as_root rm -f /usr/sbin/policy-rc.d
        if [ -e /usr/sbin/policy-rc.d.halfpenny ]; then as_root mv /usr/sbin/policy-rc.d.halfpenny /usr/sbin/policy-rc.d; fi' EXIT
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    # Postfix asks what kind of mail server this machine shall be: none.
    if command -v debconf-set-selections >/dev/null; then
        echo 'postfix postfix/main_mailer_type select No configuration' | as_root debconf-set-selections
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# cargo-lambda, SAM, cfn-lint and schemathesis at fixed versions, in a venv that is made anew when the list changes.
prepare_python() {
    if ! cmp -s tests/requirements.txt "$VENV/requirements.txt"; then
        rm -rf "$VENV"
        python3 -m venv "$VENV"
        "$VENV/bin/pip" install -q --disable-pip-version-check --no-deps -r tests/requirements.txt
        cp tests/requirements.txt "$VENV/requirements.txt"
    fi
}

gate_format() { cargo fmt --all --check; }

gate_lint() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

gate_doc() { RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked; }

# With aws-lc-rs the first TLS handshake of a cold function costs 30 ms of CPU: only ring may be in the tree.
gate_crypto() {
    local tree
    tree=$(cargo tree --workspace --locked --edges normal,build --prefix none --format '{p}')
    grep -q '^ring v' <<<"$tree"
    if grep '^aws-lc' <<<"$tree"; then return 1; fi
}

gate_unit() { cargo test --workspace --lib --bins --locked --no-fail-fast; }

# The black box tests start the built binaries, so these have to be built first.
gate_blackbox() {
    cargo build --workspace --bins --locked
    cargo test --workspace --locked --test blackbox --no-fail-fast
}

gate_template() {
    "$VENV/bin/sam" validate --lint --template-file infra/template.yaml --region us-east-1
    "$VENV/bin/cfn-lint" --regions us-east-1 --template infra/template.yaml
}
