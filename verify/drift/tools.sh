# shellcheck shell=bash
# What `run` and `bench` share: Python with its packages in `python`, the data's folder, or nothing, in `data`.

venv=target/venv/drift
wanted=verify/drift/requirements.txt
if ! cmp -s "$wanted" "$venv/installed.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$venv/installed.txt"
fi
python=$venv/bin/python

data=${HODOSCOPE_DATA:-}
for folder in ../shared/data ../../shared/data; do
  if [ -z "$data" ] && [ -d "$folder/adbench" ]; then data=$folder; fi
done
if [ -z "$data" ] && [ "${HODOSCOPE_NO_SKIP:-}" = 1 ]; then
  echo "no data: set HODOSCOPE_DATA to the folder that holds adbench/" >&2
  exit 1
fi
export data python
