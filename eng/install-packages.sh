#!/usr/bin/env bash
# Installs Debian packages that tests need, and starts none of the services that some of them bring (prometheus does). Needs root.
# Usage: eng/install-packages.sh PACKAGE...
set -uo pipefail

if [ $# = 0 ]; then
    echo "install-packages.sh: name at least one package" >&2
    exit 2
fi

# What a package's scripts ask before they start a service (invoke-rc.d(8)); 101 is "not allowed". One that is there stays as the administrator made it.
policy=/usr/sbin/policy-rc.d
if ! [ -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@" || exit 1

# Nor does it begin at the next start of a machine that had no such service before.
for service in prometheus postgresql; do
    if [ -d /run/systemd/system ] && [[ " $* " == *" $service "* ]]; then
        systemctl disable --now --quiet "$service"
    fi
done
