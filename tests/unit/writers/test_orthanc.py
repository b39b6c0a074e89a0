"""The objects through a real archive and back: sent over C-STORE and DICOMweb to an Orthanc that the test starts."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from stored_analyses import Stored, write_all

Make = Callable[[str], Stored]
PROGRAM = "Orthanc"
PLUGINS = (Path("/usr/share/orthanc/plugins"), Path("/usr/local/share/orthanc/plugins"))
PLUGIN = "libOrthancDicomWeb.so"
SENDER, ARCHIVE = "INFARCT", "ORTHANC"
HOST = "127.0.0.1"
WAIT_S = 60.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="the program Orthanc is not installed (package orthanc)"),
]


@dataclass(frozen=True)
class Archive:
    """A running Orthanc on this machine alone."""

    http_port: int
    dicom_port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.http_port}"

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=20) as answer:
            return bytes(answer.read())

    def instances(self) -> dict[str, Dataset]:
        """Return every stored object by its unique identifier."""
        found = [
            pydicom.dcmread(BytesIO(self.get(f"instances/{one}/file"))) for one in json.loads(self.get("instances"))
        ]
        return {str(item.SOPInstanceUID): item for item in found}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def plugin() -> Path | None:
    return next((folder / PLUGIN for folder in PLUGINS if (folder / PLUGIN).exists()), None)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """Start an Orthanc that answers this machine alone and stores from one sender on it, and stop it again."""
    running = Archive(free_port(), free_port())
    web = plugin()
    settings = {
        "Name": "test",
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
        "HttpPort": running.http_port,
        "DicomPort": running.dicom_port,
        "DicomAet": ARCHIVE,
        "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowEcho": False,
        "DicomCheckModalityHost": True,
        "DicomModalities": {"sender": [SENDER, HOST, 1]},
        "Plugins": [str(web)] if web else [],
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    log = (tmp_path / "orthanc.log").open("wb")
    process = subprocess.Popen([PROGRAM, tmp_path / "orthanc.json"], stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(running, process)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def _wait(archive: Archive, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        assert process.poll() is None, "Orthanc stopped"
        try:
            archive.get("system")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.3)
        else:
            return
    raise AssertionError("Orthanc did not start")


@pytest.fixture
def objects(series_of: Make, tmp_path: Path) -> dict[str, Dataset]:
    """The objects of a tilted, uneven series with its images, by their unique identifiers."""
    case = series_of("tilted_uneven")
    folder = write_all(case, tmp_path / "out") / "dicom"
    found = [*(image for image, _ in case.images), *(pydicom.dcmread(path) for path in sorted(folder.iterdir()))]
    return {str(item.SOPInstanceUID): item for item in found}


def check(case: Stored, sent: dict[str, Dataset], stored: dict[str, Dataset]) -> None:
    """What came back is what was sent, and the segmentation still has its mask on the frames."""
    assert set(stored) == set(sent)
    for uid, item in sent.items():
        assert {element.tag for element in item} == {element.tag for element in stored[uid]}
        assert item == stored[uid]
    drawn = {item.ContentLabel: item for item in stored.values() if item.Modality == "SEG"}
    segmentation = hd.seg.Segmentation.from_dataset(drawn["INFARCT"])
    uids = [image.SOPInstanceUID for image, _ in case.images]
    pixels = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)[..., 0]
    np.testing.assert_array_equal(pixels > 0, case.analysis.maps.infarct)


def test_over_c_store(archive: Archive, objects: dict[str, Dataset], series_of: Make) -> None:
    from pynetdicom import AE

    sender = AE(ae_title=SENDER)
    for kind, syntax in {(item.SOPClassUID, item.file_meta.TransferSyntaxUID) for item in objects.values()}:
        sender.add_requested_context(kind, syntax)
    association = sender.associate(HOST, archive.dicom_port, ae_title=ARCHIVE)
    assert association.is_established
    for item in objects.values():
        assert association.send_c_store(item).Status == 0x0000
    association.release()
    check(series_of("tilted_uneven"), objects, archive.instances())
    (patient,) = json.loads(archive.get("patients?expand"))
    assert patient["MainDicomTags"]["PatientID"] == "CANARY-7"
    (study,) = json.loads(archive.get("studies?expand"))
    assert len(study["Series"]) == 5  # the images, and four series of objects


@pytest.mark.skipif(plugin() is None, reason=f"the DICOMweb plugin of Orthanc ({PLUGIN}) is not installed")
def test_over_dicomweb(archive: Archive, objects: dict[str, Dataset], series_of: Make) -> None:
    from dicomweb_client import DICOMwebClient

    client = DICOMwebClient(f"{archive.url}/dicom-web")
    client.store_instances(datasets=list(objects.values()))
    named = client.search_for_instances()
    assert {one["00080018"]["Value"][0] for one in named} == set(objects)
    back = {}
    for uid, item in objects.items():
        found = client.retrieve_instance(item.StudyInstanceUID, item.SeriesInstanceUID, uid)
        back[uid] = found
    check(series_of("tilted_uneven"), objects, back)
