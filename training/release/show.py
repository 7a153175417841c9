"""A plan as people read it before they push."""

from training.release.gates import Check
from training.release.plan import Plan
from training.release.push import short


def show(plan: Plan) -> None:
    """Print the files, the scores, the checks and the gates."""
    print(f"plan: {plan.wanted.repo} {plan.version} from {plan.wanted.run}")
    heads = {remote.repo: remote.head for remote in plan.hub.all()} if plan.hub else {}
    for repo, lines in plan.files.items():
        there = f"main is at {short(heads[repo])}" if heads.get(repo) else "not there yet"
        print(f"files: {repo} ({there if plan.hub else 'compared with nothing'})")
        print("\n".join(lines))
    print("scores: tuned, ROUGE F1 × 100 without the disclaimer")
    print("\n".join(score_lines(plan)))
    print("checks")
    print("\n".join(check_lines(plan.checks)))
    print("gates" + (f" (accepted: {plan.wanted.accept})" if plan.wanted.accept else ""))
    print("\n".join(check_lines(plan.gates)), flush=True)


def score_lines(plan: Plan) -> list[str]:
    """Tuned's ROUGE without the disclaimer, beside those of the release on the Hub."""
    from training.scoring.table import ROUGE_LABELS, points

    lines = []
    for kind, label in ROUGE_LABELS.items():
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
