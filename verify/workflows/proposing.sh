# shellcheck shell=bash
# argocd/propose-image for real: from a clone of a bare repository, with a stand-in for gh that keeps one pull request. Sourced by
# scripts.sh.
# shellcheck disable=SC2154  # out and image are its

forge=$out/forge
rm -rf "$forge"
mkdir -p "$forge/bin"
cat >"$forge/bin/gh" <<FAKE
#!/usr/bin/env bash
case "\$1 \$2" in
  "pr list") [ ! -f "$forge/pull" ] || echo 7 ;;
  "pr create" | "pr edit") echo "\$@" >"$forge/pull" ;;
esac
FAKE
chmod +x "$forge/bin/gh"
as() { git -C "$forge/$1" -c user.name="$1" -c user.email="$1@plant.example" "${@:2}"; }
(
  git init -q --bare -b main "$forge/origin.git"
  for person in bot ann; do git clone -q "$forge/origin.git" "$forge/$person" 2>&1; done
  cp -r argocd "$forge/ann/"
  as ann switch -q -C main && as ann add . && as ann commit -qm "Begin" && as ann push -q origin main
  as bot fetch -q && as bot switch -q -C main origin/main
) >"$forge/log"
there() { git -C "$forge/origin.git" "$@"; }
# propose <nth image> [<revision>]
propose() {
  (cd "$forge/bot" && PATH=$forge/bin:$PATH REVISION=${2:-} argocd/propose-image staging "registry.example/hodoscope@sha256:$(printf '%064d' "$1")")
}
# holds <nth image>: the branch is main and one commit, of one line.
holds() {
  [ "$(there rev-list --count main..image/staging)" = 1 ] && [ "$(there diff --name-only main...image/staging)" = argocd/environments/staging.yaml ] &&
    there show image/staging:argocd/environments/staging.yaml | grep -qx "image: registry.example/hodoscope@sha256:$(printf '%064d' "$1")"
}
opened() { propose 1 c0ffee && holds 1 && grep -q "^pr create .*Built from c0ffee\." "$forge/pull"; }
check "an image becomes a pull request that says its revision" opened
home() { [ "$(as bot symbolic-ref --short HEAD)" = main ] && [ -z "$(as bot status --porcelain)" ]; }
check "and leaves the clone as it was" home
newer() { propose 2 decaf && holds 2 && grep -q "^pr edit 7 .*Built from decaf\." "$forge/pull"; }
check "a newer image takes it over, text and all" newer
moved() {
  as ann commit -q --allow-empty -m "Go on" && as ann push -q origin main && as bot pull -q --ff-only origin main && propose 3 && holds 3
}
check "also when main went on" moved
raced() { # somebody pushes after the bot looked
  printf '#!/bin/sh\nunset GIT_DIR GIT_INDEX_FILE\ncd %s && git push -q --force origin main:image/staging\n' "$forge/ann" >"$forge/bot/.git/hooks/post-commit"
  chmod +x "$forge/bot/.git/hooks/post-commit"
  propose 4
}
refuses "a branch that moved after it was seen" "stale info" raced
kept() { [ "$(there rev-parse image/staging)" = "$(there rev-parse main)" ]; }
check "and what was pushed is kept" kept
rm -f "$forge/bot/.git/hooks/post-commit"
as bot switch -q -f main
touched() { # a person's commit on the bot's
  as ann fetch -q && as ann switch -q --detach origin/image/staging && as ann commit -q --allow-empty -m "Add a note" && as ann push -q origin HEAD:image/staging
  propose 5
}
refuses "a branch that holds a person's commit" "ann: Add a note" touched
survives() { [ "$(there log -1 --format=%s image/staging)" = "Add a note" ]; }
check "which stays" survives
