#!/usr/bin/env bash
# Makes what is installed on machines without .NET: netdump-collector-VERSION-linux-x64.tar.gz and netdump-collector_VERSION_amd64.deb.
# Times in them are SOURCE_DATE_EPOCH, or the last commit's; order, owners and modes are fixed.
# Usage: eng/package.sh [--output DIR]      (default: artifacts/packages)
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
name=netdump-collector
runtime=linux-x64
architecture=amd64
output=$root/artifacts/packages
# Below the root, where the compiler knows the path as part of the sources: paths of this machine in the files would make them differ.
work=$root/artifacts/package

fail() {
    echo "package.sh: $1" >&2
    exit "${2:-1}"
}

while [ $# -gt 0 ]; do
    case $1 in
    --output) [ $# -ge 2 ] || fail "--output needs a directory" 2; output=$2; shift 2 ;;
    --output=*) output=${1#*=}; shift ;;
    -h | --help) sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) fail "unknown argument '$1'; usage: eng/package.sh [--output DIR]" 2 ;;
    esac
done
for tool in dotnet dpkg-deb flock gzip tar; do
    command -v "$tool" >/dev/null || fail "'$tool' is needed" 3
done

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
export LC_ALL=C TZ=UTC
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || stat -c %Y "$root/Directory.Build.props")}
export SOURCE_DATE_EPOCH
umask 022

mkdir -p "$work" "$output"
output=$(readlink -f "$output")
exec 9>"$work/lock"
flock 9

version=$(dotnet msbuild "$root/src/Collector/Collector.csproj" -getProperty:Version 9>&-)
[[ $version =~ ^[0-9][0-9A-Za-z.+-]*$ ]] || fail "no version in the project: $version"
# Debian sorts a tilde before everything: 1.0~rc.1 is older than 1.0.
debian_version=${version//-/\~}

publish() {
    rm -rf "$work/program"
    # No build server may stay behind: it would keep the lock of file descriptor 9.
    dotnet publish "$root/src/Collector/Collector.csproj" --configuration Release --runtime "$runtime" --self-contained true --disable-build-servers \
        --artifacts-path "$work/build" --output "$work/program" -p:ContinuousIntegrationBuild=true \
        -p:PublishDocumentationFile=false -p:PublishReferencesDocumentationFiles=false >"$work/build.log" 2>&1 9>&- ||
        { cat "$work/build.log" >&2; fail "the build failed, its output is above and in $work/build.log"; }
    [ -f "$work/program/libcoreclr.so" ] || fail "the build is not self-contained, see $work/build.log"
    # Needs a library of its own and serves LTTng only.
    rm -f "$work/program/libcoreclrtraceptprovider.so"
}

# install_file MODE FROM TO
install_file() {
    install -D -m "$1" "$2" "$3"
}

# stage PREFIX PATH: everything below PREFIX, whose place on the machine will be PATH.
stage() {
    local prefix=$1 path=$2 documents=$1/share/doc/$name
    mkdir -p "$prefix/bin" "$prefix/lib"
    cp -r "$work/program" "$prefix/lib/$name"
    find "$prefix/lib/$name" -type f -exec chmod 0644 {} +
    chmod 0755 "$prefix/lib/$name/$name" "$prefix/lib/$name/createdump"
    ln -s "../lib/$name/$name" "$prefix/bin/$name"
    install_file 0644 "$root/docs/man/$name.1" "$prefix/share/man/man1/$name.1"
    gzip -9n "$prefix/share/man/man1/$name.1"
    install_file 0644 "$root/deploy/completion/$name.bash" "$prefix/share/bash-completion/completions/$name"
    install_file 0644 "$root/deploy/systemd/$name.service" "$prefix/lib/systemd/system/$name.service"
    sed -i "s|^ExecStart=/usr/bin/|ExecStart=$path/bin/|" "$prefix/lib/systemd/system/$name.service"
    install_file 0644 "$root/deploy/systemd/10-$name.conf" "$prefix/lib/sysctl.d/10-$name.conf"
    install_file 0644 "$root/README.md" "$documents/README.md"
    # Where README.md and the alerts' links look for them.
    local file
    for file in docs/operations.md docs/runbook.md deploy/prometheus/alerts.yml deploy/prometheus/recording.yml deploy/grafana/{fleet,collector,storage,runtime}.json; do
        install_file 0644 "$root/$file" "$documents/$file"
    done
    stage_notices "$documents"
}

# The licences of the runtime and of OpenTelemetry ask for it.
stage_notices() {
    local packages pack
    packages=$(dotnet msbuild "$root/src/Collector/Collector.csproj" -getProperty:NuGetPackageRoot 9>&-)
    for pack in "${packages:-$HOME/.nuget/packages/}"opentelemetry/*/; do
        install_file 0644 "$pack/LICENSE.TXT" "$1/OpenTelemetry-LICENSE.TXT"
        install_file 0644 "$pack/THIRD-PARTY-NOTICES.TXT" "$1/OpenTelemetry-THIRD-PARTY-NOTICES.TXT"
    done
    for pack in "${packages:-$HOME/.nuget/packages/}"microsoft.netcore.app.runtime."$runtime"/*/THIRD-PARTY-NOTICES.TXT; do
        [ -f "$pack" ] && install_file 0644 "$pack" "$1/THIRD-PARTY-NOTICES.TXT"
    done
    [ -f "$1/THIRD-PARTY-NOTICES.TXT" ] || fail "the runtime's THIRD-PARTY-NOTICES.TXT is not in ${packages:-$HOME/.nuget/packages/}"
    sed -e '1,/^Copyright/d' "$root/LICENSE" | sed -e 's/^$/./' -e 's/^/ /' >"$work/license"
    sed -e "/@LICENSE@/{r $work/license" -e 'd}' "$root/deploy/debian/copyright.in" >"$1/copyright"
}

tarball() {
    local directory=$name-$version-$runtime
    local archive=$directory.tar.gz
    rm -rf "$work/tarball"
    stage "$work/tarball/$directory" /usr/local
    install_file 0644 "$root/deploy/$name.json" "$work/tarball/$directory/share/doc/$name/$name.json"
    install_file 0644 "$root/LICENSE" "$work/tarball/$directory/share/doc/$name/LICENSE"
    tar --create --directory "$work/tarball" --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner "$directory" |
        gzip -6n >"$work/$archive"
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
