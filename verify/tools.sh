# shellcheck shell=bash
# The tools of the groups that check the outer rooms, by package name and version, each installed once into target/.
# Sourced by verify/{chart,cluster,infra,workflows}/run; has no checks of its own.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/target/tools
mkdir -p "$tools"
export PATH="$tools:$PATH"

passed=0
failed=0

# check <sentence> <command...>: counts one check; its output is shown only if it fails.
check() {
  local sentence=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    echo "ok    $sentence"
  else
    failed=$((failed + 1))
    echo "FAIL  $sentence"
    head -n 60 <<<"$output" | sed 's/^/      /'
  fi
}

# refuses <sentence> <words of the message> <command...>: the command must fail and say why.
refuses() {
  local sentence=$1 words=$2
  shift 2
  check "$sentence" refused_with "$words" "$@"
}
refused_with() {
  local words=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "it was accepted"
    return 1
  fi
  grep -qF -- "$words" <<<"$output" || {
    echo "refused, but without the words '$words':"
    echo "$output"
    return 1
  }
}

# count <file of 'ok …' and 'FAIL …' lines>: adds the lines of a check that counts for itself.
count() {
  cat "$1"
  local good bad
  good=$(grep -c '^ok ' "$1") || true
  bad=$(grep -c '^FAIL ' "$1") || true
  passed=$((passed + good))
  failed=$((failed + bad))
  [ $((good + bad)) -gt 0 ] || {
    echo "FAIL  $1 holds no check"
    failed=$((failed + 1))
  }
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

need() {
  command -v "$1" >/dev/null && return
  echo "$1 is missing; $2" >&2
  exit 1
}

debian_tool() { # debian_tool <command> <package>
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then need "$1" "install it: apt-get install $2"; fi
  once "debian-$2" bash -ec "apt-get update -qq && apt-get install -y -qq -o Acquire::Retries=3 --no-install-recommends $2"
}

once() { # once <marker> <command...>: runs the command, which downloads, up to three times unless it succeeded before
  local marker=$tools/.$1 try
  shift
  [ -e "$marker" ] && return
  local start=$SECONDS
  for try in 1 2 3; do
    nice -n 19 "$@" >"$marker.log" 2>&1 && break
    tail -n 20 "$marker.log" >&2
    if [ "$try" -eq 3 ]; then
      echo "$* failed" >&2
      exit 1
    fi
    echo "$* failed; again in $((try * 20)) s" >&2
    sleep $((try * 20))
  done
  mv "$marker.log" "$marker"
  echo "installed ${marker##*/.} in $((SECONDS - start)) s"
}

go_tool() { # go_tool <module with its command's path> <version>
  need go "install Go 1.26 or newer"
  once "${1##*/}-$2" env GOBIN="$tools" GOFLAGS=-mod=mod go install "$1@$2"
}

go_module() { # go_module <folder with go.mod and go.sum> <package> <name of the executable> [<flags of go build…>]
  need go "install Go 1.26 or newer"
  once "$3-$(cat "$1/go.mod" "$1/go.sum" | sha256sum | cut -c1-12)" go build -C "$1" -o "$tools/$3" "${@:4}" "$2"
}

venv() { # venv <group> <package==version...>: the path of its bin is $root/target/venv/<group>/bin
  need python3 "install python3 and python3-venv"
  local group=$1
  shift
  local folder=$root/target/venv/$group
  once "venv-$group-$(sha256sum <<<"$*" | cut -c1-12)" bash -ec "python3 -m venv '$folder' && '$folder/bin/pip' install -q $*"
}

npm_package() { # npm_package <package> <version>: prints nothing; lies under $root/target/npm/node_modules
  need npm "install Node.js 20 or newer"
  once "npm-$(tr -c 'a-z0-9\n' - <<<"$1")-$2" npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$root/target/npm" "$1@$2"
}
