"""The account of docs/promises.md: added up from the ledger, so that the two cannot part.

``python -m xiaohe.campaign.page`` writes it anew.
"""

from pathlib import Path
from typing import Final

from xiaohe.campaign.ledger import LEDGER, read, totals

PAGE: Final = Path(__file__).parents[2] / "docs" / "promises.md"
BEGIN, END = "<!-- added up -->", "<!-- end -->"


def page_with_account(page: str, ledger: Path = LEDGER) -> str:
    """Give the page with the account as the ledger has it now."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, "the page has no place for the account"
    assert end, "the account on the page has no end"
    return f"{before}{BEGIN}\n{totals(read(ledger))}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_account(PAGE.read_text()))
