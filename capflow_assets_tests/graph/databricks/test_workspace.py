"""The workspace as the real SDK sees it: who may call, files on DBFS and on volumes, other objects, broken lines."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable

import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config, CredentialsStrategy
from databricks.sdk.errors import (
    AlreadyExists,
    BadRequest,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
    Unauthenticated,
)
from databricks.sdk.service.iam import AccessControlRequest, PermissionLevel

from capflow_assets_doubles.databricks.workspace import LocalWorkspace

MIB = 1024 * 1024
VOLUME = "/Volumes/main/capflow/staging"


class Anonymous(CredentialsStrategy):
    """Sends no credentials at all."""

    def auth_type(self) -> str:
        return "none"

    def __call__(self, config: Config) -> Callable[[], dict[str, str]]:
        return dict


def client_of(workspace: LocalWorkspace, token: str = "", seconds: int = 20) -> WorkspaceClient:
    config = Config(host=workspace.url, token=token or workspace.token, retry_timeout_seconds=seconds)
    return WorkspaceClient(config=config)


@pytest.fixture
def client(workspace: LocalWorkspace) -> WorkspaceClient:
    return client_of(workspace)


def test_only_known_tokens_are_answered(workspace: LocalWorkspace):
    url = f"{workspace.url}/api/2.0/preview/scim/v2/Me"
    assert requests.get(url, timeout=5).status_code == 401
    assert client_of(workspace).current_user.me().user_name == "admin@example.com"
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        client_of(workspace, "guessed").current_user.me()
    with pytest.raises(Unauthenticated):
        WorkspaceClient(host=workspace.url, credentials_strategy=Anonymous()).current_user.me()


def test_dbfs_keeps_files_of_many_blocks(client: WorkspaceClient):
    content = bytes(range(256)) * (5 * MIB // 512)
    with client.dbfs.open("dbfs:/t/many.bin", write=True) as sink:
        sink.write(content)
    assert client.dbfs.get_status("/t/many.bin").file_size == len(content)
    with client.dbfs.open("/t/many.bin", read=True) as source:
        assert source.read() == content
    assert client.dbfs.read("/t/many.bin", offset=len(content) - 3, length=10).bytes_read == 3
    assert [info.path for info in client.dbfs.list("/t")] == ["/t/many.bin"]


def test_dbfs_refuses_as_the_real_one(client: WorkspaceClient):
    client.dbfs.put("/t/once", contents=base64.b64encode(b"first").decode())
    with pytest.raises(ResourceAlreadyExists):
        client.dbfs.create("/t/once")
    with pytest.raises(ResourceDoesNotExist) as missing:
        client.dbfs.read("/t/never", length=MIB)
    assert missing.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    handle = client.dbfs.create("/t/big", overwrite=True).handle
    with pytest.raises(BadRequest) as much:
        client.dbfs.add_block(handle, base64.b64encode(bytes(MIB + 1)).decode())
    assert much.value.error_code == "MAX_BLOCK_SIZE_EXCEEDED"
    assert not client.dbfs.exists("/t/big"), "a file is there once it is closed"
    with pytest.raises(BadRequest, match="non-empty"):
        client.api_client.do("POST", "/api/2.0/dbfs/delete", body={"path": "/t"})
    client.dbfs.delete("/t", recursive=True)
    assert not client.dbfs.exists("/t/once")


def test_no_path_leads_out_of_the_storage(client: WorkspaceClient):
    for path in ("/../../etc/passwd", "relative"):
        with pytest.raises(BadRequest, match="absolute"):
            client.dbfs.read(path)
    with pytest.raises(BadRequest):
        client.files.get_metadata(f"{VOLUME}/../../../../x")


def test_volumes_keep_files(client: WorkspaceClient):
    path = f"{VOLUME}/deep/er/name with space + 100%.bin"
    client.files.upload(path, io.BytesIO(b"0123456789"))
    assert client.files.download(path).contents.read() == b"0123456789"
    assert client.files.get_metadata(path).content_length == 10
    with pytest.raises(AlreadyExists):
        client.files.upload(path, io.BytesIO(b"again"), overwrite=False)
    client.files.upload(path, io.BytesIO(b"again"), overwrite=True)
    assert client.files.download(path).contents.read() == b"again"
    assert [entry.name for entry in client.files.list_directory_contents(f"{VOLUME}/deep/er")] == [path.split("/")[-1]]
    with pytest.raises(BadRequest, match="not empty"):
        client.files.delete_directory(f"{VOLUME}/deep/er")
    client.files.delete(path)
    with pytest.raises(NotFound):
        client.files.download(path)
    client.files.delete_directory(f"{VOLUME}/deep/er")
    with pytest.raises(NotFound):
        client.files.get_directory_metadata(f"{VOLUME}/deep/er")
    with pytest.raises(NotFound, match=r"main\.capflow\.other"):
        client.files.upload("/Volumes/main/capflow/other/x", io.BytesIO(b""))


@pytest.mark.parametrize(
    ("byte_range", "given"), [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("", b"0123456789")]
)
def test_a_part_of_a_file_can_be_had(client: WorkspaceClient, workspace: LocalWorkspace, byte_range: str, given: bytes):
    client.files.upload(f"{VOLUME}/ten", io.BytesIO(b"0123456789"), overwrite=True)
    headers = {"Authorization": f"Bearer {workspace.token}", "Range": byte_range}
    answer = requests.get(f"{workspace.url}/api/2.0/fs/files{VOLUME}/ten", headers=headers, timeout=5)
    assert (answer.status_code, answer.content) == (206 if byte_range else 200, given)


def test_a_principal_touches_its_own_places_only(workspace: LocalWorkspace, client: WorkspaceClient):
    client.files.upload(f"{VOLUME}/mine-not/x", io.BytesIO(b"secret"), overwrite=True)
    narrow = client_of(workspace, workspace.add_principal("narrow", f"{VOLUME}/mine", "dbfs:/mine"))
    narrow.files.upload(f"{VOLUME}/mine/x", io.BytesIO(b"own"), overwrite=True)
    with pytest.raises(PermissionDenied) as refused:
        narrow.files.download(f"{VOLUME}/mine-not/x")
    assert refused.value.error_code == "PERMISSION_DENIED"
    with pytest.raises(PermissionDenied):
        narrow.dbfs.create("/mine-not/x")


def test_the_other_objects(workspace: LocalWorkspace, client: WorkspaceClient):
    client.secrets.create_scope("s")
    client.secrets.put_secret("s", "password", string_value="häßlich")
    assert client.dbutils.secrets.get("s", "password") == "häßlich"
    assert [secret.key for secret in client.secrets.list_secrets("s")] == ["password"]
    with pytest.raises(ResourceDoesNotExist):
        client.secrets.get_secret("s", "other")
    assert {cluster.cluster_id for cluster in client.clusters.list()} >= {"dedicated-1", "standard-1"}
    assert client.clusters.get("standard-1").state.value == "RUNNING"
    with pytest.raises(ResourceDoesNotExist):
        client.clusters.get("none")
    workspace.objects.policies["p1"] = {"policy_id": "p1", "name": "small"}
    assert client.cluster_policies.get("p1").name == "small"
    with pytest.raises(ResourceDoesNotExist):
        client.instance_pools.get("none")
    assert client.volumes.read("main.capflow.staging").full_name == "main.capflow.staging"
    with pytest.raises(NotFound):
        client.volumes.read("main.capflow.none")
    entry = AccessControlRequest(user_name="ana", permission_level=PermissionLevel.CAN_VIEW)
    client.permissions.update("clusters", "standard-1", access_control_list=[entry])
    (shown,) = client.permissions.get("clusters", "standard-1").access_control_list
    assert (shown.user_name, shown.all_permissions[0].permission_level) == ("ana", PermissionLevel.CAN_VIEW)


def test_the_client_comes_through_a_lost_network(workspace: LocalWorkspace, client: WorkspaceClient):
    before = len(workspace.calls)
    workspace.faults.lose_network(calls=1)
    assert client.current_user.me().user_name
    assert workspace.calls[before:] == [("GET", "/api/2.0/preview/scim/v2/Me")] * 2


@pytest.mark.parametrize("fault", ["throttle", "unavailable"])
def test_the_client_waits_as_long_as_it_is_told(workspace: LocalWorkspace, client: WorkspaceClient, fault: str):
    getattr(workspace.faults, fault)(calls=1, retry_after_s=2)
    begun = time.monotonic()
    assert client.current_user.me().user_name
    assert time.monotonic() - begun >= 2


def test_a_fault_hits_the_named_calls_only(workspace: LocalWorkspace):
    client = client_of(workspace)
    workspace.faults.lose_network(on="/dbfs/")
    assert client.current_user.me().user_name
    with pytest.raises(TimeoutError):
        client_of(workspace, seconds=1).dbfs.mkdirs("/t/lost")
    workspace.faults.clear()
    assert not client.dbfs.exists("/t/lost")
    workspace.faults.lose_answers(calls=1, on="/dbfs/mkdirs")
    client.dbfs.mkdirs("/t/heard")
    assert client.dbfs.exists("/t/heard")
