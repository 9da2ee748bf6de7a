"""``/Volumes`` and ``/dbfs`` as a step's Python sees them, and what they refuse."""

from __future__ import annotations

import io
import zipfile

import pytest
from databricks.sdk import WorkspaceClient

from capflow_assets_doubles.databricks.workspace import LocalWorkspace
from capflow_assets_tests.graph.databricks.wheels import FOLDER, Caller

TRY = """
import errno, json
def outcome(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"
"""


@pytest.fixture
def caller(workspace: LocalWorkspace) -> Caller:
    return Caller(workspace, WorkspaceClient(host=workspace.url, token=workspace.token))


def test_files_go_both_ways(caller: Caller):
    caller.upload("in/b.txt", "of the client")
    code = f"""
import glob, gzip, json, os, pathlib, shutil, subprocess, sys, tempfile
folder = pathlib.Path("{FOLDER}")
(folder / "out" / "deep").mkdir(parents=True, exist_ok=True)
shutil.copy(folder / "in" / "b.txt", folder / "out" / "copied.txt")
with gzip.open(folder / "out" / "packed.gz", "wb") as sink:
    sink.write(b"packed")
(folder / "out" / "old").write_text("moved")
os.replace(folder / "out" / "old", folder / "out" / "new")
child = subprocess.run([sys.executable, "-c", "print(open('{FOLDER}/in/b.txt').read(), end='')"], capture_output=True)
seen = sorted(os.path.relpath(name, folder) for name in glob.glob(str(folder / "out" / "**"), recursive=True))
walked = [sorted(names) for _, _, names in os.walk(folder / "out")]
shutil.rmtree(folder / "out" / "deep")
text, deep = (folder / "in" / "b.txt").read_text(), os.path.exists(folder / "out" / "deep")
print(json.dumps([text, child.stdout.decode(), seen, walked, deep]))
"""
    text, child, seen, walked, deep = caller.ran(code).said
    assert text == child == "of the client"
    assert seen == ["out", "out/copied.txt", "out/deep", "out/new", "out/packed.gz"]
    assert walked == [["copied.txt", "new", "packed.gz"], []]
    assert not deep
    assert caller.client.files.download(f"{FOLDER}/out/new").contents.read() == b"moved"


def test_a_volume_takes_no_appending_and_no_random_writes(caller: Caller):
    place = caller.upload("there.txt", "12")
    code = f"""{TRY}
import zipfile
def seek():
    with open("{FOLDER}/seek", "wb") as sink:
        sink.write(b"abc"); sink.flush(); sink.seek(0)
def packed():
    with zipfile.ZipFile("{FOLDER}/packed.zip", "w") as archive:
        archive.writestr("a", "b")
calls = [lambda: open("{place}", "a"), lambda: open("{place}", "r+"), seek, packed, lambda: open("{place}", "x"),
         lambda: open("{FOLDER}/none/x", "w"), lambda: open("{place}").close()]
print(json.dumps([outcome(call) for call in calls]))
"""
    assert caller.ran(code).said == ["ENOTSUP"] * 4 + ["EEXIST", "ENOENT", "ok"]
    assert caller.client.files.download(place).contents.read() == b"12"


def test_a_file_appears_when_it_is_closed(caller: Caller):
    code = f"""
import json, os
sink = open("{FOLDER}/late.txt", "w")
sink.write("all of it"); sink.flush()
before = os.path.exists("{FOLDER}/late.txt")
sink.close()
print(json.dumps([before, os.path.exists("{FOLDER}/late.txt")]))
"""
    assert caller.ran(code).said == [False, True]


@pytest.mark.parametrize(("mode", "there"), [("dedicated", True), ("standard", False), ("serverless", False)])
def test_dbfs_is_mounted_on_dedicated_clusters_only(caller: Caller, mode: str, there: bool):
    caller.client.dbfs.put("/here.txt", contents="aGk=", overwrite=True)
    code = f"{TRY}\nprint(json.dumps([outcome(lambda: open('/dbfs/here.txt', mode)) for mode in 'ra']))"
    assert caller.ran(code, mode=mode).said == (["ok", "ok"] if there else ["ENOENT", "ENOENT"])


def test_code_on_a_volume_can_be_imported(caller: Caller):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("zipped_code.py", "WHERE = 'zip'")
    caller.upload("code.zip", packed.getvalue())
    caller.upload("lib/plain_code.py", "WHERE = 'folder'")
    code = f"""
import json, sys
sys.path[:0] = ["{FOLDER}/code.zip", "{FOLDER}/lib"]
import plain_code, zipped_code
print(json.dumps([plain_code.WHERE, zipped_code.WHERE]))
"""
    assert caller.ran(code).said == ["folder", "zip"]


def test_a_step_reads_what_its_owner_may(caller: Caller, workspace: LocalWorkspace):
    caller.upload("closed/x", "secret")
    own = FOLDER.replace("/own", "/narrow")
    token = workspace.add_principal("narrow-step", own)
    client = WorkspaceClient(host=workspace.url, token=token)
    code = (
        f"{TRY}\nprint(json.dumps([outcome(lambda: open('{FOLDER}/closed/x')), outcome(lambda: open('{own}/s.py'))]))"
    )
    client.files.upload(f"{own}/s.py", io.BytesIO(code.encode()), overwrite=True)
    narrow = Caller(workspace, client)
    run_id = narrow.submit({"spark_python_task": {"python_file": f"{own}/s.py"}})
    assert narrow.ended(run_id).said == ["EACCES", "ok"]
