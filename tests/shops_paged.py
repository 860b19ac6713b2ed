"""Shops with pages of their own kind: mastodon forward by id, telegram back by number, fourchan thread by thread."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

from loopback import Asked
from shops import Named, Note, Shop, asks_to_wait, is_sick, json_of, too_many


class Mastodon(Shop):
    SOURCE, STREAM, PAGE = "mastodon", "tag/gme", 40
    NO_CONDITION = "it is asked for what came after an id, which mostly is next to nothing: a 304 would save nothing"
    named = asks_to_wait(
        {
            "X-RateLimit-Reset, an ISO time": Named(
                1200,
                lambda now: too_many(
                    X_RateLimit_Remaining="0", X_RateLimit_Reset=(now + timedelta(seconds=1200)).isoformat()
                ),
            ),
        }
    )

    def id_of(self, note: Note) -> int:
        return (note.at * 1000 << 16) + note.place

    def native(self, note: Note) -> str:
        return f"https://pond.example/statuses/{self.id_of(note)}"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        if path == "/api/v2/instance":
            feeds = {"local": "public", "remote": "public"}
            return json_of({"configuration": {"timelines_access": {"hashtag_feeds": feeds}}})
        listed = sorted(self.notes, key=self.id_of)
        if "min_id" in query:
            listed = [note for note in listed if self.id_of(note) > int(query["min_id"])][: self.PAGE]
        return json_of([self._status(note) for note in reversed(listed[-self.PAGE :])])

    def _status(self, note: Note) -> dict[str, object]:
        return {
            "id": str(self.id_of(note)), "uri": self.native(note), "created_at": note.iso, "visibility": "public",
            "content": f"<p>{note.text}</p>", "account": {"acct": "newt", "url": "https://pond.example/@newt"},
        }  # fmt: skip


class Telegram(Shop):
    SOURCE, STREAM, PAGE = "telegram", "pondnews", 20
    sick = is_sick()

    def native(self, note: Note) -> str:
        return f"pondnews/{note.number}"

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        before = int(query.get("before", 10**18))
        page = [note for note in self.newest_first if note.number < before][: self.PAGE]
        blocks = "".join(
            f'<div class="tgme_widget_message" data-post="PondNews/{note.number}">'
            f'<div class="tgme_widget_message_text">{note.text}</div>'
            f'<a class="tgme_widget_message_date"><time datetime="{note.iso}" class="time">12:00</time></a></div>'
            for note in reversed(page)
        )
        return f'<!DOCTYPE html><html><body><section class="tgme_channel_history">{blocks}</section></body></html>'.encode()


class Fourchan(Shop):
    """A board whose threads hold ten posts each; a thread changes when it gets one."""

    SOURCE, STREAM, PAGE = "fourchan", "biz", 10
    sick = is_sick()

    def number(self, note: Note) -> int:
        return 1000 + note.place  # posts are counted as they come

    def native(self, note: Note) -> str:
        return f"biz/{self.number(note)}"

    def thread(self, first: int) -> list[Note]:
        start = first - 1000
        return self.notes[start : start + self.PAGE]

    def publish_at(self, times: object) -> None:
        super().publish_at(times)  # type: ignore[arg-type]
        self.changed = {**getattr(self, "changed", {})}
        for start in range(0, len(self.notes), self.PAGE):
            held = len(self.notes[start : start + self.PAGE])
            if self.changed.get(start, (0, 0))[0] != held:
                self.changed[start] = (held, self.now - 20)

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        if path.endswith("/threads.json"):
            threads = [
                {"no": 1000 + start, "last_modified": at, "replies": held - 1}
                for start, (held, at) in self.changed.items()
            ]
            return json_of([{"page": 1, "threads": threads}])
        first = int(path.rpartition("/")[2].removesuffix(".json"))
        posts = [
            {
                "no": self.number(note),
                "resto": 0 if note is self.thread(first)[0] else first,
                "time": note.at,
                "com": note.text,
            }
            for note in self.thread(first)
        ]
        return json_of({"posts": posts})

    def validators(self, asked: Asked, body: bytes) -> dict[str, str]:
        path = urlsplit(asked.target).path
        times = {f"/biz/thread/{1000 + start}.json": at for start, (_, at) in self.changed.items()}
        at = times.get(path, max(times.values()))
        return {"Last-Modified": format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)}

    def is_current(self, asked: Asked, offered: dict[str, str]) -> bool:
        assert not parse_qs(urlsplit(asked.target).query), "this service takes no parameters"
        return asked.headers.get("if-modified-since") == offered["Last-Modified"]
