"""JSON values, good and bad, as RFC 8259 says and orjson reads them."""

from __future__ import annotations

STRINGS = (
    *(b"", b"a", b"\x7f", b'\\"', b"\\\\", b"\\/\\b\\f\\n\\r\\t", b"\\u00e9\\uFfFf", b"\\ud83d\\ude00"),
    *(text.encode() for text in ("\x80\u07ff", "\u0800\ud7ff\ue000\uffff", "\U00010000\U0010ffff")),
)
NO_STRINGS = (
    *(b"\x00", b"\x1f", b"\t", b"\n", b"\\", b"\\x", b"\\u12", b"\\u12g4", b"\\U0041", b'"'),
    *(b"\\ud83d", b"\\ude00", b"\\ud83d\\u0041", b"\\ud83d\\ud83d", b"\\ud83dxude00", b"\\ud83d\\", b"\\udc00\\udc00"),
    *(b"\x80", b"\xc1\xbf", b"\xc3", b"\xc3(", b"\xe0\x9f\xbf", b"\xe4\xbd", b"\xe4(\xbd", b"\xed\xa0\x80"),
    *(b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf0\x9f\x98", b"\xf0\x9f\x98(", b"\xff"),
)
VALUES = (
    *(b"true", b"false", b"null", b"[]", b"{}", b"[ ]", b"[1, [2], {}]", b'{"a" :{"b": [ ]}}', b'{"a":1,"a":2}'),
    *(b"0", b"-0", b"10", b"-1.5", b"0.0", b"1e5", b"1E+5", b"-1.25e-07", b"9" * 30, b"1e308"),
    *(b"[" * depth + b"]" * depth for depth in (31, 32, 33, 126, 127, 128, 129, 1000)),
    *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (31, 32, 33, 126, 127, 128, 129, 1000)),
    *(b'"%s"' % text for text in STRINGS),
    *(b'{"%s":1}' % text for text in STRINGS),
)
NO_VALUES = (
    *(b"", b"nul", b"nulll", b"True", b"tru", b"falsy", b"a", b"'a'", b"\x0b1", b"\xc2\xa01", b"1 1", b"//"),
    *(b"[", b"]", b"[1,]", b"[,1]", b"[1 2]", b"[1}", b"{", b"{]", b'{"a"}', b'{"a":}', b"{1:1}", b"{a:1}"),
    *(b'{"a":1,}', b'{,"a":1}', b'{"a" 1}', b'{"a":1 "b":2}', b'{"a":1,,"b":2}', b'{"a"::1}'),
    *(b"-", b"01", b"+1", b".5", b"1.", b"1.e5", b"1e", b"1e+", b"0x1", b"1_0", b"- 1"),
    *(b"1e309", b"-1e309", b"9" * 310, b"NaN", b"Infinity"),
    *(b"[" * depth + b"]" * depth for depth in (1024, 100_000)),
    *(b'"%s"' % text for text in NO_STRINGS),
    *(b'{"%s":1}' % text for text in NO_STRINGS),
)
