#!/bin/sh
# Build the S3 server of the contract tests (versitygw, Apache-2.0) into .cache/bin.  Safe to repeat.
set -eu

version=v1.8.0
root=$(cd "$(dirname "$0")/../.." && pwd)
bin="$root/.cache/bin"
stamp="$bin/versitygw.$version"

if [ -x "$bin/versitygw" ] && [ -e "$stamp" ]; then
    echo "S3 server: versitygw $version is in $bin"
    exit 0
fi
if ! command -v go >/dev/null 2>&1; then
    echo "S3 server: not built, because there is no Go compiler." >&2
    echo "Install Go 1.24 or newer, or put a versitygw binary in PATH or RPRM_S3_SERVER." >&2
    exit 1
fi
mkdir -p "$bin"
if ! GOBIN="$bin" go install "github.com/versity/versitygw/cmd/versitygw@$version"; then
    echo "S3 server: 'go install' failed; the S3 half of the contract tests will be skipped." >&2
    echo "See the lines above: usually the Go module proxy (GOPROXY) cannot be reached." >&2
    exit 1
fi
touch "$stamp"
echo "S3 server: built versitygw $version in $bin"
