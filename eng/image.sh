#!/usr/bin/env bash
# Makes the container image without a container engine: netdump-collector-VERSION-amd64.oci.tar (an OCI image layout) and, beside it, its root file system as a directory.
# Two layers: what the program needs of this machine's Debian packages, as dpkg installed them, and the program. Times are SOURCE_DATE_EPOCH, or the last commit's; order, owners and modes are fixed.
# Usage: eng/image.sh [--output DIR]      (default: artifacts/image)
#        eng/image.sh --program DIR       only the program's files, for a base image that has the rest (deploy/docker/Dockerfile)
set -euo pipefail

self=image.sh
# shellcheck source=publish.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/publish.sh"
output=$root/artifacts/image
program_only=
user=65532
# What .NET links and loads: libssl for HTTPS, S3 and PostgreSQL, libzstd for compressed dumps. gcc-12-base has the licence of libgcc and libstdc++.
base_packages=(libc6 libgcc-s1 libstdc++6 gcc-12-base libssl3 libzstd1 ca-certificates)

while [ $# -gt 0 ]; do
    case $1 in
    --output) [ $# -ge 2 ] || fail "--output needs a directory" 2; output=$2; shift 2 ;;
    --output=*) output=${1#*=}; shift ;;
    --program) [ $# -ge 2 ] || fail "--program needs a directory" 2; program_only=$2; shift 2 ;;
    --program=*) program_only=${1#*=}; shift ;;
    -h | --help) sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) fail "unknown argument '$1'; usage: eng/image.sh [--output DIR] [--program DIR]" 2 ;;
    esac
done
need dotnet flock gzip tar sha256sum
image=$work/image

# Files of a package that a program needs at run time, and its licence.
files_of() {
    dpkg-query -L "$1" | grep -E '^(/usr)?/lib(64)?/([^/]+/)?[^/]+\.so(\.[^/]*)?$|^/usr/lib/[^/]+/ossl-modules/|^/usr/share/doc/[^/]+/copyright$' || true
}

# As on any Debian of today /lib is /usr/lib, wherever a package says that its files are.
stage_base() {
    local base=$1 package file target
    mkdir -p "$base"/{dev,etc/ssl/certs,proc,sys,tmp,usr/bin,usr/lib64,usr/lib,var/lib/dpkg/status.d,var/lib/netdump}
    ln -s usr/bin "$base/bin"
    ln -s usr/lib "$base/lib"
    ln -s usr/lib64 "$base/lib64"
    chmod 1777 "$base/tmp"
    for package in "${base_packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || fail "the Debian package $package is needed: apt-get install $package" 3
        file=$(dpkg --verify "$package" | grep -E '(/lib|/usr/lib|\.crt$)' || true)
        [ -z "$file" ] || fail "files of $package differ from what it brought: $file; apt-get install --reinstall $package" 3
        while read -r file; do
            target=${file#/usr}
            target=$base/usr$target
            mkdir -p "$(dirname "$target")"
            cp -d --no-preserve=ownership,timestamps "$file" "$target"
        done < <(files_of "$package")
        # Where tools that look for known weaknesses look in an image without dpkg.
        dpkg-query -s "$package" >"$base/var/lib/dpkg/status.d/$package"
    done
    # What Mozilla's list has, not what somebody added on this machine.
    dpkg-query -L ca-certificates | grep -E '^/usr/share/ca-certificates/.*\.crt$' | sort | while read -r file; do
        cat "$file"
    done >"$base/etc/ssl/certs/ca-certificates.crt"
    [ -s "$base/etc/ssl/certs/ca-certificates.crt" ] || fail "ca-certificates has no certificates"
    install_file 0644 /usr/lib/os-release "$base/usr/lib/os-release"
    ln -s ../usr/lib/os-release "$base/etc/os-release"
    printf 'root:x:0:0:root:/nonexistent:/nonexistent\nnetdump:x:%d:%d:netdump-collector:/nonexistent:/nonexistent\n' $user $user >"$base/etc/passwd"
    printf 'root:x:0:\nnetdump:x:%d:\n' $user >"$base/etc/group"
    printf 'hosts: files dns\n' >"$base/etc/nsswitch.conf"
    find "$base" -type f -exec chmod a+r,go-w {} +
}

digest_of() {
    sha256sum "$1" | cut -d' ' -f1
}

# layer TAR: its digests are added to what the configuration and the manifest list.
diff_ids=
layers=
layer() {
    diff_ids+="${diff_ids:+,}\"sha256:$(digest_of "$1")\""
    gzip -6n "$1"
    layers+="${layers:+,}$(blob "$1.gz" application/vnd.oci.image.layer.v1.tar+gzip)"
}

# blob FILE TYPE: moves it to where its digest says, and tells its descriptor.
blob() {
    local digest size
    digest=$(digest_of "$1")
    size=$(stat -c %s "$1")
    mv "$1" "$image/layout/blobs/sha256/$digest"
    printf '{"mediaType":"%s","digest":"sha256:%s","size":%d}' "$2" "$digest" "$size"
}

write_configuration() {
    local created=$1 revision
    revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || true)
    cat <<JSON
{
  "created": "$created",
  "architecture": "amd64",
  "os": "linux",
  "config": {
    "User": "$user:$user",
    "ExposedPorts": { "20023/udp": {}, "9464/tcp": {} },
    "Env": ["PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "DOTNET_EnableDiagnostics=0"],
    "Entrypoint": ["/usr/bin/$name"],
    "Cmd": ["serve", "--directory", "/var/lib/netdump"],
    "WorkingDir": "/",
    "StopSignal": "SIGTERM",
    "Labels": {
      "org.opencontainers.image.title": "$name",
      "org.opencontainers.image.description": "Collector of FreeBSD netdump(4) kernel crash dumps",
      "org.opencontainers.image.licenses": "BSD-2-Clause",
      "org.opencontainers.image.created": "$created",
      "org.opencontainers.image.version": "$version",
      "org.opencontainers.image.revision": "$revision"
    }
  },
  "rootfs": { "type": "layers", "diff_ids": [$diff_ids] },
  "history": [{ "created": "$created", "created_by": "eng/image.sh: Debian packages" }, { "created": "$created", "created_by": "eng/image.sh: $name" }]
}
JSON
}

write_layout() {
    local created manifest configuration
    created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
    write_configuration "$created" >"$image/configuration"
    configuration=$(blob "$image/configuration" application/vnd.oci.image.config.v1+json)
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' "$configuration" "$layers" >"$image/manifest"
    manifest=$(blob "$image/manifest" application/vnd.oci.image.manifest.v1+json)
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,"platform":{"architecture":"amd64","os":"linux"},"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
        "${manifest%\}}" "$version" >"$image/layout/index.json"
    printf '{"imageLayoutVersion":"1.0.0"}' >"$image/layout/oci-layout"
}

prepare
rm -rf "$image"
publish
if [ -n "$program_only" ]; then
    stage_program "$program_only/usr"
    rm -rf "$work/program"
    exit
fi

need dpkg dpkg-query
mkdir -p "$image/layout/blobs/sha256" "$output"
output=$(readlink -f "$output")
stage_base "$image/base"
archive "$image/base" --exclude=./var/lib/netdump . >"$image/base.tar"
# The only directory that is not root's: a volume that an engine makes takes its owner from here.
tar --append --file "$image/base.tar" --directory "$image/base" --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=$user --group=$user --numeric-owner --mode=0700 ./var/lib/netdump
stage_program "$image/program/usr"
archive "$image/program" . >"$image/program.tar"

rootfs=$name-$version-rootfs
mkdir "$image/$rootfs"
for part in base program; do
    tar --extract --file "$image/$part.tar" --directory "$image/$rootfs"
    layer "$image/$part.tar"
done
write_layout
file=$name-$version-amd64.oci.tar
archive "$image/layout" oci-layout index.json blobs >"$image/$file"
mv "$image/$file" "$output/$file"
rm -rf "${output:?}/$rootfs"
mv "$image/$rootfs" "$output/$rootfs"
rm -rf "$image" "$work/program"
echo "$output/$file"
echo "$output/$rootfs"
