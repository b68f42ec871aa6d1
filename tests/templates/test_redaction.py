"""Texts that are masked, and texts that are shown as they are."""

import subprocess
from base64 import b64encode

import pytest

from templates.redaction import MAX_LINES, MIN_MASKED, Redactor
from templates.steps import finished
from tests.templates.encodings import ENCODINGS, Encoding

TOKEN = """sk-/Pä+5w~r<d>&"x*?#(';$ @!)="""
ASCII_TOKEN = "sk-51Hx9aQbZ7ddEk2"
KEY_FILE = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n\nBKcwggSjAgEAAoIBAQC7\n-----END KEY-----\n"


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("value", [TOKEN, ASCII_TOKEN, "pass word/1", KEY_FILE.strip()], ids=range(4))
def test_every_form_is_masked_whole(encode: Encoding, value: str) -> None:
    assert Redactor({"KEY": value}).redact(f"<{encode(value)}>") == "<[secret KEY]>"


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "user: "])
def test_base64_of_something_larger_is_masked_at_every_alignment(before: str) -> None:
    encoded = b64encode(f"{before}{ASCII_TOKEN} and more".encode()).decode()
    first, last = -(-len(before) * 8 // 6), (len(before) + len(ASCII_TOKEN)) * 8 // 6
    masked = Redactor({"KEY": ASCII_TOKEN}).redact(encoded)
    assert masked == f"{encoded[:first]}[secret KEY]{encoded[last:]}"


def test_the_output_of_base64_and_od_is_masked() -> None:
    script = 'printf "%s" "user:$KEY" | base64 -w 20; printf "%s" "$KEY" | od -An -v -tx1 -w8 | tr -d " "'
    done = subprocess.run(["sh", "-c", script], env={"KEY": ASCII_TOKEN}, stdout=subprocess.PIPE, text=True, check=True)
    assert Redactor({"KEY": ASCII_TOKEN}).redact(done.stdout) == "dXNlcjp[secret KEY]I=\n[secret KEY]\n"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_value_of_many_lines_is_masked_with_any_line_ends(line_end: str) -> None:
    shown = KEY_FILE.replace("\n", line_end)
    assert (
        Redactor({"KEY": KEY_FILE}).redact(f"cat key{line_end}{shown}$") == f"cat key{line_end}[secret KEY]{line_end}$"
    )


def test_the_lines_of_a_value_are_masked_with_marks_before_them() -> None:
    shown = "".join(f"+ {line}\n" for line in KEY_FILE.splitlines())
    mask = "+ [secret KEY]\n"
    assert Redactor({"KEY": KEY_FILE}).redact(shown) == f"{mask}{mask}+ \n{mask}{mask}"


def test_the_values_alone_can_be_masked_and_no_single_lines() -> None:
    redactor = Redactor({"KEY": KEY_FILE})
    assert finished(redactor.redacting(f"<{KEY_FILE.strip()}> MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", parts=False)) == (
        "<[secret KEY]> MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
    )


def test_short_lines_of_a_value_are_not_masked_by_themselves() -> None:
    assert Redactor({"KEY": "{\n  long enough\n}"}).redact("<long enough> {\n}") == "<[secret KEY]> {\n}"


def test_the_lines_of_a_value_of_very_many_are_not_masked_by_themselves() -> None:
    value = "\n".join(f"line {number:06}" for number in range(MAX_LINES + 1))
    redactor = Redactor({"KEY": value})
    assert redactor.redact(f"<{value}> line 000007") == "<[secret KEY]> line 000007"


def test_the_lines_of_a_value_of_many_are_masked_up_to_the_most() -> None:
    value = "\n".join(f"line {number:06}" for number in range(MAX_LINES))
    assert Redactor({"KEY": value}).redact("+line 000007") == "+[secret KEY]"


def test_the_lines_of_all_values_are_masked_up_to_the_most_in_the_order_of_the_values() -> None:
    def value(of: str, lines: int) -> str:
        return "\n".join(f"line {number:06} of {of}" for number in range(lines))

    many = MAX_LINES // 2 + 1
    first = value("first", many)
    redactor = Redactor({"A": first, "B": first, "C": value("third", many), "D": value("fourth", MAX_LINES - many)})
    shown = "+line 000001 of first\n+line 000001 of third\n+line 000001 of fourth"
    assert redactor.redact(shown) == "+[secret A]\n+line 000001 of third\n+[secret D]"
    assert redactor.redact(value("third", many)) == "[secret C]"


def test_a_value_with_many_empty_lines_is_masked() -> None:
    value = "first" + "\n" * 9 + "second"
    assert Redactor({"KEY": value}).redact(value.replace("\n", "\r\n")) == "[secret KEY]"


def test_a_value_that_is_not_valid_unicode_is_masked() -> None:
    assert Redactor({"KEY": "hunter\ud800"}).redact("hunter\ud800") == "[secret KEY]"


def test_a_terminal_that_wraps_a_value_does_not_hide_it() -> None:
    assert Redactor({"KEY": "hunter22"}).redact("hun\r\nter\n\n22\n") == "[secret KEY]\n"


def test_more_line_breaks_than_an_empty_line_part_a_text() -> None:
    assert Redactor({"KEY": "hunter22"}).redact("hunter\n\n\n\n\n22") == "hunter\n\n\n\n\n22"


def test_short_values_are_not_masked_but_listed() -> None:
    short = "a" * (MIN_MASKED - 1)
    redactor = Redactor({"PIN": short, "KEY": "hunter22", "BROKEN": "12\n\n\n34", "EMPTY": ""})
    assert redactor.too_short == ("PIN", "BROKEN", "EMPTY")
    assert redactor.redact(f"{short} 1234 hunter22") == f"{short} 1234 [secret KEY]"


@pytest.mark.parametrize("value", [" hunter 22", "hunter 22\t ", "\n  hunter 22 \n"])
def test_a_value_is_masked_without_the_blanks_at_its_ends(value: str) -> None:
    redactor = Redactor({"KEY": value})
    assert redactor.redact("<hunter 22> <aHVudGVyIDIy>") == "<[secret KEY]> <[secret KEY]>"
    assert redactor.redact(f"<{value.strip(chr(10))}>") == "<[secret KEY]>"


def test_an_unquoted_variable_is_masked() -> None:
    done = subprocess.run(
        ["sh", "-c", "echo $KEY"], env={"KEY": " hunter22 "}, stdout=subprocess.PIPE, text=True, check=True
    )
    assert Redactor({"KEY": " hunter22 "}).redact(done.stdout) == "[secret KEY]\n"


def test_what_is_short_without_its_blanks_is_masked_with_them_only() -> None:
    redactor = Redactor({"PIN": " 1234 "})
    assert redactor.too_short == ()
    assert redactor.redact("1234, 1234 ,") == "1234,[secret PIN],"


def test_a_derived_text_is_masked_in_all_forms_under_the_name_of_its_secret() -> None:
    redactor = Redactor({"KEY": "hunter/2 2"}, [("KEY", "aHVudGVyJTJGMiUyMDI=")])
    assert redactor.redact("hunter/2 2 aHVudGVyJTJGMiUyMDI=") == "[secret KEY] [secret KEY]"
    assert redactor.redact(b64encode(b"aHVudGVyJTJGMiUyMDI=").decode()) == "[secret KEY]"


def test_a_text_derived_from_a_short_secret_is_masked_if_it_is_long_enough() -> None:
    redactor = Redactor({"PIN": "12345"}, [("PIN", "MTIzNDU="), ("PIN", "1234")])
    assert redactor.too_short == ("PIN",)
    assert redactor.redact("1234, 12345, MTIzNDU=") == "1234, 12345, [secret PIN]"


def test_of_a_secret_in_a_secret_the_longer_is_named() -> None:
    redactor = Redactor({"SHORT": "hunter", "LONG": "hunter22"})
    assert redactor.redact("hunter hunter22 hunter2") == "[secret SHORT] [secret LONG] [secret SHORT]2"


def test_secrets_that_overlap_are_one_mask_named_for_the_first() -> None:
    assert Redactor({"A": "defghi", "B": "abcdef"}).redact("-abcdefghi-") == "-[secret B]-"


def test_a_value_that_overlaps_itself_leaves_nothing_behind() -> None:
    assert Redactor({"A": "abcabcab"}).redact("abcabcabcabcab cab") == "[secret A] cab"


def test_values_side_by_side_have_a_mask_each() -> None:
    assert Redactor({"A": "hunter22"}).redact("hunter22hunter22") == "[secret A][secret A]"


def test_equal_values_go_by_the_first_name() -> None:
    assert Redactor({"B": "hunter22", "A": "hunter22"}).redact("hunter22") == "[secret B]"


def test_a_mask_is_not_masked_again() -> None:
    redactor = Redactor({"A": "secret", "B": "[secret A]", "C": "hunter22"})
    assert redactor.redact("secret, hunter22") == "[secret A], [secret C]"


def test_containing_names_the_first_secret_in_any_form() -> None:
    redactor = Redactor({"A": "hunter22", "B": "letmein!"})
    assert finished(redactor.containing("bGV0bWVpbiE=, hunter22")) == "B"
    assert finished(redactor.containing("hunter 22 letmein")) is None


def test_a_text_does_not_contain_a_secret_for_one_of_its_lines() -> None:
    redactor = Redactor({"CONFIG": "apiVersion: v1\nkind: Config\ntoken: hunter22"})
    assert finished(redactor.containing("apiVersion: v1\nkind: Pod")) is None
    assert finished(redactor.containing("{apiVersion: v1\r\nkind: Config\r\ntoken: hunter22}")) == "CONFIG"


def test_without_secrets_nothing_is_masked_or_held_back() -> None:
    redactor = Redactor({})
    assert (
        redactor.redact("text\n")
        == finished(redactor.redacting("text\n", 0, 5))
        == redactor.stream().feed("text\n")
        == "text\n"
    )
    assert finished(redactor.containing("text")) is None
    assert redactor.longest == 0


@pytest.mark.parametrize("cut", range(1, len(ASCII_TOKEN)))
def test_a_stream_masks_a_value_cut_anywhere(cut: int) -> None:
    stream = Redactor({"KEY": ASCII_TOKEN}).stream()
    assert stream.feed(f"key: {ASCII_TOKEN[:cut]}") == "key: "
    assert stream.held == cut
    assert stream.feed(f"{ASCII_TOKEN[cut:]}!") == "[secret KEY]!"
    assert stream.finish() == ""


def test_a_stream_shows_at_once_what_turns_out_to_be_harmless() -> None:
    stream = Redactor({"KEY": "hunter22"}).stream()
    assert [stream.feed(piece) for piece in ["the hunt", "er", " sleeps\n"]] == ["the ", "", "hunter sleeps\n"]


def test_a_stream_waits_for_the_longer_of_two_secrets() -> None:
    stream = Redactor({"SHORT": "hunter", "LONG": "hunter22"}).stream()
    assert [stream.feed("a hunter"), stream.feed("2"), stream.feed("3")] == ["a ", "", "[secret SHORT]23"]
    assert [stream.feed(" hunter"), stream.feed("22")] == [" ", "[secret LONG]"]


def test_a_stream_goes_on_masking_what_overlaps_a_mask_it_has_shown() -> None:
    stream = Redactor({"A": "abcdef", "B": "defghi"}).stream()
    assert [stream.feed("abcdef"), stream.feed("ghi"), stream.feed("-"), stream.finish()] == ["[secret A]", "", "-", ""]


def test_a_stream_shows_the_beginning_of_a_secret_only_when_the_text_ends_there() -> None:
    stream = Redactor({"KEY": "hunter22"}).stream()
    assert stream.feed("a hunter2") == "a "
    assert stream.finish() == "hunter2"


@pytest.mark.parametrize("cut", range(len(ASCII_TOKEN)))
def test_a_part_never_begins_inside_a_secret(cut: int) -> None:
    text = f"{ASCII_TOKEN}, then {ASCII_TOKEN}"
    assert finished(Redactor({"KEY": ASCII_TOKEN}).redacting(text, cut, len(text))) == "[secret KEY], then [secret KEY]"


def test_a_part_that_begins_with_nothing_secret_is_kept_whole() -> None:
    assert finished(Redactor({"KEY": "hunter22"}).redacting("in words and hunter22", 3, 21)) == "words and [secret KEY]"


def test_nothing_is_shown_of_a_secret_that_begins_like_the_rest_of_a_change_of_color() -> None:
    stream = Redactor({"KEY": "12345xyzuvw9"}).stream()
    assert [stream.feed("\x1b[123"), stream.feed("45xyzuvw9\n"), stream.finish()] == ["", "\x1b[[secret KEY]\n", ""]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("before", ['"', '""', '"""', '\\"', '\\\\"'])
def test_quotes_around_a_secret_with_doubled_quotes_hide_nothing_of_it(before: str, size: int) -> None:
    text = f'{before}{before}pass""word""""with{before}'
    stream = Redactor({"Q": 'pass"word""with'}).stream()
    shown = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join((*shown, stream.finish())) == f"{before}{before}[secret Q]{before}"
