"""Visitors who sign up through the site over HTTP, and the demo's own record of what the site answered them."""

import itertools
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPResponse
from http.cookiejar import CookieJar

NAMES = ("Ada", "Alan", "Barbara", "Donald", "Edsger", "Frances", "Grace", "John", "Katherine", "Margaret", "Niklaus")
THREADS = 4
DECLINED_EVERY = 5
BOUNCES_EVERY = 23


@dataclass(frozen=True, slots=True)
class Visitor:
    name: str
    email: str
    declined: bool


def visitors() -> Iterator[Visitor]:
    """Endless; every fifth card is declined, every twenty-third address does not exist."""
    for number, name in enumerate(itertools.cycle(NAMES), 1):
        address = "bounce" if number % BOUNCES_EVERY == 0 else name.lower()
        yield Visitor(name, f"{address}.{number}@demo.example", number % DECLINED_EVERY == 0)


@dataclass(slots=True)
class Record:
    """What the site answered: job id by address."""

    committed: dict[str, str] = field(default_factory=dict)
    rolled_back: dict[str, str] = field(default_factory=dict)
    odd_answers: list[str] = field(default_factory=list)


class _KeepAnswer(urllib.request.HTTPErrorProcessor):
    """Every answer is an answer: no redirect is followed, no 402 raised."""

    def http_response(self, _request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:
        return response


class Crowd:
    """A few threads of visitors at a steady pace, from `start()` to `stop()`."""

    def __init__(self, url: str, rate: float) -> None:
        self.record = Record()
        self._url = f"{url}sign-up/"
        self._pause = 1 / rate
        self._visitors = visitors()
        self._lock = threading.Lock()
        self._next_at = 0.0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"visitors-{n}", daemon=True) for n in range(THREADS)]

    def start(self) -> None:
        self._next_at = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return when every visitor under way has an answer: a sign-up without one could not be accounted for."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run(self) -> None:
        browser, token = self._browser()
        while not self._stop.is_set():
            with self._lock:
                visitor = next(self._visitors)
                # A site that was slow for a while is not flooded afterwards.
                self._next_at = max(self._next_at + self._pause, time.monotonic() - 1)
                wait = self._next_at - time.monotonic()
            if self._stop.wait(max(0.0, wait)):
                return
            self._sign_up(browser, token, visitor)

    def _browser(self) -> tuple[urllib.request.OpenerDirector, str]:
        """Fetch the form, as a browser does, for its CSRF cookie."""
        jar = CookieJar()
        browser = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar), _KeepAnswer
        )
        with browser.open(self._url, timeout=30):
            return browser, next(cookie.value or "" for cookie in jar if cookie.name == "csrftoken")

    def _sign_up(self, browser: urllib.request.OpenerDirector, token: str, visitor: Visitor) -> None:
        fields = {"name": visitor.name, "email": visitor.email, "csrfmiddlewaretoken": token}
        if visitor.declined:
            fields["decline_card"] = "on"
        try:
            with browser.open(self._url, urllib.parse.urlencode(fields).encode(), timeout=60) as answer:
                status, job_id = answer.status, answer.headers.get("X-Job-Id", "")
        except OSError as error:
            status, job_id = repr(error), ""
        wanted, found = (402, self.record.rolled_back) if visitor.declined else (302, self.record.committed)
        with self._lock:
            if status == wanted and job_id:
                found[visitor.email] = job_id
            else:
                self.record.odd_answers.append(f"{visitor.email}: {status}, job id {job_id!r}, wanted {wanted}")
