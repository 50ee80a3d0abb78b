#!/bin/sh
# Install the browser of the contract tests (Chromium) where a package manager has it.  Safe to repeat.
set -eu

for name in "${RPRM_BROWSER:-}" chromium chromium-browser google-chrome google-chrome-stable chrome; do
    if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1; then
        echo "Browser: $(command -v "$name")"
        exit 0
    fi
done
if [ "$(id -u)" -ne 0 ]; then
    echo "Browser: there is none, and installing one needs root." >&2
    echo "Install Chromium or Chrome, or name one in RPRM_BROWSER; else its tests are skipped." >&2
    exit 1
fi
if command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q && apt-get install -q -y --no-install-recommends chromium
elif command -v dnf >/dev/null 2>&1; then
    dnf install -y -q chromium
elif command -v apk >/dev/null 2>&1; then
    apk add -q chromium
else
    echo "Browser: no package manager that is known here; install Chromium by hand." >&2
    exit 1
fi
echo "Browser: installed"
