"""Rules of the workflows that linters leave open: every action by 40 hex digits and a version; one commit for one action;
no rights but those a job names; a time limit; no secret where others' scanners or forks' code run; every script and word
of the Makefile that is called exists. `rules.py <repository>` prints one line for each and counts for itself."""

import json
import re
import sys
from pathlib import Path

import yaml

root = Path(sys.argv[1])
texts = {path.name: path.read_text() for path in sorted((root / ".github/workflows").glob("*.yml"))}
flows = {name: yaml.safe_load(text) for name, text in texts.items()}
jobs = [(name, key, job) for name, flow in flows.items() for key, job in flow["jobs"].items()]
steps = [(name, key, step) for name, key, job in jobs for step in job["steps"]]


def every_action_is_pinned_by_commit_and_names_its_version():
    for name, text in texts.items():
        for line in re.findall(r"uses:.*", text):
            assert re.fullmatch(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), f"{name}: {line}"


def an_action_has_one_commit_everywhere():
    found = {}
    for text in texts.values():
        for action, commit in re.findall(r"uses: ([\w.-]+/[\w.-]+)[\w./-]*@([0-9a-f]+)", text):
            found.setdefault(action, set()).add(commit)
    assert all(len(commits) == 1 for commits in found.values()), found


def no_workflow_has_rights_and_every_job_names_its_own():
    for name, flow in flows.items():
        assert flow["permissions"] == {}, name
    for name, key, job in jobs:
        assert job["permissions"] and "write-all" not in str(job["permissions"]), f"{name}: {key}"


def every_job_has_a_time_limit_and_every_workflow_a_queue():
    assert all("timeout-minutes" in job for _, _, job in jobs)
    assert all("concurrency" in flow for flow in flows.values())


def what_takes_a_role_or_a_secret_is_never_cancelled_by_another_run():
    # GitHub keeps one waiting run of a group, and cancels it for the next, unless it is told to keep them.
    for name in {name for name, _, job in jobs if "environment" in job}:
        queue = flows[name]["concurrency"]
        assert (queue["cancel-in-progress"], queue.get("queue")) == (False, "max"), f"{name}: {queue}"


def what_forks_can_start_holds_no_secret_and_writes_no_more_than_findings():
    for name, flow in flows.items():
        events = flow.get("on", flow.get(True))
        assert "pull_request_target" not in events and "workflow_run" not in events, name
        if "pull_request" in events:
            assert "secrets." not in texts[name] and "id-token" not in texts[name], name
            rights = [right for _, job in flow["jobs"].items() for right in job["permissions"].items()]
            assert set(rights) <= {("contents", "read"), ("security-events", "write")}, f"{name}: {rights}"


def whoever_takes_a_role_or_a_secret_is_bound_to_an_environment():
    for name, key, job in jobs:
        if "id-token" in job["permissions"] or "secrets." in str(job):
            assert "environment" in job, f"{name}: {key}"


def every_environment_is_told_with_who_may_use_it():
    told = {row[0]: row[1:] for row in re.findall(r"(?m)^\| `([^`]+)` \| (branch `main`|tags `v\*`)[^|]*(\|.*)$", (root / "docs/install.md").read_text())}
    used = {}
    for name, key, job in jobs:
        if "environment" in job:
            events = flows[name].get("on", flows[name].get(True))
            who = "tags `v*`" if "tags" in (events.get("push") or {}) else "branch `main`"
            environment = re.sub(r"\$\{\{.*?\}\}", "<env>", job["environment"])
            at = used.setdefault(environment, (who, set()))
            assert at[0] == who, f"{environment} is used from two sides"
            at[1].update(re.findall(r"\b(?:vars|secrets)\.([A-Z_]+)", str(job)))
    told = {environment: (who, set(re.findall(r"`([A-Z_]+)`", rest))) for environment, (who, rest) in told.items()}
    assert used == told, {environment: (used.get(environment), told.get(environment)) for environment in {*used, *told} if used.get(environment) != told.get(environment)}


def no_build_runs_beside_the_right_to_take_a_role():
    # Build scripts and packages are others' code, and any step of such a job can ask for the role. An artifact goes across.
    for name, key, job in jobs:
        if "id-token" in job["permissions"]:
            for step in job["steps"]:
                assert not re.search(r"\b(make|cargo|npm|npx|pip|docker build)\b", step.get("run", "")), f"{name}: {key} runs {step['run']}"


def what_is_published_under_a_tag_is_of_that_version():
    tagged = {name: flow["jobs"] for name, flow in flows.items() if "tags" in (flow.get("on", flow.get(True)).get("push") or {})}
    assert set(tagged) == {"build-deploy.yml", "upload-helm.yml"}
    for name, made in tagged.items():
        first, *later = made.values()
        assert first["steps"][1].get("run") == '.github/scripts/version "$GITHUB_REF_NAME"', f"{name} does not begin with it"
        assert all("needs" in job for job in later), name


def no_checkout_leaves_its_token_behind():
    for name, key, step in steps:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, f"{name}: {key}"


def every_script_and_word_that_is_called_exists():
    words = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.M))
    for name, key, step in steps:
        for word in re.findall(r"\bmake ([a-z]+)", step.get("run", "")):
            assert word in words, f"{name}: make {word}"
        for script in re.findall(r"(?m)^\s*((?:argocd|helm|image|terraform|\.github/scripts)/[a-z0-9-]+)\b", step.get("run", "")):
            assert (root / script).is_file(), f"{name}: {script}"


NOT_IN_CI = {"load": "it measures what this machine can do, for sizing; a shared runner's numbers say nothing"}


def every_group_and_every_module_with_tests_runs_in_ci_or_says_why_not():
    matrix = {kind: set(found) for job in flows["ci.yml"]["jobs"].values() for kind, found in job.get("strategy", {}).get("matrix", {}).items()}
    groups = {path.parent.name for path in (root / "verify").glob("*/run")}
    assert matrix["word"] | matrix["group"] | set(NOT_IN_CI) == groups, (matrix["word"] | matrix["group"] | set(NOT_IN_CI)) ^ groups
    assert not (matrix["word"] | matrix["group"]) & set(NOT_IN_CI), NOT_IN_CI
    words = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.M))
    assert matrix["word"] <= words, matrix["word"] - words
    tested = {str(path.parent.parent.relative_to(root / "terraform")) for path in (root / "terraform").rglob("tests/*.tftest.hcl")}
    assert {f"modules/{module}" for module in matrix["module"]} == tested, tested


def what_the_drift_job_dispatches_is_what_training_takes():
    settings = (root / "host/src/config/forge.rs").read_text()
    (workflow,) = re.findall(r'"forge_workflow",\s*"([^"]+)"', settings)
    flow = flows[workflow]
    inputs = flow.get("on", flow.get(True))["workflow_dispatch"]["inputs"]
    needed = {name for name, spec in inputs.items() if spec.get("required")}
    drift = root / "host/src/commands/drift.rs"
    if drift.is_file():
        sent = set(re.findall(r'\("(\w+)"\.to_owned\(\),', drift.read_text()))
        assert needed <= sent <= set(inputs), f"{drift} sends {sent}; {workflow} takes {set(inputs)}"
    assert needed == {"detector", "channel"} and "request" in flow["run-name"], workflow


def every_setting_that_is_given_exists():
    known = "".join(p.read_text() for p in [root / "host/src/config.rs", *(root / "host/src/config").glob("*.rs")])
    given = set(re.findall(r"\bHODOSCOPE_([A-Z_]+)", "".join(texts.values()) + (root / ".github/scripts/train-model").read_text()))
    assert given and all(f'"{key.lower()}"' in known for key in given), {key for key in given if f'"{key.lower()}"' not in known}


def whoever_asks_for_an_app_token_asks_for_what_the_bot_asks_for():
    # An App that was given no more answers 422 to a further right.
    source = (root / "registry/src/forge/github/credentials.rs").read_text()
    (propose,) = re.findall(r"Self::Propose => json!\((\{.*\})\)", source)
    wanted = {f"permission-{right.replace('_', '-')}": access for right, access in json.loads(propose).items()}
    asked = {f"{name}: {key}": step["with"] for name, key, step in steps if "create-github-app-token@" in step.get("uses", "")}
    assert asked
    for where, given in asked.items():
        rights = {right: access for right, access in given.items() if right.startswith("permission-")}
        assert rights == wanted, f"{where} asks for {rights}"


def no_step_gets_a_secret_that_it_does_not_need():
    for name, key, job in jobs:
        assert "secrets." not in str({k: v for k, v in job.items() if k != "steps"}), f"{name}: {key} gives a secret to every step"
        tokens = [step.get("run", "") for step in job["steps"] if "outputs.token" in str(step)]
        assert all(len(run.strip().splitlines()) == 1 for run in tokens), f"{name}: {key} does more with a token than one command"


SCANNERS = ("aquasecurity/", "terraform-linters/", "EmbarkStudios/", "zizmor ")


def no_scanner_runs_beside_a_secret_a_role_or_a_right_to_write():
    found = set()
    for name, key, job in jobs:
        if any(scanner in str(job["steps"]) for scanner in SCANNERS):
            found.add(key)
            assert job["permissions"] == {"contents": "read"}, f"{name}: {key}"
            assert "secrets." not in str(job) and "environment" not in job and "outputs.token" not in str(job), f"{name}: {key}"
    assert found >= {"trivy", "tflint", "zizmor", "dependencies", "scan"}, found


def what_a_scanner_finds_fails_its_job_and_is_reported():
    found = [step["with"] for _, _, step in steps if "trivy-action@" in step.get("uses", "")]
    assert len(found) == 2
    for given in found:
        assert given["exit-code"] == "1" and given["severity"] == "HIGH,CRITICAL", f"Trivy refuses nothing: {given}"
        assert given.get("format") != "sarif" or given["limit-severities-for-sarif"] is True, f"Trivy's SARIF is of every severity: {given}"
    scans = flows["security.yml"]["jobs"]
    for scanner in scans["report"]["strategy"]["matrix"]["scanner"]:
        upload = scans[scanner]["steps"][-1]
        assert "upload-artifact@" in upload["uses"] and upload["if"] == "${{ !cancelled() }}", f"{scanner}: what failed is not reported"


def what_is_proposed_was_signed_described_and_scanned():
    build = flows["build-deploy.yml"]["jobs"]
    said = str(build["image"]["steps"])
    assert "cosign sign" in said and "cosign attest" in said and "target/image/hodoscope.cdx.json" in said
    assert "cargo auditable" in (root / "image/root").read_text() and "image/sbom" in (root / "image/root").read_text()
    proposal = build["propose"]["steps"][-1]
    assert proposal["env"]["REVISION"] == "${{ github.sha }}", "the pull request does not say the tag's commit"
    assert set(build["propose"]["needs"]) == {"image", "scan"} and build["scan"]["needs"] == "build"


def every_command_of_the_install_page_exists():
    text = (root / "docs/install.md").read_text()
    verbs = {path.stem for path in (root / "host/src/commands").glob("*.rs")}
    for line in re.findall(r"(?m)^hodoscope .*|& hodoscope .*", text):
        said = re.sub(r"--(store|set|url|channel) \S+", "", line).split("hodoscope ", 1)[1].split()[0]
        assert said in verbs, line
    for folder in re.findall(r"-chdir=(\S+)", text):
        assert (root / folder).is_dir(), folder
    words = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.M))
    for line in re.findall(r"(?m)^make (.*)$", text):
        assert set(line.split()) <= words, line
    for file in re.findall(r"(?:-f|--values) (\S+\.yaml)|`((?:argocd|\.github|terraform)/[^` <]+\.\w+)`", text):
        assert (root / "".join(file)).is_file(), file
    for variable in re.findall(r"\b(?:vars|secrets)\.([A-Z_]+)", "".join(texts.values())):
        assert f"`{variable}`" in text, f"{variable} is not told"


def every_test_that_the_threats_page_names_exists():
    rows = [line.strip("| ").split(" | ") for line in (root / "docs/threats.md").read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[-1] != "Asserted by"]
    kinds = ("*.rs", "*.tf", "*.hcl", "*.yaml", "*.py", "*.sh")
    rooms = ("host", "registry", "detectors", "terraform", "helm/hodoscope/tests", "verify")
    text = "\n".join(p.read_text() for room in rooms for kind in kinds for p in (root / room).rglob(kind) if ".terraform" not in p.parts)
    assert len(rows) > 20
    for row in rows:
        names = re.findall(r"`([^`]+)`", row[-1])
        assert len(row) == 3 and names, f"nothing asserts: {row[0]}"
        for name in names:
            assert name in text or name.replace(" ", "_") in text, f"`{name}` is nowhere"


def no_file_of_ours_names_a_repository_but_argocd_s():
    # One place to put one's own: argocd/ (`make chart` holds its places equal). Workflows know theirs from the run.
    for path in [*(root / ".github").rglob("*"), *(root / "terraform").rglob("*.tf"), *(root / "helm").glob("push*")]:
        if path.is_file() and ".terraform" not in path.parts:
            assert "git.example" not in path.read_text(), path


for rule in [v for k, v in list(globals().items()) if callable(v) and k.startswith(("every_", "an_", "no_", "what_", "whoever_"))]:
    sentence = rule.__name__.replace("_", " ")
    try:
        rule()
        print(f"ok    {sentence}")
    except (AssertionError, KeyError, TypeError, ValueError, OSError) as error:
        print(f"FAIL  {sentence}: {type(error).__name__} {error}")
