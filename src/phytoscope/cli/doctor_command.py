"""`phytoscope doctor`: what this computer and this installation can do, and what to do about what they cannot."""

import json
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from phytoscope import __version__
from phytoscope.cli.doctor_report import Check, Health
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.terminal import EXIT_FINDINGS, err, out

_COLOURS = {Health.ok: "green", Health.note: "yellow", Health.fault: "bold red"}
_REINSTALL = {
    "network": "pip install --force-reinstall torch torchvision",
    "vision": "torch and torchvision must be made for each other: pip install --force-reinstall torch torchvision",
    "pictures": "pip install --force-reinstall pillow opencv-python-headless numpy",
    "tables": "pip install --force-reinstall pandas pyarrow numpy",
}
_TRIES = {
    "network": "a tiny network answers",
    "vision": "torchvision fits torch",
    "pictures": "a JPEG is read",
    "tables": "a table is read",
}
_PROCESSES = (("network", "vision"), ("pictures",), ("tables",))
"""What is tried in one process, in this order: torch is loaded once."""
_SLOW = "no answer within"
_PRESETS = Path(__file__).resolve().parents[1] / "configs" / "model"


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody on the network.")] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.5, help="Seconds to wait for the network.", metavar="SECONDS")
    ] = 3.0,
    patience_s: Annotated[
        float, typer.Option("--patience", min=1.0, help="Seconds that a library may take to load.", metavar="SECONDS")
    ] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Look at this installation and this computer, and say what to do about each fault.

    Libraries and their versions, extras, cores, memory, GPU, disks, network, weights, ports, clock and text; a tiny
    network is run, a JPEG and a table are read. Nothing is changed. A missing extra or network is no fault.

    Exit code 0: nothing stands in the way. 3: something does, and the line says what to do.

    Examples:
        phytoscope doctor
        phytoscope doctor --offline
        phytoscope doctor --json
    """
    with err.status("Looking"):
        checks = look(None if offline else timeout_s, patience_s)
    is_healthy = all(check.health is not Health.fault for check in checks)
    if as_json:
        print_json({"phytoscope": __version__, "ok": is_healthy, "checks": checks})
    else:
        _print_checks(checks)
    if not is_healthy:
        raise typer.Exit(EXIT_FINDINGS)


def look(timeout_s: float | None, patience_s: float) -> list[Check]:
    """Looks at everything, the slow things side by side.

    Args:
        timeout_s: Seconds to wait for the network; None asks nobody.
        patience_s: Seconds that a library may take to load.
    """
    with ThreadPoolExecutor(max_workers=len(_PROCESSES) + 1) as pool:
        tries = [pool.submit(_try, whats, patience_s) for whats in _PROCESSES]
        asked = None if timeout_s is None else pool.submit(_ask_network, timeout_s)
        quick = [_look_safely(name, check) for name, check in _list_quick()]
        answers = None if asked is None else asked.result()
        found = {what: result for tried in tries for what, result in tried.result().items()}
    from phytoscope.cli.doctor_machine import check_clock
    from phytoscope.cli.doctor_network import check_network

    clock = next((answer.clock for answer in answers or [] if answer.clock is not None), None)
    return [*quick, check_network(answers), check_clock(clock), _check_gpu(found["network"]), _check_tries(found)]


def _list_quick() -> list[tuple[str, Callable[[], Check]]]:
    from phytoscope.cli import doctor_libraries, doctor_machine, doctor_network

    return [
        ("Python", doctor_libraries.check_python),
        ("Libraries", doctor_libraries.check_libraries),
        ("Extras", doctor_libraries.check_extras),
        ("Weights", lambda: doctor_network.check_weights(_PRESETS)),
        ("Cores", doctor_machine.check_cores),
        ("Memory", doctor_machine.check_memory),
        ("Disk", doctor_machine.check_disks),
        ("Ports", doctor_machine.check_ports),
        ("Text", doctor_machine.check_text),
    ]


def _look_safely(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except (ImportError, OSError, ValueError) as error:
        # What is broken must not hide what else is.
        found = f"cannot be looked at ({type(error).__name__}: {error})"
        return Check(name, Health.fault, found, "reinstall: pip install --force-reinstall phytoscope.")


def _ask_network(within_s: float) -> Any:
    from phytoscope.cli.doctor_network import ask_network

    return ask_network(within_s)


def _try(whats: Sequence[str], patience_s: float) -> dict[str, dict[str, Any]]:
    """What each trial found; where it did not come to an end, `broken` says why."""
    found, reason = _run_probe(whats, patience_s)
    told = [json.loads(line) for line in found.splitlines() if line.startswith('{"trial": ')]
    broken = {"broken": reason, "is_slow": reason.startswith(_SLOW)}
    return dict.fromkeys(whats, broken) | {trial.pop("trial"): trial for trial in told}


def _run_probe(whats: Sequence[str], patience_s: float) -> tuple[str, str]:
    """What the trials printed, and why they did not all come to an end if so."""
    probe = Path(__file__).with_name("doctor_probe.py")
    try:
        done = subprocess.run(  # noqa: S603 (our own file)
            [sys.executable, "-P", "-W", "ignore", str(probe), *whats],
            capture_output=True,
            check=False,
            timeout=patience_s,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        printed: Any = error.stdout or ""
        text = printed.decode("utf-8", "replace") if isinstance(printed, bytes) else printed
        return text, f"{_SLOW} {patience_s:g} s"
    except OSError as error:
        return "", f"Python cannot be started: {error}"
    if done.returncode < 0:
        return done.stdout, f"it crashed ({signal.Signals(-done.returncode).name})"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return done.stdout, lines[-1].strip()[:300] if lines else f"it ended with code {done.returncode}"


def _check_tries(found: Mapping[str, Mapping[str, Any]]) -> Check:
    faults, remedies = [], []
    for what, words in _TRIES.items():
        result = found[what]
        if "broken" in result:
            faults.append(f"not so: {words}: {result['broken']}")
        elif not result.get("is_right", result.get("is_finite")):
            faults.append(f"not so: {words}: the result is wrong")
        else:
            continue
        slow = "the computer is very slow just now: try again with --patience 600"
        remedies.append(slow if result.get("is_slow") else _REINSTALL[what])
    if faults:
        return Check("Trial", Health.fault, "; ".join(faults), f"{'; '.join(dict.fromkeys(remedies))}.", dict(found))
    return Check("Trial", Health.ok, ", ".join(_TRIES.values()), facts=dict(found))


def _check_gpu(torch: Mapping[str, Any]) -> Check:
    facts = {key: torch.get(key) for key in ("gpus", "mps", "cuda_built")}
    if "broken" in torch:
        return Check("GPU", Health.note, "not known, because torch does not start", "see the line Trial.", facts)
    if torch["gpus"]:
        names = ", ".join(f"{gpu['name']} with {gpu['gib']:g} GiB" for gpu in torch["gpus"])
        return Check("GPU", Health.ok, f"{names}: used by itself", facts=facts)
    if torch["mps"]:
        return Check("GPU", Health.ok, "that of this Mac (MPS): used by itself", facts=facts)
    if shutil.which("nvidia-smi") is not None:
        why = "this torch is made for processors only" if torch["cuda_built"] is None else "torch cannot use it"
        remedy = (
            "choose the build that fits your driver on https://pytorch.org/get-started/locally/; `nvidia-smi` shows "
            "the driver's version. Without it the processor is used."
        )
        return Check("GPU", Health.note, f"there is NVIDIA software, but {why}", remedy, facts)
    return Check("GPU", Health.ok, "none: the processor is used, which is enough for small data", facts=facts)


def _print_checks(checks: Iterable[Check]) -> None:
    checks = list(checks)
    out.print(f"phytoscope {__version__} on {platform.system()}")
    for check in checks:
        out.print(
            f"[{_COLOURS[check.health]}]{check.health.value:<6}[/][bold]{check.name:<10}[/] {escape(check.found)}"
        )
        if check.remedy:
            out.print(f"{'':<17}-> {escape(check.remedy)}")
    faults = [check.name for check in checks if check.health is Health.fault]
    if faults:
        out.print(f"[bold red]To mend:[/] {', '.join(faults)}; the lines with -> say how.")
    else:
        # The demo starts from weights that are here; a note about them says how they come here.
        weak = any(check.name == "Weights" and check.health is not Health.ok for check in checks)
        following = "bring weights, as the line above says; then phytoscope demo" if weak else "phytoscope demo"
        out.print(f"[green]Nothing stands in the way.[/] Next: {following}")
