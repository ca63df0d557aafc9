#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# image.sh OUT IMAGE: what the runtime image has.  OUT is a folder that `meson install` wrote to
# with DESTDIR; IMAGE becomes a root of its own: the worker under its two names, the application
# and the modules of brokers and results, each shared library they need, and the files without
# which names, certificates and users mean nothing.
set -eu
out=$1
image=$2
triplet=$(gcc -print-multiarch)

mkdir -p "$image/usr/bin" "$image/usr/lib/celery-c" "$image/usr/lib/$triplet" \
    "$image/etc/ssl/certs" "$image/home/worker" "$image/tmp"
# One name for each library folder, as in Debian: the interpreter of programs is below /lib.
ln -s usr/lib "$image/lib"
ln -s usr/bin "$image/bin"
if [ -e /lib64 ]; then
    mkdir -p "$image/usr/lib64"
    ln -s usr/lib64 "$image/lib64"
fi

cp "$out/usr/bin/celery-c" "$image/usr/bin/"
ln -s celery-c "$image/usr/bin/celery"
cp -P "$out"/usr/lib/libcelery-c.so.* "$image/usr/lib/"
cp "$out"/usr/lib/celery-c/*.so "$image/usr/lib/celery-c/"

# The shared libraries: what the loader would load, under the names it looks for.
for object in "$image/usr/bin/celery-c" "$image"/usr/lib/celery-c/*.so; do
    LD_LIBRARY_PATH=$image/usr/lib ldd "$object"
done | sed -n 's,.*[[:space:]]\(/[^ ]*\) (0x.*,\1,p' | sort -u | while read -r library; do
    case $library in
    "$image"/*) continue ;;
    /lib64/*) target=$image/usr/lib64 ;;
    *) target=$image/usr/lib/$triplet ;;
    esac
    # Two modules may name one library by two paths; ld-linux is its own file on some machines.
    cp -L -n "$library" "$target/"
done
ldd "$image/usr/bin/celery-c" | sed -n 's,^[[:space:]]*\(/lib/ld-[^ ]*\) .*,\1,p' |
    while read -r loader; do cp -L -n "$loader" "$image/usr/lib/"; done

cp -L /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
printf 'root:x:0:0:root:/root:/\nworker:x:10001:10001:worker:/home/worker:/\n' \
    >"$image/etc/passwd"
printf 'root:x:0:\nworker:x:10001:\n' >"$image/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$image/etc/nsswitch.conf"
chown -R 10001:10001 "$image/home/worker"
chmod 1777 "$image/tmp"
