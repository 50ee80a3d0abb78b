#!/bin/sh
# Write the locks from pyproject.toml and tools.in.  Arguments go to uv, such as --upgrade.
#
# dev.txt comes first and binds run.txt, so that development tests the versions that users get.
# serve.txt and serve-cpu.txt are environments of their own, with vLLM and nothing of ours.
set -eu

cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .venv-uv/bin/uv)

compile() {
    UV_CUSTOM_COMPILE_COMMAND="make locks" "$uv" pip compile --quiet \
        --universal --python-version 3.11 --generate-hashes --no-annotate \
        --no-emit-index-url --no-emit-find-links "$@"
}

compile locks/tools.in --output-file locks/tools.txt "$@"
compile pyproject.toml --extra train --extra dev --output-file locks/dev.txt "$@"
compile pyproject.toml --extra train --constraints locks/dev.txt --output-file locks/run.txt "$@"
compile locks/serve.in --output-file locks/serve.txt "$@"
compile locks/serve-cpu.in --override locks/serve-cpu-overrides.txt \
    --output-file locks/serve-cpu.txt "$@"
