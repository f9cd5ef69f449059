#!/usr/bin/env bash
# Makes deploy/prometheus/prometheusrule.yaml from recording.yml and alerts.yml beside it: the same groups as an object of the Prometheus Operator.
# Usage: eng/prometheus-rule.sh [--stdout]
set -euo pipefail

rules=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")/deploy/prometheus

write() {
    cat <<'HEAD'
# Made by eng/prometheus-rule.sh from recording.yml and alerts.yml; change those.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: collector
  labels:
    app.kubernetes.io/name: netdump-collector
spec:
  groups:
HEAD
    local file
    for file in recording.yml alerts.yml; do
        # What stands above "groups:" is for who loads the file into a Prometheus of his own.
        sed -e '1,/^groups:$/d' -e 's/^./  &/' "$rules/$file"
        [ "$file" = alerts.yml ] || echo
    done
}

case ${1-} in
"") write >"$rules/prometheusrule.yaml.new" && mv "$rules/prometheusrule.yaml.new" "$rules/prometheusrule.yaml" ;;
--stdout) write ;;
-h | --help) sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}" ;;
*) echo "prometheus-rule.sh: unknown argument '$1'; usage: eng/prometheus-rule.sh [--stdout]" >&2; exit 2 ;;
esac
