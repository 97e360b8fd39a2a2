# shellcheck shell=bash
# .github/scripts/train-model with a stand-in for hodoscope that writes down what it was told. Sourced by scripts.sh.
# shellcheck disable=SC2154  # out is run's

cat >"$out/hodoscope" <<'FAKE'
#!/usr/bin/env bash
echo "$HODOSCOPE_CHANNEL: $*${MLFLOW_TRACKING_URI+ to $MLFLOW_TRACKING_URI}" >>"$TOLD"
[ "${FAILS:-}" != "$1" ]
FAKE
chmod +x "$out/hodoscope"
export HODOSCOPE=$out/hodoscope TOLD=$out/told
trains() { # trains <action> <variables...>
  : >"$TOLD"
  env DETECTOR=pump CHANNEL=staging "${@:2}" .github/scripts/train-model "$1"
}
told() { # told <expected lines> <action> <variables...>
  trains "${@:2}" && diff <(printf '%s\n' "$1") "$TOLD"
}
check "captured rows: drift retrains and proposes" told "staging: drift --detector pump --retrain --propose" drift
check "of the named window" told "staging: drift --detector pump --retrain --propose --window 20261124T000000Z" drift WINDOW=20261124T000000Z
check "a table is trained on and pushed" told "staging: train s3://plant/pumps.csv --name pump --out target/train/pump.wasm
staging: push target/train/pump.wasm --version 1.5.0" train DATA=s3://plant/pumps.csv VERSION=1.5.0
check "and proposed, with the reason" told "staging: promote pump@1.5.0 --why=--new pumps" promote VERSION=1.5.0 "REASON=--new pumps"
check "a tracking server that is set is told" told "staging: drift --detector pump --retrain --propose to https://mlflow.example" drift MLFLOW_TRACKING_URI=https://mlflow.example
check "and an empty variable is none" told "staging: drift --detector pump --retrain --propose" drift MLFLOW_TRACKING_URI=
not_pushed() { ! trains train DATA=s3://plant/pumps.csv VERSION=1.5.0 FAILS=train && ! grep -q push "$TOLD"; }
check "what failed to train is not pushed" not_pushed
failed_drift() { ! trains drift FAILS=drift; }
check "a drift run that failed fails the workflow" failed_drift
refuses "a detector that would be an option" "a detector's name" trains drift DETECTOR=--all
refuses "a detector that would be a path" "a detector's name" trains train DETECTOR=../pump DATA=s3://plant/a VERSION=1.0.0
refuses "a channel with a line of its own" "a channel's name" trains drift CHANNEL=$'staging\nHODOSCOPE_FORGE=x'
refuses "a window that is none" "a window's start" trains drift WINDOW=--all
refuses "data without a version" "a version" trains train DATA=s3://plant/pumps.csv
refuses "data of the runner's own disk" "s3://bucket/key" trains train DATA=/etc/passwd VERSION=1.0.0
