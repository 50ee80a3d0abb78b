#!/bin/sh
# Make .venv hold what a lock says, and this checkout, editable: locks/install.sh run|dev
# Make .venv-serve hold vLLM alone: locks/install.sh serve|serve-cpu
#
# Safe to repeat: what is there already is kept.  RPRM_PYTHON names the interpreter to use; without it
# the first Python >= 3.11 in PATH is taken.
set -eu

lock=${1:?"usage: locks/install.sh run|dev|serve|serve-cpu"}
case $lock in
    serve*) venv=.venv-serve ;;
    *) venv=.venv ;;
esac
cd "$(dirname "$0")/.."

stop() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for name in ${RPRM_PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || echo "no python3")
    stop "this project needs Python 3.11 or newer; found: ${RPRM_PYTHON:-$found}." \
        "Install one (such as: apt install python3.11 python3.11-venv, or brew install python)," \
        "or name one: make setup RPRM_PYTHON=/path/to/python3.12"
}

find_uv() {
    if command -v uv; then
        return
    fi
    if [ ! -x .venv-uv/bin/uv ]; then
        echo "setup: no uv in PATH; installing a pinned one into .venv-uv" >&2
        rm -rf .venv-uv
        if ! "$python" -m venv .venv-uv >&2; then
            rm -rf .venv-uv
            stop "$python cannot make virtual environments." \
                "Install its venv module (Debian and Ubuntu: apt install python3-venv) or uv."
        fi
        .venv-uv/bin/python -m pip install --quiet --require-hashes -r locks/tools.txt >&2
    fi
    echo .venv-uv/bin/uv
}

python=$(find_python)
uv=$(find_uv)
if ! new_enough "$venv/bin/python"; then
    "$uv" venv --quiet --clear --python "$python" "$venv"
fi
echo "setup: installing locks/$lock.txt into $venv (the first time this downloads some gigabytes)"
install() {
    "$uv" pip install --python "$venv/bin/python" "$@"
}
if [ "$venv" = .venv-serve ]; then
    install --require-hashes --no-deps -r "locks/$lock.txt"  # the lock is whole, and overrides some
else
    install --require-hashes -r "locks/$lock.txt"
    install --quiet --no-deps --build-constraints locks/tools.txt --editable .
fi
