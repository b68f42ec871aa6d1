"""Times as they are asked for."""

import pytest

from server.tasks.requests.listing import ListTasks

DAY_US = 24 * 3600 * 1_000_000


@pytest.mark.parametrize("day", ["2026-02-01", "20260201", "2026-W05-7", "2026W057"])
def test_a_date_in_any_form_is_the_whole_day(day: str) -> None:
    request = ListTasks.model_validate({"fromDate": day, "toDate": day})
    assert (request.from_date, request.to_date) == (1_769_904_000_000_000, 1_769_904_000_000_000 + DAY_US - 1)


@pytest.mark.parametrize("moment", ["2026-02-01T00:00", "20260201T000000Z", "2026-02-01T01:00+01:00"])
def test_a_time_is_its_millisecond(moment: str) -> None:
    assert ListTasks.model_validate({"toDate": moment}).to_date == 1_769_904_000_000_999
