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

# All but the black box, shared's own dialogues over real sockets included.
gate_unit() {
    cargo test --workspace --lib --bins --test connect --test receive --locked --no-fail-fast
    cargo test --workspace --doc --locked --no-fail-fast
}

# The black box tests start the built binaries, so these have to be built first.
gate_blackbox() {
    cargo build --workspace --bins --locked
    cargo test --workspace --locked --test blackbox --no-fail-fast
    # What a function survives here may be lost on AWS: no policy of the template may have been missing anywhere.
    if grep -rh --include=terminal.log 'refused: no policy' "${TMPDIR:-/tmp}"/hp-*/; then return 1; fi
}

gate_template() {
    "$VENV/bin/sam" validate --lint --template-file infra/template.yaml --region us-east-1
    "$VENV/bin/cfn-lint" --regions us-east-1 --template infra/template.yaml
}

# Starts the service on ports and a directory of its own, as `cargo run` does it; it ends with the gate. Sets URL, TOKEN
# and DATA. Words are further variables.
start_service() {
    DATA=$(mktemp -d /tmp/hp-gate-XXXXXX)
    # The shell's own job list is not for these: each is ended by its number.
    env HALFPENNY_PORT=0 HALFPENNY_DATA="$DATA" HALFPENNY_TOKEN=local-token "$@" cargo run --locked >"$DATA/banner" 2>"$DATA/output" &
    SERVICE=$!
    trap 'end_service' EXIT
    wait_for 300 "the service is ready" grep -q '^ready ' "$DATA/banner" || { tail -20 "$DATA/output"; return 1; }
    URL=$(sed -n 's/^ready //p' "$DATA/banner")
    TOKEN=$(sed -n 's/^token //p' "$DATA/banner")
}

# What it leaves behind is of use only where something failed.
end_service() {
    local code=$?
    kill "$SERVICE" ${WATCH:+"$WATCH"} 2>/dev/null || true
    wait "$SERVICE" 2>/dev/null || true
    [ $code != 0 ] || rm -rf "$DATA"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        if [ $SECONDS -ge $deadline ]; then
            echo "waited in vain: $what" >&2
            return 1
        fi
        sleep 0.2
    done
}

# The document is asked with all that it allows and much that it does not: no 5xx, and every answer as described.
# Once with any path, once with that of an account that exists; there nobody waits for mail, which would take 25 s a case.
gate_openapi() {
    start_service HALFPENNY_PARAMETERS="ProbeSeconds=2 ConnectSeconds=2 ReplySeconds=2"
    create_demo
    generate_requests
    generate_requests --config-file "$PWD/tests/schemathesis.toml" -- --exclude-operation-id putAccount --exclude-operation-id deleteAccount --exclude-operation-id awaitMessage
}

# generate_requests [OPTIONS OF st] [-- OPTIONS OF run]
generate_requests() (
    local global=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do global+=("$1") && shift; done
    shift || true
    # It leaves its notes where it runs.
    cd "$OUT"
    "$VENV/bin/schemathesis" ${global[@]+"${global[@]}"} run "$URL/openapi.json" --header "Authorization: Bearer $TOKEN" \
        --seed 4711 --workers 2 --max-time 60 --phases examples,coverage,fuzzing --max-redirects 0 --request-timeout 40 \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
        --continue-on-failure --warnings off "$@"
)

# The sample events through cargo-lambda: its own runner against the service's AWS, and the service's Invoke.
gate_lambda() {
    start_service HALFPENNY_PARAMETERS='TickRate="rate(1 hour)"'
    create_demo
    PATH=$VENV/bin:$PATH
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cargo lambda watch --ignore-changes --env-file "$DATA/env" --invoke-address 127.0.0.1 --invoke-port "$port" >"$DATA/watch" 2>&1 &
    WATCH=$!
    wait_for 60 "cargo lambda watch listens" curl -s -o "$DATA/null" "http://127.0.0.1:$port/"
    local runner
    for runner in "$port" "${URL##*:}"; do
        invoke "$runner" send '.statusCode == 200'
        invoke "$runner" pull '.statusCode == 200'
        invoke "$runner" schedule '.mailboxes == 0'
    done
}

# invoke PORT FUNCTION CHECK: by its sample event; the exit code and the answer have to be right.
invoke() {
    local answer
    answer=$("$VENV/bin/cargo-lambda" lambda invoke --invoke-address 127.0.0.1 --invoke-port "$1" "$2" --data-file "infra/events/$2.json")
    echo "$2 on port $1: $answer"
    python3 tests/check.py "$3" <<<"$answer"
}

# The account that the sample events name, at the sandbox.
create_demo() {
    # shellcheck disable=SC1091
    . "$DATA/env"
    curl -sS --fail-with-body -X PUT -H "Authorization: Bearer $TOKEN" "$URL/v1/accounts/demo" -d '{
        "from": "ada@example.test",
        "smtp": {"host": "localhost", "port": '"$HALFPENNY_SANDBOX_SUBMISSION"', "security": "starttls",
                 "auth": {"type": "password", "username": "ada@example.test", "password": "halfpenny"}},
        "receive": {"protocol": "imap", "host": "localhost", "port": '"$HALFPENNY_SANDBOX_IMAPS"', "security": "tls"}}'
    echo
}

# What a newcomer does: the block that the service prints, pasted whole; and README's own, with the sandbox in place of
# its example.com.
gate_newcomer() {
    start_service
    sed '1,/^Mailboxes: /d' "$DATA/banner" >"$DATA/block.sh"
    grep -q curl "$DATA/block.sh"
    bash "$DATA/block.sh" | tee "$DATA/pasted"
    tail -1 "$DATA/pasted" | grep -q '^the attachment is byte-identical: '

    # shellcheck disable=SC1091
    . "$DATA/env"
    mkdir "$DATA/home" && ln -s "$DATA" "$DATA/home/.halfpenny"
    awk '/^```sh$/ {block = ""; inside = 1; next} /^```$/ {if (inside && block ~ /hp -X PUT/) printf "%s", block; inside = 0} inside {block = block $0 "\n"}' README.md |
        sed -e 's/smtp\.example\.com", "port": 587/localhost", "port": '"$HALFPENNY_SANDBOX_SUBMISSION"'/' \
            -e 's/imap\.example\.com", "port": 993/localhost", "port": '"$HALFPENNY_SANDBOX_IMAPS"'/' \
            -e 's/support@example\.com/ada@example.test/g' -e 's/"password": "…"/"password": "halfpenny"/' >"$DATA/readme.sh"
    grep -q curl "$DATA/readme.sh"
    (cd "$DATA/home" && bash "$DATA/readme.sh") | tee "$DATA/read"
    [ "$(wc -l <"$DATA/read")" = 3 ]
    sed -n 1p "$DATA/read" | python3 tests/check.py '.status.state == "ok"'
    sed -n 2p "$DATA/read" | python3 tests/check.py '.state == "sent"'
    sed -n 3p "$DATA/read" | python3 tests/check.py '.nextCursor == null'
}
