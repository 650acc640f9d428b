"""Whom the office sent away, and when it says so again."""

from fleet_manager.refusals import FIRST_PAUSE_MS, MAX_PAUSE_MS, MAX_REFUSED, RefusalBook

A, B = "a" * 32, "b" * 32


def tell(book: RefusalBook, *, now_ms: int) -> list[str]:
    """The boots that are told now."""
    due = book.due(now_ms=now_ms)
    for refusal in due:
        book.said(refusal, now_ms=now_ms)
    return [refusal.boot_id for refusal in due]


def test_a_refusal_is_due_until_the_road_took_it():
    book = RefusalBook()
    book.refuse("hs-1", boot_id=B)
    assert [one.boot_id for one in book.due(now_ms=5)] == [B]
    assert tell(book, now_ms=6) == [B]
    assert tell(book, now_ms=10 * MAX_PAUSE_MS) == []


def test_a_refused_process_is_told_again_when_it_is_heard_after_a_pause_that_doubles_up_to_a_cap():
    book, now_ms, pauses = RefusalBook(), 0, []
    book.refuse("hs-1", boot_id=B)
    assert tell(book, now_ms=now_ms) == [B]
    for _ in range(9):
        began_ms = now_ms
        while True:
            now_ms += FIRST_PAUSE_MS // 2  # it is heard twice a second
            book.seen("hs-1", boot_id=B, now_ms=now_ms)
            if tell(book, now_ms=now_ms):
                break
        pauses.append(now_ms - began_ms)
    assert pauses == [min(FIRST_PAUSE_MS << n, MAX_PAUSE_MS) for n in range(9)]


def test_what_is_heard_within_the_pause_proves_nothing_but_a_second_verdict_waits_for_its_end():
    book = RefusalBook()
    book.refuse("hs-1", boot_id=B)
    assert tell(book, now_ms=0) == [B]
    book.seen("hs-1", boot_id=B, now_ms=FIRST_PAUSE_MS - 1)
    assert tell(book, now_ms=FIRST_PAUSE_MS) == []
    book.refuse("hs-1", boot_id=B)
    assert tell(book, now_ms=FIRST_PAUSE_MS) == [B]
    book.refuse("hs-1", boot_id=B)
    assert tell(book, now_ms=3 * FIRST_PAUSE_MS - 1) == []
    assert tell(book, now_ms=3 * FIRST_PAUSE_MS) == [B]


def test_only_refused_processes_are_told_and_none_once_the_id_is_free():
    book = RefusalBook()
    book.seen("hs-1", boot_id=A, now_ms=0)
    assert (len(book), tell(book, now_ms=0)) == (0, [])
    for device in ("hs-1", "hs-2"):
        for boot in (A, B):
            book.refuse(device, boot_id=boot)
    book.forget("hs-1", boot_id=A)
    book.release("hs-2")
    assert (book.knows("hs-1", boot_id=A), book.knows("hs-1", boot_id=B)) == (False, True)
    (kept,) = book.due(now_ms=0)
    book.forget("hs-1", boot_id=B)
    book.said(kept, now_ms=0)  # it was released while this was on its way
    assert len(book) == 0


def test_the_book_is_bounded_and_forgets_who_was_told_longest_ago():
    book = RefusalBook()
    for n in range(MAX_REFUSED):
        book.refuse("hs-1", boot_id=f"{n:032x}")
    book.said(book.due(now_ms=0)[0], now_ms=0)
    book.refuse("hs-1", boot_id=B)
    assert len(book) == MAX_REFUSED
    assert book.knows("hs-1", boot_id=f"{0:032x}")
    assert not book.knows("hs-1", boot_id=f"{1:032x}")
