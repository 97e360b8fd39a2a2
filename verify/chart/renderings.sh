# shellcheck shell=bash
# What the chart is rendered with: each values file of helm/hodoscope/ci/, and each environment exactly as Argo CD merges it.
# Sourced by verify/{chart,cluster}/run after tools.sh.
# shellcheck disable=SC2154  # root, chart and python are run's

renderings() { # their names
  basename -a -s -values.yaml "$chart"/ci/*-values.yaml
  basename -a registry/channels/*/
}

arguments_of() { # arguments_of <name> [<repository>]: sets `arguments`, the release's name first
  local repository=${2:-$root} lines
  if [ -e "$chart/ci/$1-values.yaml" ]; then
    arguments=(hodoscope --values "$chart/ci/$1-values.yaml")
    return
  fi
  lines=$("$python" verify/chart/values_of.py "$repository" "$1") || return
  mapfile -t arguments <<<"$lines"
  arguments=("${arguments[0]}" --values verify/chart/environment-values.yaml "${arguments[@]:1}")
}
