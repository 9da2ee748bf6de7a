"""What the pages of deploy/ promise exists: commands, options, files, variables, placeholders."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from capflow_assets.cli.commands import app
from capflow_assets_tests.deploy.files import DEPLOY, REPOSITORY, text_files

README = (DEPLOY / "README.md").read_text(encoding="utf-8")
# Parameters of the pages' own commands and of these tests.
PARAMETERS = {"DAGSTER_DATABASE", "MLFLOW_DATABASE", "DAGSTER_CHART"}
OUR_VARIABLE = re.compile(r"\bCAPFLOW_[A-Z_]+\b")


def commands() -> Iterator[list[str]]:
    """Every ``capflow …`` of the pages, as words: in a block of shell, in backticks, or as a service's command."""
    for name, text in text_files().items():
        if not name.endswith((".md", ".yaml", ".toml")):
            continue
        blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.S)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`(capflow [^`…|]+)`", text)
        for line in lines:
            match = re.search(r"(?:^|^code |^\w+=\S+ |capflow-assets:\S+ )capflow ([a-z-].*)$", line.split(" #")[0])
            if match:
                yield shlex.split(match[1])


def test_every_command_and_option_exists():
    group = typer.main.get_command(app)
    given = list(commands())
    assert ["status"] in given
    for words in given:
        if words[0].startswith("-"):
            assert words == ["--help"]
            continue
        command = group.commands.get(words[0])
        assert command is not None, f"capflow {words[0]}"
        known = {option for parameter in command.params for option in parameter.opts}
        options = {word.split("=")[0] for word in words[1:] if word.startswith("-")}
        assert options <= known, f"capflow {' '.join(words)}: {options - known}"


def test_every_variable_of_ours_is_one_that_the_code_documents():
    sources = [*(REPOSITORY / "capflow_assets").rglob("*.py")]
    known = {name for file in sources for name in OUR_VARIABLE.findall(file.read_text(encoding="utf-8"))}
    for name, text in text_files().items():
        assert set(OUR_VARIABLE.findall(text)) <= known, f"{name}: {set(OUR_VARIABLE.findall(text)) - known}"


@pytest.mark.parametrize(
    ("prefix", "package"),
    [("DAGSTER_", "dagster*"), ("MLFLOW_", "mlflow"), ("DATABRICKS_", "databricks"), ("AWS_", "boto*")],
)
def test_every_variable_of_others_is_one_that_they_read(prefix, package):
    """It stands in the source of its own library, in ours, or in the compiled delta-rs."""
    site = Path(typer.__file__).parents[1]
    files = [file for folder in site.glob(package) if folder.is_dir() for file in folder.rglob("*.py")]
    files += (REPOSITORY / "capflow_assets").rglob("*.py")
    read = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    compiled = next((site / "deltalake").glob("_internal*.so")).read_bytes()
    variables = {name for text in text_files().values() for name in re.findall(rf"\b{prefix}[A-Z_]+\b", text)}
    unknown = {
        name for name in variables if not re.search(rf"\b{name}\b", read) and name.lower().encode() not in compiled
    }
    assert unknown <= PARAMETERS


def test_every_file_that_is_named_exists():
    named = r"(?<![\w/])((?:deploy|capflow_assets|capflow_assets_tests|docs)/[\w./-]*\w|(?:dagster|workspace)\.yaml)"
    for name, text in text_files().items():
        for path in re.findall(named, text):
            assert (REPOSITORY / path).exists(), f"{name}: {path}"
        if name.endswith(".md"):
            for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
                assert (REPOSITORY / name).parent.joinpath(link).exists(), f"{name}: {link}"


def test_the_chart_is_the_one_of_our_dagster():
    chart_versions = {number for text in text_files().values() for number in re.findall(r"--version (\S+)", text)}
    named = {number for text in text_files().values() for number in re.findall(r"dagster/dagster (\d\S+?):", text)}
    assert chart_versions == named == {version("dagster")}


def test_every_example_that_must_be_replaced_is_named_on_the_page():
    """An account, a host, a bucket: whoever follows the page meets each of them in its table."""
    example = re.compile(
        r"\b(?:[\w.-]+\.)?example\.com\b|\b123456789012\b|\bexample-capflow-lake\b|dbc-00000000-0000\.cloud\.databricks\.com"
        r"|0000-000000-pool000-pool-00000000|000000000000CAPF|00000000-0000-0000-0000-000000000000"
        r"|capflow\.cluster-example[\w.-]+\.com|\beu-west-1\b"
    )
    files = {name: text for name, text in text_files().items() if not name.endswith((".md", "-policy.json", ".toml"))}
    table = README[README.index("| replace |") :].split("\n\n")[0]
    for name, text in files.items():
        for placeholder in sorted(set(example.findall(text))):
            assert placeholder in table, f"{name}: {placeholder}"


def test_blocks_of_shell_are_shell():
    for name, text in text_files().items():
        for block in re.findall(r"```bash\n(.*?)```", text, re.S):
            done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{name}: {done.stderr}\n{block}"


def test_the_page_says_what_was_not_tried():
    assert "no cluster" in README
    assert sys.version_info[:2] in {(3, 11), (3, 12), (3, 13)}
