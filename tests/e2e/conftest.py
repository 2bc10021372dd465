import pytest
from browser_page import ReviewPage, chromium


@pytest.fixture(scope="session")
def driver():
    made = chromium()
    yield made
    made.quit()


@pytest.fixture
def page(driver):
    """A page on a desk; what it keeps in the browser is gone afterwards."""
    made = ReviewPage(driver)
    yield made
    driver.execute_script("sessionStorage.clear(); localStorage.clear()")
