"""What failures of the network mean, in our words: those of libraries tell of their own objects."""

import errno
import re
import socket
import ssl
from collections.abc import Iterator

_MOST = 12  # errors that one failure hides in another

# By the number that the system gives.
_BY_NUMBER = {
    errno.ECONNREFUSED: "the server refuses the connection",
    errno.ECONNRESET: "the server broke off",
    errno.ECONNABORTED: "the server broke off",
    errno.EPIPE: "the server broke off",
    errno.ETIMEDOUT: "the server does not answer in time",
    errno.ENETUNREACH: "there is no way to the server",
    errno.ENETDOWN: "there is no way to the server",
    errno.EHOSTUNREACH: "there is no way to the server",
    errno.EHOSTDOWN: "there is no way to the server",
    errno.EADDRNOTAVAIL: "there is no way to the server",
    errno.EMFILE: "too many files are open",
    errno.EACCES: "this machine does not allow the connection",
    errno.EPERM: "this machine does not allow the connection",
}
# By what libraries (urllib3, aiohttp, botocore, requests) call the error's kind.
_BY_KIND = (
    (re.compile(r"NameResolution|DNSError|gaierror"), "no server of that name is known"),
    (re.compile(r"Proxy"), "the proxy does not answer"),
    (re.compile(r"Time-?out", re.IGNORECASE), "the server does not answer in time"),
    (re.compile(r"Decode|ContentEncoding|Zlib", re.IGNORECASE), "what came cannot be unpacked"),
    (re.compile(r"Incomplete|PayloadError|ReadError"), "less came than was announced"),
    (re.compile(r"Disconnected|RemoteDisconnected|ConnectionReset|BrokenPipe|BadStatusLine"),
     "the server broke off"),
    (re.compile(r"BadHttp|BadStatus|HeaderParsing|LineTooLong|InvalidChunk|Protocol"),
     "the server does not speak HTTP as it should"),
    (re.compile(r"NoCredentials|PartialCredentials|TokenRetrieval|DefaultCredentials"),
     "there are no credentials for it"),
    (re.compile(r"InvalidURL|LocationParse|LocationValue|NonHttpUrl"), "it is no address"),
    (re.compile(r"Connect|Endpoint"), "the server cannot be reached"),
)  # fmt: skip
_CERTIFICATES = (
    ("expired", "it has expired"),
    ("not yet valid", "it is not valid yet"),
    ("self-signed", "nobody vouches for it"),
    ("self signed", "nobody vouches for it"),
    ("unable to get local issuer", "nobody here knows who vouches for it"),
    ("hostname mismatch", "it is another server's"),
    ("not valid for", "it is another server's"),
    ("doesn't match", "it is another server's"),
    ("revoked", "it was revoked"),
)


def failure_in_words(error: BaseException) -> str:
    """What went wrong between here and a server, without what libraries say of themselves."""
    hidden = list(_inner(error))
    for one in hidden:
        if isinstance(one, ssl.SSLError):
            return certificate_in_words(one)
    for one in reversed(hidden):  # the innermost is what happened
        if isinstance(one, socket.gaierror):
            return "no server of that name is known"
        number = getattr(one, "errno", None)
        if isinstance(one, OSError) and number in _BY_NUMBER:
            return _BY_NUMBER[number]
    names = [kind.__name__ for one in reversed(hidden) for kind in type(one).__mro__[:-3] or ()]
    for pattern, words in _BY_KIND:
        if any(pattern.search(name) for name in names):
            return words
    return "the connection failed"


def certificate_in_words(error: BaseException) -> str:
    """Why a secure connection was not made."""
    said = " ".join(str(one).casefold() for one in _inner(error))
    if "certificate" not in said and "hostname" not in said:
        return "no secure connection comes about"
    why = next((words for mark, words in _CERTIFICATES if mark in said), "")
    return f"its certificate is not valid{f': {why}' if why else ''}"


def _inner(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it hides: causes, reasons, and what it was made of."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MOST:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        others = (one.__cause__, one.__context__, getattr(one, "reason", None),
                  getattr(one, "os_error", None), getattr(one, "original_error", None),
                  *one.args)  # fmt: skip
        waiting += [other for other in others if isinstance(other, BaseException)]
