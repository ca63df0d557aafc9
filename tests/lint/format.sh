#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# format.sh ROOT: every C file is as clang-format 14 writes it (./run format does it).
set -eu
cd "$1"
for tool in clang-format-14 clang-format; do
    if command -v $tool >/dev/null && $tool --version | grep -q 'version 14\.'; then
        # shellcheck disable=SC2046
        exec $tool --dry-run --Werror \
            $(find libcelery-c examples tests bench -name '*.[ch]' -not -path '*/build*')
    fi
done
echo 'SKIP: clang-format 14 is not installed'
exit 77
