# Sourced by what makes something that is installed (package.sh, image.sh): the self-contained program, built once for all of them.
# The caller names itself in $self and has run 'set -euo pipefail'.

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
name=netdump-collector
runtime=linux-x64
# Below the root, where the compiler knows the path as part of the sources: paths of this machine in the files would make them differ.
work=$root/artifacts/package

fail() {
    echo "$self: $1" >&2
    exit "${2:-1}"
}

# need TOOL...
need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "'$tool' is needed" 3
    done
}

# Times are SOURCE_DATE_EPOCH, or the last commit's; who comes second waits.
prepare() {
    export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
    export LC_ALL=C TZ=UTC
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || stat -c %Y "$root/Directory.Build.props")}
    export SOURCE_DATE_EPOCH
    umask 022
    mkdir -p "$work"
    exec 9>"$work/lock"
    flock 9
    version=$(dotnet msbuild "$root/src/Collector/Collector.csproj" -getProperty:Version 9>&-)
    [[ $version =~ ^[0-9][0-9A-Za-z.+-]*$ ]] || fail "no version in the project: $version"
}

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

# stage_program PREFIX: what was published, a name on the PATH for it, and the licences of what it contains.
stage_program() {
    local prefix=$1
    mkdir -p "$prefix/bin" "$prefix/lib"
    cp -r "$work/program" "$prefix/lib/$name"
    find "$prefix/lib/$name" -type f -exec chmod 0644 {} +
    chmod 0755 "$prefix/lib/$name/$name" "$prefix/lib/$name/createdump"
    ln -s "../lib/$name/$name" "$prefix/bin/$name"
    stage_notices "$prefix/share/doc/$name"
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

# archive DIRECTORY [NAME...]: a tar of them on standard output, the same for the same files.
archive() {
    local directory=$1
    shift
    tar --create --directory "$directory" --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner "${@:-.}"
}
