"""Write the table into SECURITY.md."""

from tests.gaps.document import SECURITY, text

if __name__ == "__main__":
    SECURITY.write_text(text(), encoding="utf-8")
