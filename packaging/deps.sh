#!/bin/sh
# deps.sh build|test: install the Debian packages that are missing. What is
# there already costs nothing but a look. The names are good on Debian 12 and
# 13: where a name carries a version (libpg-query's run-time library, clang's
# run-time libraries) the -dev or default package stands for it.
set -eu
build="gcc make pkg-config libc6-dev libmicrohttpd-dev libuv1-dev liblmdb-dev libsqlite3-dev libzstd-dev zlib1g-dev
 libpg-query-dev libsodium-dev libgnutls28-dev libcurl4-gnutls-dev libpcre2-dev gzip tzdata"
test="libcmocka-dev mosquitto mosquitto-clients python3-paho-mqtt clang clang-tidy libclang-rt-dev chromium ca-certificates curl openssl procps strace zstd"
case ${1:-build} in
build) want=$build ;;
test) want="$build $test"
	# npm's own package is large: only where no other install has it.
	command -v node > /dev/null || want="$want nodejs"
	command -v npm > /dev/null || want="$want npm" ;;
*) echo "usage: deps.sh build|test" >&2; exit 2 ;;
esac
if ! command -v apt-get > /dev/null; then
	echo "deps.sh: no apt-get here; this is needed, by Debian's names:" $want >&2
	exit 0
fi
have=$(dpkg-query -W -f '${Package} ${Status}\n' 2>/dev/null | sed -n 's/ install ok installed$//p')
missing=
for p in $want; do
	echo "$have" | grep -qxF "$p" || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
echo "installing:$missing" >&2
if [ "$(id -u)" -eq 0 ]; then sudo=; elif command -v sudo > /dev/null; then sudo=sudo; else
	echo "not root and no sudo: run as root: apt-get install -y$missing" >&2; exit 1
fi
$sudo apt-get -o Acquire::Retries=3 update -q > /dev/null
$sudo env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 install -y -q --no-install-recommends $missing > /dev/null
