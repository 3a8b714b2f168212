#!/usr/bin/env bash
# Installs what tests and bench use from the distribution: pgbouncer, an older PostgreSQL than the embedded one, h2load.
# Says what is missing, and succeeds, where it may not install: tests and bench then name what they skip.
set -euo pipefail

missing=()
command -v pgbouncer >/dev/null || missing+=(pgbouncer)
command -v h2load >/dev/null || missing+=(nghttp2-client)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, so what needs it is skipped: ${missing[*]}. As root on Debian, 'make deps' installs it."
    exit 0
fi

echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() { "$@" </dev/null >"$log" 2>&1 || { cat "$log" >&2; exit 1; }; }

quietly apt-get update
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    # The tests start their own cluster; without this the package makes one and starts it on port 5432.
    quietly apt-get install --yes --no-install-recommends postgresql-common
    mkdir -p /etc/postgresql-common
    sed -i '/^#\?create_main_cluster/d' /etc/postgresql-common/createcluster.conf 2>/dev/null || true
    echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
fi
quietly apt-get install --yes --no-install-recommends "${missing[@]}"
