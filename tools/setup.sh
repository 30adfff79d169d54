#!/usr/bin/env bash
# Makes a virtual environment with autotl and its development tools in it.
#
#   tools/setup.sh FOLDER
#
# Safe to run twice: a whole environment is brought up to date, a half-made one is made again.
# PYTHON names the interpreter to use; otherwise the newest python3 on the path that is recent enough.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:?usage: tools/setup.sh FOLDER}
need_mb=8000 # torch for Linux brings its GPU libraries, whether there is a GPU or not

stop() {
    echo "autotl setup: $1" >&2
    exit 1
}

recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

python=""
for each in ${PYTHON:-python3.13 python3.12 python3.11 python3.14 python3 python}; do
    if command -v "$each" >/dev/null && recent "$each"; then
        python=$each
        break
    fi
done
if [ -z "$python" ]; then
    found=$("${PYTHON:-python3}" --version 2>/dev/null || echo "no ${PYTHON:-python3} at all")
    stop "Python 3.11 or newer is needed, found $found; install one, or name it: make PYTHON=/path/to/python3"
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    stop "$python lacks the venv module; on Debian and Ubuntu: apt install python3-venv"

if [ ! -x "$venv/bin/python" ] || ! recent "$venv/bin/python" || [ ! -f "$venv/.complete" ]; then
    mkdir -p "$(dirname "$venv")"
    free_mb=$(df -Pm "$(dirname "$venv")" | awk 'NR == 2 {print $4}')
    [ "$free_mb" -ge "$need_mb" ] ||
        stop "$free_mb MB are free for $venv, about $need_mb MB are needed; free some, or: make VENV=/other/disk/venv"
    if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
        stop "$venv exists and is no virtual environment; move it away, or: make VENV=/another/folder"
    fi
    "$python" -m venv --clear "$venv"
fi

log=$(mktemp) || stop "no temporary file can be made; free some space in ${TMPDIR:-/tmp}, or: TMPDIR=/other/disk make"
trap 'rm -f "$log"' EXIT
echo "installing autotl and its dependencies into $venv (a few minutes the first time) ..." >&2
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2 \
    --editable "$here[dev]" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    if grep -qi "no space left" "$log"; then
        stop "the disk is full; about $need_mb MB are needed for $venv"
    fi
    if grep -qiE "connection|temporary failure|name resolution|timed out|could not find a version" "$log"; then
        stop "pip could not reach a package index that has what autotl needs; check the network, or pip's settings"
    fi
    stop "pip failed, see above"
fi
touch "$venv/.complete"
