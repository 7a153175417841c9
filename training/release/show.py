"""A plan as people read it before they push."""

from pathlib import Path

from training.outputs import file_sha256
from training.release.gates import Check
from training.release.plan import Plan
from training.release.push import local_files, short


def show(plan: Plan) -> None:
    """Print the files, the scores, the checks and the gates."""
    where = f"main is at {short(plan.hub.adapter.head)}" if plan.hub else "compared with nothing"
    print(f"plan: {plan.wanted.repo} {plan.version} from {plan.run.config.run_dir} ({where})")
    print("\n".join(file_lines(plan.bundle, plan.states)))
    print("scores: tuned, ROUGE F1 × 100 without the disclaimer")
    print("\n".join(score_lines(plan)))
    print("checks")
    print("\n".join(check_lines(plan.checks)))
    print("gates" + (f" (accepted: {plan.wanted.accept})" if plan.wanted.accept else ""))
    print("\n".join(check_lines(plan.gates)), flush=True)


def file_lines(bundle: Path, states: dict[str, str]) -> list[str]:
    """One line a file: state, path, size and sha256; the removed ones by name."""
    files = local_files(bundle)
    lines = []
    for name in sorted(states):
        path = files.get(name)
        facts = f"{path.stat().st_size:>12,} B  sha256 {file_sha256(path)[:16]}…" if path else ""
        lines.append(f"  {states[name]:8} {name:36}{facts}".rstrip())
    return lines


def score_lines(plan: Plan) -> list[str]:
    """Tuned's ROUGE without the disclaimer, beside the newest other release's."""
    from training.scoring.table import KINDS, points

    lines = []
    for kind, label in KINDS.items():
        new = points(plan.run.scores["systems"]["tuned"]["without disclaimer"][kind])
        if plan.previous:
            old = points(plan.previous.scores["systems"]["tuned"]["without disclaimer"][kind])
            new += f"   {plan.previous.tag} has {old}"
        lines.append(f"  {label}  {new}")
    return lines


def check_lines(checks: list[Check]) -> list[str]:
    words = {True: "ok", False: "FAILED", None: "-"}
    width = max(len(check.name) for check in checks)
    return [f"  {words[check.ok]:7} {check.name:{width}}  {' '.join(check.text.split())}" for check in checks]
