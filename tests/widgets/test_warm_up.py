from napari_cellseg.widgets import warm_up
from napari_cellseg.worker import JobState


def test_the_engine_is_loaded_once_with_a_notice(dock, qtbot):
    warm_up._started.cache_clear()
    dock.show()
    assert dock.strip.text == warm_up.NOTICE
    (job,) = warm_up._started()
    qtbot.waitUntil(lambda: job.state is JobState.DONE, timeout=60_000)
    qtbot.waitUntil(lambda: dock.strip.text == dock.session.status.text)
    dock.hide()
    dock.show()
    assert warm_up._started() == [job]


def test_opening_the_dock_imports_no_torch_in_the_gui_thread(tmp_path):
    import subprocess
    import sys

    code = "import sys, napari_cellseg.widgets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
