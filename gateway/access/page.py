"""The table of docs/access.md, made of the rules.

``python -m xiaohe.gateway.access.page`` writes it anew, and a test holds the page to it.
"""

import sys
from pathlib import Path
from typing import Final

from xiaohe.gateway.access.principal import Change
from xiaohe.gateway.access.rules import TABLE, Allowed

BEGIN: Final = "<!-- the table: python -m xiaohe.gateway.access.page -->\n"
END: Final = "<!-- the end of the table -->\n"

WORDS: Final[dict[Change, str]] = {
    Change.ALERT_REPORT: "report an alert",
    Change.POSITION_REPORT: "report a position",
    Change.DUTY_REPORT: "report on duty, and findings",
    Change.ORDER_ANSWER: "answer an order",
    Change.DESK_DECIDE: "decide at a desk",
    Change.REFERRAL_ANSWER: "answer a referral",
    Change.DEVICE_MANAGE: "manage devices",
    Change.EVENTS_READ: "read events",
    Change.WEBHOOK_MANAGE: "manage webhooks",
    Change.ACCESS_MANAGE: "let others in and out",
}


def table() -> str:
    """Give the rules as a table in Markdown, a row a rule, by what may be done."""
    rows = ["| to | who | which words | provided |", "|---|---|---|---|"]
    for change in Change:
        rows += [_row(each) for each in TABLE if each.change == change]
    return "\n".join(rows) + "\n"


def _row(allowed: Allowed) -> str:
    who = ", ".join(role.replace("_", " ") for role in allowed.roles)
    words = (
        "all" if allowed.actions is None else ", ".join(f"`{a}`" for a in sorted(allowed.actions))
    )
    provided = "; ".join(proviso.value for proviso in allowed.provisos) or "-"
    return f"| {WORDS[allowed.change]} (`{allowed.change.value}`) | {who} | {words} | {provided} |"


def page_with_table(page: str) -> str:
    """Give the page with the table as it now is."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/access.md")
    path.write_text(page_with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
