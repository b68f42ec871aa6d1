"""Write the table into docs/compatibility.md and the README."""

from tests.behaviours.document import texts

if __name__ == "__main__":
    for path, text in texts().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
