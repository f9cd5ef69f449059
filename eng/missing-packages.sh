#!/usr/bin/env bash
# Names the Debian packages that the tests need and that are not here, one a line.
set -uo pipefail

# missing COMMAND PACKAGE...: the packages, unless the command is there.
missing() {
    command -v "$1" >/dev/null || printf '%s\n' "${@:2}"
}

missing gcc gcc libc6-dev
pkg-config --exists fuse3 2>/dev/null || printf '%s\n' fuse3 libfuse3-dev pkg-config
missing promtool prometheus
missing chromium chromium
missing radosgw ceph-mon ceph-osd radosgw
[ -x /usr/lib/postgresql/15/bin/postgres ] || echo postgresql
# What the image is made of.
for package in libssl3 libzstd1 ca-certificates iproute2; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q ' installed$' || echo "$package"
done
