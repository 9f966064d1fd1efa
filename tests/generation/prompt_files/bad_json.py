"""JSON and JSONL that must be refused, each with the sentence that a person gets to read."""

from typing import Final

from tests.generation.prompt_files.bad_tables import BadFile

_AGAIN: Final = "correct it or export the file again"

BAD_JSON: Final = [
    BadFile(
        "not JSON",
        "a.json",
        b"a cat\n",
        1,
        "this is not JSON, which begins with [ or {; correct it, or name it .txt if it is one prompt a line",
    ),
    BadFile("empty list", "a.json", b"[]", None, "there are no prompts in this file; add at least one"),
    BadFile(
        "empty object",
        "a.json",
        b"{}",
        1,
        "no prompts are found in this object; write a list of strings, or of objects with a prompt",
    ),
    BadFile(
        "cut list", "a.json", b'["a",\n"b"', 2, f'this is not valid JSON ("," or "]" is expected, column 4); {_AGAIN}'
    ),
    BadFile(
        "cut string",
        "a.json",
        b'["a",\n"b',
        2,
        f"this is not valid JSON (unterminated string starting at, column 1); {_AGAIN}",
    ),
    BadFile(
        "missing comma",
        "a.json",
        b'["a"\n"b"]',
        2,
        f'this is not valid JSON ("," or "]" is expected, column 1); {_AGAIN}',
    ),
    BadFile(
        "comma at the end", "a.json", b'["a",\n]', 2, f"this is not valid JSON (expecting value, column 1); {_AGAIN}"
    ),
    BadFile(
        "text behind",
        "a.json",
        b'["a"]\n["b"]',
        2,
        f"this is not valid JSON (more text follows the end, column 1); {_AGAIN}",
    ),
    BadFile(
        "key without marks",
        "a.json",
        b'{"x": 1,\n y: 2}',
        2,
        f"this is not valid JSON (a key in quotation marks is expected, column 2); {_AGAIN}",
    ),
    BadFile("no colon", "a.json", b'{"x" 1}', 1, f'this is not valid JSON (":" is expected, column 6); {_AGAIN}'),
    BadFile(
        "broken line",
        "a.jsonl",
        b'{"prompt": "a"}\n{"prompt": "b"\n{"prompt": "c"}\n',
        2,
        f"this is not valid JSON (expecting ',' delimiter, column 15); {_AGAIN}",
    ),
    BadFile(
        "two values in a line",
        "a.jsonl",
        b'{"prompt": "a"} {"prompt": "b"}\n',
        1,
        f"this is not valid JSON (more text follows the end, column 17); {_AGAIN}",
    ),
    BadFile(
        "depth", "a.json", b"[" * 10_000 + b"]" * 10_000, 1, "the JSON is nested more than 32 levels deep; flatten it"
    ),
    BadFile(
        "depth in a line",
        "a.jsonl",
        b'{"prompt": "a"}\n{"prompt": "b", "x": ' + b"[" * 40 + b"]" * 40 + b"}",
        2,
        "the JSON is nested more than 32 levels deep; flatten it",
    ),
    BadFile(
        "NaN",
        "a.json",
        b'[{"prompt": "a"},\n{"prompt": "b", "x": NaN}]',
        2,
        "NaN is not valid JSON; write null instead",
    ),
    BadFile(
        "Infinity", "a.jsonl", b'{"prompt": "b", "x": -Infinity}', 1, "-Infinity is not valid JSON; write null instead"
    ),
    BadFile(
        "1e400", "a.jsonl", b'{"prompt": "b", "x": 1e400}', 1, "the number 1e400 is too large; write it as a string"
    ),
    BadFile(
        "huge integer",
        "a.jsonl",
        b'{"prompt": "b", "x": ' + b"9" * 1_000_000 + b"}",
        1,
        f"the number {'9' * 37}... is too large; write it as a string",
    ),
    BadFile(
        "integer over 63 bits",
        "a.json",
        b'["a",\n{"prompt": "b", "x": 9223372036854775808}]',
        2,
        "the number 9223372036854775808 is too large; write it as a string",
    ),
    BadFile(
        "duplicate keys",
        "a.json",
        b'["a",\n{"prompt": "b", "prompt": "c"}]',
        2,
        'the key "prompt" is there twice in one object; remove one of them',
    ),
    BadFile(
        "duplicate keys at the top",
        "a.json",
        b'{"x": ["a"],\n"x": ["b"]}',
        2,
        'the key "x" is there twice in one object; remove one of them',
    ),
    BadFile("NUL in a string", "a.json", b'["a",\n"b\\u0000"]', 2, "a string contains a NUL character; remove it"),
    BadFile(
        "half a surrogate pair",
        "a.json",
        b'["a",\n"b\\ud800"]',
        2,
        "a string contains half a surrogate pair; export the file again as UTF-8",
    ),
    BadFile(
        "object without a prompt",
        "a.json",
        b'["a",\n{"id": 1, "x": 2}]',
        2,
        'there is no prompt here, only id, x; give every row a "prompt"',
    ),
    BadFile(
        "line without a prompt",
        "a.jsonl",
        b'{"prompt": "a"}\n\n{"id": 1}\n',
        3,
        'there is no prompt here, only id; give every row a "prompt"',
    ),
    BadFile(
        "empty object in a list",
        "a.json",
        b"[{}]",
        1,
        'there is no prompt here, only nothing; give every row a "prompt"',
    ),
    BadFile(
        "prompt is a number",
        "a.json",
        b'["a",\n{"prompt": 3}]',
        2,
        '"prompt" is not a text; write the prompt as a string',
    ),
    BadFile(
        "prompt is null", "a.jsonl", b'{"prompt": null}', 1, '"prompt" is not a text; write the prompt as a string'
    ),
    BadFile("prompt is blank", "a.json", b'["a",\n" "]', 2, "the prompt is empty; write one or remove the row"),
    BadFile(
        "number in a list",
        "a.json",
        b'["a",\n3]',
        2,
        "here is a number where a prompt should be; write a string, or an object with a prompt",
    ),
    BadFile(
        "list in a list",
        "a.json",
        b'[["a"]]',
        1,
        "here is a list where a prompt should be; write a string, or an object with a prompt",
    ),
    BadFile(
        "null in a line",
        "a.jsonl",
        b'{"prompt": "a"}\nnull\n',
        2,
        "here is null where a prompt should be; write a string, or an object with a prompt",
    ),
    BadFile(
        "true in a line",
        "a.jsonl",
        b'{"prompt": "a"}\ntrue\n',
        2,
        "here is true or false where a prompt should be; write a string, or an object with a prompt",
    ),
    BadFile(
        "object of numbers",
        "a.json",
        b'\n{"x": 1}',
        2,
        "no prompts are found in this object; write a list of strings, or of objects with a prompt",
    ),
    BadFile(
        "columns side by side",
        "a.json",
        b'{"prompt": ["a"],\n"category": ["b"]}',
        1,
        'the columns stand side by side, "prompt" among them; write a list with one object a prompt '
        "(in pandas: to_json(orient='records'))",
    ),
    BadFile(
        "text to render is an object",
        "a.json",
        b'[{"prompt": "a", "target_text": {}}]',
        1,
        "the text to render is not a text; write it as a string or a list of strings",
    ),
    BadFile(
        "key with control characters",
        "a.jsonl",
        b'{"\\u001b[31m\\u202e": 1}',
        1,
        'there is no prompt here, only \ufffd[31m\ufffd; give every row a "prompt"',
    ),
]
