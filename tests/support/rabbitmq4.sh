#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# rabbitmq4.sh FOLDER: RabbitMQ 4 with its own Erlang and libc, from Debian 13, unpacked into
# FOLDER and installed nowhere.  apt checks the signatures.  Without it (no network, another
# architecture) a line says why and the exit code is 77.
set -eu
case $1 in /*) to=$1 ;; *) to=$(pwd)/$1 ;; esac
mkdir -p "$to"
[ ! -e "$to/done" ] || exit 0
exec 9>"$to/lock"
flock 9
[ ! -e "$to/done" ] || exit 0
no() {
    echo "SKIP: RabbitMQ 4 cannot be had: $1"
    exit 77
}
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || no "not Debian on amd64"

apt=$to/apt
root=$to/root
rm -rf "$apt" "$root"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/etc" "$apt/debs" "$root"
: >"$apt/status"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] http://deb.debian.org/debian trixie main" >"$apt/etc/sources"
cat >"$apt/conf" <<END
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/etc/sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root";
APT::Default-Release "";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
END
export APT_CONFIG="$apt/conf"
timeout 180 apt-get update -q >"$to/log" 2>&1 || no "$(tail -n 1 "$to/log")"
packages='rabbitmq-server libc6 libgcc-s1 libstdc++6 libsystemd0 libcap2 libtinfo6 zlib1g
    libssl3t64 libzstd1 erlang-base'
for part in asn1 crypto eldap ftp inets mnesia os-mon parsetools public-key runtime-tools \
    snmp ssl syntax-tools tftp tools xmerl; do
    packages="$packages erlang-$part"
done
# shellcheck disable=SC2086
(cd "$apt/debs" && timeout 400 apt-get download -q $packages) >>"$to/log" 2>&1 ||
    no "$(tail -n 1 "$to/log")"
for deb in "$apt"/debs/*.deb; do
    dpkg-deb -x "$deb" "$root"
done

# The programs need the newer libc: each becomes a line that starts it with its own loader.
lib=$root/usr/lib/x86_64-linux-gnu
loader=$lib/ld-linux-x86-64.so.2
erlang=$root/usr/lib/erlang
bin=$(echo "$erlang"/erts-*/bin)
wrap() {
    mv "$1" "$1.real"
    cat >"$1" <<END
#!/bin/sh
exec $loader --library-path $lib $1.real "\$@"
END
    chmod 755 "$1"
}
for program in beam.smp erl_child_setup erlexec inet_gethost erl_call; do
    [ ! -f "$bin/$program" ] || wrap "$bin/$program"
done
for program in "$erlang"/lib/os_mon-*/priv/bin/*; do
    wrap "$program"
done
mkdir -p "$to/bin"
call=$bin/erl_call
[ -f "$call" ] || call=$(find "$root" -type f -name erl_call | head -n 1)
[ -e "$call.real" ] || wrap "$call"
ln -sf "$call" "$to/bin/erl_call"
cat >"$to/bin/erl" <<END
#!/bin/sh
export ROOTDIR=$erlang BINDIR=$bin EMU=beam PROGNAME=erl
exec $bin/erlexec "\$@"
END
chmod 755 "$to/bin/erl"
said=$(HOME=$to "$to/bin/erl" -noshell -eval 'ok = crypto:start(), io:format("~s",
    [erlang:system_info(otp_release)]), halt().' 2>&1) || no "its Erlang does not run: $said"
rm -rf "$apt"
echo "Erlang $said" >"$to/done"
