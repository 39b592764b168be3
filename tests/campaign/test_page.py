"""What docs/promises.md says was seen is what the ledger holds."""

from xiaohe.campaign.page import PAGE, page_with_account


def test_the_account_on_the_page_is_that_of_the_ledger() -> None:
    """After a campaign: `python -m xiaohe.campaign.page`."""
    page = PAGE.read_text()
    assert page == page_with_account(page)
