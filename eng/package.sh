#!/usr/bin/env bash
# Makes what is installed on machines without .NET: netdump-collector-VERSION-linux-x64.tar.gz and netdump-collector_VERSION_amd64.deb.
# Times in them are SOURCE_DATE_EPOCH, or the last commit's; order, owners and modes are fixed.
# Usage: eng/package.sh [--output DIR]      (default: artifacts/packages)
set -euo pipefail

self=package.sh
# shellcheck source=publish.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/publish.sh"
architecture=amd64
output=$root/artifacts/packages

while [ $# -gt 0 ]; do
    case $1 in
    --output) [ $# -ge 2 ] || fail "--output needs a directory" 2; output=$2; shift 2 ;;
    --output=*) output=${1#*=}; shift ;;
    -h | --help) sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) fail "unknown argument '$1'; usage: eng/package.sh [--output DIR]" 2 ;;
    esac
done
need dotnet dpkg-deb flock gzip tar
prepare
mkdir -p "$output"
output=$(readlink -f "$output")
# Debian sorts a tilde before everything: 1.0~rc.1 is older than 1.0.
debian_version=${version//-/\~}

# stage PREFIX PATH: everything below PREFIX, whose place on the machine will be PATH.
stage() {
    local prefix=$1 path=$2 documents=$1/share/doc/$name
    stage_program "$prefix"
    install_file 0644 "$root/docs/man/$name.1" "$prefix/share/man/man1/$name.1"
    gzip -9n "$prefix/share/man/man1/$name.1"
    install_file 0644 "$root/deploy/completion/$name.bash" "$prefix/share/bash-completion/completions/$name"
    install_file 0644 "$root/deploy/systemd/$name.service" "$prefix/lib/systemd/system/$name.service"
    sed -i "s|^ExecStart=/usr/bin/|ExecStart=$path/bin/|" "$prefix/lib/systemd/system/$name.service"
    install_file 0644 "$root/deploy/systemd/10-$name.conf" "$prefix/lib/sysctl.d/10-$name.conf"
    install_file 0644 "$root/README.md" "$documents/README.md"
    # Where README.md and the alerts' links look for them.
    local file
    for file in docs/operations.md docs/runbook.md docs/kubernetes.md deploy/prometheus/alerts.yml deploy/prometheus/recording.yml deploy/grafana/{fleet,collector,storage,runtime}.json; do
        install_file 0644 "$root/$file" "$documents/$file"
    done
}

tarball() {
    local directory=$name-$version-$runtime
    local archive=$directory.tar.gz
    rm -rf "$work/tarball"
    stage "$work/tarball/$directory" /usr/local
    install_file 0644 "$root/deploy/$name.json" "$work/tarball/$directory/share/doc/$name/$name.json"
    install_file 0644 "$root/LICENSE" "$work/tarball/$directory/share/doc/$name/LICENSE"
    archive "$work/tarball" "$directory" | gzip -6n >"$work/$archive"
    mv "$work/$archive" "$output/$archive"
    echo "$output/$archive"
}

debian() {
    local tree=$work/debian package=${name}_${debian_version}_$architecture.deb script
    rm -rf "$tree"
    stage "$tree/usr" /usr
    install_file 0644 "$root/deploy/$name.json" "$tree/etc/$name.json"
    (cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) >"$work/md5sums"
    install_file 0644 "$work/md5sums" "$tree/DEBIAN/md5sums"
    sed -e "s/@VERSION@/$debian_version/" -e "s/@INSTALLED_KIB@/$(du -sk --apparent-size "$tree/usr" | cut -f1)/" "$root/deploy/debian/control.in" >"$work/control"
    install_file 0644 "$work/control" "$tree/DEBIAN/control"
    install_file 0644 "$root/deploy/debian/conffiles" "$tree/DEBIAN/conffiles"
    for script in postinst prerm postrm; do
        install_file 0755 "$root/deploy/debian/$script" "$tree/DEBIAN/$script"
    done
    # The strongest compression would take longer than everything else.
    dpkg-deb --root-owner-group -Zxz -z1 --build "$tree" "$work/$package" >/dev/null
    mv "$work/$package" "$output/$package"
    echo "$output/$package"
}

publish
tarball
debian
rm -rf "$work/tarball" "$work/debian" "$work/program"
