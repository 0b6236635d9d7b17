"""Prints tests/golden/data/xml.json: messages and parsed completions of DSPy's XMLAdapter, beyond those of adapters.json (DSPy 3.4.1)."""
import json

import dspy
from dspy.adapters.xml_adapter import XMLAdapter
from dspy.utils.exceptions import AdapterParseError

adapter = XMLAdapter()
prompts = [
    ("q -> a", None, [{"q": "1 < 2 & 3", "a": "x < y & z > \"w\""}, {"q": "n", "a": ["p & q", "r"]}], {"q": "<b>"}),
    ("q -> a: list[str], b: Optional[list[int]], c: dict[str, list[str]]", "Say.",
     [{"q": "d", "a": [], "b": None, "c": {}},
      {"q": "e", "a": ["x & y", "<i>"], "b": [1, 2], "c": {"two words": ["u"], "k-1": [], "3x": ["v \"w\" 'z' > \n\t"], "\u00e9t\u00e9": ["\u00fc"], "": ["e"]}}], {}),
    ("q: list[str], r: dict[str, int] -> a: list, b: tuple[int, str], c: set[str], d: list[list[int]], e: list[dict[str, float]]", None,
     [{"q": ["m"], "r": {"s": 1}, "a": [1, None, True], "b": [1, "x"], "c": ["y"], "d": [[1], []], "e": [{"f": 0.5, "g": None, "h": True}]}], {"q": [], "r": {}}),
    ("q -> a: Union[int, str], b: Optional[dict[str, Any]], c: Union[list[int], str], d: Literal['x < y', 'z']", None,
     [{"q": "", "a": "s & t", "b": {"u": [{"v": 1}]}, "c": [1], "d": "x < y"}, {"a": 1}, {"q": None, "a": 2, "b": {}, "c": "w", "d": "z"}], {"q": None}),
]
completions = [
    ("q -> a", c) for c in [
        "<a/>", "<a />", "<a></a>", "<a> x \n y </a>", "<a>x</a", "<a>x", "x</a>", "<a>x</b>", "<a>&lt;b&gt; &quot;&apos;</a>", "<a>&#65;&#x42;&#x1F600;</a>", "<a>&#0;</a>", "<a>&nbsp;</a>",
        "<a>x & y</a>", "<a><![CDATA[1 < 2 & 3]]></a>", "<a>x<!-- note -->y</a>", "<a><!-- a -- b --></a>", "<a>x]]>y</a>", "<?xml version=\"1.0\"?><a>x</a>", "<a><?php echo ?>x</a>", "<a b=\"1\">x</a>",
        "<a b=1>x</a>", "<a b=\"1\" b=\"2\">x</a>", "<a b=\"<\">x</a>", "<a b='1'c='2'>x</a>", "<A>x</A>", "<a>one<br/>two</a>", "<a>one<br>two</a>", "<a><i x=\"1 &lt; &quot;2&quot;\">b &amp; c</i> d &lt; e</a>",
        "<a>lead &amp; &lt; <b>x</b> tail &amp; &gt;</a>", "<a><p:b>x</p:b></a>", "<p:a>x</p:a>", "<a><xml:b>x</xml:b></a>", "```xml\n<a>x</a>\n```", "<answer><a>x</a></answer>", "<a>x</a></dspy_root><dspy_root>",
        "<entry key=\"a\">x</entry>", "<a>1</a><a><b>2</b></a>", "<a>x\r\ny\rz</a>", "<a>\u00e9\u4e16</a>", "<a>x\x0by</a>", "< a>x</a>", "<a >x</a >", "<a\n>x</a\t>", "<a>x</ a>", "<1>x</1>", "<!DOCTYPE a><a>x</a>", "no tags", "<a.b>x</a.b><a>y</a>",
        "<a><![CDATA[x]]y]]></a>", "<a>]]</a>", "<a><![cdata[x]]></a>", "<a>&#x110000;</a>", "<a>&#xD800;</a>", "<a>&#;</a>", "<a>&#x;</a>", "<a>&lt</a>", "<a>x</a>&", "<a>x</a><", "<a><b></a></b>", "<a>x\ufffey</a>", "<a><b c=\"x\ny\tz\">d</b></a>", "<a><b/>\n<c> </c></a>"]
] + [
    ("q -> a: int", c) for c in ["<a>5</a>", "<a> 5 </a>", "<a>five</a>", "<a></a>", "<a>5.0</a>", "<a>5</a><a>6</a>", "<a><b>5</b></a>", "<a>1_000</a>"]
] + [
    ("q -> a: list[int]", c) for c in ["<a>[1, 2]</a>", "<a><item>1</item></a>", "<a><item>1</item><item>x</item></a>", "<a>1</a><a>2</a>", "<a>1</a>", "<a>1, 2</a>", "<a><x>1</x></a>", "<a><item>1</item><x>2</x></a>", "<a><item/></a>", "<a> </a>", "<a>{}</a>"]
] + [
    ("q -> a: list[list[str]]", c) for c in ["<a><item><item>x</item></item></a>", "<a><item>x</item></a>", "<a><item></item></a>", "<a>[[\"x\"]]</a>", "<a><item>[\"x\"]</item></a>"]
] + [
    ("q -> a: list[dict[str, int]]", c) for c in ["<a><item><k>1</k></item><item><k>2</k></item></a>", "<a><item></item></a>", "<a><k>1</k></a>", "<a><item><k>1</k><k>2</k></item></a>"]
] + [
    ("q -> a: dict[str, list[int]]", c) for c in ["<a><k><item>1</item></k></a>", "<a><k>1</k><k>2</k></a>", "<a><k></k></a>", "<a><entry key=\"a b\">[1]</entry></a>", "<a>{\"k\": [1]}</a>", "<a><entry>[1]</entry></a>"]
] + [
    ("q -> a: dict[str, Any]", c) for c in ["<a><k>1</k><m><n>x</n></m></a>", "<a>{\"k\": 1}</a>", "<a></a>", "<a>text</a>", "<a><k>1</k><k>2</k></a>"]
] + [
    ("q -> a: dict[str, str]", c) for c in ["<a><k>x <b>y</b> z</k></a>", "<a><k/></a>"]
] + [
    ("q -> a: Optional[str]", c) for c in ["<a></a>", "<a>None</a>", "<a>null</a>", "<a>x</a>", "", "<b/>", "<a>x<b/></a>", "<a>5</a>"]
] + [
    ("q -> a: Optional[list[str]], b", c) for c in ["<a></a><b>x</b>", "<a><item>x</item></a><b>y</b>", "<b>y</b>", "<a>null</a><b>y</b>", "<a>None</a><b>y</b>", "<a>x</a><b>y</b>"]
] + [
    ("q -> a: Union[int, str]", c) for c in ["<a>5</a>", "<a>x</a>", "<a>[1]</a>", "<a>{\"k\": 1}</a>", "<a><b>5</b></a>", "<a></a>"]
] + [
    ("q -> a: Union[list[int], str]", c) for c in ["<a><item>1</item></a>", "<a>x</a>", "<a>[1]</a>", "<a>x <b>y</b></a>", "<a></a>"]
] + [
    ("q -> a: Union[str, dict[str, int]]", c) for c in ["<a><k>1</k></a>", "<a>x</a>", "<a><k>x</k></a>", "<a></a>"]
] + [
    ("q -> a: Literal['x', 'y z'], b: bool, c: float", c) for c in
    ["<a>x</a><b>True</b><c>.5</c>", "<a> 'y z' </a><b>no</b><c>1e3</c>", "<a>X</a><b>1</b><c>1</c>", "<a>x</a><b>maybe</b><c>1</c>", "<a>x</a><b></b><c>1</c>", "<a>x</a><a>x</a><b>true</b><c>1</c>", "<a><k>x</k></a><b>true</b><c>1</c>"]
] + [
    ("q -> a: Literal[1, 2]", c) for c in ["<a>1</a>", "<a>\"2\"</a>", "<a>3</a>"]
] + [
    ("q -> a: tuple[int, str]", c) for c in ["<a>[1, \"x\"]</a>", "<a><item>1</item><item>x</item></a>", "<a>(1, 'x')</a>", "<a></a>"]
] + [
    ("q -> a: set[int]", c) for c in ["<a><item>1</item><item>1</item></a>", "<a>[1, 2, 1]</a>"]
] + [
    ("q -> a: list, b: dict", c) for c in ["<a>[1, \"x\"]</a><b>{\"k\": 1}</b>", "<a><item>1</item></a><b><k>1</k></b>", "<a></a><b></b>"]
] + [
    ("q -> a: list[Literal['x', 'y']]", c) for c in ["<a><item>x</item><item> y </item></a>", "<a><item>z</item></a>"]
] + [("q -> reasoning, a: int", "<reasoning>\nso 1 &lt; 2\n</reasoning>\n\n<a>\n2\n</a>")]


def plain(v):
    return sorted(v) if isinstance(v, (set, frozenset)) else list(v) if isinstance(v, tuple) else v


out = {"messages": [], "parse": []}
for text, instructions, demos, inputs in prompts:
    signature = dspy.Signature(text, instructions) if instructions else dspy.Signature(text)
    out["messages"].append({"adapter": "xml", "signature": text, "instructions": instructions, "demos": demos, "inputs": inputs,
                            "messages": adapter.format(signature, demos, inputs)})
for text, completion in completions:
    row = {"signature": text, "completion": completion}
    try:
        row["ok"] = {k: plain(v) for k, v in adapter.parse(dspy.Signature(text), completion).items()}
    except AdapterParseError:
        row["error"] = "AdapterParseError"
    except Exception as e:
        row["error"] = type(e).__name__
    out["parse"].append(row)
print("{" + ",\n".join(f'"{k}": [' + ",\n ".join(json.dumps(r) for r in v) + "]" for k, v in out.items()) + "}")
