#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# consumer.sh BUILD SOURCE: installs into a folder of its own and builds programs against
# what is there with pkg-config alone: shared and static, C11 and C++17; then each public
# header by itself.
set -eu
build=$1
source=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cc=${CC:-cc}
cxx=${CXX:-c++}
command -v pkg-config >/dev/null || { echo 'SKIP: pkg-config is not installed'; exit 77; }

meson install -C "$build" --no-rebuild --destdir "$tmp" >"$tmp/install.log" 2>&1 ||
    { cat "$tmp/install.log"; exit 1; }
pc=$(find "$tmp" -name libcelery-c.pc)
[ -n "$pc" ] || { echo 'libcelery-c.pc is not installed'; exit 1; }
export PKG_CONFIG_SYSROOT_DIR=$tmp
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
libdir=$(dirname "$(dirname "$pc")")
if nm -D "$libdir/libcelery-c.so" | grep -qE '__(asan|tsan)_init'; then
    echo 'SKIP: a sanitizing library asks its consumers for the sanitizer'
    exit 77
fi
passed=0
failed=0
skipped=0

ok() { passed=$((passed + 1)); echo "ok: $1"; }
not_ok() { failed=$((failed + 1)); echo "NOT OK: $1"; cat "$tmp/log"; }
# check NAME COMMAND...
check() {
    name=$1
    shift
    if "$@" >"$tmp/log" 2>&1; then ok "$name"; else not_ok "$name"; fi
}

cat >"$tmp/consumer.c" <<'END'
#include <celery.h>
#include <stdio.h>
#include <string.h>

static celery_outcome add(celery_task *task)
{
    int64_t x, y;

    if (celery_task_args(task, "x:I y:I", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_int(task, x + y);
}

int main(void)
{
    celery_app *app = celery_app_new("consumer");
    celery_error err;

    memset(&err, 0, sizeof(err));
    if (!app || celery_app_task(app, "consumer.add", add) != CELERY_OK ||
        celery_app_set(app, "task_acks_late", "true", &err) != CELERY_OK ||
        celery_app_set(app, "task_ack_late", "true", &err) != CELERY_ECONFIG) {
        return 1;
    }
    printf("%s: %s\n", celery_version(), err.message);
    celery_app_free(app);
    return 0;
}
END
cp "$tmp/consumer.c" "$tmp/consumer.cc"

# pkg-config puts the sysroot before system folders too; those are given without it.
flags() { pkg-config "$@" libcelery-c | sed "s,-I$tmp\(/usr/include[^ ]*\) ,-I$tmp\1 ,g"; }
# shellcheck disable=SC2046
{
    check 'C11, shared' $cc -std=c11 -pedantic-errors -Wall -Wextra -Werror \
        "$tmp/consumer.c" -o "$tmp/shared" $(flags --cflags --libs) -Wl,-rpath,"$libdir"
    check 'C11, shared, runs' "$tmp/shared"
    # Only our library statically; the system's libraries stay shared.
    check 'C11, static' $cc -std=c11 -pedantic-errors -Wall -Wextra -Werror \
        "$tmp/consumer.c" -o "$tmp/static" $(flags --cflags) "$libdir/libcelery-c.a" \
        $(flags --static --libs | sed 's/-lcelery-c//')
    check 'C11, static, runs' "$tmp/static"
    if ldd "$tmp/static" 2>/dev/null | grep -q libcelery-c; then
        echo 'the static consumer needs the shared library' >"$tmp/log"
        not_ok 'C11, static, needs no libcelery-c.so'
    else
        ok 'C11, static, needs no libcelery-c.so'
    fi
    if command -v "$cxx" >/dev/null; then
        check 'C++17, shared' $cxx -std=c++17 -pedantic-errors -Wall -Wextra -Werror \
            "$tmp/consumer.cc" -o "$tmp/cxx" $(flags --cflags --libs) -Wl,-rpath,"$libdir"
        check 'C++17, shared, runs' "$tmp/cxx"
        check 'C++17, static' $cxx -std=c++17 -pedantic-errors -Wall -Wextra -Werror \
            "$tmp/consumer.cc" -o "$tmp/cxxs" $(flags --cflags) "$libdir/libcelery-c.a" \
            $(flags --static --libs | sed 's/-lcelery-c//')
        check 'C++17, static, runs' "$tmp/cxxs"
    else
        skipped=$((skipped + 1))
        echo 'skipped: no C++ compiler'
    fi
}

include=$(find "$tmp" -name celery.h -printf '%h\n' | head -n 1)
for header in celery.h celery/app.h celery/canvas.h celery/client.h celery/control.h \
    celery/dead.h celery/error.h celery/events.h celery/log.h celery/queue.h celery/state.h \
    celery/task.h celery/value.h celery/worker.h; do
    printf '#include <%s>\n' "$header" >"$tmp/one.c"
    cp "$tmp/one.c" "$tmp/one.cc"
    # shellcheck disable=SC2046
    check "$header alone, C11" $cc -std=c11 -pedantic-errors -Wall -Wextra -Werror \
        -fsyntax-only -I"$include" $(flags --cflags) "$tmp/one.c"
    # shellcheck disable=SC2046
    ! command -v "$cxx" >/dev/null ||
        check "$header alone, C++17" $cxx -std=c++17 -pedantic-errors -Wall -Wextra -Werror \
            -fsyntax-only -I"$include" $(flags --cflags) "$tmp/one.cc"
done

for file in bin/celery-c include/celery.h; do
    if [ -n "$(find "$tmp" -path "*/$file")" ]; then ok "installed: $file"; else
        echo "$file is missing" >"$tmp/log"; not_ok "installed: $file"; fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
